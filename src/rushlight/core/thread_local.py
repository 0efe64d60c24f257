"""The modes of one thread. mypyc can't compile a `threading.local`, so it has a file of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

# What a thread's modes mean for `apply`.
IDLE: Final = 0  # all are as they are in a new thread
QUIET: Final = 1  # only recording is off
SLOW: Final = 2  # anything else: `apply_slow` looks at them one by one


class Local(threading.local):
    """One thread's modes; the class attributes are what a new thread starts with."""

    grad: bool = True
    inference: bool = False
    torch_function: bool = True
    function_modes: tuple[Any, ...] = ()
    saved_hooks: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = ()
    saved_hooks_disabled: str | None = None
    anomaly: bool = False
    check_nan: bool = True
    # Called as listener(operation, inputs, outputs) after each operation: profilers, capture, NaN policies.
    listeners: tuple[Callable[[Any, Any, Any], None], ...] = ()
    # The backward pass under way, for hooks that look at it.
    walk: Any = None
    # Derived: whether nothing above but `grad` differs from its default; IDLE, QUIET or SLOW; this thread's one in STATE.busy.
    plain: bool = True
    way: int = IDLE
    counted: Any = None
