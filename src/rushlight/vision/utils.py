"""Many images as one picture, and pictures as files."""

from __future__ import annotations

import math
import os
from typing import Any, BinaryIO

from rushlight.autograd.grad_mode import no_grad
from rushlight.base.dtypes import uint8
from rushlight.core.public import Tensor
from rushlight.ops.shape import cat, stack
from rushlight.vision._pillow import pillow

__all__ = ["make_grid", "save_image"]


@no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images side by side in one: [B, C, H, W], or a list of [C, H, W] -> [C, height, width].

    Images of one channel get three. nrow: images in a row. padding: pixels between them, of value `pad_value`.
    normalize: shift and scale the values to 0..1, from `value_range` or from what occurs, in all images together or,
    with scale_each, in each.
    """
    if isinstance(tensor, list):
        odd = next((image for image in tensor if not isinstance(image, Tensor)), None)
        if odd is not None:
            raise TypeError(f"tensor or list of tensors expected, got a list containing {type(odd)}")
        images: Any = stack(tensor, dim=0)
    elif isinstance(tensor, Tensor):
        images = tensor
    else:
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if not 2 <= images.ndim <= 4:
        raise ValueError(f"make_grid(): expected images [B, C, H, W] or a single [C, H, W] or [H, W], got {tuple(images.shape)}")
    images = images.reshape(*[1] * (4 - images.ndim), *images.shape)
    if images.shape[1] == 1:
        images = cat((images, images, images), 1)
    if normalize:
        images = _normalized(images, value_range, scale_each)
    count, channels, image_height, image_width = images.shape
    if count == 1:
        return images.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = image_height + padding, image_width + padding
    grid = images.new_full((channels, height * rows + padding, width * columns + padding), pad_value)
    for place in range(count):
        top, left = place // columns * height + padding, place % columns * width + padding
        grid[:, top : top + image_height, left : left + image_width] = images[place]
    return grid


def _normalized(images: Any, value_range: Any, scale_each: bool) -> Tensor:
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError("value_range has to be a tuple (min, max) if specified. min and max are numbers")
    parts = list(images) if scale_each else [images]
    scaled = []
    for part in parts:
        low, high = value_range if value_range is not None else (float(part.min()), float(part.max()))
        scaled.append(part.clamp(low, high).sub_(low).div_(max(high - low, 1e-5)))
    return stack(scaled) if scale_each else scaled[0]


@no_grad()
def save_image(
    tensor: Tensor | list[Tensor],
    fp: str | os.PathLike[str] | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write images with values from 0 to 1 to a file, several as a grid.

    fp: a path or a file object. format: found from the path by default. kwargs: arguments of `make_grid`.
    """
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", uint8).numpy()
    pillow().fromarray(pixels).save(fp, format=format)
