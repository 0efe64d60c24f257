"""Sorting and the k largest against NumPy: lengths, dims, types, equal elements, NaN, zeros of both signs, long rows."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [np.dtype(t) for t in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, BFLOAT16, np.float32, np.float64)]
LENGTHS = [1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300, 1000, 5000]


def numbers(*shape, dtype=np.float32, seed=0, scale=50.0):
    with np.errstate(all="ignore"):
        return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale, dtype=dtype)


def special(*shape, dtype=np.float32):
    """Few different values, so that many are equal, NaN and signed zeros among them."""
    values = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, -np.nan, 2.5, 1e-40, -1e-40, 3e38], dtype=dtype)
    return values[np.random.default_rng(3).integers(0, len(values), shape)]


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths(compare, length):
    for descending in (False, True):
        for x in (numbers(3, length), special(3, length), numbers(2, length, dtype=np.int64), special(2, length, dtype=np.float64)):
            compare("sort", x, 1, descending, False)
            compare("argsort", x, 1, descending, True)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types(compare, dtype):
    for shape, dim in [((4, 30), 1), ((5, 300), 1), ((30, 6), 0), ((3, 200, 4), 1), ((3, 200, 4), -2)]:
        for descending in (False, True):
            for scale in (2, 50, 1e5):
                compare("sort", numbers(*shape, dtype=dtype, scale=scale), dim, descending, same_strides=False)
    with np.errstate(all="ignore"):
        whole = np.array([0, 1, 2**31 - 1, -(2**31), 2**62, -(2**63), -1, 255, 128, 127]).astype(dtype)
    compare("sort", np.tile(whole, 30), 0)


def test_layouts(compare):
    x = numbers(20, 30, 40)
    for y in (x.transpose(2, 0, 1), x[:, ::2], x[:, :, ::-1], np.broadcast_to(x[:, :1], x.shape), x[3, 4, 5:6], x[:0], x[:, :, :1]):
        for dim in range(y.ndim):
            compare("sort", y, dim, True, same_strides=False)
            compare("argsort", y, dim, same_strides=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_long_rows(compare, dtype):
    x = numbers(200_000, dtype=dtype)
    compare("sort", x, 0, False)
    compare("sort", x.reshape(-1, 1), 0, True)
    compare("sort", np.stack([x, x[::-1]]), 1)
    compare("sort", np.stack([x, x[::-1]], 1), 0, same_strides=False, served=False)
    compare("sort", np.zeros_like(x), 0, True)


def test_shared_rows(compare):
    compare("sort", numbers(300, 200), 1)
    compare("sort", numbers(2000, 33), 0, same_strides=False)
    compare("sort", numbers(3000, 20), 1)
