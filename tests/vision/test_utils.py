"""Grids of images are torchvision's, and files hold them."""

from __future__ import annotations

import io

import numpy as np
import pytest

import rushlight
from rushlight.vision.utils import make_grid, save_image

RNG = np.random.default_rng(0)
BATCH = RNG.random((5, 3, 4, 6), dtype=np.float32) * 3 - 1

CASES = [
    (BATCH, {}),
    (BATCH, {"nrow": 2, "padding": 1, "pad_value": 0.5}),
    (BATCH, {"nrow": 3, "padding": 0}),
    (BATCH, {"normalize": True}),
    (BATCH, {"normalize": True, "value_range": (0, 1)}),
    (BATCH, {"normalize": True, "scale_each": True}),
    (BATCH[:, :1], {}),
    (BATCH[:, :2], {}),
    (BATCH[0], {}),
    (BATCH[0, :1], {}),
    (BATCH[0, 0], {}),
    (BATCH[:1], {"normalize": True}),
    ((BATCH * 50).astype(np.uint8), {"pad_value": 9}),
]


@pytest.mark.parametrize("images, arguments", CASES, ids=range(len(CASES)))
def test_grids_are_torchvisions(oracle, torchvision, images, arguments):
    expected = torchvision.utils.make_grid(oracle.torch.from_numpy(images), **arguments)
    given = rushlight.from_numpy(images.copy())
    oracle.assert_same(make_grid(given, **arguments), expected, rtol=1e-6, atol=1e-6)
    assert np.array_equal(given.numpy(), images), "the images are left alone"


def test_a_list(oracle, torchvision):
    expected = torchvision.utils.make_grid([oracle.torch.from_numpy(image) for image in BATCH])
    oracle.assert_same(make_grid([rushlight.from_numpy(image) for image in BATCH]), expected)


def test_no_gradient_is_recorded():
    assert not make_grid(rushlight.rand(2, 3, 4, 4, requires_grad=True)).requires_grad


def test_errors_are_clear():
    with pytest.raises(TypeError, match="tensor or list of tensors expected, got <class 'numpy.ndarray'>"):
        make_grid(BATCH)
    with pytest.raises(TypeError, match="got a list containing <class 'int'>"):
        make_grid([1])
    with pytest.raises(TypeError, match=r"tuple \(min, max\)"):
        make_grid(rushlight.rand(2, 3, 2, 2), normalize=True, value_range=[0, 1])
    with pytest.raises(ValueError, match=r"\[B, C, H, W\]"):
        make_grid(rushlight.rand(2, 2, 3, 2, 2))


def test_files(oracle, torchvision, tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    images = BATCH / 3 + 0.4
    save_image(rushlight.from_numpy(images), tmp_path / "ours.png", nrow=2)
    torchvision.utils.save_image(oracle.torch.from_numpy(images), tmp_path / "theirs.png", nrow=2)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "ours.png")), np.asarray(Image.open(tmp_path / "theirs.png")))
    buffer = io.BytesIO()
    save_image(rushlight.from_numpy(images), buffer, format="png")
    assert Image.open(buffer).size == (5 * 8 + 2, 4 + 4)
