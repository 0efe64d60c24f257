"""Indexing, gathering and scattering along a dim, and what is picked by a mask.

Indices are int64 (or any integer) arrays. Out of bounds is an error that names the index, the dimension and its size;
its type is torch's: RuntimeError in the gather and scatter family, IndexError everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import FLOAT32, INT64, LOW_PRECISION, Array, finish, scalar, widen
from rushlight.backends.reference.quiet import quiet

LONG_RUN = 32  # rows added to one place one after another; more are gathered and summed
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def check_bounds(
    index: Array, size: int, dim: int, negative: bool = False, error: type[Exception] = IndexError, name: str = ""
) -> None:
    """Raise `error` unless every index is in [0, size), or in [-size, size) with `negative`."""
    if index.size == 0:
        return
    low, high = int(index.min()), int(index.max())
    if high >= size or low < (-size if negative else 0):
        wrong = high if high >= size else low
        raise error(f"{name}index {wrong} is out of bounds for dimension {dim} with size {size}")


def _at_least_1d(x: Array) -> Array:
    return x.reshape(1) if x.ndim == 0 else x


# ---- x[...] ---------------------------------------------------------------------------------------------------------


def _index_error(error: IndexError) -> IndexError:
    text = str(error).replace("for axis", "for dimension")
    return IndexError(text)


def index_get(x: Array, index: tuple[Any, ...]) -> Array:
    """`x[index]` as a fresh array; `index` holds slices, integer arrays and bool masks."""
    try:
        return np.array(x[(*index, ...)], order="C")
    except IndexError as error:
        raise _index_error(error) from None


def _sum_by_index(order: Array, starts: Array, counts: Array, rows: Array) -> Array:
    """The sums of the rows of every run of equal indices; `order` sorts the rows by index.

    Runs up to LONG_RUN are added in rounds, the k-th round adding the k-th row of every run that has one; each of the
    few longer ones is summed by itself.
    """
    sums = rows[order[starts]]
    for k in range(1, min(int(counts.max()), LONG_RUN)):
        runs = np.flatnonzero((counts > k) & (counts <= LONG_RUN))
        sums[runs] += rows[order[starts[runs] + k]]
    for run in np.flatnonzero(counts > LONG_RUN):
        members = order[starts[run] : starts[run] + counts[run]]
        sums[run] = np.add.reduce(rows[members], axis=0, dtype=rows.dtype)
    return sums


def _accumulate_rows(x: Array, index: Array, rows: Array) -> None:
    """`x[index[i]] += rows[i]` in place, with repeated indices adding up; `index` is 1-D and in bounds."""
    if index.size == 0 or rows.size == 0:
        return
    if rows.size == index.size:
        first_column: tuple[Any, ...] = (slice(None), *(0,) * (x.ndim - 1))
        column = x[first_column]
        wide = widen(column)
        np.add.at(wide, index, widen(rows).reshape(-1))
        if wide is not column:
            column[...] = finish(wide, x.dtype)
        return
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=index.size)
    targets = ordered[starts]
    sums = _sum_by_index(order, starts, counts, widen(rows))
    x[targets] = finish(np.add(widen(x[targets]), sums), x.dtype)


@quiet
def index_put(x: Array, index: tuple[Any, ...], values: Array, accumulate: bool = False) -> Array:
    """Write `values` (broadcast) to `x[index]` in place and return `x`; `accumulate` adds, repeated indices too."""
    try:
        if not accumulate:
            x[(*index, ...)] = values
            return x
        rows = index[0] if len(index) == 1 else None
        if isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and x.ndim:
            check_bounds(rows, x.shape[0], 0, negative=True)
            spread = np.broadcast_to(values, rows.shape + x.shape[1:]).reshape(rows.size, *x.shape[1:])
            _accumulate_rows(x, rows.reshape(-1) % max(x.shape[0], 1), spread)
            return x
        wide = widen(x)
        np.add.at(wide, (*index, ...), widen(values))
        if wide is not x:
            x[...] = finish(wide, x.dtype)
        return x
    except IndexError as error:
        raise _index_error(error) from None


# ---- whole slices along one dim -------------------------------------------------------------------------------------


def index_select(x: Array, dim: int, index: Array) -> Array:
    """The slices of `x` at `index` (1-D or zero-dim) along `dim`."""
    source = _at_least_1d(x)
    check_bounds(index, source.shape[dim], dim)
    result = np.take(source, index.reshape(-1), axis=dim)
    return result.reshape(x.shape) if x.ndim == 0 else result


def _slices(x: Array, dim: int, index: Array, source: Array, name: str) -> tuple[Array, Array, Array, Array]:
    """A copy of `x`, its view and that of `source` with `dim` in front, and the checked 1-D index."""
    result = x.copy()
    target = np.moveaxis(_at_least_1d(result), dim, 0)
    rows = np.moveaxis(_at_least_1d(source), dim if source.ndim else 0, 0)
    flat = index.reshape(-1)
    check_bounds(flat, target.shape[0], dim, name=name)
    if rows.shape != (flat.size, *target.shape[1:]):
        raise IndexError(
            f"{name}source of shape {list(source.shape)} does not fit input of shape {list(x.shape)} and "
            f"{flat.size} indices along dimension {dim}"
        )
    return result, target, rows, flat


@quiet
def index_add(x: Array, dim: int, index: Array, source: Array, alpha: Any = 1) -> Array:
    """`x` with `alpha * source` added to the slices at `index`; repeated indices add up."""
    result, target, rows, flat = _slices(x, dim, index, source, "index_add(): ")
    wide = widen(rows)
    _accumulate_rows(target, flat, wide if alpha == 1 else wide * scalar(alpha, wide.dtype))
    return result


def index_copy(x: Array, dim: int, index: Array, source: Array) -> Array:
    """`x` with the slices at `index` replaced by those of `source`; the last of repeated indices stays."""
    result, target, rows, flat = _slices(x, dim, index, source, "index_copy_(): ")
    target[flat] = rows
    return result


def index_fill(x: Array, dim: int, index: Array, value: Any) -> Array:
    """`x` with the slices at `index` (negative ones count from the end) filled with `value`."""
    result = x.copy()
    target = np.moveaxis(_at_least_1d(result), dim, 0)
    check_bounds(index, target.shape[0], dim, negative=True)
    target[index.reshape(-1)] = scalar(value, x.dtype)
    return result


# ---- gather and scatter ---------------------------------------------------------------------------------------------


def _check_gather(x: Array, dim: int, index: Array, name: str) -> None:
    if index.ndim != x.ndim:
        raise RuntimeError(
            f"{name}(): Index tensor must have the same number of dimensions as input tensor: the index has shape {list(index.shape)}, "
            f"the input {list(x.shape)}"
        )
    for d in range(x.ndim):
        if d != dim and index.shape[d] > x.shape[d]:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self "
                f"{list(x.shape)} apart from dimension {dim}"
            )
    check_bounds(index, x.shape[dim], dim, error=RuntimeError)


def gather(x: Array, dim: int, index: Array) -> Array:
    """`x[i][index[i][j]]` (for dim 1): one element for every entry of `index`, whose shape the result has."""
    source, where = _at_least_1d(x), _at_least_1d(index)
    if where.size == 0:
        return np.empty(index.shape, x.dtype)
    _check_gather(source, dim, where, "gather")
    head = tuple(slice(None) if d == dim else slice(0, n) for d, n in enumerate(where.shape))
    return np.take_along_axis(source[head], where.astype(np.intp, copy=False), axis=dim).reshape(index.shape)


def _scatter_targets(x: Array, dim: int, index: Array, source: Array) -> tuple[Array, Array, Array]:
    """A contiguous copy of `x` (widened), the flat position of every entry of `index`, and the flat source values."""
    base, where = _at_least_1d(x), _at_least_1d(index)
    result = np.array(widen(base), order="C")
    if where.size == 0:
        return result, np.empty(0, np.intp), np.empty(0, result.dtype)
    _check_gather(base, dim, where, "scatter")
    if source.ndim and any(s < n for s, n in zip(source.shape, where.shape, strict=True)):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than src {list(source.shape)} in every dimension"
        )
    positions = np.zeros(where.shape, np.intp)
    stride = 1
    for d in reversed(range(base.ndim)):
        line = [1] * base.ndim
        line[d] = where.shape[d]
        along = where if d == dim else np.arange(where.shape[d]).reshape(line)
        positions += along * stride
        stride *= base.shape[d]
    if source.ndim:
        values = source[tuple(slice(0, n) for n in where.shape)].reshape(-1)
    else:
        values = np.broadcast_to(source.reshape(1), (where.size,))
    return result, positions.reshape(-1), widen(values)


def scatter(x: Array, dim: int, index: Array, source: Array) -> Array:
    """`x` with `source` (same rank, or zero-dim) written to `x[i][index[i][j]]` (for dim 1); the last write stays."""
    result, positions, values = _scatter_targets(x, dim, index, source)
    result.reshape(-1)[positions] = values
    return finish(result.reshape(x.shape), x.dtype)


@quiet
def scatter_add(x: Array, dim: int, index: Array, source: Array) -> Array:
    """`x` with `source` added at `x[i][index[i][j]]` (for dim 1); repeated positions add up."""
    result, positions, values = _scatter_targets(x, dim, index, source)
    np.add.at(result.reshape(-1), positions, values)
    return finish(result.reshape(x.shape), x.dtype)


def _identity(reduce: str, dtype: np.dtype[Any]) -> Any:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if dtype.kind == "f":
        return -np.inf if reduce == "amax" else np.inf
    if dtype.kind == "b":
        return reduce == "amin"
    return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max


@quiet
def scatter_reduce(
    x: Array, dim: int, index: Array, source: Array, reduce: str, include_self: bool = True
) -> Array:
    """`x` with `source` combined into `x[i][index[i][j]]` by sum, prod, mean, amax or amin.

    Without `include_self` the positions that are written forget their old value first.
    """
    if reduce not in REDUCTIONS:
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}.")
    result, positions, values = _scatter_targets(x, dim, index, source)
    flat = result.reshape(-1)
    if not include_self:
        flat[positions] = scalar(_identity(reduce, flat.dtype), flat.dtype)
    combine = {"sum": np.add, "mean": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[reduce]
    combine.at(flat, positions, values)
    if reduce == "mean":
        count = np.bincount(positions, minlength=flat.size)
        count = np.maximum(count + 1 if include_self else count, 1).astype(flat.dtype)
        flat[:] = flat / count if flat.dtype.kind in "fc" else flat // count
    return finish(result.reshape(x.shape), x.dtype)


# ---- by flat position -----------------------------------------------------------------------------------------------


def _flat_index(index: Array, size: int) -> Array:
    if index.size:
        low, high = int(index.min()), int(index.max())
        if high >= size or low < -size:
            wrong = high if high >= size else low
            raise IndexError(f"out of range: tried to access index {wrong} on a tensor of {size} elements.")
    return np.where(index < 0, index + size, index)


def take(x: Array, index: Array) -> Array:
    """The elements at flat positions `index`, in the shape of `index`; negative ones count from the end."""
    return np.asarray(x.reshape(-1)[(_flat_index(index, x.size), ...)])


@quiet
def put(x: Array, index: Array, source: Array, accumulate: bool = False) -> Array:
    """`x` with the elements at flat positions `index` replaced by (or with `accumulate` added to) `source`."""
    if index.size != source.size:
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.size}, index.numel() = {index.size}"
        )
    result = np.array(widen(x), order="C").reshape(-1)
    positions = _flat_index(index, x.size).reshape(-1)
    if accumulate:
        np.add.at(result, positions, widen(source).reshape(-1))
    else:
        result[positions] = widen(source).reshape(-1)
    return finish(result.reshape(x.shape), x.dtype)


# ---- masks ----------------------------------------------------------------------------------------------------------


def masked_select(x: Array, mask: Array) -> Array:
    """The elements where `mask` is true (both broadcast), 1-D in C order."""
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return np.broadcast_to(x, shape)[np.broadcast_to(mask, shape)]


def masked_scatter(x: Array, mask: Array, source: Array) -> Array:
    """`x` with the elements where `mask` is true replaced by the first elements of `source`, in C order."""
    shape = np.broadcast_shapes(x.shape, mask.shape)
    result = np.array(np.broadcast_to(x, shape), order="C")
    chosen = np.broadcast_to(mask, shape)
    count = int(np.count_nonzero(chosen))
    if source.size < count:
        raise RuntimeError(
            f"masked_scatter: Number of elements of source < number of ones in mask ({source.size} < {count})"
        )
    result[chosen] = source.reshape(-1)[:count]
    return result


def nonzero(x: Array) -> Array:
    """The indices of the non-zero elements, one row each (int64, shape `(count, x.ndim)`), in C order."""
    wide = x.astype(FLOAT32) if x.dtype in LOW_PRECISION else x
    if x.ndim == 0:
        return np.empty((int(bool(wide)), 0), INT64)
    return np.ascontiguousarray(np.argwhere(wide)).astype(INT64, copy=False)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        index_get,
        index_put,
        index_select,
        index_add,
        index_copy,
        index_fill,
        gather,
        scatter,
        scatter_add,
        scatter_reduce,
        take,
        put,
        masked_select,
        masked_scatter,
        nonzero,
    )
}
