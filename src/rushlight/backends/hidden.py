"""Arrays kept in a memory order of the backend's own choosing, which no user can tell from the reported one.

A kernel that prefers another order (channels innermost, say) may take and return a `HiddenArray`. Only operations that
declare `keeps_layout` are ever handed one; everyone else gets `default()`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class HiddenArray:
    """An array whose axes are stored permuted: `array.transpose(axes)` is the value in the reported order.

    `array` is dense in its own order and belongs to exactly one storage.
    """

    __slots__ = ("array", "axes", "shape", "dtype")

    def __init__(self, array: np.ndarray[Any, Any], axes: tuple[int, ...]) -> None:
        self.array = array
        self.axes = axes
        self.shape: tuple[int, ...] = tuple(array.shape[axis] for axis in axes)
        self.dtype = array.dtype

    def default(self) -> np.ndarray[Any, Any]:
        """A dense row-major copy in the reported order."""
        return np.ascontiguousarray(self.array.transpose(self.axes))
