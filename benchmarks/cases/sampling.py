"""Random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases.operation import SQUARE, Inputs, Operation, all_cases


def shape(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (SQUARE[size],)


def one(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.normal(*SQUARE[size]),)


def integers(torch: Any) -> Callable[..., Any]:
    return lambda size: torch.randint(0, 1000, size)


def drawn(name: str, function: Callable[[Any], Callable[..., Any]], inputs: Any = shape) -> Operation:
    return Operation(name, function, inputs, backward=False, smooth=False)


OPERATIONS = (
    drawn("rand", lambda torch: torch.rand),
    drawn("randn", lambda torch: torch.randn),
    drawn("randint", integers),
    drawn("bernoulli_inplace", lambda torch: lambda a: a.bernoulli_(0.3), one),
    Operation("dropout", lambda torch: lambda a: torch.nn.functional.dropout(a, 0.3), one, smooth=False),
)

CASES = all_cases(OPERATIONS)
