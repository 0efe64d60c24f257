"""Sorting and the k largest against NumPy: lengths, dims, types, equal elements, NaN, zeros of both signs, long rows."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [
    np.dtype(t)
    for t in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, BFLOAT16, np.float32, np.float64)
]
LENGTHS = [1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300, 1000, 5000]


def numbers(*shape, dtype=np.float32, seed=0, scale=50.0):
    with np.errstate(all="ignore"):
        return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale, dtype=dtype)


def special(*shape, dtype=np.float32):
    """Few different values, so that many are equal, NaN and signed zeros among them."""
    with np.errstate(all="ignore"):
        values = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, -np.nan, 2.5, 1e-40, -1e-40, 3e38], dtype=dtype)
    return values[np.random.default_rng(3).integers(0, len(values), shape)]


@pytest.mark.parametrize("length", LENGTHS)
def test_lengths(compare, length):
    for descending in (False, True):
        for x in (
            numbers(3, length),
            special(3, length),
            numbers(2, length, dtype=np.int64),
            special(2, length, dtype=np.float64),
        ):
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
    for y in (
        x.transpose(2, 0, 1),
        x[:, ::2],
        x[:, :, ::-1],
        np.broadcast_to(x[:, :1], x.shape),
        x[3, 4, 5:6],
        x[:0],
        x[:, :, :1],
    ):
        for dim in range(y.ndim):
            compare("sort", y, dim, True, same_strides=False)
            compare("argsort", y, dim, same_strides=False)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_long_rows(compare, dtype):
    x = numbers(140_000, dtype=dtype)
    compare("sort", x, 0, False)
    compare("sort", x.reshape(-1, 1), 0, True)
    compare("sort", np.stack([x, x[::-1]]), 1)
    compare("sort", np.stack([x, x[::-1]], 1), 0, same_strides=False, served=False)
    compare("sort", np.zeros_like(x), 0, True)


def test_shared_rows(compare):
    compare("sort", numbers(300, 200), 1)
    compare("sort", numbers(2000, 33), 0, same_strides=False)
    compare("sort", numbers(3000, 20), 1)


def distinct(*shape, dtype=np.float32):
    """Every number once, in disorder."""
    return (np.random.default_rng(5).permutation(int(np.prod(shape))) - 100).astype(dtype).reshape(shape)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize(
    ("shape", "dim", "k"),
    [
        ((40,), 0, 3),
        ((40,), 0, 40),
        ((5, 300), 1, 1),
        ((5, 300), 1, 37),
        ((5, 300), 1, 200),
        ((300, 5), 0, 7),
        ((4, 500, 6), 1, 8),
        ((90, 1000), 1, 10),
        ((300_000,), 0, 100),
        ((2, 200_000), 1, 1),
        ((70_000, 3), 0, 2),
        ((3, 1), 1, 1),
        ((1, 7), 0, 1),
    ],
)
def test_topk(compare, shape, dim, k, largest):
    for dtype in (np.float32, np.int64):
        compare("topk", distinct(*shape, dtype=dtype), k, dim, largest, True, same_strides=False)
    compare("topk", distinct(*shape)[..., ::-1], k, dim, largest, False, same_strides=False)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_topk_of_equal_elements(native, dtype):
    """As a stable sort has it: of equal elements the first, NaN the greatest."""
    from rushlight.backends.reference import reference

    x = special(6, 2000, dtype=dtype) if dtype.kind not in "iub" else numbers(6, 2000, dtype=dtype, scale=2)
    for k in (1, 5, 100, 1500):
        for largest in (True, False):
            values, order = native.topk(x, k, 1, largest)
            wanted, places = reference.sort(x, 1, largest)
            assert np.array_equal(order, places[:, :k])
            assert values.tobytes() == np.ascontiguousarray(wanted[:, :k]).tobytes()
    assert native.topk.declined == 0 or native.topk.calls > 0


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_places(compare, dtype):
    x = special(9, 300, dtype=dtype) if dtype.kind not in "iub" else numbers(9, 300, dtype=dtype)
    present = numbers(9, 300, dtype=dtype, scale=2)
    for y in (x, present, present[:, :1], x[:, :2], x.T, present.reshape(9, 15, 20), present[:, ::-1]):
        for dim in range(y.ndim):
            for keepdim in (False, True):
                for k in (1, y.shape[dim] // 2 + 1, y.shape[dim]):
                    compare("kthvalue", y, k, dim, keepdim, same_strides=False)
                compare("median", y, dim, keepdim, same_strides=False)
                compare("nanmedian", y, dim, keepdim, same_strides=False)
    compare("median", x)
    compare("nanmedian", x)
    compare("median", present)


def test_places_of_much(compare):
    x = numbers(600, 700)
    compare("median", x, 1)
    compare("median", x, 0, same_strides=False)
    compare("median", x)
    compare("kthvalue", x, 350, 1, True)
    compare("median", np.full((3, 50), np.nan, np.float32), 1)
    compare("nanmedian", np.full((3, 50), np.nan, np.float32), 1)


def test_refused(native):
    with pytest.raises(RuntimeError, match="out of range"):
        native.topk(numbers(3, 4), 5, 1)
    with pytest.raises(RuntimeError, match="out of range"):
        native.kthvalue(numbers(3, 4), 0, 1)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 8, 100, 1000])
def test_search(compare, dtype, length):
    sequence, values = np.sort(numbers(length, dtype=dtype, scale=9)), numbers(31, 130, dtype=dtype, scale=12, seed=1)
    if dtype in (np.float32, np.float64):
        values[0, :4] = np.nan, np.inf, -np.inf, -0.0
        sequence[length // 2 * 2 - 2 :] = np.nan if length > 5 else 3
    rows = np.sort(numbers(31, length, dtype=dtype, scale=9), axis=1)
    for right in (False, True):
        compare("searchsorted", sequence, values, right)
        compare("bucketize", values, sequence, right)
        compare("bucketize", values[:, ::2], sequence[::2], right)
        compare("searchsorted", rows, values, right)
    compare("searchsorted", sequence[::-1].copy(), values, False, np.argsort(sequence[::-1]), served=False)
    with pytest.raises(RuntimeError, match="boundaries tensor"):
        compare("searchsorted", rows, values[:4], False, served=None)
