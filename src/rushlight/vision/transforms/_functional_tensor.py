"""Transforms of tensors [..., C, H, W]; `functional` chooses between these and those of PIL images.

Floating-point images hold 0 to 1, integer ones 0 to the largest value of their dtype.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rushlight.base.dtypes import bool_, dtype, float32, float64, iinfo, int8, int16, int32, int64, uint8
from rushlight.core.public import Tensor
from rushlight.nn import functional as F
from rushlight.ops.creation import arange, linspace, ones, zeros_like
from rushlight.ops.elementwise import exp
from rushlight.ops.from_data import as_tensor, tensor
from rushlight.ops.shape import cat, flip, stack
from rushlight.ops.where import where
from rushlight.vision.transforms._functional_pil import check_padding_mode, padding_lrtb


def check(img: Tensor) -> None:
    """Raise `TypeError` unless `img` has a height and a width."""
    if img.ndim < 2:
        raise TypeError(f"Tensor is not a torch image: it needs 2 dimensions or more, [..., H, W], and has {img.ndim}")


def get_dimensions(img: Tensor) -> list[int]:
    """[channels, height, width]."""
    check(img)
    return [1 if img.ndim == 2 else img.shape[-3], img.shape[-2], img.shape[-1]]


def check_channels(img: Tensor) -> None:
    """Raise `TypeError` unless `img` is grey or RGB."""
    channels = get_dimensions(img)[0]
    if channels not in (1, 3):
        raise TypeError(f"Input image tensor permitted channel values are [1, 3], but found {channels}")


def _check_colour_image(img: Tensor) -> None:
    check(img)
    if img.ndim < 3:
        raise TypeError(f"Input image tensor should have at least 3 dimensions, but found {img.ndim}")
    check_channels(img)


def max_value(kind: dtype) -> int:
    """The brightest value of images of a dtype."""
    return 1 if kind.is_floating_point or kind is bool_ else int(iinfo(kind).max)


def real_dtype(img: Tensor) -> dtype:
    """The dtype to compute in."""
    return img.dtype if img.is_floating_point() else float32


def convert_image_dtype(image: Tensor, dtype: dtype = float32) -> Tensor:
    """Converted to a dtype, the values scaled to its range."""
    source = image.dtype
    if source is dtype:
        return image
    if source.is_floating_point and dtype.is_floating_point:
        return image.to(dtype)
    if source.is_floating_point:
        if (source is float32 and dtype in (int32, int64)) or (source is float64 and dtype is int64):
            raise RuntimeError(
                f"The cast from {source} to {dtype} cannot be performed safely: {source} does not hold all values of "
                f"{dtype}. Convert to a smaller integer dtype"
            )
        # Values from 0 to 1 are spread evenly over the integers, and 1 does not reach the next one.
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / max_value(source)
    if max_value(source) > max_value(dtype):
        factor = (max_value(source) + 1) // (max_value(dtype) + 1)
        return image.div(factor, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((max_value(dtype) + 1) // (max_value(source) + 1))


def hflip(img: Tensor) -> Tensor:
    """Mirrored left to right."""
    check(img)
    return flip(img, (-1,))


def vflip(img: Tensor) -> Tensor:
    """Mirrored top to bottom."""
    check(img)
    return flip(img, (-2,))


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The part of that place and size; zero where it leaves the image."""
    _, h, w = get_dimensions(img)
    right, bottom = left + width, top + height
    if left >= 0 and top >= 0 and right <= w and bottom <= h:
        return img[..., top:bottom, left:right]
    outside = [
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(w, left), 0),
        max(bottom - max(h, top), 0),
    ]
    return pad(img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)], outside)


def pad(img: Tensor, padding: int | Sequence[int], fill: float | None = 0, padding_mode: str = "constant") -> Tensor:
    """Padded on all sides; negative padding crops."""
    check(img)
    sides = padding_lrtb(padding)
    fill = 0 if fill is None else fill
    if isinstance(fill, (tuple, list)) and len(fill) == 1:
        fill = fill[0]
    if not isinstance(fill, (int, float)):
        raise TypeError(f"Got inappropriate fill arg: {fill!r}; a tensor is padded with one number")
    check_padding_mode(padding_mode)
    if padding_mode == "symmetric":
        return _pad_symmetric(img, sides)
    if padding_mode == "constant":
        return F.pad(img, sides, mode="constant", value=float(fill))
    batch, restore = as_batch(img, (float32, float64))
    return restore(F.pad(batch, sides, mode="replicate" if padding_mode == "edge" else padding_mode))


def _pad_symmetric(img: Tensor, sides: list[int]) -> Tensor:
    """Padded by the mirror image, the edge included."""
    for dim, before, after in ((-1, sides[0], sides[1]), (-2, sides[2], sides[3])):
        size = img.shape[dim]
        if max(before, after) > size:
            raise ValueError(f"Padding of {max(before, after)} exceeds the image, which measures {size} in that direction")
        positions = [-1 - place if place < 0 else place for place in range(-before, size + after)]
        positions = [2 * size - 1 - place if place >= size else place for place in positions]
        img = img.index_select(dim, tensor(positions, device=img.device))
    return img


def as_batch(img: Tensor, dtypes: tuple[dtype, ...]) -> tuple[Tensor, Any]:
    """`img` as [N, C, H, W] of one of `dtypes`, and the function that gives a result the form `img` had."""
    kind, shape = img.dtype, img.shape
    batch = img if kind in dtypes else img.to(dtypes[0])
    if img.ndim != 4:
        batch = batch.reshape(math.prod(shape[:-3]), 1 if img.ndim == 2 else shape[-3], *shape[-2:])

    def restore(result: Tensor) -> Tensor:
        if kind not in dtypes and kind in (uint8, int8, int16, int32, int64):
            result = result.round()
        if len(shape) != 4:
            result = result.reshape(*shape[:-2], *result.shape[-2:])
        return result.to(kind)

    return batch, restore


def resize(img: Tensor, size: Sequence[int], interpolation: str = "bilinear", antialias: bool | None = True) -> Tensor:
    """Resized to [height, width]."""
    check(img)
    if interpolation not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")
    smooth = interpolation in ("bilinear", "bicubic")
    batch, restore = as_batch(img, (float32, float64))
    resized = F.interpolate(
        batch,
        size=list(size),
        mode=interpolation,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if interpolation == "bicubic" and img.dtype is uint8:
        resized = resized.clamp(min=0, max=255)
    return restore(resized)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """(image - mean) / std, channel by channel."""
    check(tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = {tensor.size()}")
    means = as_tensor(mean, dtype=tensor.dtype, device=tensor.device)
    stds = as_tensor(std, dtype=tensor.dtype, device=tensor.device)
    if (stds == 0).any():
        raise ValueError(f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by zero.")
    means = means.view(-1, 1, 1) if means.ndim == 1 else means
    stds = stds.view(-1, 1, 1) if stds.ndim == 1 else stds
    result = tensor if inplace else tensor.clone()
    return result.sub_(means).div_(stds)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """The rectangle of h x w pixels from row i and column j on set to `v`."""
    check(img)
    result = img if inplace else img.clone()
    result[..., i : i + h, j : j + w] = v
    return result


def rgb_to_grayscale(img: Tensor, num_output_channels: int = 1) -> Tensor:
    """In shades of grey, with one channel or three equal ones."""
    _check_colour_image(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        red, green, blue = img.unbind(dim=-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).to(img.dtype).unsqueeze(dim=-3)
    else:
        grey = img.clone()
    return grey if num_output_channels == 1 else grey.expand(img.shape)


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _blend(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    """`other` for a ratio of 0, `img` for 1, beyond `img` for more."""
    mixed = float(ratio) * img + (1.0 - float(ratio)) * other
    return mixed.clamp(0, max_value(img.dtype)).to(img.dtype)


def adjust_brightness(img: Tensor, brightness_factor: float) -> Tensor:
    """0: black, 1: as it is, 2: twice as bright."""
    _check_factor("brightness_factor", brightness_factor)
    check_channels(img)
    return _blend(img, zeros_like(img), brightness_factor)


def adjust_contrast(img: Tensor, contrast_factor: float) -> Tensor:
    """0: grey, 1: as it is."""
    _check_factor("contrast_factor", contrast_factor)
    check_channels(img)
    grey = rgb_to_grayscale(img) if get_dimensions(img)[0] == 3 else img
    dims = (-3, -2, -1) if img.ndim > 2 else (-2, -1)
    return _blend(img, grey.to(real_dtype(img)).mean(dim=dims, keepdim=True), contrast_factor)


def adjust_saturation(img: Tensor, saturation_factor: float) -> Tensor:
    """0: black and white, 1: as it is."""
    _check_factor("saturation_factor", saturation_factor)
    check_channels(img)
    if get_dimensions(img)[0] == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_gamma(img: Tensor, gamma: float, gain: float = 1) -> Tensor:
    """Every value v of 0..1 replaced by gain * v ** gamma."""
    check_channels(img)
    real = img if img.is_floating_point() else convert_image_dtype(img, float32)
    return convert_image_dtype((gain * real.pow(gamma)).clamp(0, 1), img.dtype)


def adjust_hue(img: Tensor, hue_factor: float) -> Tensor:
    """The hues turned by `hue_factor` of the colour circle."""
    check_channels(img)
    if get_dimensions(img)[0] == 1:
        return img
    hue, saturation, value = _rgb_to_hsv(convert_image_dtype(img, float32))
    return convert_image_dtype(_hsv_to_rgb((hue + hue_factor) % 1.0, saturation, value), img.dtype)


def _rgb_to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = img.unbind(dim=-3)
    largest = img.amax(dim=-3)
    spread = largest - img.amin(dim=-3)
    grey = spread == 0
    saturation = spread / largest.masked_fill(grey, 1.0)
    divisor = spread.masked_fill(grey, 1.0)
    # How far each colour is below the largest, in units of the spread.
    below_red, below_green, below_blue = ((largest - colour) / divisor for colour in (red, green, blue))
    is_red, is_green = largest == red, largest == green
    sixths = where(
        is_red, below_blue - below_green, where(is_green, 2.0 + below_red - below_blue, 4.0 + below_green - below_red)
    )
    return (sixths / 6.0 + 1.0).fmod(1.0), saturation, largest


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sixth = (hue * 6.0).floor()
    rest = hue * 6.0 - sixth
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * rest)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - rest))).clamp(0.0, 1.0)
    which = sixth.to(int64) % 6
    ways = (
        (value, falling, low, low, rising, value),
        (rising, value, value, falling, low, low),
        (low, low, rising, value, value, falling),
    )
    channels = [stack(way).gather(0, which.unsqueeze(0)).squeeze(0) for way in ways]
    return stack(channels, dim=-3)


def invert(img: Tensor) -> Tensor:
    """The negative."""
    _check_colour_image(img)
    return max_value(img.dtype) - img


def _check_bytes(img: Tensor) -> None:
    if img.dtype is not uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def posterize(img: Tensor, bits: int) -> Tensor:
    """Only the highest `bits` bits of each value kept."""
    _check_colour_image(img)
    _check_bytes(img)
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Tensor, threshold: float) -> Tensor:
    """Values from `threshold` on inverted."""
    _check_colour_image(img)
    if threshold > max_value(img.dtype):
        raise TypeError(f"Threshold should be less than bound of img, {max_value(img.dtype)}, got {threshold}")
    return where(img >= threshold, invert(img), img)


def adjust_sharpness(img: Tensor, sharpness_factor: float) -> Tensor:
    """0: blurred, 1: as it is."""
    _check_factor("sharpness_factor", sharpness_factor)
    check_channels(img)
    if img.shape[-1] <= 2 or img.shape[-2] <= 2:
        return img
    kernel = ones(3, 3, dtype=real_dtype(img), device=img.device)
    kernel[1, 1] = 5.0
    blurred = img.clone()
    blurred[..., 1:-1, 1:-1] = _filtered(img, kernel / kernel.sum())
    return _blend(img, blurred, sharpness_factor)


def _filtered(img: Tensor, kernel: Tensor, sides: list[int] | None = None) -> Tensor:
    """Every channel convolved with a kernel [h, w], after padding by reflection."""
    batch, restore = as_batch(img, (kernel.dtype,))
    if sides is not None:
        batch = F.pad(batch, sides, mode="reflect")
    channels = batch.shape[1]
    kernels = kernel.expand(channels, 1, *kernel.shape)
    return restore(F.conv2d(batch, kernels, groups=channels))


def gaussian_blur(img: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Blurred by a Gaussian of kernel_size [kx, ky] pixels and standard deviations [sx, sy]."""
    check(img)
    rows, columns = (
        _gaussian(size, deviation, img) for size, deviation in zip(kernel_size, sigma, strict=True)
    )
    halves = [kernel_size[0] // 2, kernel_size[0] // 2, kernel_size[1] // 2, kernel_size[1] // 2]
    return _filtered(img, columns[:, None] * rows[None, :], halves)


def _gaussian(size: int, sigma: float, img: Tensor) -> Tensor:
    half = (size - 1) * 0.5
    places = linspace(-half, half, steps=size, dtype=real_dtype(img), device=img.device)
    density = exp(-0.5 * (places / sigma).pow(2))
    return density / density.sum()


def autocontrast(img: Tensor) -> Tensor:
    """Each channel stretched to the full range."""
    _check_colour_image(img)
    bound, kind = max_value(img.dtype), real_dtype(img)
    low = img.amin(dim=(-2, -1), keepdim=True).to(kind)
    high = img.amax(dim=(-2, -1), keepdim=True).to(kind)
    flat = low == high
    scale = bound / (high - low).masked_fill(flat, float(bound))
    return ((img - low.masked_fill(flat, 0.0)) * scale).clamp(0, bound).to(img.dtype)


def equalize(img: Tensor) -> Tensor:
    """Each channel's histogram made even."""
    check(img)
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    _check_bytes(img)
    check_channels(img)
    planes = img.reshape(-1, *img.shape[-2:])
    return stack([_equalized(plane) for plane in planes]).reshape(img.shape)


def _equalized(plane: Tensor) -> Tensor:
    counts = (plane.reshape(-1, 1) == arange(256, device=plane.device)).sum(0)
    seen = counts[counts != 0]
    step = int(seen[:-1].sum()) // 255
    if step == 0:
        return plane
    table = (counts.cumsum(0) + step // 2).div(step, rounding_mode="floor")
    table = cat([table.new_zeros(1), table[:-1]]).clamp(0, 255)
    return table[plane.to(int64)].to(uint8)
