"""Pillow, an extra: what images need of it is imported when they are used, with a cure when it is missing."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


def pillow(module: str = "Image") -> ModuleType:
    """The module `PIL.<module>`; raises `ImportError` with the cure where Pillow is not installed."""
    try:
        return importlib.import_module(f"PIL.{module}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "PIL":
            raise
        raise ModuleNotFoundError(
            "this needs Pillow, which reads, writes and transforms images: pip install 'rushlight[vision]' "
            "(or pip install Pillow)",
            name="PIL",
        ) from None


def is_pil_image(img: Any) -> bool:
    """Whether `img` is a PIL image. Pillow is not imported for it: where nobody has, nothing can be one."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(img, module.Image)


def image_from_array(array: NDArray[Any], mode: str) -> Any:
    """A PIL image of the given mode with the values of an array of shape [H, W] or [H, W, C]. Copies."""
    size = (array.shape[1], array.shape[0])
    return pillow().frombytes(mode, size, np.ascontiguousarray(array).tobytes())
