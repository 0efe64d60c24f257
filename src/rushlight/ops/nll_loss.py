"""The negative log-likelihood of class indices: minus the input at each target's class, weighted and reduced."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64, uint8
from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply_multi, applyn
from rushlight.core.tensor import make_alias
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.loss import check_not_differentiated, check_reduction
from rushlight.ops.norm_rules import overridden

__all__: list[str] = []


class NllLoss(Primitive):
    """Outputs (loss, total weight) of (logp [N, C] or [C], target[, weight]). Linear in logp."""

    __slots__ = ("ignore_index", "reduction")
    name = "nll_loss"
    outputs = 2

    def __init__(self, ignore_index: int, reduction: str) -> None:
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, k: Any, *arrays: Any) -> Any:
        logp, target = arrays[:2]
        weight = arrays[2] if len(arrays) == 3 else None
        single = logp.ndim == 1
        if single:
            logp, target = k.unsqueeze(logp, 0), k.unsqueeze(target, 0)
        loss, total = k.nll_loss(logp, target, weight, self.ignore_index, self.reduction)
        return k.squeeze(loss, (0,)) if single and self.reduction == "none" else loss, total

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, make_alias(output[1]), *inputs[1:])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, total, *rest = saved
        gx = applyn(NllLossGrad(self, shape), (g[0], *rest, total))
        return (gx, *[None] * len(rest))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply_multi(self, (tangents[0], *saved[2:]))[0], None


class NllLoss2d(NllLoss):
    """The same of logp [N, C, H, W] and target [N, H, W]."""

    __slots__ = ()
    node_name = "NllLoss2DBackward0"


class NllLossGrad(Primitive):
    """The transpose of `NllLoss` in logp, of `shape`: `grad(g, target[, weight], total weight)`."""

    __slots__ = ("loss", "shape")
    name = "nll_loss_backward"

    def __init__(self, loss: NllLoss, shape: Shape) -> None:
        self.loss = loss
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        g, target, total = arrays[0], arrays[1], arrays[-1]
        weight = arrays[2] if len(arrays) == 4 else None
        single = len(self.shape) == 1
        if single:
            g, target = g if self.loss.reduction != "none" else k.unsqueeze(g, 0), k.unsqueeze(target, 0)
        shape = (1, *self.shape) if single else self.shape
        gx = k.nll_loss_backward(g, shape, target, weight, self.loss.ignore_index, self.loss.reduction, total)
        return k.squeeze(gx, (0,)) if single else gx

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[1:-1]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return (apply_multi(self.loss, (g, *saved))[0], *[None] * (len(needs) - 1))


def check_classes(input: Any, target: Any, weight: Any) -> None:
    need_tensor("nll_loss", input)
    need_tensor("nll_loss", target, "target")
    rank = len(input._shape)
    if rank < 1:
        raise ValueError(
            f"Expected 1 or more dimensions (got {rank}): nll_loss takes log-probabilities [N, C, ...] or [C]"
        )
    if target._dtype is not int64 and target._dtype is not uint8:
        cure = (
            "class indices are integers: use target.long(). For class probabilities the target must have the input's shape "
            f"{list(input._shape)}, but it has {list(target._shape)}"
            if target._dtype.category > 1
            else "use target.long()"
        )
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {kind_name(target._dtype)}: {cure}")
    if rank == 1:
        if target.numel() != 1 or len(target._shape) > 1:
            raise RuntimeError(
                f"0D or 1D target tensor expected, multi-target not supported: input {list(input._shape)}, target {list(target._shape)}"
            )
    elif rank == 2:
        if len(target._shape) != 1:
            cure = " Drop the last dimension with target.squeeze(1)." if target._shape[1:] == (1,) else ""
            raise RuntimeError(
                f"0D or 1D target tensor expected, multi-target not supported: for an input of shape {list(input._shape)} the target "
                f"holds one class index per sample, shape [{input._shape[0]}], but it has {list(target._shape)}.{cure}"
            )
    if rank > 1 and (not target._shape or target._shape[0] != input._shape[0]):
        raise ValueError(
            f"Expected input batch_size ({input._shape[0]}) to match target batch_size ({target._shape[0] if target._shape else 0}): "
            f"the input has shape {list(input._shape)}, the target {list(target._shape)}, and both need one entry per sample."
        )
    if rank > 2 and target._shape[1:] != input._shape[2:]:
        wanted = [input._shape[0], *input._shape[2:]]
        raise RuntimeError(
            f"size mismatch (got input: {list(input._shape)} , target: {list(target._shape)}): the target holds a class index per "
            f"position, shape {wanted}"
        )
    classes = input._shape[0 if rank == 1 else 1]
    if weight is not None:
        if weight._shape != (classes,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: "
                f"{list(weight._shape)}"
            )
        if weight._dtype is not input._dtype:
            raise RuntimeError(
                f"expected scalar type {kind_name(input._dtype)} but found {kind_name(weight._dtype)}: the class weights need the "
                "input's dtype, for example weight.to(input.dtype)"
            )
        check_not_differentiated("nll_loss_forward", weight=weight)


def nll_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean", ignore_index: int = -100) -> Any:
    """Minus `input` [N, C, ...] at the class indices `target` [N, ...]; "mean" divides by the total weight of the targets."""
    check_reduction(reduction)
    check_classes(input, target, weight)
    handled, found = overridden(
        nll_loss,
        (input, target, weight, reduction, ignore_index),
        (input, target) if weight is None else (input, target, weight),
    )
    if handled:
        return found
    shape = input._shape
    rest = (target,) if weight is None else (target, weight)
    if len(shape) <= 2:
        if len(shape) == 1 and target._shape:
            rest = (target.reshape(()), *rest[1:])
        loss = apply_multi(NllLoss(ignore_index, reduction), (input, *rest))[0]
        return loss.reshape(target._shape) if reduction == "none" and loss._shape != target._shape else loss
    if len(shape) == 4:
        return apply_multi(NllLoss2d(ignore_index, reduction), (input, *rest))[0]
    flat = (
        input.contiguous().view(shape[0], shape[1], 1, -1) if input.numel() else input.reshape(shape[0], shape[1], 0, 0)
    )
    rows = target.reshape(shape[0], *flat._shape[2:])
    loss = apply_multi(NllLoss2d(ignore_index, reduction), (flat, rows, *rest[1:]))[0]
    return loss.view(target._shape) if reduction == "none" else loss
