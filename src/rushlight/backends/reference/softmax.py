"""Softmax, log-softmax, log-sum-exp, the negative log-likelihood and cross entropy, with their gradients.

The largest number is taken away before any exponential, so that none overflows. Half types are computed in float32.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.quiet import quiet

Array = np.ndarray[Any, np.dtype[Any]]


def _computed(a: Array) -> Array:
    """Half types are computed in float32; every other dtype in itself."""
    return a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a


def _as_rows(a: Array) -> Array:
    """A zero-dim array is a softmax over one element."""
    return a if a.ndim else a.reshape(1)


def _shifted(x: Array, dim: int) -> Array:
    """`x` minus its maximum along `dim`, in new memory."""
    if x.shape[dim] == 0:
        return x.copy()
    return np.subtract(x, np.maximum.reduce(x, axis=dim, keepdims=True))


@quiet
def softmax(x: Array, dim: int) -> Array:
    """`exp(x) / sum(exp(x))` along `dim`."""
    y = _shifted(_as_rows(_computed(x)), dim)
    np.exp(y, out=y)
    np.divide(y, np.add.reduce(y, axis=dim, keepdims=True), out=y)
    return y.reshape(x.shape).astype(x.dtype, copy=False)


@quiet
def softmax_backward(g: Array, y: Array, dim: int) -> Array:
    """Gradient of `softmax` from the cotangent `g` and the result `y`: `y * (g - sum(g * y))`."""
    cotangent, result = _as_rows(_computed(g)), _as_rows(_computed(y))
    gx = np.multiply(cotangent, result)
    inner = np.add.reduce(gx, axis=dim, keepdims=True)
    np.subtract(gx, np.multiply(result, inner), out=gx)
    return gx.reshape(y.shape).astype(y.dtype, copy=False)


@quiet
def log_softmax(x: Array, dim: int) -> Array:
    """`x - log(sum(exp(x)))` along `dim`."""
    y = _shifted(_as_rows(_computed(x)), dim)
    total = np.add.reduce(np.exp(y), axis=dim, keepdims=True)
    np.subtract(y, np.log(total, out=total), out=y)
    return y.reshape(x.shape).astype(x.dtype, copy=False)


@quiet
def log_softmax_backward(g: Array, y: Array, dim: int) -> Array:
    """Gradient of `log_softmax` from the cotangent `g` and the result `y`: `g - exp(y) * sum(g)`."""
    cotangent = _as_rows(_computed(g))
    gx = np.exp(_as_rows(_computed(y)))
    np.multiply(gx, np.add.reduce(cotangent, axis=dim, keepdims=True), out=gx)
    np.subtract(cotangent, gx, out=gx)
    return gx.reshape(y.shape).astype(y.dtype, copy=False)


@quiet
def logsumexp(x: Array, dims: tuple[int, ...], keepdim: bool) -> Array:
    """`log(sum(exp(x)))` over `dims`; over nothing it is `-inf`."""
    source = _computed(x)
    if source.dtype.kind in "iub":
        source = source.astype(np.float32)
    result_dtype = x.dtype if x.dtype.kind not in "iub" else source.dtype
    if not dims:
        return source.astype(result_dtype)
    kept = tuple(1 if d in dims else size for d, size in enumerate(x.shape))
    shape = kept if keepdim else tuple(size for d, size in enumerate(x.shape) if d not in dims)
    if prod(x.shape[d] for d in dims) == 0:
        return np.full(shape, -np.inf, result_dtype)
    top = np.maximum.reduce(source, axis=dims, keepdims=True)
    top = np.where(np.isinf(top), source.dtype.type(0), top)
    total = np.asarray(np.add.reduce(np.exp(np.subtract(source, top)), axis=dims, keepdims=True))
    result = np.add(np.log(total), top)
    return np.asarray(result).reshape(shape).astype(result_dtype, copy=False)


def _target_weights(
    target: Array, classes: int, weight: Array | None, ignore_index: int, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Targets with ignored ones replaced by 0, and what each counts (0 where ignored)."""
    counted = target != ignore_index
    wrong = counted & ((target < 0) | (target >= classes))
    if wrong.any():
        raise IndexError(
            f"Target {int(target[wrong].flat[0])} is out of bounds: nll_loss got {classes} classes, "
            f"so targets run from 0 to {classes - 1} (or are ignore_index, {ignore_index})."
        )
    safe = np.where(counted, target, 0)
    if weight is None:
        return safe, counted.astype(dtype)
    if classes == 0:
        return safe, np.zeros(target.shape, dtype)
    return safe, np.where(counted, weight.astype(dtype, copy=False)[safe], dtype.type(0))


@quiet
def nll_loss(
    logp: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> tuple[Array, Array]:
    """Negative log-likelihood of `target` `[N, ...]` under `logp` `[N, C, ...]`: `(loss, total_weight)`.

    `reduction` is "none" (a loss per target; the total weight is 0), "sum", or "mean" (divided by the total weight, NaN
    when nothing counts). Raises IndexError for a target that is neither a class nor `ignore_index`.
    """
    source = _computed(logp)
    safe, counts = _target_weights(target, logp.shape[1], weight, ignore_index, source.dtype)
    if logp.shape[1] == 0:
        picked = np.zeros(target.shape, source.dtype)
    else:
        picked = np.take_along_axis(source, np.expand_dims(safe, 1), axis=1).squeeze(1)
    # A target that does not count is 0 even where its log-probability is -inf.
    losses = np.where(counts == 0, source.dtype.type(0), np.negative(np.multiply(picked, counts)))
    if reduction == "none":
        return losses.astype(logp.dtype, copy=False), np.zeros((), logp.dtype)
    total_weight = np.asarray(np.add.reduce(counts, axis=None))
    loss = np.asarray(np.add.reduce(losses, axis=None))
    if reduction == "mean":
        loss = np.asarray(np.divide(loss, total_weight))
    return loss.astype(logp.dtype), total_weight.astype(logp.dtype)


@quiet
def nll_loss_backward(
    g: Array,
    input_shape: tuple[int, ...],
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    total_weight: Array,
) -> Array:
    """Gradient of `nll_loss` with respect to `logp` of `input_shape`."""
    cotangent = _computed(g)
    dtype = cotangent.dtype
    safe, counts = _target_weights(target, input_shape[1], weight, ignore_index, dtype)
    gx = np.zeros(input_shape, dtype)
    if gx.size == 0:
        return gx.astype(g.dtype, copy=False)
    if reduction == "mean":
        cotangent = np.divide(cotangent, total_weight.astype(dtype, copy=False))
    picked = np.where(counts == 0, dtype.type(0), np.negative(np.multiply(counts, cotangent)))
    np.put_along_axis(gx, np.expand_dims(safe, 1), np.expand_dims(picked, 1), axis=1)
    return gx.astype(g.dtype, copy=False)


def cross_entropy(
    x: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> tuple[Array, Array, Array]:
    """`nll_loss` of `log_softmax(x, 1)` for scores `x` `[N, C]`: `(loss, total_weight, log-probabilities)`."""
    logp = log_softmax(x, 1)
    return *nll_loss(logp, target, weight, ignore_index, reduction), logp


def cross_entropy_backward(
    g: Array,
    logp: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    total_weight: Array,
) -> Array:
    """Gradient of `cross_entropy` with respect to the scores, from the log-probabilities `[N, C]` that it returned."""
    picked = nll_loss_backward(g, logp.shape, target, weight, ignore_index, reduction, total_weight)
    return log_softmax_backward(picked, logp, 1)


KERNELS = {
    "softmax": softmax,
    "softmax_backward": softmax_backward,
    "log_softmax": log_softmax,
    "log_softmax_backward": log_softmax_backward,
    "logsumexp": logsumexp,
    "nll_loss": nll_loss,
    "nll_loss_backward": nll_loss_backward,
    "cross_entropy": cross_entropy,
    "cross_entropy_backward": cross_entropy_backward,
}
