"""Comparisons and classifications. Results are bool arrays, `equal` is a Python bool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import BOOL, FLOAT64, Array, finish, real_dtype, widen
from rushlight.backends.reference.quiet import quiet

Kernel = Callable[..., Any]


def _comparison(ufunc: Callable[..., Array], name: str) -> Kernel:
    def kernel(a: Array, b: Array, out: Array | None = None) -> Array:
        return ufunc(widen(a), widen(b), out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


def _classification(ufunc: Callable[..., Array], name: str) -> Kernel:
    def kernel(x: Array, out: Array | None = None) -> Array:
        return ufunc(widen(x), out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


eq = _comparison(np.equal, "eq")
ne = _comparison(np.not_equal, "ne")
lt = _comparison(np.less, "lt")
le = _comparison(np.less_equal, "le")
gt = _comparison(np.greater, "gt")
ge = _comparison(np.greater_equal, "ge")
isnan = _classification(np.isnan, "isnan")
isinf = _classification(np.isinf, "isinf")
isfinite = _classification(np.isfinite, "isfinite")


@quiet
def isposinf(x: Array, out: Array | None = None) -> Array:
    """True at plus infinity."""
    return finish(np.equal(widen(x), np.inf), BOOL, out)


@quiet
def isneginf(x: Array, out: Array | None = None) -> Array:
    """True at minus infinity."""
    return finish(np.equal(widen(x), -np.inf), BOOL, out)


@quiet
def isclose(
    a: Array, b: Array, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False, out: Array | None = None
) -> Array:
    """`|a - b| <= atol + rtol * |b|`; equal infinities are close, NaNs only with `equal_nan`."""
    wide_a, wide_b = widen(a), widen(b)
    close = np.equal(wide_a, wide_b, out=...)
    if equal_nan and wide_a.dtype.kind in "fc":
        close |= np.isnan(wide_a) & np.isnan(wide_b)
    if rtol == 0 and atol == 0:
        return finish(close, BOOL, out)
    if wide_a.dtype.kind in "iub":
        wide_a, wide_b = wide_a.astype(FLOAT64), wide_b.astype(FLOAT64)
    # Rounded to the dtype of the tensors in between, as torch's steps are.
    distance = np.absolute(wide_a - wide_b).astype(real_dtype(a.dtype) if a.dtype.kind not in "iub" else FLOAT64)
    allowed = atol + np.absolute(rtol * wide_b)
    close |= np.isfinite(distance) & (distance <= allowed.astype(distance.dtype))
    return finish(close, BOOL, out)


def equal(a: Array, b: Array) -> bool:
    """Whether shapes and all elements are equal (NaN is not); a Python bool."""
    return a.shape == b.shape and bool(eq(a, b).all())


def isin(elements: Array, test: Array, assume_unique: bool = False, invert: bool = False) -> Array:
    """Which of `elements` occur in `test`."""
    found = np.isin(widen(elements), widen(test), assume_unique=assume_unique, invert=invert)
    return np.asarray(found).reshape(elements.shape)


KERNELS: dict[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (eq, ne, lt, le, gt, ge, isnan, isinf, isfinite, isposinf, isneginf, isclose, equal, isin)
}
