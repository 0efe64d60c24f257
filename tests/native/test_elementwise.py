"""Elementwise native kernels against NumPy: shapes, strides, alignments, tails, NaN and infinities, empties."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

BINARY = ["add", "sub", "mul", "div"]


def numbers(*shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * 3 + 0.5
    return np.asarray(values, dtype=dtype)


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 1000, 16385, 70001])
def test_lengths(compare, name, dtype, length):
    compare(name, numbers(length, dtype=dtype), numbers(length, dtype=dtype, seed=1))


@pytest.mark.parametrize("name", BINARY)
def test_special_values(compare, name):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38, -1.0], np.float32)
    a, b = (np.ascontiguousarray(m.ravel()) for m in np.meshgrid(special, special))
    compare(name, a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 5, 6), (6,)), ((4, 5, 6), (5, 1)), ((4, 1, 6), (1, 5, 1)), ((), (7,)), ((3, 1), (1, 300)), ((200, 300), ()), ((0, 3), (3,)),
        ((2, 70000), (2, 1)),
    ],
)
def test_broadcasting(compare, a, b):
    compare("sub", numbers(*a), numbers(*b, seed=1))
    compare("sub", numbers(*b), numbers(*a, seed=1))


def test_strides(compare):
    x = numbers(8, 9, 10)
    compare("mul", x.transpose(2, 0, 1), x.transpose(2, 0, 1))
    compare("mul", x[:, ::2], x[:, ::2])
    compare("mul", x[:, ::2], x[:, :1, :].transpose(0, 1, 2))
    compare("mul", np.broadcast_to(x[0, 0], x.shape), x)
    compare("mul", np.broadcast_to(x[:, :, :1], x.shape), np.broadcast_to(x[:1], x.shape))
    compare("mul", x.transpose(0, 2, 1), x.reshape(8, 10, 9), served=False)  # two layouts: NumPy's choice
    compare("mul", x[:, :, ::-1], x, served=False)
    unaligned = np.zeros(4 * 30 + 1, np.uint8)[1:].view(np.float32)
    compare("mul", unaligned, unaligned, served=False)


def test_out(compare, native):
    a, b = numbers(5, 40), numbers(40, seed=1)
    out = np.empty_like(a)
    assert native.add(a, b, out) is out and np.array_equal(out, a + b)
    expected = a * b
    assert native.mul(a, b, out=a) is a and np.array_equal(a, expected)  # in place
    shifted = numbers(50)
    wanted = shifted[:-1] + shifted[1:]
    before = native.add.declined
    native.add(shifted[:-1], shifted[1:], out=shifted[1:])  # overlaps: NumPy's business
    assert native.add.declined == before + 1 and np.array_equal(shifted[1:], wanted)


def test_hidden_arrays(native):
    x, y = numbers(2, 5, 3, 4), numbers(2, 5, 3, 4, seed=1)
    hidden = HiddenArray(channels_last(x))
    for other in (y, HiddenArray(channels_last(y)), numbers(5, 1, 1, seed=2)):
        found = native.add(hidden, other)
        assert type(found) is HiddenArray and found.array.strides == hidden.array.strides
        assert np.array_equal(found.default(), x + (other.default() if type(other) is HiddenArray else other))
    # A layout that the user chose is the user's: nothing is hidden beside it.
    assert type(native.add(channels_last(x), channels_last(y))) is np.ndarray
    assert type(native.add(hidden, channels_last(y))) is np.ndarray


def test_large_results_come_from_the_pool(native):
    stats = native._module.memory_stats
    a = numbers(300, 300)
    native._module.empty_cache()
    before = stats()
    first = native.add(a, a)
    assert type(first.base).__name__ == "Block" and first.ctypes.data % 64 == 0
    assert stats()["used_bytes"] > before["used_bytes"]
    view = first[1:]
    del first
    assert stats()["idle_bytes"] == 0  # the view holds it
    del view
    assert stats()["idle_bytes"] > 0
    second = native.add(a, a)
    assert stats()["reused"] == before["reused"] + 1 and np.array_equal(second, a + a)
