"""Events and streams where every operation is finished when it returns: events read the host's clock."""

from __future__ import annotations

import time
from typing import Any


class Event:
    """A point in time. `record()` reads the clock; `start.elapsed_time(end)` is in milliseconds.

    >>> start, end = Event(enable_timing=True), Event(enable_timing=True)
    >>> start.record(); end.record(); start.elapsed_time(end) >= 0
    True
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._time: float | None = None

    def record(self, stream: Any = None) -> None:
        """Remember the present time."""
        self._time = time.perf_counter()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to `end_event`; `ValueError` when one was not recorded."""
        if self._time is None or end_event._time is None:
            raise ValueError("Both events must be recorded before calculating elapsed time: call record() on each")
        return (end_event._time - self._time) * 1e3

    def query(self) -> bool:
        """Whether the work before the event is finished: always."""
        return True

    def synchronize(self) -> None:
        """Return at once."""

    def wait(self, stream: Any = None) -> None:
        """Return at once."""


class Stream:
    """A queue of operations: there is only one, and it is always empty. Also a context manager."""

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        self.device = device
        self.priority = priority

    def synchronize(self) -> None:
        """Return at once."""

    def wait_stream(self, stream: Any) -> None:
        """Return at once."""

    def wait_event(self, event: Any) -> None:
        """Return at once."""

    def record_event(self, event: Event | None = None) -> Event:
        """Record `event` (a new one by default) and return it."""
        event = Event(enable_timing=True) if event is None else event
        event.record(self)
        return event

    def query(self) -> bool:
        """Whether all work is finished: always."""
        return True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


class StreamContext:
    """`with stream(s):` operations run as always."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None


CURRENT = Stream()


def stream(stream: Any) -> StreamContext:
    """A context manager that selects `stream`: operations run as always."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """The one stream there is."""
    return CURRENT


default_stream = current_stream


def set_stream(stream: Any) -> None:
    """Accepted; does nothing."""
