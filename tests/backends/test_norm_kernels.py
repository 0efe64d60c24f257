"""Normalisation kernels against torch in float64, and their float32 error against torch's own."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import norm

torch = pytest.importorskip("torch", reason="parity tests need torch")
F = torch.nn.functional
SHAPES = [(1, 4, 6, 5), (5, 3, 7), (7, 4), (3, 2, 2, 3, 4), (2, 3, 40, 41)]


def tensors(*arrays):
    return [None if a is None else torch.from_numpy(a.copy()).requires_grad_() for a in arrays]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_batch_norm(monkeypatch, shape, training, affine, block):
    monkeypatch.setattr(norm, "BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(shape) * 3 + 2, rng.standard_normal(shape)
    weight, bias = (rng.standard_normal(shape[1]) for _ in range(2)) if affine else (None, None)
    mean, var = rng.standard_normal(shape[1]), rng.random(shape[1])
    tx, tw, tb = tensors(x, weight, bias)
    expected = F.batch_norm(tx, *map(torch.from_numpy, (mean.copy(), var.copy())), tw, tb, training, 0.1, 1e-5)
    expected.backward(torch.from_numpy(g))
    y, save_mean, invstd = norm.batch_norm_forward(x, weight, bias, mean, var, training, 1e-5)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    gx, gw, gb = norm.batch_norm_backward(g, x, weight, save_mean, invstd, training, (True, affine, affine))
    np.testing.assert_allclose(gx, tx.grad.numpy(), atol=1e-12)
    if affine:
        np.testing.assert_allclose(gw, tw.grad.numpy(), atol=1e-11)
        np.testing.assert_allclose(gb, tb.grad.numpy(), atol=1e-11)
    axes = (0, *range(2, x.ndim))
    if training:
        np.testing.assert_allclose(save_mean, x.mean(axes), atol=1e-12)
        np.testing.assert_allclose(norm.batch_norm_with_variance(x, weight, bias, 1e-5)[3], x.var(axes), rtol=1e-11)
    for mask in ((False, True, False), (True, False, False), (False, False, True)):
        some = norm.batch_norm_backward(g, x, weight, save_mean, invstd, training, mask)
        for value, wanted, whole in zip(some, mask, (gx, gw, gb), strict=True):
            assert (value is not None) == wanted
            if wanted and whole is not None:
                np.testing.assert_allclose(value, whole, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 8, 64, 64), (32, 16, 16, 16), (256, 64), (8, 4, 112, 112)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_batch_norm_float32_error_is_no_worse_than_torch(shape, offset):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) + offset).astype(np.float32)
    weight, bias = (rng.standard_normal(shape[1]).astype(np.float32) for _ in range(2))
    exact = norm.batch_norm_forward(x.astype(np.float64), weight.astype(np.float64), bias, None, None, True, 1e-5)[0]
    theirs = F.batch_norm(*map(torch.from_numpy, (x,)), None, None, *map(torch.from_numpy, (weight, bias)), True)
    y, mean, invstd = norm.batch_norm_forward(x, weight, bias, None, None, True, 1e-5)
    assert y.dtype == mean.dtype == invstd.dtype == np.float32
    error, their_error = (np.sqrt(np.mean((a - exact) ** 2)) for a in (y, theirs.numpy()))
    # One rounding more than torch, whose compiler fuses product and sum; with an offset far fewer digits are lost.
    assert error <= (1.25 if offset == 0 else 1) * their_error
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axes), rtol=1e-7, atol=5e-9)
    np.testing.assert_allclose(invstd, 1 / np.sqrt(wide.var(axes) + 1e-5), rtol=1.5e-7)


@pytest.mark.parametrize("shape, nd", [((4, 5), 1), ((2, 3, 600), 1), ((2, 3, 4, 5), 2), ((6,), 1), ((3, 0, 4), 1)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_layer_norm(monkeypatch, shape, nd, affine, block):
    monkeypatch.setattr(norm, "BLOCK_BYTES", block)
    rng = np.random.default_rng(0)
    x, g, inner = rng.standard_normal(shape) * 2 + 1, rng.standard_normal(shape), shape[len(shape) - nd :]
    weight, bias = (rng.standard_normal(inner) for _ in range(2)) if affine else (None, None)
    tx, tw, tb = tensors(x, weight, bias)
    expected, their_mean, their_rstd = torch.native_layer_norm(tx, inner, tw, tb, 1e-5)
    expected.backward(torch.from_numpy(g))
    y, mean, rstd = norm.layer_norm_forward(x, nd, weight, bias, 1e-5)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(mean, their_mean.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(rstd, their_rstd.detach().numpy(), atol=1e-12)
    gx, gw, gb = norm.layer_norm_backward(g, x, nd, mean, rstd, weight, (True, affine, affine))
    np.testing.assert_allclose(gx, tx.grad.numpy(), atol=1e-12)
    if affine:
        np.testing.assert_allclose(gw, tw.grad.numpy(), atol=1e-12)
        np.testing.assert_allclose(gb, tb.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("shape, groups", [((2, 6, 4, 5), 3), ((3, 4, 700), 2), ((2, 4), 4), ((1, 4, 2, 3, 4), 1)])
@pytest.mark.parametrize("affine", [True, False])
def test_group_norm(shape, groups, affine):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal(shape) * 2 + 1, rng.standard_normal(shape)
    weight, bias = (rng.standard_normal(shape[1]) for _ in range(2)) if affine else (None, None)
    tx, tw, tb = tensors(x, weight, bias)
    expected = F.group_norm(tx, groups, tw, tb)
    expected.backward(torch.from_numpy(g))
    y, mean, rstd = norm.group_norm_forward(x, groups, weight, bias, 1e-5)
    assert mean.shape == rstd.shape == (shape[0], groups)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-12)
    gx, gw, gb = norm.group_norm_backward(g, x, groups, mean, rstd, weight, (True, affine, affine))
    np.testing.assert_allclose(gx, tx.grad.numpy(), atol=1e-12)
    if affine:
        np.testing.assert_allclose(gw, tw.grad.numpy(), atol=1e-12)
        np.testing.assert_allclose(gb, tb.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_types_are_rounded_once(name):
    import ml_dtypes

    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 6, 30)).astype(dtype)
    weight, bias = (rng.standard_normal(6).astype(dtype) for _ in range(2))
    wide = [a.astype(np.float32) for a in (x, weight, bias)]
    y, mean, invstd = norm.batch_norm_forward(x, weight, bias, None, None, True, 1e-5)
    expected = norm.batch_norm_forward(*wide, None, None, True, 1e-5)
    np.testing.assert_array_equal(y, expected[0].astype(dtype))
    assert mean.dtype == np.float32
    gradients = norm.batch_norm_backward(y, x, weight, mean, invstd, True, (True, True, True))
    assert gradients[0].dtype == dtype
    y = norm.group_norm_forward(x, 3, weight, bias, 1e-5)[0]
    np.testing.assert_array_equal(y, norm.group_norm_forward(wide[0], 3, *wide[1:], 1e-5)[0].astype(dtype))
    y = norm.layer_norm_forward(x, 1, None, None, 1e-5)[0]
    np.testing.assert_array_equal(y, norm.layer_norm_forward(wide[0], 1, None, None, 1e-5)[0].astype(dtype))


def test_strided_and_constant_inputs():
    x = np.random.default_rng(0).standard_normal((5, 4, 3, 2)).transpose(3, 2, 0, 1)[:, ::-1]
    for kernel, arguments in (
        (norm.batch_norm_forward, (None, None, None, None, True, 1e-5)),
        (norm.group_norm_forward, (3, None, None, 1e-5)),
        (norm.layer_norm_forward, (2, None, None, 1e-5)),
    ):
        for a, b in zip(kernel(x, *arguments), kernel(x.copy(), *arguments), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-13)
            assert a.flags.c_contiguous
    flat = np.full((4, 2, 1000), 0.1, np.float32)
    y, mean, invstd = norm.batch_norm_forward(flat, None, None, None, None, True, 1e-5)
    assert np.abs(y).max() < 1e-5 and np.isfinite(invstd).all()
