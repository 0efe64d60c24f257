"""CIFAR's pickles are parsed into plain data, as torchvision reads them; nothing in them is run."""

from __future__ import annotations

import hashlib
import os
import pickle

import numpy as np
import pytest

from rushlight.vision.datasets import CIFAR10, CIFAR100
from rushlight.vision.datasets.cifar import read_batch

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2's byte strings and NumPy's old path, as the original files have them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj):
        if len(obj) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(obj)]) + obj)
        else:
            self.write(pickle.BINSTRING + len(obj).to_bytes(4, "little") + obj)
        self.memoize(obj)

    def save_str(self, obj):
        self.save_bytes(obj.encode("latin1"))

    def save_global(self, obj, name=None):
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{obj.__name__}\n".encode())

    dispatch[bytes], dispatch[str], dispatch[type(len)] = save_bytes, save_str, save_global


def write(path, content):
    with open(path, "wb") as file:
        Python2Pickler(file, 2).dump(content)
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture(params=["CIFAR10", "CIFAR100"])
def classes(request, tmp_path, torchvision, monkeypatch):
    """Our class and torchvision's, both told the checksums of small files of the original's form."""
    ours, theirs = {"CIFAR10": CIFAR10, "CIFAR100": CIFAR100}[request.param], getattr(torchvision.datasets, request.param)
    for name in ("base_folder", "url", "filename", "tgz_md5", "meta"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert [ours.train_list, ours.test_list] == [theirs.train_list, theirs.test_list]
    folder = tmp_path / ours.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    key = "labels" if request.param == "CIFAR10" else "fine_labels"
    sums = {}
    for name, _ in [*ours.train_list, *ours.test_list]:
        batch = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), key: [1, 0, 3, 2], "batch_label": name}
        sums[name] = write(folder / name, batch)
    meta = {**ours.meta, "md5": write(folder / ours.meta["filename"], {ours.meta["key"]: ["a", "b", "c", "d"]})}
    for cls in (ours, theirs):
        monkeypatch.setattr(cls, "train_list", [[name, sums[name]] for name, _ in cls.train_list])
        monkeypatch.setattr(cls, "test_list", [[name, sums[name]] for name, _ in cls.test_list])
        monkeypatch.setattr(cls, "meta", meta)
    return ours, theirs


@pytest.mark.parametrize("train", [True, False])
def test_is_torchvisions(classes, tmp_path, train):
    actual, expected = (cls(tmp_path, train=train) for cls in classes)
    assert np.array_equal(actual.data, expected.data) and actual.data.shape[1:] == (32, 32, 3)
    assert actual.targets == expected.targets and len(actual) == len(expected)
    assert actual.classes == expected.classes and actual.class_to_idx == expected.class_to_idx
    assert repr(actual) == repr(expected)
    image, target = actual[1]
    image_expected, target_expected = expected[1]
    assert np.array_equal(np.asarray(image), np.asarray(image_expected)) and target == target_expected


def test_missing_and_changed_files(classes, tmp_path):
    ours, _ = classes
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted. You can use download=True"):
        ours(tmp_path / "elsewhere")
    with open(tmp_path / ours.base_folder / ours.test_list[0][0], "ab") as file:
        file.write(b"x")
    with pytest.raises(RuntimeError, match="not found or corrupted"):
        ours(tmp_path)


def test_being_offline_is_explained(tmp_path):
    with pytest.raises(RuntimeError, match="could not download https://www.cs.toronto.edu") as error:
        CIFAR10(tmp_path, download=True)
    assert str(tmp_path / "cifar-10-python.tar.gz") in str(error.value)


def test_no_code_in_a_file_is_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "broken_in"),)

    (tmp_path / "batch").write_bytes(pickle.dumps({"data": Attack()}))
    with pytest.raises(pickle.UnpicklingError):
        read_batch(tmp_path / "batch")
    assert not (tmp_path / "broken_in").exists()
