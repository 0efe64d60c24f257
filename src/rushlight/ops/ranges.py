"""Number ranges and the identity: arange, range, linspace, logspace, eye."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from rushlight.base.dtypes import (
    BOOL,
    COMPLEX,
    FLOATING,
    INTEGER,
    default_complex,
    dtype,
    get_default_dtype,
    int64,
    scalar_dtype,
)
from rushlight.base.layout import strided
from rushlight.base.warn import warn_user
from rushlight.core.primitive import Primitive
from rushlight.core.tensor import TensorBase
from rushlight.ops.factory import Fill, create, deliver, number_argument, placement
from rushlight.ops.offered import offered

__all__ = ["arange", "eye", "linspace", "logspace", "range"]


class Range(Primitive):
    """`arange`, `linspace`, `logspace` and `eye`: `kernel` with plain arguments."""

    __slots__ = ("kernel", "arguments", "dtype")
    name = "range"
    differentiable = False

    def __init__(self, kernel: str, arguments: tuple[Any, ...], of: dtype) -> None:
        self.kernel = kernel
        self.arguments = arguments
        self.dtype = of

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.kernel)(*self.arguments, self.dtype.np)


def _range_number(value: Any, operation: str, argument: str) -> Any:
    number = number_argument(value, operation, argument)
    return (
        int(number)
        if isinstance(number, (bool, np.integer, np.bool_))
        else float(number)
        if isinstance(number, np.floating)
        else number
    )


def _range_dtype(*values: Any) -> dtype:
    """int64 for whole numbers; tensors and floats mean the default (or, for complex, its complex) dtype."""
    categories = [v._dtype.category if isinstance(v, TensorBase) else scalar_dtype(v).category for v in values]
    return (
        int64
        if max(categories) < FLOATING
        else default_complex()
        if max(categories) == COMPLEX
        else get_default_dtype()
    )


@offered
def arange(
    *args: Any,
    start: Any = None,
    end: Any = None,
    step: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`: from `start` (0) up to but without `end`.

    int64 for whole numbers, else the default dtype. Raises `RuntimeError` for a step of 0 or of the wrong sign.

    >>> arange(1, 2, 0.5)
    tensor([1.0000, 1.5000])
    """
    if len(args) == 1 and end is None:
        first, last, by = start, args[0], step
    else:
        if len(args) > 3 or (not args and end is None):
            raise TypeError(
                f"arange() takes end, or start and end, or start, end and step; got {len(args)} positional arguments"
            )
        first = args[0] if args else start
        last = args[1] if len(args) > 1 else end
        by = args[2] if len(args) > 2 else step
    given = (0 if first is None else first, last, 1 if by is None else by)
    whole = type(given[0]) is type(given[1]) is type(given[2]) is int
    numbers = given
    if not whole:
        numbers = tuple([_range_number(v, "arange", name) for v, name in zip(given, ("start", "end", "step"), strict=True)])
    if dtype is None and out is None:
        dtype = int64 if whole else _range_dtype(*given)
    of, where = placement(dtype, device, layout, out, "arange")
    if of.category in (BOOL, COMPLEX):
        raise NotImplementedError(
            f'"arange_cpu" not implemented for {of!r}: make it in an integer or floating dtype and convert it'
        )
    op: Primitive = Range("arange", numbers, of)
    if not whole and of.category == INTEGER and any(isinstance(n, float) for n in numbers):
        op = _whole_steps(numbers, of)
    return deliver(create(op, where, requires_grad), out, "arange")


def _whole_steps(numbers: tuple[Any, ...], of: dtype) -> Primitive:
    """`arange` of fractions in an integer dtype: as many elements as the fractions give, in whole steps, as in torch."""
    start, end, step = numbers
    if step == 0 or not all(math.isfinite(v) for v in (start, end, step)) or (end - start) * step < 0:
        return Range(
            "arange", (float(start), float(end), float(step)), get_default_dtype()
        )  # whose kernel says what is wrong
    count = math.ceil((end - start) / step)
    first, whole = int(start), int(step)
    return Range("arange", (first, first + whole * count, whole), of) if whole else Fill((count,), of, first)


@offered
def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Like `arange` but with `end` included and always of a floating dtype by default. Deprecated in torch: use `arange`."""
    warn_user("torch.range is deprecated because it includes its end, unlike Python's range: use torch.arange")
    if end is None:
        start, end = 0, start
    first, last, by = (_range_number(v, "range", name) for v, name in ((start, "start"), (end, "end"), (step, "step")))
    if by == 0:
        raise RuntimeError("range(): step must be nonzero")
    if (last - first) * by < 0:
        raise RuntimeError(
            f"range(): upper bound {last} and lower bound {first} inconsistent with the sign of step {by}"
        )
    count = int((last - first) / by) + 1
    of, where = placement(dtype, device, layout, out, "range")
    return deliver(
        create(Range("arange", (first, first + by * (count - 0.5), by), of), where, requires_grad), out, "range"
    )


def _steps(steps: Any, operation: str) -> int:
    try:
        count = operator.index(steps)
    except TypeError:
        raise TypeError(f"{operation}(): argument 'steps' must be int, not {type(steps).__name__}") from None
    if count < 0:
        raise RuntimeError(f"{operation}(): number of steps must be non-negative, got {count}")
    return count


def _space(
    operation: str,
    start: Any,
    end: Any,
    rest: tuple[Any, ...],
    dtype: Any,
    layout: Any,
    device: Any,
    out: Any,
    requires_grad: bool,
) -> Any:
    numbers = _range_number(start, operation, "start"), _range_number(end, operation, "end")
    if dtype is None and out is None:
        dtype = default_complex() if any(isinstance(v, complex) for v in numbers) else get_default_dtype()
    of, where = placement(dtype, device, layout, out, operation)
    if of.category == COMPLEX:
        numbers = complex(numbers[0]), complex(numbers[1])
    elif any(isinstance(v, complex) for v in numbers):
        raise RuntimeError(f"{operation}(): inferred dtype complex can't be safely cast to passed dtype {of!r}")
    return deliver(create(Range(operation, (*numbers, *rest), of), where, requires_grad), out, operation)


@offered
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`steps` evenly spaced numbers from `start` to `end`, both included.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _space("linspace", start, end, (_steps(steps, "linspace"),), dtype, layout, device, out, requires_grad)


@offered
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`base` to the powers of `linspace(start, end, steps)`."""
    return _space("logspace", start, end, (_steps(steps, "logspace"), base), dtype, layout, device, out, requires_grad)


@offered
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """The identity matrix of `n` rows and `m` (`n`) columns."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and not hasattr(size, "__index__"):
            raise TypeError(f"eye(): argument '{name}' must be int, not {type(size).__name__}")
        if size is not None and size < 0:
            raise RuntimeError(f"eye(): {name} must be greater or equal to 0, got {size}")
    rows = operator.index(n)
    of, where = placement(dtype, device, layout, out, "eye")
    return deliver(
        create(Range("eye", (rows, rows if m is None else operator.index(m)), of), where, requires_grad), out, "eye"
    )
