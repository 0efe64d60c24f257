"""Picking, writing and adding by index against NumPy: dims, layouts, types, repeated indices, what is out of bounds."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [
    np.dtype(t) for t in (bool, np.int8, np.int16, np.int32, np.int64, np.float16, BFLOAT16, np.float32, np.float64)
]
SUMS = [np.dtype(t) for t in (np.int32, np.int64, np.float16, BFLOAT16, np.float32, np.float64)]
CLOSE = {np.dtype(np.float16): 2e-3, BFLOAT16: 2e-2, np.dtype(np.float32): 2e-6, np.dtype(np.float64): 1e-14}


def numbers(*shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 9, dtype=dtype)


def indices(high, *shape, dtype=np.int64, seed=1, low=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def close(dtype):
    return {"rtol": CLOSE.get(np.dtype(dtype), 0), "atol": 9 * CLOSE.get(np.dtype(dtype), 0)}


# (shape, dim, count): slices of one element, of part of a vector, of many vectors; small and shared among threads
SHAPES = [
    ((7,), 0, 5),
    ((50_000,), 0, 70_000),
    ((4, 6), 1, 9),
    ((300, 40), 1, 500),
    ((6, 3), 0, 11),
    ((40, 33), 0, 90),
    ((500, 128), 0, 900),
    ((5, 20, 17), 1, 30),
    ((3, 4, 50, 40), 2, 60),
    ((9, 40_000), 0, 4),
    ((2, 5, 1), 1, 3),
    ((3, 200, 2), 1, 9000),
    ((70, 1), 0, 3),
]


@pytest.mark.parametrize(("shape", "dim", "count"), SHAPES)
def test_slices(compare, shape, dim, count):
    x, index = numbers(*shape), indices(shape[dim], count)
    source = numbers(*shape[:dim], count, *shape[dim + 1 :], seed=2)
    compare("index_select", x, dim, index)
    compare("index_copy", x, dim, index, source)
    compare("index_fill", x, dim, index, np.full((), 2.5, np.float32))
    compare("index_fill", x, dim, index - shape[dim], np.full((), -1, np.float32))
    compare("index_add", x, dim, index, source, rtol=1e-5, atol=2e-5)
    compare("index_add", x, dim, index, source, -2.5, rtol=1e-5, atol=5e-5)
    everything = (slice(None),) * dim
    for number in (index, index - shape[dim], index[: count // 2 * 2].reshape(2, -1)):
        compare("index_get", x, (*everything, number))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_types(compare, dtype):
    x, source, index = numbers(30, 11, dtype=dtype), numbers(30, 8, dtype=dtype, seed=2), indices(11, 8)
    for kind in (np.int64, np.int32, np.int16):
        compare("index_select", x, 1, index.astype(kind))
        compare("embedding", x, indices(30, 4, 5).astype(kind))
    compare("index_copy", x, 1, index, source)
    compare("take", x, indices(330, 40, 2, low=-330))
    compare("put", x, indices(330, 40, 2, low=-330), numbers(40, 2, dtype=dtype))
    compare("index_fill", x, 0, indices(30, 4), np.full((), 3, dtype))
    compare("gather", x, 1, indices(11, 30, 8))
    compare("scatter", x, 1, indices(11, 30, 8), source)
    compare("scatter", x, 1, indices(11, 30, 8), source[0, :1].reshape(()))


@pytest.mark.parametrize("dtype", SUMS, ids=str)
def test_sums_of_every_type(compare, dtype):
    x, source, index = numbers(30, 11, dtype=dtype), numbers(30, 8, dtype=dtype, seed=2), indices(11, 8)
    compare("index_add", x, 1, index, source, **close(dtype))
    compare("scatter_add", x, 1, indices(11, 30, 8), source, **close(dtype))
    for reduce in ("sum", "prod", "amax", "amin"):
        for include_self in (True, False):
            compare("scatter_reduce", x, 1, indices(11, 30, 8), source, reduce, include_self, **close(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, BFLOAT16], ids=str)
@pytest.mark.parametrize(
    ("rows", "width", "count"), [(9, 3, 20), (300, 128, 700), (1000, 33, 400), (5, 200, 3000), (4000, 1, 9000)]
)
def test_embedding_gradient(compare, rows, width, count, dtype):
    index, g = indices(rows, count), numbers(count, width, dtype=dtype)
    for padding, by_frequency in ((-1, False), (2, False), (-1, True), (2, True)):
        rtol = 4 * CLOSE[np.dtype(dtype)]
        compare("embedding_backward", g, index, rows, padding, by_frequency, rtol=rtol, atol=100 * rtol)
    compare(
        "embedding_backward", g.reshape(-1, 1, 1, width), index.reshape(-1, 1), rows + 5, 0, False, rtol=1e-2, atol=1
    )


def test_sums_are_added_in_order(native):
    """A row's sum is that of a loop over the indices, to the bit, in the serial and in the shared form."""
    for count in (50, 5000):
        index, g = indices(7, count), numbers(count, 64)
        wanted = np.zeros((7, 64), np.float32)
        for i, row in zip(index, g, strict=True):
            wanted[i] += row
        assert native.embedding_backward(g, index, 7, -1, False).tobytes() == wanted.tobytes()


# (shape of x, of the index, dim)
LINES = [
    ((7,), (5,), 0),
    ((50_000,), (60_000,), 0),
    ((5, 9), (5, 20), 1),
    ((300, 200), (300, 150), 1),
    ((9, 5), (20, 5), 0),
    ((200, 300), (150, 300), 0),
    ((4, 6, 5), (3, 9, 2), 1),
    ((8, 30, 70), (8, 40, 70), 1),
    ((3, 5, 7, 9), (2, 4, 9, 8), 2),
    ((3, 5, 7, 9), (3, 5, 7, 30), 3),
    ((2, 40, 1), (2, 9, 1), 1),
    ((5000, 3), (4000, 3), 0),
    ((20_000, 2), (20_000, 1), 1),
]


@pytest.mark.parametrize(("shape", "index_shape", "dim"), LINES)
def test_lines(compare, shape, index_shape, dim):
    x, index, source = (
        numbers(*shape),
        indices(shape[dim], *index_shape),
        numbers(*(n + 1 for n in index_shape), seed=2),
    )
    compare("gather", x, dim, index)
    compare("gather", x, dim, index.astype(np.int32))
    compare("scatter", x, dim, index, source)
    compare("scatter", x, dim, index, np.array(3, np.float32))
    compare("scatter_add", x, dim, index, source)
    compare("scatter_reduce", x, dim, index, source, "amax", False)
    compare("scatter_reduce", x, dim, index, source, "prod", True, rtol=1e-5)


def test_layouts(compare):
    x, index = numbers(30, 40, 50), indices(30, 30, 40, 20)
    for y in (x.transpose(1, 0, 2)[:30, :30], x[:, ::2], x[:, :, ::-1], np.broadcast_to(x[:, :, :1], x.shape)):
        compare("index_select", y, 1, indices(y.shape[1], 9))
        compare("index_get", y, (slice(None), indices(y.shape[1], 9)))
        compare("gather", y, 0, index[:, : y.shape[1]])
        compare("index_add", y, 0, indices(y.shape[0], 6), y[:6], rtol=1e-5, atol=1e-5)
        compare("index_copy", y, 0, indices(y.shape[0], 6), y[:6])
        compare("scatter_add", y, 0, index[:, : y.shape[1]], y[:, :, :20])
        compare("embedding", y, indices(y.shape[0], 3, 2))
    expanded = np.broadcast_to(indices(50, 30, 1, 20), (30, 40, 20))
    compare("gather", x, 2, expanded)
    compare("scatter_add", x, 2, expanded, x)
    compare("gather", x, 1, np.broadcast_to(indices(40, 9)[:, None], (30, 9, 50)))
    compare("index_select", x, 0, indices(30, 20)[::2])


def test_neighbouring_index_arrays(compare):
    x = numbers(6, 7, 8, 9)
    i, j = indices(7, 40, low=-7), indices(8, 40, seed=3, low=-8)
    compare("index_get", x, (slice(None), i, j))
    compare("index_get", x, (i % 6, j % 7, i, j))
    compare("index_get", x, (slice(None), slice(None), i.reshape(4, 10), j.reshape(4, 10)))
    compare("index_get", x, (i % 6, slice(None), j), served=False)
    compare("index_get", x, (slice(None), i, j[:1]))
    compare("index_get", x, (i[:7, None] % 6, j[None, :5] % 7))
    compare("index_get", x, (i[:7] % 6, j[:35].reshape(5, 7).astype(np.int32) % 7, i[:5, None]))
    compare("index_get", x, (slice(1, 3), i), served=False)


@pytest.mark.parametrize("accumulate", [False, True])
def test_index_put(native, accumulate):
    from rushlight.backends.reference import reference

    x, i, j = numbers(60, 70, 8), indices(60, 90, low=-60), indices(70, 90, seed=3, low=-70)
    full = slice(None)
    cases = [
        ((i,), numbers(90, 70, 8)),
        ((i,), numbers(8)),
        ((i,), numbers(1).reshape(())),
        ((full, j), numbers(60, 90, 8)),
        ((i, j), numbers(90, 8)),
        ((i[:9, None], j[:5]), numbers(9, 5, 8)),
        ((i[:9, None], j[:5]), numbers(5, 1)),
        ((full, full, i % 8), numbers(60, 70, 90)),
        ((i.reshape(9, 10),), numbers(9, 10, 70, 8)),
        ((i, j, i % 8), numbers(90)),
    ]
    before = native.index_put.calls
    for key, values in cases:
        own, wanted = x.copy(), x.copy()
        assert native.index_put(own, key, values, accumulate) is own
        reference.index_put(wanted, key, values, accumulate)
        np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-4) if accumulate else np.testing.assert_array_equal(
            own, wanted
        )
    assert native.index_put.calls == before + len(cases)


CALLS = [
    ("index_select", (0, np.array([0, 7])), IndexError),
    ("index_select", (0, np.array([-1])), IndexError),
    ("index_add", (0, np.array([9]), np.ones((1, 4), np.float32)), IndexError),
    ("index_copy", (0, np.array([9]), np.ones((1, 4), np.float32)), IndexError),
    ("index_get", ((np.array([7]),),), IndexError),
    ("index_get", ((np.array([-8]),),), IndexError),
    ("index_put", ((np.array([7]),), np.ones(4, np.float32)), IndexError),
    ("embedding", (np.array([7]),), IndexError),
    ("take", (np.array([28]),), IndexError),
    ("put", (np.array([28]), np.ones(1, np.float32)), IndexError),
    ("gather", (0, np.full((1, 4), 7)), RuntimeError),
    ("gather", (0, np.full((1, 4), -1)), RuntimeError),
    ("gather", (0, np.zeros((1, 5), int)), RuntimeError),
    ("scatter", (0, np.full((1, 4), 7), np.ones((1, 4), np.float32)), RuntimeError),
    ("scatter_add", (1, np.full((1, 4), 4), np.ones((1, 4), np.float32)), RuntimeError),
    ("scatter_reduce", (0, np.full((1, 4), 7), np.ones((1, 4), np.float32), "amax"), RuntimeError),
    ("scatter_reduce", (0, np.zeros((1, 4), int), np.ones((1, 4), np.float32), "other"), RuntimeError),
]


@pytest.mark.parametrize(("name", "rest", "error"), CALLS)
def test_the_reference_words_the_errors(native, name, rest, error):
    from rushlight.backends.reference import reference

    x = numbers(7, 4)
    with pytest.raises(error) as expected:
        getattr(reference, name)(x.copy(), *rest)
    with pytest.raises(error) as found:
        getattr(native, name)(x, *rest)
    assert str(found.value) == str(expected.value) and np.array_equal(x, numbers(7, 4))


def test_nothing_to_do(compare):
    x, none = numbers(7, 4), np.zeros(0, np.int64)
    compare("index_select", x, 0, none)
    compare("embedding", x, none.reshape(0, 3))
    compare("index_add", x, 0, none, x[:0])
    compare("index_copy", x, 1, none, x[:, :0])
    compare("index_get", x, (none,))
    compare("embedding_backward", np.zeros((0, 4), np.float32), none, 3, -1, False)
    compare("gather", x, 0, np.zeros((0, 4), np.int64), served=False)
    compare("scatter", x, 0, np.zeros((0, 4), np.int64), x, served=False)
    compare("index_select", x[:0], 1, np.array([1, 2]))


def test_one_hot(compare):
    compare("one_hot", indices(5, 30), 5)
    compare("one_hot", indices(300, 30, 20), 301)
    compare("one_hot", indices(5, 30), -1, served=False)


def test_nan_stays(compare):
    x = np.array([[np.nan, 1, 2, 3]], np.float32)
    source = np.array([[5, np.nan, 1, -9, 7]], np.float32)
    for reduce in ("amax", "amin"):
        compare("scatter_reduce", x, 1, np.array([[0, 1, 2, 2, 1]]), source, reduce)
