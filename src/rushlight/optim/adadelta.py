"""Adadelta."""

from __future__ import annotations

from typing import Any

from rushlight.optim.common import (
    Group,
    check_lr,
    check_not_negative,
    counter,
    decayed_gradient,
    flattened,
    keep,
    to_scalar,
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

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Adadelta: steps in the units of the parameters, without a learning rate to tune.

        v = rho * v + (1 - rho) * g²           d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d²           p = p - lr * d

    params: see `Optimizer`.
    lr: factor of the step, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty.
    capturable: keep the step counters on the parameters' device.
    maximize: go uphill instead.
    differentiable: record the step, so that gradients flow through it. `foreach` is accepted.

    Reference: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    Raises `ValueError` for negative arguments and for rho outside [0, 1].
    """

    _later_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}; expected a number in [0, 1]")
        check_not_negative("epsilon value", eps)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p, grad in zip(*with_gradients(group, "Adadelta"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, rho, eps = self.state[p], group["rho"], group["eps"]
        if not state:
            state["step"] = counter(group, p)
            state["square_avg"] = zeros_for(p)
            state["acc_delta"] = zeros_for(p)
        state["step"].add_(1)
        grad = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
        p, grad, square, moved = flattened(p, grad, state["square_avg"], state["acc_delta"])
        square = (square * rho).addcmul(grad, grad, value=1 - rho)
        delta = (moved + eps).sqrt() / (square + eps).sqrt() * grad
        keep(state, "square_avg", square)
        keep(state, "acc_delta", (moved * rho).addcmul(delta, delta, value=1 - rho))
        p.add_(delta * -to_scalar(group["lr"]))
