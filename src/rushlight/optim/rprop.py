"""Rprop."""

from __future__ import annotations

from typing import Any

from rushlight.ops.creation import full_like, zeros_like
from rushlight.optim.common import (
    Group,
    check_lr,
    counter,
    flattened,
    keep,
    number,
    with_gradients,
    zeros_for,
)
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    ParamsT,
    _use_grad_for_differentiable,
    evaluate,
)

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Resilient backpropagation: steps that depend on the sign of the gradient only. For full batches.

    Each element has its own step size, which grows by `etas[1]` while the gradient keeps its sign and shrinks by
    `etas[0]` when it changes; after a change the element rests for one step.

    params: see `Optimizer`.
    lr: the first step size, a number or a tensor with one element.
    etas: factors (decrease, increase), with 0 < decrease < 1 < increase.
    step_sizes: least and greatest step size.
    capturable: keep the step counters on the parameters' device.
    maximize: go uphill instead.
    differentiable: record the step, so that gradients flow through it. `foreach` is accepted.

    Reference: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning", 1993.
    Raises `ValueError` for a negative lr or for etas out of order.
    """

    _later_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}; expected 0 < etas[0] < 1 < etas[1]")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p, grad in zip(*with_gradients(group, "Rprop"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, (shrink, grow), (least, most) = self.state[p], group["etas"], group["step_sizes"]
        if not state:
            lr = number(group["lr"])
            state["step"] = counter(group, p)
            state["prev"] = zeros_for(p)
            state["step_size"] = full_like(p, complex(lr, lr) if p.is_complex() else lr, requires_grad=False)
        state["step"].add_(1)
        if group["maximize"]:
            grad = -grad
        p, grad, before, size = flattened(p, grad, state["prev"], state["step_size"])
        agreement = grad * before
        turned = agreement < 0
        size = size.where(agreement == 0, size * grow).where(~turned, size * shrink).clamp(least, most)
        grad = grad.where(~turned, zeros_like(grad))
        p.sub_(grad.sign() * size)
        keep(state, "prev", grad)
        keep(state, "step_size", size)
