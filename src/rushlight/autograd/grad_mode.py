"""no_grad, enable_grad, set_grad_enabled and inference_mode: context managers that are also decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from rushlight.base.warn import warn_user
from rushlight.core.modes import Override, local, set_grad


class _DecoratorContext:
    """A context manager that, applied to a function, runs each call (or each step of a generator) inside itself."""

    def __call__(self, function: Any) -> Any:
        if inspect.isclass(function):
            return self._on_class(function)
        if inspect.isgeneratorfunction(function):
            return _wrap_generator(function, self.fresh)

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.fresh():
                return function(*args, **kwargs)

        return wrapped

    def _on_class(self, cls: Any) -> Any:
        warn_user(
            "Decorating classes is deprecated and will be disabled in future versions. You should only decorate functions or "
            "methods. To preserve the current behavior of class decoration, you can directly decorate the `__init__` method and "
            "nothing else.",
            FutureWarning,
        )
        cls.__init__ = self(cls.__init__)
        return cls

    def fresh(self) -> Any:
        """A new context manager of the same kind."""
        return type(self)()


def _wrap_generator(function: Callable[..., Any], fresh: Callable[[], Any]) -> Callable[..., Any]:
    """Enter the mode only while the generator runs, never while its consumer does."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        try:
            with fresh():
                value = generator.send(None)
            while True:
                try:
                    request = yield value
                except GeneratorExit:
                    with fresh():
                        generator.close()
                    raise
                except BaseException as error:
                    with fresh():
                        value = generator.throw(error)
                else:
                    with fresh():
                        value = generator.send(request)
        except StopIteration as stop:
            return stop.value

    return wrapped


class no_grad(_DecoratorContext):
    """Inside, nothing is recorded: results have `requires_grad=False`. The calling thread's own mode.

    >>> x = ones(2, requires_grad=True)
    >>> with no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    enabled = False

    def __new__(cls, orig_func: Any = None) -> Any:
        # `@no_grad` without parentheses.
        return super().__new__(cls) if orig_func is None else super().__new__(cls)(orig_func)

    def __enter__(self) -> None:
        self.before = set_grad(self.enabled)

    def __exit__(self, *exc: object) -> None:
        set_grad(self.before)


class enable_grad(no_grad):
    """Inside, operations are recorded even within `no_grad`."""

    enabled = True


class set_grad_enabled(_DecoratorContext):
    """`set_grad_enabled(False)` switches at once; used with `with` or as a decorator it switches back at the end."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}")
        self.mode = mode
        self.before = set_grad(self.mode)

    def __call__(self, function: Any) -> Any:
        set_grad(self.before)
        return super().__call__(function)

    def fresh(self) -> set_grad_enabled:
        return set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        set_grad(self.mode)

    def __exit__(self, *exc: object) -> None:
        set_grad(self.before)

    def __repr__(self) -> str:
        return f"set_grad_enabled(mode={self.mode})"


class inference_mode(_DecoratorContext):
    """no_grad, and the tensors made inside can never be recorded or be changed in place outside."""

    def __new__(cls, mode: Any = True) -> Any:
        # `@inference_mode` without parentheses.
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def fresh(self) -> inference_mode:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.override = Override(grad=not self.mode, inference=self.mode)
        self.override.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.override.__exit__(*exc)


def is_grad_enabled() -> bool:
    """Whether this thread records."""
    return local.modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is in inference mode."""
    return local.modes.inference
