"""Batches of sequences of different lengths, step by step: integers only."""

from __future__ import annotations

# How many sequences are still running at each step, of a packed batch; None: all of them always, the input is [T, B, *].
BatchSizes = tuple[int, ...] | None

# The rows of one time step: where they begin, and how many there are.
Step = tuple[int, int]


def walk(shape: tuple[int, ...], batch_sizes: BatchSizes, reverse: bool) -> list[Step]:
    """The steps of an input of `shape` in the order in which a recurrent layer takes them."""
    sizes = (shape[1],) * shape[0] if batch_sizes is None else batch_sizes
    steps, start = [], 0
    for size in sizes:
        steps.append((start, size))
        start += size
    return steps[::-1] if reverse else steps
