"""Batch normalisation, by the batch's statistics or by given ones, and instance normalisation, which is one of many channels."""

from __future__ import annotations

from typing import Any

from rushlight.core.inplace import apply_update
from rushlight.core.primitive import Primitive
from rushlight.ops.checks import need_tensor
from rushlight.ops.norm_rules import BatchNormEval, batch_normalised

__all__ = ["batch_norm", "instance_norm"]


def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Standardise every channel (dimension 1) of `input`, then scale by `weight` and shift by `bias`.

    With `training` by the statistics of the batch, towards which the running ones are then moved by `momentum`; else by
    the running ones. `cudnn_enabled` is accepted and has no effect. See `nn.functional.batch_norm`.
    """
    return batch_normalised(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)


BatchNormEval.public = batch_norm


class AverageImages(Primitive):
    """Write into a running statistic the average of its `images` copies: `average(running, copies)`."""

    __slots__ = ("images",)
    name = "average_images"
    differentiable = False

    def __init__(self, images: int) -> None:
        self.images = images

    def forward(self, k: Any, *arrays: Any) -> Any:
        running, copies = arrays
        k.copy_into(running, k.mean(k.reshape_view(copies, (self.images, -1)), (0,)))


def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Standardise every channel of every image of `input` [N, C, *] on its own: batch normalisation of [1, N * C, *].

    With running statistics each channel's are the average over the images. See `nn.functional.instance_norm`.
    """
    need_tensor("instance_norm", input)
    shape = input._shape
    if len(shape) < 2:
        raise RuntimeError(f"instance_norm(): expected an input [N, C, *], but got shape {list(shape)}")
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    images, channels = shape[0], shape[1]

    def repeated(t: Any) -> Any:
        return None if t is None else t.repeat(images)

    means, variances = repeated(running_mean), repeated(running_var)
    x = input.contiguous().view(1, images * channels, *shape[2:])
    y = batch_norm(x, repeated(weight), repeated(bias), means, variances, use_input_stats, momentum, eps)
    for running, several in ((running_mean, means), (running_var, variances)):
        if running is not None and use_input_stats:
            apply_update(AverageImages(images), (running, several), 1)
    return y.view(shape)
