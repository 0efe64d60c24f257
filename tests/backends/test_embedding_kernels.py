"""Embedding, its gradient and one-hot encoding against torch."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference.embedding import embedding, embedding_backward, one_hot

torch = pytest.importorskip("torch", reason="parity tests need torch")


@pytest.mark.parametrize("padding_idx", [-1, 2])
@pytest.mark.parametrize("by_frequency", [True, False])
@pytest.mark.parametrize("shape", [(), (7,), (4, 5), (0,), (2, 0)])
def test_embedding(padding_idx, by_frequency, shape):
    rng = np.random.default_rng(0)
    weight, indices = rng.standard_normal((6, 3)), np.asarray(rng.integers(0, 6, shape))
    tensor = torch.from_numpy(weight.copy()).requires_grad_()
    expected = torch.embedding(tensor, torch.from_numpy(indices), padding_idx, by_frequency)
    y = embedding(weight, indices)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    g = rng.standard_normal(y.shape)
    expected.backward(torch.from_numpy(g))
    gradient = embedding_backward(g, indices, 6, padding_idx, by_frequency)
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), atol=1e-14)


def test_half_gradient_is_summed_in_float32():
    g = np.full((3000, 1), 1, np.float16)
    assert embedding_backward(g, np.zeros(3000, np.int64), 2, -1, False)[0, 0] == 3000


@pytest.mark.parametrize("wrong", [-1, 6])
def test_index_out_of_range(wrong):
    with pytest.raises(IndexError, match=f"index out of range in self.*{wrong}"):
        embedding(np.ones((6, 3)), np.array([0, wrong]))


@pytest.mark.parametrize("classes", [-1, 7])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_one_hot(classes, shape):
    indices = np.asarray(np.random.default_rng(0).integers(0, 6, shape))
    expected = torch.nn.functional.one_hot(torch.from_numpy(indices), classes)
    encoded = one_hot(indices, classes)
    assert encoded.dtype == np.int64
    np.testing.assert_array_equal(encoded, expected.numpy())


def test_one_hot_errors():
    assert one_hot(np.zeros((0, 2), np.int64), 3).shape == (0, 2, 3)
    for indices, classes, message in (
        ([], -1, "empty tensor"),
        ([-1], -1, "non-negative"),
        ([3], 3, "smaller than num_classes"),
        ([0], 0, "positive"),
    ):
        with pytest.raises(RuntimeError, match=message):
            one_hot(np.array(indices, np.int64), classes)
