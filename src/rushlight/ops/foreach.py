"""Optimizer steps over many tensors at once: one operation, one kernel call, nothing recorded.

Each function writes its parameters and state in place (their version counters count it) and only reads the gradients.
Members of the lists belong together by position. Parameters on several devices take one call for each device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rushlight.core.inplace import apply_update
from rushlight.core.primitive import Primitive
from rushlight.core.tensor import TensorBase

__all__: list[str] = []


class Step(Primitive):
    """An optimizer's step. Its inputs are lists of `count` tensors each: parameters, state..., gradients last.

    settings: the kernel's keyword arguments.
    """

    __slots__ = ("count", "settings")
    differentiable: ClassVar[bool] = False

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        self.count = count
        self.settings = settings

    def lists(self, arrays: tuple[Any, ...]) -> list[list[Any]]:
        """The inputs as the lists they were."""
        n = self.count
        return [list(arrays[start : start + n]) for start in range(0, len(arrays), n)]


class SgdStep(Step):
    """Gradient descent. Inputs: parameters, with momentum their buffers, gradients."""

    __slots__ = ("fresh",)
    name = "sgd_step"

    def __init__(self, count: int, settings: dict[str, Any], fresh: tuple[bool, ...]) -> None:
        super().__init__(count, settings)
        self.fresh = fresh

    def forward(self, k: Any, *arrays: Any) -> None:
        params, *states, grads = self.lists(arrays)
        buffers = states[0] if states else []
        # The kernel makes the buffers of a first step; they are copied to where the state keeps them.
        given = [None if new else buffer for new, buffer in zip(self.fresh, buffers, strict=False)]
        k.sgd_step(params, grads, given, **self.settings)
        for i, new in enumerate(self.fresh):
            if new:
                k.copy_into(buffers[i], given[i])


class AdamStep(Step):
    """Adam and AdamW. Inputs: parameters, both averages, with amsgrad the greatest squares, step counters, gradients."""

    __slots__ = ()
    name = "adam_step"

    def forward(self, k: Any, *arrays: Any) -> None:
        params, means, squares, *greatest, counters, grads = self.lists(arrays)
        k.adam_step(
            params, grads, means, squares, greatest[0] if greatest else [], counted(k, counters), **self.settings
        )


class RmspropStep(Step):
    """RMSprop. Inputs: parameters, squares, with `centered` means, with momentum buffers, step counters, gradients."""

    __slots__ = ()
    name = "rmsprop_step"

    def forward(self, k: Any, *arrays: Any) -> None:
        params, squares, *states, counters, grads = self.lists(arrays)
        counted(k, counters)
        means = states.pop(0) if self.settings["centered"] else []
        k.rmsprop_step(params, grads, squares, means, states[0] if states else [], **self.settings)


class AdagradStep(Step):
    """Adagrad. Inputs: parameters, sums of squares, step counters, gradients."""

    __slots__ = ()
    name = "adagrad_step"

    def forward(self, k: Any, *arrays: Any) -> None:
        params, sums, counters, grads = self.lists(arrays)
        k.adagrad_step(params, grads, sums, counted(k, counters), **self.settings)


def counted(k: Any, counters: list[Any]) -> list[float]:
    """Count the step in each zero-dim counter; returns their new values."""
    for c in counters:
        k.add(c, k.scalar(1, c.dtype), out=c)
    return [c.item() for c in counters]


def gradients(params: Sequence[TensorBase]) -> tuple[list[Any], list[Any]]:
    """Those of the leaves that have a gradient, and these gradients."""
    having: list[Any] = []
    found: list[Any] = []
    for p in params:
        meta = p._meta
        if meta is not None and meta.grad is not None:
            having.append(p)
            found.append(meta.grad)
    return having, found


def forget_gradients(params: Sequence[TensorBase]) -> None:
    """Take the leaves' gradients away."""
    for p in params:
        meta = p._meta
        if meta is not None:
            meta.grad = None


def _run(kind: type[Step], lists: list[Sequence[Any]], settings: dict[str, Any], **masks: tuple[bool, ...]) -> None:
    """Apply a step to lists of tensors (parameters first, gradients last), device by device."""
    params: Sequence[TensorBase] = lists[0]
    if not params:
        return
    where = params[0]._device
    together = True
    for p in params:
        together = together and p._device is where
    if together:
        tensors: list[TensorBase] = []
        for members in lists:
            tensors.extend(members)
        apply_update(kind(len(params), settings, **masks), tuple(tensors), len(tensors) - len(params))
        return
    places: dict[Any, list[int]] = {}
    for i, p in enumerate(params):
        places.setdefault(p._device, []).append(i)
    for chosen in places.values():
        op = kind(len(chosen), settings, **{name: tuple([m[i] for i in chosen]) for name, m in masks.items()})
        apply_update(op, tuple([members[i] for members in lists for i in chosen]), len(chosen) * (len(lists) - 1))


def sgd_step(
    params: Sequence[Any],
    grads: Sequence[Any],
    buffers: Sequence[Any],
    fresh: tuple[bool, ...],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """One step of stochastic gradient descent.

    buffers: one for each parameter, or none without momentum; where `fresh` is true what is in it counts for nothing, and
        it starts as the gradient.
    """
    settings = {
        "lr": lr,
        "momentum": momentum,
        "dampening": dampening,
        "weight_decay": weight_decay,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    if momentum == 0:
        _run(SgdStep, [params, grads], settings, fresh=(False,) * len(params))
    else:
        _run(SgdStep, [params, buffers, grads], settings, fresh=fresh)


def adam_step(
    params: Sequence[Any],
    grads: Sequence[Any],
    exp_avgs: Sequence[Any],
    exp_avg_sqs: Sequence[Any],
    max_exp_avg_sqs: Sequence[Any],
    steps: Sequence[Any],
    **settings: Any,
) -> None:
    """One step of Adam. `max_exp_avg_sqs` may be empty without `amsgrad`; `steps` are zero-dim counters, counted up here.

    settings: lr, beta1, beta2, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay.
    """
    greatest = [max_exp_avg_sqs] if settings["amsgrad"] else []
    _run(AdamStep, [params, exp_avgs, exp_avg_sqs, *greatest, steps, grads], settings)


def rmsprop_step(
    params: Sequence[Any],
    grads: Sequence[Any],
    square_avgs: Sequence[Any],
    grad_avgs: Sequence[Any],
    momentum_buffers: Sequence[Any],
    steps: Sequence[Any],
    **settings: Any,
) -> None:
    """One step of RMSprop. `grad_avgs` is used with `centered` only, `momentum_buffers` with momentum only.

    settings: lr, alpha, eps, weight_decay, momentum, centered, maximize.
    """
    lists = [params, square_avgs]
    if settings["centered"]:
        lists.append(grad_avgs)
    if settings["momentum"] > 0:
        lists.append(momentum_buffers)
    _run(RmspropStep, [*lists, steps, grads], settings)


def adagrad_step(
    params: Sequence[Any], grads: Sequence[Any], state_sums: Sequence[Any], steps: Sequence[Any], **settings: Any
) -> None:
    """One step of Adagrad. settings: lr, lr_decay, eps, weight_decay, maximize."""
    _run(AdagradStep, [params, state_sums, steps, grads], settings)
