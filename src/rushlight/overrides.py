"""torch.overrides: `__torch_function__` on subclasses, and modes that see every function call.

Calls are offered from `apply` (core/primitive.py) with the public function the operation stands for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rushlight.core.modes import Override, local
from rushlight.core.primitive import PLAIN, disabled_torch_function, dispatch_function
from rushlight.core.tensor import TensorBase

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
]


class DisableTorchFunctionSubclass(Override):
    """Inside, subclasses are not asked: functions run as for plain tensors. Function modes still see the calls."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(torch_function=False)


class DisableTorchFunction(Override):
    """Inside, neither subclasses nor function modes are asked."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(torch_function=False, function_modes=())


class TorchFunctionMode:
    """A context manager whose `__torch_function__(func, types, args, kwargs)` sees every function called inside it.

    >>> class Log(TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Log():
    ...     y = ones(2) + 1
    ones
    add
    """

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __torch_function__")

    def __enter__(self) -> Any:
        self._entered = (*getattr(self, "_entered", ()), Override(function_modes=(*local.modes.function_modes, self)))
        self._entered[-1].__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        *rest, last = self._entered
        self._entered = tuple(rest)
        last.__exit__(*exc)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that lets every call through."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def _overrides(value: Any) -> bool:
    cls = type(value)
    function = getattr(cls, "__torch_function__", None)
    return cls not in PLAIN and function is not None and function is not disabled_torch_function


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments overrides functions, or a function mode is active."""
    return bool(local.modes.function_modes) or (local.modes.torch_function and any(_overrides(a) for a in relevant_args))


def handle_torch_function(public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Offer a call of `public_api` to the overriding arguments; for functions written in the user's own code.

    Raises `TypeError` when all of them return NotImplemented.
    """
    handled, found = dispatch_function(public_api, args, kwargs, tuple(a for a in relevant_args if _overrides(a)))
    if not handled:
        raise TypeError(f"no implementation found for '{resolve_name(public_api)}': all arguments returned NotImplemented")
    return found


def is_tensor_like(inp: Any) -> bool:
    """Whether `inp` is a tensor or overrides functions as one."""
    return isinstance(inp, TensorBase) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether `func` is a method of tensors."""
    name = getattr(func, "__name__", "")
    return getattr(TensorBase, name, None) is func or name == "__get__"


def resolve_name(f: Callable[..., Any]) -> str:
    """A readable name of a function."""
    return f"torch.{getattr(f, '__qualname__', repr(f))}"


@contextlib.contextmanager
def enable_reentrant_dispatch() -> Iterator[None]:
    """Accepted as in torch; dispatch is always re-entrant here."""
    yield
