"""Tensors of constants: zeros, ones, full, empty, eye, their `_like` and `new_` forms, ranges.

Tensors out of data (`tensor`, `as_tensor`...) are made in from_data.py and exported from here with the rest of the family.
"""

from __future__ import annotations

import math
import operator
import warnings
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
from rushlight.base.layout import check_layout, check_memory_format, format_order, preserve_format, strided
from rushlight.base.shape import Shape, check_sizes, shape_argument
from rushlight.core.primitive import Primitive
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import methods
from rushlight.ops.factory import (
    ZERO_VALUE,
    Fill,
    as_dtype,
    check_fits,
    chosen_device,
    create,
    deliver,
    offered,
    on_device,
    order_of,
    placement,
)
from rushlight.ops.from_data import as_tensor, asarray, from_numpy, frombuffer, tensor

__all__ = [
    "arange", "as_tensor", "asarray", "from_numpy", "frombuffer", "tensor",
    "empty", "empty_like", "empty_strided", "eye", "full", "full_like", "linspace", "logspace", "ones", "ones_like", "range",
    "scalar_tensor", "zeros", "zeros_like",
]


class EmptyStrided(Primitive):
    """Uninitialised memory with strides of the caller's choosing."""

    __slots__ = ("shape", "strides", "dtype")
    name = "empty_strided"
    differentiable = False

    def __init__(self, shape: Shape, strides: Shape, of: dtype) -> None:
        self.shape = shape
        self.strides = strides
        self.dtype = of

    def forward(self, k: Any, *arrays: Any) -> Any:
        reach = 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)) if all(self.shape) else 0
        return k.as_strided(k.empty((max(reach, 1),), self.dtype.np), self.shape, self.strides, 0)


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


def sizes_argument(args: tuple[Any, ...], size: Any, operation: str) -> Shape:
    """The shape given as ints, as one sequence, or as `size=`; `RuntimeError` for negative sizes."""
    if size is not None:
        args = (size,)
    elif not args:
        raise TypeError(f'{operation}() missing 1 required positional arguments: "size"; give sizes as {operation}(2, 3) or {operation}((2, 3))')
    shape = shape_argument(args, operation)
    for n in shape:
        if n < 0:
            check_sizes(shape, operation)
    return shape


# Constants.


@offered
def zeros(*args: Any, size: Any = None, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
          pin_memory: bool = False, requires_grad: bool = False, names: Any = None) -> Any:
    """A tensor of zeros; sizes as ints or one sequence.

    Raises `RuntimeError` for a negative size.

    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    shape = sizes_argument(args, size, "zeros")
    of, where = placement(dtype, device, layout, out, "zeros")
    return deliver(create(Fill(shape, of, ZERO_VALUE), where, requires_grad), out, "zeros")


@offered
def ones(*args: Any, size: Any = None, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
         pin_memory: bool = False, requires_grad: bool = False, names: Any = None) -> Any:
    """A tensor of ones; sizes as ints or one sequence."""
    shape = sizes_argument(args, size, "ones")
    of, where = placement(dtype, device, layout, out, "ones")
    return deliver(create(Fill(shape, of, 1), where, requires_grad), out, "ones")


@offered
def empty(*args: Any, size: Any = None, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
          pin_memory: bool = False, requires_grad: bool = False, memory_format: Any = None, names: Any = None) -> Any:
    """A tensor whose values are whatever its memory held."""
    shape = sizes_argument(args, size, "empty")
    check_memory_format(memory_format, "empty")
    of, where = placement(dtype, device, layout, out, "empty")
    return deliver(create(Fill(shape, of, None, format_order(memory_format, len(shape))), where, requires_grad), out, "empty")


@offered
def full(size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
         pin_memory: bool = False, requires_grad: bool = False, names: Any = None) -> Any:
    """A tensor of `size` filled with `fill_value`, whose own dtype (bool, int64, default float) it has without `dtype=`.

    Raises `RuntimeError` when the dtype cannot hold the value.
    """
    if hasattr(size, "__index__") and not isinstance(size, TensorBase):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}: write full(({size},), ...)")
    shape = sizes_argument((), size, "full")
    value = _number(fill_value, "full", "fill_value")
    if dtype is None and out is None:
        dtype = fill_value._dtype if isinstance(fill_value, TensorBase) else scalar_dtype(value)
    of, where = placement(dtype, device, layout, out, "full")
    check_fits(value, of, "full")
    return deliver(create(Fill(shape, of, value), where, requires_grad), out, "full")


def _number(value: Any, operation: str, argument: str) -> Any:
    """A Python number from a number or a zero-dim tensor."""
    if isinstance(value, TensorBase):
        return value.item()
    if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        raise TypeError(f"{operation}(): argument '{argument}' must be Number, not {type(value).__name__}")
    return value


def scalar_tensor(s: Any, *, dtype: Any = None, layout: Any = strided, device: Any = None, pin_memory: bool = False,
                  requires_grad: bool = False) -> Any:
    """A zero-dim tensor of the default dtype."""
    return full((), s, dtype=get_default_dtype() if dtype is None else dtype, layout=layout, device=device, requires_grad=requires_grad)


@offered
def empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = strided, device: Any = None,
                  requires_grad: bool = False, pin_memory: bool = False) -> Any:
    """An uninitialised tensor with strides (in elements) of the caller's choosing."""
    shape, strides = sizes_argument((), size, "empty_strided"), shape_argument((stride,), "empty_strided")
    if len(shape) != len(strides):
        raise RuntimeError(f"empty_strided(): dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(strides)})")
    if any(s < 0 for s in strides):
        raise RuntimeError(f"empty_strided(): strides must not be negative, got {list(strides)}")
    of, where = placement(dtype, device, layout, None, "empty_strided")
    return create(EmptyStrided(shape, strides, of), where, requires_grad)


# Like another tensor.


def _like(input: Any, value: Any, dtype: Any, layout: Any, device: Any, requires_grad: bool, memory_format: Any, operation: str) -> Any:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    check_layout(layout, operation)
    check_memory_format(memory_format, operation)
    where = input._device if device is None else chosen_device(device)
    of = input._dtype if dtype is None else as_dtype(dtype, operation)
    if value is not None and value is not ZERO_VALUE:
        check_fits(value, of, operation)
    return create(Fill(input._shape, on_device(of, where), value, like_order(input, memory_format)), where, requires_grad)


def like_order(input: Any, memory_format: Any) -> Shape | None:
    """The memory order of a tensor made like `input`: its own (None, `preserve_format`) or the format's."""
    if memory_format is not None and memory_format is not preserve_format:
        return format_order(memory_format, len(input._shape))
    array = input._array
    return None if array is None or input._device.type == "meta" else order_of(array)


@offered
def zeros_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
               requires_grad: bool = False, memory_format: Any = preserve_format) -> Any:
    """Zeros in the shape, dtype, device and memory order of `input`."""
    return _like(input, ZERO_VALUE, dtype, layout, device, requires_grad, memory_format, "zeros_like")


@offered
def ones_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
              requires_grad: bool = False, memory_format: Any = preserve_format) -> Any:
    """Ones in the shape, dtype, device and memory order of `input`."""
    return _like(input, 1, dtype, layout, device, requires_grad, memory_format, "ones_like")


@offered
def empty_like(input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
               requires_grad: bool = False, memory_format: Any = preserve_format) -> Any:
    """Uninitialised memory in the shape, dtype, device and memory order of `input`."""
    return _like(input, None, dtype, layout, device, requires_grad, memory_format, "empty_like")


@offered
def full_like(input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
              requires_grad: bool = False, memory_format: Any = preserve_format) -> Any:
    """`fill_value` in the shape, dtype, device and memory order of `input`."""
    value = _number(fill_value, "full_like", "fill_value")
    return _like(input, value, dtype, layout, device, requires_grad, memory_format, "full_like")


def _new(self: Any, shape: Shape, value: Any, dtype: Any, device: Any, requires_grad: bool, operation: str) -> Any:
    where = self._device if device is None else chosen_device(device)
    of = on_device(self._dtype if dtype is None else as_dtype(dtype, operation), where)
    return create(Fill(shape, of, value), where, requires_grad)


@offered
def new_zeros(self: Any, *args: Any, size: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
              pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """Zeros of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_zeros"), ZERO_VALUE, dtype, device, requires_grad, "new_zeros")


@offered
def new_ones(self: Any, *args: Any, size: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
             pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """Ones of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_ones"), 1, dtype, device, requires_grad, "new_ones")


@offered
def new_empty(self: Any, *args: Any, size: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
              pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """Uninitialised memory of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_empty"), None, dtype, device, requires_grad, "new_empty")


@offered
def new_full(self: Any, size: Any, fill_value: Any, *, dtype: Any = None, layout: Any = strided, device: Any = None,
             pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`fill_value` in another size, in this tensor's dtype and on its device."""
    value = _number(fill_value, "new_full", "fill_value")
    check_fits(value, self._dtype if dtype is None else as_dtype(dtype, "new_full"), "new_full")
    return _new(self, sizes_argument((), size, "new_full"), value, dtype, device, requires_grad, "new_full")


@offered
def new_empty_strided(self: Any, size: Any, stride: Any, *, dtype: Any = None, layout: Any = strided, device: Any = None,
                      pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`empty_strided` in this tensor's dtype and on its device."""
    return empty_strided(size, stride, dtype=self._dtype if dtype is None else dtype,
                         device=self._device if device is None else device, requires_grad=requires_grad)


# Ranges.


def _range_number(value: Any, operation: str, argument: str) -> Any:
    number = _number(value, operation, argument)
    return int(number) if isinstance(number, (bool, np.integer, np.bool_)) else float(number) if isinstance(number, np.floating) else number


def _range_dtype(*values: Any) -> dtype:
    """int64 for whole numbers; tensors and floats mean the default (or, for complex, its complex) dtype."""
    categories = [v._dtype.category if isinstance(v, TensorBase) else scalar_dtype(v).category for v in values]
    return int64 if max(categories) < FLOATING else default_complex() if max(categories) == COMPLEX else get_default_dtype()


@offered
def arange(*args: Any, start: Any = None, end: Any = None, step: Any = None, out: Any = None, dtype: Any = None,
           layout: Any = strided, device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`arange(end)`, `arange(start, end)`, `arange(start, end, step)`: from `start` (0) up to but without `end`.

    int64 for whole numbers, else the default dtype. Raises `RuntimeError` for a step of 0 or of the wrong sign.

    >>> arange(1, 2, 0.5)
    tensor([1.0000, 1.5000])
    """
    if len(args) == 1 and end is None:
        first, last, by = start, args[0], step
    else:
        if len(args) > 3 or (not args and end is None):
            raise TypeError(f"arange() takes end, or start and end, or start, end and step; got {len(args)} positional arguments")
        first = args[0] if args else start
        last = args[1] if len(args) > 1 else end
        by = args[2] if len(args) > 2 else step
    given = (0 if first is None else first, last, 1 if by is None else by)
    numbers = tuple(_range_number(v, "arange", name) for v, name in zip(given, ("start", "end", "step"), strict=True))
    if dtype is None and out is None:
        dtype = _range_dtype(*given)
    of, where = placement(dtype, device, layout, out, "arange")
    if of.category in (BOOL, COMPLEX):
        raise NotImplementedError(f'"arange_cpu" not implemented for {of!r}: make it in an integer or floating dtype and convert it')
    op: Primitive = Range("arange", numbers, of)
    if of.category == INTEGER and any(isinstance(n, float) for n in numbers):
        op = _whole_steps(*numbers, of)
    return deliver(create(op, where, requires_grad), out, "arange")


def _whole_steps(start: Any, end: Any, step: Any, of: dtype) -> Primitive:
    """`arange` of fractions in an integer dtype: as many elements as the fractions give, counted in whole steps, as in torch."""
    if step == 0 or not all(math.isfinite(v) for v in (start, end, step)) or (end - start) * step < 0:
        return Range("arange", (float(start), float(end), float(step)), get_default_dtype())  # whose kernel says what is wrong
    count = math.ceil((end - start) / step)
    first, whole = int(start), int(step)
    return Range("arange", (first, first + whole * count, whole), of) if whole else Fill((count,), of, first)


@offered
def range(start: Any = 0, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = strided,
          device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """Like `arange` but with `end` included and always of a floating dtype by default. Deprecated in torch: use `arange`."""
    warnings.warn("torch.range is deprecated because it includes its end, unlike Python's range: use torch.arange", UserWarning, stacklevel=3)
    if end is None:
        start, end = 0, start
    first, last, by = (_range_number(v, "range", name) for v, name in ((start, "start"), (end, "end"), (step, "step")))
    if by == 0:
        raise RuntimeError("range(): step must be nonzero")
    if (last - first) * by < 0:
        raise RuntimeError(f"range(): upper bound {last} and lower bound {first} inconsistent with the sign of step {by}")
    count = int((last - first) / by) + 1
    of, where = placement(dtype, device, layout, out, "range")
    return deliver(create(Range("arange", (first, first + by * (count - 0.5), by), of), where, requires_grad), out, "range")


def _steps(steps: Any, operation: str) -> int:
    try:
        count = operator.index(steps)
    except TypeError:
        raise TypeError(f"{operation}(): argument 'steps' must be int, not {type(steps).__name__}") from None
    if count < 0:
        raise RuntimeError(f"{operation}(): number of steps must be non-negative, got {count}")
    return count


def _space(operation: str, start: Any, end: Any, rest: tuple[Any, ...], dtype: Any, layout: Any, device: Any, out: Any,
           requires_grad: bool) -> Any:
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
def linspace(start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
             pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`steps` evenly spaced numbers from `start` to `end`, both included.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _space("linspace", start, end, (_steps(steps, "linspace"),), dtype, layout, device, out, requires_grad)


@offered
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = strided,
             device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """`base` to the powers of `linspace(start, end, steps)`."""
    return _space("logspace", start, end, (_steps(steps, "logspace"), base), dtype, layout, device, out, requires_grad)


@offered
def eye(n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = strided, device: Any = None,
        pin_memory: bool = False, requires_grad: bool = False) -> Any:
    """The identity matrix of `n` rows and `m` (`n`) columns."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and not hasattr(size, "__index__"):
            raise TypeError(f"eye(): argument '{name}' must be int, not {type(size).__name__}")
        if size is not None and size < 0:
            raise RuntimeError(f"eye(): {name} must be greater or equal to 0, got {size}")
    rows = operator.index(n)
    of, where = placement(dtype, device, layout, out, "eye")
    return deliver(create(Range("eye", (rows, rows if m is None else operator.index(m)), of), where, requires_grad), out, "eye")


methods(new_zeros, new_ones, new_empty, new_full, new_empty_strided)
