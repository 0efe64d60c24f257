"""The learning rate goes up and down between two bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight.optim.lr_scheduler.base import (
    LRScheduler,
    check_momentum,
    check_optimizer,
    one_per_group,
    saved_callable,
    set_momentum,
    set_value,
)
from rushlight.optim.optimizer import Optimizer


class CyclicLR(LRScheduler):
    """The learning rate goes in straight lines from `base_lr` up to `max_lr` and back. Step it after every batch.

    base_lr, max_lr: bounds, or lists of them, one for each parameter group.
    step_size_up, step_size_down: steps of the two halves of a cycle; down is as long as up by default.
    mode: "triangular" (the same bounds always), "triangular2" (half the height each cycle) or "exp_range" (the height
        times `gamma ** step`).
    scale_fn, scale_mode: a factor of the height of one's own, of the cycle (from 1) or, with "iterations", of the step.
    cycle_momentum: move momentum (or beta1) the other way, between `max_momentum` and `base_momentum`.

    Reference: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    Raises `ValueError` for an unknown mode, and for an optimizer without momentum unless `cycle_momentum=False`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = one_per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_value(group, "lr", lr)
        self.max_lrs = one_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                f"mode is invalid and scale_fn is None: expected 'triangular', 'triangular2' or 'exp_range', but got {mode!r}"
            )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            check_momentum(optimizer)
            self._init_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self) -> None:
        if self._scale_fn_custom is not None:
            return
        self.scale_mode = "iterations" if self.mode == "exp_range" else "cycle"
        heights: dict[str, Callable[[float], float]] = {
            "triangular": _same_height,
            "triangular2": _half_the_height,
            "exp_range": partial(pow, self.gamma),
        }
        self._scale_fn_ref = heights[self.mode]

    def _init_momentum(self, base: Any, most: Any, last_epoch: int) -> None:
        self.use_beta1 = "betas" in self.optimizer.defaults
        self.base_momentums = one_per_group("base_momentum", self.optimizer, base)
        self.max_momentums = one_per_group("max_momentum", self.optimizer, most)
        if last_epoch == -1:
            groups = self.optimizer.param_groups
            for high, low, group in zip(self.max_momentums, self.base_momentums, groups, strict=True):
                set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low

    def scale_fn(self, x: float) -> float:
        """The factor of the height at cycle (or step) `x`."""
        return self._scale_fn_ref(x) if self._scale_fn_custom is None else self._scale_fn_custom(x)

    def get_lr(self) -> list[Any]:
        """The learning rates at `self.last_epoch`; sets the momentum too."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        at = cycle if self.scale_mode == "cycle" else self.last_epoch
        lrs = [
            low + (high - low) * height * self.scale_fn(at)
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            for low, high, group in zip(self.base_momentums, self.max_momentums, groups, strict=True):
                set_momentum(group, high - (high - low) * height * self.scale_fn(at))
        return lrs

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`; of a `scale_fn` that is an object the attributes are saved."""
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        custom = self._scale_fn_custom
        state["_scale_fn_custom"] = None if custom is None else saved_callable(custom)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave."""
        rest = dict(state_dict)
        saved = rest.pop("_scale_fn_custom")
        super().load_state_dict(rest)
        if saved is not None:
            self._scale_fn_custom.__dict__.update(saved)
        self._init_scale_fn()


def _same_height(cycle: float) -> float:
    return 1.0


def _half_the_height(cycle: float) -> float:
    return 1 / (2.0 ** (cycle - 1))
