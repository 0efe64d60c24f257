"""RMSprop."""

from __future__ import annotations

from typing import Any

from rushlight.ops.foreach import rmsprop_step
from rushlight.optim.common import (
    Group,
    check_lr,
    check_not_negative,
    counter,
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

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the root of a running average of their squares.

        v = alpha * v + (1 - alpha) * g²
        p = p - lr * g / (sqrt(v) + eps)

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty.
    momentum: above 0, the quotient goes into a momentum buffer, and that is subtracted.
    centered: divide by the estimated standard deviation: v less the square of the average gradient.
    capturable: keep the step counters on the parameters' device.
    maximize: go uphill instead.
    foreach: accepted; every step is one fused call, except with `differentiable`, where it is made of recorded tensor
        operations.

    Raises `ValueError` for negative arguments.
    """

    _later_options = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("epsilon value", eps)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("alpha value", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group, "RMSprop")
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
            state["square_avg"] = zeros_for(p)
            if group["momentum"] > 0:
                state["momentum_buffer"] = zeros_for(p)
            if group["centered"]:
                state["grad_avg"] = zeros_for(p)
        return state  # type: ignore[no-any-return]


def _step_fused(group: Group, states: list[dict[str, Any]], params: list[Any], grads: list[Any]) -> None:
    momentum, centered = number(group["momentum"]), group["centered"]
    rmsprop_step(
        params,
        grads,
        [state["square_avg"] for state in states],
        [state["grad_avg"] for state in states] if centered else [],
        [state["momentum_buffer"] for state in states] if momentum > 0 else [],
        [state["step"] for state in states],
        lr=number(group["lr"]),
        alpha=group["alpha"],
        eps=group["eps"],
        weight_decay=number(group["weight_decay"]),
        momentum=momentum,
        centered=centered,
        maximize=group["maximize"],
    )


def _step_by_operations(group: Group, state: dict[str, Any], p: Any, grad: Any) -> None:
    """The same for one parameter in tensor operations, which gradients can flow through."""
    lr, alpha, momentum = to_scalar(group["lr"]), group["alpha"], group["momentum"]
    state["step"].add_(1)
    grad = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
    p, grad, square = flattened(p, grad, state["square_avg"])
    square = square * alpha + grad * (1 - alpha) * grad
    keep(state, "square_avg", square)
    if group["centered"]:
        mean = flattened(state["grad_avg"])[0].lerp(grad, 1 - alpha)
        keep(state, "grad_avg", mean)
        square = square - mean * mean
    denominator = square.sqrt() + group["eps"]
    if momentum > 0:
        buffer = flattened(state["momentum_buffer"])[0] * momentum + grad / denominator
        keep(state, "momentum_buffer", buffer)
        p.add_(buffer * -lr)
    else:
        p.add_(grad * -lr / denominator)
