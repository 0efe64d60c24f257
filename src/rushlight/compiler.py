"""torch.compiler's switches, accepted: nothing is compiled."""

from __future__ import annotations

from typing import Any


def is_compiling() -> bool:
    """Never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn: Any = None, recursive: bool = True, **kwargs: Any) -> Any:
    """Return the function as it is, with or without arguments."""
    return fn if fn is not None else (lambda f: f)


def reset() -> None:
    """Accepted; does nothing."""


def allow_in_graph(fn: Any) -> Any:
    """Return the function as it is."""
    return fn
