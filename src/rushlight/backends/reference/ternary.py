"""Elementwise kernels of an array and its bounds, weights or further operands: where, clamp, lerp, addcmul, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.backends.reference.precision import Array, DType, finish, scalar, widen
from rushlight.backends.reference.quiet import quiet


def where(condition: Array, a: Array, b: Array, out: Array | None = None) -> Array:
    """`a` where the condition holds, else `b`."""
    return finish(np.where(condition, a, b), a.dtype, out)


def masked_fill(x: Array, mask: Array, value: Array, out: Array | None = None) -> Array:
    """`x` with `value` (zero-dim) where `mask` is true; x and mask broadcast."""
    return finish(np.where(mask, scalar(value, x.dtype), x), x.dtype, out)


def _bound(limit: Any, dtype: DType) -> Array:
    """A clamp bound in `dtype`, saturated to an integer type's range instead of wrapping around."""
    if isinstance(limit, np.ndarray):
        return limit.astype(dtype, copy=False)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        limit = max(info.min, min(info.max, limit))
    return np.asarray(limit).astype(dtype)


@quiet
def clamp(x: Array, lo: Any = None, hi: Any = None, out: Array | None = None) -> Array:
    """`min(max(x, lo), hi)`; bounds are arrays, Python scalars or None, and NaN anywhere gives NaN."""
    wide = widen(x)
    result = wide
    if lo is not None:
        result = np.maximum(result, _bound(lo, wide.dtype), out=...)
    if hi is not None:
        result = np.minimum(result, _bound(hi, wide.dtype), out=...)
    return finish(x.copy() if result is x else result, x.dtype, out)


def clamp_min(x: Array, lo: Any, out: Array | None = None) -> Array:
    """`max(x, lo)`, NaN propagating."""
    return clamp(x, lo, None, out)


def clamp_max(x: Array, hi: Any, out: Array | None = None) -> Array:
    """`min(x, hi)`, NaN propagating."""
    return clamp(x, None, hi, out)


@quiet
def nan_to_num(
    x: Array,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    out: Array | None = None,
) -> Array:
    """Replace NaN (by 0) and infinities (by the largest and smallest finite numbers of the dtype)."""
    if x.dtype.kind in "iub":
        return finish(x.copy(), x.dtype, out)
    result = x.copy(order="C" if 0 in x.strides else "K")
    parts = (result.real, result.imag) if x.dtype.kind == "c" else (result,)
    for part in parts:
        limits = ml_dtypes.finfo(part.dtype)
        largest = limits.max if posinf is None else posinf
        smallest = limits.min if neginf is None else neginf
        plus, minus, missing = np.isposinf(widen(part)), np.isneginf(widen(part)), np.isnan(widen(part))
        np.copyto(part, scalar(largest, part.dtype), where=plus)
        np.copyto(part, scalar(smallest, part.dtype), where=minus)
        np.copyto(part, scalar(0.0 if nan is None else nan, part.dtype), where=missing)
    return finish(result, x.dtype, out)


# ---- fused forms ----------------------------------------------------------------------------------------------------


@quiet
def lerp(start: Array, end: Array, weight: Any, out: Array | None = None) -> Array:
    """`start + weight * (end - start)`, computed from the nearer end so that both ends are met exactly."""
    a, b = widen(start), widen(end)
    w = scalar(weight, a.dtype)
    difference = np.subtract(b, a, out=...)
    if w.ndim == 0:
        near = np.absolute(w) < 0.5
        result = a + w * difference if near else b - difference * (1 - w)
        return finish(np.asarray(result), start.dtype, out)
    result = np.where(np.absolute(w) < 0.5, a + w * difference, b - difference * (1 - w))
    return finish(result, start.dtype, out)


@quiet
def addcmul(x: Array, t1: Array, t2: Array, value: Any = 1, out: Array | None = None) -> Array:
    """`x + value * t1 * t2`."""
    wide = widen(x)
    product = scalar(value, wide.dtype) * widen(t1) * widen(t2)
    return finish(np.add(wide, product, out=...), x.dtype, out)


@quiet
def addcdiv(x: Array, t1: Array, t2: Array, value: Any = 1, out: Array | None = None) -> Array:
    """`x + value * t1 / t2` for floating-point and complex arrays."""
    wide = widen(x)
    quotient = np.true_divide(scalar(value, wide.dtype) * widen(t1), widen(t2), out=...)
    return finish(np.add(wide, quotient, out=...), x.dtype, out)


KERNELS: dict[str, Callable[..., Array]] = {
    kernel.__name__: kernel
    for kernel in (where, masked_fill, clamp, clamp_min, clamp_max, nan_to_num, lerp, addcmul, addcdiv)
}
