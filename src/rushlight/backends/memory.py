"""The pool that large results come from: its counters, emptying it, and its limit. Without native kernels there is none."""

from __future__ import annotations

from typing import Any

from rushlight.backends.native import NativeKernels, load
from rushlight.base.env import setting


def _pool() -> Any:
    """The extension module that owns the pool, or None. Asks for the kernels, which loads them."""
    table = None if setting("RUSHLIGHT_KERNELS") == "reference" else load()
    return table._module if isinstance(table, NativeKernels) else None


def memory_stats() -> dict[str, int]:
    """Counters of the pool, in bytes and in numbers of blocks: what tensors hold (`used_bytes`) and the most they held, what
    lies idle and its limit, how many blocks were asked for, reused, taken from the system and given back to it. Results
    below 64 KiB are not counted. Empty without native kernels."""
    pool = _pool()
    return {} if pool is None else dict(pool.memory_stats())


def empty_cache() -> int:
    """Give the pool's idle blocks back to the system; returns how many bytes that were."""
    pool = _pool()
    return 0 if pool is None else int(pool.empty_cache())


def set_memory_limit(bytes: int) -> None:
    """How many idle bytes the pool may keep (at first a quarter of the machine's memory). 0: every freed block goes back at once.

    Raises `TypeError` for what is no int, `ValueError` for a negative one.
    """
    if isinstance(bytes, bool) or not isinstance(bytes, int):
        raise TypeError(f"set_memory_limit(): expected a number of bytes as an int, got {type(bytes).__name__}")
    if bytes < 0:
        raise ValueError(f"set_memory_limit(): expected a number of bytes, zero or more, got {bytes}")
    pool = _pool()
    if pool is not None:
        pool.set_memory_limit(bytes)
