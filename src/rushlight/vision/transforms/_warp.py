"""Images whose pixels are taken from elsewhere in them: rotations, affine and perspective maps of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import dtype, int64
from rushlight.core.public import Tensor
from rushlight.ops.creation import arange
from rushlight.ops.from_data import tensor
from rushlight.ops.where import where
from rushlight.vision.transforms._functional_tensor import as_batch, check, get_dimensions, real_dtype

Fill = float | Sequence[float] | None


def inverse_affine_matrix(
    center: Sequence[float], angle: float, translate: Sequence[float], scale: float, shear: Sequence[float]
) -> list[float]:
    """The 2 x 3 matrix, row by row, that takes a pixel of the result to its place in the image.

    The image is sheared by `shear` degrees, turned clockwise by `angle` degrees and scaled, all about `center`, then
    moved by `translate` pixels; the matrix undoes that.
    """
    turn, shear_x, shear_y = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    # The determinant of [[a, b], [c, d]] is 1.
    rows = [[d / scale, -b / scale], [-c / scale, a / scale]]
    (cx, cy), (tx, ty) = center, translate
    matrix = []
    for (x, y), origin in zip(rows, center, strict=True):
        matrix += [x, y, x * (-cx - tx) + y * (-cy - ty) + origin]
    return matrix


def perspective_coefficients(startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]) -> list[float]:
    """The eight numbers of the perspective map that takes the four `endpoints` to the four `startpoints`."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and {len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    places = np.asarray(startpoints, dtype=np.float64).reshape(8)
    return np.linalg.lstsq(np.asarray(rows, dtype=np.float64), places, rcond=None)[0].astype(np.float32).tolist()


def rotated_size(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of the smallest image that holds the whole of a rotated one."""
    corners = [(x * width, y * height) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    sizes = []
    for row, half in ((matrix[:3], width * 0.5), (matrix[3:], height * 0.5)):
        places = [row[0] * x + row[1] * y + row[2] + half for x, y in corners]
        # Rounding errors must not cost a pixel.
        low, high = (math.trunc(place / 1e-4) * 1e-4 for place in (min(places), max(places)))
        sizes.append(math.ceil(high) - math.floor(low))
    return sizes[0], sizes[1]


def affine(img: Tensor, matrix: Sequence[float], interpolation: str, fill: Fill, size: tuple[int, int]) -> Tensor:
    """Each pixel of a result of `size` (width, height) taken from where `matrix` maps it, both about the centres."""
    _check(img, interpolation, fill)
    out_x, out_y = _centred_grid(size, real_dtype(img), img.device)
    height, width = img.shape[-2:]
    a, b, c, d, e, f = matrix
    x = a * out_x + b * out_y + c
    y = d * out_x + e * out_y + f
    return _sampled(img, x + (0.5 * width - 0.5), y + (0.5 * height - 0.5), interpolation, fill)


def perspective(img: Tensor, coefficients: Sequence[float], interpolation: str, fill: Fill) -> Tensor:
    """Each pixel taken from where the perspective map sends it."""
    _check(img, interpolation, fill)
    height, width = img.shape[-2:]
    x, y = _centred_grid((width, height), real_dtype(img), img.device)
    x, y = x + 0.5 * width, y + 0.5 * height  # the middle of the first pixel is at 0.5
    a, b, c, d, e, f, g, h = coefficients
    depth = g * x + h * y + 1.0
    return _sampled(img, (a * x + b * y + c) / depth - 0.5, (d * x + e * y + f) / depth - 0.5, interpolation, fill)


def _check(img: Tensor, interpolation: str, fill: Fill) -> None:
    check(img)
    channels = get_dimensions(img)[0]
    if isinstance(fill, (tuple, list)) and len(fill) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of the image "
            f"({len(fill)} != {channels})"
        )
    if interpolation not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")


def _centred_grid(size: tuple[int, int], kind: dtype, device: Any) -> tuple[Tensor, Tensor]:
    """x [1, width] and y [height, 1] of all pixels, measured from the middle of the image."""
    width, height = size
    x = arange(width, dtype=kind, device=device) - (width * 0.5 - 0.5)
    y = arange(height, dtype=kind, device=device) - (height * 0.5 - 0.5)
    return x.unsqueeze(0), y.unsqueeze(1)


def _sampled(img: Tensor, x: Tensor, y: Tensor, interpolation: str, fill: Fill) -> Tensor:
    """The image at the places x, y [H', W'], in pixels from the middle of the first one; `fill` outside of it."""
    batch, restore = as_batch(img, (x.dtype,))
    if interpolation == "nearest":
        result, covered = _pixel(batch, x.round(), y.round())
        result = result * covered
    else:
        left, top = x.floor(), y.floor()
        right_part, low_part = x - left, y - top
        result, covered = batch.new_zeros(()), x.new_zeros(())
        for dx, weight_x in ((0, 1.0 - right_part), (1, right_part)):
            for dy, weight_y in ((0, 1.0 - low_part), (1, low_part)):
                values, inside = _pixel(batch, left + dx, top + dy)
                weight = weight_x * weight_y * inside
                result = result + values * weight
                covered = covered + weight
    if fill is not None:
        colours: list[Any] = list(fill) if isinstance(fill, (tuple, list)) else [fill]
        background = tensor([float(colour) for colour in colours], dtype=x.dtype, device=img.device).view(1, -1, 1, 1)
        if interpolation == "nearest":
            result = where(covered < 0.5, background, result)
        else:
            result = result * covered + (1.0 - covered) * background
    return restore(result)


def _pixel(batch: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The pixels at whole-numbered places, and 1 where these lie in the image, else 0."""
    height, width = batch.shape[-2:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = y.clamp(0, height - 1).to(int64) * width + x.clamp(0, width - 1).to(int64)
    values = batch.flatten(-2)[..., place.reshape(-1)].reshape(*batch.shape[:-2], *place.shape)
    return values, inside.to(batch.dtype)
