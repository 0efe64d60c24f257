"""What lies under a mask against NumPy: lengths around the blocks, broadcasting, layouts, types."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

TYPES = [
    np.dtype(t)
    for t in (bool, np.int8, np.int16, np.int32, np.int64, np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
]


def numbers(*shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 9, dtype=dtype)


def mask(*shape, share=0.4):
    return np.random.default_rng(1).random(shape) < share


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize(
    "shape", [(1,), (127,), (1025,), (16_385,), (3, 5), (300, 130), (40, 1, 7), (2, 3000), (30, 40, 50), (70_000, 2)]
)
def test_shapes(compare, shape, share):
    x, m = numbers(*shape), mask(*shape, share=share)
    compare("nonzero", m)
    compare("masked_select", x, m)
    compare("masked_scatter", x, m, numbers(max(1, int(m.sum())), seed=2))
    compare("masked_scatter", x, m, numbers(*shape, seed=2))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types(compare, dtype):
    x, m = numbers(30, 40, dtype=dtype), mask(30, 40)
    compare("masked_select", x, m)
    compare("masked_scatter", x, m, x[::-1])
    compare("nonzero", np.where(m, x, np.zeros_like(x)))


def test_layouts(compare):
    x, m = numbers(30, 40, 50), mask(30, 40, 50)
    compare("masked_select", x, m[0])
    compare("masked_select", x[0], m)
    compare("masked_select", x.transpose(2, 0, 1), mask(50, 30, 40))
    compare("masked_select", x[:, ::2], m[:, 1::2])
    compare("masked_scatter", x[:, ::2], m[:, 1::2], x)
    compare("masked_scatter", x[0], m, x)
    compare("nonzero", x > 3)
    compare("nonzero", (x > 3).transpose(2, 0, 1), served=None)
    compare("nonzero", np.array([0.0, -0.0, np.nan, np.inf, 1e-45], np.float32))


def test_nothing(compare):
    compare("nonzero", np.zeros((0, 3), bool))
    compare("masked_select", numbers(0, 3), mask(0, 3))
    compare("masked_select", numbers(3), np.zeros((), bool))
    compare("masked_scatter", numbers(3), np.zeros(3, bool), numbers(0), served=False)


def test_too_few(native):
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones in mask"):
        native.masked_scatter(numbers(5), np.ones(5, bool), numbers(4))
