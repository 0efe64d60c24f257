"""The largest error of every elementary function, over random bit patterns and the edges, in units in the last place."""

from __future__ import annotations

import math

import numpy as np
import pytest


def sigmoid(x):
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def erf(x):
    return np.array([math.erf(v) for v in x.astype(np.float64)], np.longdouble)


def erfc(x):
    return np.array([math.erfc(v) for v in x.astype(np.float64)], np.longdouble)


# Name, the function in a wider type, the largest error in float32 and in float64 (None: float32 only).
FUNCTIONS = [
    ("exp", np.exp, 1.1, 1.1),
    ("exp2", np.exp2, 1.1, 1.2),
    ("expm1", np.expm1, 1.6, 2.1),
    ("log", np.log, 1, 1),
    ("log1p", np.log1p, 1, 1),
    ("log2", np.log2, 1.1, 1.2),
    ("log10", np.log10, 1, 1.1),
    ("tanh", np.tanh, 2.5, 2.5),
    ("sigmoid", sigmoid, 2.5, 2.5),
    ("erf", erf, 1.5, 2),
    ("erfc", erfc, 0.65, None),
    ("sqrt", np.sqrt, 0.5, 0.5),
    ("sin", np.sin, 2, 1.1),
    ("cos", np.cos, 2, 1.1),
]
EDGES = [0, 1, 2, 0.5, 0.625, 0.7071067811865475, 1.4142135623730951, 1e-30, 3, 4, 6, 10, 17.5, 20, 87, 88.5, 88.8, 89, 103, 104,
         105, 709.5, 710, 745, 746, 127.5, 128, 149, 150, 151, 1000, 3e38, np.inf, np.nan, math.pi / 2, math.pi, 524287,
         524288, 1e6, 1e9]  # fmt: skip


def arguments(dtype, count):
    """Every kind of number: random bits, numbers of middling size, subnormal ones, the edges and their neighbours."""
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 1 << (8 * dtype.itemsize), count, dtype=f"u{dtype.itemsize}").view(dtype)
    middle = (rng.normal(size=count) * 4).astype(dtype)
    near_zero = (rng.normal(size=count // 4) * 1e-3).astype(dtype)
    with np.errstate(over="ignore"):
        edges = np.array(EDGES).astype(dtype)
    tiny = np.array([np.finfo(dtype).tiny, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny / 3], dtype)
    edges = np.concatenate([edges, tiny])
    with np.errstate(all="ignore"):
        edges = np.concatenate([edges, np.nextafter(edges, dtype.type(np.inf)), np.nextafter(edges, dtype.type(0))])
    found = np.concatenate([bits, middle, near_zero, edges, -edges])
    return found[found == found] if dtype.itemsize == 8 else found


def errors(found, exact):
    """Distances in units of the last place of the exact values; equal infinities are at distance 0."""
    info = np.finfo(found.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(found.dtype)
        assert np.array_equal(np.isnan(found), np.isnan(rounded))
        unit = np.ldexp(exact.dtype.type(1), np.maximum(np.frexp(exact)[1], info.minexp + 1) - info.nmant - 1)
        distance = np.abs(found.astype(exact.dtype) - exact) / unit
    whole = np.isinf(found) & np.isinf(rounded)
    assert np.array_equal(np.signbit(found[whole]), np.signbit(rounded[whole]))
    zeros = (found == 0) & (rounded == 0)
    assert np.array_equal(np.signbit(found[zeros]), np.signbit(rounded[zeros]))
    # One unit around the overflow threshold either answer will do.
    edge = np.isinf(found) != np.isinf(rounded)
    assert (np.abs(exact[edge]) >= info.max * (1 - 2 * info.eps)).all()
    return np.where(np.isnan(found) | whole | edge, 0, distance)


@pytest.mark.parametrize(("name", "exact", "single", "double"), FUNCTIONS)
def test_largest_error(native, name, exact, single, double):
    x = arguments(np.dtype(np.float32), 60_000)
    with np.errstate(all="ignore"):
        wanted = np.asarray(exact(x.astype(np.float64)))
    distance = errors(getattr(native, name)(x), wanted)
    assert distance.max() <= single, f"float32: {x[distance.argmax()]!r}"
    if double is None:
        return
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("long double is no wider than double here")
    x = arguments(np.dtype(np.float64), 8_000)
    with np.errstate(all="ignore"):
        wanted = np.asarray(exact(x.astype(np.longdouble)))
    distance = errors(getattr(native, name)(x), wanted)
    assert distance.max() <= double, f"float64: {x[distance.argmax()]!r}"


def test_square_roots_are_rounded_right(native):
    for exponent in (0, 1):  # every mantissa; other exponents differ by whole powers of two
        for part in range(8):
            mantissas = np.arange(part << 20, (part + 1) << 20, dtype=np.uint32)
            x = (mantissas | np.uint32((127 + exponent) << 23)).view(np.float32)
            assert np.array_equal(native.sqrt(x), np.sqrt(x))
    edges = np.array([2.0**-100, 2.0**100, 2.0**-126, 2.0**127, 2.0**-149, 0.0], np.float32)
    for x in (edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(np.inf))):
        for each in x:
            assert np.array_equal(native.sqrt(np.full(16, each)), np.sqrt(np.full(16, each)))


@pytest.mark.parametrize("narrow", [np.float32, np.float64])
def test_powers(native, narrow):
    wide = np.float64 if narrow is np.float32 else np.longdouble
    if np.finfo(wide).nmant <= np.finfo(narrow).nmant:
        pytest.skip("long double is no wider than double here")
    word, reach = (np.uint32, 2e4) if narrow is np.float32 else (np.uint64, 2e5)
    rng = np.random.default_rng(5)
    special = [
        0.0,
        -0.0,
        1,
        -1,
        2,
        -2,
        3,
        -3,
        0.5,
        -0.5,
        1.5,
        np.inf,
        -np.inf,
        np.nan,
        1e-45,
        1e38,
        -1e38,
        1e10,
        16777216,
        16777215,
        -7,
        2.0**53,
        2.0**53 - 1,
        1e300 if narrow is np.float64 else 1e30,
    ]
    a, b = (m.ravel().astype(narrow) for m in np.meshgrid(special, special))
    more = (rng.normal(size=20_000) * 3).astype(narrow), (rng.normal(size=20_000) * 10).astype(narrow)
    whole = more[0], np.round(more[1])
    bits = tuple(rng.integers(0, np.iinfo(word).max, 20_000, dtype=word).view(narrow) for _ in range(2))
    near = (1 + rng.normal(size=20_000) * 1e-3).astype(narrow), (rng.normal(size=20_000) * reach).astype(narrow)
    extreme = np.exp(rng.uniform(-300, 300, 20_000)).astype(np.float64), rng.uniform(-2.3, 2.3, 20_000)
    cases = [(a, b), more, whole, bits, near, (np.abs(more[0]), more[1])]
    for base, exponent in [*cases, extreme] if narrow is np.float64 else cases:
        with np.errstate(all="ignore"):
            wanted = np.power(base.astype(wide), exponent.astype(wide))
        assert errors(native.pow(base, exponent), wanted).max() <= 1


@pytest.mark.parametrize("exponent", [0.5, -0.5, 2, 3, -1, -2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_powers_without_logarithms(compare, exponent, dtype):
    x = np.concatenate([np.linspace(-3, 3, 99), [0.0, -0.0, np.inf, -np.inf, np.nan]]).astype(dtype)
    compare("pow", x, np.array(exponent, dtype))


@pytest.mark.parametrize("exponent", [2, 3, 4, 1.5, 0.5, -1, 2.7, -0.3, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_cotangents_of_powers(compare, exponent, dtype):
    x = np.concatenate([np.linspace(-3, 3, 99), [0.0, -0.0, np.inf, -np.inf, np.nan]]).astype(dtype)
    near = {"rtol": 4 * np.finfo(dtype).eps}  # the powers themselves are within one digit of each other
    served = None if dtype is np.float64 and exponent in (2.7, -0.3, 7) else True  # a general one needs fused multiplication
    compare("pow_backward", np.linspace(-2, 2, x.size).astype(dtype), x, exponent, served=served, **near)


def test_whole_results_are_exact(native):
    for name, base in (("log2", 2.0), ("log10", 10.0)):
        powers = np.arange(0, 30 if base == 2 else 11)
        assert np.array_equal(getattr(native, name)((base**powers).astype(np.float32)), powers)
    whole = np.arange(-126, 128)
    assert np.array_equal(native.exp2(whole.astype(np.float32)), 2.0**whole)
