"""Schedules that the user writes as functions of the epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.optim.lr_scheduler.base import LRScheduler, saved_callable, values_of
from rushlight.optim.optimizer import Optimizer

Factor = Callable[[int], float]


class _FunctionLR(LRScheduler):
    """What LambdaLR and MultiplicativeLR share: one function for each group; objects among them are saved."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        groups = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(given) != groups:
            raise ValueError(f"Expected {groups} lr_lambdas, but got {len(given)}: one for each parameter group")
        for function in given:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        self.lr_lambdas: list[Factor] = given
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`. Functions are not saved; of callable objects the attributes are."""
        return {**super().state_dict(), "lr_lambdas": [saved_callable(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        rest = dict(state_dict)
        for function, saved in zip(self.lr_lambdas, rest.pop("lr_lambdas"), strict=False):
            if saved is not None:
                function.__dict__.update(saved)
        super().load_state_dict(rest)


class LambdaLR(_FunctionLR):
    """The initial learning rate times a function of the epoch.

    lr_lambda: epoch -> factor, or a list of such functions, one for each parameter group.

    >>> scheduler = LambdaLR(optimizer, lambda epoch: 0.95**epoch)
    """

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        return [base * factor(self.last_epoch) for factor, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_FunctionLR):
    """The present learning rate times a function of the epoch.

    lr_lambda: epoch -> factor, or a list of such functions, one for each parameter group.
    """

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        if self._is_initial:
            return values_of(self.optimizer, "lr")
        groups = self.optimizer.param_groups
        return [group["lr"] * factor(self.last_epoch) for factor, group in zip(self.lr_lambdas, groups, strict=True)]
