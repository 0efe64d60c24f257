"""Elementwise operations, at large size with the memory traffic they cannot do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases.operation import SQUARE, Inputs, Operation, all_cases

Function = Callable[[Any], Callable[..., Any]]


def one(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.normal(*SQUARE[size]),)


def one_positive(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.positive(*SQUARE[size]),)


def two(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.normal(*SQUARE[size])


def two_positive(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.positive(*SQUARE[size]), inputs.positive(*SQUARE[size])


def with_row(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.normal(SQUARE[size][1])


def with_column(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.normal(SQUARE[size][0], 1)


def with_integers(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.integers(10, *SQUARE[size]).int()


def two_of(dtype: str) -> Callable[[Inputs, str], tuple[Any, ...]]:
    return lambda inputs, size: (inputs.normal(*SQUARE[size], dtype=dtype), inputs.normal(*SQUARE[size], dtype=dtype))


def masked(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.mask(*SQUARE[size]), *two(inputs, size))


def add(_torch: Any) -> Callable[..., Any]:
    return lambda a, b: a + b


# Tensors moved, at least: the forward reads its inputs and writes one; the backward reads the cotangent and what it
# saved, and writes a gradient for each input.
UNARY_SAVED = (2.0, 3.0)

OPERATIONS = (
    Operation("add", add, two, moves=(3, 3)),
    Operation("mul", lambda torch: lambda a, b: a * b, two, moves=(3, 5)),
    Operation("div", lambda torch: lambda a, b: a / b, two_positive, moves=(3, 5)),
    Operation("pow", lambda torch: lambda a, b: a**b, two_positive, moves=(3, 6)),
    Operation("mul_scalar", lambda torch: lambda a: a * 1.5, one, moves=(2, 2)),
    Operation("pow_scalar", lambda torch: lambda a: a**2.5, one_positive, moves=UNARY_SAVED),
    Operation("pow_cube", lambda torch: lambda a: a**3, one, moves=UNARY_SAVED),
    Operation("exp", lambda torch: torch.exp, one, moves=UNARY_SAVED),
    Operation("log", lambda torch: torch.log, one_positive, moves=UNARY_SAVED),
    Operation("sqrt", lambda torch: torch.sqrt, one_positive, moves=UNARY_SAVED),
    Operation("tanh", lambda torch: torch.tanh, one, moves=UNARY_SAVED),
    Operation("sigmoid", lambda torch: torch.sigmoid, one, moves=UNARY_SAVED),
    Operation("erf", lambda torch: torch.erf, one, moves=UNARY_SAVED),
    Operation("relu", lambda torch: torch.relu, one, moves=UNARY_SAVED),
    Operation("gelu", lambda torch: torch.nn.functional.gelu, one, moves=UNARY_SAVED),
    Operation("silu", lambda torch: torch.nn.functional.silu, one, moves=UNARY_SAVED),
    Operation("clamp", lambda torch: lambda a: a.clamp(-0.5, 0.5), one, moves=UNARY_SAVED),
    Operation("where", lambda torch: torch.where, masked, moves=(3.25, 3.25)),
    Operation("add_row", add, with_row, moves=(2, 2)),
    Operation("mul_column", lambda torch: lambda a, b: a * b, with_column, moves=(2, 3)),
    Operation("add_integers", add, with_integers, moves=(3, 2)),
    Operation("add_half", add, two_of("float16"), moves=(1.5, 1.5), smooth=False),
    Operation("add_bfloat16", add, two_of("bfloat16"), moves=(1.5, 1.5), smooth=False),
    Operation("add_inplace", lambda torch: lambda a, b: a.add_(b), two, backward=False, moves=(3, 0), smooth=False),
    Operation("greater", lambda torch: torch.gt, two, backward=False, moves=(2.25, 0), smooth=False),
    Operation("to_bfloat16", lambda torch: lambda a: a.bfloat16(), one, moves=(1.5, 1.5), smooth=False),
)

CASES = all_cases(OPERATIONS)
