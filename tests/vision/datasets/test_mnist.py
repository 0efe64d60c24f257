"""MNIST's files are read as torchvision reads them, damaged ones are refused, and being offline is explained."""

from __future__ import annotations

import gzip
import hashlib
import struct

import numpy as np
import pytest

import rushlight
from rushlight.utils.data import DataLoader
from rushlight.vision.datasets import KMNIST, MNIST, FashionMNIST
from rushlight.vision.datasets.mnist import read_idx
from rushlight.vision.transforms import Compose, Lambda, ToTensor

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

KINDS = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array):
    """The bytes of an idx file."""
    kind = array.dtype.str[1:]
    head = struct.pack(">HBB", 0, KINDS[kind], array.ndim) + struct.pack(f">{array.ndim}i", *array.shape)
    return head + array.astype(f">{kind}").tobytes()


def content():
    rng = np.random.default_rng(0)
    return {
        "train-images-idx3-ubyte": rng.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.array([5, 0, 4, 1, 9, 2], dtype=np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.array([7, 2, 1], dtype=np.uint8),
    }


@pytest.fixture(params=[MNIST, FashionMNIST, KMNIST], ids=lambda cls: cls.__name__)
def dataset_class(request, tmp_path):
    folder = tmp_path / request.param.__name__ / "raw"
    folder.mkdir(parents=True)
    for name, array in content().items():
        (folder / name).write_bytes(idx(array))
    return request.param


@pytest.mark.parametrize("train", [True, False])
def test_is_torchvisions(dataset_class, tmp_path, oracle, torchvision, train):
    actual = dataset_class(tmp_path, train=train)
    expected = getattr(torchvision.datasets, dataset_class.__name__)(tmp_path, train=train)
    oracle.assert_same(actual.data, expected.data)
    oracle.assert_same(actual.targets, expected.targets)
    assert actual.classes == expected.classes and actual.class_to_idx == expected.class_to_idx
    assert actual.mirrors == expected.mirrors and actual.resources == expected.resources
    assert repr(actual) == repr(expected)
    for (image, target), (image_expected, target_expected) in zip(actual, expected, strict=False):
        assert np.array_equal(np.asarray(image), np.asarray(image_expected)) and image.mode == image_expected.mode
        assert target == target_expected and type(target) is int


def test_transforms_and_loading(tmp_path, dataset_class):
    dataset = dataset_class(str(tmp_path), transform=ToTensor(), target_transform=lambda target: target + 100)
    images, targets = next(iter(DataLoader(dataset, batch_size=4)))
    assert images.shape == (4, 1, 28, 28) and images.dtype is rushlight.float32
    assert targets.tolist() == [105, 100, 104, 101]


def test_printed_form(tmp_path, dataset_class, torchvision):
    def made(cls, t):
        return cls(str(tmp_path), transform=t.Compose([t.ToTensor(), t.Lambda(str)]), target_transform=t.Lambda(str))

    class OurTransforms:
        Compose, ToTensor, Lambda = Compose, ToTensor, Lambda

    expected = made(getattr(torchvision.datasets, dataset_class.__name__), torchvision.transforms)
    assert repr(made(dataset_class, OurTransforms)) == repr(expected)


def test_old_names_warn(tmp_path, dataset_class):
    dataset = dataset_class(tmp_path)
    for old, new in (("train_data", "data"), ("test_data", "data"), ("train_labels", "targets"), ("test_labels", "targets")):
        with pytest.warns(UserWarning, match=f"{old} has been renamed {new}"):
            assert getattr(dataset, old) is getattr(dataset, new)


def test_missing_files_are_explained(tmp_path):
    with pytest.raises(RuntimeError, match="Dataset not found. You can use download=True") as error:
        MNIST(tmp_path)
    assert str(tmp_path / "MNIST" / "raw") in str(error.value) and "t10k-images-idx3-ubyte" in str(error.value)


def test_being_offline_is_explained(tmp_path):
    with pytest.raises(RuntimeError, match="Error downloading train-images-idx3-ubyte.gz") as error:
        MNIST(tmp_path, download=True)
    for mirror in MNIST.mirrors:
        assert mirror in str(error.value)
    assert "there is no network here" in str(error.value) and str(tmp_path) in str(error.value)


def test_download(tmp_path, monkeypatch):
    packed = {f"{name}.gz": gzip.compress(idx(array)) for name, array in content().items()}
    resources = [(name, hashlib.md5(data).hexdigest()) for name, data in packed.items()]
    monkeypatch.setattr(MNIST, "resources", resources)
    asked = []

    def download(url, path, *args, **kwargs):
        asked.append(url)
        if url.startswith(MNIST.mirrors[0]):
            raise RuntimeError("the first mirror is away")
        with open(path, "wb") as file:
            file.write(packed[url.rsplit("/", 1)[1]])

    monkeypatch.setattr("rushlight.vision.datasets.utils.download_url_to_file", download)
    assert len(MNIST(tmp_path, download=True)) == 6
    assert len(asked) == 8
    assert len(MNIST(tmp_path, train=False, download=True)) == 3
    assert len(asked) == 8, "what is there is not fetched again"


def test_a_wrong_download_is_thrown_away(tmp_path, monkeypatch):
    def download(url, path, *args, **kwargs):
        with open(path, "wb") as file:
            file.write(b"<html>please log in</html>")

    monkeypatch.setattr("rushlight.vision.datasets.utils.download_url_to_file", download)
    with pytest.raises(RuntimeError, match="sent a file with the MD5"):
        MNIST(tmp_path, download=True)
    assert not list((tmp_path / "MNIST" / "raw").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_idx_types(tmp_path, kind):
    array = np.arange(-6 if kind[0] != "u" else 0, 6).astype(kind)[:6].reshape(2, 3)
    (tmp_path / "a").write_bytes(idx(array))
    (tmp_path / "b.gz").write_bytes(gzip.compress(idx(array)))
    for name in ("a", "b.gz"):
        found = read_idx(tmp_path / name)
        assert found.dtype == array.dtype and found.dtype.isnative and np.array_equal(found, array)


@pytest.mark.parametrize("damage", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: d[:3], lambda d: b"PK" + d[2:], lambda d: b""])
def test_damaged_idx_files(tmp_path, damage):
    (tmp_path / "a").write_bytes(damage(idx(np.zeros((2, 3), np.uint8))))
    with pytest.raises(ValueError, match="is damaged|is not an idx file"):
        read_idx(tmp_path / "a")


@pytest.mark.parametrize(
    "name, array, kind, message",
    [
        ("train-images-idx3-ubyte", np.zeros((6, 28), np.uint8), ValueError, "should have 3 dimension"),
        ("train-images-idx3-ubyte", np.zeros((6, 28, 28), np.int32), TypeError, "should be of dtype torch.uint8"),
        ("train-labels-idx1-ubyte", np.zeros(5, np.uint8), ValueError, "holds 6 images but 5 labels"),
    ],
)
def test_files_that_do_not_fit(tmp_path, dataset_class, name, array, kind, message):
    (tmp_path / dataset_class.__name__ / "raw" / name).write_bytes(idx(array))
    with pytest.raises(kind, match=message):
        dataset_class(tmp_path)
