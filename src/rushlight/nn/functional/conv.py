"""Convolutions, and windows taken apart into columns and put together again."""

from __future__ import annotations

from typing import Any

from rushlight.ops.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_tbc,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from rushlight.ops.fold import col2im, im2col

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "fold", "unfold",
]  # fmt: skip


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Every window of `input` [N, C, H, W] or [C, H, W] as a column: [N, C * KH * KW, blocks], windows in row-major order.

    >>> unfold(ones(1, 1, 3, 3), 2).shape
    torch.Size([1, 4, 4])
    """
    return im2col(input, kernel_size, dilation, padding, stride)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns [N, C * KH * KW, blocks] added back where their windows lie in maps of `output_size`: the transpose of `unfold`."""
    return col2im(input, output_size, kernel_size, dilation, padding, stride)
