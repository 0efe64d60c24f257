"""torch.jit's decorators, accepted: programs run as plain Python."""

from __future__ import annotations

from typing import Any


def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> Any:
    """Return `obj` as it is."""
    return obj


def trace(func: Any, example_inputs: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return `func` as it is."""
    return func


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Return the function as it is, with or without arguments."""
    return drop if callable(drop) else (lambda fn: fn)


def unused(fn: Any) -> Any:
    """Return the function as it is."""
    return fn


export = interface = unused
Final = Any


def is_scripting() -> bool:
    """Never: programs run as plain Python."""
    return False


is_tracing = is_scripting


def annotate(the_type: Any, the_value: Any) -> Any:
    """Return the value."""
    return the_value


class ScriptModule:
    """Exists so that `isinstance(m, torch.jit.ScriptModule)` is False."""


ScriptFunction = ScriptModule
