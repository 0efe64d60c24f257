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
