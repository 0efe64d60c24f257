"""Number ranges and the identity, to the bit as torch's CPU makes them.

torch's loops are compiled with fused multiply-add, so `start + step * i` is rounded once; `_fused` does the same with
an error-free product (Dekker) and sum (Knuth).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.cast import cast
from rushlight.backends.reference.precision import (
    FLOAT32,
    FLOAT64,
    INT64,
    LOW_PRECISION,
    Array,
    DType,
    finish,
    real_dtype,
)
from rushlight.backends.reference.quiet import quiet

SPLITTER = 2.0**27 + 1
LONGDOUBLE = np.dtype(np.longdouble)
ARANGE_LANES = {4: 8, 8: 4}  # floats and doubles in the 256-bit vectors of torch's loop


def _fused(a: Any, b: Array, c: Any) -> Array:
    """`a * b + c` of float64 arrays, rounded once."""
    product = a * b
    t = SPLITTER * a
    a_high = t - (t - a)
    t = SPLITTER * b
    b_high = t - (t - b)
    a_low, b_low = a - a_high, b - b_high
    product_error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    kept = total - product
    sum_error = (product - (total - kept)) + (c - kept)
    exact = total + (product_error + sum_error)
    return np.where(np.isfinite(exact), exact, a * b + c)


def arange_size(start: float, end: float, step: float) -> int:
    """How many elements `arange` has: `ceil((end - start) / step)`, in whole numbers when all three are ints."""
    if step == 0:
        raise RuntimeError("arange(): step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError(
            f"arange(): upper bound and lower bound inconsistent with step sign: {step} does not lead from {start} to {end}"
        )
    if isinstance(start, int) and isinstance(end, int) and isinstance(step, int):
        return -((start - end) // step)
    return math.ceil((end - start) / step)


def arange(start: float, end: float, step: float, dtype: DType) -> Array:
    """`start, start + step, ...` up to but without `end`.

    float32 and float64 are made as torch makes them: in vectors whose first element is rounded and whose others are
    counted from it, and one by one in what is left over behind the last pair of vectors.
    """
    if dtype.kind not in "iub":
        return _real_range(start, step, arange_size(start, end, step), dtype)
    start, end, step = int(start), int(end), int(step)
    found = np.arange(arange_size(start, end, step), dtype=INT64)
    if start != 0 or step != 1:
        found = start + step * found
    return found.astype(dtype, copy=False)


@quiet
def _real_range(start: float, step: float, count: int, dtype: DType) -> Array:
    i = np.arange(count, dtype=FLOAT64)
    width, origin = np.float64(step), np.float64(start)
    single = _fused(width, i, origin)
    lanes = ARANGE_LANES.get(dtype.itemsize)
    if dtype.kind != "f" or lanes is None:
        return cast(single, dtype)
    lane = i % lanes
    first = _fused(width, i - lane, origin).astype(dtype).astype(FLOAT64)
    result = _fused(width, lane, first)
    tail = count // (2 * lanes) * (2 * lanes)
    result[tail:] = single[tail:]
    return result.astype(dtype)


def _check_steps(steps: int) -> None:
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")


def _line_low(start: float, end: float, steps: int, dtype: DType) -> Array:
    """`linspace` in a half type, every single operation rounded to it."""

    def rounded(x: Any) -> Array:
        return np.asarray(x, FLOAT32).astype(dtype).astype(FLOAT32)

    first, last = rounded(start), rounded(end)
    step = rounded(rounded(last - first) / rounded(steps - 1))
    i = np.arange(steps)
    rising = rounded(first + rounded(step * rounded(i)))
    falling = rounded(last - rounded(step * rounded(steps - 1 - i)))
    return np.where(i < steps // 2, rising, falling).astype(dtype)


def _line(start: float, end: float, steps: int, working: DType) -> Array:
    """Equal steps from both ends in float64, the step rounded to `working`, every element rounded once by fusing."""
    first, last = working.type(start), working.type(end)
    step = np.float64((last - first) / working.type(steps - 1))
    i = np.arange(steps, dtype=FLOAT64)
    rising = _fused(step, i, np.float64(first))
    falling = _fused(-step, (steps - 1) - i, np.float64(last))
    return np.where(i < steps // 2, rising, falling)


@quiet
def linspace(start: Any, end: Any, steps: int, dtype: DType) -> Array:
    """`steps` numbers from `start` to `end`, both included; the second half is counted back from `end`."""
    _check_steps(steps)
    if steps == 0:
        return np.empty(0, dtype)
    if steps == 1:
        return cast(np.full(1, start), dtype)
    if dtype in LOW_PRECISION:
        return _line_low(start, end, steps, dtype)
    if dtype.kind == "c":
        part = real_dtype(dtype)
        result = np.empty(steps, dtype)
        result.real = linspace(start.real, end.real, steps, part)
        result.imag = linspace(start.imag, end.imag, steps, part)
        return result
    if dtype.kind == "f":
        return finish(_line(start, end, steps, dtype), dtype)
    return _line(int(start), int(end), steps, FLOAT64).astype(dtype)


@quiet
def logspace(start: Any, end: Any, steps: int, base: float, dtype: DType) -> Array:
    """`base` to the powers from `start` to `end` in equal steps.

    The ends and their difference are rounded to `dtype`; everything else is in float64 and rounded once, as in torch.
    """
    _check_steps(steps)
    if dtype.kind == "c":
        return np.power(np.asarray(base, dtype), linspace(start, end, steps, dtype), out=...)
    if steps == 0:
        return np.empty(0, dtype)
    if steps == 1:
        return cast(np.power(np.full(1, float(base)), float(start)), dtype)
    first, last = (cast(np.asarray(v), dtype).astype(FLOAT64) for v in (start, end))
    step = cast(np.asarray(last - first), dtype).astype(FLOAT64) / (steps - 1)
    i = np.arange(steps, dtype=FLOAT64)
    exponents = np.where(i < steps // 2, first + step * i, last - step * ((steps - 1) - i))
    # The C library's pow is right to the last place and NumPy's vectorised one is not: in long double it is.
    powers = np.power(np.longdouble(base), exponents.astype(LONGDOUBLE)).astype(FLOAT64)
    return cast(powers, dtype)


def eye(rows: int, cols: int, dtype: DType) -> Array:
    """Ones on the main diagonal of a `rows` by `cols` matrix of zeros."""
    result = np.zeros((rows, cols), dtype)
    np.fill_diagonal(result, 1)
    return result


KERNELS: dict[str, Callable[..., Array]] = {
    kernel.__name__: kernel for kernel in (arange, linspace, logspace, eye)
}
