"""NAdam."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import TensorBase
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

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov momentum.

    With mu_t = b1 * (1 - 0.96^(t * momentum_decay) / 2) and M_t the product of mu_1 ... mu_t, a step is

        m = b1 * m + (1 - b1) * g              v = b2 * v + (1 - b2) * g²
        d = sqrt(v / (1 - b2^t)) + eps
        p = p - lr * (1 - mu_t) / (1 - M_t) * g / d - lr * mu_(t+1) / (1 - M_(t+1)) * m / d

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty; with `decoupled_weight_decay` the parameter itself shrinks instead.
    maximize: go uphill instead.
    capturable: keep the counters on the parameters' device.
    differentiable: record the step, so that gradients flow through it. `foreach` is accepted.

    Reference: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    Raises `ValueError` for negative arguments, or betas outside [0, 1).
    """

    _later_options = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative("momentum_decay value", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for p in group["params"]:
                product = self.state[p].get("mu_product") if p in self.state else None
                if product is not None and not isinstance(product, TensorBase):
                    self.state[p]["mu_product"] = counter(group, p, product)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            for p, grad in zip(*with_gradients(group, "NAdam"), strict=True):
                self._update(group, p, grad)
        return loss

    def _update(self, group: Group, p: Any, grad: Any) -> None:
        state, (beta1, beta2), lr = self.state[p], group["betas"], to_scalar(group["lr"])
        decay, weight_decay = group["momentum_decay"], group["weight_decay"]
        if not state:
            state["step"] = counter(group, p)
            state["mu_product"] = counter(group, p, 1.0)
            state["exp_avg"] = zeros_for(p)
            state["exp_avg_sq"] = zeros_for(p)
        step = state["step"].add_(1).item()
        if group["decoupled_weight_decay"]:
            shrink(p, 1 - lr * weight_decay)
            weight_decay = 0
        grad = decayed_gradient(p, grad, weight_decay, group["maximize"])
        p, grad, mean, square = flattened(p, grad, state["exp_avg"], state["exp_avg_sq"])

        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        product = state["mu_product"].mul_(mu).item()
        mean = mean.lerp(grad, 1 - beta1)
        square = (square * beta2).addcmul(grad, grad, value=1 - beta2)
        keep(state, "exp_avg", mean)
        keep(state, "exp_avg_sq", square)
        denominator = (square / (1 - beta2**step)).sqrt() + group["eps"]
        p.add_(grad * (-lr * (1.0 - mu) / (1.0 - product)) / denominator)
        p.add_(mean * (-lr * mu_next / (1.0 - product * mu_next)) / denominator)
