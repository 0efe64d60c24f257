"""Running sums, products, extremes and log-sums against torch."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
inf, nan = np.inf, np.nan

FLOATS = [np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), np.dtype(ml_dtypes.bfloat16)]
INTS = [np.dtype(c) for c in ("i8", "i4", "u1", "?")]


def values(dtype, shape=(3, 7, 4)):
    rng = np.random.default_rng(5)
    if dtype.kind in "iub":
        return rng.integers(0, 2 if dtype.kind == "b" else 9, shape).astype(dtype)
    return rng.uniform(-2, 2, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS], ids=str)
def test_sums_and_products(parity, dtype):
    x = values(dtype)
    for v in (x, x.transpose(2, 0, 1), x[:, ::2], x[:0]):
        for dim in range(3):
            t = parity.tensor(v)
            parity.check(reference.cumsum(v, dim), t.cumsum(dim), rtol=1e-13 if dtype == np.float64 else None)
            parity.check(reference.cumprod(v, dim), t.cumprod(dim), rtol=1e-13 if dtype == np.float64 else None)
    parity.check(reference.cumsum(x, 1, np.dtype("f4")), parity.tensor(x).cumsum(1, dtype=torch.float32))
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.cumsum(zero, 0), parity.tensor(zero).cumsum(0))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS], ids=str)
def test_extremes(parity, dtype):
    x = values(dtype)
    for v in (x, x.transpose(2, 0, 1), np.round(x.astype(np.float32)).astype(dtype)):
        for dim in range(3):
            parity.check(reference.cummax(v, dim), parity.tensor(v).cummax(dim))
            parity.check(reference.cummin(v, dim), parity.tensor(v).cummin(dim))
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.cummax(zero, 0), parity.tensor(zero).cummax(0))


def test_extremes_with_nan(parity):
    x = np.array([1, 1, nan, 5, nan, inf, -inf, 0], np.float32)
    parity.check(reference.cummax(x, 0), parity.tensor(x).cummax(0))
    parity.check(reference.cummin(x, 0), parity.tensor(x).cummin(0))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_logcumsumexp(parity, dtype):
    x = values(dtype)
    for dim in range(3):
        wanted = parity.tensor(x).logcumsumexp(dim)
        parity.check(reference.logcumsumexp(x, dim), wanted, rtol=1e-13 if dtype == np.float64 else None)
    s = np.array([-inf, -inf, 1, 1000, inf, 2, nan, 0], np.float32)
    parity.check(reference.logcumsumexp(s, 0), parity.tensor(s).logcumsumexp(0))


def test_float32_sums_are_rounded_once_per_element(parity):
    x = np.random.default_rng(0).random(100_000, dtype=np.float32)
    parity.check(reference.cumsum(x, 0), parity.tensor(x).cumsum(0), rtol=0, atol=0)
