"""torchvision's counterpart: models with their official weights, image transforms, datasets and image files.

The parts are imported when they are first used.

>>> from rushlight import vision
>>> model = vision.models.resnet18(num_classes=10)
>>> type(model).__name__
'ResNet'
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rushlight.vision import version
from rushlight.vision.version import __version__

_PARTS = frozenset({"datasets", "io", "models", "ops", "transforms", "utils"})

_image_backend = "PIL"
_video_backend = "pyav"


def set_image_backend(backend: str) -> None:
    """Choose the package that loads images. Pillow ("PIL") is the only one there is."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. rushlight loads images with 'PIL' (Pillow) only")


def get_image_backend() -> str:
    """The name of the package that loads images: "PIL"."""
    return _image_backend


def set_video_backend(backend: str) -> None:
    """Accepted and ignored, as in torchvision: there is one video backend, and rushlight reads no videos."""


def get_video_backend() -> str:
    """The name torchvision gives for its video backend."""
    return _video_backend


def disable_beta_transforms_warning() -> None:
    """Accepted and ignored, as in torchvision: there is no such warning any more."""


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"rushlight.vision.{name}")
    raise AttributeError(f"module 'rushlight.vision' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})
