"""Order statistics, histograms and distinct elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import (
    FLOAT32,
    FLOAT64,
    INT64,
    LOW_PRECISION,
    Array,
    finish,
    scalar,
    widen,
)
from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.reduce import is_missing, require_extent

INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _pick(x: Array, index: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
    """Values at `index` (extent 1 along `dim`) and the index, both with or without the dim."""
    values = np.take_along_axis(x, index, axis=dim)
    index = index.astype(INT64, copy=False)
    return (values, index) if keepdim else (values.squeeze(dim), index.squeeze(dim))


def _median(x: Array, dim: int, keepdim: bool, skip_nan: bool, name: str) -> tuple[Array, Array]:
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    require_extent(x.shape, (dim,), name)
    order = np.argsort(widen(x), axis=dim, kind="stable")
    missing = is_missing(x)
    present = np.add.reduce(~missing, axis=dim, keepdims=True, dtype=INT64, out=...)
    if skip_nan:
        position = np.maximum(present - 1, 0) // 2
    else:  # the first NaN stands at position `present` of the sorted row
        position = np.where(present < x.shape[dim], present, (x.shape[dim] - 1) // 2)
    return _pick(x, np.take_along_axis(order, position, axis=dim), dim, keepdim)


def _median_all(x: Array, skip_nan: bool) -> Array:
    if x.size == 0:
        return np.asarray(np.nan).astype(x.dtype) if x.dtype.kind not in "iub" else np.zeros((), x.dtype)
    return _median(x.reshape(-1), 0, False, skip_nan, "median")[0]


@quiet
def median(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median and its index along `dim`; with `dim=None` the value alone, over all. NaN if there is one."""
    return _median_all(x, False) if dim is None else _median(x, dim, keepdim, False, "median")


@quiet
def nanmedian(x: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median_all(x, True) if dim is None else _median(x, dim, keepdim, True, "nanmedian")


@quiet
def mode(x: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """The most frequent element along `dim` (the smallest of several) and the index of its last occurrence."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    require_extent(x.shape, (dim,), "mode")
    order = np.moveaxis(np.argsort(widen(x), axis=dim, kind="stable"), dim, -1)
    ordered = np.take_along_axis(np.moveaxis(x, dim, -1), order, axis=-1)
    n = x.shape[dim]
    positions = np.arange(n)
    starts = np.ones(ordered.shape, bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    run_start = np.maximum.accumulate(np.where(starts, positions, 0), axis=-1)
    last = np.argmax(positions - run_start, axis=-1, keepdims=True)
    index = np.moveaxis(np.take_along_axis(order, last, axis=-1), -1, dim)
    return _pick(x, index, dim, keepdim)


@quiet
def kthvalue(x: Array, k: int, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """The k-th smallest element (k from 1, NaN greatest) along `dim` and its index."""
    if x.ndim == 0:
        if k != 1:
            raise RuntimeError("kthvalue(): selected number k out of range for dimension 0")
        return x.copy(), np.zeros((), INT64)
    require_extent(x.shape, (dim,), "kthvalue")
    if not 1 <= k <= x.shape[dim]:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    order = np.argsort(widen(x), axis=dim, kind="stable")
    chosen = np.take(order, [k - 1], axis=dim)
    return _pick(x, chosen, dim, keepdim)


@quiet
def quantile(
    x: Array,
    q: Array,
    dim: int | None = None,
    keepdim: bool = False,
    interpolation: str = "linear",
    ignore_nan: bool = False,
) -> Array:
    """Quantiles `q` (zero-dim or 1-D, in [0, 1]) of float32 or float64 `x` along `dim`, or of all with None.

    A 1-D `q` puts its dim first in the result. A row with a NaN gives NaN unless `ignore_nan`.
    """
    if interpolation not in INTERPOLATIONS:
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    if x.size == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    rows = x.reshape(-1) if dim is None or x.ndim == 0 else np.moveaxis(x, dim, -1)
    ordered = np.sort(rows, axis=-1)
    n = rows.shape[-1]
    present = np.add.reduce(~np.isnan(ordered), axis=-1, keepdims=True, dtype=INT64, out=...)
    levels = q.reshape(-1).astype(x.dtype)
    last = np.maximum(present - 1, 0) if ignore_nan else np.full_like(present, n - 1)
    ranks = levels * last.astype(x.dtype)
    if not ignore_nan:
        ranks = np.where(present < n, x.dtype.type(n - 1), ranks)  # NaN is sorted to the end
    if interpolation == "lower":
        ranks = np.floor(ranks)
    elif interpolation == "higher":
        ranks = np.ceil(ranks)
    elif interpolation == "nearest":
        ranks = np.rint(ranks)
    below = ranks.astype(INT64)
    result = np.take_along_axis(ordered, below, axis=-1)
    if interpolation in ("linear", "midpoint"):
        above = np.take_along_axis(ordered, np.ceil(ranks).astype(INT64), axis=-1)
        half = scalar(0.5, x.dtype)
        weight = np.broadcast_to(half, ranks.shape) if interpolation == "midpoint" else ranks - below.astype(x.dtype)
        step = above - result
        result = np.where(weight < half, result + weight * step, above - step * (1 - weight))
    result = np.moveaxis(result, -1, 0)
    if keepdim and x.ndim:
        dims = tuple(range(x.ndim)) if dim is None else (dim,)
        shape = [1 if d in dims else size for d, size in enumerate(x.shape)]
        result = result.reshape([levels.size, *shape])
    return np.array(result[0, ...] if q.ndim == 0 else result, order="C")


# ---- histograms -----------------------------------------------------------------------------------------------------


def bincount(x: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """How often 0, 1, 2, ... occur in a 1-D array of non-negative integers (int64), or the sums of their weights.

    float32 weights give float32, all others float64.
    """
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return np.bincount(x, minlength=minlength).astype(INT64, copy=False)
    if weights.shape != x.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    sums = np.bincount(x, weights=widen(weights.real).astype(FLOAT64), minlength=minlength)
    return finish(sums, FLOAT32 if weights.dtype == FLOAT32 else FLOAT64)


@quiet
def histc(x: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:  # noqa: A002 - torch's names
    """Counts in `bins` equal bins from `min` to `max` (both 0: from the data), in the dtype of `x`.

    Elements outside the range and NaN are not counted.
    """
    if bins <= 0:
        raise RuntimeError(f"bins must be > 0, but got {bins}")
    values = widen(x).reshape(-1)
    low, high = float(min), float(max)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low:g}, {high:g}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    inside = values[(values >= low) & (values <= high)]
    first, width = values.dtype.type(low), values.dtype.type(high - low)
    position = np.minimum(((inside - first) / width * values.dtype.type(bins)).astype(INT64), bins - 1)
    return finish(np.bincount(position, minlength=bins), x.dtype)


# ---- distinct elements ----------------------------------------------------------------------------------------------


def _rows(x: Array, dim: int) -> Array:
    """`x` as one row for every index along `dim`."""
    moved = np.moveaxis(x, dim, 0)
    return moved.reshape(moved.shape[0], -1 if moved.size else 0)


def _starts(rows: Array) -> Array:
    """Which rows differ from the one before them."""
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return starts


def _distinct(x: Array, keys: Array, order: Array, return_inverse: bool, return_counts: bool, dim: int | None) -> Any:
    """Distinct rows of `keys` in `order`, as (values, inverse or None, counts or None)."""
    starts = _starts(keys[order])
    first = np.flatnonzero(starts)
    source = x.reshape(-1) if dim is None else x
    values = np.take(source, order[first], axis=dim or 0)
    inverse: Array | None = None
    counts: Array | None = None
    if return_inverse:
        inverse = np.empty(len(keys), INT64)
        inverse[order] = np.cumsum(starts) - 1
        if dim is None:
            inverse = inverse.reshape(x.shape)
    if return_counts:
        counts = np.diff(np.append(first, len(keys))).astype(INT64, copy=False)
    return values, inverse, counts


def _keys(x: Array, dim: int | None) -> Array:
    wide = x.astype(FLOAT32) if x.dtype in LOW_PRECISION else x
    return wide.reshape(-1, 1) if dim is None else _rows(wide, dim)


@quiet
def unique(
    x: Array, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> tuple[Array, Array | None, Array | None]:
    """Distinct elements (or slices along `dim`) in ascending order, the inverse map, and the counts (or None).

    The result is sorted whether asked or not. Every NaN is distinct, as in torch.
    """
    keys = _keys(x, dim)
    if keys.shape[1] == 1:
        order = np.argsort(keys[:, 0], kind="stable")
    elif keys.shape[1] == 0:
        order = np.arange(len(keys))
    else:
        order = np.lexsort(keys.T[::-1])
    return _distinct(x, keys, order, return_inverse, return_counts, dim)


@quiet
def unique_consecutive(
    x: Array, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> tuple[Array, Array | None, Array | None]:
    """Like `unique`, but only neighbours that are equal are merged."""
    keys = _keys(x, dim)
    return _distinct(x, keys, np.arange(len(keys)), return_inverse, return_counts, dim)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        median,
        nanmedian,
        mode,
        kthvalue,
        quantile,
        bincount,
        histc,
        unique,
        unique_consecutive,
    )
}
