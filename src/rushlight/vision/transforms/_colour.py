"""Transforms of colours and sharpness. Tensors are [..., C, H, W]; see `F` for their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

from rushlight import nn
from rushlight.core.public import Tensor
from rushlight.ops.random import randperm
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._arguments import happens, height_width, uniform

Range = tuple[float, float]


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in random order.

    Each is the range (low, high) of a factor, or one number x for (max(0, 1 - x), 1 + x), for the hue (-x, x) with x
    at most 0.5.
    """

    def __init__(
        self,
        brightness: float | Range = 0,
        contrast: float | Range = 0,
        saturation: float | Range = 0,
        hue: float | Range = 0,
    ) -> None:
        super().__init__()
        self.brightness = _factor_range(brightness, "brightness")
        self.contrast = _factor_range(contrast, "contrast")
        self.saturation = _factor_range(saturation, "saturation")
        self.hue = _factor_range(hue, "hue", center=0.0, bound=(-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Range | None, contrast: Range | None, saturation: Range | None, hue: Range | None
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """Draw the order of the four changes and their factors; None for those that are not wanted."""
        order = randperm(4)
        factors = [None if r is None else uniform(r[0], r[1]) for r in (brightness, contrast, saturation, hue)]
        return order, factors[0], factors[1], factors[2], factors[3]

    def forward(self, img: Any) -> Any:
        """The changed image."""
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for which in order.tolist():
            factor = factors[which]
            if factor is not None:
                img = changes[which](img, factor)
        return img

    def __repr__(self) -> str:
        names = ("brightness", "contrast", "saturation", "hue")
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


def _factor_range(value: Any, name: str, center: float = 1.0, bound: Range = (0, float("inf"))) -> Range | None:
    if isinstance(value, Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative, got {value}.")
        low, high = center - float(value), center + float(value)  # type: ignore[arg-type]
        if center == 1.0:
            low = max(low, 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2, got {value!r}.")
    if not bound[0] <= low <= high <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
    return None if low == high == center else (low, high)


class Grayscale(nn.Module):
    """An image in shades of grey, with one channel or three equal ones."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        """The grey image."""
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class GaussianBlur(nn.Module):
    """An image blurred by a Gaussian of random width; see `F.gaussian_blur`.

    sigma: range of the standard deviation, in pixels, or one number.
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = height_width(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError(f"Kernel size value should be an odd and positive number, got {kernel_size}.")
        if isinstance(sigma, Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError(f"If sigma is a single number, it must be positive, got {sigma}.")
            sigma = (sigma, sigma)  # type: ignore[assignment]
        elif not (isinstance(sigma, Sequence) and len(sigma) == 2):
            raise ValueError(f"sigma should be a single number or a list/tuple with length 2, got {sigma!r}.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError(f"sigma values should be positive and of the form (min, max), got {sigma}.")
        self.sigma: Any = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """Draw the standard deviation, in pixels."""
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """The blurred image."""
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class _Sometimes(nn.Module):
    """Base of the changes that are made with a probability `p`."""

    shown: tuple[str, ...] = ()

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def change(self, img: Any) -> Any:
        """The changed image."""
        raise NotImplementedError(f"{type(self).__name__} does not define change")

    def forward(self, img: Any) -> Any:
        """The image, changed or not."""
        return self.change(img) if happens(self.p) else img

    def __repr__(self) -> str:
        settings = ",".join(f"{name}={getattr(self, name)}" for name in (*self.shown, "p"))
        return f"{type(self).__name__}({settings})"


class RandomGrayscale(_Sometimes):
    """An image in shades of grey with probability `p`; it keeps its number of channels."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        """The grey image."""
        return F.rgb_to_grayscale(img, num_output_channels=F.get_image_num_channels(img))


class RandomInvert(_Sometimes):
    """The negative of an image with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        """The negative."""
        return F.invert(img)


class RandomPosterize(_Sometimes):
    """With probability `p`, only the highest `bits` bits of each value are kept."""

    shown = ("bits",)

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        """The posterized image."""
        return F.posterize(img, self.bits)


class RandomSolarize(_Sometimes):
    """With probability `p`, the values from `threshold` on are inverted."""

    shown = ("threshold",)

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        """The solarized image."""
        return F.solarize(img, self.threshold)


class RandomAdjustSharpness(_Sometimes):
    """With probability `p`, an image blurred (a factor below 1) or sharpened (above 1)."""

    shown = ("sharpness_factor",)

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        """The blurred or sharpened image."""
        return F.adjust_sharpness(img, self.sharpness_factor)


class RandomAutocontrast(_Sometimes):
    """With probability `p`, each channel is stretched to the full range."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        """The image with full contrast."""
        return F.autocontrast(img)


class RandomEqualize(_Sometimes):
    """With probability `p`, the histogram of each channel is made even."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        """The equalized image."""
        return F.equalize(img)
