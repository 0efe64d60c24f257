"""Copies, casts and constants against NumPy: every pair of dtypes, transpositions, slices, overlaps."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
TYPES = [
    np.dtype(t)
    for t in (bool, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, BFLOAT16, np.float32, np.float64)
]


def numbers(*shape, dtype=np.float32):
    return np.asarray(np.random.default_rng(0).normal(size=shape) * 50, dtype=dtype)


@pytest.mark.parametrize("to", TYPES, ids=str)
@pytest.mark.parametrize("of", TYPES, ids=str)
def test_cast(compare, of, to):
    with np.errstate(all="ignore"):
        values = np.array([0, -0.0, 1, -1, 2.5, -2.5, 127.9, 200, 65504, 65520, 1e-8, 6e-8, 1e5, -1e5] * 3).astype(of)
    compare("cast", values, to)
    compare("cast", numbers(7, 33, dtype=of).T, to)
    compare("cast", numbers(7, 33, dtype=of)[:, ::2], to)
    compare("cast", numbers(41_000, dtype=of), to)
    compare("cast", np.empty((0, 3), of), to)


@pytest.mark.parametrize("to", TYPES, ids=str)
def test_what_does_not_fit(compare, to):
    values = [np.inf, -np.inf, np.nan, 1e20, -1e20, 3e9, -3e9, 1e39, 1e-46, 2.0**63, -(2.0**63)] * 3
    for of in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            compare("cast", np.array(values).astype(of), to)


@pytest.mark.parametrize("half", [np.dtype(np.float16), BFLOAT16], ids=str)
def test_every_half_number(compare, half):
    compare("cast", np.arange(1 << 16, dtype=np.uint16).view(half), np.dtype(np.float32))
    bits = np.random.default_rng(0).integers(0, 1 << 32, 60_000, dtype=np.uint32)
    ties = np.arange(0, 1 << 32, 1 << 12, dtype=np.uint32)[:: 1 << 4]
    with np.errstate(all="ignore"):
        compare("cast", np.concatenate([bits, ties, ties + np.uint32(1), ties - np.uint32(1)]).view(np.float32), half)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32, np.float64, np.complex128])
@pytest.mark.parametrize(
    ("shape", "order"),
    [((5, 7), (1, 0)), ((130, 70), (1, 0)), ((2, 64, 33, 35), (0, 2, 3, 1)), ((2, 33, 35, 64), (0, 3, 1, 2)), ((3, 50, 60), (2, 1, 0)),
     ((3, 20_000), (1, 0)), ((20_000, 3), (1, 0)), ((4, 5, 6, 7), (3, 1, 0, 2)), ((1, 9, 1), (2, 1, 0)),
     # written past the caches, with aligned rows and with others
     ((1040, 1056), (1, 0)), ((1049, 1043), (1, 0)), ((3, 640, 700), (0, 2, 1))],
)  # fmt: skip
def test_transposed_copies(compare, shape, order, dtype):
    x = numbers(*shape, dtype=dtype).transpose(order)
    compare("contiguous", x)
    compare("copy", x)
    compare("contiguous", x[1:, ::2])


def test_copies_of_slices(compare):
    x = numbers(30, 40, 50)
    compare("copy", x[:, 3:9])
    compare("copy", x[:, :, ::2])
    compare("copy", x.transpose(1, 0, 2)[::2], served=False)
    compare("copy", x[:, ::-1], served=False)
    for part in (x[:, ::-1], np.broadcast_to(x[:1], x.shape), x.transpose(1, 0, 2)[::2], x[3, 4, 5:6], x[:0]):
        compare("contiguous", part)


def test_copies_of_hidden_arrays(native):
    x = numbers(2, 17, 19, 23)
    hidden = HiddenArray(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    copied = native.copy(hidden)
    assert (
        type(copied) is HiddenArray
        and copied.array.strides == hidden.array.strides
        and np.array_equal(copied.default(), x)
    )
    assert native.contiguous(hidden).flags.c_contiguous and np.array_equal(native.contiguous(hidden), x)


def test_writing_over(native):
    shapes = [
        ((30, 40), (30, 40)),
        ((30, 40), (40,)),
        ((30, 40), (30, 1)),
        ((30, 40), ()),
        ((200, 300), (1, 300)),
        ((4, 0), (4, 1)),
    ]
    for shape, source in shapes:
        target, x = numbers(*shape), np.asarray(numbers(*source) + 1, np.float32)
        before = native.copy_into.calls
        assert native.copy_into(target, x) is None
        assert native.copy_into.calls == before + 1 and np.array_equal(target, np.broadcast_to(x, shape))
    target, x = numbers(300, 200), numbers(200, 300) + 1
    native.copy_into(target, x.T)
    assert np.array_equal(target, x.T)
    native.copy_into(target[:, ::3], x.T[:, ::3] * 2)
    assert np.array_equal(target[:, ::3], x.T[:, ::3] * 2) and np.array_equal(target[:, 1::3], x.T[:, 1::3])


def test_what_must_not_be_written(native):
    x = numbers(50)
    wanted = x[:-1].copy()
    declined = native.copy_into.declined
    native.copy_into(x[1:], x[:-1])  # overlaps
    assert np.array_equal(x[1:], wanted)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        native.copy_into(x, numbers(50))
    with pytest.raises(ValueError, match="broadcast"):
        native.copy_into(numbers(50), numbers(49))
    with pytest.raises(TypeError):
        native.copy_into(numbers(50), numbers(50, dtype=np.float64))
    assert native.copy_into.declined == declined + 4


@pytest.mark.parametrize("dtype", [*TYPES, np.dtype(np.complex64)], ids=str)
def test_constants(compare, native, dtype):
    for shape in ((), (3,), (0, 4), (200, 300)):
        compare("zeros", shape, dtype)
        found = native.empty(shape, dtype)
        assert found.shape == shape and found.dtype == dtype
    for value in (0, 1, 3, 1.0, 2.5, -1, True, 300, 1 << 40, 1e300, float("nan"), 0.1):
        if dtype.kind in "iu" and (isinstance(value, float) or not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
            continue
        compare("scalar", value, dtype, served=None)
        compare("full", (150, 151), value, dtype, served=None)


def test_odd_shapes(native):
    for shape in ((-1,), (1 << 40, 1 << 40)):
        with pytest.raises((ValueError, MemoryError)):
            native.empty(shape, np.dtype(np.float32))
