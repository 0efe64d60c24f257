"""Convolution kernels against the definition written as loops, and against torch."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rushlight.backends.reference import conv
from rushlight.backends.reference.conv import conv_grad_input, conv_grad_weight, convolution


def naive(x, w, stride, padding, dilation, groups):
    """The definition: one sum per output element, over the taps that fall inside the input."""
    out_sizes = conv.Geometry(x.shape[2:], w.shape[2:], stride, padding, dilation, groups).out_sizes
    out = np.zeros((x.shape[0], w.shape[0], *out_sizes), x.dtype)
    per_group = w.shape[0] // groups
    for o, position in product(range(w.shape[0]), np.ndindex(*out_sizes)):
        first = (o // per_group) * w.shape[1]
        for tap in np.ndindex(*w.shape[2:]):
            where = zip(position, stride, padding, tap, dilation, strict=True)
            at = tuple(i * s - p + t * d for i, s, p, t, d in where)
            if all(0 <= a < size for a, size in zip(at, x.shape[2:], strict=True)):
                part = x[(slice(None), slice(first, first + w.shape[1]), *at)] @ w[(o, slice(None), *tap)]
                out[(slice(None), o, *position)] += part
    return out


# images, channels, outputs, groups, spatial, kernel, stride, padding, dilation
CASES = [
    (1, 3, 4, 1, (7,), (3,), (1,), (1,), (1,)),
    (3, 4, 6, 2, (9,), (4,), (3,), (2,), (2,)),
    (1, 3, 4, 1, (6, 5), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 3, 4, 1, (8, 7), (3, 2), (2, 2), (1, 0), (1, 2)),
    (2, 4, 6, 2, (5, 6), (3, 3), (1, 2), (2, 1), (1, 1)),
    (3, 4, 4, 4, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, 3, 6, 3, (6, 6), (3, 3), (2, 2), (1, 1), (1, 1)),
    (2, 5, 3, 1, (4, 4), (1, 1), (1, 1), (0, 0), (1, 1)),
    (1, 5, 3, 1, (4, 4), (1, 1), (1, 1), (0, 0), (1, 1)),
    (1, 4, 6, 2, (4, 4), (1, 1), (2, 2), (0, 0), (1, 1)),
    (1, 4, 4, 1, (3, 3), (1, 1), (1, 1), (2, 2), (1, 1)),
    (2, 2, 3, 1, (9, 8), (2, 2), (3, 4), (0, 1), (3, 2)),
    (2, 2, 4, 1, (4, 5, 3), (3, 2, 2), (1, 2, 1), (1, 0, 1), (1, 1, 2)),
    (1, 4, 4, 2, (3, 4, 4), (2, 2, 2), (2, 1, 3), (0, 1, 1), (1, 1, 1)),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("images_scale", [1, 20])
@pytest.mark.parametrize("short_run", [0, 8, 10**6])
def test_forward_is_the_definition_and_gradients_are_its_adjoints(monkeypatch, case, images_scale, short_run):
    monkeypatch.setattr(conv, "SHORT_RUN", short_run)
    monkeypatch.setattr(conv, "CHANNELS_LAST_POSITIONS", short_run)
    images, channels, outputs, groups, spatial, kernel, *geometry = case
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images * images_scale, channels, *spatial))
    w = rng.standard_normal((outputs, channels // groups, *kernel))
    bias = rng.standard_normal(outputs)
    y = convolution(x, w, None, *geometry, groups)
    np.testing.assert_allclose(y, naive(x, w, *geometry, groups), atol=1e-12)
    shaped = bias.reshape(-1, *(1,) * len(spatial))
    np.testing.assert_allclose(convolution(x, w, bias, *geometry, groups), y + shaped, atol=1e-12)
    g = rng.standard_normal(y.shape)
    gx = conv_grad_input(g, w, x.shape, *geometry, groups)
    gw = conv_grad_weight(g, x, w.shape, *geometry, groups)
    assert gx.shape == x.shape and gw.shape == w.shape
    # <g, conv(dx, w)> = <gx, dx> for every dx, and the same for w: the convolution is linear in each.
    dx, dw = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
    np.testing.assert_allclose(np.vdot(gx, dx), np.vdot(g, naive(dx, w, *geometry, groups)), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(np.vdot(gw, dw), np.vdot(g, naive(x, dw, *geometry, groups)), rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("images", [1, 5, 33])
@pytest.mark.parametrize("block", [1, 5000, 1 << 21])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_blocks_flipping_and_layouts_agree_with_torch(monkeypatch, images, block, stride, groups):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    monkeypatch.setattr(conv, "BLOCK_BYTES", block)
    monkeypatch.setattr(conv, "TAP_BLOCK_BYTES", block)
    monkeypatch.setattr(conv, "GRAD_WEIGHT_POSITIONS", 1)
    rng = np.random.default_rng(1)
    geometry = ((stride, stride), (1, 1), (1, 1))
    for size in (5, 14):
        x = rng.standard_normal((images, 8, size, size))
        w = rng.standard_normal((8, 8 // groups, 3, 3))
        expected = torch.conv2d(torch.from_numpy(x), torch.from_numpy(w), None, stride, 1, 1, groups)
        y = convolution(x, w, None, *geometry, groups)
        np.testing.assert_allclose(y, expected.numpy(), atol=1e-11)
        g = rng.standard_normal(y.shape)
        gx, gw, _ = torch.ops.aten.convolution_backward(
            *map(torch.from_numpy, (g, x, w)), None, *map(list, geometry), False, [0, 0], groups, [True, True, False]
        )
        for ratio in (0, 10**9):
            monkeypatch.setattr(conv, "FLIP_RATIO", ratio)
            np.testing.assert_allclose(conv_grad_input(g, w, x.shape, *geometry, groups), gx.numpy(), atol=1e-11)
        np.testing.assert_allclose(conv_grad_weight(g, x, w.shape, *geometry, groups), gw.numpy(), atol=1e-10)


@pytest.mark.parametrize("output_padding", [0, 1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution_is_the_input_gradient(output_padding, groups):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((4, 3, 3, 2))
    settings = {"stride": 3, "padding": 1, "output_padding": output_padding, "groups": groups, "dilation": 2}
    expected = torch.nn.functional.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(w), None, **settings)
    y = conv_grad_input(x, w, tuple(expected.shape), (3, 3), (1, 1), (2, 2), groups)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-12)


def test_strided_views_and_read_only_inputs():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((7, 6, 2, 3)).transpose(2, 3, 1, 0)[:, :, ::-1]
    w = rng.standard_normal((3, 3, 4, 3)).transpose(2, 3, 0, 1)
    geometry = ((1, 1), (1, 1), (1, 1))
    for a in (x, w):
        a.flags.writeable = False
    y = convolution(x, w, None, *geometry, 1)
    assert y.flags.c_contiguous
    np.testing.assert_array_equal(y, convolution(x.copy(), w.copy(), None, *geometry, 1))
    g = np.broadcast_to(np.float64(1), y.shape)
    ones = np.ones(y.shape)
    np.testing.assert_allclose(
        conv_grad_input(g, w, x.shape, *geometry, 1), conv_grad_input(ones, w, x.shape, *geometry, 1)
    )
    np.testing.assert_allclose(
        conv_grad_weight(g, x, w.shape, *geometry, 1), conv_grad_weight(ones, x, w.shape, *geometry, 1)
    )


def test_results_do_not_share_borrowed_memory():
    rng = np.random.default_rng(4)
    geometry = ((2, 2), (1, 1), (1, 1))
    x, w = rng.standard_normal((3, 4, 6, 6)), rng.standard_normal((4, 4, 3, 3))
    y = convolution(x, w, None, *geometry, 1)
    results = [y, conv_grad_input(y, w, x.shape, *geometry, 1), conv_grad_weight(y, x, w.shape, *geometry, 1)]
    kept = [r.copy() for r in results]
    convolution(x + 1, w, None, *geometry, 1)
    conv_grad_input(y + 1, w, x.shape, *geometry, 1)
    conv_grad_weight(y + 1, x, w.shape, *geometry, 1)
    for result, before in zip(results, kept, strict=True):
        np.testing.assert_array_equal(result, before)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "complex64", "complex128"])
def test_dtypes_are_kept_and_half_is_accumulated_in_float32(dtype):
    import ml_dtypes

    dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    rng = np.random.default_rng(5)
    x, w = (rng.standard_normal(s).astype(dtype) for s in ((2, 64, 5, 5), (4, 64, 3, 3)))
    geometry = ((1, 1), (1, 1), (1, 1))
    y = convolution(x, w, w[:, 0, 0, 0], *geometry, 1)
    wide = np.complex128 if dtype.kind == "c" else np.float64
    exact = convolution(x.astype(wide), w.astype(wide), w[:, 0, 0, 0].astype(wide), *geometry, 1)
    gx, gw = conv_grad_input(y, w, x.shape, *geometry, 1), conv_grad_weight(y, x, w.shape, *geometry, 1)
    assert y.dtype == gx.dtype == gw.dtype == dtype
    eps = {"float16": 2**-11, "bfloat16": 2**-8}.get(dtype.name, 1e-6)
    np.testing.assert_allclose(y.astype(wide), exact, rtol=1.01 * eps, atol=1e-4)


def test_empty_batches_channels_and_maps():
    geometry = ((1, 1), (1, 1), (1, 1))
    w = np.ones((4, 3, 3, 3))
    assert convolution(np.ones((0, 3, 5, 5)), w, np.ones(4), *geometry, 1).shape == (0, 4, 5, 5)
    assert convolution(np.ones((2, 3, 0, 5)), w, None, *geometry, 1).shape == (2, 4, 0, 5)
    assert conv_grad_input(np.ones((0, 4, 5, 5)), w, (0, 3, 5, 5), *geometry, 1).shape == (0, 3, 5, 5)
    grad = conv_grad_weight(np.ones((0, 4, 5, 5)), np.ones((0, 3, 5, 5)), w.shape, *geometry, 1)
    np.testing.assert_array_equal(grad, np.zeros(w.shape))
    bias = np.arange(4.0)
    only_bias = convolution(np.ones((1, 0, 5, 5)), np.ones((4, 0, 3, 3)), bias, *geometry, 1)
    np.testing.assert_array_equal(only_bias, np.broadcast_to(bias[:, None, None], (1, 4, 5, 5)))


def test_infinities_do_not_warn():
    x = np.full((1, 2, 3, 3), np.inf, np.float32)
    y = convolution(x, np.zeros((1, 2, 3, 3), np.float32), None, (1, 1), (1, 1), (1, 1), 1)
    assert np.isnan(y).all()
