"""Resampling of maps in one to three spatial dimensions, and its adjoint.

Every mode is separable and linear: an output of one dimension is a short weighted sum over that dimension of the input.
A `Taps` table says which inputs and with which weights; `upsample` applies the tables of all dimensions one after the
other, `upsample_backward` their transposes. Source positions are computed in float32 for all but float64 inputs, as
torch does, so that the same neighbours are picked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rushlight.backends.reference.quiet import quiet

Array = np.ndarray[Any, np.dtype[Any]]
Scales = tuple[float | None, ...]

MODES = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic")


class Taps(NamedTuple):
    """Inputs and weights of every output of one dimension: two arrays `[taps, out]`; weights None: all are one."""

    source: Array
    weight: Array | None


def _scale(size: int, out: int, scale: float | None, real: type[Any]) -> Any:
    """Input steps per output step; a scale factor the user gave is used as it is, unrounded sizes and all."""
    if scale is not None and scale > 0:
        return real(1.0 / scale)
    return real(size) / real(out)


def _nearest(size: int, out: int, scale: float | None, exact: bool) -> Taps:
    at = np.arange(out, dtype=np.float32)
    step = _scale(size, out, scale, np.float32)
    if exact:
        index = np.floor((at + np.float32(0.5)) * step).astype(np.intp)
    elif out == size:
        index = np.arange(out)
    elif out == 2 * size:
        index = np.arange(out) // 2
    else:
        index = np.floor(at * step).astype(np.intp)
    return Taps(np.minimum(index, size - 1)[None], None)


def _source(size: int, out: int, align_corners: bool, scale: float | None, real: type[Any]) -> Array:
    """Position in the input of every output."""
    at = np.arange(out, dtype=real)
    if align_corners:
        return at * (real(size - 1) / real(out - 1) if out > 1 else real(0))
    return (at + real(0.5)) * _scale(size, out, scale, real) - real(0.5)


def _linear(size: int, out: int, align_corners: bool, scale: float | None, real: type[Any]) -> Taps:
    if out == size:
        return Taps(np.arange(out)[None], None)
    at = np.maximum(_source(size, out, align_corners, scale, real), real(0))
    left = np.minimum(at.astype(np.intp), size - 1)
    right = np.minimum(left + 1, size - 1)
    fraction = np.clip(at - left.astype(real), real(0), real(1))
    return Taps(np.stack([left, right]), np.stack([1 - fraction, fraction]))


def _cubic(t: Array, a: float) -> Array:
    """Cubic convolution kernel at distances `t >= 0`."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0)).astype(t.dtype)


def _bicubic(size: int, out: int, align_corners: bool, scale: float | None, real: type[Any]) -> Taps:
    if out == size:
        return Taps(np.arange(out)[None], None)
    at = _source(size, out, align_corners, scale, real)
    left = np.floor(at)
    offsets = np.arange(-1, 3)[:, None]
    index = np.clip(left.astype(np.intp) + offsets, 0, size - 1)
    weight = _cubic(np.abs(at - left - offsets.astype(real)), -0.75)
    return Taps(index, weight)


def _antialiased(size: int, out: int, cubic: bool, align_corners: bool, scale: float | None, real: type[Any]) -> Taps:
    """Weights of a filter as wide as an output step, so that shrinking averages instead of picking."""
    if align_corners:
        step = float(size - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = float(_scale(size, out, scale, np.float64))
    widening = max(step, 1.0)
    support = (2.0 if cubic else 1.0) * widening
    centre = step * (np.arange(out) + 0.5)
    start = np.maximum((centre - support + 0.5).astype(np.intp), 0)
    stop = np.minimum((centre + support + 0.5).astype(np.intp), size)
    offsets = np.arange(max(int((stop - start).max()), 1))[:, None]
    distance = np.abs((offsets + start - centre + 0.5) / widening)
    weight = _cubic(distance, -0.5) if cubic else np.maximum(1 - distance, 0)
    weight = np.where(offsets < stop - start, weight, 0)
    weight = weight / weight.sum(axis=0)
    return Taps(np.minimum(start + offsets, np.maximum(stop - 1, 0)), weight.astype(real))


@lru_cache(maxsize=256)
def _taps(
    size: int, out: int, mode: str, align_corners: bool, scale: float | None, antialias: bool, real: type[Any]
) -> Taps:
    if mode in ("nearest", "nearest-exact"):
        taps = _nearest(size, out, scale, mode == "nearest-exact")
    elif antialias:
        taps = _antialiased(size, out, mode == "bicubic", align_corners, scale, real)
    elif mode == "bicubic":
        taps = _bicubic(size, out, align_corners, scale, real)
    elif mode in MODES:
        taps = _linear(size, out, align_corners, scale, real)
    else:
        raise ValueError(f"upsample got the mode {mode!r}; it knows {', '.join(MODES)}")
    for table in taps:
        if table is not None:
            table.flags.writeable = False
    return taps


def _along(weight: Array, axis: int, ndim: int, dtype: np.dtype[Any]) -> Array:
    return weight.astype(dtype, copy=False).reshape(*(-1 if d == axis else 1 for d in range(ndim)))


def _apply(x: Array, axis: int, taps: Taps) -> Array:
    """Weighted sums of `x` along `axis`."""
    if taps.weight is None:
        return np.take(x, taps.source[0], axis=axis)
    total = None
    for index, weight in zip(taps.source, taps.weight, strict=True):
        term = np.take(x, index, axis=axis)
        np.multiply(term, _along(weight, axis, x.ndim, x.dtype), out=term)
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total


def _apply_transposed(g: Array, axis: int, taps: Taps, size: int) -> Array:
    """Transpose of `_apply`: what each input of the axis gave, summed. An index table never decreases along outputs."""
    result = np.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    weights = [None] * len(taps.source) if taps.weight is None else list(taps.weight)
    for index, weight in zip(taps.source, weights, strict=True):
        term = g if weight is None else np.multiply(g, _along(weight, axis, g.ndim, g.dtype))
        starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
        sums = np.add.reduceat(term, starts, axis=axis)
        result[(*(slice(None),) * axis, index[starts])] += sums
    return result


def _computed(a: Array) -> Array:
    """Half types are computed in float32; every other dtype in itself."""
    return a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a


@quiet
def upsample(
    x: Array, sizes: tuple[int, ...], mode: str, align_corners: bool, scales: Scales, antialias: bool = False
) -> Array:
    """Resample `x` `[N, C, *spatial]` to spatial `sizes`.

    `mode` is one of "nearest", "nearest-exact", "linear" (also "bilinear", "trilinear") and "bicubic". `scales` are
    the factors the user gave, one per dimension, or None where positions follow from the sizes alone. `antialias`
    widens the filter of "bilinear" and "bicubic" when the map shrinks.
    """
    y = _computed(x)
    if not y.size:
        return np.zeros((*x.shape[:2], *sizes), x.dtype)
    real = np.float64 if y.dtype in (np.float64, np.complex128) else np.float32
    # The last dimension first: its runs are contiguous, and the ones that follow take whole rows.
    for axis in range(x.ndim - 1, 1, -1):
        taps = _taps(x.shape[axis], sizes[axis - 2], mode, align_corners, scales[axis - 2], antialias, real)
        y = _apply(y, axis, taps)
    return y.astype(x.dtype, copy=False)


@quiet
def upsample_backward(
    g: Array, input_shape: tuple[int, ...], mode: str, align_corners: bool, scales: Scales, antialias: bool = False
) -> Array:
    """Gradient of `upsample` with respect to an input of `input_shape`: its exact adjoint."""
    gx = _computed(g)
    if not gx.size:
        return np.zeros(input_shape, g.dtype)
    real = np.float64 if gx.dtype in (np.float64, np.complex128) else np.float32
    for axis in range(2, g.ndim):
        size, out = input_shape[axis], g.shape[axis]
        taps = _taps(size, out, mode, align_corners, scales[axis - 2], antialias, real)
        gx = _apply_transposed(gx, axis, taps, size)
    return gx.astype(g.dtype, copy=False)


KERNELS = {"upsample": upsample, "upsample_backward": upsample_backward}
