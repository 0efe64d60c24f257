"""Gathering and scattering, sorting, and operations that only move data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases.operation import SQUARE, Inputs, Operation, all_cases

# (rows of the table, width, indices)
TABLES = {"small": (2, 2, 1), "medium": (1000, 128, 128), "large": (32000, 128, 131072)}


def one(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.normal(*SQUARE[size]),)


def two(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.normal(*SQUARE[size])


def looked_up(inputs: Inputs, size: str) -> tuple[Any, ...]:
    rows, width, count = TABLES[size]
    return inputs.integers(rows, count), inputs.normal(rows, width)


def along_last(inputs: Inputs, size: str) -> tuple[Any, ...]:
    rows, columns = SQUARE[size]
    return inputs.normal(rows, columns), inputs.integers(columns, rows, columns)


def scattered(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (*along_last(inputs, size), inputs.normal(*SQUARE[size]))


def by_row(inputs: Inputs, size: str) -> tuple[Any, ...]:
    rows, columns = SQUARE[size]
    return inputs.normal(rows, columns), inputs.integers(rows, rows)


def added_by_row(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (*by_row(inputs, size), inputs.normal(*SQUARE[size]))


def masked(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.mask(*SQUARE[size])


def topk(_torch: Any) -> Callable[..., Any]:
    return lambda a: a.topk(min(8, a.shape[-1])).values


OPERATIONS = (
    Operation("embedding", lambda torch: torch.nn.functional.embedding, looked_up),
    Operation("gather", lambda torch: lambda a, i: a.gather(1, i), along_last),
    Operation("scatter_add", lambda torch: lambda a, i, b: a.scatter_add(1, i, b), scattered),
    Operation("index_select", lambda torch: lambda a, i: a.index_select(0, i), by_row),
    Operation("index_add", lambda torch: lambda a, i, b: a.index_add(0, i, b), added_by_row),
    Operation("index_rows", lambda torch: lambda a, i: a[i], by_row),
    Operation("masked_fill", lambda torch: lambda a, m: a.masked_fill(m, 0.0), masked, moves=(2.25, 2.25)),
    Operation("sort", lambda torch: lambda a: a.sort().values, one),
    Operation("topk", topk, one),
    Operation("cat", lambda torch: lambda a, b: torch.cat((a, b), 1), two, moves=(4, 4)),
    Operation("stack", lambda torch: lambda a, b: torch.stack((a, b)), two, moves=(4, 4)),
    Operation("transpose_copy", lambda torch: lambda a: a.t().contiguous(), one, moves=(2, 2)),
    Operation("clone", lambda torch: lambda a: a.clone(), one, moves=(2, 2)),
    Operation("pad", lambda torch: lambda a: torch.nn.functional.pad(a, (1, 1, 1, 1)), one, moves=(2, 2)),
)

CASES = all_cases(OPERATIONS)
