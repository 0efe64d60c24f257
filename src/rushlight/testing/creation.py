"""`make_tensor`: random tensors of any dtype for tests."""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.base.shape import shape_argument

_INTEGERS = (rl.int8, rl.int16, rl.int32, rl.int64)


def make_tensor(
    *shape: Any,
    dtype: rl.dtype,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of values drawn uniformly from [low, high), with the numbers torch draws for the same seed.

    Defaults: [0, 2) for bool, [0, 10) for uint8, [-9, 10) for signed integers, [-9, 9) for floating-point and complex numbers
    (both parts). `noncontiguous`: not contiguous when it has two or more elements. `exclude_zero`: zeros become 1, of
    floating-point numbers the smallest normal one. Raises `ValueError` for an empty range, and for `requires_grad` with a dtype
    that has no gradients.

    >>> make_tensor((2, 3), dtype=torch.int64, device="cpu", low=0, high=5).shape
    torch.Size([2, 3])
    """
    size = shape_argument(shape, "make_tensor")
    floating = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not floating:
        raise ValueError(f"`requires_grad=True` is not supported for boolean and integral dtypes, but got {dtype}")
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous} and memory_format={memory_format}"
        )
    low, high = _bounds(dtype, low, high)
    noncontiguous = noncontiguous and math.prod(size) > 1
    if noncontiguous:  # every second one of twice as many, from the second on
        size = (*size[:-1], 2 * size[-1])
    if floating:
        result = rl.empty(size, device=device, dtype=dtype)
        _fill_uniform(rl.view_as_real(result) if dtype.is_complex else result, low, high)
    else:
        result = rl.randint(math.ceil(low), math.ceil(high), size, device=device, dtype=dtype)
    if noncontiguous:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        tiny = rl.finfo(dtype).tiny if floating else 1
        result[result == 0] = complex(tiny, tiny) if dtype.is_complex else tiny
    return result.requires_grad_() if requires_grad else result


def _fill_uniform(t: Any, low: float, high: float) -> None:
    """Fill with numbers from [low, high), also where their distance is more than the dtype holds."""
    if high - low >= rl.finfo(t.dtype).max:
        t.uniform_(low / 2, high / 2).mul_(2)
    else:
        t.uniform_(low, high)


def _bounds(dtype: rl.dtype, low: float | None, high: float | None) -> tuple[float, float]:
    """The range to draw from, within what the dtype can hold."""
    lowest: float
    highest: float
    if dtype is rl.bool:
        lowest, highest, default = 0, 2, (0.0, 2.0)
    elif dtype is rl.uint8 or dtype in _INTEGERS:
        # randint computes its bounds in int64: the largest of all can't be drawn
        lowest, highest = rl.iinfo(dtype).min, rl.iinfo(dtype).max + (dtype is not rl.int64)
        default = (0.0, 10.0) if dtype is rl.uint8 else (-9.0, 10.0)
    else:
        lowest, highest, default = rl.finfo(dtype).min, rl.finfo(dtype).max, (-9.0, 9.0)
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    for name, value in (("low", low), ("high", high)):
        if value != value:
            raise ValueError(f"`{name}` cannot be NaN, but got {value}")
    floating = dtype.is_floating_point or dtype.is_complex
    if low > high or (low == high and not floating):
        raise ValueError(f"make_tensor: `low` must be less than `high`, but got {low} >= {high}")
    if high < lowest or low >= highest:
        raise ValueError(
            f"make_tensor: the range [{low}, {high}) has no value of {dtype}, which holds [{lowest}, {highest})"
        )
    return max(low, lowest), min(high, highest)
