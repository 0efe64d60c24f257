"""Batches of sequences of different lengths, step by step: integers only."""

from __future__ import annotations

# How many sequences are still running at each step, of a packed batch; None: all of them always, the input is [T, B, *].
BatchSizes = tuple[int, ...] | None

# The rows of one time step: where they begin, and how many there are.
Step = tuple[int, int]


def sizes_of(shape: tuple[int, ...], batch_sizes: BatchSizes) -> tuple[int, ...]:
    """How many sequences are running at each step of an input of `shape`."""
    return (shape[1],) * shape[0] if batch_sizes is None else batch_sizes


def walk(batch_sizes: tuple[int, ...], reverse: bool) -> list[Step]:
    """The steps in the order in which a recurrent layer takes them."""
    steps, start = [], 0
    for size in batch_sizes:
        steps.append((start, size))
        start += size
    return steps[::-1] if reverse else steps
