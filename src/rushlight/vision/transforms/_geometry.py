"""Transforms of the place and size of things: resizing, cropping, flipping, turning. Tensors are [..., C, H, W]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Number
from typing import Any

from rushlight import nn
from rushlight.ops.creation import empty
from rushlight.ops.elementwise import exp, log
from rushlight.ops.from_data import tensor as make_tensor
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._arguments import (
    angles,
    check_fill,
    check_ranges,
    check_sequence,
    fill_for,
    happens,
    height_width,
    uniform,
    whole,
)
from rushlight.vision.transforms._interpolation import InterpolationMode, interpolation_mode


class Resize(nn.Module):
    """An image resized to (height, width), or with its shorter edge to one length; see `F.resize`."""

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError(f"If size is a sequence, it should have 1 or 2 values, got {size}")
        self.size = size
        self.max_size = max_size
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        """The resized image."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(nn.Module):
    """The middle of an image; padded with zero where it is smaller than `size`."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = height_width(size)

    def forward(self, img: Any) -> Any:
        """The middle of the image."""
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(nn.Module):
    """An image padded on all sides; see `F.pad`."""

    def __init__(self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if not isinstance(padding, (Number, tuple, list)):
            raise TypeError(f"Got inappropriate padding arg: {padding!r}")
        if not isinstance(fill, (Number, tuple, list)):
            raise TypeError(f"Got inappropriate fill arg: {fill!r}")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"Padding mode should be either constant, edge, reflect or symmetric, got {padding_mode!r}")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element tuple")
        self.padding = padding
        self.fill: Any = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        """The padded image."""
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class RandomCrop(nn.Module):
    """A part of an image of `size` (height, width) at a random place.

    padding, fill, padding_mode: pad before, see `F.pad`. pad_if_needed: pad images that are smaller than `size`.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(height_width(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Draw the place (top, left, height, width); nothing is drawn where there is one place only."""
        _, height, width = F.get_dimensions(img)
        h, w = output_size
        if height < h or width < w:
            raise ValueError(
                f"Required crop size {(h, w)} is larger than input image size {(height, width)}; pad_if_needed=True pads it"
            )
        if (h, w) == (height, width):
            return 0, 0, height, width
        top = whole(0, height - h + 1)
        return top, whole(0, width - w + 1), h, w

    def forward(self, img: Any) -> Any:
        """A part of the image."""
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip(nn.Module):
    """An image mirrored left to right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image, mirrored or not."""
        return F.hflip(img) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(nn.Module):
    """An image mirrored top to bottom with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """The image, mirrored or not."""
        return F.vflip(img) if happens(self.p) else img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomResizedCrop(nn.Module):
    """A random part of an image, resized to `size`.

    scale: range of the part's area, as a part of the image's. ratio: range of its width over its height.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = height_width(size)
        check_ranges(scale, ratio)
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """Draw the part (top, left, height, width); the middle, as large as `ratio` allows, when ten draws fail."""
        _, height, width = F.get_dimensions(img)
        log_ratio = log(make_tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = exp(empty(1).uniform_(float(log_ratio[0]), float(log_ratio[1]))).item()
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                top = whole(0, height - h + 1)
                return top, whole(0, width - w + 1), h, w
        w, h = width, height
        if width / height < min(ratio):
            h = round(width / min(ratio))
        elif width / height > max(ratio):
            w = round(height * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        """A part of the image, resized."""
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale = tuple(round(s, 4) for s in self.scale)
        ratio = tuple(round(r, 4) for r in self.ratio)
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(nn.Module):
    """The four corners and the middle of an image, as a tuple."""

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = height_width(size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Five parts of the image."""
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(nn.Module):
    """The four corners and the middle of an image and of its mirror image, as a tuple."""

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = height_width(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Ten parts of the image."""
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


class RandomRotation(nn.Module):
    """An image turned by a random angle; `degrees` is its range, or the largest one either way. See `F.rotate`."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center
        self.interpolation = interpolation_mode(interpolation)
        self.expand = expand
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """Draw the angle, in degrees."""
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """The turned image."""
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill_for(img, self.fill))

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}{center}, fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """An image turned, moved, scaled and sheared at random; see `F.affine`.

    degrees: range of the angle. translate: the most it moves along x and y, as parts of the image's size. scale: range
    of the factor. shear: range of degrees along x, or of both directions.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.degrees = angles(degrees, "degrees")
        if translate is not None:
            check_sequence(translate, "translate", (2,))
            if not all(0.0 <= t <= 1.0 for t in translate):
                raise ValueError(f"translation values should be between 0 and 1, got {translate}")
        if scale is not None:
            check_sequence(scale, "scale", (2,))
            if not all(s > 0 for s in scale):
                raise ValueError(f"scale values should be positive, got {scale}")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else angles(shear, "shear", (2, 4))
        self.interpolation = interpolation_mode(interpolation)
        self.fill = check_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Draw angle, translation in pixels, scale and shear for an image of `img_size` (width, height)."""
        angle = uniform(degrees[0], degrees[1])
        moved = (0, 0)
        if translate is not None:
            reach_x, reach_y = float(translate[0] * img_size[0]), float(translate[1] * img_size[1])
            move_x = round(uniform(-reach_x, reach_x))
            moved = (move_x, round(uniform(-reach_y, reach_y)))
        scale = 1.0 if scale_ranges is None else uniform(scale_ranges[0], scale_ranges[1])
        shear_x = 0.0 if shears is None else uniform(shears[0], shears[1])
        shear_y = uniform(shears[2], shears[3]) if shears is not None and len(shears) == 4 else 0.0
        return angle, moved, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        """The transformed image."""
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(self.degrees, self.translate, self.scale, self.shear, [width, height])
        fill = fill_for(img, self.fill)
        return F.affine(img, *drawn, interpolation=self.interpolation, fill=fill, center=self.center)

    def __repr__(self) -> str:
        shown = f"degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            shown += "" if getattr(self, name) is None else f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            shown += f", interpolation={self.interpolation.value}"
        shown += f", fill={self.fill}" if self.fill != 0 else ""
        shown += f", center={self.center}" if self.center is not None else ""
        return f"{type(self).__name__}({shown})"


class RandomPerspective(nn.Module):
    """With probability `p`, an image seen from a random angle.

    distortion_scale: how far the corners may move inwards, from 0 (not at all) to 1 (to the middle).
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = interpolation_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> tuple[list[list[int]], list[list[int]]]:
        """Draw where the corners (from the upper left one, clockwise) go; returns their old and new places."""
        reach_x, reach_y = int(distortion_scale * (width // 2)), int(distortion_scale * (height // 2))
        left, right = (0, reach_x + 1), (width - reach_x - 1, width)
        upper, lower = (0, reach_y + 1), (height - reach_y - 1, height)
        ranges = [(left, upper), (right, upper), (right, lower), (left, lower)]
        startpoints = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return startpoints, [[whole(*x), whole(*y)] for x, y in ranges]

    def forward(self, img: Any) -> Any:
        """The image, transformed or not."""
        fill = fill_for(img, self.fill)
        if not happens(self.p):
            return img
        _, height, width = F.get_dimensions(img)
        startpoints, endpoints = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, startpoints, endpoints, self.interpolation, fill)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"
