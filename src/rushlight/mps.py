"""torch.mps where there is no Apple GPU: harmless calls that do nothing."""

from __future__ import annotations

from rushlight.random import manual_seed as _manual_seed


def device_count() -> int:
    """The number of MPS devices."""
    return 0


def synchronize() -> None:
    """Return at once: host operations are finished when they return."""


def empty_cache() -> None:
    """Return at once."""


def manual_seed(seed: int) -> None:
    """Seed the generator that emulated devices draw from, the CPU's."""
    _manual_seed(seed)


def current_allocated_memory() -> int:
    """Bytes in use on the device: none."""
    return 0


driver_allocated_memory = current_allocated_memory
