"""MNIST and the datasets published in its format: 28 x 28 pixels, ten classes, 60000 + 10000 images."""

from __future__ import annotations

import gzip
import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight.base.warn import warn_user
from rushlight.core.public import Tensor
from rushlight.ops.from_data import from_numpy
from rushlight.vision._pillow import image_from_array
from rushlight.vision.datasets.utils import check_integrity, download_and_extract_archive
from rushlight.vision.datasets.vision import Transform, VisionDataset

# The third byte of an idx file.
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an idx file, the format of MNIST; packed (.gz) files are read too. `ValueError` if it is damaged."""
    name = os.fspath(path)
    with gzip.open(name, "rb") if name.endswith(".gz") else open(name, "rb") as file:
        data = file.read()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES or not 1 <= data[3] <= 3:
        raise ValueError(f"{name} is not an idx file: it starts with {data[:4]!r}")
    kind, start = np.dtype(_TYPES[data[2]]), 4 + 4 * data[3]
    shape = [int.from_bytes(data[place : place + 4], "big") for place in range(4, start, 4)]
    if len(data) != start + math.prod(shape) * kind.itemsize:
        raise ValueError(f"{name} should hold {shape} values of {kind.itemsize} bytes, but has {len(data)} bytes: it is damaged")
    return np.frombuffer(data, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


class MNIST(VisionDataset):
    """Handwritten digits (Y. LeCun, C. Cortes, C. Burges): PIL images of mode "L" and targets from 0 to 9.

    root: the folder that holds `MNIST/raw/train-images-idx3-ubyte` and its three companions; an installed torchvision
    uses the same. train: 60000 images for training or 10000 for testing. download: fetch what is not there.

    `data` is the uint8 tensor [N, 28, 28] of all images, `targets` the int64 tensor [N]. Raises `RuntimeError` when the
    files are not there.
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError(
                f"Dataset not found. You can use download=True to download it, or put {', '.join(self._files())} "
                f"into {self.raw_folder}"
            )
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        """The folder of the idx files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The target of each class name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def train_labels(self) -> Tensor:
        """The old name of `targets`."""
        warn_user("train_labels has been renamed targets")
        return self.targets

    @property
    def test_labels(self) -> Tensor:
        """The old name of `targets`."""
        warn_user("test_labels has been renamed targets")
        return self.targets

    @property
    def train_data(self) -> Tensor:
        """The old name of `data`."""
        warn_user("train_data has been renamed data")
        return self.data

    @property
    def test_data(self) -> Tensor:
        """The old name of `data`."""
        warn_user("test_data has been renamed data")
        return self.data

    def _files(self) -> list[str]:
        return [name.removesuffix(".gz") for name, _ in self.resources]

    def _check_exists(self) -> bool:
        return all(check_integrity(os.path.join(self.raw_folder, name)) for name in self._files())

    def _load_data(self) -> tuple[Tensor, Tensor]:
        which = "train" if self.train else "t10k"
        images = read_idx(os.path.join(self.raw_folder, f"{which}-images-idx3-ubyte"))
        labels = read_idx(os.path.join(self.raw_folder, f"{which}-labels-idx1-ubyte"))
        for array, dims, what in ((images, 3, "images"), (labels, 1, "labels")):
            if array.dtype != np.uint8:
                raise TypeError(f"the {what} of {self.raw_folder} should be of dtype torch.uint8 instead of {array.dtype}")
            if array.ndim != dims:
                raise ValueError(f"the {what} of {self.raw_folder} should have {dims} dimension instead of {array.ndim}")
        if len(images) != len(labels):
            raise ValueError(f"{self.raw_folder} holds {len(images)} images but {len(labels)} labels")
        return from_numpy(images), from_numpy(labels.astype(np.int64))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = image_from_array(self.data[index].numpy(), "L")
        return self._transformed(image, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def download(self) -> None:
        """Fetch the four files unless they are there; `RuntimeError` when no mirror answers."""
        if self._check_exists():
            return
        for filename, md5 in self.resources:
            self._download_one(filename, md5)

    def _download_one(self, filename: str, md5: str) -> None:
        failures = []
        for mirror in self.mirrors:
            try:
                download_and_extract_archive(f"{mirror}{filename}", self.raw_folder, filename=filename, md5=md5)
                return
            except RuntimeError as error:
                failures.append(f"Tried {mirror}, got:\n{error}")
        raise RuntimeError(f"Error downloading {filename}:\n" + "\n".join(failures))

    def extra_repr(self) -> str:
        """The split."""
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Zalando's pictures of clothes, in MNIST's format: root holds `FashionMNIST/raw/...`; see `MNIST`."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """Handwritten Japanese characters, in MNIST's format: root holds `KMNIST/raw/...`; see `MNIST`."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
