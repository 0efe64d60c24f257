"""Joining, padding and moving runs of memory against NumPy: dims, layouts, types, empties, hidden arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

TYPES = [
    np.dtype(t)
    for t in (
        bool,
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.float16,
        ml_dtypes.bfloat16,
        np.float32,
        np.float64,
        np.complex128,
    )
]


def numbers(*shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 9, dtype=dtype)


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("lengths", [(3,), (2, 5), (1, 0, 4), tuple(range(1, 14)), (40, 900)])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 1), (20, 30, 20)])
def test_cat(compare, shape, lengths, dim):
    arrays = [numbers(*(n if d == dim else m for d, m in enumerate(shape)), seed=k) for k, n in enumerate(lengths)]
    compare("cat", arrays, dim)
    compare("cat", tuple(arrays), dim)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types(compare, dtype):
    x, y = numbers(5, 6, 7, dtype=dtype), numbers(5, 6, 7, dtype=dtype, seed=1)
    for dim in range(3):
        compare("cat", [x, y], dim)
        compare("stack", [x, y, x], dim)
        compare("roll", x, (3,), (dim,))
        compare("flip", x, (dim,))
    compare("stack", [x, y], 3)
    compare("stack", [x, y], -1)
    compare("repeat", x, (2, 3, 1, 2))
    compare("tril", x, -1)
    compare("triu", x, 2)
    if dtype.itemsize <= 8:
        compare("constant_pad", x, (1, 2, 0, 3), 0)
        compare("constant_pad_backward", x, (1, 2, 0, 3))


def test_stacked_numbers(compare):
    compare("stack", [numbers(), numbers(seed=1)], 0)


def test_joined_layouts(compare):
    x, y = numbers(20, 30, 40), numbers(20, 30, 40, seed=1)
    for other in (y[:, ::2], y[:, :, ::-1][:, ::2], y[:, 3:18], np.broadcast_to(y[:, :1], (20, 15, 40))):
        compare("cat", [x[:, :15], other], 1, served=None)
        compare("stack", [x[:, :15], other], 1, served=None)
    compare("cat", [x[:, ::2], y[:, 1::2], x[:, :15]], 0)
    compare("stack", [x[:, ::2], y[:, 1::2]], 0)
    compare("cat", [x.transpose(2, 0, 1), y.transpose(2, 0, 1)], 0)
    compare("stack", [x.transpose(2, 0, 1), y.transpose(2, 0, 1)], 1)
    compare("stack", [x.transpose(2, 0, 1), np.ascontiguousarray(y.transpose(2, 0, 1))], 3)
    compare("cat", [np.zeros(0, np.float32), x], 1, served=False)
    last = [channels_last(numbers(3, n, 5, 6)) for n in (4, 9)]
    compare("cat", last, 1)
    compare("cat", [last[0], last[0]], 0)
    compare("cat", [last[0], last[0]], 2)
    compare("cat", [last[0], last[0]], 3)
    compare("cat", [last[0], numbers(3, 2, 5, 6)], 1)
    compare("cat", [numbers(3, 2, 5, 6), last[0]], 1)
    compare("stack", [last[0], last[0]], 2, served=False)


@pytest.mark.parametrize("dim", range(4))
def test_hidden_arrays(native, dim):
    x, y = numbers(3, 16, 9, 10), numbers(3, 16, 9, 10, seed=1)
    hidden = [HiddenArray(channels_last(a)) for a in (x, y)]
    before = native.cat.calls
    for arrays in (hidden, tuple(hidden), [hidden[0], y], [x, hidden[1]]):
        joined = native.cat(arrays, dim)
        assert type(joined) is HiddenArray and np.array_equal(joined.default(), np.concatenate([x, y], dim))
        assert np.moveaxis(joined.array, 1, -1).flags.c_contiguous
    assert native.cat.calls == before + 4
    mixed = native.cat([hidden[0], channels_last(y)], dim)  # the user's layout and ours: the default
    assert type(mixed) is np.ndarray and np.array_equal(mixed, np.concatenate([x, y], dim))
    assert np.array_equal(native.stack(hidden, dim), np.stack([x, y], dim))


@pytest.mark.parametrize(
    "pads",
    [
        (1, 1),
        (0, 3),
        (-1, 2),
        (2, -3),
        (1, 2, 3, 4),
        (0, 0, 1, 1),
        (0, 0, -2, 1),
        (1, 1, 0, 0, 2, 3),
        (-5, -5),
        (0, 0),
        (0, 0, 0, 0, 4, 0),
    ],
)
def test_padding(compare, pads):
    for x in (
        numbers(6, 8, 10),
        numbers(40, 50, 60),
        numbers(6, 8, 20)[:, :, ::2],
        numbers(6, 10, 8).transpose(0, 2, 1),
    ):
        compare("constant_pad", x, pads, 0)
        compare("constant_pad", x, pads, -2.5)
        compare("constant_pad_backward", x, pads)
    if min(pads) >= 0:
        compare("constant_pad", numbers(3, 0, 12), pads, 7)
    compare("constant_pad", numbers(3, 4, 12, dtype=np.float64), pads, float("nan"))
    compare("constant_pad", numbers(3, 4, 12, dtype=np.int64), pads, 3, served=False)


def test_too_much_cropped(native):
    with pytest.raises(RuntimeError, match="negative output size"):
        native.constant_pad(numbers(3, 4), (-3, -2), 0)


def test_moves(compare):
    x = numbers(70, 80, 90)
    for y in (x, x[:, ::2], x.transpose(2, 0, 1), x[:0], x[3, 4, 5:6], np.broadcast_to(x[:1], x.shape)):
        compare("flip", y, (0,))
        compare("flip", y, tuple(range(y.ndim)))
        compare("repeat", y, (2,) + (1,) * (y.ndim - 1) + (3,))
        compare("repeat", y, (0,) + (1,) * y.ndim)
    compare("flip", np.array(3.0, np.float32), ())
    compare("repeat", np.array(3.0, np.float32), (4,))
    compare("flip", x, (-1, 0))
    for shift in (0, 1, -1, 200, -333):
        compare("roll", x, (shift,), (1,))
        compare("roll", x, (shift,), (2,))
        compare("roll", x, (shift,), ())
    compare("roll", x, (1, 2), (0, 1), served=False)
    for diagonal in (-100, -79, -3, 0, 5, 89, 200):
        compare("tril", x, diagonal)
        compare("triu", x, diagonal)
    compare("tril", x[:, ::2], served=False)


@pytest.mark.parametrize("mode", ["reflection", "replication", "circular"])
@pytest.mark.parametrize(
    "pads",
    [
        (1, 1),
        (0, 3),
        (2, -3),
        (-1, -1),
        (1, 2, 3, 4),
        (0, 0, 1, 1),
        (2, 1, 0, 0),
        (1, 1, 0, 0, 2, 3),
        (3, 3, -2, 1, 1, 0),
    ],
)
def test_padding_with_own_elements(compare, mode, pads):
    for shape in ((2, 6, 8, 10), (20, 7, 33, 40)):
        x = numbers(*shape)
        compare(f"{mode}_pad", x, pads)
        compare(f"{mode}_pad", x.transpose(0, 1, 3, 2)[:, :, :7, :6], pads)
        grad = numbers(*(n + sum(p) for n, p in zip(shape, _by_dim(pads, 4), strict=True)), seed=1)
        compare(f"{mode}_pad_backward", grad, shape, pads, rtol=1e-5, atol=1e-5)
        compare(f"{mode}_pad_backward", grad.astype(np.float16), shape, pads, rtol=2e-3, atol=5e-2)


def _by_dim(pads, ndim):
    pairs = [(pads[2 * i], pads[2 * i + 1]) for i in range(len(pads) // 2)]
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


def test_too_wide_borders(native):
    for name, pads in (("reflection_pad", (4, 0)), ("circular_pad", (0, 5))):
        with pytest.raises(RuntimeError):
            getattr(native, name)(numbers(2, 3, 4), pads)
