"""Convolutions: inputs (batch, channels, ...), weights (outputs, channels / groups, ...)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.cases.operation import Operation, all_cases, shaped

Shapes = Mapping[str, Sequence[Sequence[int]]]


def images(kernel: int, per_group: int = 64) -> Shapes:
    """64 channels: 1x64x16x16 is 64 KiB, 16x64x128x128 is 64 MiB; small is one channel."""
    weight = (64, per_group, kernel, kernel)
    return {
        "small": [(1, 1, 4, 4), (1, 1, kernel, kernel)],
        "medium": [(1, 64, 16, 16), weight],
        "large": [(16, 64, 128, 128), weight],
    }


FIRST_LAYER: Shapes = {
    "small": [(1, 3, 8, 8), (1, 3, 7, 7)],
    "medium": [(1, 3, 72, 72), (64, 3, 7, 7)],
    "large": [(20, 3, 224, 224), (64, 3, 7, 7)],
}
# A transposed weight is (inputs, outputs, ...).
TRANSPOSED: Shapes = {
    "small": [(1, 1, 2, 2), (1, 1, 4, 4), (1,)],
    "medium": [(1, 64, 16, 16), (64, 32, 4, 4), (32,)],
    "large": [(16, 64, 64, 64), (64, 64, 4, 4), (64,)],
}
LINES: Shapes = {
    "small": [(1, 1, 4), (1, 1, 3), (1,)],
    "medium": [(1, 64, 256), (64, 64, 3), (64,)],
    "large": [(16, 64, 16384), (64, 64, 3), (64,)],
}
VOLUMES: Shapes = {
    "small": [(1, 1, 3, 3, 3), (1, 1, 3, 3, 3), (1,)],
    "medium": [(1, 16, 8, 8, 16), (16, 16, 3, 3, 3), (16,)],
    "large": [(4, 16, 64, 64, 64), (16, 16, 3, 3, 3), (16,)],
}


def convolution(name: str, shapes: Shapes, kind: str = "conv2d", **keywords: Any) -> Operation:
    """Inputs are scaled down so that outputs stay near 1, as in a trained network."""

    def function(torch: Any) -> Callable[..., Any]:
        return partial(getattr(torch.nn.functional, kind), **keywords)

    return Operation(name, function, shaped(shapes, scale=0.2), channels_last=kind in ("conv2d", "conv_transpose2d"))


def grouped(name: str, per_group: int, **keywords: Any) -> Operation:
    """64 channels in groups; the small form has two channels in two groups."""
    shapes = {**images(3, per_group), "small": [(1, 2, 4, 4), (2, 1, 3, 3)]}

    def function(torch: Any) -> Callable[..., Any]:
        convolve = torch.nn.functional.conv2d
        return lambda x, weight: convolve(x, weight, groups=x.shape[1] // weight.shape[1], padding=1, **keywords)

    return Operation(name, function, shaped(shapes, scale=0.2), channels_last=True)


OPERATIONS = (
    convolution("conv_3x3", images(3), padding=1),
    convolution("conv_3x3_stride2", images(3), padding=1, stride=2),
    convolution("conv_3x3_dilated", images(3), padding=2, dilation=2),
    convolution("conv_1x1", images(1)),
    convolution("conv_7x7_stride2", FIRST_LAYER, padding=3, stride=2),
    grouped("conv_grouped", 16),
    grouped("conv_depthwise", 1),
    grouped("conv_depthwise_stride2", 1, stride=2),
    convolution("conv_transposed", TRANSPOSED, "conv_transpose2d", padding=1, stride=2),
    convolution("conv_1d", LINES, "conv1d", padding=1),
    convolution("conv_3d", VOLUMES, "conv3d", padding=1),
)

CASES = all_cases(OPERATIONS)
