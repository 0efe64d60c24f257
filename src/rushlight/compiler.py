"""torch.compiler's switches, accepted: nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.settings import compile

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling",
    "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_stance", "substitute_in_graph",
]  # fmt: skip


def is_compiling() -> bool:
    """Never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Return the function as it is, with or without arguments."""
    return fn if fn is not None else (lambda f: f)


def reset() -> None:
    """Accepted; does nothing."""


def allow_in_graph(fn: Any) -> Any:
    """Return the function as it is."""
    return fn


assume_constant_result = allow_in_graph


def substitute_in_graph(original_fn: Callable[..., Any], **options: Any) -> Any:
    """A decorator that returns its function as it is: there is no graph to substitute in."""
    return allow_in_graph


def cudagraph_mark_step_begin() -> None:
    """Accepted; does nothing."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The compilers there are: none."""
    return []


class set_stance:
    """`set_stance("force_eager")`, also a context manager and a decorator: accepted; everything runs eagerly."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False, force_backend: Any = None) -> None:
        self.stance = stance

    def __call__(self, fn: Any) -> Any:
        return fn

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        return None
