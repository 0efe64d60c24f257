"""Image files as tensors uint8 [C, H, W], read and written through Pillow."""

from __future__ import annotations

import io
import os
from enum import Enum
from typing import Any

import numpy as np

from rushlight.base.dtypes import uint8
from rushlight.core.public import Tensor
from rushlight.ops.from_data import from_numpy
from rushlight.vision._pillow import pillow
from rushlight.vision.transforms.functional import pil_to_tensor, to_pil_image

__all__ = [
    "ImageReadMode", "decode_gif", "decode_image", "decode_jpeg", "decode_png", "decode_webp", "encode_jpeg", "encode_png",
    "read_file", "read_image", "write_file", "write_jpeg", "write_png",
]  # fmt: skip

Path = str | os.PathLike[str]


class ImageReadMode(Enum):
    """The colours to decode an image to. UNCHANGED: those of the file, palettes resolved."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


_PIL_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def read_file(path: Path) -> Tensor:
    """The bytes of a file, uint8 [length]."""
    with open(path, "rb") as file:
        return from_numpy(np.frombuffer(bytearray(file.read()), np.uint8))


def write_file(filename: Path, data: Tensor) -> None:
    """Write the bytes of a tensor, uint8 [length], to a file."""
    if data.dtype is not uint8 or data.ndim != 1:
        raise RuntimeError(f"write_file(): expected a tensor of dtype torch.uint8 and one dimension, got {data.dtype} {data.ndim}")
    with open(filename, "wb") as file:
        file.write(data.numpy().tobytes())


def decode_image(
    input: Tensor | Path, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """An image, given by its path or by the bytes of its file (uint8 [length]), as a tensor uint8 [C, H, W].

    The format (PNG, JPEG, GIF, WebP...) is recognised. mode: the colours wanted, or their name. apply_exif_orientation:
    turn the image as its EXIF data say. Raises `RuntimeError` for data that are no image, and for images of more than
    8 bits a channel.
    """
    data = input if isinstance(input, Tensor) else read_file(input)
    if data.dtype is not uint8 or data.ndim != 1:
        raise RuntimeError(
            f"decode_image(): expected the bytes of a file, torch.uint8 with one dimension, got {data.dtype} with {data.ndim}"
        )
    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    try:
        with pillow().open(io.BytesIO(data.numpy().tobytes())) as opened:
            opened.load()
            return _as_tensor(opened, wanted, apply_exif_orientation)
    except OSError as error:  # Pillow's UnidentifiedImageError is one
        raise RuntimeError(f"decode_image(): these {data.numel()} bytes are no image that Pillow can read: {error}") from error


def _as_tensor(image: Any, mode: ImageReadMode, apply_exif_orientation: bool) -> Tensor:
    if apply_exif_orientation:
        image = pillow("ImageOps").exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        raise RuntimeError(
            f"decode_image(): the image has more than 8 bits a channel (Pillow's mode {image.mode}); open it with Pillow "
            "and convert it as its values demand"
        )
    if mode is not ImageReadMode.UNCHANGED:
        image = image.convert(_PIL_MODES[mode])
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    return pil_to_tensor(image).contiguous()


def read_image(
    path: Path, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The image in a file as a tensor uint8 [C, H, W]; see `decode_image`."""
    return decode_image(read_file(path), mode, apply_exif_orientation)


def decode_png(
    input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED, apply_exif_orientation: bool = False
) -> Tensor:
    """The bytes of a PNG file as a tensor uint8 [C, H, W]; see `decode_image`."""
    return decode_image(input, mode, apply_exif_orientation)


def decode_jpeg(
    input: Tensor | list[Tensor],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Tensor | list[Tensor]:
    """The bytes of a JPEG file, or a list of them, as a tensor uint8 [C, H, W] on `device`; see `decode_image`."""
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        return [decode_image(data, mode, apply_exif_orientation).to(device) for data in input]
    return decode_image(input, mode, apply_exif_orientation).to(device)


def decode_webp(input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """The bytes of a WebP file as a tensor uint8 [C, H, W]; see `decode_image`."""
    return decode_image(input, mode)


def decode_gif(input: Tensor) -> Tensor:
    """The bytes of a GIF file as a tensor uint8 [3, H, W], or [frames, 3, H, W] where it is an animation."""
    try:
        with pillow().open(io.BytesIO(input.numpy().tobytes())) as opened:
            frames = [np.asarray(frame.convert("RGB")) for frame in pillow("ImageSequence").Iterator(opened)]
    except OSError as error:
        raise RuntimeError(f"decode_gif(): these {input.numel()} bytes are no image that Pillow can read: {error}") from error
    images = from_numpy(np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2)))
    return images if len(frames) > 1 else images[0]


def _encoded(input: Tensor, format: str, **settings: Any) -> Tensor:
    if input.dtype is not uint8:
        raise RuntimeError(f"Input tensor dtype should be uint8, got {input.dtype}: images from 0 to 1 are image.mul(255).byte()")
    if input.ndim != 3 or input.shape[0] not in (1, 3):
        raise RuntimeError(f"Input data should be 3-dimensional with 1 or 3 channels, [C, H, W], got {tuple(input.shape)}")
    buffer = io.BytesIO()
    to_pil_image(input).save(buffer, format, **settings)
    return from_numpy(np.frombuffer(bytearray(buffer.getbuffer()), np.uint8))


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes (uint8 [length]) of a PNG file of the image `input`, uint8 [1 or 3, H, W]. compression_level: 0 to 9."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError(f"Compression level should be between 0 and 9, got {compression_level}")
    return _encoded(input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Tensor | list[Tensor], quality: int = 75) -> Tensor | list[Tensor]:
    """The bytes (uint8 [length]) of a JPEG file of the image `input`, uint8 [1 or 3, H, W], or of each of a list."""
    if not 1 <= quality <= 100:
        raise ValueError(f"Image quality should be a positive number between 1 and 100, got {quality}")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [_encoded(image, "JPEG", quality=quality) for image in input]
    return _encoded(input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: Path, compression_level: int = 6) -> None:
    """Write an image, uint8 [1 or 3, H, W], to a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: Path, quality: int = 75) -> None:
    """Write an image, uint8 [1 or 3, H, W], to a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))  # type: ignore[arg-type]
