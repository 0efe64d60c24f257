"""Elementwise, bitwise, comparing, activating and special kernels, and casts, against torch."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import Kernels, reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
F = torch.nn.functional
inf, nan = np.inf, np.nan

BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), BF16]
INTS = [np.dtype(c) for c in ("i8", "i4", "i2", "i1", "u1")]
SPECIALS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, inf, -inf, nan, 1e-4, 30.0, -30.0, 100.0])


def floats(dtype, low=-3.0, high=3.0, shape=(4, 6)):
    rng = np.random.default_rng(7)
    return rng.uniform(low, high, shape).astype(dtype)


def ints(dtype, low=-7, high=8, shape=(4, 6), seed=7):
    rng = np.random.default_rng(seed)
    return rng.integers(0 if dtype.kind == "u" else low, high, shape).astype(dtype)


def same_bits(a, b):
    assert a.tobytes() == b.tobytes()


def layouts(x):
    """The same family of values dense, transposed, strided, broadcast, zero-dim and empty."""
    return [x, x.T, x[:, ::2], np.broadcast_to(x[:1], (3, x.shape[1])), x[0, :1].reshape(()), x[:0]]


# name: (torch function, low, high); the domain leaves out only what torch itself computes inaccurately
UNARY = {
    "neg": (torch.neg, -3, 3),
    "abs": (torch.abs, -3, 3),
    "sign": (torch.sign, -3, 3),
    "sgn": (torch.sgn, -3, 3),
    "exp": (torch.exp, -3, 3),
    "exp2": (torch.exp2, -3, 3),
    "expm1": (torch.expm1, -3, 3),
    "log": (torch.log, 0, 9),
    "log2": (torch.log2, 0, 9),
    "log10": (torch.log10, 0, 9),
    "log1p": (torch.log1p, -1, 9),
    "sqrt": (torch.sqrt, 0, 9),
    "rsqrt": (torch.rsqrt, 0, 9),
    "square": (torch.square, -3, 3),
    "reciprocal": (torch.reciprocal, -3, 3),
    "sin": (torch.sin, -9, 9),
    "cos": (torch.cos, -9, 9),
    "tan": (torch.tan, -1.4, 1.4),
    "asin": (torch.asin, -1, 1),
    "acos": (torch.acos, -1, 1),
    "atan": (torch.atan, -3, 3),
    "sinh": (torch.sinh, -3, 3),
    "cosh": (torch.cosh, -3, 3),
    "tanh": (torch.tanh, -3, 3),
    "asinh": (torch.asinh, -3, 3),
    "acosh": (torch.acosh, 1, 9),
    "atanh": (torch.atanh, -0.9, 0.9),
    "sigmoid": (torch.sigmoid, -9, 9),
    "logit": (torch.logit, 0.1, 0.9),
    "relu": (torch.relu, -3, 3),
    "floor": (torch.floor, -9, 9),
    "ceil": (torch.ceil, -9, 9),
    "round": (torch.round, -9, 9),
    "trunc": (torch.trunc, -9, 9),
    "frac": (torch.frac, -9, 9),
    "deg2rad": (torch.deg2rad, -180, 180),
    "rad2deg": (torch.rad2deg, -3, 3),
    "sinc": (torch.sinc, -3, 3),
    "angle": (torch.angle, -3, 3),
    "nan_to_num": (torch.nan_to_num, -3, 3),
    "erf": (torch.erf, -3, 3),
    "erfc": (torch.erfc, -3, 3),
    "erfinv": (torch.erfinv, -0.99, 0.99),
    "lgamma": (torch.lgamma, 0.1, 9),
    "digamma": (torch.digamma, 1.6, 9),
    "i0": (torch.i0, -9, 9),
    "i0e": (torch.special.i0e, -9, 9),
    "i1": (torch.special.i1, -9, 9),
    "i1e": (torch.special.i1e, -9, 9),
    "erfcx": (torch.special.erfcx, -3, 9),
    "silu": (F.silu, -9, 9),
    "softplus": (F.softplus, -30, 30),
    "elu": (F.elu, -9, 9),
    "gelu": (F.gelu, -9, 9),
    "isnan": (torch.isnan, -3, 3),
    "isinf": (torch.isinf, -3, 3),
    "isfinite": (torch.isfinite, -3, 3),
    "isposinf": (torch.isposinf, -3, 3),
    "isneginf": (torch.isneginf, -3, 3),
    "logical_not": (torch.logical_not, -3, 3),
}
SLACK = {"erfinv": 1e-14, "lgamma": 4e-14, "digamma": 2e-13, "i0": 1e-13, "i1": 1e-13, "i0e": 1e-13, "i1e": 1e-13}
SLACK |= {"erfcx": 1e-14, "erfc": 1e-13, "sinc": 1e-13, "gelu": 1e-14, "acosh": 1e-14, "atanh": 1e-14, "logit": 1e-14}
SLACK |= {"tan": 1e-14}
NO_LOW_PRECISION = {"erfcx"}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary_floats(parity, name, dtype):
    function, low, high = UNARY[name]
    if name in NO_LOW_PRECISION and dtype in (np.dtype("f2"), BF16):
        pytest.skip("torch has no half kernel to compare with")
    kernel = getattr(reference, name)
    rtol = SLACK.get(name) if dtype == np.float64 else (1e-5 if name in SLACK and dtype == np.float32 else None)
    for x in layouts(floats(dtype, low, high)):
        before = x.copy()
        result = kernel(x)
        parity.check(result, function(parity.tensor(x)), rtol=rtol)
        assert not np.shares_memory(result, x)
        np.testing.assert_array_equal(x, before)
        out = np.empty_like(result)
        assert kernel(x, out=out) is out
        same_bits(out, result)


@pytest.mark.parametrize("dtype", [np.dtype("f8"), np.dtype("f4")], ids=str)
@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("i0", "i1", "i0e", "i1e", "erfcx")])
def test_unary_at_special_values(parity, name, dtype):
    x = SPECIALS.astype(dtype)
    if name == "gelu":  # torch's vectorised gelu(inf) is NaN
        x = x[np.isfinite(x)]
    parity.check(getattr(reference, name)(x), UNARY[name][0](parity.tensor(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [*INTS, np.dtype(bool)], ids=str)
def test_unary_of_integers(parity, dtype):
    x = ints(dtype)
    for name in (
        "exp",
        "log1p",
        "sqrt",
        "sin",
        "sigmoid",
        "atan",
        "erf",
        "reciprocal",
        "logical_not",
        "isnan",
        "rsqrt",
    ):
        parity.check(getattr(reference, name)(x), UNARY[name][0](parity.tensor(x)), rtol=3e-6)
    if dtype.kind != "b":
        for name in ("neg", "abs", "sign", "square", "floor", "ceil", "trunc", "round", "relu"):
            parity.check(getattr(reference, name)(x), UNARY[name][0](parity.tensor(x)))


@pytest.mark.parametrize("dtype", [np.dtype("c16"), np.dtype("c8")], ids=str)
def test_unary_complex(parity, dtype):
    x = (floats(np.float64) + 1j * floats(np.float64).T.reshape(4, 6)).astype(dtype)
    names = "neg abs sgn exp log sqrt sin cos tan sinh cosh tanh asinh acos sigmoid reciprocal square angle rsqrt"
    for name in names.split():
        parity.check(
            getattr(reference, name)(x), UNARY[name][0](parity.tensor(x)), rtol=1e-5 if dtype == "c8" else 1e-13
        )
    parity.check(reference.conj(x), torch.conj(parity.tensor(x)))
    assert np.shares_memory(reference.real(x), x) and np.shares_memory(reference.imag(x), x)
    np.testing.assert_array_equal(reference.imag(x), x.imag)
    with pytest.raises(RuntimeError, match="imag"):
        reference.imag(x.real)


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "floor_divide": torch.floor_divide,
    "remainder": torch.remainder,
    "fmod": torch.fmod,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "fmin": torch.fmin,
    "fmax": torch.fmax,
    "atan2": torch.atan2,
    "hypot": torch.hypot,
    "copysign": torch.copysign,
    "logaddexp": torch.logaddexp,
    "logaddexp2": torch.logaddexp2,
    "heaviside": torch.heaviside,
    "xlogy": torch.xlogy,
    "pow": torch.pow,
    "float_power": torch.float_power,
    "ldexp": torch.ldexp,
    "nextafter": torch.nextafter,
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary_floats(parity, name, dtype):
    if dtype == np.float16 and name == "nextafter":
        pytest.skip("torch has no float16 nextafter")
    kernel, function = getattr(reference, name), BINARY[name]
    a, b = floats(dtype), floats(dtype, -2, 2, (6, 4)).T
    pairs = [(a, b), (a.T, b.T), (a[:, ::2], b[:, 1:2]), (a[:1], b[:, :1]), (a[0, :1].reshape(()), b), (a[:0], b[:0])]
    pairs.append((a[0, :1].reshape(()), b[1, :1].reshape(())))
    rtol = 1e-14 if dtype == np.float64 else None
    for x, y in pairs:
        result = kernel(x, y)
        parity.check(result, function(parity.tensor(x), parity.tensor(y)), rtol=rtol)
        out = np.empty_like(result)
        assert kernel(x, y, out=out) is out
        same_bits(out, result)


@pytest.mark.parametrize("dtype", [np.dtype("f8"), np.dtype("f4")], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary_at_special_values(parity, name, dtype):
    grid = np.meshgrid(SPECIALS.astype(dtype), SPECIALS.astype(dtype))
    x, y = (g.reshape(-1) for g in grid)
    result, wanted = getattr(reference, name)(x, y), BINARY[name](parity.tensor(x), parity.tensor(y))
    parity.check(result, wanted, rtol=1e-5)
    if name in ("remainder", "fmod", "floor_divide", "copysign", "div", "mul"):
        zero = parity.array(wanted) == 0
        np.testing.assert_array_equal(np.signbit(result[zero]), np.signbit(parity.array(wanted)[zero]))


@pytest.mark.parametrize("dtype", INTS, ids=str)
def test_binary_integers(parity, dtype):
    a, b = ints(dtype), ints(dtype, seed=8)
    b[b == 0] = 3
    a[0, 0] = b[0, 0] = np.iinfo(dtype).max
    ta, tb = parity.tensor(a), parity.tensor(b)
    names = "add sub mul div floor_divide remainder fmod minimum maximum eq lt ge logical_and logical_xor"
    for name in names.split():
        parity.check(getattr(reference, name)(a, b), BINARY[name](ta, tb))
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm"):
        parity.check(getattr(reference, name)(a, b), getattr(torch, name)(ta, tb))
    parity.check(reference.bitwise_not(a), torch.bitwise_not(ta))
    parity.check(reference.div_mode(a, b, "trunc"), torch.div(ta, tb, rounding_mode="trunc"))
    parity.check(reference.div_mode(a, b, "floor"), torch.div(ta, tb, rounding_mode="floor"))
    exponent = ints(dtype, -3, 5, seed=3)
    parity.check(reference.pow(a, exponent), torch.pow(ta, parity.tensor(exponent)))
    shift = ints(dtype, -2, 70, seed=4)
    parity.check(reference.bitwise_left_shift(a, shift), torch.bitwise_left_shift(ta, parity.tensor(shift)))
    parity.check(reference.bitwise_right_shift(a, shift), torch.bitwise_right_shift(ta, parity.tensor(shift)))


def test_integer_division_by_zero_is_torchs_error(parity):
    a, zero = np.array([4, 5]), np.array([2, 0])
    ta, tz = parity.tensor(a), parity.tensor(zero)
    for name in ("floor_divide", "remainder", "fmod"):
        parity.same_error(
            lambda n=name: getattr(reference, n)(a, zero), lambda n=name: BINARY[n](ta, tz), "ZeroDivision"
        )
    for mode in ("trunc", "floor"):
        parity.same_error(
            lambda m=mode: reference.div_mode(a, zero, m),
            lambda m=mode: torch.div(ta, tz, rounding_mode=m),
            "ZeroDivision",
        )
    parity.same_error(
        lambda: reference.div_mode(a, a, "up"), lambda: torch.div(ta, ta, rounding_mode="up"), "found 'up'"
    )


def test_bool_arithmetic(parity):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for name in ("add", "mul", "maximum", "logical_or", "eq", "bitwise_and", "bitwise_xor"):
        parity.check(getattr(reference, name)(a, b), getattr(torch, name)(parity.tensor(a), parity.tensor(b)))
    parity.check(reference.bitwise_not(a), ~parity.tensor(a))
    parity.same_error(lambda: reference.pow(a, b), lambda: torch.pow(parity.tensor(a), parity.tensor(b)), "'Bool'")


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_division_modes_of_floats(parity, dtype):
    a, b = floats(dtype, -9, 9), floats(dtype, -2, 2)[::-1]
    for mode in ("trunc", "floor"):
        wanted = torch.div(parity.tensor(a), parity.tensor(b.copy()), rounding_mode=mode)
        # torch rounds every step of its bfloat16 division to bfloat16, we round once
        parity.check(reference.div_mode(a, b, mode), wanted, rtol=8e-3 if dtype == BF16 else 0, atol=0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_parameters(parity, dtype):
    x, a, b = floats(dtype), floats(dtype)[::-1].copy(), floats(dtype, 0.5, 2)
    tx, ta, tb = (parity.tensor(v) for v in (x, a, b))
    parity.check(reference.clamp(x, -1, None), torch.clamp(tx, -1))
    parity.check(reference.clamp(x, None, 0.5), torch.clamp(tx, max=0.5))
    parity.check(reference.clamp(x, a, b), torch.clamp(tx, ta, tb))
    parity.check(reference.clamp(x, nan, 1.0), torch.clamp(tx, nan, 1.0))
    parity.check(reference.clamp_min(x, 0.25), torch.clamp_min(tx, 0.25))
    parity.check(reference.clamp_max(x, a), torch.clamp_max(tx, ta))
    parity.check(reference.lerp(x, a, 0.3), torch.lerp(tx, ta, 0.3))
    parity.check(reference.lerp(x, a, 0.8), torch.lerp(tx, ta, 0.8))
    parity.check(reference.lerp(x, a, b), torch.lerp(tx, ta, tb))
    parity.check(reference.addcmul(x, a, b, 0.5), torch.addcmul(tx, ta, tb, value=0.5))
    parity.check(reference.addcdiv(x, a, b, -2.0), torch.addcdiv(tx, ta, tb, value=-2.0))
    parity.check(reference.logit(b, 0.1), torch.logit(tb, 0.1))
    parity.check(reference.softplus(x, 2.0, 3.0), F.softplus(tx, 2.0, 3.0))
    parity.check(reference.elu(x, 1.7), F.elu(tx, 1.7))
    parity.check(reference.gelu(x, "tanh"), F.gelu(tx, approximate="tanh"))
    parity.check(
        reference.nan_to_num(SPECIALS.astype(dtype), 1.0, 2.0, -3.0),
        torch.nan_to_num(parity.tensor(SPECIALS.astype(dtype)), 1.0, 2.0, -3.0),
    )
    parity.check(reference.where(x > 0, a, b), torch.where(tx > 0, ta, tb))
    parity.check(reference.masked_fill(x, x > 0, np.array(2.0, dtype)), tx.masked_fill(tx > 0, 2.0))
    parity.check(reference.isclose(x, a, 0.3, 0.2), torch.isclose(tx, ta, 0.3, 0.2))
    if dtype not in (np.dtype("f2"), BF16):
        for decimals in (2, -1):
            parity.check(reference.round(x * 10, decimals), torch.round(tx * 10, decimals=decimals))
        for n in (0, 1, 2, 5):
            wanted = torch.polygamma(n, tb)
            # torch's trigamma is good to nine digits only
            parity.check(reference.polygamma(n, b), wanted, rtol=1e-5 if dtype == np.float32 else 1e-8)
        parity.check(reference.polar(b, x), torch.polar(tb, tx))
        parity.check(reference.complex(b, x), torch.complex(tb, tx))
        s, q = np.array([[2.0], [3.5]], dtype), floats(dtype, 0.2, 9, (5,))
        parity.check(reference.zeta(s, q), torch.special.zeta(parity.tensor(s), parity.tensor(q)), rtol=1e-5)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_activation_gradients(parity, dtype, approximate):
    x, g = floats(dtype, -5, 5), floats(dtype)
    tx, tg = parity.tensor(x), parity.tensor(g)
    backward = torch.ops.aten
    wanted = backward.gelu_backward(tg, tx, approximate=approximate)
    atol = {8: 1e-14, 4: 5e-6, 2: None}[dtype.itemsize]
    parity.check(reference.gelu_backward(g, x, approximate), wanted, atol=atol)
    parity.check(reference.silu_backward(g, x), backward.silu_backward(tg, tx), atol=atol)
    parity.check(reference.softplus_backward(g, x, 2.0, 3.0), backward.softplus_backward(tg, tx, 2.0, 3.0))
    with pytest.raises(RuntimeError, match="either none or tanh"):
        reference.gelu(x, "erf")


def test_integer_clamp_and_isclose(parity):
    x = ints(np.dtype("i4"))
    parity.check(reference.clamp(x, -2, 3), torch.clamp(parity.tensor(x), -2, 3))
    parity.check(
        reference.isclose(x, x[::-1], 0.5, 1.0), torch.isclose(parity.tensor(x), parity.tensor(x[::-1]), 0.5, 1.0)
    )
    u = ints(np.dtype("u1"))
    np.testing.assert_array_equal(reference.clamp(u, -5, 300), u)


def test_isclose_equal_isin(parity):
    x = np.array([1.0, inf, -inf, nan, 0.0])
    y = np.array([1.0 + 1e-9, inf, inf, nan, -0.0])
    for equal_nan in (False, True):
        wanted = torch.isclose(parity.tensor(x), parity.tensor(y), equal_nan=equal_nan)
        parity.check(reference.isclose(x, y, 1e-5, 1e-8, equal_nan), wanted)
    assert reference.equal(x, x) is False and reference.equal(x[:3], x[:3]) is True
    assert reference.equal(x[:2], x[:3]) is False
    a, b = np.array([[1, 2], [3, 4]]), np.array([4, 1, 9])
    parity.check(reference.isin(a, b), torch.isin(parity.tensor(a), parity.tensor(b)))
    parity.check(reference.isin(a, b, invert=True), torch.isin(parity.tensor(a), parity.tensor(b), invert=True))


CASTS = [*FLOATS, *INTS, np.dtype(bool), np.dtype("c8"), np.dtype("c16")]


@pytest.mark.parametrize("source", CASTS, ids=str)
def test_cast(parity, source):
    values = np.array([0.0, -0.0, 1.7, -1.7, 127.9, -3.5, 200.0, 1e-8, 65519.0, 3.14159265358979])
    if source.kind in "iub":
        values = np.array([0, 1, 2, 100, 127])
    elif source != np.float16:
        values = np.concatenate([values, [1.00048828125 + 1e-12, 2049.0000001, 70000.0, 3e9]])
    if source.kind in "fV" or source == BF16:
        values = np.concatenate([values, [nan, inf, -inf]])
    with np.errstate(all="ignore"):
        x = values.astype(source)
    for target in CASTS:
        with torch._C.DisableTorchFunction():
            t = parity.tensor(x)
            wanted = (t.real if x.dtype.kind == "c" and target.kind != "c" else t).to(parity.dtype(target))
        result = reference.cast(x, target)
        assert not np.shares_memory(result, x)
        parity.check(result, wanted, rtol=0, atol=0)


# ---- accuracy of the special functions, against values with more digits ----------------------------------------------


def test_special_functions_are_accurate():
    mpmath = pytest.importorskip("mpmath", reason="accuracy is measured against mpmath")
    rng = np.random.default_rng(0)
    cases = {
        "erf": (mpmath.erf, rng.uniform(-5, 5, 100), 4),
        "erfc": (mpmath.erfc, rng.uniform(-5, 26, 100), 8),
        "erfinv": (mpmath.erfinv, np.concatenate([rng.uniform(-1, 1, 60), 1 - 10.0 ** -rng.uniform(1, 15, 40)]), 8),
        "lgamma": (mpmath.loggamma, rng.uniform(0, 100, 100), 10),
        "digamma": (mpmath.digamma, np.concatenate([rng.uniform(0, 1.2, 50), rng.uniform(1.7, 100, 50)]), 40),
        "trigamma": (lambda x: mpmath.psi(1, x), rng.uniform(0, 50, 50), 10),
        "i0": (lambda x: mpmath.besseli(0, x), rng.uniform(-60, 60, 60), 16),
        "i1": (lambda x: mpmath.besseli(1, x), rng.uniform(-60, 60, 60), 16),
    }
    with mpmath.workdps(40):
        for name, (exact, x, allowed) in cases.items():
            result = reference.polygamma(1, x) if name == "trigamma" else getattr(reference, name)(x)
            for v, r in zip(x, result, strict=True):
                wanted = exact(mpmath.mpf(float(v)))
                ulps = abs(mpmath.mpf(float(r)) - wanted) / mpmath.mpf(float(np.spacing(abs(float(wanted)))))
                assert ulps <= allowed, (name, float(v), float(ulps))


def test_poles_and_limits_of_the_gamma_family(parity):
    x = np.array([0.0, -0.0, -1.0, -2.5, -10.25, inf, -inf, nan, 1.0, 2.0, 171.5, 1e300, 1e-310])
    parity.check(reference.lgamma(x), torch.lgamma(parity.tensor(x)), rtol=1e-13)
    y = x[np.isfinite(x) & (np.abs(x) < 1e3) & (np.abs(x) != 1e-310)]
    parity.check(reference.digamma(y), torch.digamma(parity.tensor(y)), rtol=1e-12)
    z = np.array([-1.5, -0.25, 0.25, 3.0, -2.0, 0.0])
    parity.check(reference.polygamma(3, z), torch.polygamma(3, parity.tensor(z)), rtol=1e-12)
    with pytest.raises(RuntimeError, match="negative n"):
        reference.polygamma(-1, z)


def test_pow_shortcuts_for_zero_dim_exponents(parity):
    x = np.array([0.0, -0.0, 2.0, -3.0, inf, nan], np.float32)
    for e in (0.5, 2.0, 3.0, -0.5, -1.0, -2.0, 0.0, 1.0, 1.7):
        parity.check(reference.pow(x, np.array(e, np.float32)), torch.pow(parity.tensor(x), e))


def test_kernels_may_not_be_defined_twice():
    class Family:
        __name__ = "family"
        KERNELS = {"twice": math.sin}

    with pytest.raises(RuntimeError, match="'twice'.*defined twice"):
        Kernels((Family, Family))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        reference.nothing  # noqa: B018
    assert "add" in reference and "nothing" not in reference


def test_erf_of_float32_is_rounded_from_more_digits():
    x = np.concatenate([np.linspace(-5, 5, 40_001), [0.0, -0.0, 1e-30, inf, -inf, nan]]).astype(np.float32)
    wanted = reference.erf(x.astype(np.float64)).astype(np.float32)
    result = reference.erf(x)
    np.testing.assert_array_max_ulp(result[:-1], wanted[:-1], maxulp=1)
    assert np.isnan(result[-1]) and (result != wanted)[:-1].mean() < 0.02
    assert np.signbit(result[40_002])
