"""Adagrad."""

from __future__ import annotations

from typing import Any

from rushlight.ops.creation import full_like
from rushlight.ops.foreach import adagrad_step
from rushlight.optim.common import (
    Group,
    check_fused,
    check_lr,
    check_not_negative,
    counter,
    decayed_gradient,
    flattened,
    keep,
    number,
    to_scalar,
    with_gradients,
)
from rushlight.optim.optimizer import (
    Closure,
    Optimizer,
    ParamsT,
    _use_grad_for_differentiable,
    evaluate,
)

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adagrad: gradients divided by the root of the sum of all their squares.

    With step count t, a step is

        s = s + g²
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    weight_decay: factor of the L2 penalty.
    initial_accumulator_value: what s starts from.
    maximize: go uphill instead.
    foreach, fused: accepted; every step is one fused call, except with `differentiable`, where it is made of recorded
        tensor operations.

    Reference: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011. Raises `ValueError` for negative arguments.
    """

    _later_options = {"foreach": None, "maximize": False, "differentiable": False, "fused": None}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay value", lr_decay)
        check_not_negative("weight_decay value", weight_decay)
        check_not_negative("initial_accumulator_value value", initial_accumulator_value)
        check_not_negative("epsilon value", eps)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self._state_of(group, p)

    def share_memory(self) -> None:
        """Move the sums to shared memory, for processes that train one model together."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["sum"].share_memory_()

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group, "Adagrad")
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
            start = self.defaults["initial_accumulator_value"]
            state["sum"] = full_like(p, complex(start, start) if p.is_complex() else start, requires_grad=False)
        return state  # type: ignore[no-any-return]


def _step_fused(group: Group, states: list[dict[str, Any]], params: list[Any], grads: list[Any]) -> None:
    adagrad_step(
        params,
        grads,
        [state["sum"] for state in states],
        [state["step"] for state in states],
        lr=number(group["lr"]),
        lr_decay=group["lr_decay"],
        eps=group["eps"],
        weight_decay=number(group["weight_decay"]),
        maximize=group["maximize"],
    )


def _step_by_operations(group: Group, state: dict[str, Any], p: Any, grad: Any) -> None:
    """The same for one parameter in tensor operations, which gradients can flow through."""
    step = state["step"].add_(1).item()
    rate = to_scalar(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
    grad = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
    p, grad, total = flattened(p, grad, state["sum"])
    total = total + grad * grad
    keep(state, "sum", total)
    p.add_(grad * -rate / (total.sqrt() + group["eps"]))
