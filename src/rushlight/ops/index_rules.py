"""Basic indexing: integers, slices, None and Ellipsis, each taken as a view of what the one before left."""

from __future__ import annotations

import operator
from typing import Any

from rushlight.core.primitive import apply_view
from rushlight.core.tensor import TensorBase
from rushlight.ops.view_rules import Alias, Select, Slice, Unsqueeze


def take_slice(x: TensorBase, dim: int, entry: slice) -> Any:
    """A slice of dimension `dim`; `x` itself where that is all of it."""
    size: int = x._shape[dim]
    given: Any = entry
    if given.start is None and given.stop is None and given.step is None:
        return x
    step: int = 1 if given.step is None else operator.index(given.step)
    if step <= 0:
        raise ValueError(f"step must be greater than zero, got {step}; use x.flip(dim) to reverse a dimension")
    start: int = bound(given.start, size, 0)
    stop: int = bound(given.stop, size, size)
    if start == 0 and stop == size and step == 1:
        return x
    return apply_view(Slice(dim, start, stop if stop > start else start, step), x)


def bound(given: Any, size: int, default: int) -> int:
    """An end of a slice as a place from 0 to `size`, by Python's rules."""
    if given is None:
        return default
    at: int = given if type(given) is int else operator.index(given)
    if at < 0:
        at += size
        return at if at > 0 else 0
    return at if at < size else size


def take_integer(x: TensorBase, dim: int, index: int) -> Any:
    """One index of dimension `dim`, counted from the end where it is negative."""
    size: int = x._shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    return apply_view(Select(dim, index + size if index < 0 else index), x)


def basic_item(x: TensorBase, key: Any) -> Any:
    """`x[key]` for a key of ints, slices, None and Ellipsis that fits, else None: such a key is for `resolve`."""
    kind = type(key)
    if kind is int:
        return take_integer(x, 0, key) if x._shape else None
    if kind is slice:
        if not x._shape:
            return None
        taken = take_slice(x, 0, key)
        return apply_view(Slice(0, 0, x._shape[0], 1), x) if taken is x else taken
    if kind is not tuple:
        return None
    entries: tuple[Any, ...] = key
    used = 0
    for entry in entries:
        kind = type(entry)
        if kind is int or kind is slice:
            used += 1
        elif entry is not None and entry is not Ellipsis:
            return None
    rank = len(x._shape)
    if used > rank:
        return None
    view: Any = x
    dim = 0
    for entry in entries:
        kind = type(entry)
        if kind is int:
            view = take_integer(view, dim, entry)
            continue
        if kind is slice:
            view = take_slice(view, dim, entry)
        elif entry is None:
            view = apply_view(Unsqueeze(dim), view)
        else:
            dim += rank - used
            used = rank  # as in torch, a further ellipsis stands for nothing
            continue
        dim += 1
    return apply_view(Alias(), x) if view is x else view
