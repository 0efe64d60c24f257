"""Arrays kept in a memory order of the backend's own choosing, which no user can tell from the reported one.

A kernel that prefers another order (channels innermost, say) may take and return a `HiddenArray`. Only operations that
declare `keeps_layout` are ever handed one; everyone else gets `default()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


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
        return np.ascontiguousarray(self.array)
