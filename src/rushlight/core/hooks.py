"""Hooks: functions of the user's that run when a gradient passes, and the handles that take them away again."""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Final

from rushlight.base.compiled import mypyc_attr


class HookDict(dict[int, Any]):
    """Hooks in the order of registration; a dict that can be weakly referenced."""

    __slots__ = ("__weakref__",)

    def add(self, hook: Any) -> HookHandle:
        """Register `hook`."""
        handle = HookHandle(self)
        self[handle.id] = hook
        return handle


@mypyc_attr(allow_interpreted_subclasses=True)
class HookHandle:
    """Returned by every `register_..._hook`; `remove()` takes the hook away. Also a context manager."""

    __slots__ = ("_hooks", "id")
    _next_id: Final = itertools.count().__next__

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = weakref.ref(hooks) if isinstance(hooks, HookDict) else (lambda: hooks)
        self.id = HookHandle._next_id()

    def remove(self) -> None:
        """Take the hook away; harmless when it is gone already."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()
