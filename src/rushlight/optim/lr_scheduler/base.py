"""The base of all learning-rate schedulers."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.optim.common import to_scalar
from rushlight.optim.optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. As long as it is served, an epoch that is not None means the closed form of "
    "the schedule, where there is one, instead of the chainable one."
)


class LRScheduler:
    """Base class: changes the learning rate of every parameter group of `optimizer` when `step()` is called.

    optimizer: its groups get the key "initial_lr", from which the schedule starts.
    last_epoch: how often `step` was called before; -1 starts anew. Otherwise the groups must have an "initial_lr",
        else `KeyError` is raised.

    A subclass defines `get_lr()`, which returns the groups' learning rates at `self.last_epoch`; it may define
    `_get_closed_form_lr()`, the same without looking at the present ones.
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False
    _step_count: int
    _last_lr: list[Any]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with last_epoch >= 0. "
                    "Load the optimizer's state_dict first (it holds 'initial_lr'), or leave last_epoch at -1 to start anew."
                )
        self.base_lrs: list[Any] = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        if optimizer._opt_called is None:
            optimizer._opt_called = False
        self._initial_step()

    def _initial_step(self) -> None:
        """The step that sets the first learning rates."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state as a dict: every attribute but the optimizer, whose state is saved apart."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The learning rates, one for each group, that the last step set."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The learning rates at `self.last_epoch`, one for each group. Called by `step`; to look, use `get_last_lr`."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Set the next learning rates. Call it after `optimizer.step()`. `epoch` is deprecated."""
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warn_user(EPOCH_DEPRECATION_WARNING)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if not hasattr(self.optimizer.step, "hooked"):
            warn_user(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. Please, make "
                "sure to call `optimizer.step()` before `lr_scheduler.step()`.",
            )
        elif not self.optimizer._opt_called:
            warn_user(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order, "
                "`optimizer.step()` before `lr_scheduler.step()`: otherwise the first value of the learning rate schedule is "
                "skipped.",
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._inside_step():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        self._set_lrs(values)

    def _set_lrs(self, values: list[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_value(group, "lr", lr)
        self._last_lr = values_of(self.optimizer, "lr")

    @contextmanager
    def _inside_step(self) -> Iterator[None]:
        """`get_lr` may be called inside; elsewhere it warns."""
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warn_user("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.")


class _LRScheduler(LRScheduler):
    """The name that `LRScheduler` had once; user-defined schedulers may still derive from it."""


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer; pass the optimizer whose rates are to change")


def copied(value: Any) -> Any:
    """A value of a group that later changes in place can't change: tensors are cloned."""
    return value.clone() if is_tensor(value) else value


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """The groups' values of one option."""
    return [copied(group[key]) for group in optimizer.param_groups]


def set_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option of a group; one that is a tensor is filled."""
    if isinstance(group[key], TensorBase):
        group[key].fill_(to_scalar(value))
    else:
        group[key] = value


def one_per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """An argument as a list with one entry for each parameter group. Raises `ValueError` for another length."""
    groups = len(optimizer.param_groups)
    if isinstance(value, (list, tuple)):
        if len(value) != groups:
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, param_groups "
                f"has {groups}."
            )
        return [copied(v) for v in value]
    return [copied(value) for _ in range(groups)]


def saved_callable(function: Callable[..., Any]) -> dict[str, Any] | None:
    """What a state dict keeps of a callable: the attributes of an object, nothing of a plain function."""
    return None if isinstance(function, types.FunctionType) else function.__dict__.copy()


def set_momentum(group: dict[str, Any], momentum: Any) -> None:
    """Set a group's momentum, or the first of its betas."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def check_momentum(optimizer: Optimizer) -> None:
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled, but "
            f"{type(optimizer).__name__} has neither; pass cycle_momentum=False"
        )
