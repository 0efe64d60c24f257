"""Whether 3 x 3 convolutions may use Winograd's method: faster, with 2 to 3 times the rounding error of the direct method."""

from __future__ import annotations

from collections.abc import Callable

from rushlight.base.env import setting

_set: bool | None = None
# Called with the switch whenever it changes; native kernels put themselves here.
_listeners: list[Callable[[bool], None]] = []


def enabled() -> bool:
    """Whether it may be used now: what was set, else RUSHLIGHT_WINOGRAD."""
    return setting("RUSHLIGHT_WINOGRAD") == "1" if _set is None else _set


def set_enabled(on: bool) -> None:
    """Allow it or not, in all threads. Raises `TypeError` for what is no bool."""
    global _set
    if not isinstance(on, bool):
        raise TypeError(f"set_winograd(): expected a bool, got {type(on).__name__}")
    _set = on
    for tell in _listeners:
        tell(on)


def listen(tell: Callable[[bool], None]) -> None:
    """Have `tell` called with the switch now and whenever it changes."""
    _listeners.append(tell)
    tell(enabled())
