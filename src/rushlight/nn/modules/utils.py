"""Sizes given as one number or as one number per dimension, and key prefixes of state dicts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _repeated(value: Any, n: int) -> tuple[Any, ...]:
    """`value` as a tuple: an iterable as it stands, anything else n times."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,) * n


def _single(x: Any) -> tuple[Any, ...]:
    return _repeated(x, 1)


def _pair(x: Any) -> tuple[Any, ...]:
    return _repeated(x, 2)


def _triple(x: Any) -> tuple[Any, ...]:
    return _repeated(x, 3)


def _quadruple(x: Any) -> tuple[Any, ...]:
    return _repeated(x, 4)


def _reverse_repeat_tuple(t: tuple[int, ...], n: int) -> tuple[int, ...]:
    """Each element n times, the last element first: the order in which `F.pad` takes its sizes."""
    return tuple(x for x in reversed(t) for _ in range(n))


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Strip `prefix` from the keys of `state_dict` and of its metadata, in place.

    >>> state = {"module.weight": 1, "module.bias": 2}
    >>> consume_prefix_in_state_dict_if_present(state, "module.")
    >>> list(state)
    ['weight', 'bias']
    """
    for key in list(state_dict):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    for key in list(metadata):
        if not key:
            continue
        # The entry of the wrapped module itself is the prefix without its dot.
        if key == prefix.replace(".", "") or key.startswith(prefix):
            metadata[key[len(prefix) :]] = metadata.pop(key)
