"""Bessel and Airy functions in vectorised NumPy, in float64.

- J and Y up to 25: Miller's backward recurrence, and Neumann's series in the J for Y (Abramowitz & Stegun 9.1.87-89);
  beyond: Hankel's asymptotic expansion (9.2.5-10).
- K: power series (9.6.11) up to 1; beyond the integral of exp(-x (cosh t - 1)) cosh(nu t) (9.6.24), for which the
  trapezoidal rule converges exponentially.
- Ai: power series in extended precision (10.4.2) in the middle, K of order 1/3 (10.4.14) to the right, the asymptotic
  expansion (10.4.60) to the left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import FLOAT64, Array, finish, floating_result
from rushlight.backends.reference.quiet import quiet

EULER_GAMMA = 0.57721566490153286061
START_ORDER = 80  # even; J of this order vanishes below 25
ASYMPTOTIC_FROM = 25.0
NODE_DISTANCE = 1 / 16
NODES = 96


def _miller(x: Array) -> list[Array]:
    """J_0 to J_START_ORDER for 0 < x <= 25, normalised by `J_0 + 2 (J_2 + J_4 + ...) = 1`."""
    above, here = np.zeros_like(x), np.full_like(x, 1e-250)
    found = [here]
    for order in range(START_ORDER, 0, -1):
        above, here = here, 2 * order / x * here - above
        scale = np.where(np.absolute(here) > 1e200, 1e-200, 1.0)
        if (scale != 1).any():
            above, here = above * scale, here * scale
            found = [value * scale for value in found]
        found.append(here)
    found.reverse()
    total = found[0] + 2 * sum(found[2::2])
    return [value / total for value in found]


def _hankel(order: int, x: Array) -> tuple[Array, Array]:
    """J and Y of a whole order for large x."""
    mu = 4.0 * order * order
    p, q = np.ones_like(x), np.zeros_like(x)
    term = np.ones_like(x)
    for k in range(1, 30):
        term = term * (mu - (2 * k - 1) ** 2) / (k * 8 * x)
        sign = -1.0 if (k // 2) % 2 else 1.0
        if k % 2:
            q = q + sign * term
        else:
            p = p + sign * term
    angle = x - (order / 2 + 0.25) * math.pi
    scale = np.sqrt(2 / (math.pi * x))
    return scale * (p * np.cos(angle) - q * np.sin(angle)), scale * (p * np.sin(angle) + q * np.cos(angle))


def _first_kind(order: int, x: Array) -> Array:
    """J of order 0 or 1 for x >= 0."""
    result = np.where(x == 0, 1.0 - order, 0.0)
    tiny = (x > 0) & (x < 1e-5)
    result[tiny] = 1 - x[tiny] ** 2 / 4 if order == 0 else x[tiny] / 2
    near = (x >= 1e-5) & (x <= ASYMPTOTIC_FROM)
    result[near] = _miller(x[near])[order]
    far = (x > ASYMPTOTIC_FROM) & np.isfinite(x)
    result[far] = _hankel(order, x[far])[0]
    return np.where(np.isnan(x), np.nan, result)


def _second_kind(order: int, x: Array) -> Array:
    """Y of order 0 or 1: -inf at 0, NaN below."""
    result = np.where(x == 0, -np.inf, np.where(np.isposinf(x), 0.0, np.nan))
    tiny = (x > 0) & (x < 1e-5)
    t = x[tiny]
    log = np.log(t / 2)
    result[tiny] = 2 / math.pi * (log + EULER_GAMMA) if order == 0 else -2 / (math.pi * t)
    near = (x >= 1e-5) & (x <= ASYMPTOTIC_FROM)
    t = x[near]
    j = _miller(t)
    log = np.log(t / 2) + EULER_GAMMA
    if order == 0:
        series = sum((-1) ** (k + 1) * j[2 * k] / k for k in range(1, START_ORDER // 2))
        result[near] = 2 / math.pi * log * j[0] + 4 / math.pi * series
    else:
        series = sum((-1) ** k * (2 * k + 1) / (k * (k + 1)) * j[2 * k + 1] for k in range(1, START_ORDER // 2 - 1))
        result[near] = 2 / math.pi * (-j[0] / t + (log - 1) * j[1] - series)
    far = (x > ASYMPTOTIC_FROM) & np.isfinite(x)
    result[far] = _hankel(order, x[far])[1]
    return result


def _scaled_k_integral(order: float, x: Array) -> Array:
    """`exp(x) K_order(x)` for x >= 1."""
    t = np.arange(NODES) * NODE_DISTANCE
    weights = np.cosh(order * t) * NODE_DISTANCE
    weights[0] /= 2
    return (np.exp(-np.multiply.outer(x, np.cosh(t) - 1)) * weights).sum(-1)


def _third_kind_series(order: int, x: Array) -> Array:
    """K of order 0 or 1 for 0 < x < 1."""
    quarter = x * x / 4
    log = np.log(x / 2) + EULER_GAMMA
    term = np.ones_like(x) if order == 0 else x / 2
    harmonic: float = 0.0
    total = np.zeros_like(x)
    for k in range(20):
        if order == 0:
            total += term * (harmonic - log)
        else:
            total += term * (log - harmonic - 0.5 / (k + 1))
        harmonic += 1 / (k + 1)
        term = term * quarter / ((k + 1) * (k + 1 + order))
    return total if order == 0 else 1 / x + total


def _scaled_third_kind(order: int, x: Array, scaled: bool) -> Array:
    """K, or `exp(x) K`, of order 0 or 1: inf at 0, NaN below."""
    result = np.where(x == 0, np.inf, np.where(np.isposinf(x), 0.0, np.nan))
    near = (x > 0) & (x < 1)
    t = x[near]
    result[near] = _third_kind_series(order, t) * (np.exp(t) if scaled else 1.0)
    far = (x >= 1) & (x < 1000)
    t = x[far]
    result[far] = _scaled_k_integral(order, t) * (1.0 if scaled else np.exp(-t))
    last = (x >= 1000) & np.isfinite(x)
    t = x[last]
    # Abramowitz and Stegun 9.7.2, four terms.
    m, u = 4.0 * order * order, 1 / (8 * t)
    series = 1 + (m - 1) * u * (1 + (m - 9) / 2 * u * (1 + (m - 25) / 3 * u))
    result[last] = np.sqrt(math.pi / 2 / t) * series * (1.0 if scaled else np.exp(-t))
    return result


def _airy_series(x: Array) -> Array:
    """Ai near 0 from its two power series, in the widest format there is."""
    wide: Array = x.astype(np.longdouble)
    cube = wide**3
    even: Array = np.ones_like(wide)
    odd: Array = wide.copy()
    term_even, term_odd = even.copy(), odd.copy()
    for k in range(1, 80):
        term_even = term_even * cube / ((3 * k - 1) * (3 * k))
        term_odd = term_odd * cube / ((3 * k) * (3 * k + 1))
        even += term_even
        odd += term_odd
    first = np.longdouble("0.355028053887817239260063186004183177")
    second = np.longdouble("0.258819403792806798405183560189203964")
    return (first * even - second * odd).astype(FLOAT64)


def _airy_left(x: Array) -> Array:
    """Ai(-x) for large x."""
    zeta = 2 / 3 * x**1.5
    p, q, term = np.ones_like(x), np.zeros_like(x), np.ones_like(x)
    for k in range(1, 25):
        term = term * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1)) / zeta
        sign = -1.0 if (k // 2) % 2 else 1.0
        if k % 2:
            q = q + sign * term
        else:
            p = p + sign * term
    angle = zeta + math.pi / 4
    return (np.sin(angle) * p - np.cos(angle) * q) / (math.sqrt(math.pi) * x**0.25)


def _airy(x: Array) -> Array:
    result = np.where(np.isposinf(x), 0.0, np.nan)
    result[np.isneginf(x)] = 0.0
    left = (x < -8.5) & np.isfinite(x)
    result[left] = _airy_left(-x[left])
    middle = (x >= -8.5) & (x <= 2)
    result[middle] = _airy_series(x[middle])
    right = (x > 2) & np.isfinite(x)
    t = x[right]
    zeta = 2 / 3 * t**1.5
    result[right] = np.sqrt(t / 3) / math.pi * _scaled_k_integral(1 / 3, zeta) * np.exp(-zeta)
    return result


def _spherical(x: Array) -> Array:
    safe = np.where(x == 0, 1.0, x)
    return np.where(np.isinf(x), 0.0, np.where(x == 0, 1.0, np.sin(x) / safe))


def _kernel(function: Callable[[Array], Array], name: str, doc: str) -> Callable[..., Array]:
    """A kernel around a function of a float64 array of at least one dimension."""

    def kernel(x: Array, out: Array | None = None) -> Array:
        result = function(np.atleast_1d(x.astype(FLOAT64))).reshape(x.shape)
        return finish(result, floating_result(x.dtype), out)

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = doc
    return quiet(kernel)


bessel_j0 = _kernel(lambda x: _first_kind(0, np.absolute(x)), "bessel_j0", "Bessel function of the first kind, order 0.")
bessel_j1 = _kernel(
    lambda x: np.copysign(1.0, x) * _first_kind(1, np.absolute(x)), "bessel_j1", "Bessel function of the first kind, order 1."
)
bessel_y0 = _kernel(lambda x: _second_kind(0, x), "bessel_y0", "Bessel function of the second kind, order 0.")
bessel_y1 = _kernel(lambda x: _second_kind(1, x), "bessel_y1", "Bessel function of the second kind, order 1.")
modified_bessel_k0 = _kernel(
    lambda x: _scaled_third_kind(0, x, False), "modified_bessel_k0", "Modified Bessel function of the second kind, order 0."
)
modified_bessel_k1 = _kernel(
    lambda x: _scaled_third_kind(1, x, False), "modified_bessel_k1", "Modified Bessel function of the second kind, order 1."
)
scaled_modified_bessel_k0 = _kernel(
    lambda x: _scaled_third_kind(0, x, True), "scaled_modified_bessel_k0", "`exp(x) modified_bessel_k0(x)`."
)
scaled_modified_bessel_k1 = _kernel(
    lambda x: _scaled_third_kind(1, x, True), "scaled_modified_bessel_k1", "`exp(x) modified_bessel_k1(x)`."
)
spherical_bessel_j0 = _kernel(_spherical, "spherical_bessel_j0", "`sin(x) / x`, and 1 at 0.")
airy_ai = _kernel(_airy, "airy_ai", "The Airy function Ai.")

KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        bessel_j0, bessel_j1, bessel_y0, bessel_y1, modified_bessel_k0, modified_bessel_k1, scaled_modified_bessel_k0,
        scaled_modified_bessel_k1, spherical_bessel_j0, airy_ai,
    )  # fmt: skip
}
