"""Normalisation."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.ops import batch_norm as _batch
from rushlight.ops import normalization as _ops
from rushlight.ops.pad import constant_pad_nd
from rushlight.ops.pool import avg_pool2d, avg_pool3d

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Standardise every channel (dimension 1) of `input` [N, C, *], then scale by `weight` [C] and shift by `bias` [C].

    training: by the mean and (biased) variance of the batch, towards which `running_mean` and `running_var`, where given, move in
        place by `momentum`; the running variance is the unbiased one. Otherwise by the running statistics.
    Raises `ValueError` when a training batch has one value per channel, `RuntimeError` for sizes that do not fit.
    """
    if training:
        shape = input._shape
        if prod(shape) == (shape[1] if len(shape) > 1 else 1):
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {input.shape}: one value has no variance. Use "
                "more samples or model.eval()"
            )
    return _batch.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Standardise every channel of every image of `input` [N, C, *] on its own, then scale and shift as `batch_norm` does."""
    if use_input_stats and prod(input._shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    return _batch.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Standardise the last dimensions, of sizes `normalized_shape`, then scale by `weight` and shift by `bias` of that shape."""
    return _ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root mean square over the last dimensions, of sizes `normalized_shape`, then scale by `weight`."""
    return _ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Standardise `input` [N, C, *] over each of `num_groups` equal parts of its channels, then scale and shift them [C]."""
    shape = input._shape
    if len(shape) >= 2 and num_groups > 0 and prod(shape[2:]) * shape[0] * (shape[1] // num_groups) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {list(shape)}")
    return _ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """`input` [N, C, *] over `(k + alpha * mean of squares of the size nearest channels) ** beta`."""
    shape = input._shape
    if len(shape) < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {len(shape)} dimensions)")
    if input.numel() == 0:
        return input
    squares = input.mul(input)
    before, after = size // 2, (size - 1) // 2
    if len(shape) == 3:
        padded = constant_pad_nd(squares.unsqueeze(1), (0, 0, before, after))
        means = avg_pool2d(padded, (size, 1), stride=1).squeeze(1)
    else:
        volume = squares.reshape(shape[0], 1, shape[1], shape[2], -1)
        padded = constant_pad_nd(volume, (0, 0, 0, 0, before, after))
        means = avg_pool3d(padded, (size, 1, 1), stride=1).squeeze(1).reshape(shape)
    return input / means.mul(alpha).add(k).pow(beta)
