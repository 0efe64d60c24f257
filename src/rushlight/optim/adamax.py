"""Adamax."""

from __future__ import annotations

from typing import Any

from rushlight.optim.common import (
    Group,
    check_betas,
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

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adamax: Adam with the infinity norm in the place of the root mean square.

        m = b1 * m + (1 - b1) * g              u = max(b2 * u, |g| + eps)
        p = p - lr / (1 - b1^t) * m / u

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty.
    maximize: go uphill instead.
    differentiable: record the step, so that gradients flow through it. `foreach` is accepted.
    capturable: keep the step counters on the parameters' device.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.1.
    Raises `ValueError` for negative arguments, or betas outside [0, 1).
    """

    _later_options = {"foreach": None, "maximize": False, "differentiable": False, "capturable": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
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
            for p, grad in zip(*with_gradients(group, "Adamax"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["step"] = counter(group, p)
            state["exp_avg"] = zeros_for(p)
            state["exp_inf"] = zeros_for(p)
        step = state["step"].add_(1).item()
        grad = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
        p, grad, mean, most = flattened(p, grad, state["exp_avg"], state["exp_inf"])
        mean = mean.lerp(grad, 1 - beta1)
        most = (most * beta2).maximum(grad.abs() + group["eps"])
        keep(state, "exp_avg", mean)
        keep(state, "exp_inf", most)
        p.add_(mean * -(to_scalar(group["lr"]) / (1 - beta1**step)) / most)
