"""More special functions: the normal distribution's, entropies, incomplete gamma functions. Computed in float64.

Sources: incomplete gamma by its power series (Abramowitz & Stegun 6.5.29) below a + 1 and Legendre's continued fraction
(6.5.31, evaluated by Lentz's method) above; ndtri by Halley steps on the complementary error function.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import FLOAT64, Array, finish, floating_result, to_floating
from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.special import erfc, erfcx, erfinv, lgamma

SQRT_HALF = math.sqrt(0.5)
LARGEST_ITERATIONS = 20000
SMALLEST = 1e-300


@quiet
def entr(x: Array, out: Array | None = None) -> Array:
    """`-x log(x)`: 0 at 0, -inf below, NaN at NaN."""
    wide = to_floating(x)
    f = wide.dtype.type
    below = np.where(wide < 0, f(-np.inf), f(0))
    result = np.where(np.isnan(wide), wide, np.where(wide > 0, -wide * np.log(wide), below))
    return finish(result, floating_result(x.dtype), out)


@quiet
def xlog1py(x: Array, y: Array, out: Array | None = None) -> Array:
    """`x * log1p(y)`, 0 where x is 0 (unless y is NaN)."""
    wide_x, wide_y = to_floating(x), to_floating(y)
    product = wide_x * np.log1p(wide_y)
    result = np.where((wide_x == 0) & ~np.isnan(wide_y), wide_x.dtype.type(0), product)
    return finish(result, floating_result(x.dtype), out)


@quiet
def log_ndtr(x: Array, out: Array | None = None) -> Array:
    """The logarithm of the normal distribution function, accurate in both tails."""
    wide = x.astype(FLOAT64)
    scaled = wide * SQRT_HALF
    left = np.log(0.5 * erfcx(-np.minimum(scaled, 0.0))) - scaled * scaled
    right = np.log1p(-0.5 * erfc(scaled))
    return finish(np.where(wide < -1, left, right), floating_result(x.dtype), out)


@quiet
def ndtri(p: Array, out: Array | None = None) -> Array:
    """The inverse of the normal distribution function; -inf at 0, inf at 1, NaN outside."""
    wide = p.astype(FLOAT64)
    upper = wide > 0.5
    tail = np.where(upper, 1 - wide, wide)  # the smaller probability: its quantile is negative
    decay = -2 * np.log(np.maximum(tail, SMALLEST))
    far = -np.sqrt(np.maximum(decay - np.log(2 * math.pi * decay), 1.0))
    z = np.where(tail < 1e-5, far, erfinv(np.asarray(2 * np.maximum(tail, 1e-5) - 1)) / SQRT_HALF)
    for _ in range(3):
        error = 0.5 * erfc(np.asarray(-z * SQRT_HALF)) - tail
        step = error * math.sqrt(2 * math.pi) * np.exp(0.5 * z * z)
        z = z - step / (1 + 0.5 * z * step)
    z = np.where(tail == 0, -np.inf, np.where(wide == 0.5, 0.0, z))
    result = np.where((wide < 0) | (wide > 1) | np.isnan(wide), np.nan, np.where(upper, -z, z))
    return finish(result, floating_result(p.dtype), out)


def _gamma_scale(a: Array, x: Array) -> Array:
    """`x**a exp(-x) / Gamma(a)`."""
    return np.exp(a * np.log(x) - x - lgamma(a))


def _lower_series(a: Array, x: Array) -> Array:
    term = 1 / a
    total = term.copy()
    for n in range(1, LARGEST_ITERATIONS):
        term = term * x / (a + n)
        total += term
        if not (np.absolute(term) > np.absolute(total) * 1e-17).any():
            break
    return total * _gamma_scale(a, x)


def _upper_fraction(a: Array, x: Array) -> Array:
    b = x + 1 - a
    c = np.full_like(x, 1 / SMALLEST)
    d = 1 / b
    h = d.copy()
    for n in range(1, LARGEST_ITERATIONS):
        factor = n * (a - n)
        b = b + 2
        d = factor * d + b
        d = 1 / np.where(np.absolute(d) < SMALLEST, SMALLEST, d)
        c = b + factor / c
        c = np.where(np.absolute(c) < SMALLEST, SMALLEST, c)
        change = c * d
        h *= change
        if not (np.absolute(change - 1) > 1e-16).any():
            break
    return h * _gamma_scale(a, x)


def _incomplete(a: Array, x: Array, upper: bool, out: Array | None) -> Array:
    wide_a, wide_x = np.broadcast_arrays(a.astype(FLOAT64), x.astype(FLOAT64))
    # P(a, x): what is left of NaN are the arguments outside its domain.
    lower = np.full(wide_a.shape, np.nan)
    proper = (wide_a > 0) & (wide_x > 0) & np.isfinite(wide_a) & np.isfinite(wide_x)
    near = proper & (wide_x < wide_a + 1)
    far = proper & ~near
    result = lower
    result[near] = _lower_series(wide_a[near], wide_x[near])
    result[far] = _upper_fraction(wide_a[far], wide_x[far])
    if upper:
        result[near] = 1 - result[near]
    else:
        result[far] = 1 - result[far]
    zero, one = (1.0, 0.0) if upper else (0.0, 1.0)
    result[(wide_x == 0) & (wide_a > 0)] = zero
    result[(wide_a == 0) & (wide_x > 0)] = one
    result[np.isposinf(wide_x) & (wide_a >= 0) & np.isfinite(wide_a)] = one
    result[np.isposinf(wide_a) & (wide_x >= 0) & np.isfinite(wide_x)] = zero
    return finish(result, floating_result(a.dtype), out)


@quiet
def gammainc(a: Array, x: Array, out: Array | None = None) -> Array:
    """The regularised lower incomplete gamma function P(a, x)."""
    return _incomplete(a, x, False, out)


@quiet
def gammaincc(a: Array, x: Array, out: Array | None = None) -> Array:
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""
    return _incomplete(a, x, True, out)


# ---- orthogonal polynomials -----------------------------------------------------------------------------------------


def _recurrence(name: str, x: Array, k: int, last: Array, before: Array) -> Array:
    """The polynomial of degree k >= 2 from those of the two degrees before it."""
    if name.startswith("chebyshev"):
        return 2 * x * last - before
    if name == "hermite_h":
        return 2 * x * last - 2 * (k - 1) * before
    if name == "hermite_he":
        return x * last - (k - 1) * before
    if name == "laguerre":
        return ((2 * k - 1 - x) * last - (k - 1) * before) / k
    return ((2 * k - 1) * x * last - (k - 1) * before) / k  # legendre


_FIRST_DEGREE: dict[str, Callable[[Array], Array]] = {
    "chebyshev_t": lambda x: x,
    "chebyshev_u": lambda x: 2 * x,
    "chebyshev_v": lambda x: 2 * x - 1,
    "chebyshev_w": lambda x: 2 * x + 1,
    "hermite_h": lambda x: 2 * x,
    "hermite_he": lambda x: x,
    "laguerre": lambda x: 1 - x,
    "legendre": lambda x: x,
}


@quiet
def orthogonal_polynomial(x: Array, n: Array, name: str) -> Array:
    """The polynomial of the family `name` whose degree is the whole part of `n`, at x; 0 for negative degrees."""
    wide, degrees = np.broadcast_arrays(x.astype(FLOAT64), np.trunc(n.astype(FLOAT64)))
    result = np.where(degrees == 0, 1.0, 0.0)
    before, last = np.ones_like(wide), _FIRST_DEGREE[name](wide)
    largest = int(degrees.max(initial=0))
    for k in range(1, largest + 1):
        if k > 1:
            before, last = last, _recurrence(name, wide, k, last, before)
        result = np.where(degrees == k, last, result)
    return finish(np.where(np.isnan(wide), np.nan, result), floating_result(x.dtype))


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (entr, xlog1py, log_ndtr, ndtri, gammainc, gammaincc, orthogonal_polynomial)
}
