"""The user's own channels_last, carried from an operation's input to its result."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.layout import is_dense_in


def in_format_of(k: Any, x: Any, y: Any) -> Any:
    """The array `y` channels-last where the array `x` visibly is, as in torch; otherwise as it came.

    A hidden `x` is none of the user's doing, and a `y` that is hidden has its layout already.
    """
    if type(x) is not np.ndarray or type(y) is not np.ndarray or x.flags.c_contiguous:
        return y
    rank, size = x.ndim, x.itemsize
    if rank not in (4, 5) or y.ndim != rank:
        return y
    last = (0, *range(2, rank), 1)
    if not is_dense_in(x.shape, tuple([s // size for s in x.strides]), last):
        return y
    first = (0, rank - 1, *range(1, rank - 1))
    return k.contiguous(y.transpose(last)).transpose(first)
