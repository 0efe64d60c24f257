"""The digits inside the package are the original's, byte for byte, and say whose they are."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np

from rushlight.vision.datasets.digits_data import CLASSES, INK, load_arrays


def test_shapes_types_and_ranges():
    images, labels = load_arrays()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8
    assert labels.shape == (1797,) and labels.dtype == np.uint8
    assert images.min() == 0 and images.max() == INK
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert len(CLASSES) == 10


def test_content_is_the_originals():
    images, labels = load_arrays()
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
    assert images[0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]  # the first line of optdigits.tes


def test_arrays_are_the_callers_own():
    images, _ = load_arrays()
    images[:] = 0
    assert load_arrays()[0].max() == INK


def test_small_and_attributed():
    folder = files("rushlight.vision.datasets")
    assert len((folder / "optdigits.npz").read_bytes()) < 110_000
    licence = (folder / "optdigits_license.txt").read_text(encoding="utf-8")
    for needed in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "What was changed"):
        assert needed in licence
