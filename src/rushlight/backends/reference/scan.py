"""Running sums, products, extremes and log-sums along one dim. A zero-dim input is its own scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.cast import cast
from rushlight.backends.reference.precision import INT64, Array, DType, accumulator, finish, to_floating, widen
from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.reduce import is_missing


def _accumulate(ufunc: np.ufunc, x: Array, dim: int, dtype: DType | None) -> Array:
    """Scan in the wider accumulation dtype (float64 for float32), rounding every element once."""
    result_dtype = dtype or (INT64 if x.dtype.kind in "iub" else x.dtype)
    source = x if x.dtype == result_dtype else cast(x, result_dtype)
    if x.ndim == 0:
        return source.copy()
    return finish(ufunc.accumulate(source.astype(accumulator(result_dtype), copy=False), axis=dim), result_dtype)


@quiet
def cumsum(x: Array, dim: int, dtype: DType | None = None) -> Array:
    """Running sum along `dim`. Integers and bool give int64."""
    return _accumulate(np.add, x, dim, dtype)


@quiet
def cumprod(x: Array, dim: int, dtype: DType | None = None) -> Array:
    """Running product along `dim`. Integers and bool give int64."""
    return _accumulate(np.multiply, x, dim, dtype)


def _running_extreme(ufunc: np.ufunc, x: Array, dim: int) -> tuple[Array, Array]:
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    wide = widen(x)
    values = ufunc.accumulate(wide, axis=dim)
    # An element equal to the extreme so far (or NaN, which stays the extreme for good) takes the index over.
    takes_over = (wide == values) | is_missing(wide)
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    positions = np.arange(x.shape[dim], dtype=INT64).reshape(shape)
    indices = np.maximum.accumulate(np.where(takes_over, positions, 0), axis=dim)
    return finish(values, x.dtype), indices


@quiet
def cummax(x: Array, dim: int) -> tuple[Array, Array]:
    """Largest element so far along `dim` and the index of its latest occurrence."""
    return _running_extreme(np.maximum, x, dim)


@quiet
def cummin(x: Array, dim: int) -> tuple[Array, Array]:
    """Smallest element so far along `dim` and the index of its latest occurrence."""
    return _running_extreme(np.minimum, x, dim)


def _complex_logcumsumexp(x: Array, dim: int) -> Array:
    """Element by element along `dim`: the larger of the sum so far and the next term is taken out of the logarithm."""
    result = np.moveaxis(x.astype(accumulator(x.dtype)), dim, 0)
    for i in range(1, len(result)):
        first = result[i - 1].real >= result[i].real
        high, low = np.where(first, result[i - 1], result[i]), np.where(first, result[i], result[i - 1])
        result[i] = high + np.log1p(np.exp(low - high))
    return finish(np.moveaxis(result, 0, dim), x.dtype)


@quiet
def logcumsumexp(x: Array, dim: int) -> Array:
    """`log(cumsum(exp(x)))` along `dim`, without overflow, for floating-point and complex input."""
    if x.ndim == 0:
        return x.copy()
    if x.dtype.kind == "c":
        return _complex_logcumsumexp(x, dim)
    wide = to_floating(x)
    return finish(np.logaddexp.accumulate(wide.astype(accumulator(wide.dtype), copy=False), axis=dim), x.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (cumsum, cumprod, cummax, cummin, logcumsumexp)
}
