"""Resampling against torch; gradients against torch and the adjoint identity."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference.interpolate import upsample, upsample_backward

torch = pytest.importorskip("torch", reason="parity tests need torch")
SIZES = [((5,), (8,)), ((9,), (4,)), ((5, 6), (10, 12)), ((7, 5), (3, 11)), ((4, 4), (4, 9)), ((1, 3), (4, 1)),
         ((3, 4, 5), (6, 3, 7))]
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def check(x, sizes, mode, align_corners=False, factors=None, antialias=False, atol=1e-12):
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    corners = None if mode.startswith("nearest") else align_corners
    expected = torch.nn.functional.interpolate(
        tensor, None if factors else sizes, factors, mode, corners, antialias=antialias
    )
    scales = factors or (None,) * len(sizes)
    sizes = tuple(expected.shape[2:])
    y = upsample(x, sizes, mode, align_corners, scales, antialias)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=atol)
    g = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
    expected.backward(torch.from_numpy(g))
    gx = upsample_backward(g, x.shape, mode, align_corners, scales, antialias)
    np.testing.assert_allclose(gx, tensor.grad.numpy(), atol=atol)
    assert y.dtype == gx.dtype == x.dtype


@pytest.mark.parametrize("spatial, sizes", SIZES)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest(spatial, sizes, mode):
    check(np.random.default_rng(0).standard_normal((2, 3, *spatial)), sizes, mode)


@pytest.mark.parametrize("spatial, sizes", SIZES)
@pytest.mark.parametrize("align_corners", [True, False])
def test_linear(spatial, sizes, align_corners):
    check(np.random.default_rng(0).standard_normal((2, 3, *spatial)), sizes, LINEAR[len(sizes)], align_corners)


@pytest.mark.parametrize("spatial, sizes", [case for case in SIZES if len(case[0]) == 2])
@pytest.mark.parametrize("align_corners", [True, False])
def test_bicubic(spatial, sizes, align_corners):
    check(np.random.default_rng(0).standard_normal((2, 3, *spatial)), sizes, "bicubic", align_corners)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sizes", [(3, 4), (9, 11), (4, 20)])
def test_antialias(mode, align_corners, sizes):
    check(np.random.default_rng(0).standard_normal((2, 3, 9, 11)), sizes, mode, align_corners, antialias=True)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("factors", [(1.7, 2.3), (0.6, 0.9), (2.0, 0.5)])
def test_scale_factors_are_used_unrounded(mode, factors):
    check(np.random.default_rng(0).standard_normal((1, 2, 7, 9)), (0, 0), mode, factors=factors)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_float32_picks_the_same_neighbours(mode):
    rng = np.random.default_rng(0)
    for size, out in [(7, 100), (100, 7), (13, 29), (224, 100), (3, 1000)]:
        x = rng.standard_normal((1, 1, size, 2)).astype(np.float32)
        check(x, (out, 3), mode, atol=2e-4)  # gradients are sums of up to 1000 numbers


def test_half_and_infinite_inputs():
    x = np.random.default_rng(0).standard_normal((1, 2, 5, 5)).astype(np.float16)
    y = upsample(x, (8, 8), "bilinear", False, (None, None))
    wide = upsample(x.astype(np.float32), (8, 8), "bilinear", False, (None, None))
    np.testing.assert_array_equal(y, wide.astype(np.float16))
    g = np.zeros((1, 1, 8, 8))
    g[0, 0, 0, 0] = np.inf
    gx = upsample_backward(g, (1, 1, 4, 4), "nearest", False, (None, None))
    assert np.isinf(gx[0, 0, 0, 0]) and np.count_nonzero(gx) == 1


def test_unknown_mode_and_empty_batch():
    with pytest.raises(ValueError, match="'lanczos'"):
        upsample(np.ones((1, 1, 4)), (8,), "lanczos", False, (None,))
    assert upsample(np.ones((0, 2, 4)), (8,), "linear", False, (None,)).shape == (0, 2, 8)
