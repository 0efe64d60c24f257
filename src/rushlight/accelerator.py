"""torch.accelerator: whichever accelerator there is. There is none, and programs that ask are told so."""

from __future__ import annotations

from typing import Any

from rushlight.base.errors import DeviceUnavailableError
from rushlight.cuda.streams import Stream, current_stream, set_stream

__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count", "device_index",
    "empty_cache", "get_memory_info", "is_available", "max_memory_allocated", "max_memory_reserved", "memory_allocated",
    "memory_reserved", "memory_stats", "reset_accumulated_memory_stats", "reset_peak_memory_stats", "set_device_idx",
    "set_device_index", "set_stream", "synchronize", "Stream",
]  # fmt: skip


def is_available() -> bool:
    """Whether an accelerator can be used: no, an emulated one does not count."""
    return False


def device_count() -> int:
    """The number of accelerators: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """The device of the accelerator: None."""
    return None


def current_device_index() -> int:
    """The index of the current device: 0."""
    return 0


def set_device_index(device: Any, /) -> None:
    """Accepted; does nothing."""


current_device_idx, set_device_idx = current_device_index, set_device_index


class device_index:
    """`with torch.accelerator.device_index(i):` accepted; does nothing."""

    def __init__(self, device: int | None, /) -> None:
        self.idx = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


def synchronize(device: Any = None, /) -> None:
    """Return at once: host operations are finished when they return."""


def empty_cache() -> None:
    """Return at once."""


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes in use on the accelerator: 0."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def memory_stats(device_index: Any = None, /) -> dict[str, Any]:
    """Empty."""
    return {}


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Raise `DeviceUnavailableError`: there is no accelerator whose memory could be counted."""
    raise DeviceUnavailableError("get_memory_info(): there is no accelerator; ask torch.accelerator.is_available() first")


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Return at once."""


reset_accumulated_memory_stats = reset_peak_memory_stats
