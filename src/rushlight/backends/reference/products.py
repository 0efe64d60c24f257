"""Gradients of products and of running products and log-sums, exact where factors are zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import Array, accumulator, finish
from rushlight.backends.reference.quiet import quiet


def _wide_last(x: Array, dim: int) -> Array:
    """`x` in the accumulation dtype, `dim` last."""
    return np.moveaxis(x, dim, -1).astype(accumulator(x.dtype))


def _back(result: Array, like: Array, dim: int) -> Array:
    """`result` with its last dim back at `dim`, rounded to the dtype of `like`."""
    return finish(np.ascontiguousarray(np.moveaxis(result, -1, dim)), like.dtype)


@quiet
def prod_others(x: Array, dim: int) -> Array:
    """For every element the product of all others along `dim`: what stands before it times what stands behind it."""
    if x.ndim == 0:
        return np.ones((), x.dtype)
    wide = _wide_last(x, dim)
    before, behind = np.ones_like(wide), np.ones_like(wide)
    np.multiply.accumulate(wide[..., :-1], axis=-1, out=before[..., 1:])
    behind[..., :-1] = np.multiply.accumulate(wide[..., :0:-1], axis=-1)[..., ::-1]
    return _back(before * behind, x, dim)


@quiet
def cumprod_backward(grad: Array, x: Array, dim: int) -> Array:
    """The cotangent of `x` in `cumprod(x, dim)`, for `x` without conjugation."""
    if x.ndim == 0:
        return grad.copy()
    wide, g = _wide_last(x, dim), _wide_last(grad, dim)
    if wide.all():
        weighted = (g * np.multiply.accumulate(wide, axis=-1))[..., ::-1]
        return _back(np.add.accumulate(weighted, axis=-1)[..., ::-1] / wide, x, dim)
    before = np.ones_like(wide)
    np.multiply.accumulate(wide[..., :-1], axis=-1, out=before[..., 1:])
    # h[j] = sum over i >= j of g[i] times the factors between j and i, without dividing by any.
    h = g.copy()
    for j in range(h.shape[-1] - 2, -1, -1):
        h[..., j] += wide[..., j + 1] * h[..., j + 1]
    return _back(before * h, x, dim)


@quiet
def logcumsumexp_backward(grad: Array, x: Array, dim: int) -> Array:
    """The cotangent of `x` in `logcumsumexp(x, dim)`: positive and negative parts summed in logarithms."""
    if x.ndim == 0:
        return grad.copy()
    wide, g = _wide_last(x, dim), _wide_last(grad, dim)
    total = np.logaddexp.accumulate(wide, axis=-1)
    result = np.zeros_like(wide)
    for sign in (1.0, -1.0):
        part = np.where(sign * g > 0, np.log(np.absolute(g)), -np.inf)
        shifted = np.where(np.isneginf(part), -np.inf, part - total)
        reach = np.logaddexp.accumulate(shifted[..., ::-1], axis=-1)[..., ::-1]
        result += sign * np.exp(np.where(np.isneginf(reach) | np.isneginf(wide), -np.inf, reach + wide))
    result = np.where(np.isnan(g[..., ::-1]).cumsum(-1)[..., ::-1] > 0, np.nan, result)
    return _back(result, x, dim)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel for kernel in (prod_others, cumprod_backward, logcumsumexp_backward)
}
