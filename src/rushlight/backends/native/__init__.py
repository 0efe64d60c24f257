"""The native backend: C++ kernels (csrc/) over the same NumPy arrays, where they win; NumPy's for everything else.

There is one extension module for each instruction set, made from the same sources; the best one that this processor runs
is loaded. `load()` gives the kernel table, or None where nothing was built: then the reference computes.
"""

from __future__ import annotations

import platform
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from rushlight.backends import threads, winograd
from rushlight.backends.hidden import COPIES, HiddenArray
from rushlight.backends.reference import Kernels, reference
from rushlight.base.env import setting
from rushlight.base.errors import UnsupportedOperationError

# From the best to the one every processor has, with the features (in NumPy's words) that each needs.
INSTRUCTION_SETS: Final = {
    "avx512": ("AVX512F", "AVX512BW", "AVX512DQ", "AVX512VL", "FMA3", "F16C", "BMI2"),
    "avx2": ("AVX2", "FMA3", "F16C", "BMI2"),
    "neon": (),
    "baseline": (),
}


class NativeKernels(Kernels):
    """The reference table with C++ before the entries that it computes. Every kernel takes HiddenArrays."""

    takes_hidden = True

    def __init__(self, module: ModuleType, instruction_set: str) -> None:
        unknown = set(module.kernels()) - set(reference.names())
        if unknown:
            raise RuntimeError(f"the native kernels {sorted(unknown)} have no reference: build csrc/ and the package from one source")
        self.__dict__.update({name: module.bind(name, getattr(reference, name)) for name in reference.names()})
        self._module = module
        self._instruction_set = instruction_set


def features() -> dict[str, bool]:
    """What this processor (and its system) can run, as NumPy found it."""
    try:
        from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]
    except ImportError:  # another NumPy: stay with what every processor has
        return {}
    found: dict[str, bool] = dict(__cpu_features__)
    # NumPy does not look for BMI2; every processor with AVX2 and FMA3 has it.
    found.setdefault("BMI2", found.get("AVX2", False) and found.get("FMA3", False))
    return found


def supported() -> list[str]:
    """The instruction sets this processor runs, the best first."""
    machine, here = platform.machine().lower(), features()
    arm = machine in ("aarch64", "arm64")
    names = ["neon"] if arm else ["avx512", "avx2", "baseline"] if machine in ("x86_64", "amd64") else ["baseline"]
    return [name for name in names if all(here.get(feature, False) for feature in INSTRUCTION_SETS[name])]


def module_of(instruction_set: str) -> ModuleType | None:
    """The extension module for one instruction set, None where it was not built."""
    try:
        return import_module(f"rushlight.backends.native._kernels_{instruction_set}")
    except ModuleNotFoundError:
        return None


_tables: dict[str, NativeKernels] = {}


def table(instruction_set: str) -> NativeKernels | None:
    """The kernel table for one instruction set, None where it was not built."""
    if instruction_set not in _tables:
        module = module_of(instruction_set)
        if module is None:
            return None
        module.set_hidden_type(HiddenArray)
        threads.listen(module.set_num_threads)
        winograd.listen(module.set_winograd)
        _tables[instruction_set] = NativeKernels(module, instruction_set)
    return _tables[instruction_set]


def load() -> Any:
    """The table for the best instruction set that was built and runs here, None for none; or that for RUSHLIGHT_ISA.

    Raises `UnsupportedOperationError` when the variable names one that was not built or that this processor does not run.
    """
    wanted, here = setting("RUSHLIGHT_ISA"), supported()
    for name in here if wanted == "auto" else [name for name in here if name == wanted]:
        found = table(name)
        if found is not None:
            COPIES.copy = found.contiguous
            return found
    if wanted == "auto":
        return None
    built = ", ".join(name for name in here if module_of(name) is not None)
    raise UnsupportedOperationError(
        f"RUSHLIGHT_ISA={wanted} asks for native kernels that {'were not built' if wanted in here else 'do not run on this processor'}; "
        f"there are {built or 'none'} here. Unset it for the best there is, or set RUSHLIGHT_KERNELS=reference to compute with NumPy."
    )
