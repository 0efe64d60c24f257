"""Convolution and transposed convolution over one to three spatial dimensions, differentiable to any order."""

from __future__ import annotations

from typing import Any

from rushlight.ops.conv_rules import PUBLIC, convolve, convolve_transposed, operation_of, run

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
]  # fmt: skip


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution (cross-correlation) of `input` [N, C, L] or [C, L] with `weight` [O, C / groups, K], plus `bias` [O].

    `padding` is a number of zeros on both sides, "valid" (none) or "same" (the result as long as the input; stride 1 only).
    Raises `RuntimeError` for shapes, dtypes or parameters that do not fit.

    >>> conv1d(ones(1, 1, 5), ones(1, 1, 3)).shape
    torch.Size([1, 1, 3])
    """
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution (cross-correlation) of `input` [N, C, H, W] or [C, H, W] with `weight` [O, C / groups, KH, KW], plus `bias` [O].

    `stride`, `padding` and `dilation` are an int or one per dimension; `padding` may be "valid" or "same", see `conv1d`.
    Raises `RuntimeError` for shapes, dtypes or parameters that do not fit.

    >>> conv2d(ones(1, 3, 8, 8), ones(4, 3, 3, 3), padding=1).shape
    torch.Size([1, 4, 8, 8])
    """
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """Convolution (cross-correlation) of `input` [N, C, D, H, W] or [C, D, H, W] with `weight` [O, C / groups, KD, KH, KW].

    Parameters and errors as those of `conv2d`.
    """
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """Transposed convolution of `input` [N, C, L] or [C, L] with `weight` [C, O / groups, K]: the gradient of `conv1d` in its input.

    The result is `(L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1` long.
    """
    return convolve_transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """Transposed convolution of `input` [N, C, H, W] or [C, H, W] with `weight` [C, O / groups, KH, KW]; see `conv_transpose1d`.

    >>> conv_transpose2d(ones(1, 3, 4, 4), ones(3, 2, 2, 2), stride=2).shape
    torch.Size([1, 2, 8, 8])
    """
    return convolve_transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """Transposed convolution of `input` [N, C, D, H, W] with `weight` [C, O / groups, KD, KH, KW]; see `conv_transpose1d`."""
    return convolve_transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output_padding: Any,
    groups: int,
) -> Any:  # fmt: skip
    """Any of the functions above, chosen by `transposed` and the rank of `weight`."""
    nd = len(weight._shape) - 2
    op = operation_of(nd, stride, padding, dilation, groups, bool(transposed), output_padding)
    return run(op, input, weight, bias, nd, "convolution")


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Convolution of a sequence laid out [T, B, C] with `weight` [K, C, O], plus `bias` [O]: [T', B, O]."""
    if len(input._shape) != 3 or len(weight._shape) != 3:
        raise RuntimeError(
            f"conv_tbc(): Input must have 3 dims: time, batch, in_channel, and the weight 3: kernel, in_channel, out_channel; got "
            f"{list(input._shape)} and {list(weight._shape)}"
        )
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad).permute(2, 0, 1)


PUBLIC.update({(False, 1): conv1d, (False, 2): conv2d, (False, 3): conv3d})
PUBLIC.update({(True, 1): conv_transpose1d, (True, 2): conv_transpose2d, (True, 3): conv_transpose3d})
