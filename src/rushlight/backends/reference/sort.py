"""Sorting, the k largest, and binary search. NaN is the greatest; sorts are stable, as torch's on the CPU are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import INT64, Array, widen
from rushlight.backends.reference.quiet import quiet

PARTITION_FROM = 256  # elements along the dim from which selecting the top k first beats sorting everything


def _order(keys: Array, dim: int, descending: bool) -> Array:
    """Stable sorting permutation along `dim`."""
    if not descending:
        return np.argsort(keys, axis=dim, kind="stable")
    # Sorting the reversed row upwards and reversing the result keeps equal elements in their order.
    reverse = np.argsort(np.flip(keys, dim), axis=dim, kind="stable")
    return (keys.shape[dim] - 1) - np.flip(reverse, dim)


@quiet
def sort(x: Array, dim: int, descending: bool = False, stable: bool = False) -> tuple[Array, Array]:
    """Sorted values and their indices (int64) along `dim`. `stable` is accepted; every sort is stable."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    order = _order(widen(x), dim, descending)
    return np.take_along_axis(x, order, axis=dim), order.astype(INT64, copy=False)


@quiet
def argsort(x: Array, dim: int, descending: bool = False, stable: bool = False) -> Array:
    """The indices (int64) that sort `x` along `dim`."""
    if x.ndim == 0:
        return np.zeros((), INT64)
    return np.ascontiguousarray(_order(widen(x), dim, descending)).astype(INT64, copy=False)


@quiet
def topk(x: Array, k: int, dim: int, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    """The k largest (or smallest) elements along `dim` with their indices, always in order."""
    if x.ndim == 0:
        if k > 1 or k < 0:
            raise RuntimeError("selected index k out of range")
        return (x.copy(), np.zeros((), INT64)) if k else (x.reshape(1)[:0], np.zeros(0, INT64))
    n = x.shape[dim]
    if not 0 <= k <= n:
        raise RuntimeError(f"selected index k out of range: k = {k} for dimension {dim} of size {n}")
    keys = np.moveaxis(widen(x), dim, -1)
    if n >= PARTITION_FROM and k <= n // 4 and k:
        part = np.argpartition(keys, n - k if largest else k - 1, axis=-1)
        chosen = np.sort(part[..., n - k :] if largest else part[..., :k], axis=-1)
        among = _order(np.take_along_axis(keys, chosen, axis=-1), keys.ndim - 1, largest)
        order = np.take_along_axis(chosen, among, axis=-1)
    else:
        order = _order(keys, keys.ndim - 1, largest)[..., :k]
    order = np.moveaxis(order, -1, dim)
    values = np.take_along_axis(x, order, axis=dim)
    return values, np.array(order, dtype=INT64, order="C")


def _search_rows(rows: Array, values: Array, right: bool) -> Array:
    """Binary search of every value in the row with its leading indices, all rows at once."""
    n = rows.shape[-1]
    low = np.zeros(values.shape, INT64)
    high = np.full(values.shape, n, INT64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        probe = np.take_along_axis(rows, np.minimum(middle, n - 1), axis=-1)
        below = ~(probe > values) if right else ~(probe >= values)
        searching = low < high
        low = np.where(searching & below, middle + 1, low)
        high = np.where(searching & ~below, middle, high)
    return low


@quiet
def searchsorted(sequence: Array, values: Array, right: bool = False, sorter: Array | None = None) -> Array:
    """Where `values` would be inserted (int64) to keep the last dim of `sequence` sorted.

    `sequence` is 1-D, or has the leading dims of `values`. Before equal elements, or with `right` behind them.
    """
    if sorter is not None:
        sequence = np.take_along_axis(sequence, sorter, axis=-1)
    keys, wanted = widen(sequence), widen(values)
    if keys.ndim == 1:
        found = np.searchsorted(keys, wanted, side="right" if right else "left")
        return np.asarray(found, dtype=INT64)
    if keys.shape[:-1] != wanted.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries tensor {list(sequence.shape)} and input "
            f"value tensor {list(values.shape)}"
        )
    return _search_rows(keys, wanted, right)


def bucketize(x: Array, boundaries: Array, right: bool = False) -> Array:
    """The index (int64) of the bucket between 1-D sorted `boundaries` that each element falls into."""
    return searchsorted(boundaries, x, right)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (sort, argsort, topk, searchsorted, bucketize)
}
