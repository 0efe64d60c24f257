"""RAdam."""

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
    shrink,
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

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """RAdam: Adam whose first steps are plain momentum, until the second moment can be trusted.

    With r_inf = 2 / (1 - b2) - 1 and r = r_inf - 2 * t * b2^t / (1 - b2^t), a step is

        m = b1 * m + (1 - b1) * g              v = b2 * v + (1 - b2) * g²          n = m / (1 - b1^t)
        p = p - lr * n * sqrt(1 - b2^t) / (sqrt(v) + eps) * rectification    if r > 5,  else  p - lr * n

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty; with `decoupled_weight_decay` the parameter itself shrinks instead.
    maximize: go uphill instead.
    capturable: keep the step counters on the parameters' device.
    differentiable: record the step, so that gradients flow through it. `foreach` is accepted.

    Reference: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020.
    Raises `ValueError` for negative arguments, or betas outside [0, 1).
    """

    _later_options = {
        "foreach": None,
        "maximize": False,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p, grad in zip(*with_gradients(group, "RAdam"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, (beta1, beta2), lr = self.state[p], group["betas"], to_scalar(group["lr"])
        weight_decay = group["weight_decay"]
        if not state:
            state["step"] = counter(group, p)
            state["exp_avg"] = zeros_for(p)
            state["exp_avg_sq"] = zeros_for(p)
        step = state["step"].add_(1).item()
        if group["decoupled_weight_decay"]:
            shrink(p, 1 - lr * weight_decay)
            weight_decay = 0
        grad = decayed_gradient(p, grad, weight_decay, group["maximize"])
        p, grad, mean, square = flattened(p, grad, state["exp_avg"], state["exp_avg_sq"])
        mean = mean.lerp(grad, 1 - beta1)
        square = (square * beta2).addcmul(grad, grad, value=1 - beta2)
        keep(state, "exp_avg", mean)
        keep(state, "exp_avg_sq", square)

        correction = 1 - beta2**step
        most = 2 / (1 - beta2) - 1
        length = most - 2 * step * (beta2**step) / correction  # of the equivalent simple moving average
        update = mean / (1 - beta1**step) * lr
        if length > 5.0:
            rectification = ((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length)) ** 0.5
            update = update * (correction**0.5 / (square.sqrt() + group["eps"])) * rectification
        p.sub_(update)
