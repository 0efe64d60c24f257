"""CIFAR-10 and CIFAR-100: small photographs, 32 x 32 pixels, 50000 + 10000 images (A. Krizhevsky)."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import numpy as np

from rushlight.serialization.globals import ClosedTable
from rushlight.serialization.opcodes import unpickle
from rushlight.vision._pillow import image_from_array
from rushlight.vision.datasets.utils import check_integrity, download_and_extract_archive
from rushlight.vision.datasets.vision import Transform, VisionDataset


def read_batch(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The dict in one of the dataset's files, which are pickles of Python 2. They are parsed into plain data, not run."""
    with open(path, "rb") as file:
        return unpickle(file, ClosedTable("error"), _no_persistent_ids, os.path.getsize(path), encoding="latin1")


def _no_persistent_ids(key: Any) -> NoReturn:
    raise ValueError(f"the file refers to an object outside of it ({key!r}): it is no file of CIFAR")


class CIFAR10(VisionDataset):
    """Photographs of ten kinds of things: PIL images of mode "RGB" and targets from 0 to 9.

    root: the folder that holds `cifar-10-batches-py`; an installed torchvision uses the same. train: 50000 images for
    training or 10000 for testing. download: fetch what is not there.

    `data` is the uint8 array [N, 32, 32, 3] of all images, `targets` a list. Raises `RuntimeError` when files are not
    there or not the original's.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": "5ff9c542aee3614f3951f8cda6e48888"}

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
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it, or unpack "
                f"{self.filename} into {self.root}"
            )
        batches = [read_batch(self._path(name)) for name, _ in (self.train_list if train else self.test_list)]
        pixels = np.vstack([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        self.data: Any = pixels.transpose(0, 2, 3, 1)
        label = "labels" if "labels" in batches[0] else "fine_labels"
        self.targets: list[int] = [target for batch in batches for target in batch[label]]
        self.classes: list[str] = read_batch(self._path(self.meta["filename"]))[self.meta["key"]]
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list, [self.meta["filename"], self.meta["md5"]]]
        return all(check_integrity(self._path(name), md5) for name, md5 in files)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(image_from_array(self.data[index], "RGB"), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def download(self) -> None:
        """Fetch and unpack the dataset unless it is there; `RuntimeError` when that fails."""
        if not self._check_integrity():
            download_and_extract_archive(self.url, self.root, filename=self.filename, md5=self.tgz_md5)

    def extra_repr(self) -> str:
        """The split."""
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """Photographs of a hundred kinds of things: root holds `cifar-100-python`; see `CIFAR10`."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {"filename": "meta", "key": "fine_label_names", "md5": "7973b15100ade9c7d40fb424638fde48"}
