"""Native convolutions against the reference: each method, layouts, sizes that leave tails, non-finite values, the switch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from rushlight.backends import cpu, winograd
from rushlight.backends.hidden import HiddenArray
from rushlight.backends.reference import reference


class Case(NamedTuple):
    """A convolution: x [images, channels, *spatial], w [outputs, channels / groups, *kernel]."""

    images: int
    channels: int
    spatial: tuple[int, ...]
    outputs: int
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    def windows(self):
        nd = len(self.spatial)
        return (self.stride,) * nd, (self.padding,) * nd, (self.dilation,) * nd, self.groups

    def x_shape(self):
        return self.images, self.channels, *self.spatial

    def w_shape(self):
        return self.outputs, self.channels // self.groups, *self.kernel


CASES = {
    "rows": Case(2, 20, (9, 11), 70, (3, 3), 1, 1),
    "rows-no-padding": Case(2, 16, (9, 8), 33, (3, 2)),
    "pixels": Case(5, 24, (4, 5), 40, (3, 3), 1, 1),
    "stride": Case(3, 24, (9, 10), 40, (3, 3), 2, 1),
    "stride-beyond-kernel": Case(2, 24, (9, 10), 17, (2, 2), 3, 0),
    "dilation": Case(2, 24, (12, 13), 20, (3, 3), 1, 2, 2),
    "padding-beyond-kernel": Case(1, 12, (5, 6), 12, (3, 3), 2, 4),
    "pointwise": Case(3, 37, (6, 7), 65, (1, 1)),
    "pointwise-stride": Case(2, 32, (7, 7), 64, (1, 1), 2),
    "chunks-of-channels": Case(2, 520, (5, 5), 20, (3, 3), 1, 1),
    "many-taps": Case(1, 5, (20, 19), 9, (9, 9), 1, 4),
    "image": Case(2, 3, (17, 20), 24, (7, 7), 2, 3),
    "image-one-channel": Case(3, 1, (12, 12), 6, (5, 5), 1, 2),
    "patches": Case(2, 3, (16, 16), 40, (8, 8), 8),
    "to-few-channels": Case(2, 32, (11, 12), 3, (3, 3), 1, 1),
    "to-few-channels-dilated": Case(1, 16, (40, 9), 2, (3, 3), 1, 3, 2),
    "from-few-channels-stride": Case(1, 4, (40, 18), 9, (4, 4), 2, 1),
    "few-positions": Case(1, 130, (4, 4), 70, (3, 3), 1, 1),
    "few-positions-stride": Case(2, 64, (5, 4), 80, (3, 3), 2, 1),
    "few-positions-pointwise": Case(3, 200, (1, 1), 190, (1, 1)),
    "few-positions-many-taps": Case(1, 33, (5, 5), 70, (5, 5), 1, 2),
    "winograd": Case(3, 40, (13, 10), 33, (3, 3), 1, 1),
    "winograd-large-weight": Case(2, 100, (12, 16), 130, (3, 3), 1, 1),
    "winograd-no-padding": Case(4, 32, (14, 15), 48, (3, 3), 1, 0),
    "winograd-padding-2": Case(4, 32, (12, 12), 48, (3, 3), 1, 2),
    "winograd-spans": Case(4, 36, (28, 28), 64, (3, 3), 1, 1),
    "depthwise": Case(2, 35, (9, 14), 35, (3, 3), 1, 1, 1, 35),
    "depthwise-stride": Case(2, 32, (9, 10), 32, (3, 3), 2, 1, 1, 32),
    "depthwise-5": Case(1, 20, (12, 11), 20, (5, 5), 2, 2, 1, 20),
    "depthwise-multiplier": Case(2, 10, (7, 8), 30, (3, 3), 1, 1, 1, 10),
    "groups-of-few": Case(2, 32, (7, 8), 32, (3, 3), 1, 1, 1, 8),
    "groups-of-few-unequal": Case(2, 12, (7, 8), 18, (3, 3), 2, 1, 1, 3),
    "groups-of-many": Case(2, 48, (6, 7), 80, (3, 3), 1, 1, 1, 2),
    "groups-few-positions": Case(1, 64, (4, 4), 64, (3, 3), 1, 1, 1, 2),
    "1d": Case(3, 24, (50,), 18, (5,), 2, 2, 2, 2),
    "1d-plain": Case(2, 16, (70,), 40, (3,), 1, 1),
    "3d": Case(2, 6, (5, 6, 7), 10, (3, 2, 3), 2, 1, 1, 2),
    "3d-image": Case(1, 2, (6, 7, 8), 12, (3, 3, 3), 1, 1),
    "smallest": Case(1, 1, (1, 1), 1, (1, 1)),
}


def numbers(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def operands(case, dtype=np.float32):
    """x, w, bias, the cotangent of the output, and the wanted output and gradients in float64."""
    x, w = numbers(*case.x_shape(), dtype=dtype), numbers(*case.w_shape(), dtype=dtype, seed=1)
    bias = numbers(case.outputs, dtype=dtype, seed=2)
    wide = [a.astype(np.float64) for a in (x, w, bias)]
    y = reference.convolution(*wide, *case.windows())
    g = numbers(*y.shape, dtype=dtype, seed=3)
    gx = reference.conv_grad_input(g.astype(np.float64), wide[1], x.shape, *case.windows())
    gw = reference.conv_grad_weight(g.astype(np.float64), wide[0], w.shape, *case.windows())
    return (x, w, bias, g), (y, gx, gw)


def plain(value):
    return value.default() if type(value) is HiddenArray else value


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def hidden(x):
    return HiddenArray(channels_last(x))


def close(found, wanted, dtype=np.float32):
    """By the size of the result's largest element: sums of many terms."""
    found = plain(found)
    assert found.dtype == dtype and found.shape == wanted.shape
    tolerance = 5e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(np.abs(wanted).max(), 1e-3) * 4)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(native, name, dtype):
    case = CASES[name]
    (x, w, bias, g), (y, gx, gw) = operands(case, dtype)
    windows = case.windows()
    before = [native.convolution.calls, native.conv_grad_input.calls, native.conv_grad_weight.calls]
    layouts = (lambda a: a, hidden, channels_last) if dtype == np.float32 else (lambda a: a,)
    for layout in layouts:
        close(native.convolution(layout(x), w, bias, *windows), y, dtype)
        close(native.conv_grad_input(layout(g), w, x.shape, *windows), gx, dtype)
        close(native.conv_grad_weight(layout(g), layout(x), w.shape, *windows), gw, dtype)
    after = [native.convolution.calls, native.conv_grad_input.calls, native.conv_grad_weight.calls]
    assert [b - a for a, b in zip(before, after, strict=True)] == [len(layouts)] * 3
    without = y - bias.astype(np.float64).reshape(-1, *[1] * (x.ndim - 2))
    close(native.convolution(x, w, None, *windows), without, dtype)


METHODS = [
    "rows", "pixels", "stride", "image", "winograd", "winograd-large-weight", "winograd-spans", "few-positions", "to-few-channels",
    "depthwise", "groups-of-few",
]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_threads(compare, name):
    case = CASES[name]
    (x, w, bias, g), _ = operands(case)
    settings = {"atol": 1e-3, "same_strides": False}
    compare("convolution", hidden(x), w, bias, *case.windows(), **settings)
    compare("conv_grad_input", hidden(g), w, x.shape, *case.windows(), **settings)
    compare("conv_grad_weight", hidden(g), hidden(x), w.shape, *case.windows(), **settings)


def test_threads_large(compare):
    """More tasks than one: splits of every kind, each with an uneven last part."""
    strided, winograd_tiles = Case(3, 24, (41, 43), 72, (3, 3), 2, 1), Case(5, 64, (19, 22), 64, (3, 3), 1, 1)
    for case in (strided, winograd_tiles, Case(3, 40, (30, 40), 40, (3, 3), 1, 1, 1, 40)):
        (x, w, bias, g), _ = operands(case)
        settings = {"atol": 5e-3, "same_strides": False}
        compare("convolution", x, w, bias, *case.windows(), **settings)
        compare("conv_grad_input", g, w, x.shape, *case.windows(), **settings)
        compare("conv_grad_weight", g, x, w.shape, *case.windows(), **settings)


def test_layout_of_results(native):
    x, w, windows = numbers(2, 8, 6, 7), numbers(12, 8, 3, 3, seed=1), ((1, 1), (1, 1), (1, 1), 1)
    for operand in (x, hidden(x)):
        y = native.convolution(operand, w, None, *windows)
        assert (
            type(y) is HiddenArray
            and y.shape == (2, 12, 6, 7)
            and y.array.strides == (4 * 12 * 42, 4, 4 * 12 * 7, 4 * 12)
        )
    y = native.convolution(channels_last(x), w, None, *windows)
    assert type(y) is np.ndarray and y.strides == (4 * 12 * 42, 4, 4 * 12 * 7, 4 * 12)
    g = numbers(2, 12, 6, 7)
    assert type(native.conv_grad_input(g, w, x.shape, *windows)) is HiddenArray
    assert type(native.conv_grad_input(channels_last(g), w, x.shape, *windows)) is np.ndarray
    assert native.conv_grad_weight(hidden(g), hidden(x), w.shape, *windows).flags.c_contiguous
    # One position, or one channel: both formats are the same, and nothing is hidden.
    assert (
        type(native.convolution(numbers(2, 8, 1, 1), numbers(12, 8, 1, 1), None, (1, 1), (0, 0), (1, 1), 1))
        is np.ndarray
    )
    assert type(native.convolution(x, numbers(1, 8, 3, 3), None, *windows)) is np.ndarray


def test_strides_of_operands(native):
    case = CASES["rows"]
    (x, w, bias, g), (y, gx, gw) = operands(case)
    wide = np.zeros((2, 40, 9, 22), np.float32)
    wide[:, ::2, :, ::2] = x
    turned = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    for operand in (wide[:, ::2, :, ::2], turned, x.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0)):
        close(native.convolution(operand, w, bias, *case.windows()), y)
        close(native.conv_grad_weight(g, operand, w.shape, *case.windows()), gw)
    expanded = np.broadcast_to(np.float32(1), g.shape)  # the cotangent of a sum
    wanted = reference.conv_grad_input(np.ones(g.shape), w.astype(np.float64), x.shape, *case.windows())
    close(native.conv_grad_input(expanded, w, x.shape, *case.windows()), wanted)
    close(native.convolution(x, channels_last(w), bias, *case.windows()), y)
    close(native.conv_grad_input(g, channels_last(w), x.shape, *case.windows()), gx)


@pytest.mark.parametrize(
    "name", ["3d", "stride", "from-few-channels-stride", "few-positions-stride", "depthwise-stride"]
)
def test_results_larger_than_the_windows_reach(native, name):
    """A transposed convolution with output padding: what no window covers is zero."""
    case = CASES[name]
    (x, w, _, g), _ = operands(case)
    shape = (*x.shape[:2], *(n + 1 for n in x.shape[2:]))
    wanted = reference.conv_grad_input(g.astype(np.float64), w.astype(np.float64), shape, *case.windows())
    close(native.conv_grad_input(g, w, shape, *case.windows()), wanted)


@pytest.mark.parametrize("name", [*(name for name in METHODS if "winograd" not in name), "groups-of-many"])
def test_non_finite_values_stay_where_they_belong(native, name):
    case = CASES[name]
    (x, w, _, _), _ = operands(case)
    x[0, 0, 1, 2], x[-1, -1, 3, 3] = np.inf, np.nan
    with cpu_direct(native), np.errstate(invalid="ignore"):
        found = plain(native.convolution(x, w, None, *case.windows()))
        wanted = reference.convolution(x, w, None, *case.windows())
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_array_equal(np.isposinf(found), np.isposinf(wanted))


class cpu_direct:
    """Without Winograd."""

    def __init__(self, native):
        self.module = native._module

    def __enter__(self):
        self.module.set_winograd(False)

    def __exit__(self, *error):
        self.module.set_winograd(winograd.enabled())


def test_winograd_switch(native, monkeypatch):
    assert cpu.winograd_enabled() and native._module.winograd()
    case = CASES["winograd"]
    (x, w, _, _), (_, _, _) = operands(case)
    exact = reference.convolution(x.astype(np.float64), w.astype(np.float64), None, *case.windows())
    with_it = plain(native.convolution(x, w, None, *case.windows()))
    monkeypatch.setattr(winograd, "_set", None)
    try:
        cpu.set_winograd(False)
        assert not cpu.winograd_enabled() and not native._module.winograd()
        without = plain(native.convolution(x, w, None, *case.windows()))
    finally:
        cpu.set_winograd(True)
    assert native._module.winograd() and not np.array_equal(with_it, without)
    error, direct_error = (np.sqrt(np.mean((found - exact) ** 2)) for found in (with_it, without))
    assert error < 2.5 * direct_error
    with pytest.raises(TypeError, match="expected a bool, got int"):
        cpu.set_winograd(1)
    monkeypatch.setattr(winograd, "_set", None)
    monkeypatch.setenv("RUSHLIGHT_WINOGRAD", "0")
    assert not winograd.enabled()


def test_what_it_leaves_to_the_reference(native):
    x, w, windows = numbers(2, 8, 6, 7), numbers(12, 8, 3, 3, seed=1), ((1, 1), (1, 1), (1, 1), 1)
    declined = native.convolution.declined
    native.convolution(x.astype(np.int64), w.astype(np.int64), None, *windows)
    native.convolution(x.astype(np.complex64), w.astype(np.complex64), None, *windows)
    empty = native.convolution(x[:0], w, None, *windows)
    assert empty.shape == (0, 12, 6, 7) and native.convolution.declined == declined + 3
    assert not native.conv_grad_weight(np.zeros((0, 12, 6, 7), np.float32), x[:0], w.shape, *windows).any()


@pytest.mark.parametrize(
    "name", ["rows", "chunks-of-channels", "winograd-large-weight", "few-positions", "winograd-spans"]
)
def test_accuracy_beside_torch(native, name):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    case = CASES[name]
    (x, w, _, g), (_, gx, gw) = operands(case)
    y = reference.convolution(x.astype(np.float64), w.astype(np.float64), None, *case.windows())
    stride, padding, dilation, groups = case.windows()
    their_x, their_w = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    theirs = torch.nn.functional.conv2d(their_x, their_w, None, stride, padding, dilation, groups)
    theirs.backward(torch.tensor(g))
    ours = (
        native.convolution(x, w, None, *case.windows()),
        native.conv_grad_input(g, w, x.shape, *case.windows()),
        native.conv_grad_weight(g, x, w.shape, *case.windows()),
    )
    for found, other, exact in zip(ours, (theirs.detach(), their_x.grad, their_w.grad), (y, gx, gw), strict=True):
        error, their_error = (np.sqrt(np.mean((a - exact) ** 2)) for a in (plain(found), other.numpy()))
        assert error <= 3 * their_error


def test_a_stride_of_many_residues_is_left_to_the_reference(native):
    """Each residue of the stride would be a lattice of its own."""
    w, shape, windows = numbers(1, 1, 2, 2), (1, 1, 302, 302), ((300, 300), (0, 0), (1, 1), 1)
    declined, g = native.conv_grad_input.declined, numbers(1, 1, 2, 2)
    exact = reference.conv_grad_input(g.astype(np.float64), w.astype(np.float64), shape, *windows)
    close(native.conv_grad_input(g, w, shape, *windows), exact)
    assert native.conv_grad_input.declined == declined + 1
