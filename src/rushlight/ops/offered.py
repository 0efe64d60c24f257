"""The decorator of functions that make tensors: `__torch_function__` receives their calls first."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rushlight.core.modes import STATE, local
from rushlight.core.primitive import PLAIN, dispatch_function
from rushlight.core.tensor import TensorBase

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def offered(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let `__torch_function__` of modes and of subclasses among the arguments receive calls of `function` first."""

    @functools.wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if (STATE.busy and local.modes.function_modes) or (_has_subclass(args, kwargs) and local.modes.torch_function):
            relevant = tuple(value for value in (*args, *kwargs.values()) if isinstance(value, TensorBase))
            handled, found = dispatch_function(run, args, kwargs, relevant)
            if handled:
                return found
        return function(*args, **kwargs)

    return run


def _has_subclass(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    for value in args:
        if isinstance(value, TensorBase) and type(value) not in PLAIN:
            return True
    return bool(kwargs) and any(isinstance(value, TensorBase) and type(value) not in PLAIN for value in kwargs.values())
