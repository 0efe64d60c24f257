"""Softmax family and negative log-likelihood against torch."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import softmax as k

torch = pytest.importorskip("torch", reason="parity tests need torch")


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape, dim", [((5,), 0), ((4, 7), 1), ((4, 7), 0), ((2, 3, 4), 1), ((), 0), ((3, 0), 1)])
def test_softmax_and_gradient(name, shape, dim):
    rng = np.random.default_rng(0)
    x, g = np.asarray(rng.standard_normal(shape) * 10), np.asarray(rng.standard_normal(shape))
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    expected = getattr(torch, name)(tensor, dim)
    y = getattr(k, name)(x, dim)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-13)
    expected.backward(torch.from_numpy(g))
    gx = getattr(k, name + "_backward")(g, y, dim)
    np.testing.assert_allclose(gx, tensor.grad.numpy(), atol=1e-13)
    assert isinstance(y, np.ndarray) and isinstance(gx, np.ndarray)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_extreme_values(name):
    x = np.array([[1000.0, 0, -1000], [-np.inf, 0, 1], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1]], np.float32)
    y = getattr(k, name)(x, 1)
    np.testing.assert_allclose(y, getattr(torch, name)(torch.from_numpy(x), 1).numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_half_is_rounded_once(name):
    x = np.random.default_rng(0).standard_normal((4, 300)).astype(np.float16)
    wide = getattr(k, name)(x.astype(np.float32), 1)
    np.testing.assert_array_equal(getattr(k, name)(x, 1), wide.astype(np.float16))


@pytest.mark.parametrize("dims", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdim", [True, False])
def test_logsumexp(dims, keepdim):
    x = np.random.default_rng(0).standard_normal((3, 4, 5)) * 100
    x[0], x[1, 0, 0] = -np.inf, np.inf
    np.testing.assert_allclose(
        k.logsumexp(x, dims, keepdim), torch.logsumexp(torch.from_numpy(x), dims, keepdim).numpy(), atol=1e-12
    )


def test_logsumexp_of_nothing_and_of_integers():
    assert k.logsumexp(np.zeros((2, 0)), (1,), False).tolist() == [-np.inf] * 2
    whole = k.logsumexp(np.array([1, 2, 3]), (0,), False)
    assert whole.dtype == np.float32 and whole.shape == ()
    np.testing.assert_allclose(whole, np.log(np.exp([1, 2, 3]).sum()), rtol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("rest", [(), (3,), (2, 3)])
def test_nll_loss(reduction, weighted, rest):
    rng = np.random.default_rng(0)
    logp = rng.standard_normal((6, 5, *rest))
    target = rng.integers(0, 5, (6, *rest))
    target[0] = -100
    weight = rng.random(5) if weighted else None
    tensor = torch.from_numpy(logp.copy()).requires_grad_()
    expected = torch.nn.functional.nll_loss(
        tensor, torch.from_numpy(target), None if weight is None else torch.from_numpy(weight), reduction=reduction
    )
    loss, total_weight = k.nll_loss(logp, target, weight, -100, reduction)
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-13)
    g = np.asarray(rng.standard_normal(loss.shape))
    expected.backward(torch.from_numpy(g))
    gx = k.nll_loss_backward(g, logp.shape, target, weight, -100, reduction, total_weight)
    np.testing.assert_allclose(gx, tensor.grad.numpy(), rtol=1e-13)


def test_nll_loss_counts_nothing_and_refuses_unknown_classes():
    logp = np.log(np.full((2, 3), 1 / 3, np.float32))
    ignored = np.array([7, 7])
    assert np.isnan(k.nll_loss(logp, ignored, None, 7, "mean")[0])
    assert k.nll_loss(logp, ignored, None, 7, "sum")[0] == 0
    logp[0, 1] = -np.inf
    assert np.isfinite(k.nll_loss(logp, np.array([1, 0]), None, 1, "mean")[0])
    for wrong in (5, -1):
        with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
            k.nll_loss(logp, np.array([wrong, 0]), None, -100, "mean")
