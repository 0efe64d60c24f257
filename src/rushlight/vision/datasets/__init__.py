"""Image datasets. `Digits` ships with rushlight; the others read the files that torchvision reads.

>>> len(Digits()), len(Digits(train=False))
(1500, 297)
"""

from __future__ import annotations

from rushlight.vision.datasets.cifar import CIFAR10, CIFAR100
from rushlight.vision.datasets.digits import Digits
from rushlight.vision.datasets.fakedata import FakeData
from rushlight.vision.datasets.folder import DatasetFolder, ImageFolder
from rushlight.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST
from rushlight.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10", "CIFAR100", "DatasetFolder", "Digits", "FakeData", "FashionMNIST", "ImageFolder", "KMNIST", "MNIST",
    "VisionDataset",
]  # fmt: skip
