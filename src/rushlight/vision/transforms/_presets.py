"""The preprocessing that weights were trained for, as `weights.transforms()` makes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight import nn
from rushlight.base.dtypes import float32
from rushlight.core.public import Tensor
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._interpolation import InterpolationMode

__all__ = ["ImageClassification"]


class ImageClassification(nn.Module):
    """Resizes, crops, scales to 0..1 and normalises a PIL image or a tensor [..., C, H, W]; the result is float32.

    crop_size, resize_size: in pixels; the shorter edge is resized. mean, std: of each channel.
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        """The image as the model wants it: [..., C, crop_size, crop_size]."""
        img = F.resize(img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias)
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, float32), mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = [f"\n    {name}={getattr(self, name)}" for name in names]
        return f"{type(self).__name__}({''.join(lines)}\n)"

    def describe(self) -> str:
        """What is done, in words."""
        return (
            "Takes PIL images and tensors of shape (C, H, W) or (B, C, H, W). The shorter edge is resized to "
            f"{self.resize_size[0]} pixels ({self.interpolation.value}), the central {self.crop_size[0]} x "
            f"{self.crop_size[0]} pixels are kept, scaled to 0..1 and normalised with mean={self.mean} and std={self.std}."
        )
