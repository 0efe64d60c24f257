"""Pooling and interpolation of images (batch, channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.cases.operation import Operation, all_cases, shaped

POOLED = {"small": [(1, 1, 2, 2)], "medium": [(1, 64, 16, 16)], "large": [(16, 64, 128, 128)]}
ENLARGED = {"small": [(1, 1, 2, 2)], "medium": [(1, 64, 8, 8)], "large": [(16, 64, 64, 64)]}


def functional(name: str, **keywords: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda torch: partial(getattr(torch.nn.functional, name), **keywords)


def pooling(name: str, function: str, **keywords: Any) -> Operation:
    return Operation(name, functional(function, **keywords), shaped(POOLED), channels_last=True)


def enlarging(name: str, **keywords: Any) -> Operation:
    function = functional("interpolate", scale_factor=2, **keywords)
    return Operation(name, function, shaped(ENLARGED), channels_last=True)


OPERATIONS = (
    pooling("max_pool_2x2", "max_pool2d", kernel_size=2),
    pooling("max_pool_3x3_stride2", "max_pool2d", kernel_size=3, stride=2, padding=1),
    pooling("avg_pool_2x2", "avg_pool2d", kernel_size=2),
    pooling("avg_pool_3x3_stride2", "avg_pool2d", kernel_size=3, stride=2, padding=1),
    pooling("adaptive_avg_pool_1", "adaptive_avg_pool2d", output_size=1),
    enlarging("interpolate_nearest", mode="nearest"),
    enlarging("interpolate_bilinear", mode="bilinear", align_corners=False),
)

CASES = all_cases(OPERATIONS)
