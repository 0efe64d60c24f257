"""torch.mps where there is no Apple GPU: harmless calls that do nothing."""

from __future__ import annotations

from typing import Any

from rushlight.cuda.streams import Event
from rushlight.random import get_rng_state as _get_rng_state
from rushlight.random import manual_seed as _manual_seed
from rushlight.random import seed as _seed
from rushlight.random import set_rng_state as _set_rng_state

__all__ = [
    "Event", "current_allocated_memory", "device_count", "driver_allocated_memory", "empty_cache", "get_rng_state", "is_available",
    "manual_seed", "recommended_max_memory", "seed", "set_per_process_memory_fraction", "set_rng_state", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether an MPS device can be used: no, an emulated one does not count."""
    return False


def device_count() -> int:
    """The number of MPS devices: 0."""
    return 0


def synchronize() -> None:
    """Return at once: host operations are finished when they return."""


def empty_cache() -> None:
    """Return at once."""


def set_per_process_memory_fraction(fraction: float) -> None:
    """Accepted; does nothing."""


def current_allocated_memory() -> int:
    """Bytes in use on the device: 0."""
    return 0


driver_allocated_memory = recommended_max_memory = current_allocated_memory


def manual_seed(seed: int) -> None:
    """Seed the generator that emulated devices draw from, the CPU's."""
    _manual_seed(seed)


def seed() -> None:
    """Seed that generator from the system's entropy."""
    _seed()


def get_rng_state() -> Any:
    """The state of that generator."""
    return _get_rng_state()


def set_rng_state(new_state: Any) -> None:
    """Restore a state that `get_rng_state` gave."""
    _set_rng_state(new_state)
