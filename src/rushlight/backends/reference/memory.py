"""Copies and constants."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def copy(x: Array) -> Array:
    """A dense copy that keeps the order of the strides where `x` is dense, row-major otherwise (torch's preserve_format)."""
    return np.array(x, order="K", copy=True, subok=False) if x.ndim else x.copy()


def contiguous(x: Array) -> Array:
    """A dense row-major copy."""
    return np.array(x, order="C", copy=True, subok=False)


def copy_into(target: Array, x: Array) -> None:
    """Write `x` over `target`; the dtypes agree and the shapes broadcast."""
    np.copyto(target, x, casting="no")


def scalar(value: Any, dtype: np.dtype[Any]) -> Array:
    """A Python number as a zero-dim array."""
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(dtype)


def full(shape: tuple[int, ...], value: Any, dtype: np.dtype[Any]) -> Array:
    with np.errstate(all="ignore"):
        return np.full(shape, np.asarray(value).astype(dtype), dtype)


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.empty(shape, dtype)


def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.zeros(shape, dtype)


def repeat(x: Array, repeats: tuple[int, ...]) -> Array:
    """`x` repeated along every dimension; dimensions missing in front count as 1."""
    return np.tile(x, repeats) if any(n != 1 for n in repeats) or len(repeats) != x.ndim else contiguous(x)


KERNELS = {
    "copy": copy,
    "contiguous": contiguous,
    "copy_into": copy_into,
    "scalar": scalar,
    "full": full,
    "empty": empty, "repeat": repeat,
    "zeros": zeros,
}
