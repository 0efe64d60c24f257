"""Batch normalisation's native kernels against the NumPy reference: layouts, sizes of maps and batches, odd values, threads."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

# By row, by column, by plane; tails; several chunks of rows; one element a channel.
SHAPES = [
    (4, 7), (1, 3), (300, 70), (70000, 3), (5, 6, 4), (1, 512, 2, 2), (2, 3, 1, 1), (33, 40, 4, 4), (20, 9, 7, 7), (2, 5, 7, 7),
    (3, 4, 33, 31), (2, 3, 150, 151), (2, 1, 40, 40), (1, 1, 5), (2, 3, 4, 5, 6),
]  # fmt: skip
# A layout is one way to see the same numbers.
LAYOUTS = ["row-major", "channels_last", "hidden"]


def numbers(*shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * 2 + 0.5
    return np.asarray(values, dtype=dtype)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def laid_out(x, layout):
    if x.ndim < 3 or layout == "row-major":
        return x
    return channels_last(x) if layout == "channels_last" else HiddenArray(channels_last(x))


def parameters(shape, dtype=np.float32):
    channels = shape[1]
    return numbers(channels, dtype=dtype, seed=7), numbers(channels, dtype=dtype, seed=8)


def tolerance(dtype):
    return {"rtol": 2e-5, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-11}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training(compare, shape, layout, dtype):
    x = laid_out(numbers(*shape, dtype=dtype), layout)
    # One element a channel: the variance is 0, and rounding is magnified by 1 / sqrt(eps).
    tol = tolerance(dtype)
    weight, bias = parameters(shape, dtype)
    found = compare("batch_norm_with_variance", x, weight, bias, 1e-5, same_strides=False, **tol)
    y = found[0]
    if type(x) is HiddenArray and not x.array.flags.c_contiguous:
        assert type(y) is HiddenArray and y.array.strides == x.array.strides
    elif type(x) is not HiddenArray:
        assert type(y) is np.ndarray and y.strides == x.strides
    compare("batch_norm_forward", x, weight, None, None, None, True, 1e-5, same_strides=False, **tol)
    compare("batch_norm_forward", x, None, bias, None, None, False, 1e-3, same_strides=False, **tol)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_given_statistics(compare, shape, layout):
    x = laid_out(numbers(*shape), layout)
    weight, bias = parameters(shape)
    mean, variance = bias * 2, weight * weight + 0.1
    compare(
        "batch_norm_forward", x, weight, bias, mean, variance, False, 1e-5, rtol=2e-6, atol=2e-6, same_strides=False
    )


@pytest.mark.parametrize("layouts", [(a, b) for a in LAYOUTS for b in LAYOUTS], ids="-".join)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward(compare, shape, layouts):
    x, g = laid_out(numbers(*shape), layouts[0]), laid_out(numbers(*shape, seed=1), layouts[1])
    weight, mean = parameters(shape)
    invstd = 0.1 * np.abs(weight) + 0.2
    size = float(np.prod(shape)) / shape[1]
    tol = {"rtol": 2e-5, "atol": 2e-6 * max(size, 10.0)}
    found = compare(
        "batch_norm_backward", g, x, weight, mean, invstd, True, (True, True, True), same_strides=False, **tol
    )
    if type(x) is HiddenArray and not x.array.flags.c_contiguous:
        assert type(found[0]) is HiddenArray
    compare("batch_norm_backward", g, x, None, mean, invstd, False, (True, True, True), same_strides=False, **tol)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_given_statistics_keep_x_out_of_its_gradient(native, layout):
    g, x = numbers(3, 20, 9, 9), np.full((3, 20, 9, 9), np.inf, np.float32)
    mean, invstd = np.zeros(20, np.float32), numbers(20, seed=2)
    gx, _, _ = native.batch_norm_backward(laid_out(g, layout), laid_out(x, layout), None, mean, invstd, False, (True, False, False))
    assert np.array_equal(gx.default() if type(gx) is HiddenArray else gx, g * invstd[:, None, None])


@pytest.mark.parametrize(
    "mask", [(True, False, False), (False, True, True), (False, False, True), (False, False, False)], ids=str
)
@pytest.mark.parametrize("shape", [(8, 5), (2, 5, 3, 3), (2, 5, 30, 30)], ids=str)
def test_masks_and_dtypes(compare, mask, shape):
    x, g = numbers(*shape, dtype=np.float64), numbers(*shape, dtype=np.float64, seed=1)
    weight, mean = parameters(shape, np.float64)
    compare("batch_norm_backward", g, x, weight, mean, np.abs(weight), True, mask, rtol=1e-10, atol=1e-10)


def test_cotangents_of_any_strides(compare):
    x, weight = numbers(4, 6, 9, 9), numbers(6, seed=3)
    mean, invstd = x.mean((0, 2, 3)), 0.1 * np.abs(weight) + 0.3
    for g in (
        np.broadcast_to(np.float32(0.5), x.shape),
        numbers(4, 6, 9, 18)[..., ::2],
        numbers(9, 9, 6, 4).T,
        numbers(4, 6, 9, 9)[::-1],
    ):
        for layout in LAYOUTS:
            args = (laid_out(x, layout), weight, mean, invstd, True, (True, True, True))
            compare("batch_norm_backward", g, *args, rtol=1e-4, atol=1e-4, same_strides=False)


@pytest.mark.parametrize("layout", ["row-major", "hidden"])
@pytest.mark.parametrize("shape", [(64, 4, 12, 12), (64, 4, 2, 2), (30, 4, 60, 60)], ids=str)
def test_no_cancellation(compare, native, shape, layout):
    """Statistics far from zero, and an outlier at the very beginning, where the shift is guessed."""
    x = numbers(*shape) * 1e-2 + 1000
    x[0, 0].flat[0] = 5000
    _, mean, _, variance = native.batch_norm_with_variance(laid_out(x, layout), None, None, 1e-5)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var((0, 2, 3)), rtol=3e-5)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 2, 2), (2, 3, 40, 40)], ids=str)
def test_special_values(compare, shape):
    for odd in (np.nan, np.inf, -np.inf):
        for layout in ("row-major", "hidden"):
            x = numbers(*shape)
            x[0, 1].flat[0] = odd
            if np.isinf(odd):  # the mean of its channel is infinite, everything else there NaN
                compare(
                    "batch_norm_with_variance",
                    laid_out(x, layout),
                    None,
                    None,
                    1e-5,
                    rtol=2e-5,
                    atol=2e-5,
                    same_strides=False,
                )
            else:
                compare(
                    "batch_norm_forward",
                    laid_out(x, layout),
                    None,
                    None,
                    None,
                    None,
                    True,
                    1e-5,
                    rtol=2e-5,
                    atol=2e-5,
                    same_strides=False,
                )
    constant = np.full(shape, 3.5, np.float32)
    compare("batch_norm_with_variance", constant, None, None, 1e-5, atol=1e-4)


def test_declined(compare):
    x = numbers(4, 6, 5, 5)
    weight = numbers(6, seed=3)
    compare("batch_norm_with_variance", x[:, ::2], weight[::2].copy(), None, 1e-5, served=False, rtol=1e-5, atol=1e-5)
    compare("batch_norm_with_variance", x.astype(np.float16), None, None, 1e-5, served=False)
    compare("batch_norm_with_variance", x, weight.astype(np.float64), None, 1e-5, served=False)
    with np.errstate(all="ignore"):
        compare("batch_norm_with_variance", x[:0], weight, None, 1e-5, served=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_move_running(native, dtype):
    value = numbers(37, dtype=dtype, seed=1)
    for factor in (None, 1.25):
        running, wanted = (numbers(37, dtype=dtype) for _ in range(2))
        before = native.move_running.calls
        args = () if factor is None else (factor,)
        assert native.move_running(running, value, 0.1, *args) is None and native.move_running.calls == before + 1
        native.move_running.reference(wanted, value, 0.1, *args)
        np.testing.assert_allclose(running, wanted, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("layouts", [("row-major", "row-major"), ("hidden", "hidden"), ("hidden", "row-major")], ids="-".join)
@pytest.mark.parametrize("bounds", [(0.0, None), (0.0, 1.0), (-1.0, 2.0)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_backward_behind_a_gate(compare, shape, bounds, layouts):
    """As if the cotangent had been gated before, also where the gate saved NaN, an infinity or a bound itself."""
    x, g, gate = numbers(*shape), numbers(*shape, seed=1), numbers(*shape, seed=2)
    for i, odd in enumerate((np.nan, np.inf, -np.inf, *[bound for bound in bounds if bound is not None])):
        gate.flat[i::7] = odd
    weight, mean = parameters(shape)
    invstd = 0.1 * np.abs(weight) + 0.2
    tol = {"rtol": 2e-5, "atol": 2e-6 * max(float(np.prod(shape)) / shape[1], 10.0)}
    args = (laid_out(x, layouts[0]), weight, mean, invstd, True, (True, True, True))
    found = compare(
        "batch_norm_backward", laid_out(g, layouts[0]), *args, laid_out(gate, layouts[1]), *bounds, same_strides=False, **tol
    )
    closed = gate <= bounds[0] if bounds[1] is None else ~((gate > bounds[0]) & (gate < bounds[1]))
    before = compare("batch_norm_backward", laid_out(np.where(closed, np.float32(0), g), layouts[0]), *args, same_strides=False, **tol)
    for a, b in zip(found, before, strict=True):
        np.testing.assert_array_equal(a.array if type(a) is HiddenArray else a, b.array if type(b) is HiddenArray else b)
