"""Digits, FakeData and what datasets share."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.utils.data import DataLoader
from rushlight.vision.datasets import Digits, FakeData, VisionDataset
from rushlight.vision.datasets.digits_data import load_arrays
from rushlight.vision.transforms import ToTensor


def test_split():
    images, labels = load_arrays()
    train, test = Digits(), Digits(train=False)
    assert (len(train), len(test)) == (1500, 297)
    assert np.array_equal(rushlight.cat([train.data, test.data]).numpy(), images)
    assert rushlight.cat([train.targets, test.targets]).tolist() == labels.tolist()
    assert train.data.dtype is rushlight.uint8 and train.targets.dtype is rushlight.int64
    for part in (train, test):
        assert rushlight.bincount(part.targets).min() > 0.08 * len(part), "every class is there"


def test_samples():
    digits = Digits()
    image, target = digits[7]
    assert image.shape == (1, 8, 8) and image.dtype is rushlight.float32 and type(target) is int
    assert target == digits.targets[7].item() == 7
    assert rushlight.equal(image[0] * 16, digits.data[7].float())
    image.zero_()
    assert digits[7][0].max() == 1.0, "samples are copies"
    assert digits.classes == list("0123456789") and digits.class_to_idx["3"] == 3
    with pytest.raises(IndexError):
        digits[1500]


def test_transforms_and_loading():
    digits = Digits("ignored", train=False, transform=lambda image: 1 - image, target_transform=str)
    image, target = digits[0]
    assert image.max() == 1.0 and target == str(digits.targets[0].item())
    images, targets = next(iter(DataLoader(Digits(), batch_size=64, shuffle=True)))
    assert images.shape == (64, 1, 8, 8) and targets.shape == (64,) and targets.dtype is rushlight.int64


def test_printed_form():
    assert repr(Digits()) == "Dataset Digits\n    Number of datapoints: 1500\n    Split: Train"
    shown = repr(Digits(transform=ToTensor(), target_transform=ToTensor()))
    assert shown.splitlines()[3:] == ["    StandardTransform", "Transform: ToTensor()", "Target transform: ToTensor()"]


def test_fake_data(oracle, torchvision):
    pytest.importorskip("PIL.Image", reason="needs Pillow")
    arguments = {"size": 5, "image_size": (3, 6, 7), "num_classes": 9, "random_offset": 3}
    actual, expected = FakeData(**arguments), torchvision.datasets.FakeData(**arguments)
    assert repr(actual) == repr(expected)
    rushlight.manual_seed(1)
    first = rushlight.rand(2)
    rushlight.manual_seed(1)
    for index in range(5):
        (image, target), (image_expected, target_expected) = actual[index], expected[index]
        assert target == target_expected
        difference = np.abs(np.asarray(image).astype(int) - np.asarray(image_expected).astype(int)) % 255
        assert difference.max() <= 1
    assert rushlight.equal(rushlight.rand(2), first), "the generator is left as it was"
    with pytest.raises(IndexError, match="index out of range"):
        actual[5]


def test_base_class(torchvision):
    class Two(VisionDataset):
        def __len__(self):
            return 2

        def extra_repr(self):
            return "a line\nanother"

    class TheirTwo(torchvision.datasets.VisionDataset):
        __len__, extra_repr = Two.__len__, Two.extra_repr

    TheirTwo.__name__ = "Two"
    assert repr(Two("~/x", transform=len)) == repr(TheirTwo("~/x", transform=len))
    assert Two(transforms=max).transforms is max
    assert Two(transform=str, target_transform=len).transforms(3, "abc") == ("3", 3)
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform"):
        Two(transform=str, transforms=max)
    with pytest.raises(NotImplementedError):
        Two()[0]
