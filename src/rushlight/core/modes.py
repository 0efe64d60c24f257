"""Thread-local modes and the one set that keeps them off the fast path.

`STATE.busy` holds the threads that are in a non-default state. While it is empty an operation need not look at its thread
at all; otherwise it asks `local`, its *own* thread's modes. A thread started inside `no_grad` therefore records, as in
torch.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from rushlight.base.compiled import mypyc_attr
from rushlight.core.thread_local import Local

# What a thread's modes mean for `apply`.
IDLE: Final = 0  # all are as they are in a new thread
QUIET: Final = 1  # only recording is off
SLOW: Final = 2  # anything else: `apply_slow` looks at them one by one


class _State:
    """What every thread shares. busy: one number for each thread that is in a mode."""

    __slots__ = ("busy",)

    def __init__(self) -> None:
        self.busy: set[int] = set()  # whose changes, unlike a counter's, no other thread can come between


STATE: Final = _State()


class _Count:
    """A thread's one in `STATE.busy`; a thread that ends inside a mode gives it back when its modes are dropped."""

    __slots__ = ()

    def __init__(self) -> None:
        STATE.busy.add(id(self))

    def __del__(self) -> None:
        STATE.busy.discard(id(self))


class Modes:
    """One thread's modes, as a new thread starts with them."""

    __slots__ = (
        "grad", "inference", "torch_function", "function_modes", "saved_hooks", "saved_hooks_disabled", "anomaly", "check_nan",
        "listeners", "walk", "plain", "way", "counted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.torch_function = True
        self.function_modes: tuple[Any, ...] = ()
        self.saved_hooks: tuple[Any, ...] = ()  # pairs of a pack and an unpack function
        self.saved_hooks_disabled: str | None = None
        self.anomaly = False
        self.check_nan = True
        # Called as listener(operation, inputs, outputs) after each operation: profilers, capture, NaN policies.
        self.listeners: tuple[Callable[[Any, Any, Any], None], ...] = ()
        # The backward pass under way, for hooks that look at it.
        self.walk: Any = None
        # Derived: whether nothing above but `grad` differs from its default; IDLE, QUIET or SLOW; the thread's one in STATE.busy.
        self.plain = True
        self.way = IDLE
        self.counted: _Count | None = None


local: Final = Local(Modes)


def refresh() -> None:
    """Bring `plain`, `way` and `STATE.busy` up to date after one of the thread's modes changed."""
    modes: Modes = local.modes
    modes.plain = (
        modes.torch_function
        and not modes.function_modes
        and not modes.inference
        and not modes.saved_hooks
        and modes.saved_hooks_disabled is None
        and not modes.anomaly
        and not modes.listeners
    )
    modes.way = SLOW if not modes.plain else IDLE if modes.grad else QUIET
    if modes.way == IDLE:
        modes.counted = None
    elif modes.counted is None:
        modes.counted = _Count()


def set_grad(enabled: bool) -> bool:
    """Switch the thread's recording on or off; returns what it was."""
    modes: Modes = local.modes
    before = modes.grad
    if before != enabled:
        modes.grad = enabled
        if modes.plain:  # `refresh` in short: nothing else changed
            modes.way = IDLE if enabled else QUIET
            modes.counted = None if enabled else _Count()
    return before


@mypyc_attr(allow_interpreted_subclasses=True)
class Override:
    """Set some of the thread's modes for a `with` block.

    >>> with Override(grad=False):
    ...     local.modes.grad
    False
    """

    __slots__ = ("values", "before")

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.before: list[dict[str, Any]] = []

    def __enter__(self) -> Override:
        self.before.append({name: getattr(local.modes, name) for name in self.values})
        for name, value in self.values.items():
            setattr(local.modes, name, value)
        refresh()
        return self

    def __exit__(self, *exc: object) -> None:
        for name, value in self.before.pop().items():
            setattr(local.modes, name, value)
        refresh()


def engine_build() -> str:
    """How the engine runs: "compiled" (by mypyc) or "python"."""
    return "python" if isinstance(refresh, FunctionType) else "compiled"
