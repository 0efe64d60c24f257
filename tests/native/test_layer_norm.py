"""Layer and group normalisation's native kernels against the NumPy reference: widths, maps, groups, layouts, odd values."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

# Shape and how many dimensions a row has: tails, one row, one element, several chunks of rows and blocks of a row.
ROWS = [
    ((5,), 1), ((4, 1), 1), ((3, 7), 1), ((32, 64), 1), ((700, 65), 1), ((2, 5000), 1), ((40, 3, 257), 2), ((3, 40, 30), 1),
    ((2, 3, 4, 5), 3), ((6000, 12), 1),
]  # fmt: skip
# Shape and groups: maps of one element, small and large ones, groups of one channel (instance norm) and of all.
GROUPS = [
    ((3, 8), 2), ((2, 12, 5), 3), ((5, 6, 4, 4), 6), ((5, 6, 4, 4), 1), ((3, 12, 9, 9), 4), ((40, 20, 3, 3), 5),
    ((2, 32, 33, 31), 8), ((1, 4, 70, 70), 2),
    ((70, 3, 5, 4), 3),
]  # fmt: skip
LAYOUTS = ["row-major", "channels_last", "hidden"]


def numbers(*shape, dtype=np.float32, seed=0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 2 + 0.5, dtype=dtype)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def laid_out(x, layout):
    if x.ndim < 3 or layout == "row-major":
        return x
    return channels_last(x) if layout == "channels_last" else HiddenArray(channels_last(x))


def tolerance(dtype, scale=1.0):
    return {"rtol": 2e-5, "atol": 2e-5 * scale} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11 * scale}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "inner"), ROWS, ids=str)
def test_layer_norm(compare, native, shape, inner, dtype):
    x, g = numbers(*shape, dtype=dtype), numbers(*shape, dtype=dtype, seed=1)
    weight, bias = (numbers(*shape[len(shape) - inner :], dtype=dtype, seed=s) for s in (2, 3))
    compare("layer_norm_forward", x, inner, weight, bias, 1e-5, **tolerance(dtype))
    compare("layer_norm_forward", x, inner, None, bias, 1e-5, **tolerance(dtype))
    _, mean, rstd = native.layer_norm_forward(x, inner, weight, None, 0.1)
    scale = np.prod(shape) / weight.size
    compare("layer_norm_backward", g, x, inner, mean, rstd, weight, (True, True, True), **tolerance(dtype, scale))
    compare("layer_norm_backward", g, x, inner, mean, rstd, None, (True, False, False), **tolerance(dtype))
    compare("layer_norm_backward", g, x, inner, mean, rstd, weight, (False, False, True), **tolerance(dtype, scale))


def test_layer_norm_of_any_strides(compare, native):
    x, weight = numbers(6, 5, 40), numbers(40, seed=2)
    _, mean, rstd = native.layer_norm_forward(x, 1, weight, None, 0.1)
    for seen in (
        numbers(6, 5, 80)[..., ::2],
        numbers(40, 5, 6).T,
        numbers(6, 5, 40)[::-1],
        np.broadcast_to(numbers(40), x.shape),
    ):
        compare("layer_norm_forward", seen, 1, weight, None, 1e-2, **tolerance(np.float32))
        compare("layer_norm_backward", seen, x, 1, mean, rstd, weight, (True, True, True), **tolerance(np.float32, 10))
    hidden = HiddenArray(channels_last(numbers(2, 3, 4, 40)))
    compare("layer_norm_forward", hidden, 1, weight, None, 1e-5, **tolerance(np.float32))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "groups"), GROUPS, ids=str)
def test_group_norm(compare, native, shape, groups, dtype, layout):
    x = laid_out(numbers(*shape, dtype=dtype), layout)
    weight, bias = (numbers(shape[1], dtype=dtype, seed=s) for s in (2, 3))
    found = compare("group_norm_forward", x, groups, weight, bias, 1e-5, same_strides=False, **tolerance(dtype))
    if layout == "hidden" and len(shape) > 2:
        assert type(found[0]) is HiddenArray and found[0].array.strides == x.array.strides
    compare("group_norm_forward", x, groups, None, None, 1e-3, same_strides=False, **tolerance(dtype))
    _, mean, rstd = native.group_norm_forward(x, groups, weight, None, 0.1)
    scale = np.prod(shape) / shape[1]
    for other in LAYOUTS:
        g = laid_out(numbers(*shape, dtype=dtype, seed=1), other)
        for w, mask in ((weight, (True, True, True)), (None, (True, False, True)), (weight, (False, True, False))):
            compare(
                "group_norm_backward", g, x, groups, mean, rstd, w, mask, same_strides=False, **tolerance(dtype, scale)
            )


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_special_values(compare, odd):
    x = numbers(4, 70)
    x[1, 3] = odd
    compare("layer_norm_forward", x, 1, None, None, 1e-5, **tolerance(np.float32))
    maps = numbers(2, 4, 6, 6)
    maps[0, 1, 0, 0] = odd
    for layout in LAYOUTS:
        compare(
            "group_norm_forward",
            laid_out(maps, layout),
            2,
            None,
            None,
            1e-5,
            same_strides=False,
            **tolerance(np.float32),
        )


def test_far_from_zero(native):
    x = (numbers(3, 3000) * 1e-2 + 1000).astype(np.float32)
    _, mean, rstd = native.layer_norm_forward(x, 1, None, None, 0.0)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean[:, 0], exact.mean(1), rtol=1e-7)
    np.testing.assert_allclose(rstd[:, 0], 1 / exact.std(1), rtol=1e-5)


def test_declined(compare):
    x = numbers(4, 6)
    compare("layer_norm_forward", x.astype(np.float16), 1, None, None, 1e-5, served=False, atol=2e-3)
    compare("layer_norm_forward", x, 1, numbers(6, dtype=np.float64), None, 1e-5, served=False, atol=1e-5)
    compare("layer_norm_forward", x[:0], 1, None, None, 1e-5, served=False)
    compare("group_norm_forward", x[:0], 2, None, None, 1e-5, served=False)
