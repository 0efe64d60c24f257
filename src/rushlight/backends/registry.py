"""Which kernels compute on which device; backends are imported when their device is first used.

A device that is asked for and not there is emulated: its tensors live in host memory under its name (docs/differences.md,
"Devices"). The first use says so in one line; `RUSHLIGHT_STRICT_DEVICE=1` turns it into an error.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from rushlight.base.env import setting
from rushlight.base.errors import DeviceUnavailableError, UnsupportedOperationError
from rushlight.base.kinds import Device

_FULL_NAMES = {"cuda": "CUDA", "mps": "MPS (Apple GPU)", "xpu": "XPU (Intel GPU)"}
_announced: set[str] = set()


def is_emulated(d: Device) -> bool:
    """Whether tensors on `d` really live in host memory: no accelerator backend exists yet."""
    return d.type in _FULL_NAMES


def kernels_for(d: Device) -> Any:
    """The kernel table of device `d`, loaded and remembered on the device object itself."""
    if d.kernels is None:
        d.kernels = _load(d)
    return d.kernels


def _load(d: Device) -> Any:
    if d.type == "meta":
        return import_module("rushlight.backends.meta").meta
    if is_emulated(d):
        _announce(d)
    wanted = setting("RUSHLIGHT_KERNELS")
    native = None if wanted == "reference" else import_module("rushlight.backends.native").load()
    if native is not None:
        return native
    if wanted == "native":
        raise UnsupportedOperationError(
            "RUSHLIGHT_KERNELS=native asks for the native kernels, and this installation has none. Install rushlight with a C++ "
            "compiler at hand, or set RUSHLIGHT_KERNELS=reference to compute with NumPy."
        )
    return import_module("rushlight.backends.reference").reference


def _announce(d: Device) -> None:
    name = _FULL_NAMES[d.type]
    if setting("RUSHLIGHT_STRICT_DEVICE") == "1":
        raise DeviceUnavailableError(
            f"device '{d}' was asked for, but no {name} device is available here and RUSHLIGHT_STRICT_DEVICE=1 forbids "
            "emulating it on the host. Use device 'cpu', or unset the variable."
        )
    if d.type not in _announced:
        _announced.add(d.type)
        print(
            f"rushlight: no {name} device here; '{d.type}' tensors live in host memory and run on the CPU",
            file=sys.stderr,
        )
