"""torch.xpu where there is no Intel GPU: harmless calls that do nothing."""

from __future__ import annotations

from typing import Any

from rushlight.cuda import (
    Event,
    Stream,
    StreamContext,
    current_device,
    current_stream,
    device,
    device_of,
    empty_cache,
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    max_memory_allocated,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_reserved,
    memory_stats,
    reset_peak_memory_stats,
    seed,
    seed_all,
    set_device,
    set_rng_state,
    set_rng_state_all,
    set_stream,
    stream,
    synchronize,
)

__all__ = [
    "Event", "Stream", "StreamContext", "current_device", "current_stream", "device", "device_count", "device_of", "empty_cache",
    "get_device_name", "get_rng_state", "get_rng_state_all", "initial_seed", "is_available", "is_initialized", "manual_seed",
    "manual_seed_all", "max_memory_allocated", "max_memory_reserved", "mem_get_info", "memory_allocated", "memory_reserved",
    "memory_stats", "reset_peak_memory_stats", "seed", "seed_all", "set_device", "set_rng_state", "set_rng_state_all", "set_stream",
    "stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether an XPU device can be used: no, an emulated one does not count."""
    return False


def device_count() -> int:
    """The number of XPU devices: 0."""
    return 0


def is_initialized() -> bool:
    """Whether XPU was initialised: no."""
    return False


def get_device_name(device: Any = None) -> str:
    """A name that says what the device is."""
    return "host memory under the name xpu (rushlight)"
