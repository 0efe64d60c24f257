"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import TensorBase
from rushlight.ops.creation import full
from rushlight.optim.common import (
    Group,
    check_lr,
    check_not_negative,
    counter_dtype,
    decayed_gradient,
    flattened,
    keep,
    number,
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

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: `state[p]["ax"]` is the average of the parameter's values.

        p = p * (1 - lambd * eta) - eta * g                 ax = ax + mu * (p - ax)   (ax = p while mu is 1)
        eta = lr / (1 + lambd * lr * t)^alpha               mu = 1 / max(1, t - t0)

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    lambd: decay. alpha: power of eta's decay. t0: the step from which values are averaged.
    weight_decay: factor of the L2 penalty.
    maximize: go uphill instead.
    differentiable: record the step, so that gradients flow through it. `foreach` and `capturable` are accepted.

    Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    Raises `ValueError` for a negative lr or weight_decay.
    """

    _later_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for p in group["params"]:
                own = self.state[p] if p in self.state else {}
                for name in ("eta", "mu"):
                    if name in own and not isinstance(own[name], TensorBase):
                        own[name] = _scalar(group, p, own[name])

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p, grad in zip(*with_gradients(group, "ASGD"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, lr, lambd = self.state[p], to_scalar(group["lr"]), group["lambd"]
        if not state:
            state["step"] = _scalar(group, p, 0.0)
            state["eta"] = _scalar(group, p, number(group["lr"]))
            state["mu"] = _scalar(group, p, 1.0)
            state["ax"] = zeros_for(p)
        p, grad, average = flattened(p, grad, state["ax"])
        step = state["step"].add_(1).item()
        grad = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
        eta, mu = state["eta"].item(), state["mu"].item()
        p.mul_(1 - lambd * eta)
        p.add_(grad * -eta)
        keep(state, "ax", average + (p - average) * mu if mu != 1 else p.clone())
        state["eta"] = _scalar(group, p, number(lr / (1 + lambd * lr * step) ** group["alpha"]))
        state["mu"] = _scalar(group, p, 1 / max(1, step - group["t0"]))


def _scalar(group: Group, p: Any, value: float) -> Any:
    return full((), value, dtype=counter_dtype(group), device=p.device)
