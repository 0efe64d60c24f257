"""Helpers around training: `utils.data` loads batches. Its parts are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PARTS = frozenset(("data",))


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"rushlight.utils.{name}")
    raise AttributeError(f"module 'rushlight.utils' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})
