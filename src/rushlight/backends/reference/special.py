"""Special functions in vectorised NumPy: float64 within a few ulp, every narrower dtype rounded from float64.

Sources of the formulas:

- erf, erfc, erfcx: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969).
  In float32, one rational approximation of erf(x) / x fitted to relative 1e-9 for this file.
- erfinv: starting value from M. Giles, "Approximating the erfinv function" (2010), polished by three Halley steps.
- lgamma: Taylor series about 1 and 2 in (zeta(k) - 1) / k (Abramowitz & Stegun 6.1.33), recurrence, Stirling's series
  (6.1.41) from 8 on, reflection (6.1.17) below zero.
- digamma: recurrence to 10, asymptotic series (6.3.18), reflection (6.3.7).
- zeta (Hurwitz), polygamma: Euler-Maclaurin summation (23.2.7 with the first ten terms taken directly); 6.4.10.
- i0, i1 and their scaled forms: power series (9.6.10) to 20, asymptotic expansion (9.7.1) beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rushlight.backends.reference.precision import FLOAT32, FLOAT64, Array, finish, floating_result, in_memory_order
from rushlight.backends.reference.quiet import quiet

Kernel = Callable[..., Array]


def _through_float64(function: Callable[[Array], Array], name: str, doc: str) -> Kernel:
    """A kernel around a function of a float64 array of at least one dimension."""

    def kernel(x: Array, out: Array | None = None) -> Array:
        result = in_memory_order(lambda wide: function(np.atleast_1d(wide)).reshape(wide.shape), x, FLOAT64)
        return finish(result, floating_result(x.dtype), out)

    kernel.__name__ = kernel.__qualname__ = name
    kernel.__doc__ = doc
    return quiet(kernel)


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, highest power first."""
    result = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        result *= x
        result += c
    return result


# ---- error function -------------------------------------------------------------------------------------------------

# Numerators and denominators, highest power first, for |x| <= 0.46875, up to 4, and beyond (in 1 / x**2).
_ERF_P = (
    1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3,
)  # fmt: skip
_ERF_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_ERFC_P = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_ERFC_Q = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_TAIL_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_TAIL_Q = (
    1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip
_INV_SQRT_PI = 1 / math.sqrt(math.pi)


def _erf_core(x: Array) -> Array:
    """erf for |x| <= 0.46875."""
    squared = x * x
    return x * _polynomial(_ERF_P, squared) / _polynomial(_ERF_Q, squared)


def _erfcx_core(y: Array) -> Array:
    """`exp(y**2) erfc(y)` for y > 0.46875."""
    result = np.empty_like(y)
    near = y <= 4
    t = y[near]
    result[near] = _polynomial(_ERFC_P, t) / _polynomial(_ERFC_Q, t)
    t = y[~near]
    inverse = 1 / (t * t)
    tail = inverse * _polynomial(_TAIL_P, inverse) / _polynomial(_TAIL_Q, inverse)
    result[~near] = (_INV_SQRT_PI - tail) / t
    return result


def _exp_minus_square(y: Array) -> Array:
    """`exp(-y**2)` with y split at 1/16, so that the square's rounding error is not amplified."""
    y = np.minimum(y, 1e3)
    head = np.trunc(y * 16) / 16
    return np.exp(-head * head) * np.exp(-(y - head) * (y + head))


def _erf64(x: Array) -> Array:
    y = np.absolute(x)
    result = x.copy()  # keeps NaN and the sign of zero
    small = y <= 0.46875
    result[small] = _erf_core(x[small])
    middle = (y > 0.46875) & (y < 6)
    t = y[middle]
    result[middle] = np.copysign((0.5 - _exp_minus_square(t) * _erfcx_core(t)) + 0.5, x[middle])
    large = y >= 6
    result[large] = np.sign(x[large])
    return result


# erf(x) / x in powers of x**2, relative error 1e-9 for |x| <= 4; beyond, float32's erf is 1.
_ERF32_P = (
    -4.485408302578633e-08, -2.913055203137298e-07, 0.0003057159441557505, 0.00295558756993767, 0.05093676763854308,
    0.1668952192303154, 1.128379168139763,
)  # fmt: skip
_ERF32_Q = (
    -6.203867943011654e-07, 4.098728953503015e-05, 0.001039725997857305, 0.01349043283998367, 0.1055547395704493,
    0.4812404090313845, 1.0,
)  # fmt: skip
BLOCK = 8192  # elements whose float64 temporaries stay in the cache


def _erf32(x: Array) -> Array:
    """erf of a float32 array, rounded from a single float64 rational approximation, block by block."""
    flat = x.reshape(-1)
    result = np.empty(flat.shape, FLOAT32)
    for start in range(0, flat.size, BLOCK):
        t = np.clip(flat[start : start + BLOCK].astype(FLOAT64), -4.0, 4.0)
        squared = t * t
        t *= _polynomial(_ERF32_P, squared)
        t /= _polynomial(_ERF32_Q, squared)
        result[start : start + BLOCK] = t
    return result.reshape(x.shape)


def _erfc64(x: Array) -> Array:
    y = np.absolute(x)
    result = x.copy()
    small = y <= 0.46875
    result[small] = 1 - _erf_core(x[small])
    large = y > 0.46875
    t = y[large]
    complement = _exp_minus_square(t) * _erfcx_core(t)
    result[large] = np.where(x[large] < 0, 2 - complement, complement)
    return result


def _erfcx64(x: Array) -> Array:
    y = np.absolute(x)
    result = x.copy()
    small = y <= 0.46875
    result[small] = np.exp(x[small] * x[small]) * (1 - _erf_core(x[small]))
    large = y > 0.46875
    t = y[large]
    scaled = _erfcx_core(t)
    head = np.trunc(t * 16) / 16
    growth = 2 * np.exp(head * head) * np.exp((t - head) * (t + head))
    result[large] = np.where(x[large] < 0, growth - scaled, scaled)
    return np.where(np.isneginf(x), np.inf, result)


_GILES_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_GILES_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _erfinv64(y: Array) -> Array:
    magnitude = np.absolute(y)
    result = np.full_like(y, np.nan)
    result[magnitude == 1] = np.inf
    inside = magnitude < 1
    p = magnitude[inside]
    w = -np.log((1 - p) * (1 + p))
    centre = _polynomial(_GILES_CENTRE, w - 2.5)
    z = p * np.where(w < 5, centre, _polynomial(_GILES_TAIL, np.sqrt(np.maximum(w, 5)) - 3))
    # Giles' polynomials end with single precision's 1 - p; beyond, erfc(z) ~ exp(-z**2) / (z sqrt(pi)) starts better.
    decay = -np.log1p(-np.maximum(p, 0.999999))
    z = np.where(w < 15, z, np.sqrt(decay - 0.5 * np.log(math.pi * decay)))
    for _ in range(3):
        # Above 1/2 the complement 1 - p is exact, and erfc keeps the digits that erf has lost.
        error = np.where(p > 0.5, (1 - p) - _erfc64(z), _erf64(z) - p)
        step = error * (0.5 / _INV_SQRT_PI) * np.exp(z * z)
        z = z - step / (1 + z * step)
    result[inside] = z
    return np.copysign(result, y)


# ---- gamma function and its logarithmic derivatives -----------------------------------------------------------------

_EULER_GAMMA = 0.57721566490153286061
_HALF_LOG_TWO_PI = 0.91893853320467274178
_BERNOULLI = (  # B_2, B_4, ...
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730,
)  # fmt: skip
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI[:10], start=1))


def _zeta_minus_one(k: int) -> float:
    """Riemann's `zeta(k) - 1`: nine terms and an Euler-Maclaurin tail from ten on."""
    tail = 10.0 ** (1 - k) / (k - 1) + 0.5 * 10.0**-k
    rising = k * 10.0 ** (-k - 1)
    for j, b in enumerate(_BERNOULLI[:8], start=1):
        tail += b / math.factorial(2 * j) * rising
        rising *= (k + 2 * j - 1) * (k + 2 * j) / 100.0
    return math.fsum([n**-k for n in map(float, range(2, 10))] + [tail])


# lgamma(2 + z) = z (1 - gamma) + sum over k >= 2 of (-1)**k (zeta(k) - 1) z**k / k
_LGAMMA_TWO = tuple((-1) ** k * _zeta_minus_one(k) / k for k in range(32, 1, -1)) + (1 - _EULER_GAMMA, 0.0)


def _stirling(x: Array) -> Array:
    inverse = 1 / x
    series = _polynomial(_STIRLING[::-1], inverse * inverse) * inverse
    return np.where(np.isinf(x), x, (x - 0.5) * np.log(x) - x + (_HALF_LOG_TWO_PI + series))


def _lgamma_positive(x: Array) -> Array:
    """lgamma for x > 0."""
    result = np.empty_like(x)
    large = x >= 8
    result[large] = _stirling(x[large])
    t = x[~large]
    tiny = t < 0.5
    shifted = np.where(tiny, t + 1, t)
    product = np.ones_like(t)
    for _ in range(6):  # bring (2.5, 8) down to (1.5, 2.5]
        above = shifted > 2.5
        shifted = np.where(above, shifted - 1, shifted)
        product = np.where(above, product * shifted, product)
    about_two = shifted >= 1.5
    z = shifted - np.where(about_two, 2.0, 1.0)
    value = _polynomial(_LGAMMA_TWO, z)
    value = np.where(about_two, value, value - np.log1p(z))
    value = value + np.where(product == 1, 0.0, np.log(product))
    value = np.where(tiny, value - np.log(t), value)
    result[~large] = value
    return result


def _sin_pi(x: Array) -> Array:
    """`sin(pi x)` for large x too: the period is taken off exactly first."""
    rest = x - 2 * np.floor(x / 2)
    return np.sin(math.pi * np.where(rest > 1.5, rest - 2, np.where(rest > 0.5, 1 - rest, rest)))


def _lgamma64(x: Array) -> Array:
    result = np.empty_like(x)
    positive = x > 0
    result[positive] = _lgamma_positive(x[positive])
    t = x[~positive]
    reflected = np.log(math.pi / np.absolute(t * _sin_pi(t))) - _lgamma_positive(np.where(t < 0, -t, 1.0))
    reflected = np.where(np.absolute(t) < 1e-300, -np.log(np.absolute(t)), reflected)
    result[~positive] = np.where((t == np.floor(t)) | np.isinf(t), np.inf, np.where(np.isnan(t), t, reflected))
    return result


def _digamma64(x: Array) -> Array:
    zero = x == 0
    pole = (x < 0) & (x == np.floor(x))
    reflect = (x < 0) & ~pole
    fraction = x - np.trunc(x)
    t = np.where(reflect, 1 - x, np.where(zero | pole, 1.0, x))
    shift = np.zeros_like(t)
    for _ in range(10):
        small = t < 10
        shift = np.where(small, shift + 1 / t, shift)
        t = np.where(small, t + 1, t)
    inverse = 1 / (t * t)
    series = _polynomial(tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI[:8], start=1))[::-1], inverse) * inverse
    result = np.log(t) - 0.5 / t - series - shift
    result = np.where(reflect, result - math.pi / np.tan(math.pi * fraction), result)
    result = np.where(zero, np.copysign(np.inf, -x), result)
    return np.where(pole | (x == -np.inf), np.nan, result)


def _zeta_from_positive(s: float, q: Array) -> Array:
    """Hurwitz zeta for q > 0 by Euler-Maclaurin summation."""
    total = np.zeros_like(q)
    t = q.copy()
    for _ in range(10):
        total += t**-s
        t += 1
    total += t ** (1 - s) / (s - 1) + 0.5 * t**-s
    power = t ** (-s - 1)
    factor = s
    for j, b in enumerate(_BERNOULLI, start=1):
        total += b / math.factorial(2 * j) * factor * power
        factor *= (s + 2 * j - 1) * (s + 2 * j)
        power = power / (t * t)
    return np.where(np.isinf(q), 0.0, total)


def _zeta64(s: float, q: Array) -> Array:
    """Hurwitz zeta `sum over k of (q + k)**-s`; below zero for whole s, from the finite sum over the negative terms."""
    if math.isnan(s) or s < 1:
        return np.full_like(q, np.nan)
    if s == 1:
        return np.full_like(q, np.inf)
    result = np.empty_like(q)
    positive = q > 0
    result[positive] = _zeta_from_positive(s, q[positive])
    t = q[~positive]
    pole = t == np.floor(t)
    if s != math.floor(s):
        result[~positive] = np.where(pole, np.inf, np.nan)
        return result
    t = np.where(pole, -0.5, t)
    count = np.ceil(-t)
    first, nearest = t + count, -(t + count - 1)
    negatives = _zeta_from_positive(s, nearest) - _zeta_from_positive(s, nearest + count)
    value = _zeta_from_positive(s, first) + (1 if s % 2 == 0 else -1) * negatives
    result[~positive] = np.where(pole, np.inf, value)
    return np.where(np.isnan(q), q, result)


@quiet
def zeta(s: Array, q: Array, out: Array | None = None) -> Array:
    """Hurwitz zeta of arrays s and q (computed once for every different s)."""
    wide_s, wide_q = np.broadcast_arrays(s.astype(FLOAT64), q.astype(FLOAT64))
    result = np.full(wide_s.shape, np.nan)
    for value in np.unique(wide_s[~np.isnan(wide_s)]):
        chosen = wide_s == value
        result[chosen] = _zeta64(float(value), wide_q[chosen])
    return finish(result, floating_result(s.dtype), out)


@quiet
def polygamma(n: int, x: Array, out: Array | None = None) -> Array:
    """The n-th derivative of digamma. Raises RuntimeError for negative n."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, but got n = {n}.")
    wide = np.atleast_1d(x.astype(FLOAT64, order="C" if 0 in x.strides else "K"))
    if n == 0:
        result = _digamma64(wide)
    else:
        result = (1.0 if n % 2 else -1.0) * math.exp(math.lgamma(n + 1)) * _zeta64(float(n + 1), wide)
    return finish(result.reshape(x.shape), floating_result(x.dtype), out)


# ---- modified Bessel functions --------------------------------------------------------------------------------------


def _bessel_scaled(order: int, y: Array) -> Array:
    """`exp(-y) I_order(y)` for y >= 0."""
    result = np.empty_like(y)
    near = y <= 20
    t = y[near]
    quarter = 0.25 * t * t
    term = np.ones_like(t) if order == 0 else 0.5 * t
    total = term.copy()
    for k in range(1, 50):
        term = term * quarter / (k * (k + order))
        total += term
    result[near] = total * np.exp(-t)
    t = y[~near]
    term = np.ones_like(t)
    total = term.copy()
    for k in range(1, 31):
        term = term * ((2 * k - 1) ** 2 - 4 * order * order) / (8 * k * t)
        total += term
    result[~near] = total / np.sqrt(2 * math.pi * t)
    return np.where(np.isinf(y), 0.0, result)


def _i0e64(x: Array) -> Array:
    return _bessel_scaled(0, np.absolute(x))


def _i1e64(x: Array) -> Array:
    return np.copysign(_bessel_scaled(1, np.absolute(x)), x)


def _grow(scaled: Array, y: Array) -> Array:
    """`scaled * exp(y)` in two halves, so that it overflows no earlier than the product does."""
    half = np.exp(0.5 * y)
    return np.where(np.isinf(y), y, scaled * half * half)


def _i064(x: Array) -> Array:
    y = np.absolute(x)
    return _grow(_bessel_scaled(0, y), y)


def _i164(x: Array) -> Array:
    y = np.absolute(x)
    return np.copysign(_grow(_bessel_scaled(1, y), y), x)


@quiet
def erf(x: Array, out: Array | None = None) -> Array:
    """The error function."""
    if x.dtype == FLOAT64:
        result = in_memory_order(lambda wide: _erf64(np.atleast_1d(wide)).reshape(wide.shape), x, FLOAT64)
        return finish(result, FLOAT64, out)
    return finish(in_memory_order(_erf32, x, FLOAT32), floating_result(x.dtype), out)


erfc = _through_float64(_erfc64, "erfc", "`1 - erf(x)` with full relative accuracy in the tail.")
erfcx = _through_float64(_erfcx64, "erfcx", "`exp(x**2) erfc(x)`.")
erfinv = _through_float64(_erfinv64, "erfinv", "The inverse of erf; ±inf at ±1, NaN outside [-1, 1].")
lgamma = _through_float64(_lgamma64, "lgamma", "`log |Gamma(x)|`; inf at 0, -1, -2, ...")
digamma = _through_float64(_digamma64, "digamma", "The derivative of lgamma; ∓inf at ±0, NaN at -1, -2, ...")
i0 = _through_float64(_i064, "i0", "Modified Bessel function of the first kind, order 0.")
i0e = _through_float64(_i0e64, "i0e", "`exp(-|x|) i0(x)`.")
i1 = _through_float64(_i164, "i1", "Modified Bessel function of the first kind, order 1.")
i1e = _through_float64(_i1e64, "i1e", "`exp(-|x|) i1(x)`.")

KERNELS: dict[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (erf, erfc, erfcx, erfinv, lgamma, digamma, zeta, polygamma, i0, i0e, i1, i1e)
}
