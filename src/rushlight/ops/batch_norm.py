"""Batch normalisation, by the batch's statistics or by given ones, and instance normalisation, which is one of many channels."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import Shape
from rushlight.core.inplace import apply_update
from rushlight.core.modes import local
from rushlight.core.primitive import Primitive, apply_multi, applyn
from rushlight.ops.checks import need_tensor, not_implemented
from rushlight.ops.normalization import Needs, Norm, NormGrad, is_mixed, overridden

__all__ = ["batch_norm", "instance_norm"]


class NativeBatchNorm(Norm):
    """Every channel standardised by its statistics over the batch: outputs (y, mean, invstd, variance)."""

    __slots__ = ()
    name = "native_batch_norm"
    outputs = 4
    takes_gate = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.batch_norm_with_variance(*self.parts(arrays), self.eps)

    def grad(self, mask: Needs) -> NormGrad:
        return BatchNormGrad(mask, self.weighted, self.eps)

    def vjp_gated(self, saved: Any, g: Any, needs: Any, gate: Any, bounds: Any) -> Any:
        return self.gradients(saved, g, GatedBatchNormGrad(self.wanted(needs), self.weighted, bounds), gate)


class BatchNormGrad(NormGrad):
    """The gradients of batch normalisation in training."""

    __slots__ = ()
    name = "native_batch_norm_backward"

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.batch_norm_backward(g, x, w, mean, rstd, True, self.mask)

    def rows(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        return shape, (1, shape[1], *(1,) * (len(shape) - 2)), (0, *range(2, len(shape)))


class GatedBatchNormGrad(Primitive):
    """`BatchNormGrad` behind a gate (see `Primitive.gate`), the last of the inputs. It is not differentiated."""

    __slots__ = ("mask", "weighted", "bounds")
    keeps_layout = True
    name = "native_batch_norm_backward"
    outputs = 0
    differentiable = False

    def __init__(self, mask: Needs, weighted: bool, bounds: tuple[float, float | None]) -> None:
        self.mask, self.weighted, self.bounds = mask, weighted, bounds

    def forward(self, k: Any, *arrays: Any) -> Any:
        w = arrays[2] if self.weighted else None
        mean, rstd, gate = arrays[-3:]
        found = k.batch_norm_backward(arrays[0], arrays[1], w, mean, rstd, True, self.mask, gate, *self.bounds)
        return [each for each, wanted in zip(found, self.mask, strict=True) if wanted]


class BatchNormEval(Norm):
    """Every channel standardised by given statistics: inputs (x[, w][, b], mean, var), one output. Linear in x."""

    __slots__ = ()
    name = "batch_norm_eval"
    node_name = "NativeBatchNormBackward0"
    outputs = 1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.batch_norm_forward(*self.parts(arrays), arrays[-2], arrays[-1], False, self.eps)[0]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        wants_weight = self.weighted and needs[1]
        return (inputs[0] if wants_weight else None, inputs[1] if self.weighted else None, inputs[-2], inputs[-1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        x, w, mean, var = saved
        rank = len(g._shape)
        across, others = (1, -1, *(1,) * (rank - 2)), (0, *range(2, rank))
        invstd = (var + self.eps).rsqrt()
        gx = gw = gb = None
        if x is not None and not local.modes.grad:
            mask = (needs[0], True, self.biased and needs[1 + self.weighted])
            return (*self.gradients((x, w, mean, invstd), (g,), BatchNormEvalGrad(mask, True, self.eps)), None, None)
        if needs[0]:
            gx = g * (invstd if w is None else invstd * w).reshape(across).to(g._dtype)
        if self.weighted and needs[1]:
            gw = (g * (x - mean.reshape(across))).sum(others) * invstd
        if self.biased and needs[1 + self.weighted]:
            gb = g.sum(others)
        return (gx, *([gw] if self.weighted else []), *([gb] if self.biased else []), None, None)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return batch_norm, (*self.parts(tensors), tensors[-2], tensors[-1], False, 0.0, self.eps, False), {}


class BatchNormEvalGrad(NormGrad):
    """The gradients of batch normalisation by given statistics, in one pass. It is not differentiated."""

    __slots__ = ()
    name = "native_batch_norm_backward"
    differentiable = False

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.batch_norm_backward(g, x, w, mean, rstd, False, self.mask)


class UpdateRunningStatistics(Primitive):
    """Move running mean and variance by `momentum` towards a batch's: `update(running_mean, running_var, mean, variance)`.

    `unbias` is n / (n - 1): the running variance is the unbiased one.
    """

    __slots__ = ("momentum", "unbias")
    name = "update_running_statistics"
    differentiable = False

    def __init__(self, momentum: float, unbias: float) -> None:
        self.momentum = momentum
        self.unbias = unbias

    def forward(self, k: Any, *arrays: Any) -> Any:
        running_mean, running_var, mean, variance = arrays
        k.move_running(running_mean, mean, self.momentum)
        k.move_running(running_var, variance, self.momentum, self.unbias)


def _check_statistics(input: Any, channels: int, **tensors: Any) -> None:
    for name, value in tensors.items():
        if value is None:
            continue
        if prod(value._shape) != channels:
            raise RuntimeError(
                f"{name} should contain {channels} elements not {prod(value._shape)}: batch_norm got an input of shape "
                f"{list(input._shape)}, whose dimension 1 holds the channels"
            )
        if is_mixed(input, value):
            raise RuntimeError(
                f"mixed dtype (CPU): all inputs must share same datatype. batch_norm got an input of {input._dtype!r} and {name} of "
                f"{value._dtype!r}; convert the input, or the module with module.to({input._dtype!r})"
            )


def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Standardise every channel (dimension 1) of `input`, then scale by `weight` and shift by `bias`.

    With `training` by the statistics of the batch, towards which the running ones are then moved by `momentum`; else by
    the running ones. `cudnn_enabled` is accepted and has no effect. See `nn.functional.batch_norm`.
    """
    need_tensor("batch_norm", input)
    shape = input._shape
    channels = shape[1] if len(shape) > 1 else 0
    if not shape:
        raise RuntimeError("batch_norm(): expected an input [N, C, *], but got a zero-dim tensor")
    if input._dtype.category != FLOATING:
        raise not_implemented("batch_norm", input._dtype)
    _check_statistics(input, channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    weighted, biased = weight is not None, bias is not None
    parameters = (input, weight, bias) if weighted and biased else (input, *[p for p in (weight, bias) if p is not None])
    if not training:
        if running_mean is None or running_var is None:
            missing = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(
                f"{missing} must be defined in evaluation mode: batch_norm got None; pass it, or training=True"
            )
        return applyn(BatchNormEval(weighted, biased, eps), (*parameters, running_mean, running_var))
    args = (input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
    handled, found = overridden(batch_norm, args, parameters)
    if handled:
        return found
    y, mean, _, variance = apply_multi(NativeBatchNorm(weighted, biased, eps), parameters)
    if running_mean is not None and running_var is not None:
        count = prod(shape) // max(channels, 1)
        update = UpdateRunningStatistics(momentum, count / max(count - 1, 1))
        apply_update(update, (running_mean, running_var, mean, variance), 2)
    return y


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
