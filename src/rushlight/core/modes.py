"""Thread-local modes and the one integer that keeps them off the fast path.

`STATE.busy` counts the threads that are in a non-default state. While it is 0 an operation need not look at its thread
at all; otherwise it asks `local`, its *own* thread's modes. A thread started inside `no_grad` therefore records, as in
torch.
"""

from __future__ import annotations

import threading
from types import FunctionType
from typing import Any, Final

from rushlight.base.compiled import mypyc_attr
from rushlight.core.thread_local import IDLE, QUIET, SLOW, Local


class _State:
    """What every thread shares."""

    __slots__ = ("busy", "lock")

    def __init__(self) -> None:
        self.busy = 0
        self.lock = threading.RLock()


STATE: Final = _State()


class _Count:
    """A thread's one in `STATE.busy`; a thread that ends inside a mode gives it back when its locals are dropped."""

    __slots__ = ()

    def __init__(self) -> None:
        with STATE.lock:
            STATE.busy += 1

    def __del__(self) -> None:
        with STATE.lock:
            STATE.busy -= 1


local: Final = Local()


def refresh() -> None:
    """Bring `plain`, `way` and `STATE.busy` up to date after one of the thread's modes changed."""
    local.plain = plain = (
        local.torch_function
        and not local.function_modes
        and not local.inference
        and not local.saved_hooks
        and local.saved_hooks_disabled is None
        and not local.anomaly
        and not local.listeners
    )
    local.way = SLOW if not plain else IDLE if local.grad else QUIET
    if local.way == IDLE:
        local.counted = None
    elif local.counted is None:
        local.counted = _Count()


def set_grad(enabled: bool) -> bool:
    """Switch the thread's recording on or off; returns what it was."""
    before = local.grad
    if before != enabled:
        local.grad = enabled
        if local.plain:  # `refresh` in short: nothing else changed
            local.way = IDLE if enabled else QUIET
            local.counted = None if enabled else _Count()
    return before


@mypyc_attr(allow_interpreted_subclasses=True)
class Override:
    """Set some of the thread's modes for a `with` block.

    >>> with Override(grad=False):
    ...     local.grad
    False
    """

    __slots__ = ("values", "before")

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.before: list[dict[str, Any]] = []

    def __enter__(self) -> Override:
        self.before.append({name: getattr(local, name) for name in self.values})
        for name, value in self.values.items():
            setattr(local, name, value)
        refresh()
        return self

    def __exit__(self, *exc: object) -> None:
        for name, value in self.before.pop().items():
            setattr(local, name, value)
        refresh()


def engine_build() -> str:
    """How the engine runs: "compiled" (by mypyc) or "python"."""
    return "python" if isinstance(refresh, FunctionType) else "compiled"
