"""torch.cuda where there is no CUDA backend: honest answers, and harmless calls that do nothing.

Tensors moved to "cuda" live in host memory under that name (docs/differences.md).
"""

from __future__ import annotations

from typing import Any

from rushlight.base.errors import DeviceUnavailableError
from rushlight.random import get_rng_state as _get_rng_state
from rushlight.random import manual_seed as _manual_seed


def is_available() -> bool:
    """Whether a CUDA device can be used: no, an emulated one does not count."""
    return False


def device_count() -> int:
    """The number of CUDA devices."""
    return 0


def is_initialized() -> bool:
    return False


def init() -> None:
    """Raise: there is nothing to initialise."""
    raise DeviceUnavailableError("rushlight has no CUDA backend on this machine; 'cuda' tensors are emulated on the host")


def current_device() -> int:
    """The index of the current device; device 0 is the one that is emulated."""
    return 0


def set_device(device: Any) -> None:
    """Accepted; does nothing."""


def synchronize(device: Any = None) -> None:
    """Return at once: host operations are finished when they return."""


def empty_cache() -> None:
    """Return at once."""


def manual_seed(seed: int) -> None:
    """Seed the generator that emulated devices draw from, the CPU's."""
    _manual_seed(seed)


manual_seed_all = manual_seed


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on the device: none."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Return at once."""


def get_device_name(device: Any = None) -> str:
    """A name that says what the device is."""
    return "host memory under the name cuda (rushlight)"


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """(0, 0): no compute capability."""
    return (0, 0)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return including_emulation


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of the generator that emulated devices draw from."""
    return _get_rng_state()


def current_stream(device: Any = None) -> None:
    return None

