"""Losses between an input and a target of one shape, each one operation as in torch.

A `Loss` says what it is per element; `reduction` ("none", "mean" or "sum") is common to all. Half types are computed in float32.
"""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

import numpy as np

from rushlight.base.dtypes import FLOATING
from rushlight.core.primitive import COMMON, Primitive, apply2, applyn
from rushlight.ops.checks import kind_name, not_implemented

__all__: list[str] = []

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(reduction: str) -> str:
    """`reduction` itself; torch's `ValueError` for an unknown one."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: expected 'none', 'mean' or 'sum'")
    return reduction


def check_not_differentiated(operation: str, **tensors: Any) -> None:
    """Refuse gradients for an argument that torch does not differentiate either."""
    for name, value in tensors.items():
        if value is not None and value._requires_grad:
            raise RuntimeError(
                f"The function '{operation}' is not differentiable with respect to argument '{name}'. This input cannot have "
                "requires_grad True: pass it detached, as in x.detach()."
            )


class Loss(Primitive):
    """A loss of (x, target, ...) element by element, then reduced."""

    __slots__ = ("reduction",)
    promotion: ClassVar[int] = COMMON

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def per_element(self, k: Any, *arrays: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward rule")

    def forward(self, k: Any, *arrays: Any) -> Any:
        of = arrays[0].dtype
        half = of.itemsize == 2 and of.kind not in "iu"
        values = self.per_element(k, *([k.cast(a, _FLOAT32) for a in arrays] if half else arrays))
        if self.reduction != "none":
            values = (k.mean if self.reduction == "mean" else k.sum)(values, tuple(range(values.ndim)))
        return k.cast(values, of) if half else values

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def spread(self, g: Any, shape: tuple[int, ...], factor: float = 1.0) -> Any:
        """`factor` times the cotangent of each element's loss."""
        if self.reduction == "mean":
            factor /= max(prod(shape), 1)
        return g if factor == 1.0 else g * factor


class DifferenceLoss(Loss):
    """A loss of x - target, whose `slope` is its derivative in the difference."""

    __slots__ = ()
    factor: ClassVar[float] = 1.0

    def slope(self, difference: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no slope")

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, target = saved
        gx = self.slope(x - target) * self.spread(g, x._shape, self.factor)
        return gx if needs[0] else None, -gx if needs[1] else None


class MseLoss(DifferenceLoss):
    """(x - target)**2."""

    __slots__ = ()
    name = "mse_loss"
    factor = 2.0

    def per_element(self, k: Any, *arrays: Any) -> Any:
        difference = k.sub(arrays[0], arrays[1])
        return k.mul(difference, difference, out=difference)

    def slope(self, difference: Any) -> Any:
        return difference


class SmoothL1Loss(DifferenceLoss):
    """d**2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere."""

    __slots__ = ("beta",)
    name = "smooth_l1_loss"

    def __init__(self, reduction: str, beta: float) -> None:
        super().__init__(reduction)
        self.beta = beta

    def per_element(self, k: Any, *arrays: Any) -> Any:
        distance = k.abs(k.sub(arrays[0], arrays[1]))
        of = distance.dtype
        near = k.div(k.mul(k.mul(distance, k.scalar(0.5, of)), distance), k.scalar(self.beta, of))
        far = k.sub(distance, k.scalar(0.5 * self.beta, of))
        return k.where(k.lt(distance, k.scalar(self.beta, of)), near, far)

    def slope(self, difference: Any) -> Any:
        return (difference / self.beta).clamp(-1, 1)


class HuberLoss(DifferenceLoss):
    """d**2 / 2 where |d| <= delta, delta * (|d| - delta / 2) elsewhere."""

    __slots__ = ("delta",)
    name = "huber_loss"

    def __init__(self, reduction: str, delta: float) -> None:
        super().__init__(reduction)
        self.delta = delta

    def per_element(self, k: Any, *arrays: Any) -> Any:
        distance = k.abs(k.sub(arrays[0], arrays[1]))
        of = distance.dtype
        near = k.mul(k.mul(distance, distance), k.scalar(0.5, of))
        far = k.mul(k.sub(distance, k.scalar(0.5 * self.delta, of)), k.scalar(self.delta, of))
        return k.where(k.le(distance, k.scalar(self.delta, of)), near, far)

    def slope(self, difference: Any) -> Any:
        return difference.clamp(-self.delta, self.delta)


class BinaryCrossEntropy(Loss):
    """-(t * log(x) + (1 - t) * log(1 - x)), the logarithms not below -100: `(x, t)` or `(x, t, weight)`."""

    __slots__ = ()
    name = "binary_cross_entropy"

    def per_element(self, k: Any, *arrays: Any) -> Any:
        x, t = arrays[:2]
        of, every = x.dtype, tuple(range(x.ndim))
        if x.size and not (k.amin(x, every) >= 0 and k.amax(x, every) <= 1):
            raise RuntimeError(
                "all elements of input should be between 0 and 1: binary_cross_entropy takes probabilities, for example after "
                "sigmoid(); for scores of any size use binary_cross_entropy_with_logits"
            )
        floor = k.scalar(-100, of)
        log_x, log_rest = k.clamp_min(k.log(x), floor), k.clamp_min(k.log1p(k.neg(x)), floor)
        loss = k.sub(k.mul(k.sub(t, k.scalar(1, of)), log_rest), k.mul(t, log_x))
        return loss if len(arrays) == 2 else k.mul(loss, arrays[2])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, t = saved[:2]
        each = self.spread(g, x._shape)
        if len(saved) == 3:
            each = each * saved[2]
        gx = each * (x - t) / ((1 - x) * x).clamp_min(1e-12) if needs[0] else None
        gt = each * ((-x).log1p().clamp_min(-100) - x.log().clamp_min(-100)) if needs[1] else None
        return (gx, gt) if len(saved) == 2 else (gx, gt, None)


class BinaryCrossEntropyWithLogits(Loss):
    """Binary cross entropy of sigmoid(x), without its overflow: inputs (x, t[, weight][, pos_weight])."""

    __slots__ = ("weighted", "pos_weighted")
    name = "binary_cross_entropy_with_logits"

    def __init__(self, reduction: str, weighted: bool, pos_weighted: bool) -> None:
        super().__init__(reduction)
        self.weighted = weighted
        self.pos_weighted = pos_weighted

    def per_element(self, k: Any, *arrays: Any) -> Any:
        x, t = arrays[:2]
        one, zero = k.scalar(1, x.dtype), k.scalar(0, x.dtype)
        softplus = k.add(k.log1p(k.exp(k.neg(k.abs(x)))), k.clamp_min(k.neg(x), zero))  # log(1 + exp(-x))
        if self.pos_weighted:
            softplus = k.mul(softplus, k.add(k.mul(k.sub(arrays[-1], one), t), one))
        loss = k.add(k.mul(k.sub(one, t), x), softplus)
        return k.mul(loss, arrays[2]) if self.weighted else loss

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, t = saved[:2]
        each = self.spread(g, x._shape)
        if self.weighted:
            each = each * saved[2]
        gx = gt = None
        if self.pos_weighted:
            pos = saved[-1]
            if needs[0]:
                gx = each * ((pos * t + 1 - t) * x.sigmoid() - pos * t)
            if needs[1]:
                softplus = (-x.abs()).exp().log1p() + (-x).clamp_min(0)
                gt = each * ((pos - 1) * softplus - x)
        else:
            gx = each * (x.sigmoid() - t) if needs[0] else None
            gt = -each * x if needs[1] else None
        return (gx, gt, *[None] * (len(saved) - 2))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        weight, pos_weight = tensors[2] if self.weighted else None, tensors[-1] if self.pos_weighted else None
        given = {"weight": weight, "pos_weight": pos_weight, "reduction": self.reduction}
        return type(self).public, tensors[:2], given


class SoftMarginLoss(Loss):
    """log(1 + exp(-t * x))."""

    __slots__ = ()
    name = "soft_margin_loss"

    def per_element(self, k: Any, *arrays: Any) -> Any:
        return k.log1p(k.exp(k.neg(k.mul(arrays[0], arrays[1]))))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, t = saved
        return -self.spread(g, x._shape) * t * (-(x * t)).sigmoid(), None


class MarginLoss(Loss):
    """Losses over the classes of each sample, x [N, C]: summed over C, divided by C, then reduced over N."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        of, classes = arrays[0].dtype, arrays[0].shape[1]
        half = of.itemsize == 2
        values = self.per_element(k, *[k.cast(a, _FLOAT32) if half and a.dtype == of else a for a in arrays])
        values = k.div(values, k.scalar(classes, values.dtype))
        if self.reduction != "none":
            values = (k.mean if self.reduction == "mean" else k.sum)(values, (0,))
        return k.cast(values, of) if half else values

    def spread_rows(self, g: Any, shape: tuple[int, ...]) -> Any:
        """The cotangent of each sample's sum over classes, [N, 1] or zero-dim."""
        factor = 1.0 / (shape[1] * (max(shape[0], 1) if self.reduction == "mean" else 1))
        return (g.unsqueeze(1) if self.reduction == "none" else g) * factor


class MultiMarginLoss(MarginLoss):
    """sum over j != t of max(0, margin - x[t] + x[j])**p: `(x, t)` or `(x, t, weight)`."""

    __slots__ = ("p", "margin")
    name = "multi_margin_loss"
    promotion = 0

    def __init__(self, reduction: str, p: int, margin: float) -> None:
        super().__init__(reduction)
        self.p = p
        self.margin = margin

    def per_element(self, k: Any, *arrays: Any) -> Any:
        x, target = arrays[0], k.unsqueeze(arrays[1], 1)
        reach = k.sub(k.scalar(self.margin, x.dtype), k.gather(x, 1, target))
        hinge = k.clamp_min(k.add(x, reach), k.scalar(0, x.dtype))
        if self.p == 2:
            hinge = k.mul(hinge, hinge)
        values = k.sum(k.scatter(hinge, 1, target, k.zeros(target.shape, x.dtype)), (1,))
        return k.mul(values, k.index_select(arrays[2], 0, arrays[1])) if len(arrays) == 3 else values

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, target = saved[0], saved[1].unsqueeze(1)
        hinge = self.margin - x.gather(1, target) + x
        slope = (hinge > 0).to(x._dtype) if self.p == 1 else 2 * hinge.clamp_min(0)
        part = slope.scatter(1, target, 0) * self.spread_rows(g, x._shape)
        if len(saved) == 3:
            part = part * saved[2].index_select(0, saved[1]).unsqueeze(1)
        return (part.scatter_add(1, target, -part.sum(1, True)), *[None] * (len(saved) - 1))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        given = {"p": self.p, "margin": self.margin, "weight": tensors[2] if len(tensors) == 3 else None}
        return type(self).public, tensors[:2], given | {"reduction": self.reduction}


class MultilabelMarginLoss(MarginLoss):
    """sum over labels i and other classes j of max(0, 1 - x[i] + x[j]): `(x, counts)`, how often each class is a label."""

    __slots__ = ()
    name = "multilabel_margin_loss"

    def per_element(self, k: Any, *arrays: Any) -> Any:
        x, counts = arrays
        zero = k.scalar(0, x.dtype)
        hinge = k.clamp_min(k.add(k.sub(k.unsqueeze(x, 1), k.unsqueeze(x, 2)), k.scalar(1, x.dtype)), zero)
        others = k.cast(k.eq(counts, zero), x.dtype)
        return k.sum(k.mul(k.mul(hinge, k.unsqueeze(counts, 2)), k.unsqueeze(others, 1)), (1, 2))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, counts = saved
        active = (1 - x.unsqueeze(2) + x.unsqueeze(1) > 0).to(x._dtype)
        pairs = active * counts.unsqueeze(2) * (counts == 0).to(x._dtype).unsqueeze(1)
        return (pairs.sum(1) - pairs.sum(2)) * self.spread_rows(g, x._shape), None


_FLOAT32 = np.dtype(np.float32)


def _floating(operation: str, *tensors: Any) -> None:
    if all(t._dtype.category < FLOATING for t in tensors):
        raise not_implemented(operation, tensors[0]._dtype)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The squared difference of two tensors of one shape."""
    _floating("mse_cpu", input, target)
    return apply2(MseLoss(check_reduction(reduction)), input, target)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squared below `beta` (> 0), absolute above."""
    _floating("smooth_l1_cpu", input, target)
    return apply2(SmoothL1Loss(check_reduction(reduction), beta), input, target)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Half the square below `delta` (> 0), a line of slope `delta` above."""
    if delta <= 0:
        raise RuntimeError(f"huber_loss does not support non-positive values for delta: got {delta}")
    _floating("huber_cpu", input, target)
    return apply2(HuberLoss(check_reduction(reduction), delta), input, target)


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Binary cross entropy of probabilities."""
    _floating("binary_cross_entropy", input)
    if target._dtype is not input._dtype:
        raise RuntimeError(
            f"Found dtype {kind_name(target._dtype)} but expected {kind_name(input._dtype)}: binary_cross_entropy needs a target of "
            "the input's dtype, for example target.to(input.dtype)"
        )
    check_not_differentiated("binary_cross_entropy", weight=weight)
    tensors = (input, target) if weight is None else (input, target, weight)
    return applyn(BinaryCrossEntropy(check_reduction(reduction)), tensors)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """Binary cross entropy of scores."""
    if target._dtype.category < FLOATING:
        raise RuntimeError(
            f"result type {kind_name(input._dtype)} can't be cast to the desired output type {kind_name(target._dtype)}: "
            "binary_cross_entropy_with_logits needs a floating-point target, for example target.float()"
        )
    check_not_differentiated("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    op = BinaryCrossEntropyWithLogits(check_reduction(reduction), weight is not None, pos_weight is not None)
    return applyn(op, tuple([t for t in (input, target, weight, pos_weight) if t is not None]))


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input))."""
    check_not_differentiated("soft_margin_loss", target=target)
    return apply2(SoftMarginLoss(check_reduction(reduction)), input, target)


def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The hinge loss over the classes of `input` [N, C] or [C] for the class indices `target` [N] or []."""
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, multi_margin_loss got p={p}")
    rank = len(input._shape)
    if rank not in (0, 1, 2) or (rank == 2 and input._shape[1] == 0):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input._shape)}"
        )
    x = input if rank == 2 else input.reshape(1, -1)
    samples, classes = x._shape
    if (len(target._shape) > 1) or target.numel() != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). Expected "
            f"target size [{samples}], but got {list(target._shape)}. Input has shape {list(input._shape)}."
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight._shape)}")
    op = MultiMarginLoss(check_reduction(reduction), p, margin)
    tensors = (x, target.reshape(samples)) if weight is None else (x, target.reshape(samples), weight)
    found = applyn(op, tensors)
    return found.reshape(target._shape) if rank < 2 and reduction == "none" else found


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The hinge loss between the classes that a row of `target` lists (up to its first -1) and all others."""
    if target._shape != input._shape or len(input._shape) > 2:
        raise RuntimeError(f"inconsistent target size: {list(target._shape)} for input of size: {list(input._shape)}")
    rank = len(input._shape)
    x = input if rank == 2 else input.reshape(1, -1)
    labels = target.reshape(x._shape)
    listed = (labels >= 0).to(x._dtype).cumprod(1)
    counts = x.detach().new_zeros(x._shape).scatter_add(1, labels.clamp_min(0), listed)
    found = apply2(MultilabelMarginLoss(check_reduction(reduction)), x, counts)
    return found.reshape(()) if rank < 2 and reduction == "none" else found
