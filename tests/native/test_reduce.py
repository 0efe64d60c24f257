"""Reductions: native kernels against the NumPy reference over shapes, dimensions, layouts, dtypes, odd values and threads."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

# Shape and reduced dimensions: rows, columns, middles, both ends (bias gradients), short runs between, one element, all.
CASES = [
    ((), ()), ((1,), (0,)), ((2,), (0,)), ((37,), (0,)), ((5000,), (0,)), ((300001,), (0,)), ((4, 7), (0,)), ((4, 7), (1,)),
    ((4, 7), (0, 1)), ((1000, 3), (0,)),
    ((70000, 5), (0,)), ((6, 700), (0,)), ((6, 700), (1,)), ((3, 90, 5), (1,)), ((3, 5, 90), (0, 2)),
    ((9, 40, 2, 2), (0, 2, 3)), ((2, 3, 40, 50), (0, 2, 3)),
    ((200, 30, 5, 5), (0, 2, 3)), ((3, 4, 5, 6), (1, 3)), ((3, 4, 5, 6), (0, 2)), ((3, 1, 5, 1), (1, 2)), ((4, 1100), (0,)),
    ((2, 600, 130), (1,)), ((3, 200, 600), (0, 1)),
]  # fmt: skip
FLOATS = ["sum", "mean", "nansum", "amax", "amin", "prod", "var", "std"]


def numbers(*shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * 2 + 0.5
    return np.asarray(values, dtype=dtype)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def tolerance(name, dtype, scale):
    if name in ("amax", "amin"):
        return {}
    if name == "prod":  # NumPy's multiplies one after the other
        return {"rtol": 1e-3 if dtype == np.float32 else 1e-11}
    eps = 1e-6 if dtype == np.float32 else 1e-13
    return {"rtol": 20 * eps, "atol": 4 * eps * max(scale, 1.0) ** 0.5}


def extent(shape, dims):
    return float(np.prod([shape[d] for d in dims]))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(("shape", "dims"), CASES, ids=str)
def test_floats(compare, name, shape, dims, dtype, keepdim):
    x = numbers(*shape, dtype=dtype)
    if name == "prod":
        x = np.asarray(1 + x / 1e4, dtype)
    if name in ("var", "std"):
        correction = 1 if extent(shape, dims) > 1 else 0
        compare(name, x, dims, correction, keepdim, **tolerance(name, dtype, 1))
    else:
        scale = extent(shape, dims) if name in ("sum", "nansum") else 1
        compare(name, x, dims, keepdim, same_strides=False, **tolerance(name, dtype, scale))


@pytest.mark.parametrize("dims", [(0,), (1,), (3,), (0, 2, 3), (2, 3), (1, 2), (0, 1, 2, 3)], ids=str)
@pytest.mark.parametrize("name", ["sum", "mean", "amax", "var"])
def test_layouts(compare, name, dims):
    x = numbers(6, 20, 9, 7)
    last = channels_last(x)
    views = [last, HiddenArray(last), x.transpose(2, 0, 3, 1), x[::-1], numbers(6, 20, 9, 14)[..., ::2],
    numbers(6, 20, 18, 7)[:, :, ::2], x[:, :, :, ::-1],
             np.broadcast_to(numbers(20, 1, 1), x.shape), np.broadcast_to(np.float32(2), x.shape)]  # fmt: skip
    for view in views:
        args = (view, dims, 1, True) if name == "var" else (view, dims, True)
        compare(name, *args, same_strides=False, **tolerance(name, np.float32, extent(x.shape, dims)))


@pytest.mark.parametrize(("shape", "dims"), CASES[3:20], ids=str)
def test_integers_and_bool(compare, shape, dims):
    wide = (numbers(*shape, dtype=np.float64) * 50).astype(np.int64)
    for dtype in (np.int64, np.int32, np.uint8, bool):
        x = wide.astype(dtype)
        compare("sum", x, dims, same_strides=False)
        compare("count_nonzero", x, dims, same_strides=False)
        if dtype != np.uint8:
            compare("any", x * 0, dims, same_strides=False)
            compare("any", x, dims, same_strides=False)
    for name in ("amax", "amin", "prod"):
        compare(name, wide % 3 + 1, dims, same_strides=False)
    for x in (wide, wide > 0, np.ones_like(wide) > 0, numbers(*shape)):
        compare("all", x, dims, same_strides=False)


@pytest.mark.parametrize("p", [1.0, 2.0, np.inf])
@pytest.mark.parametrize(("shape", "dims"), CASES, ids=str)
def test_norms(compare, p, shape, dims):
    compare("norm", numbers(*shape), p, dims, same_strides=False, rtol=1e-5)
    compare("norm", numbers(*shape, dtype=np.float64), p, dims, True, same_strides=False, rtol=1e-12)


def test_special_values(compare):
    x = numbers(6, 40)
    x[0, 3], x[1, 5], x[2, 7], x[3, 0], x[3, 1] = np.inf, -np.inf, np.nan, np.inf, -np.inf
    x[4], x[5, ::2] = 3e38, 0.0
    for name in ("sum", "mean", "nansum", "amax", "amin", "prod", "any", "all", "var"):
        for dims in ((0,), (1,), (0, 1)):
            args = (x, dims, 1) if name == "var" else (x, dims)
            if name in ("sum", "nansum", "mean") and dims != (0,):
                continue  # float32 partial sums overflow in the reference
            if name == "prod" and dims != (0,):
                continue  # the order decides where it overflows
            compare(name, *args, same_strides=False, rtol=1e-5)
    for small in (np.float32(1e-30), np.float32(1e30), np.float32(1e-42)):
        compare("norm", np.full((3, 50), small), 2.0, (1,), rtol=1e-5)
    zeros = np.array([[0.0, -0.0], [-0.0, -0.0]], np.float32)
    compare("sum", zeros[:, :1], (1,))


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((1 << 20,), (0,)), ((1 << 16, 16), (0,)), ((16, 1 << 16), (1,)), ((64, 8, 1000), (0, 2))],
    ids=str,
)
def test_sums_are_accurate(native, shape, dims):
    x = np.asarray(np.random.default_rng(3).random(shape), np.float32)
    exact = x.astype(np.float64).sum(dims)
    np.testing.assert_allclose(native.sum(x, dims), exact, rtol=1.2e-7)
    np.testing.assert_allclose(native.var(x, dims), x.astype(np.float64).var(dims, ddof=1), rtol=4e-7)


def test_declined(compare):
    x = numbers(4, 6)
    compare("sum", x.astype(np.float16), (0,), served=False, rtol=1e-2)
    compare("sum", x, (0,), False, np.dtype(np.float64), served=False)
    compare("sum", x, (), served=False)
    compare("sum", x[:0], (0,), served=False)
    compare("any", x.astype(np.uint8), (0,), served=False)
    with pytest.raises(IndexError):
        compare("amax", x[:0], (0,), served=False)
