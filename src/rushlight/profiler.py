"""torch.profiler: profiles with a schedule of steps, on top of `autograd.profiler`."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.autograd import profiler as _profiler
from rushlight.autograd.profile_report import EventList
from rushlight.autograd.profiler import record_function

__all__ = ["ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule"]


class ProfilerActivity(enum.Enum):
    """What can be watched. Only the CPU computes here; the others are accepted."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Skip `skip_first` steps, then in cycles: wait, warm up, record `active` steps; `repeat` cycles (0: for ever)."""
    for name, value in (("wait", wait), ("warmup", warmup), ("active", active), ("repeat", repeat), ("skip_first", skip_first)):
        if value < 0 or (name == "active" and not value):
            raise AssertionError(f"schedule(): {name} must be {'positive' if name == 'active' else 'zero or more'}, got {value}")

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:  # the first cycle does not wait
            step += wait
        cycle, place = divmod(step, wait + warmup + active)
        if (repeat and cycle >= repeat) or place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == wait + warmup + active - 1 else ProfilerAction.RECORD

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


class profile:
    """Record a `with` block, or the steps of it that `schedule` picks (call `step()` after each).

    on_trace_ready: called with this object when a recorded stretch is complete.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
    ) -> None:
        self.activities = set(activities) if activities is not None else {ProfilerActivity.CPU}
        self.schedule = schedule or _always
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.profiler: _profiler.profile | None = None
        self._recording = False

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin at step 0."""
        self._follow()

    def stop(self) -> None:
        """End; what was recorded last stays to be read."""
        if self._recording:
            self._finish()

    def step(self) -> None:
        """Tell that the next step begins."""
        saves = self.schedule(self.step_num) is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        if self._recording and saves:
            self._finish()
        self._follow()

    def _follow(self) -> None:
        records = self.schedule(self.step_num) in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if records and not self._recording:
            self.profiler = _profiler.profile()
            self.profiler.__enter__()
            self._recording = True
        elif not records and self._recording:
            self._finish()

    def _finish(self) -> None:
        assert self.profiler is not None
        self.profiler.__exit__()
        self._recording = False
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _last(self) -> _profiler.profile:
        if self.profiler is None:
            raise RuntimeError("profile: nothing was recorded; the schedule reached no active step")
        return self.profiler

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The events of the last recorded stretch, summed by kernel."""
        return self._last().key_averages(group_by_input_shape, group_by_stack_n)

    def events(self) -> EventList:
        """The events of the last recorded stretch."""
        return self._last().function_events

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the last recorded stretch for chrome://tracing or Perfetto."""
        self._last().export_chrome_trace(path)
