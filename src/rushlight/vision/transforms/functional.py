"""Transforms as functions, of PIL images and of tensors [..., C, H, W]: `resize(img, [224, 224])`.

The classes of `rushlight.vision.transforms` choose random parameters and call these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Number
from typing import Any

from rushlight.base.dtypes import dtype, float32
from rushlight.base.warn import warn_user
from rushlight.core.public import Tensor
from rushlight.vision._pillow import is_pil_image
from rushlight.vision.transforms import _functional_pil as of_pil
from rushlight.vision.transforms import _functional_tensor as of_tensor
from rushlight.vision.transforms import _warp
from rushlight.vision.transforms._convert import pil_to_tensor, to_pil_image, to_tensor
from rushlight.vision.transforms._interpolation import InterpolationMode, interpolation_mode, pil_modes_mapping

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation",
    "adjust_sharpness", "affine", "autocontrast", "center_crop", "convert_image_dtype", "crop", "equalize", "erase",
    "five_crop", "gaussian_blur", "get_dimensions", "get_image_num_channels", "get_image_size", "hflip", "invert",
    "normalize", "pad", "perspective", "pil_modes_mapping", "pil_to_tensor", "posterize", "resize", "resized_crop", "rgb_to_grayscale",
    "rotate", "solarize", "ten_crop", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip

# A PIL image or a Tensor; Pillow is an extra, so its class has no name here.
Image = Any
Five = tuple[Image, Image, Image, Image, Image]
Fill = float | Sequence[float] | None


def get_dimensions(img: Image) -> list[int]:
    """[channels, height, width] of an image."""
    return of_tensor.get_dimensions(img) if isinstance(img, Tensor) else of_pil.get_dimensions(img)


def get_image_size(img: Image) -> list[int]:
    """[width, height] of an image."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Image) -> int:
    """The number of channels of an image."""
    return get_dimensions(img)[0]


def convert_image_dtype(image: Tensor, dtype: dtype = float32) -> Tensor:
    """A tensor image converted to a dtype, its values scaled: uint8 0 to 255 is float32 0 to 1.

    Raises `RuntimeError` where the integer dtype has values that the floating-point one lacks.
    """
    if not isinstance(image, Tensor):
        raise TypeError(f"Input img should be Tensor Image. Got {type(image)}")
    return of_tensor.convert_image_dtype(image, dtype)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(tensor - mean) / std for a float image [..., C, H, W], with one mean and deviation for each channel."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}. Convert it with to_tensor first")
    return of_tensor.normalize(tensor, mean, std, inplace)


def _resized_size(height: int, width: int, size: Sequence[int], max_size: int | None) -> list[int]:
    """[height, width] of the result of `resize`."""
    if len(size) == 2:
        return list(size)
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= new_short:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the smaller edge size = {size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def resize(
    img: Image,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Image:
    """An image resized to `size`: (height, width), or the length of the shorter edge, which keeps its proportions.

    max_size: the most that the longer edge may measure. antialias: smooth before shrinking (bilinear and bicubic;
    PIL images always are).
    """
    interpolation = interpolation_mode(interpolation)
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element tuple/list")
    if max_size is not None and len(sizes) != 1:
        raise ValueError("max_size should only be passed if size specifies the length of the smaller edge, i.e. size is an int")
    _, height, width = get_dimensions(img)
    new = _resized_size(height, width, sizes, max_size)
    if new == [height, width]:
        return img
    if isinstance(img, Tensor):
        return of_tensor.resize(img, new, interpolation.value, antialias)
    if antialias is False:
        warn_user("Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.")
    return of_pil.resize(img, new, pil_modes_mapping[interpolation])


def pad(img: Image, padding: int | Sequence[int], fill: Fill = 0, padding_mode: str = "constant") -> Image:
    """An image padded by `padding` pixels: all sides, [left and right, top and bottom] or [left, top, right, bottom].

    fill: the value for "constant", one number or for PIL images one for each channel. padding_mode: "constant", "edge",
    "reflect" (mirrored, without the edge) or "symmetric" (with it).
    """
    return (of_tensor if isinstance(img, Tensor) else of_pil).pad(img, padding, fill, padding_mode)  # type: ignore[arg-type]


def crop(img: Image, top: int, left: int, height: int, width: int) -> Image:
    """The part of an image of that place and size; zero where it leaves the image."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).crop(img, top, left, height, width)


def _height_width(size: Any) -> tuple[int, int]:
    if isinstance(size, Number):
        return int(size), int(size)  # type: ignore[call-overload]
    sizes = list(size)
    if len(sizes) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return sizes[0], sizes[-1]


def center_crop(img: Image, output_size: int | Sequence[int]) -> Image:
    """The middle of an image, of size (height, width) or a square; padded with zero where it is smaller."""
    height, width = _height_width(output_size)
    _, full_height, full_width = get_dimensions(img)
    missing_x, missing_y = max(width - full_width, 0), max(height - full_height, 0)
    if missing_x or missing_y:
        img = pad(img, [missing_x // 2, missing_y // 2, (missing_x + 1) // 2, (missing_y + 1) // 2])
        full_height, full_width = full_height + missing_y, full_width + missing_x
        if (height, width) == (full_height, full_width):
            return img
    return crop(img, round((full_height - height) / 2.0), round((full_width - width) / 2.0), height, width)


def resized_crop(
    img: Image,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Image:
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Image) -> Image:
    """An image mirrored left to right."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).hflip(img)


def vflip(img: Image) -> Image:
    """An image mirrored top to bottom."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).vflip(img)


def five_crop(img: Image, size: int | Sequence[int]) -> Five:
    """The four corners (upper left, upper right, lower left, lower right) and the middle of an image."""
    height, width = _height_width(size)
    _, full_height, full_width = get_dimensions(img)
    if width > full_width or height > full_height:
        raise ValueError(f"Requested crop size {(height, width)} is bigger than input size {(full_height, full_width)}")
    bottom, right = full_height - height, full_width - width
    return (
        crop(img, 0, 0, height, width),
        crop(img, 0, right, height, width),
        crop(img, bottom, 0, height, width),
        crop(img, bottom, right, height, width),
        center_crop(img, [height, width]),
    )


def ten_crop(img: Image, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Image, ...]:
    """`five_crop` of an image and of its mirror image, left to right or top to bottom."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def adjust_brightness(img: Image, brightness_factor: float) -> Image:
    """An image made darker or brighter; 0: black, 1: as it is, 2: twice as bright."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_brightness(img, brightness_factor)


def adjust_contrast(img: Image, contrast_factor: float) -> Image:
    """An image with less or more contrast; 0: grey, 1: as it is."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_contrast(img, contrast_factor)


def adjust_saturation(img: Image, saturation_factor: float) -> Image:
    """An image with paler or stronger colours; 0: shades of grey, 1: as it is."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_saturation(img, saturation_factor)


def adjust_hue(img: Image, hue_factor: float) -> Image:
    """An image with its colours turned by `hue_factor` of the colour circle, -0.5 to 0.5; 0: as it is."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_hue(img, hue_factor)


def adjust_gamma(img: Image, gamma: float, gain: float = 1) -> Image:
    """An image with every value v of 0..1 replaced by gain * v ** gamma: above 1 shadows darken, below they lighten."""
    if gamma < 0:
        raise ValueError(f"Gamma should be a non-negative real number, got {gamma}")
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_gamma(img, gamma, gain)


def adjust_sharpness(img: Image, sharpness_factor: float) -> Image:
    """An image blurred or sharpened; 0: blurred, 1: as it is, 2: sharper."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).adjust_sharpness(img, sharpness_factor)


def to_grayscale(img: Image, num_output_channels: int = 1) -> Image:
    """A PIL image in shades of grey, with one channel or three equal ones."""
    if not is_pil_image(img):
        raise TypeError(f"Input should be PIL Image, got {type(img)}; for a tensor there is rgb_to_grayscale")
    return of_pil.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Image, num_output_channels: int = 1) -> Image:
    """An RGB image in shades of grey, with one channel or three equal ones."""
    if isinstance(img, Tensor):
        return of_tensor.rgb_to_grayscale(img, num_output_channels)
    return of_pil.to_grayscale(img, num_output_channels)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """A tensor image with the rectangle of h x w pixels from row i and column j on set to `v`."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return of_tensor.erase(img, i, j, h, w, v, inplace)


def rotate(
    img: Image,
    angle: float,
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Fill = None,
) -> Image:
    """An image turned counter-clockwise by `angle` degrees.

    expand: make it large enough to hold the turned image. center: (x, y) from the upper left corner, the middle by
    default. fill: value of what was not in the image, one number or one for each channel.
    """
    interpolation = interpolation_mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError(f"Argument angle should be int or float, got {type(angle)}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError(f"Argument center should be a sequence, got {type(center)}")
    if not isinstance(img, Tensor):
        return of_pil.rotate(img, angle, pil_modes_mapping[interpolation], expand, center, fill)
    _, height, width = get_dimensions(img)
    middle = _from_middle(center, width, height)
    matrix = _warp.inverse_affine_matrix(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = _warp.rotated_size(matrix, width, height) if expand else (width, height)
    return _warp.affine(img, matrix, interpolation.value, fill, size)


def _from_middle(center: Sequence[float] | None, width: int, height: int) -> list[float]:
    return [0.0, 0.0] if center is None else [center[0] - width * 0.5, center[1] - height * 0.5]


def affine(
    img: Image,
    angle: float,
    translate: Sequence[int],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode = InterpolationMode.NEAREST,
    fill: Fill = None,
    center: Sequence[float] | None = None,
) -> Image:
    """An image sheared, turned clockwise by `angle` degrees and scaled about `center`, then moved.

    translate: (x, y) in pixels. shear: degrees along x, or along x and y. fill, center: see `rotate`.
    """
    interpolation = interpolation_mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError(f"Argument angle should be int or float, got {type(angle)}")
    if not isinstance(translate, (list, tuple)):
        raise TypeError(f"Argument translate should be a sequence, got {type(translate)}")
    if len(translate) != 2:
        raise ValueError(f"Argument translate should be a sequence of length 2, got {translate}")
    if scale <= 0.0:
        raise ValueError(f"Argument scale should be positive, got {scale}")
    if not isinstance(shear, (Number, list, tuple)):
        raise TypeError(f"Shear should be either a single value or a sequence of two values, got {type(shear)}")
    shears = [shear, 0.0] if isinstance(shear, (int, float)) else list(shear)
    if len(shears) == 1:
        shears = shears * 2
    if len(shears) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError(f"Argument center should be a sequence, got {type(center)}")
    _, height, width = get_dimensions(img)
    if isinstance(img, Tensor):
        matrix = _warp.inverse_affine_matrix(_from_middle(center, width, height), angle, translate, scale, shears)
        return _warp.affine(img, matrix, interpolation.value, fill, (width, height))
    middle = [width * 0.5, height * 0.5] if center is None else center
    matrix = _warp.inverse_affine_matrix(middle, angle, translate, scale, shears)
    return of_pil.affine(img, matrix, pil_modes_mapping[interpolation], fill)


def perspective(
    img: Image,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode = InterpolationMode.BILINEAR,
    fill: Fill = None,
) -> Image:
    """An image seen from another angle, so that its four `startpoints` [x, y] come to lie at the `endpoints`."""
    interpolation = interpolation_mode(interpolation)
    coefficients = _warp.perspective_coefficients(startpoints, endpoints)
    if isinstance(img, Tensor):
        return _warp.perspective(img, coefficients, interpolation.value, fill)
    return of_pil.perspective(img, coefficients, pil_modes_mapping[interpolation], fill)


def gaussian_blur(
    img: Image, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Image:
    """An image blurred by a Gaussian.

    kernel_size: odd width and height of the kernel, in pixels. sigma: standard deviations along x and y, in pixels;
    0.15 * kernel_size + 0.35 by default.
    """
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}")
    sizes = [kernel_size, kernel_size] if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] if isinstance(sigma, (int, float)) else list(sigma)
    if len(sigmas) == 1:
        sigmas = sigmas * 2
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if any(deviation <= 0.0 or math.isnan(deviation) for deviation in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if isinstance(img, Tensor):
        return of_tensor.gaussian_blur(img, sizes, sigmas)
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(of_tensor.gaussian_blur(pil_to_tensor(img), sizes, sigmas), mode=img.mode)


def invert(img: Image) -> Image:
    """The negative of a grey or RGB image."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).invert(img)


def posterize(img: Image, bits: int) -> Image:
    """A grey or RGB image of bytes with only the highest `bits` bits of each value kept."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return (of_tensor if isinstance(img, Tensor) else of_pil).posterize(img, bits)


def solarize(img: Image, threshold: float) -> Image:
    """A grey or RGB image with the values from `threshold` on inverted."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).solarize(img, threshold)


def autocontrast(img: Image) -> Image:
    """A grey or RGB image with each channel stretched to the full range."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).autocontrast(img)


def equalize(img: Image) -> Image:
    """A grey or RGB image of bytes with the histogram of each channel made even."""
    return (of_tensor if isinstance(img, Tensor) else of_pil).equalize(img)
