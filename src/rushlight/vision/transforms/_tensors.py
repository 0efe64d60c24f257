"""Transforms between PIL images and tensors, and of a tensor's values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Number
from typing import Any

from rushlight import nn
from rushlight.base.dtypes import dtype, float32
from rushlight.core.public import Tensor
from rushlight.ops.creation import empty
from rushlight.ops.elementwise import exp, log
from rushlight.ops.from_data import tensor as make_tensor
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._arguments import check_ranges, happens, uniform, whole


class ToTensor:
    """A PIL image or NumPy array [H, W, C] of bytes as a float tensor [C, H, W] from 0 to 1; see `F.to_tensor`."""

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A PIL image as a tensor [C, H, W] of its own values."""

    def __call__(self, pic: Any) -> Tensor:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ToPILImage:
    """A tensor [C, H, W] or NumPy array [H, W, C] as a PIL image; see `F.to_pil_image`."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class ConvertImageDtype(nn.Module):
    """A tensor image converted to a dtype, its values scaled; see `F.convert_image_dtype`."""

    def __init__(self, dtype: dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Tensor) -> Tensor:
        """The converted image."""
        return F.convert_image_dtype(image, self.dtype)


class Normalize(nn.Module):
    """(image - mean) / std for float tensors [..., C, H, W], with one mean and deviation for each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        """The normalised image."""
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class LinearTransformation(nn.Module):
    """(image - mean_vector) @ transformation_matrix for images flattened to D values, such as whitening.

    transformation_matrix: [D, D]. mean_vector: [D].
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor) -> None:
        super().__init__()
        size = tuple(transformation_matrix.shape)
        if size[0] != size[1]:
            raise ValueError(f"transformation_matrix should be square. Got {size} rectangular matrix.")
        if mean_vector.shape[0] != size[0]:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.shape[0]} as any one of the dimensions of the "
                f"transformation_matrix [{size}]"
            )
        if transformation_matrix.device != mean_vector.device:
            raise ValueError(
                f"Input tensors should be on the same device. Got {transformation_matrix.device} and {mean_vector.device}"
            )
        if transformation_matrix.dtype is not mean_vector.dtype:
            raise ValueError(
                f"Input tensors should have the same dtype. Got {transformation_matrix.dtype} and {mean_vector.dtype}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        """The transformed images, of the shape of `tensor`, [..., C, H, W]."""
        size = math.prod(tensor.shape[-3:])
        if size != self.transformation_matrix.shape[0]:
            raise ValueError(
                f"Input tensor and transformation matrix have incompatible shape: {tuple(tensor.shape[-3:])} is {size} "
                f"values, not {self.transformation_matrix.shape[0]}"
            )
        if tensor.device.type != self.mean_vector.device.type:
            raise ValueError(
                "Input tensor should be on the same device as transformation matrix and mean vector. "
                f"Got {tensor.device} vs {self.mean_vector.device}"
            )
        flat = tensor.reshape(-1, size) - self.mean_vector
        return (flat @ self.transformation_matrix.to(flat.dtype)).reshape(tensor.shape)

    def __repr__(self) -> str:
        matrix, mean = self.transformation_matrix.tolist(), self.mean_vector.tolist()
        return f"{type(self).__name__}(transformation_matrix={matrix}, mean_vector={mean})"


class RandomErasing(nn.Module):
    """With probability `p`, a random rectangle of a tensor image [..., C, H, W] is overwritten.

    scale: range of its area, as a part of the image's. ratio: range of its height over its width. value: one number,
    one for each channel, or "random" for normal noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str | Sequence[float] = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (Number, str, tuple, list)):
            raise TypeError(f"Argument value should be either a number or str or a sequence, got {type(value)}")
        if isinstance(value, str) and value != "random":
            raise ValueError(f"If value is str, it should be 'random', got {value!r}")
        check_ranges(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError(f"Scale should be between 0 and 1, got {scale}")
        if p < 0 or p > 1:
            raise ValueError(f"Random erasing probability should be between 0 and 1, got {p}")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor, scale: Sequence[float], ratio: Sequence[float], value: list[float] | None = None
    ) -> tuple[int, int, int, int, Tensor]:
        """Draw a rectangle (top, left, height, width) and what to write there; the whole image when ten draws fail."""
        channels, height, width = img.shape[-3:]
        log_ratio = log(make_tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            aspect = exp(empty(1).uniform_(float(log_ratio[0]), float(log_ratio[1]))).item()
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (h < height and w < width):
                continue
            if value is None:
                content = empty([channels, h, w], dtype=float32).normal_()
            else:
                content = make_tensor(value)[:, None, None]
            top = whole(0, height - h + 1)
            return top, whole(0, width - w + 1), h, w, content
        return 0, 0, height, width, img

    def forward(self, img: Tensor) -> Tensor:
        """The image, erased in part or not."""
        if not happens(self.p):
            return img
        value = self.value
        values: list[float] | None = None
        if not isinstance(value, str):
            values = [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]  # type: ignore[arg-type]
            if len(values) not in (1, img.shape[-3]):
                raise ValueError(
                    f"If value is a sequence, it should have either a single value or {img.shape[-3]} (number of input channels)"
                )
        return F.erase(img, *self.get_params(img, self.scale, self.ratio, values), self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, value={self.value}, "
            f"inplace={self.inplace})"
        )
