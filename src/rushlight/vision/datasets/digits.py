"""The handwritten digits that ship with rushlight, as a dataset."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from rushlight.ops.from_data import from_numpy
from rushlight.vision.datasets.digits_data import CLASSES, INK, load_arrays
from rushlight.vision.datasets.vision import Transform, VisionDataset

TRAIN_IMAGES = 1500


class Digits(VisionDataset):
    """1797 handwritten digits of 8 x 8 pixels, without a download: 1500 for training and the last 297 for testing.

    A sample is (image, target): a float32 tensor [1, 8, 8] from 0 (paper) to 1 (ink) and a number from 0 to 9, to which
    `transform` and `target_transform` are applied. root: ignored, so that other datasets can take this one's place.

    `data` is the uint8 tensor [N, 8, 8] of all images, with values from 0 to 16, `targets` the int64 tensor [N].

    >>> digits = Digits()
    >>> image, target = digits[0]
    >>> image.shape, target
    (torch.Size([1, 8, 8]), 0)
    >>> Digits(train=False)
    Dataset Digits
        Number of datapoints: 297
        Split: Test
    """

    classes = list(CLASSES)

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        images, labels = load_arrays()
        part = slice(None, TRAIN_IMAGES) if train else slice(TRAIN_IMAGES, None)
        self.data = from_numpy(images[part].copy())
        self.targets = from_numpy(labels[part].astype(np.int64))

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The target of each class name."""
        return {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = self.data[index].float().div_(INK).unsqueeze(0)
        return self._transformed(image, int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        """The split."""
        return f"Split: {'Train' if self.train else 'Test'}"
