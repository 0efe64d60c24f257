"""Elementwise arithmetic, rounding, exponentials and trigonometry.

Every kernel takes arrays of one dtype whose shapes broadcast, and an optional `out` array that it fills and returns.
Low-precision inputs are computed in float32 and rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.backends.reference.precision import (
    COMPLEX64,
    COMPLEX128,
    FLOAT32,
    FLOAT64,
    LOW_PRECISION,
    Array,
    finish,
    floating_result,
    real_dtype,
    scalar,
    to_floating,
    widen,
)
from rushlight.backends.reference.quiet import quiet

Kernel = Callable[..., Array]


def _unary(ufunc: Callable[..., Array], name: str) -> Kernel:
    """A kernel that keeps the dtype, from a NumPy ufunc that does so for the standard dtypes."""

    def kernel(x: Array, out: Array | None = None) -> Array:
        if x.dtype in LOW_PRECISION:
            return finish(ufunc(x.astype(FLOAT32), out=...), x.dtype, out)
        return ufunc(x, out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


def _unary_floating(function: Callable[..., Array], name: str) -> Kernel:
    """A float-valued kernel: integers are taken as float32. `function` is a ufunc or takes `out` like one."""

    def kernel(x: Array, out: Array | None = None) -> Array:
        wide = to_floating(x)
        if wide is not x:
            return finish(function(wide, out=...), floating_result(x.dtype), out)
        return function(x, out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


def _binary(ufunc: Callable[..., Array], name: str) -> Kernel:
    """A kernel of two arrays of one dtype that keeps it."""

    def kernel(a: Array, b: Array, out: Array | None = None) -> Array:
        if a.dtype in LOW_PRECISION:
            return finish(ufunc(a.astype(FLOAT32), b.astype(FLOAT32), out=...), a.dtype, out)
        return ufunc(a, b, out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


def _binary_floating(ufunc: Callable[..., Array], name: str) -> Kernel:
    """A float-valued kernel of two arrays of one dtype."""

    def kernel(a: Array, b: Array, out: Array | None = None) -> Array:
        wide = to_floating(a)
        if wide is not a:
            return finish(ufunc(wide, to_floating(b), out=...), floating_result(a.dtype), out)
        return ufunc(a, b, out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


# ---- arithmetic -----------------------------------------------------------------------------------------------------

add = _binary(np.add, "add")
sub = _binary(np.subtract, "sub")
mul = _binary(np.multiply, "mul")
div = _binary_floating(np.true_divide, "div")
minimum = _binary(np.minimum, "minimum")
maximum = _binary(np.maximum, "maximum")
fmin = _binary(np.fmin, "fmin")
fmax = _binary(np.fmax, "fmax")
hypot = _binary_floating(np.hypot, "hypot")
copysign = _binary_floating(np.copysign, "copysign")
atan2 = _binary_floating(np.arctan2, "atan2")


def _refuse_zero_divisor(b: Array) -> None:
    if not b.all():
        raise RuntimeError("ZeroDivisionError: integer division or modulo by zero; integers have no inf to return")


@quiet
def floor_divide(a: Array, b: Array, out: Array | None = None) -> Array:
    """Quotient rounded towards minus infinity. Integers divided by zero raise RuntimeError."""
    if a.dtype.kind in "iub":
        _refuse_zero_divisor(b)
    wide = widen(a)
    if wide is not a:
        return finish(np.floor_divide(wide, widen(b), out=...), a.dtype, out)
    return np.floor_divide(a, b, out=... if out is None else out)


def _trunc_divide_integers(a: Array, b: Array) -> Array:
    quotient = np.floor_divide(a, b, out=...)
    if a.dtype.kind == "i":
        inexact = (quotient * b != a) & ((a < 0) != (b < 0))
        np.add(quotient, 1, out=quotient, where=inexact)
    return quotient


@quiet
def div_mode(a: Array, b: Array, mode: str, out: Array | None = None) -> Array:
    """Quotient rounded by `mode`: "floor" (towards minus infinity) or "trunc" (towards zero)."""
    if mode == "floor":
        return floor_divide(a, b, out)
    if mode != "trunc":
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'")
    if a.dtype.kind in "iub":
        _refuse_zero_divisor(b)
        return finish(_trunc_divide_integers(a, b), a.dtype, out)
    quotient = np.true_divide(widen(a), widen(b), out=...)
    return finish(np.trunc(quotient, out=quotient), a.dtype, out)


@quiet
def fmod(a: Array, b: Array, out: Array | None = None) -> Array:
    """Remainder with the sign of the dividend."""
    if a.dtype.kind in "iub":
        _refuse_zero_divisor(b)
    return finish(np.fmod(widen(a), widen(b), out=...), a.dtype, out)


@quiet
def remainder(a: Array, b: Array, out: Array | None = None) -> Array:
    """Remainder with the sign of the divisor; an exact zero keeps the dividend's sign, as in torch (not in NumPy)."""
    if a.dtype.kind in "iub":
        _refuse_zero_divisor(b)
        return np.remainder(a, b, out=... if out is None else out)
    divisor = widen(b)
    rest = np.fmod(widen(a), divisor, out=...)
    np.add(rest, divisor, out=rest, where=(rest != 0) & ((divisor < 0) != (rest < 0)))
    return finish(rest, a.dtype, out)


def _power_integers(a: Array, b: Array) -> Array:
    """Integer powers modulo the dtype's range; a negative exponent gives the truncated reciprocal."""
    negative = b < 0
    if not negative.any():
        return np.power(a, b, out=...)
    result = np.power(a, np.where(negative, b.dtype.type(0), b), out=...)
    parity = np.where(b % 2 == 0, a.dtype.type(1), a)
    inverse = np.where((a == 1) | (a == -1), parity, a.dtype.type(0))
    np.copyto(result, inverse, where=negative)
    return result


_POWER_SHORTCUTS: dict[float, Callable[[Array], Array]] = {
    0.5: lambda x: np.sqrt(x, out=...),
    2.0: lambda x: np.multiply(x, x, out=...),
    3.0: lambda x: np.multiply(x * x, x, out=...),
    -0.5: lambda x: np.true_divide(1, np.sqrt(x, out=...), out=...),
    -1.0: lambda x: np.true_divide(1, x, out=...),
    -2.0: lambda x: np.true_divide(1, x * x, out=...),
}


@quiet
def pow(a: Array, b: Array, out: Array | None = None) -> Array:  # noqa: A001 - ATen's name
    """`a` to the power `b`. A zero-dim exponent of ±0.5, ±1, ±2 or 3 takes the cheap formula, as in torch."""
    if a.dtype.kind == "b":
        raise NotImplementedError("\"pow\" not implemented for 'Bool'")
    if a.dtype.kind in "iu":
        return finish(_power_integers(a, b), a.dtype, out)
    base, exponent = widen(a), widen(b)
    if b.ndim == 0 and base.dtype.kind == "f":
        shortcut = _POWER_SHORTCUTS.get(float(exponent))
        if shortcut is not None:
            return finish(shortcut(base), a.dtype, out)
    return finish(np.power(base, exponent, out=...), a.dtype, out)


@quiet
def pow_backward(grad: Array, x: Array, exponent: float, out: Array | None = None) -> Array:
    """`grad * (exponent * x ** (exponent - 1))`, the cotangent of a real `x` to the power of a number."""
    base = widen(x)
    slope = base if exponent == 2 else pow(base, scalar(exponent - 1, base.dtype))
    return finish(widen(grad) * (slope * scalar(exponent, base.dtype)), x.dtype, out)


@quiet
def float_power(a: Array, b: Array, out: Array | None = None) -> Array:
    """Power in float64 (complex128 for complex inputs), whatever the input dtypes."""
    wide = COMPLEX128 if a.dtype.kind == "c" or b.dtype.kind == "c" else FLOAT64
    return np.power(a.astype(wide), b.astype(wide), out=... if out is None else out)


@quiet
def gcd(a: Array, b: Array, out: Array | None = None) -> Array:
    """Greatest common divisor, never negative."""
    return np.gcd(a, b, out=... if out is None else out)


@quiet
def lcm(a: Array, b: Array, out: Array | None = None) -> Array:
    """Least common multiple, never negative."""
    return np.lcm(a, b, out=... if out is None else out)


# ---- sign, rounding -------------------------------------------------------------------------------------------------

square = _unary(np.square, "square")


@quiet
def neg(x: Array, out: Array | None = None) -> Array:
    """Minus `x`; unsigned integers wrap around."""
    return finish(np.negative(widen(x), out=...), x.dtype, out)


@quiet
def abs(x: Array, out: Array | None = None) -> Array:  # noqa: A001 - ATen's name
    """Absolute value; of complex input the modulus, in the real dtype."""
    return finish(np.absolute(widen(x), out=...), real_dtype(x.dtype), out)


@quiet
def sign(x: Array, out: Array | None = None) -> Array:
    """-1, 0 or 1 in the dtype of `x`; NaN gives 0, as in torch."""
    if x.dtype.kind in "bu":
        return finish((x > 0), x.dtype, out)
    wide = widen(x)
    return finish(np.subtract((wide > 0), (wide < 0), dtype=np.int8), x.dtype, out)


@quiet
def sgn(x: Array, out: Array | None = None) -> Array:
    """`sign` for real input; of complex input `x / |x|`, and 0 at 0."""
    if x.dtype.kind != "c":
        return sign(x, out)
    modulus = np.absolute(x, out=...)
    result = np.true_divide(x, np.where(modulus == 0, modulus.dtype.type(1), modulus), out=...)
    return finish(result, x.dtype, out)


def _rounding(ufunc: Callable[..., Array], name: str) -> Kernel:
    """floor, ceil or trunc: integers are already whole."""

    def kernel(x: Array, out: Array | None = None) -> Array:
        if x.dtype.kind in "iub":
            return finish(x.copy(), x.dtype, out)
        return finish(ufunc(widen(x), out=...), x.dtype, out)

    kernel.__name__ = kernel.__qualname__ = name
    return quiet(kernel)


floor = _rounding(np.floor, "floor")
ceil = _rounding(np.ceil, "ceil")
trunc = _rounding(np.trunc, "trunc")


@quiet
def round(x: Array, decimals: int = 0, out: Array | None = None) -> Array:  # noqa: A001 - ATen's name
    """Round half to even, at `decimals` places behind (negative: before) the decimal point."""
    if x.dtype.kind in "iub":
        return finish(x.copy(), x.dtype, out)
    wide = widen(x)
    if decimals == 0:
        return finish(np.rint(wide, out=...), x.dtype, out)
    ten = scalar(10.0 ** (decimals if decimals > 0 else -decimals), wide.dtype)
    if decimals > 0:
        return finish(np.true_divide(np.rint(wide * ten), ten, out=...), x.dtype, out)
    return finish(np.multiply(np.rint(wide / ten), ten, out=...), x.dtype, out)


@quiet
def frac(x: Array, out: Array | None = None) -> Array:
    """The fractional part, with the sign of `x`."""
    wide = widen(x)
    return finish(np.subtract(wide, np.trunc(wide), out=...), x.dtype, out)


@quiet
def nextafter(a: Array, b: Array, out: Array | None = None) -> Array:
    """The next number of the dtype after `a` towards `b`."""
    return np.nextafter(a, b, out=... if out is None else out)


@quiet
def heaviside(x: Array, values: Array, out: Array | None = None) -> Array:
    """0 below zero, 1 above, `values` at zero; NaN counts as not above, as in torch."""
    above = (widen(x) > 0).astype(x.dtype)
    return finish(np.where(x == 0, values, above), x.dtype, out)


# ---- exponentials, logarithms, trigonometry -------------------------------------------------------------------------

exp = _unary_floating(np.exp, "exp")
exp2 = _unary_floating(np.exp2, "exp2")
expm1 = _unary_floating(np.expm1, "expm1")
log = _unary_floating(np.log, "log")
log2 = _unary_floating(np.log2, "log2")
log10 = _unary_floating(np.log10, "log10")
log1p = _unary_floating(np.log1p, "log1p")
sqrt = _unary_floating(np.sqrt, "sqrt")
sin = _unary_floating(np.sin, "sin")
cos = _unary_floating(np.cos, "cos")
tan = _unary_floating(np.tan, "tan")
asin = _unary_floating(np.arcsin, "asin")
acos = _unary_floating(np.arccos, "acos")
atan = _unary_floating(np.arctan, "atan")
sinh = _unary_floating(np.sinh, "sinh")
cosh = _unary_floating(np.cosh, "cosh")
tanh = _unary_floating(np.tanh, "tanh")
asinh = _unary_floating(np.arcsinh, "asinh")
acosh = _unary_floating(np.arccosh, "acosh")
atanh = _unary_floating(np.arctanh, "atanh")


@quiet
def rsqrt(x: Array, out: Array | None = None) -> Array:
    """`1 / sqrt(x)`."""
    root = np.sqrt(to_floating(x), out=...)
    return finish(np.true_divide(1, root, out=root), floating_result(x.dtype), out)


@quiet
def reciprocal(x: Array, out: Array | None = None) -> Array:
    """`1 / x`."""
    return finish(np.true_divide(1, to_floating(x), out=...), floating_result(x.dtype), out)


@quiet
def deg2rad(x: Array, out: Array | None = None) -> Array:
    """Degrees to radians."""
    wide = to_floating(x)
    return finish(np.multiply(wide, scalar(math.pi / 180, wide.dtype), out=...), floating_result(x.dtype), out)


@quiet
def rad2deg(x: Array, out: Array | None = None) -> Array:
    """Radians to degrees."""
    wide = to_floating(x)
    return finish(np.multiply(wide, scalar(180 / math.pi, wide.dtype), out=...), floating_result(x.dtype), out)


@quiet
def sinc(x: Array, out: Array | None = None) -> Array:
    """`sin(pi x) / (pi x)`, and 1 at 0."""
    wide = to_floating(x)
    angles = wide * scalar(math.pi, wide.dtype)
    one = wide.dtype.type(1)
    result = np.where(wide == 0, one, np.sin(angles) / np.where(wide == 0, one, angles))
    return finish(result, floating_result(x.dtype), out)


@quiet
def xlogy(x: Array, y: Array, out: Array | None = None) -> Array:
    """`x * log(y)`, 0 where x is 0 (unless y is NaN)."""
    wide_x, wide_y = to_floating(x), to_floating(y)
    product = wide_x * np.log(wide_y, out=...)
    result = np.where((wide_x == 0) & ~np.isnan(wide_y), wide_x.dtype.type(0), product)
    return finish(result, floating_result(x.dtype), out)


@quiet
def ldexp(x: Array, exponent: Array, out: Array | None = None) -> Array:
    """`x * 2**exponent` for two arrays of one floating-point dtype."""
    return finish(np.multiply(to_floating(x), np.exp2(to_floating(exponent)), out=...), floating_result(x.dtype), out)


@quiet
def logaddexp(a: Array, b: Array, out: Array | None = None) -> Array:
    """`log(exp(a) + exp(b))` without overflow."""
    if a.dtype.kind != "c":
        return finish(np.logaddexp(to_floating(a), to_floating(b), out=...), floating_result(a.dtype), out)
    swap = a.real < b.real
    larger, smaller = np.where(swap, b, a), np.where(swap, a, b)
    equal_infinities = np.isinf(larger.real) & (larger == smaller)
    result = np.where(equal_infinities, larger, larger + np.log1p(np.exp(smaller - larger)))
    return finish(result, a.dtype, out)


@quiet
def logaddexp2(a: Array, b: Array, out: Array | None = None) -> Array:
    """`log2(2**a + 2**b)` without overflow."""
    return finish(np.logaddexp2(to_floating(a), to_floating(b), out=...), floating_result(a.dtype), out)


# ---- complex numbers ------------------------------------------------------------------------------------------------


def real(x: Array) -> Array:
    """The real part as a view; real input is returned as it is."""
    return x.real if x.dtype.kind == "c" else x


def imag(x: Array) -> Array:
    """The imaginary part as a view. Raises RuntimeError for real input, as torch does."""
    if x.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return x.imag


@quiet
def conj(x: Array, out: Array | None = None) -> Array:
    """Complex conjugate (a copy)."""
    return finish(np.conjugate(x, out=...) if x.dtype.kind == "c" else x.copy(), x.dtype, out)


@quiet
def angle(x: Array, out: Array | None = None) -> Array:
    """Argument in radians; of real input pi where negative, 0 elsewhere, NaN at NaN."""
    if x.dtype.kind == "c":
        return np.arctan2(x.imag, x.real, out=... if out is None else out)
    wide = to_floating(x)
    result = np.where(wide < 0, scalar(math.pi, wide.dtype), wide.dtype.type(0))
    np.copyto(result, wide, where=np.isnan(wide))
    return finish(result, floating_result(x.dtype), out)


def complex(re: Array, im: Array, out: Array | None = None) -> Array:  # noqa: A001 - ATen's name
    """Complex numbers from real and imaginary parts of one dtype; float16 parts give complex64."""
    wide = re.dtype == FLOAT64
    shape = np.broadcast_shapes(re.shape, im.shape)
    result = np.empty(shape, COMPLEX128 if wide else COMPLEX64) if out is None else out
    result.real = re
    result.imag = im
    return result


@quiet
def polar(modulus: Array, angle: Array, out: Array | None = None) -> Array:
    """Complex numbers from modulus and angle (radians)."""
    modulus, angle = widen(modulus), widen(angle)
    return complex(np.multiply(modulus, np.cos(angle), out=...), np.multiply(modulus, np.sin(angle), out=...), out)


KERNELS: dict[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (
        add,
        sub,
        mul,
        div,
        div_mode,
        floor_divide,
        remainder,
        fmod,
        pow,
        pow_backward,
        float_power,
        gcd,
        lcm,
        minimum,
        maximum,
        fmin,
        fmax,
        hypot,
        copysign,
        atan2,
        neg,
        abs,
        sign,
        sgn,
        square,
        floor,
        ceil,
        trunc,
        round,
        frac,
        nextafter,
        heaviside,
        exp,
        exp2,
        expm1,
        log,
        log2,
        log10,
        log1p,
        sqrt,
        rsqrt,
        reciprocal,
        sin,
        cos,
        tan,
        asin,
        acos,
        atan,
        sinh,
        cosh,
        tanh,
        asinh,
        acosh,
        atanh,
        deg2rad,
        rad2deg,
        sinc,
        xlogy,
        ldexp,
        logaddexp,
        logaddexp2,
        real,
        imag,
        conj,
        angle,
        complex,
        polar,
    )
}
