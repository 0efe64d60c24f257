"""Pooling in C++ against NumPy: windows of every kind, both orders of memory, ties, NaN, infinities."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray
from rushlight.backends.reference import reference

# x shape, kernel, stride, padding, dilation, ceil_mode
WINDOWS = [
    ((2, 5, 7, 8), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((1, 19, 6, 6), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 9, 7), (3, 2), (2, 3), (1, 0), (2, 1), True),
    ((2, 17, 11), (3,), (2,), (1,), (1,), True),
    ((1, 4, 5, 6, 7), (2, 3, 2), (2, 2, 1), (1, 1, 0), (1, 1, 2), False),
    ((1, 1, 4, 4), (4, 4), (1, 1), (0, 0), (1, 1), False),
    ((3, 33, 40, 30), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((2, 3, 13, 70), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((2, 3, 12, 67), (5, 4), (1, 1), (2, 1), (1, 1), False),
    ((1, 2, 12, 45), (4, 5), (2, 2), (2, 2), (1, 1), True),
    ((1, 3, 11, 75), (2, 3), (2, 2), (0, 0), (2, 3), False),
    ((2, 2, 9, 50), (3, 3), (3, 3), (1, 1), (1, 1), False),
    ((1, 2, 3, 6, 40), (2, 2, 3), (1, 2, 2), (1, 0, 1), (1, 1, 1), False),
    ((16, 8, 12, 36), (3, 3), (2, 2), (1, 1), (1, 1), False),
]
LAYOUTS = ["row-major", "channels-last", "hidden"]


def numbers(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).integers(-8, 8, size=shape).astype(dtype)


def laid_out(x, layout):
    if layout == "row-major":
        return x
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return HiddenArray(last) if layout == "hidden" and not last.flags.c_contiguous else last


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", WINDOWS, ids=lambda c: "x".join(map(str, c[0])))
def test_max(compare, case, layout):
    shape, *window = case
    for dtype in (np.float32, np.float64):
        x = numbers(shape, dtype)  # small integers: full of ties
        found = compare("max_pool", laid_out(x, layout), *window, same_strides=False)
        if layout == "hidden" and shape[1] > 1:
            assert all(type(each) is HiddenArray for each in found)
        g = numbers(found[0].shape, dtype, 1)
        _, positions = reference.max_pool(x, *window)
        compare("max_pool_backward", laid_out(g, layout), laid_out(positions, layout), shape, same_strides=False)


def test_max_of_nan_and_infinities(compare):
    x = numbers((2, 6, 6, 6))
    x[0, 0, 1, 1] = x[0, 1, 2, 2] = x[0, 1, 3, 3] = np.nan
    x[1] = -np.inf
    x[1, 2, 3, 3] = np.inf
    for layout in LAYOUTS:
        for stride in (1, 2, 3):
            window = ((3, 3), (stride, stride), (1, 1), (1, 1), False)
            compare("max_pool", laid_out(x, layout), *window, same_strides=False)


def test_positions_out_of_range_are_the_references_business(native):
    with pytest.raises(IndexError):
        native.max_pool_backward(np.ones((1, 1, 2, 2), np.float32), np.full((1, 1, 2, 2), 99), (1, 1, 3, 3))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", [(True, None), (False, None), (True, 3)])
@pytest.mark.parametrize("case", [c for c in WINDOWS if set(c[4]) == {1}], ids=lambda c: "x".join(map(str, c[0])))
def test_average(compare, case, options, layout):
    shape, kernel, stride, padding, _, ceil_mode = case
    for dtype in (np.float32, np.float64):
        x = numbers(shape, dtype)
        found = compare(
            "avg_pool",
            laid_out(x, layout),
            kernel,
            stride,
            padding,
            ceil_mode,
            *options,
            rtol=1e-6,
            atol=1e-6,
            same_strides=False,
        )
        g = numbers(found.shape, dtype, 1)
        compare(
            "avg_pool_backward",
            laid_out(g, layout),
            shape,
            kernel,
            stride,
            padding,
            *options,
            rtol=1e-6,
            atol=1e-5,
            same_strides=False,
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((2, 5, 7, 8), (1, 1)),
        ((2, 19, 7, 8), (3, 5)),
        ((1, 3, 200, 100), (1, 1)),
        ((2, 3, 11), (4,)),
        ((1, 2, 3, 4, 5), (2, 2, 9)),
        ((2, 512, 2, 2), (1, 1)),
    ],
    ids=str,
)
def test_adaptive_average(compare, shape, sizes, layout):
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(0).normal(size=shape).astype(dtype)
        found = compare("adaptive_avg_pool", laid_out(x, layout), sizes, rtol=2e-6, atol=2e-6, same_strides=False)
        g = np.random.default_rng(1).normal(size=found.shape).astype(dtype)
        compare("adaptive_avg_pool_backward", laid_out(g, layout), shape, rtol=2e-6, atol=2e-6, same_strides=False)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_cotangents_of_any_strides(compare, stride):
    """A sum's gradient is one number at all positions; a transposed one has rows in columns."""
    x = numbers((2, 3, 30, 40))
    window = ((3, 3), (stride, stride), (1, 1))
    values, positions = reference.max_pool(x, *window, (1, 1), False)
    one = np.broadcast_to(np.float32(2), values.shape)
    turned = numbers(values.shape[:2] + values.shape[:1:-1]).swapaxes(2, 3)
    for g in (one, turned):
        compare("max_pool_backward", g, positions, x.shape)
        compare("avg_pool_backward", g, x.shape, *window, False, None, rtol=1e-6, atol=1e-5)


def test_empties_are_left_to_numpy(compare):
    compare("max_pool", np.zeros((0, 3, 4, 4), np.float32), (2, 2), (2, 2), (0, 0), (1, 1), False, served=False)
    compare("adaptive_avg_pool", np.zeros((2, 0, 4, 4), np.float32), (1, 1), served=False)
