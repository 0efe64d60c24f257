"""Reductions and scans."""

from __future__ import annotations

from typing import Any

from benchmarks.cases.operation import SQUARE, Inputs, Operation, all_cases


def one(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.normal(*SQUARE[size]),)


OPERATIONS = (
    Operation("sum", lambda torch: torch.sum, one, moves=(1, 1)),
    Operation("sum_dim0", lambda torch: lambda a: a.sum(0), one, moves=(1, 1)),
    Operation("sum_last", lambda torch: lambda a: a.sum(-1), one, moves=(1, 1)),
    Operation("mean", lambda torch: torch.mean, one, moves=(1, 1)),
    Operation("max", lambda torch: torch.max, one, moves=(1, 2)),
    Operation("max_last", lambda torch: lambda a: a.max(-1).values, one, moves=(1, 1)),
    Operation("argmax_last", lambda torch: lambda a: a.argmax(-1), one, backward=False, moves=(1, 0), smooth=False),
    Operation("norm", lambda torch: lambda a: a.norm(), one, moves=(1, 2)),
    Operation("var_dim0", lambda torch: lambda a: a.var(0, unbiased=False), one, moves=(1, 2)),
    Operation("logsumexp_last", lambda torch: lambda a: a.logsumexp(-1), one, moves=(1, 2)),
    Operation("cumsum_last", lambda torch: lambda a: a.cumsum(-1), one, moves=(2, 2)),
    Operation("cumsum_dim0", lambda torch: lambda a: a.cumsum(0), one, moves=(2, 2)),
)

CASES = all_cases(OPERATIONS)
