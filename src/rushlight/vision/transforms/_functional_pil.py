"""Transforms of PIL images; `functional` chooses between these and those of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

import numpy as np

from rushlight.vision._pillow import image_from_array, is_pil_image, pillow

Padding = int | Sequence[int]
Fill = float | Sequence[float] | None


def check(img: Any) -> None:
    """Raise `TypeError` unless `img` is a PIL image."""
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    if not is_pil_image(img):
        raise TypeError(f"Unexpected type {type(img)}: expected a PIL Image or a Tensor")
    width, height = img.size
    return [len(img.getbands()), height, width]


def hflip(img: Any) -> Any:
    """Mirrored left to right."""
    check(img)
    return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Mirrored top to bottom."""
    check(img)
    return img.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The part of that place and size; black where it leaves the image."""
    check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: Sequence[int], interpolation: int) -> Any:
    """Resized to [height, width]."""
    check(img)
    return img.resize(tuple(size[::-1]), interpolation)


def padding_lrtb(padding: Any) -> list[int]:
    """[left, right, top, bottom] from one number, [all], [left and right, top and bottom] or [l, t, r, b]."""
    if not isinstance(padding, (Number, tuple, list)):
        raise TypeError(f"Got inappropriate padding arg: {padding!r}")
    sides: list[Any] = [padding] if isinstance(padding, Number) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element tuple")
    left, top, right, bottom = sides if len(sides) == 4 else (sides * 2 if len(sides) == 2 else sides * 4)
    return [left, right, top, bottom]


def check_padding_mode(padding_mode: Any) -> None:
    """Raise unless `padding_mode` is one of the four modes."""
    if not isinstance(padding_mode, str):
        raise TypeError(f"Got inappropriate padding_mode arg: {padding_mode!r}")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(f"Padding mode should be either constant, edge, reflect or symmetric, got {padding_mode!r}")


def pad(img: Any, padding: Padding, fill: Fill = 0, padding_mode: str = "constant") -> Any:
    """Padded on all sides; negative padding crops."""
    check(img)
    left, right, top, bottom = padding_lrtb(padding)
    if fill is not None and not isinstance(fill, (Number, tuple, list)):
        raise TypeError(f"Got inappropriate fill arg: {fill!r}")
    check_padding_mode(padding_mode)
    palette = img.getpalette() if img.mode == "P" else None
    if padding_mode == "constant":
        colour = fill_colour(fill, img)
        padded = pillow("ImageOps").expand(img, border=(left, top, right, bottom), fill=colour)
    else:
        outward = [max(side, 0) for side in (left, top, right, bottom)]
        inward = [max(-side, 0) for side in (left, top, right, bottom)]
        if any(inward):
            img = img.crop((inward[0], inward[1], img.width - inward[2], img.height - inward[3]))
        pixels = np.asarray(img)
        widths = [(outward[1], outward[3]), (outward[0], outward[2]), (0, 0)][: pixels.ndim]
        padded = pillow().fromarray(np.pad(pixels, widths, mode=padding_mode))  # type: ignore[call-overload]
    if palette is not None:
        padded.putpalette(palette)
    return padded


def fill_colour(fill: Fill, img: Any) -> Any:
    """`fill` as a colour of the image's mode: one number, or one for each channel."""
    channels = len(img.getbands())
    values = list(fill) if isinstance(fill, (list, tuple)) else [0 if fill is None else fill]
    if len(values) == 1:
        values *= channels
    if len(values) != channels:
        raise ValueError(
            f"The number of elements in 'fill' does not match the number of channels of the image ({len(values)} != {channels})"
        )
    numbers = values if img.mode == "F" else [int(value) for value in values]  # type: ignore[arg-type]
    return tuple(numbers) if channels > 1 or isinstance(fill, (list, tuple)) else numbers[0]


def rotate(img: Any, angle: float, interpolation: int, expand: bool, center: Any, fill: Fill) -> Any:
    """Turned counter-clockwise by `angle` degrees."""
    check(img)
    return img.rotate(angle, interpolation, expand, center, fillcolor=fill_colour(fill, img))


def affine(img: Any, matrix: Sequence[float], interpolation: int, fill: Fill) -> Any:
    """Each pixel (x, y) taken from where the 2 x 3 `matrix`, given row by row, maps it."""
    check(img)
    method = pillow().Transform.AFFINE
    return img.transform(img.size, method, matrix, interpolation, fillcolor=fill_colour(fill, img))


def perspective(img: Any, coefficients: Sequence[float], interpolation: int, fill: Fill) -> Any:
    """Each pixel taken from where the perspective map with these eight coefficients sends it."""
    check(img)
    method = pillow().Transform.PERSPECTIVE
    return img.transform(img.size, method, coefficients, interpolation, fillcolor=fill_colour(fill, img))


def _enhance(img: Any, kind: str, factor: float) -> Any:
    check(img)
    return getattr(pillow("ImageEnhance"), kind)(img).enhance(factor)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0: black, 1: as it is, 2: twice as bright."""
    return _enhance(img, "Brightness", brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0: grey, 1: as it is."""
    return _enhance(img, "Contrast", contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0: black and white, 1: as it is."""
    return _enhance(img, "Color", saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0: blurred, 1: as it is."""
    return _enhance(img, "Sharpness", sharpness_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The hues turned by `hue_factor` of the colour circle."""
    check(img)
    if img.mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    # Hues are bytes: the sum wraps round, as the circle does.
    turned = np.array(hue, dtype=np.uint8) + np.array(int(hue_factor * 255) % 256, dtype=np.uint8)
    hue = image_from_array(turned, "L")
    return pillow().merge("HSV", (hue, saturation, value)).convert(img.mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Any:
    """Every value v of 0..1 replaced by gain * v ** gamma."""
    check(img)
    table = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)] * 3
    return img.convert("RGB").point(table).convert(img.mode)


def to_grayscale(img: Any, num_output_channels: int) -> Any:
    """In shades of grey, with one channel or three equal ones."""
    check(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    return grey if num_output_channels == 1 else pillow().merge("RGB", (grey, grey, grey))


def _operation(img: Any, name: str, *arguments: Any) -> Any:
    check(img)
    return getattr(pillow("ImageOps"), name)(img, *arguments)


def invert(img: Any) -> Any:
    """The negative."""
    return _operation(img, "invert")


def posterize(img: Any, bits: int) -> Any:
    """Only the highest `bits` bits of each value kept."""
    return _operation(img, "posterize", bits)


def solarize(img: Any, threshold: float) -> Any:
    """Values from `threshold` on inverted."""
    return _operation(img, "solarize", threshold)


def autocontrast(img: Any) -> Any:
    """Each channel stretched to the full range."""
    return _operation(img, "autocontrast")


def equalize(img: Any) -> Any:
    """Each channel's histogram made even."""
    return _operation(img, "equalize")
