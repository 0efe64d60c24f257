"""Where time goes: every kernel call with its time, bytes, memory layouts, and whether native code or NumPy served it.

    with torch.autograd.profiler.profile() as prof:
        loss = model(x).sum()
        loss.backward()
    print(prof.key_averages().table(sort_by="self_cpu_time_total"))

While a profile runs, each device's kernel table is replaced by one that times its calls; outside it nothing is slower.
Kernels are recorded on every thread. What the engine does around them is the difference to the wall clock, which the
table's last lines show.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.autograd.profile_report import Event, EventList
from rushlight.backends.hidden import COPIES, HiddenArray, default_of
from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU, interned

__all__ = ["profile", "record_function"]


def layout_of(value: Any) -> str:
    """How an array lies in memory: row-major, channels-last, strided; "hidden" where the user does not see it."""
    hidden = type(value) is HiddenArray
    array = value.array if hidden else value
    if array.flags.c_contiguous:
        return "row-major"
    inner = np.moveaxis(array, 1, -1) if array.ndim > 2 else array
    name = "channels-last" if inner.flags.c_contiguous else "strided"
    return f"hidden {name}" if hidden else name


def arrays_in(values: Any) -> Iterator[Any]:
    """The arrays among arguments or results, also inside lists and tuples."""
    for value in values:
        if isinstance(value, np.ndarray) or type(value) is HiddenArray:
            yield value
        elif isinstance(value, (list, tuple)):
            yield from arrays_in(value)


def is_view(given: list[Any], made: list[Any]) -> bool:
    """Whether a kernel only looked at its input's memory in another way: then nothing was moved."""
    if not given or not made or any(type(value) is HiddenArray for value in made):
        return False
    source = given[0].array if type(given[0]) is HiddenArray else given[0]
    return all(value is not given[0] and np.may_share_memory(source, value) for value in made)


def bytes_of(value: Any) -> int:
    """What reading or writing an array moves; repeated elements (stride 0) are counted once."""
    array = value.array if type(value) is HiddenArray else value
    count = 1
    for size, stride in zip(array.shape, array.strides, strict=True):
        count *= size if stride else min(size, 1)
    return int(count) * int(array.itemsize)


class RecordingKernels:
    """A kernel table that tells a profile of every call."""

    def __init__(self, table: Any, owner: profile) -> None:
        self.table = table
        self.owner = owner
        self.takes_hidden = table.takes_hidden

    def __getattr__(self, name: str) -> Any:
        kernel = getattr(self.table, name)
        recorder = Recorder(name, kernel, self.owner)
        self.__dict__[name] = recorder
        return recorder

    def __contains__(self, name: str) -> bool:
        return name in self.table


class Recorder:
    """Stands in for one kernel."""

    def __init__(self, name: str, kernel: Any, owner: profile) -> None:
        self.name = name
        self.kernel = kernel
        self.owner = owner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        served = getattr(self.kernel, "calls", 0)
        start = time.perf_counter_ns()
        found = self.kernel(*args, **kwargs)
        end = time.perf_counter_ns()
        native = getattr(self.kernel, "calls", 0) > served
        given = list(arrays_in((*args, *[value for name, value in kwargs.items() if name != "out"])))  # `out` is made
        made = list(arrays_in(found if isinstance(found, (list, tuple)) else (found,)))
        layouts = dict.fromkeys(layout_of(array) for array in (*given, *made) if array.ndim > 1)
        self.owner.add(
            Event(
                self.name,
                start,
                end,
                threading.get_ident(),
                "native" if native else "numpy",
                tuple(tuple(array.shape) for array in given),
                0 if is_view(given, made) else sum(map(bytes_of, given)) + sum(map(bytes_of, made)),
                tuple(layouts) or ("-",),
            )
        )
        return found


class profile:
    """Record what runs inside a `with` block; the arguments that only concern accelerators are accepted and ignored.

    record_shapes: `key_averages(group_by_input_shape=True)` may be asked for (shapes are always recorded here).
    profile_memory: add a column with the bytes that kernels moved (always recorded).

    Raises `RuntimeError` when another profile is running, or when results are asked for inside the block.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: Any = None,
        acc_events: bool = False,
        custom_trace_id_callback: Any = None,
    ) -> None:
        self.enabled = enabled
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.events: list[Event] = []
        self.start = self.end = 0
        self._before: list[tuple[Any, Any]] = []

    def add(self, event: Event) -> None:
        """Keep one event (list.append is atomic: any thread may call this)."""
        self.events.append(event)

    def __enter__(self) -> profile:
        if not self.enabled:
            return self
        if _running:
            raise RuntimeError("profile: another profile is already running; profiles cannot be nested")
        if self.start:
            raise RuntimeError("profile: profile objects cannot be entered twice; make a new one")
        _running.append(self)
        kernels_for(CPU)
        for where in interned():
            if where.kernels is not None:
                self._before.append((where, where.kernels))
                where.kernels = RecordingKernels(where.kernels, self)
        COPIES.watcher = self._copied
        self.start = time.perf_counter_ns()
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.enabled:
            return
        self.end = time.perf_counter_ns()
        for where, kernels in self._before:
            where.kernels = kernels
        COPIES.watcher = None
        _running.remove(self)

    def _copied(self, hidden: HiddenArray) -> Any:
        """Make a copy in the default layout and note it."""
        start = time.perf_counter_ns()
        found = default_of(hidden)
        end, moved = time.perf_counter_ns(), 2 * bytes_of(found)
        self.add(Event("copy to default layout", start, end, threading.get_ident(), "numpy", (found.shape,), moved, (layout_of(hidden),)))
        return found

    def _finished(self) -> EventList:
        if self.enabled and not self.end:
            raise RuntimeError("profile: results are there after the `with` block has ended")
        return EventList(self.events, (self.end - self.start) / 1e3)

    @property
    def function_events(self) -> EventList:
        """Every recorded event in order."""
        return self._finished()

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """The events summed by kernel (and input shapes)."""
        return self._finished().key_averages(group_by_input_shape, group_by_stack_n)

    def total_average(self) -> Event:
        """All events summed."""
        return self._finished().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds spent in kernels."""
        return self._finished().self_cpu_time_total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The events one by one as text; `key_averages().table()` sums them up."""
        return self._finished().table(sort_by, row_limit, header=header, max_name_column_width=max_name_column_width)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events in the JSON form that chrome://tracing and Perfetto show."""
        trace = [
            {
                "name": event.key, "ph": "X", "cat": event.served_by, "pid": os.getpid(), "tid": event.thread,
                "ts": (event.start - self.start) / 1e3, "dur": (event.end - event.start) / 1e3,
                "args": {"input shapes": [list(shape) for shape in event.shapes], "bytes": event.bytes, "layouts": list(event.layouts)},
            }
            for event in self._finished().events
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": trace, "displayTimeUnit": "ms"}, file)

    def __repr__(self) -> str:
        return self.table() if self.end else "<unfinished profile>"


_running: list[profile] = []


class record_function:
    """Give a stretch of code a name in the running profile: a context manager or decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._starts: list[int] = []

    def __enter__(self) -> record_function:
        self._starts.append(time.perf_counter_ns())
        return self

    def __exit__(self, *exc: object) -> None:
        start = self._starts.pop()
        for running in _running:
            running.add(Event(self.name, start, time.perf_counter_ns(), threading.get_ident(), "label", (), 0, ("-",)))

    def __call__(self, function: Any) -> Any:
        name = self.name

        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(name):
                return function(*args, **kwargs)

        return named
