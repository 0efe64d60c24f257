"""torch.cpu: the CPU under the interface of an accelerator."""

from __future__ import annotations

from typing import Any

from rushlight.backends.memory import empty_cache, memory_stats, set_memory_limit
from rushlight.cuda.streams import Event, Stream, StreamContext, current_stream, stream

__all__ = [
    "Event", "Stream", "StreamContext", "current_device", "current_stream", "device_count", "empty_cache", "is_available",
    "is_initialized", "memory_stats", "set_device", "set_memory_limit", "stream", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Whether the CPU can be used: yes."""
    return True


is_initialized = is_available


def device_count() -> int:
    """The number of CPU devices: 1."""
    return 1


def current_device() -> str:
    """"cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Accepted; does nothing."""


def synchronize(device: Any = None) -> None:
    """Return at once: operations are finished when they return."""
