"""From a generator's words to arrays: uniform numbers, conversions, and the order in which elements are filled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import ml_dtypes
import numpy as np

F16, BF16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
HALF_TYPES = (F16, BF16)
FLOATS = {F64: 53, F32: 24, F16: 11, BF16: 8}  # the bits of each one's significand


class Bits(Protocol):
    """What a distribution asks of a generator (`rushlight.core.generator.Generator`)."""

    @property
    def lock(self) -> AbstractContextManager[Any]: ...

    next_normal: float | None

    def raw32(self, n: int) -> np.ndarray: ...

    def raw64(self, n: int) -> np.ndarray: ...

    def get_state_bytes(self) -> np.ndarray: ...

    def set_state_bytes(self, state: np.ndarray) -> None: ...


def uniform24(gen: Bits, n: int) -> np.ndarray:
    """Return `n` float32 numbers in [0, 1): the low 24 bits of one word each."""
    words = gen.raw32(n)
    np.bitwise_and(words, np.uint32(2**24 - 1), out=words)
    return np.multiply(words.view(np.int32), np.float32(2.0**-24), dtype=F32, casting="unsafe")


def uniform53(gen: Bits, n: int) -> np.ndarray:
    """Return `n` float64 numbers in [0, 1): the low 53 bits of two words each."""
    words = gen.raw64(n)
    np.bitwise_and(words, np.uint64(2**53 - 1), out=words)
    return np.multiply(words.view(np.int64), 2.0**-53, dtype=F64, casting="unsafe")


def memory_order(array: np.ndarray) -> np.ndarray:
    """Return a view of `array` whose dimensions go from the largest stride to the smallest."""
    dims = sorted(range(array.ndim), key=lambda dim: -array.strides[dim] if array.shape[dim] > 1 else 0)
    return array.transpose(dims)


def size_of(shape: Sequence[int]) -> int:
    return math.prod(shape)


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert as torch does: to a half type by way of float32, from floating point to an integer by way of int64."""
    if values.dtype == dtype:
        return values
    if dtype in HALF_TYPES:
        return values.astype(F32, copy=False).astype(dtype)
    if values.dtype.kind == "f" and dtype.kind in "iu":
        return values.astype(np.int64).astype(dtype)
    return values.astype(dtype)


def deliver(values: np.ndarray, shape: Sequence[int], dtype: np.dtype, out: np.ndarray | None) -> np.ndarray:
    """Give the flat `values` shape and dtype, or lay them down in `out` in memory order."""
    values = cast(values, dtype)
    if out is None:
        return values.reshape(tuple(shape))
    view = memory_order(out)
    view[...] = values.reshape(view.shape)
    return out


def require_float(name: str, dtype: np.dtype, error: type[Exception] = NotImplementedError) -> None:
    if dtype not in FLOATS:
        raise error(f'"{name}" not implemented for {dtype}: its numbers are continuous; use a floating-point dtype')


def complex_parts(shape: Sequence[int], dtype: np.dtype, out: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a complex array to fill and its view as (..., 2) real numbers."""
    whole = np.empty(tuple(shape), dtype) if out is None else out
    real = whole.real
    strides = (*whole.strides, real.itemsize)
    return whole, np.lib.stride_tricks.as_strided(real, (*whole.shape, 2), strides)
