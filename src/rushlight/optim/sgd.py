"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from rushlight.ops.foreach import sgd_step
from rushlight.optim.common import (
    Group,
    check_fused,
    check_lr,
    check_not_negative,
    decayed_gradient,
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

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    With gradient g (plus `weight_decay` * p) and momentum m, a step is

        v = m * v + (1 - dampening) * g        (the first time v = g)
        p = p - lr * (g + m * v  if nesterov else  v)

    params: see `Optimizer`.
    lr: learning rate, a number or a tensor with one element.
    maximize: go uphill instead.
    foreach, fused: accepted; every step is one fused call, except with `differentiable`, where it is made of recorded
        tensor operations.

    Raises `ValueError` for negative lr, momentum or weight_decay, and for `nesterov` without momentum or with dampening.

    >>> w = tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> w.sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000, 1.9000], requires_grad=True)
    """

    _later_options = {"nesterov": False, "maximize": False, "foreach": None, "differentiable": False, "fused": False}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("momentum value", momentum)
        check_not_negative("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"Nesterov momentum requires a momentum and zero dampening, but got momentum={momentum}, "
                f"dampening={dampening}"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(defaults)

    @_use_grad_for_differentiable
    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; `closure`, if given, computes the loss first. Returns its loss or None."""
        loss = evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group, "SGD")
            if group["differentiable"]:
                for p, grad in zip(params, grads, strict=True):
                    self._step_by_operations(group, p, grad)
            else:
                self._step_fused(group, params, grads)
        return loss

    def _step_fused(self, group: Group, params: list[Any], grads: list[Any]) -> None:
        buffers: list[Any] = []
        fresh: list[bool] = []
        momentum = number(group["momentum"])
        if momentum != 0:
            for p in params:
                state = self.state[p]
                buffer = state.get("momentum_buffer")
                fresh.append(buffer is None)
                if buffer is None:
                    buffer = state["momentum_buffer"] = zeros_for(p)
                buffers.append(buffer)
        sgd_step(
            params,
            grads,
            buffers,
            tuple(fresh),
            lr=number(group["lr"]),
            momentum=momentum,
            dampening=number(group["dampening"]),
            weight_decay=number(group["weight_decay"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )

    def _step_by_operations(self, group: Group, p: Any, grad: Any) -> None:
        """The same for one parameter in tensor operations, which gradients can flow through."""
        momentum = group["momentum"]
        direction = decayed_gradient(p, grad, group["weight_decay"], group["maximize"])
        if momentum != 0:
            state = self.state[p]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = direction.clone()
            else:
                buffer = buffer * momentum + direction * (1 - group["dampening"])
            state["momentum_buffer"] = buffer
            direction = direction + buffer * momentum if group["nesterov"] else buffer
        p.add_(direction * -to_scalar(group["lr"]))
