"""Adam."""

from __future__ import annotations

from typing import Any

from rushlight.core.tensor import TensorBase
from rushlight.ops.foreach import adam_step
from rushlight.optim.common import (
    Group,
    check_betas,
    check_fused,
    check_lr,
    check_not_negative,
    counter,
    decayed_gradient,
    flattened,
    keep,
    number,
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

__all__ = ["Adam"]


class Adam(Optimizer):
    """Adam: steps of about the size of `lr`, whatever the scale of the gradients.

    With gradient g, step count t and (b1, b2) = `betas`, a step is

        m = b1 * m + (1 - b1) * g              v = b2 * v + (1 - b2) * g²
        p = p - lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    betas: decay rates of the averages, both floats or both tensors with one element.
    eps: added to the denominator.
    weight_decay: factor of the L2 penalty; with `decoupled_weight_decay` the parameter itself shrinks instead (AdamW).
    amsgrad: divide by the greatest v so far.
    maximize: go uphill instead.
    capturable: keep the step counters on the parameters' device.
    foreach, fused: accepted; every step is one fused call, except with `differentiable`, where it is made of recorded
        tensor operations.

    Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    Raises `ValueError` for a negative lr, eps or weight_decay, or betas outside [0, 1).
    """

    _later_options = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_betas(betas)
        check_not_negative("weight_decay value", weight_decay)
        _check_beta_types(betas)
        defaults = {
            "lr": lr,
            "betas": (to_scalar(betas[0]), to_scalar(betas[1])),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group, type(self).__name__)
            states = [self._state_of(group, p) for p in params]
            if group["differentiable"]:
                for p, grad, state in zip(params, grads, states, strict=True):
                    _step_by_operations(group, state, p, grad)
            else:
                _step_fused(group, states, params, grads)
        return loss

    def _state_of(self, group: Group, p: Any) -> dict[str, Any]:
        state = self.state[p]
        if not state:
            state["step"] = counter(group, p)
            state["exp_avg"] = zeros_for(p)
            state["exp_avg_sq"] = zeros_for(p)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = zeros_for(p)
        return state  # type: ignore[no-any-return]


def _check_beta_types(betas: tuple[Any, Any]) -> None:
    if not all(isinstance(beta, float) for beta in betas) and not all(isinstance(beta, TensorBase) for beta in betas):
        kinds = ", ".join(type(beta).__name__ for beta in betas)
        raise ValueError(f"betas must be either both floats or both Tensors, but got ({kinds})")
    for i, beta in enumerate(betas):
        if isinstance(beta, TensorBase) and beta.numel() != 1:
            raise ValueError(f"Tensor betas[{i}] must be 1-element, but it has shape {tuple(beta.shape)}")


def _step_fused(group: Group, states: list[dict[str, Any]], params: list[Any], grads: list[Any]) -> None:
    beta1, beta2 = group["betas"]
    amsgrad = group["amsgrad"]
    adam_step(
        params,
        grads,
        [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states],
        [state["max_exp_avg_sq"] for state in states] if amsgrad else [],
        [state["step"] for state in states],
        lr=number(group["lr"]),
        beta1=number(beta1),
        beta2=number(beta2),
        eps=group["eps"],
        weight_decay=number(group["weight_decay"]),
        amsgrad=amsgrad,
        maximize=group["maximize"],
        decoupled_weight_decay=group["decoupled_weight_decay"],
    )


def _step_by_operations(group: Group, state: dict[str, Any], p: Any, grad: Any) -> None:
    """The same for one parameter in tensor operations, which gradients can flow through."""
    lr, (beta1, beta2), weight_decay = to_scalar(group["lr"]), group["betas"], group["weight_decay"]
    step = state["step"].add_(1).item()
    if group["decoupled_weight_decay"]:
        shrink(p, 1 - lr * weight_decay)
        weight_decay = 0
    grad = decayed_gradient(p, grad, weight_decay, group["maximize"])
    p, grad, mean, square = flattened(p, grad, state["exp_avg"], state["exp_avg_sq"])
    mean = mean.lerp(grad, 1 - beta1)
    square = square * beta2 + grad * (1 - beta2) * grad
    keep(state, "exp_avg", mean)
    keep(state, "exp_avg_sq", square)
    if group["amsgrad"]:
        square = flattened(state["max_exp_avg_sq"])[0].maximum(square)
        keep(state, "max_exp_avg_sq", square)
    denominator = square.sqrt() / (1 - beta2**step) ** 0.5 + group["eps"]
    p.add_(mean * -(lr / (1 - beta1**step)) / denominator)
