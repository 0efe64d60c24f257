"""Dropout: the native noise against the reference's, and the operation against torch's from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.backends.reference import reference
from rushlight.core.generator import Generator


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9, 1 - 1e-9])
@pytest.mark.parametrize("n", [1, 15, 17, 313, 20000, 150_000])
def test_noise(native, dtype, p, n):
    ours, theirs = Generator().manual_seed(2), Generator().manual_seed(2)
    for _ in range(2):
        calls = native.dropout_noise.calls
        found = native.dropout_noise(ours, (n,), np.dtype(dtype), p)
        assert native.dropout_noise.calls == calls + 1
        assert found.tobytes() == reference.dropout_noise(theirs, (n,), np.dtype(dtype), p).tobytes()
    assert np.array_equal(ours.get_state_bytes(), theirs.get_state_bytes())


def test_nothing_is_drawn_for_certain_outcomes(native):
    g = Generator().manual_seed(2)
    before = g.get_state_bytes()
    assert not native.dropout_noise(g, (5,), np.dtype("f4"), 1.0).any()
    assert (native.dropout_noise(g, (5,), np.dtype("f4"), 0.0) == 1).all()
    assert np.array_equal(g.get_state_bytes(), before)


@pytest.mark.parametrize("shape", [(7,), (64, 100), (2, 3, 16, 16)])
def test_forward_and_backward_are_torchs(shape):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = []
    for framework in (rl, torch):
        framework.manual_seed(4)
        x = framework.from_numpy(values.copy()).requires_grad_()
        y = framework.nn.functional.dropout(x, 0.3, True)
        y.square().sum().backward()
        found.append((y.detach().numpy(), x.grad.numpy()))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(), (1,), (17,), (313, 3), (400, 500)])
def test_product_and_mask_in_one_pass(native, dtype, p, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    if x.ndim:
        x[0] = -np.inf
    ours, theirs = Generator().manual_seed(2), Generator().manual_seed(2)
    calls = native.dropout.calls
    y, mask = native.dropout(ours, x, p)
    expected, kept = reference.dropout(theirs, x, p)
    assert native.dropout.calls == calls + 1
    assert np.array_equal(mask, kept) and np.array_equal(np.signbit(y), np.signbit(expected))
    np.testing.assert_array_equal(y, expected)
    assert np.array_equal(ours.get_state_bytes(), theirs.get_state_bytes())
    with np.errstate(invalid="ignore"):  # infinity times 0
        product = x * native.dropout_noise(Generator().manual_seed(2), shape, np.dtype(dtype), p)
    np.testing.assert_array_equal(y, product)
    calls = native.dropout_by_mask.calls
    np.testing.assert_array_equal(native.dropout_by_mask(x, mask, p), expected)
    assert native.dropout_by_mask.calls == calls + 1


def test_the_noise_is_drawn_in_the_order_of_the_mask(native):
    x = np.random.default_rng(0).standard_normal((20, 30)).astype("f4").T
    mask = np.empty((20, 30), np.bool_).T
    y, found = native.dropout(Generator().manual_seed(1), x, 0.4, mask)
    assert found is mask and y.strides == x.strides
    np.testing.assert_array_equal(y.T, reference.dropout(Generator().manual_seed(1), x.T, 0.4)[0])
    declined = native.dropout.declined
    y, _ = native.dropout(Generator().manual_seed(1), x, 0.4)  # row-major noise, transposed input
    assert native.dropout.declined == declined + 1
    np.testing.assert_array_equal(y, reference.dropout(Generator().manual_seed(1), np.ascontiguousarray(x), 0.4)[0])


def test_a_second_derivative_and_its_names(native):
    x = rl.randn(4, 5, dtype=rl.float64).requires_grad_()
    y = rl.nn.functional.dropout(x, 0.5)
    assert y.grad_fn.name() == "MulBackward0"
    (g,) = rl.autograd.grad(y.square().sum(), x, create_graph=True)
    (gg,) = rl.autograd.grad(g.sum(), x)
    np.testing.assert_allclose(gg.numpy(), 2 * np.where(y.detach().numpy() == 0, 0, 2.0) ** 2)
