"""Methods made of compiled functions."""

from __future__ import annotations

from types import MethodType
from typing import Any


class BoundFunction:
    """Lets a compiled function be a method: it does not bind `self` by itself, as a Python function does."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.function if instance is None else MethodType(self.function, instance)
