"""Folders of images are listed as torchvision lists them."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.vision.datasets import DatasetFolder, ImageFolder
from rushlight.vision.datasets import folder as ours

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("dog/b.png", "dog/a.PNG", "cat/deep/c.jpg", "cat/d.bmp", "ant/e.webp"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5, 7), dtype=np.uint8)).save(path)
    (tmp_path / "root" / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "root" / "README").write_text("no class")
    return tmp_path / "root"


def test_image_folder_is_torchvisions(root, torchvision):
    actual, expected = ImageFolder(root), torchvision.datasets.ImageFolder(root)
    assert actual.samples == expected.samples and actual.imgs == expected.imgs and actual.targets == expected.targets
    assert actual.classes == expected.classes == ["ant", "cat", "dog"]
    assert actual.class_to_idx == expected.class_to_idx
    assert repr(actual) == repr(expected) and len(actual) == 5
    for (image, target), (image_expected, target_expected) in zip(actual, expected, strict=False):
        assert image.mode == "RGB" and target == target_expected
        assert np.array_equal(np.asarray(image), np.asarray(image_expected))
    assert ours.IMG_EXTENSIONS == torchvision.datasets.folder.IMG_EXTENSIONS


def test_dataset_folder(root):
    dataset = DatasetFolder(
        root, str.upper, (".txt",), transform=len, target_transform=lambda target: -target, allow_empty=True
    )
    path, target = dataset.samples[0]
    assert path.endswith("notes.txt") and target == 2
    assert dataset[0] == (len(path), -2)


def test_own_choice_of_files(root):
    dataset = ImageFolder(root, is_valid_file=lambda path: path.endswith(("c.jpg", "e.webp", "b.png")))
    assert dataset.targets == [0, 1, 2]


def test_errors_are_clear(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no valid file for the classes ant, cat. Supported extensions are: .txt"):
        DatasetFolder(root, str, (".txt",))
    with pytest.raises(FileNotFoundError, match="Couldn't find any class folder"):
        ImageFolder(root / "ant")
    with pytest.raises(FileNotFoundError):
        ImageFolder(tmp_path / "nowhere")
    for arguments in ({}, {"extensions": (".x",), "is_valid_file": str.isascii}):
        with pytest.raises(ValueError, match="cannot be None or not None at the same time"):
            ours.make_dataset(root, **arguments)
    with pytest.raises(ValueError, match="at least one entry"):
        ours.make_dataset(root, {}, (".x",))
    with pytest.raises(ValueError, match="cannot be None"):
        DatasetFolder.make_dataset(root, None)
