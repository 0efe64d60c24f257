"""Look-up of rows by index, its gradient, and one-hot encoding."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.quiet import quiet

Array = np.ndarray[Any, np.dtype[Any]]


def embedding(weight: Array, indices: Array) -> Array:
    """Rows of `weight` `[num, *features]` at `indices`: `[*indices.shape, *features]`. Raises IndexError."""
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= weight.shape[0]:
            raise IndexError(
                f"index out of range in self: embedding got the index {low if low < 0 else high}, "
                f"but the table has {weight.shape[0]} rows (valid: 0 to {weight.shape[0] - 1})"
            )
        return np.asarray(np.take(weight, indices, axis=0))
    return np.empty(indices.shape + weight.shape[1:], weight.dtype)


@quiet
def embedding_backward(
    g: Array, indices: Array, num_weights: int, padding_idx: int, scale_grad_by_freq: bool
) -> Array:
    """Gradient of `embedding` with respect to its table: the cotangents of every row summed.

    The row `padding_idx` gets none (-1: every row does); with `scale_grad_by_freq` a row's sum is divided by how often
    the row was looked up.
    """
    features = g.shape[indices.ndim :]
    dtype = np.dtype(np.float32) if g.dtype.itemsize == 2 and g.dtype.kind not in "iu" else g.dtype
    result = np.zeros((num_weights, *features), dtype)
    flat = indices.reshape(-1)
    chosen = flat != padding_idx if padding_idx >= 0 else np.ones(flat.shape, np.bool_)
    if chosen.any() and prod(features):
        order = np.flatnonzero(chosen)
        order = order[np.argsort(flat[order], kind="stable")]
        rows = flat[order]
        starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        sorted_cotangents = g.reshape(flat.size, *features)[order].astype(dtype, copy=False)
        sums = np.add.reduceat(sorted_cotangents, starts, axis=0)
        if scale_grad_by_freq:
            counts = np.diff(np.append(starts, rows.size)).astype(dtype)
            sums = np.divide(sums, counts.reshape(-1, *(1,) * len(features)))
        result[rows[starts]] = sums
    return result.astype(g.dtype, copy=False)


def one_hot(indices: Array, num_classes: int) -> Array:
    """int64 `[*indices.shape, num_classes]` with a 1 at each index; `num_classes` -1 stands for the largest plus one."""
    if indices.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor. Pass num_classes.")
        return np.zeros((*indices.shape, num_classes), np.int64)
    low, high = int(indices.min()), int(indices.max())
    if low < 0:
        raise RuntimeError(f"Class values must be non-negative. one_hot got {low}.")
    if num_classes == -1:
        num_classes = high + 1
    elif num_classes < 1:
        raise RuntimeError(f"num_classes should be positive, or -1 to infer it; one_hot got {num_classes}.")
    elif high >= num_classes:
        raise RuntimeError(f"Class values must be smaller than num_classes. one_hot got {high} of {num_classes}.")
    result = np.zeros((*indices.shape, num_classes), np.int64)
    np.put_along_axis(result, indices[..., None].astype(np.int64, copy=False), 1, axis=-1)
    return result


KERNELS = {"embedding": embedding, "embedding_backward": embedding_backward, "one_hot": one_hot}
