"""Running sums and products, and largest and smallest elements with their places: native kernels against the reference."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

CASES = [
    ((1,), 0), ((7,), 0), ((1000,), 0), ((140001,), 0), ((3, 40), 1), ((3, 40), 0), ((2, 140000), 1), ((5, 6, 300), 1),
    ((4, 3, 2), 1), ((300, 90), 0), ((300, 90), 1),
    ((2, 1, 3), 1),
]  # fmt: skip


def numbers(*shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 3, dtype=dtype)


def views(x):
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return [last, HiddenArray(last), x[::-1], x[..., ::2], x.transpose(1, 0, 3, 2)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_running(compare, shape, dim, dtype):
    x = numbers(*shape, dtype=dtype)
    exact = (
        {}
        if dtype == np.int64
        else {"rtol": 2e-7 if dtype == np.float32 else 1e-12, "atol": 1e-6 if dtype == np.float32 else 1e-10}
    )
    compare("cumsum", x, dim, same_strides=False, **exact)
    factors = x if dtype == np.int64 else np.asarray(1 + x / 1e4, dtype)
    compare(
        "cumprod",
        factors,
        dim,
        same_strides=False,
        **({} if dtype == np.int64 else {"rtol": 2e-7 if dtype == np.float32 else 1e-11}),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("name", ["argmax", "argmin", "max_dim", "min_dim"])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_places(compare, name, shape, dim, dtype):
    x = numbers(*shape, dtype=dtype)
    x.reshape(-1)[::3] = np.round(x.reshape(-1)[::3])  # ties
    for keepdim in (False, True):
        compare(name, x, dim, keepdim, same_strides=False)
        if name.startswith("arg"):
            compare(name, x, None, keepdim, same_strides=False)


def test_layouts(compare):
    for x in views(numbers(3, 4, 6, 8)):
        for dim in range(4):
            compare("cumsum", x, dim, same_strides=False, rtol=1e-6, atol=1e-6)
            compare("max_dim", x, dim, same_strides=False)
            compare("argmin", x, None, same_strides=False)


def test_special_values(compare):
    x = numbers(8, 40)
    x[0, 3], x[1, 5], x[2, 7], x[2, 9], x[3], x[4], x[5, -1] = np.inf, -np.inf, np.nan, np.nan, -np.inf, np.inf, np.nan
    for dim in (0, 1):
        for name in ("argmax", "argmin", "max_dim", "min_dim"):
            compare(name, x, dim, same_strides=False)
        compare("cumsum", x, dim, rtol=1e-6, atol=1e-6)
    long = numbers(100000)
    long[70000:70002] = np.nan
    for name in ("argmax", "argmin"):
        compare(name, long, 0)
        compare(name, np.where(np.isnan(long), np.float32(50), long), 0)


def test_declined(compare):
    x = numbers(4, 6)
    compare("cumsum", x[:0], 0, served=False)
    compare("cumsum", x.astype(np.float16), 0, served=False, rtol=1e-2)
    compare("cumsum", x > 0, 0, served=False)
    compare("argmax", x.astype(np.float16), 0, served=False)
    compare("max_dim", np.float32(3)[...], 0, served=False)
