"""Batch, layer and group normalisation and their gradients.

All three subtract the mean of some rows and divide by `sqrt(variance + eps)`; they differ in what a row is.
Statistics are taken in two passes (mean first, then the squares of the differences), over pieces of a row in the
array's own precision and over the pieces in float64. Channels or rows are taken a few at a time, so that all passes
find them in cache. The channels of a batch lie far apart, often at distances that share few lines of a cache: what the
passes of batch normalisation work on is dense borrowed memory, not the result.

Statistics of half-precision inputs are float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.scratch import scratch

Array = np.ndarray[Any, np.dtype[Any]]
Mask = tuple[bool, bool, bool]

# Numbers that several passes go over should fit in the cache of a core together with their result.
BLOCK_BYTES = 1 << 19
# Longest run that is summed in the array's own precision; numbers that do not lie in runs are summed in float64.
PIECE = 256


def _computed(a: Array) -> Array:
    """Half types are computed in float32; every other dtype in itself."""
    return a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a


def _optional(a: Array | None) -> Array | None:
    return None if a is None else _computed(a)


def _sums(a: Array) -> Array:
    """Sums over the last axis, in float64."""
    if a.dtype != np.float32 or a.strides[-1] != a.itemsize:
        return np.add.reduce(a, axis=-1, dtype=np.result_type(a.dtype, np.float64))
    length = a.shape[-1]
    if length <= 2 * PIECE:
        return np.add.reduce(a, axis=-1).astype(np.float64)
    whole = length - length % PIECE
    pieces = np.add.reduce(a[..., :whole].reshape(*a.shape[:-1], -1, PIECE), axis=-1)
    total = np.add.reduce(pieces, axis=-1, dtype=np.float64)
    return total + np.add.reduce(a[..., whole:], axis=-1)


def _products(a: Array, b: Array) -> Array:
    """Sums of `a * b` over the last axis, in float64."""
    if a.dtype != np.float32 or a.strides[-1] != a.itemsize:
        return np.einsum("...i,...i->...", a, b, dtype=np.result_type(a.dtype, np.float64))
    length = a.shape[-1]
    if length <= 2 * PIECE:
        return np.einsum("...i,...i->...", a, b).astype(np.float64)
    whole = length - length % PIECE
    shape = (*a.shape[:-1], -1, PIECE)
    pieces = np.einsum("...i,...i->...", a[..., :whole].reshape(shape), b[..., :whole].reshape(shape))
    total = np.add.reduce(pieces, axis=-1, dtype=np.float64)
    return total + np.einsum("...i,...i->...", a[..., whole:], b[..., whole:])


def _blocks(count: int, item_bytes: int) -> Iterator[slice]:
    depth = max(1, BLOCK_BYTES // max(item_bytes, 1))
    return (slice(i, min(i + depth, count)) for i in range(0, count, depth))


def _by_channel(x: Array) -> Array:
    """`[N, C, *]` as `[N, C, L]`, or `[N, C]` as `[1, C, N]` so that there is a run to sum over."""
    if x.ndim == 2:
        return x.T[None]
    return x.reshape(x.shape[0], x.shape[1], prod(x.shape[2:]))


@quiet
def batch_norm_with_variance(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array, Array]:
    """Normalise `x` `[N, C, *]` by its own statistics: `(y, mean, invstd, variance)`, the variance biased (`/ N`)."""
    rows = _by_channel(_computed(x))
    dtype, channels, count = rows.dtype, rows.shape[1], rows.shape[0] * rows.shape[2]
    y = np.empty(x.shape, dtype)
    target = _by_channel(y)
    weight, bias = _optional(weight), _optional(bias)
    mean, invstd, variance = (np.empty(channels, dtype) for _ in range(3))
    for block in _blocks(channels, count * dtype.itemsize):
        source, out = rows[:, block], target[:, block]
        exact_mean = _sums(source).sum(axis=0) / count
        mean[block] = exact_mean
        centred = np.subtract(source, mean[block, None], out=scratch("norm.centred", source.shape, dtype))
        # The mean was rounded to the array's precision: `left` is what the subtraction could not take away.
        left = exact_mean - mean[block]
        exact_variance = np.maximum(_products(centred, centred).sum(axis=0) / count - left * left, 0)
        variance[block] = exact_variance
        inverse = 1 / np.sqrt(exact_variance + eps)
        invstd[block] = inverse
        scale = inverse if weight is None else inverse * weight[block]
        shift = -left * scale if bias is None else bias[block] - left * scale
        np.multiply(centred, scale.astype(dtype)[:, None], out=centred)
        np.add(centred, shift.astype(dtype)[:, None], out=out)
    return y.astype(x.dtype, copy=False), mean, invstd, variance


@quiet
def batch_norm_forward(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    mean: Array | None,
    var: Array | None,
    training: bool,
    eps: float,
) -> tuple[Array, Array, Array]:
    """Normalise `x` `[N, C, *]` channel by channel: `(y, mean, invstd)`.

    With `training` (or without running statistics) by the statistics of the batch, else by the given `mean` and `var`.
    Running statistics are not touched; `batch_norm_with_variance` also returns what their update needs.
    """
    if training or mean is None or var is None:
        return batch_norm_with_variance(x, weight, bias, eps)[:3]
    source, mean, var = _computed(x), _computed(mean), _computed(var)
    dtype = source.dtype
    invstd = 1 / np.sqrt(var.astype(np.float64) + eps)
    scale = invstd if weight is None else invstd * _computed(weight)
    across = (1, -1, *(1,) * (x.ndim - 2))
    y = np.subtract(source, mean.astype(dtype, copy=False).reshape(across))
    np.multiply(y, scale.astype(dtype).reshape(across), out=y)
    if bias is not None:
        np.add(y, _computed(bias).astype(dtype, copy=False).reshape(across), out=y)
    return y.astype(x.dtype, copy=False), mean.astype(dtype), invstd.astype(dtype)


@quiet
def batch_norm_backward(
    g: Array,
    x: Array,
    weight: Array | None,
    mean: Array,
    invstd: Array,
    training: bool,
    mask: Mask,
    gate: Array | None = None,
    low: float = 0.0,
    high: float | None = None,
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of batch normalisation `(gx, gweight, gbias)`; those that `mask` does not ask for are None.

    `mean` and `invstd` are what the forward pass returned (its batch's in training, else the running ones). With `gate`, which
    a ReLU or clamp behind it saved, `g` counts where low < gate < high only (without `high` where gate is not <= low).
    """
    if gate is not None:
        closed = gate <= low if high is None else ~((gate > low) & (gate < high))
        g = np.where(closed, g.dtype.type(0), g)
    cotangents, rows = _by_channel(_computed(g)), _by_channel(_computed(x))
    dtype, channels, count = rows.dtype, rows.shape[1], rows.shape[0] * rows.shape[2]
    weight, mean, invstd = _optional(weight), _computed(mean), _computed(invstd)
    scale = invstd if weight is None else invstd * weight
    gx = np.empty(x.shape, dtype) if mask[0] else None
    gweight, gbias = np.empty(channels, dtype), np.empty(channels, dtype)
    target = None if gx is None else _by_channel(gx)
    for block in _blocks(channels, 2 * count * dtype.itemsize):
        part, factor = cotangents[:, block], scale[block, None]
        sums = _sums(part).sum(axis=0)
        gbias[block] = sums
        if training or mask[1]:
            centred = scratch("norm.centred", part.shape, dtype)
            np.subtract(rows[:, block], mean[block, None], out=centred)
            products = _products(part, centred).sum(axis=0) * invstd[block]
            gweight[block] = products
        if target is None:
            continue
        if not training:
            np.multiply(part, factor, out=target[:, block])
            continue
        slope, level = -products * invstd[block] / max(count, 1), -sums / max(count, 1)
        np.multiply(centred, slope.astype(dtype)[:, None], out=centred)
        np.add(centred, level.astype(dtype)[:, None], out=centred)
        np.add(centred, part, out=centred)
        np.multiply(centred, factor, out=target[:, block])
    return (
        None if gx is None else gx.astype(x.dtype, copy=False),
        gweight if mask[1] else None,
        gbias if mask[2] else None,
    )


def _normalise_rows(rows: Array, y: Array, eps: float, block: slice) -> tuple[Array, Array]:
    """Fill `y[block]` with the standardised `rows[block]` `[rows, D]`; the mean and 1 / std of those rows."""
    source, out = rows[block], y[block]
    count = max(rows.shape[1], 1)
    exact_mean = _sums(source) / count
    mean = exact_mean.astype(rows.dtype)
    centred = np.subtract(source, mean[:, None], out=out)
    left = exact_mean - mean
    inverse = 1 / np.sqrt(np.maximum(_products(centred, centred) / count - left * left, 0) + eps)
    rstd = inverse.astype(rows.dtype)
    np.multiply(out, rstd[:, None], out=out)
    if left.any():
        np.subtract(out, (left * inverse).astype(rows.dtype)[:, None], out=out)
    return mean, rstd


@quiet
def layer_norm_forward(
    x: Array, normalized_ndim: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise over the last `normalized_ndim` dimensions: `(y, mean, rstd)`, the last two with those dimensions 1."""
    outer, inner = x.shape[: x.ndim - normalized_ndim], x.shape[x.ndim - normalized_ndim :]
    rows = _computed(x).reshape(prod(outer), prod(inner))
    y = np.empty(rows.shape, rows.dtype)
    mean, rstd = np.empty(rows.shape[0], rows.dtype), np.empty(rows.shape[0], rows.dtype)
    scale = None if weight is None else _computed(weight).reshape(-1)
    shift = None if bias is None else _computed(bias).reshape(-1)
    for block in _blocks(rows.shape[0], rows.shape[1] * rows.itemsize):
        mean[block], rstd[block] = _normalise_rows(rows, y, eps, block)
        if scale is not None:
            np.multiply(y[block], scale, out=y[block])
        if shift is not None:
            np.add(y[block], shift, out=y[block])
    kept = (*outer, *(1,) * normalized_ndim)
    return y.reshape(x.shape).astype(x.dtype, copy=False), mean.reshape(kept), rstd.reshape(kept)


@quiet
def layer_norm_backward(
    g: Array, x: Array, normalized_ndim: int, mean: Array, rstd: Array, weight: Array | None, mask: Mask
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of layer normalisation `(gx, gweight, gbias)`; those that `mask` does not ask for are None."""
    inner = x.shape[x.ndim - normalized_ndim :]
    shape = (prod(x.shape[: x.ndim - normalized_ndim]), prod(inner))
    cotangents, rows = _computed(g).reshape(shape), _computed(x).reshape(shape)
    dtype = rows.dtype
    mean, rstd = _computed(mean).reshape(-1, 1), _computed(rstd).reshape(-1, 1)
    scale = None if weight is None else _computed(weight).reshape(-1)
    gx = np.empty(shape, dtype) if mask[0] else None
    gweight, gbias = np.zeros(shape[1], np.float64), np.zeros(shape[1], np.float64)
    for block in _blocks(shape[0], 2 * shape[1] * dtype.itemsize):
        part = cotangents[block]
        standard = np.subtract(rows[block], mean[block])
        np.multiply(standard, rstd[block], out=standard)
        if mask[1]:
            gweight += np.einsum("ri,ri->i", part, standard)
        if mask[2]:
            gbias += np.add.reduce(part, axis=0)
        if gx is None:
            continue
        inside = part if scale is None else np.multiply(part, scale)
        out, width = gx[block], max(shape[1], 1)
        slope, level = -_products(inside, standard) / width, -_sums(inside) / width
        np.multiply(standard, slope.astype(dtype)[:, None], out=out)
        np.add(out, inside, out=out)
        np.add(out, level.astype(dtype)[:, None], out=out)
        np.multiply(out, rstd[block], out=out)
    return (
        None if gx is None else gx.reshape(x.shape).astype(x.dtype, copy=False),
        gweight.reshape(inner).astype(x.dtype) if mask[1] else None,
        gbias.reshape(inner).astype(x.dtype) if mask[2] else None,
    )


@quiet
def group_norm_forward(
    x: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise `x` `[N, C, *]` over each of `groups` equal parts of the channels: `(y, mean, rstd)` `[N, groups]`."""
    images, channels = x.shape[:2]
    rows = _computed(x).reshape(images * groups, prod(x.shape[1:]) // groups)
    y = np.empty(rows.shape, rows.dtype)
    mean, rstd = np.empty(rows.shape[0], rows.dtype), np.empty(rows.shape[0], rows.dtype)
    for block in _blocks(rows.shape[0], rows.shape[1] * rows.itemsize):
        mean[block], rstd[block] = _normalise_rows(rows, y, eps, block)
    by_channel = y.reshape(images, channels, prod(x.shape[2:]))
    if weight is not None:
        np.multiply(by_channel, _computed(weight)[:, None], out=by_channel)
    if bias is not None:
        np.add(by_channel, _computed(bias)[:, None], out=by_channel)
    result = y.reshape(x.shape).astype(x.dtype, copy=False)
    return result, mean.reshape(images, groups), rstd.reshape(images, groups)


@quiet
def group_norm_backward(
    g: Array, x: Array, groups: int, mean: Array, rstd: Array, weight: Array | None, mask: Mask
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of group normalisation `(gx, gweight, gbias)`; those that `mask` does not ask for are None."""
    images, channels, per_group = x.shape[0], x.shape[1], x.shape[1] // groups
    shape = (images, groups, per_group, prod(x.shape[2:]))
    cotangents, rows = _computed(g).reshape(shape), _computed(x).reshape(shape)
    dtype = rows.dtype
    mean, rstd = _computed(mean).reshape(images, groups), _computed(rstd).reshape(images, groups)
    standard = np.subtract(rows, mean[:, :, None, None])
    np.multiply(standard, rstd[:, :, None, None], out=standard)
    products, sums = _products(cotangents, standard), _sums(cotangents)
    gx = None
    if mask[0]:
        factor = np.ones((groups, per_group), dtype) if weight is None else _computed(weight).reshape(groups, per_group)
        count = max(per_group * shape[3], 1)
        slope = -(products * factor).sum(axis=2) / count * rstd
        level = -(sums * factor).sum(axis=2) / count * rstd
        np.multiply(standard, slope.astype(dtype)[:, :, None, None], out=standard)
        np.add(standard, level.astype(dtype)[:, :, None, None], out=standard)
        np.add(standard, cotangents * (factor * rstd[:, :, None])[..., None], out=standard)
        gx = standard.reshape(x.shape).astype(x.dtype, copy=False)
    return (
        gx,
        products.sum(axis=0).reshape(channels).astype(x.dtype) if mask[1] else None,
        sums.sum(axis=0).reshape(channels).astype(x.dtype) if mask[2] else None,
    )


def move_running(running: Array, value: Array, momentum: float, factor: float = 1.0) -> None:
    """Write `(1 - momentum) * running + momentum * factor * value` over `running`, computed in float64."""
    np.copyto(
        running, running.astype(np.float64) * (1.0 - momentum) + value * np.float64(momentum * factor), casting="unsafe"
    )


KERNELS = {
    "move_running": move_running,
    "batch_norm_forward": batch_norm_forward,
    "batch_norm_with_variance": batch_norm_with_variance,
    "batch_norm_backward": batch_norm_backward,
    "layer_norm_forward": layer_norm_forward,
    "layer_norm_backward": layer_norm_backward,
    "group_norm_forward": group_norm_forward,
    "group_norm_backward": group_norm_backward,
}
