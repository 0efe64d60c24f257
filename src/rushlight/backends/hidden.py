"""Arrays kept in a memory order of the backend's own choosing, which no user can tell from the reported one.

A kernel that prefers another order (channels innermost, say) may take and return a `HiddenArray`. Only operations that
declare `keeps_layout` are ever handed one; everyone else gets `default()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np


class Copies:
    """How copies in the default layout are made.

    copy: the kernel. watcher: what a profiler puts in place of `default_of` to see them, None most of the time.
    """

    __slots__ = ("copy", "watcher")

    def __init__(self) -> None:
        self.copy: Callable[[Any], Any] = np.ascontiguousarray  # until there is a better one
        self.watcher: Callable[[Any], Any] | None = None


COPIES: Final = Copies()


class HiddenArray:
    """`array` has the reported shape and any dense strides; the user is told that it is row-major.

    It belongs to exactly one storage.
    """

    __slots__ = ("array", "shape", "dtype")

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype = array.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def default(self) -> np.ndarray[Any, Any]:
        """A dense row-major copy in the reported order."""
        found: np.ndarray[Any, Any] = default_of(self) if COPIES.watcher is None else COPIES.watcher(self)
        return found


def default_of(hidden: HiddenArray) -> np.ndarray[Any, Any]:
    """The copy itself."""
    array = hidden.array
    made: np.ndarray[Any, Any] = array if array.flags.c_contiguous else COPIES.copy(array)
    return made
