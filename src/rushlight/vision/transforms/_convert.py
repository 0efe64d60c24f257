"""From PIL images and NumPy arrays to tensors and back."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rushlight.base.dtypes import get_default_dtype, uint8
from rushlight.core.public import Tensor
from rushlight.ops.from_data import from_numpy
from rushlight.vision._pillow import image_from_array, is_pil_image

_SHORT = "I;16" if sys.byteorder == "little" else "I;16B"
# NumPy's type for the modes of PIL that do not hold bytes.
_TYPES = {"I": np.int32, _SHORT: np.int16, "F": np.float32}
_MODE_OF_TYPE = {"uint8": "L", "int16": _SHORT, "int32": "I", "float32": "F"}
# For each number of channels: the modes there are, the first one being the default for bytes.
_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or a NumPy array [H, W] or [H, W, C] as a tensor [C, H, W].

    Bytes become floats from 0 to 1 of the default dtype; other types are kept.
    """
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
    elif is_pil_image(pic):
        pixels = np.array(pic, _TYPES.get(pic.mode, np.uint8)).reshape(pic.size[1], pic.size[0], -1)
        if pic.mode == "1":
            pixels = 255 * pixels
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}{_hint(pic)}")
    image = from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))
    return image.to(dtype=get_default_dtype()).div(255) if image.dtype is uint8 else image


def _hint(pic: Any) -> str:
    return ", which needs no ToTensor: it is a tensor already" if isinstance(pic, Tensor) else ""


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor [C, H, W] of its own values, neither converted nor scaled."""
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    pixels = np.array(pic).reshape(pic.size[1], pic.size[0], -1)
    return from_numpy(pixels).permute(2, 0, 1)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor [C, H, W] or [H, W], or an array [H, W, C] or [H, W], as a PIL image.

    Floats from 0 to 1 become bytes unless the mode is "F". mode: PIL's name of the colour space, found from type and
    number of channels by default.
    """
    if isinstance(pic, Tensor):
        pixels = (pic.permute(1, 2, 0) if pic.ndim == 3 else pic).numpy(force=True)
    elif isinstance(pic, np.ndarray):
        pixels = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    channels = pixels.shape[2]
    if not 1 <= channels <= 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if np.issubdtype(pixels.dtype, np.floating) and mode != "F":
        pixels = (pixels * 255).astype(np.uint8)
    mode = _mode_for(pixels, mode)
    return image_from_array(pixels[:, :, 0] if channels == 1 else pixels, mode)


def _mode_for(pixels: NDArray[Any], mode: str | None) -> str:
    channels = pixels.shape[2]
    if channels == 1:
        expected = _MODE_OF_TYPE.get(pixels.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. Should be {expected}")
        mode = expected
    else:
        if mode is not None and mode not in _MODES[channels]:
            raise ValueError(f"Only modes {list(_MODES[channels])} are supported for {channels}D inputs")
        if mode is None and pixels.dtype == np.uint8:
            mode = _MODES[channels][0]
    if mode is None:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    return mode
