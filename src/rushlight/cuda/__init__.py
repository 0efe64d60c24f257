"""torch.cuda where there is no CUDA backend: honest answers, and harmless calls that do nothing.

Tensors moved to "cuda" live in host memory under that name (docs/differences.md); docs/switches.md lists these calls.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.device import as_device
from rushlight.base.errors import DeviceUnavailableError
from rushlight.cuda import amp
from rushlight.cuda.streams import (
    Event,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    set_stream,
    stream,
)
from rushlight.random import get_rng_state as _get_rng_state
from rushlight.random import initial_seed
from rushlight.random import manual_seed as _manual_seed
from rushlight.random import seed as _seed
from rushlight.random import set_rng_state as _set_rng_state

_NO_CUDA = "rushlight has no CUDA backend on this machine; 'cuda' tensors are emulated in host memory"


class OutOfMemoryError(RuntimeError):
    """Exists so that `except torch.cuda.OutOfMemoryError` can be written; the host raises MemoryError."""


# Whether there is a device.


def is_available() -> bool:
    """Whether a CUDA device can be used: no, an emulated one does not count."""
    return False


def device_count() -> int:
    """The number of CUDA devices: 0."""
    return 0


def is_initialized() -> bool:
    """Whether CUDA was initialised: no."""
    return False


def init() -> None:
    """Raise `DeviceUnavailableError`: there is nothing to initialise."""
    raise DeviceUnavailableError(_NO_CUDA)


def get_device_name(device: Any = None) -> str:
    """A name that says what the device is."""
    return "host memory under the name cuda (rushlight)"


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """(0, 0): no compute capability."""
    return (0, 0)


def get_device_properties(device: Any = None) -> Any:
    """Raise `DeviceUnavailableError`: an emulated device has no properties."""
    raise DeviceUnavailableError(f"get_device_properties(): {_NO_CUDA}. Ask torch.cuda.is_available() first")


def get_arch_list() -> list[str]:
    """The architectures this build has kernels for: none."""
    return []


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether bfloat16 works: on the host it does, as emulation."""
    return including_emulation


def is_tf32_supported() -> bool:
    """No: products are computed in full precision."""
    return False


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """No."""
    return False


# The current device: emulated ones need no selection.


def current_device() -> int:
    """The index of the current device, 0."""
    return 0


def set_device(device: Any) -> None:
    """Accepted; does nothing."""


class device:
    """`with torch.cuda.device(index):` accepted; does nothing."""

    def __init__(self, device: Any) -> None:
        self.idx = device if isinstance(device, int) else as_device(device).index or 0

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


class device_of(device):
    """`with torch.cuda.device_of(tensor):` accepted; does nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(max(obj.get_device(), 0))


# Waiting and memory: operations are finished when they return, and nothing is on a device.


def synchronize(device: Any = None) -> None:
    """Return at once: host operations are finished when they return."""


def empty_cache() -> None:
    """Return at once."""


def ipc_collect() -> None:
    """Return at once."""


def memory_allocated(device: Any = None) -> int:
    """Bytes in use on the device: 0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = max_memory_cached = memory_allocated


def reset_peak_memory_stats(device: Any = None) -> None:
    """Return at once."""


reset_max_memory_allocated = reset_max_memory_cached = reset_accumulated_memory_stats = reset_peak_memory_stats


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Accepted; does nothing."""


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes on the device: (0, 0)."""
    return (0, 0)


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Empty."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """One line that says where the memory is."""
    return _NO_CUDA


def utilization(device: Any = None) -> int:
    """Percent of the device in use: 0."""
    return 0


def is_current_stream_capturing() -> bool:
    """No."""
    return False


# Random numbers: emulated devices draw from the CPU's generator.


def manual_seed(seed: int) -> None:
    """Seed the generator that emulated devices draw from, the CPU's."""
    _manual_seed(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Seed that generator from the system's entropy."""
    _seed()


seed_all = seed


def get_rng_state(device: Any = "cuda") -> Any:
    """The state of that generator."""
    return _get_rng_state()


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Restore a state that `get_rng_state` gave."""
    _set_rng_state(new_state)


def get_rng_state_all() -> list[Any]:
    """The states of all devices: there are none."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Restore what `get_rng_state_all` gave; states saved on a machine with GPUs are ignored."""
