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
    result = _uniform(size, dtype, device, low, high) if floating else rl.randint(
        math.floor(low), math.ceil(high), size, device=device, dtype=dtype
    )
    if noncontiguous and result.numel() > 1:
        result = result.repeat_interleave(2, dim=-1)[..., ::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        result[result == 0] = rl.finfo(dtype).tiny if floating else 1
    return result.requires_grad_() if requires_grad else result


def _uniform(size: Any, dtype: rl.dtype, device: Any, low: float, high: float) -> Any:
    result = rl.empty(size, device=device, dtype=dtype)
    target = rl.view_as_real(result) if dtype.is_complex else result
    target.uniform_(low, high)
    return result


def _bounds(dtype: rl.dtype, low: float | None, high: float | None) -> tuple[float, float]:
    """The range to draw from, within what the dtype can hold."""
    if dtype is rl.bool:
        lowest, highest, default = 0.0, 2.0, (0.0, 2.0)
    elif dtype is rl.uint8 or dtype in _INTEGERS:
        info = rl.iinfo(dtype)
        lowest, highest, default = info.min, info.max + 1, (0.0, 10.0) if dtype is rl.uint8 else (-9.0, 10.0)
    else:
        info = rl.finfo(dtype)
        lowest, highest, default = info.min, info.max, (-9.0, 9.0)
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    for name, value in (("low", low), ("high", high)):
        if value != value:
            raise ValueError(f"`{name}` cannot be NaN, but got {value}")
    if low >= high:
        raise ValueError(f"make_tensor: `low` must be less than `high`, but got {low} >= {high}")
    if high < lowest or low >= highest:
        raise ValueError(
            f"make_tensor: the range [{low}, {high}) has no value of {dtype}, which holds [{lowest}, {highest})"
        )
    return max(low, lowest), min(high, highest)
