"""Scaled dot-product attention: `softmax(q @ k.T * scale + mask) @ v`, and its gradients.

Queries are taken in blocks, so the scores of all queries against all keys are never held at once: that is FlashAttention's
bargain (arXiv 2205.14135). Of the weights only the logarithm of each row's sum of exponentials is kept; the backward
pass computes them again from it, block by block.

Shapes, for any leading dimensions `*`: q [*, H, L, E], k [*, G, S, E], v [*, G, S, V], where G = H or, for grouped heads,
H is a multiple of G and head h reads keys and values h // (H / G); a mask that broadcasts to [*, H, L, S], boolean (True
takes part) or added to the scores. Half types are computed in float32 and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import BOOL, Array, widen
from rushlight.backends.reference.quiet import quiet

# Scores held at once: 16 MiB of float32.
BLOCK_SCORES = 1 << 22


def _grouped(x: Array, groups: int) -> Array:
    """`x` [*, H, n, m] or what broadcasts to it, seen as [*, groups, H / groups, n, m]."""
    if x.ndim < 3:
        return x
    heads = (groups, x.shape[-3] // groups) if x.shape[-3] > 1 else (1, 1)
    return x.reshape(*x.shape[:-3], *heads, *x.shape[-2:])


def _heads(q: Array, k: Array) -> int:
    """The number of groups of heads that share keys and values, or 0 where every head has its own."""
    return k.shape[-3] if q.ndim > 2 and q.shape[-3] != k.shape[-3] else 0


def _like(x: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array of `shape` whose dimensions lie in memory in the order of those of `x`."""
    return np.empty_like(x, dtype=dtype, order="K", shape=shape)


def _blocks(scores: tuple[int, ...]) -> Iterator[slice]:
    """Ranges of queries for scores of shape [*, L, S], such that a block's scores are few."""
    queries = scores[-2]
    step = max(1, BLOCK_SCORES // max(1, prod(scores[:-2]) * scores[-1]))
    for start in range(0, queries, step):
        yield slice(start, min(start + step, queries))


def _part(mask: Array, rows: slice) -> Array:
    """The rows of a mask that belong to a block of queries."""
    return mask[..., rows, :] if mask.ndim > 1 and mask.shape[-2] > 1 else mask


def _scores(q: Array, k: Array, mask: Array | None, rows: slice, is_causal: bool, scale: float) -> Array:
    """The scores of a block of queries, -inf where a query does not see a key. Causal blocks end at the last key seen."""
    block = q[..., rows, :]
    seen = min(rows.stop, k.shape[-2]) if is_causal else k.shape[-2]
    scores = np.matmul(block * block.dtype.type(scale), k[..., :seen, :].swapaxes(-1, -2))
    if is_causal:
        later = np.arange(seen) > np.arange(rows.start, rows.stop)[:, None]
        np.copyto(scores, -np.inf, where=later)
    elif mask is not None:
        part = _part(mask, rows)
        if part.dtype == BOOL:
            np.copyto(scores, -np.inf, where=~part)
        else:
            scores += part
    return scores


@quiet
def attention_forward(
    q: Array, k: Array, v: Array, mask: Array | None, is_causal: bool, scale: float
) -> tuple[Array, Array]:
    """The attention of q over k and v, [*, H, L, V], and the log-sum-exp of its scores, [*, H, L] (float32 for half types).

    is_causal: query i sees keys 0...i, and `mask` is not looked at. A query that sees no key gets zeros, and -inf as its
    log-sum-exp. The result's dimensions lie in memory in the order of those of q.
    """
    out = _like(q, (*q.shape[:-1], v.shape[-1]), q.dtype)
    groups = _heads(q, k)
    queries, keys, values = widen(q), widen(k), widen(v)
    y, logsumexp = out, np.empty(q.shape[:-1], queries.dtype)
    lse = logsumexp
    if groups:
        queries, y = _grouped(queries, groups), _grouped(out, groups)
        keys, values = keys[..., None, :, :], values[..., None, :, :]
        lse = logsumexp.reshape(*queries.shape[:-1])
        mask = None if mask is None else _grouped(mask, groups)
    if k.shape[-2] == 0:
        out[...], logsumexp[...] = 0, -np.inf
        return out, logsumexp
    for rows in _blocks((*queries.shape[:-1], k.shape[-2])):
        scores = _scores(queries, keys, mask, rows, is_causal, scale)
        top = scores.max(-1, keepdims=True)
        top[top == -np.inf] = 0
        weights = np.exp(np.subtract(scores, top, out=scores), out=scores)
        total = weights.sum(-1, keepdims=True)
        found = np.matmul(weights, values[..., : weights.shape[-1], :])
        y[..., rows, :] = np.divide(found, np.where(total == 0, total.dtype.type(1), total), out=found)
        lse[..., rows] = (np.log(total) + top)[..., 0]
    return out, logsumexp


@quiet
def attention_backward(
    g: Array,
    q: Array,
    k: Array,
    v: Array,
    out: Array,
    logsumexp: Array,
    mask: Array | None,
    is_causal: bool,
    scale: float,
    needed: tuple[bool, bool, bool, bool],
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """Gradients of `attention_forward` for q, k, v and an added mask from the cotangent `g` of its result `out`.

    needed: which of the four are wanted; the others are None. Each has its input's shape; the mask's is in the dtype the
    scores are computed in.
    """
    groups = _heads(q, k)
    dtype = widen(q[..., :0]).dtype
    gq = _like(q, q.shape, dtype) if needed[0] else None
    gk, gv = (np.zeros(x.shape, dtype) if wanted else None for x, wanted in ((k, needed[1]), (v, needed[2])))
    gmask = np.zeros(mask.shape, dtype) if needed[3] and mask is not None else None
    arrays = [widen(x) for x in (g, q, k, v, out)]
    delta = np.multiply(arrays[0], arrays[4]).sum(-1)
    cotangent, queries, keys, values = arrays[:4]
    to_q, to_mask = gq, gmask
    if groups:
        cotangent, queries = _grouped(cotangent, groups), _grouped(queries, groups)
        keys, values = keys[..., None, :, :], values[..., None, :, :]
        logsumexp, delta = (x.reshape(queries.shape[:-1]) for x in (logsumexp, delta))
        mask = None if mask is None else _grouped(mask, groups)
        to_q, to_mask = (None if x is None else _grouped(x, groups) for x in (gq, gmask))
    # A query that sees nothing has weights exp(-inf - 0) = 0.
    finite = np.where(logsumexp == -np.inf, dtype.type(0), logsumexp)
    for rows in _blocks((*queries.shape[:-1], k.shape[-2])):
        weights = _scores(queries, keys, mask, rows, is_causal, scale)
        np.exp(np.subtract(weights, finite[..., rows, None], out=weights), out=weights)
        seen = slice(0, weights.shape[-1])
        g_rows = cotangent[..., rows, :]
        if gv is not None:
            gv[..., seen, :] += _shared(np.matmul(weights.swapaxes(-1, -2), g_rows), groups)
        g_scores = np.matmul(g_rows, values[..., seen, :].swapaxes(-1, -2))
        np.subtract(g_scores, delta[..., rows, None], out=g_scores)
        np.multiply(g_scores, weights, out=g_scores)
        if to_mask is not None:
            part = _part(to_mask, rows)
            part += _summed(g_scores, part.shape)
        g_scores *= dtype.type(scale)
        if to_q is not None:
            to_q[..., rows, :] = np.matmul(g_scores, keys[..., seen, :])
        if gk is not None:
            gk[..., seen, :] += _shared(np.matmul(g_scores.swapaxes(-1, -2), queries[..., rows, :]), groups)
    gq, gk, gv = (None if x is None else x.astype(q.dtype, copy=False) for x in (gq, gk, gv))
    return gq, gk, gv, gmask


def _shared(x: Array, groups: int) -> Array:
    """A gradient of keys or values for every head, summed over the heads that share them."""
    return x.sum(-3) if groups else x


def _summed(x: Array, shape: tuple[int, ...]) -> Array:
    """`x` summed over the dimensions along which `shape` was broadcast to it."""
    extra = x.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)
    return x.sum(axes, keepdims=True).reshape(shape) if axes else x


KERNELS = {"attention_forward": attention_forward, "attention_backward": attention_backward}
