"""Losses for classification and regression."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import broadcast_shapes
from rushlight.base.warn import warn_user
from rushlight.nn.functional._reduction import reduced, resolved
from rushlight.ops import loss as _ops
from rushlight.ops import nll_loss as _nll
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.common import serve
from rushlight.ops.cross_entropy import cross_entropy_of_classes
from rushlight.ops.softmax import log_softmax

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip


# Class indices.


def nll_loss(
    input: Any, target: Any, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
    reduce: bool | None = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """Minus the log-probabilities `input` [N, C, ...] (or [C]) at the class indices `target` [N, ...] (int64), reduced.

    weight: a factor for each class, [C]; "mean" divides by the sum of the factors. ignore_index: a target that does not count.
    Raises `IndexError` for a target that is no class.
    """
    return _nll.nll_loss(input, target, weight, resolved(reduction, size_average, reduce), ignore_index)


def cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: bool | None = None, ignore_index: int = -100,
    reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """The cross entropy of scores `input` [N, C, ...] (or [C]; any real numbers, no softmax before it) and `target`.

    target: class indices [N, ...] (int64), or class probabilities of the input's own shape and a floating-point dtype.
    weight: a factor for each class, [C]. ignore_index: a class index that does not count.
    label_smoothing: in [0, 1], the share of the target that is spread evenly over all classes.

    >>> cross_entropy(zeros(1, 2), tensor([0]))
    tensor(0.6931)
    """
    how = resolved(reduction, size_average, reduce)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    _need_tensors("cross_entropy", input, target)
    class_dim = 0 if len(input._shape) == 1 else 1
    if target._shape == input._shape:
        return _with_probabilities(input, target, weight, ignore_index, how, label_smoothing, class_dim)
    if label_smoothing == 0.0:
        return cross_entropy_of_classes(input, target, weight, how, ignore_index)
    logp = log_softmax(input, class_dim)
    loss = _nll.nll_loss(logp, target, weight, how, ignore_index)
    even = _even_loss(logp, target, weight, ignore_index, how, class_dim)
    return loss * (1 - label_smoothing) + even * (label_smoothing / input._shape[class_dim])


def _per_class(weight: Any, rank: int, class_dim: int) -> Any:
    return weight.reshape(tuple(-1 if d == class_dim else 1 for d in range(rank)))


def _with_probabilities(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float, class_dim: int
) -> Any:
    if target._dtype.category < FLOATING:
        raise RuntimeError(
            f"Expected floating point type for target with class probabilities, got {kind_name(target._dtype)}: a target of the input's "
            f"shape {list(input._shape)} holds probabilities. Class indices have the shape "
            f"{list(input._shape[:class_dim] + input._shape[class_dim + 1 :])}; probabilities a floating-point dtype, as target.float()"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = input._shape[class_dim]
    if smoothing > 0.0:
        target = target * (1 - smoothing) + smoothing / classes
    products = log_softmax(input, class_dim) * target
    if weight is not None:
        products = products * _per_class(weight, len(input._shape), class_dim)
    if reduction == "none":
        return -products.sum(class_dim)
    total = -products.sum()
    return total if reduction == "sum" else total / (input.numel() / classes if classes else 0.0)


def _even_loss(logp: Any, target: Any, weight: Any, ignore_index: int, reduction: str, class_dim: int) -> Any:
    """The loss against all classes alike, ignored targets left out."""
    scores = logp if weight is None else logp * _per_class(weight, len(logp._shape), class_dim)
    ignored = target == ignore_index
    losses = (-scores.sum(class_dim)).reshape(target._shape).masked_fill(ignored, 0.0)
    if reduction != "mean":
        return reduced(losses, reduction)
    counted = ignored.logical_not()
    if weight is None:
        return losses.sum() / counted.sum()
    return losses.sum() / (weight[target.masked_fill(ignored, 0).long()] * counted.to(weight._dtype)).sum()


# Differences.


def _need_tensors(operation: str, input: Any, target: Any) -> None:
    """The TypeError for labels or predictions that are a list or a number."""
    need_tensor(operation, input)
    need_tensor(operation, target, "target")


def _same_shapes(operation: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Both tensors broadcast to one shape, with a warning where they differ."""
    _need_tensors(operation, input, target)
    if input._shape == target._shape:
        return input, target
    warn_user(
        f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely lead to incorrect "
        "results due to broadcasting. Please ensure they have the same size.",
    )
    shape = broadcast_shapes(input._shape, target._shape)
    return input.expand(shape), target.expand(shape)


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Losses times `weight`; "mean" divides by the sum of the weights."""
    if weight._shape != losses._shape:
        raise ValueError(
            f"Weights and input must have the same size: got {list(weight._shape)} and {list(losses._shape)}."
        )
    losses = losses * weight
    if reduction == "mean":
        return losses.sum() / weight.sum()
    return reduced(losses, reduction)


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """`(input - target) ** 2`, reduced. Tensors of different shapes are broadcast, with a warning: it is seldom meant."""
    how = resolved(reduction, size_average, reduce)
    x, y = _same_shapes("mse_loss", input, target)
    return _ops.mse_loss(x, y, how) if weight is None else _weighted(_ops.mse_loss(x, y, "none"), weight, how)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """`|input - target|`, reduced."""
    how = resolved(reduction, size_average, reduce)
    x, y = _same_shapes("l1_loss", input, target)
    losses = (x - y).abs()
    return reduced(losses, how) if weight is None else _weighted(losses, weight, how)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """`d**2 / (2 * beta)` where |d| < `beta`, `|d| - beta / 2` elsewhere, with d = input - target; reduced."""
    how = resolved(reduction, size_average, reduce)
    x, y = _same_shapes("smooth_l1_loss", input, target)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta: got {beta}")
    return reduced((x - y).abs(), how) if beta == 0.0 else _ops.smooth_l1_loss(x, y, how, beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """`d**2 / 2` where |d| <= `delta`, `delta * (|d| - delta / 2)` elsewhere, with d = input - target; reduced."""
    how = resolved(reduction)
    x, y = _same_shapes("huber_loss", input, target)
    if weight is None:
        return _ops.huber_loss(x, y, how, delta)
    return _weighted(_ops.huber_loss(x, y, "none", delta), weight, how)


# Probabilities.


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The cross entropy of probabilities `input` and `target`, both in [0, 1] and of one shape; `weight` broadcasts to it."""
    _need_tensors("binary_cross_entropy", input, target)
    how = resolved(reduction, size_average, reduce)
    if target._shape != input._shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. Please ensure they "
            "have the same size, for example with target.view_as(input)."
        )
    if weight is not None and weight._shape != input._shape:
        weight = weight.expand(broadcast_shapes(target._shape, weight._shape))
    return _ops.binary_cross_entropy(input, target, weight, how)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", pos_weight: Any = None,
) -> Any:  # fmt: skip
    """The binary cross entropy of the scores `input` (any real numbers) and `target` in [0, 1], of one shape.

    weight: a factor for each element. pos_weight: a factor for the positive part. Both broadcast.
    """
    _need_tensors("binary_cross_entropy_with_logits", input, target)
    how = resolved(reduction, size_average, reduce)
    if target._shape != input._shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape}), for example target.view_as(input)")
    return _ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, how)


def kl_div(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    log_target: bool = False,
) -> Any:  # fmt: skip
    """The Kullback-Leibler divergence `target * (log(target) - input)` of log-probabilities `input`, reduced.

    reduction: as elsewhere, or "batchmean": the sum over the size of dimension 0, which is what the mathematics says.
    log_target: `target` holds log-probabilities too.
    """
    if size_average is None and reduce is None:
        if reduction == "mean":
            warn_user(
                "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides only by the "
                "batch size, and aligns with the KL div math definition.'mean' will be changed to behave the same as 'batchmean' in the "
                "next major release.",
            )
        how = "sum" if reduction == "batchmean" else resolved(reduction)
    else:
        how = resolved(reduction, size_average, reduce)
    _need_tensors("kl_div", input, target)
    losses = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    found = reduced(losses, how)
    return found / input._shape[0] if reduction == "batchmean" and input._shape else found


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
    reduce: bool | None = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """The negative log-likelihood of counts `target` under Poisson rates exp(`input`), or `input` itself without `log_input`.

    full: add Stirling's approximation of log(target!) for targets above 1. eps: added to a rate before its logarithm.
    """
    _need_tensors("poisson_nll_loss", input, target)
    how = resolved(reduction, size_average, reduce)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return reduced(losses, how)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """The negative log-likelihood of `target` under normal distributions of means `input` and variances `var`.

    var: a number or a tensor of the input's shape, or with its last dimension 1 or missing; below `eps` it counts as `eps`, without a
    gradient for that. full: add the constant log(2 pi) / 2.
    """
    _need_tensors("gaussian_nll_loss", input, target)
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = input.detach().new_ones(input._shape) * var
    elif (var < 0).any():
        raise ValueError("var has negative entry/entries")
    if var._shape != input._shape:
        if input._shape[:-1] == var._shape:
            var = var.unsqueeze(-1)
        elif not (
            len(input._shape) == len(var._shape)
            and all(v in (n, 1) for n, v in zip(input._shape, var._shape, strict=True))
        ):
            raise ValueError(f"var is of incorrect size: got {list(var._shape)} for an input of {list(input._shape)}")
    how = resolved(reduction)
    var = var.clone()
    floor = var.detach().clamp_min(eps)
    var = var + (floor - var.detach())  # raised to eps, the gradient as if it had not been
    losses = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduced(losses, how)


# Margins.


def soft_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """`log(1 + exp(-target * input))`, targets 1 or -1, reduced."""
    _need_tensors("soft_margin_loss", input, target)
    if target._shape != input._shape and broadcast_shapes(input._shape, target._shape) != input._shape:
        raise RuntimeError(
            f"output with shape {list(input._shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(input._shape, target._shape))}: soft_margin_loss needs tensors of one shape"
        )
    return _ops.soft_margin_loss(input, target.expand(input._shape), resolved(reduction, size_average, reduce))


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """The mean over the other classes of `max(0, margin - x[target] + x)**p` for scores `input` [N, C] or [C], reduced.

    `weight` [C] is a factor for each target class.
    """
    _need_tensors("multi_margin_loss", input, target)
    how = resolved(reduction, size_average, reduce)
    if weight is not None and len(weight._shape) != 1:
        raise ValueError("weight must be one-dimensional")
    return _ops.multi_margin_loss(input, target, p, margin, weight, how)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """The hinge loss between each row's labels (`target` up to its first -1) and all its other classes, over C, reduced."""
    _need_tensors("multilabel_margin_loss", input, target)
    return _ops.multilabel_margin_loss(input, target, resolved(reduction, size_average, reduce))


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The binary cross entropy of scores `input` [N, C] or [C] and labels `target`, averaged over C, then reduced."""
    _need_tensors("multilabel_soft_margin_loss", input, target)
    how = resolved(reduction, size_average, reduce)
    losses = -(target * _log_sigmoid(input) + (1 - target) * _log_sigmoid(-input))
    if weight is not None:
        losses = losses * weight
    dim = len(input._shape) - 1
    return reduced(losses.sum(dim) / input._shape[dim], how)


def _log_sigmoid(x: Any) -> Any:
    return -((-x.abs()).exp().log1p() + (-x).clamp_min(0))


serve(_ops.MseLoss, mse_loss)
serve(_ops.SmoothL1Loss, smooth_l1_loss)
serve(_ops.HuberLoss, huber_loss)
serve(_ops.SoftMarginLoss, soft_margin_loss)
serve(_ops.BinaryCrossEntropy, binary_cross_entropy)
serve(_ops.BinaryCrossEntropyWithLogits, binary_cross_entropy_with_logits)
serve(_ops.MultiMarginLoss, multi_margin_loss)
