"""Working memory that a kernel borrows for the length of one call.

Fresh memory costs more than it seems: the operating system hands out zeroed pages on first touch, which for the columns
of a convolution takes as long as filling them. Each thread therefore keeps one buffer per name and lends it again.
"""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import numpy as np

# A request above this is served by NumPy and forgotten, so that a thread never holds on to much memory.
LIMIT_BYTES = 1 << 23


class _Buffers(threading.local):
    """The buffers of one thread, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, np.ndarray[Any, np.dtype[np.uint8]]] = {}


_BUFFERS = _Buffers()


def scratch(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Uninitialised contiguous array, valid until the same thread asks for the same `name` again.

    Never return it from a kernel, and give every array that is in use at the same time its own name.
    """
    size = prod(shape) * dtype.itemsize
    if size > LIMIT_BYTES:
        return np.empty(shape, dtype)
    buffer = _BUFFERS.by_name.get(name)
    if buffer is None or buffer.nbytes < size:
        buffer = _BUFFERS.by_name[name] = np.empty(size, np.uint8)
    return np.ndarray(shape, dtype, buffer)
