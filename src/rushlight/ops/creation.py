"""Tensors of constants: zeros, ones, full, empty, eye, their `_like` and `new_` forms, ranges.

Tensors out of data (`tensor`, `as_tensor`...) are made in from_data.py, ranges in ranges.py; both are exported from here.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import (
    dtype,
    get_default_dtype,
    scalar_dtype,
)
from rushlight.base.layout import check_layout, check_memory_format, format_order, preserve_format, strided
from rushlight.base.shape import Shape, shape_argument
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
    like_order,
    number_argument,
    on_device,
    placement,
    sizes_argument,
)
from rushlight.ops.from_data import as_tensor, asarray, from_numpy, frombuffer, tensor
from rushlight.ops.offered import offered
from rushlight.ops.ranges import arange, eye, linspace, logspace, range

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "from_numpy",
    "frombuffer",
    "tensor",
    "empty",
    "empty_like",
    "empty_strided",
    "eye",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "range",
    "scalar_tensor",
    "zeros",
    "zeros_like",
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


# Constants.


@offered
def zeros(
    *args: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    names: Any = None,
) -> Any:
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
def ones(
    *args: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    names: Any = None,
) -> Any:
    """A tensor of ones; sizes as ints or one sequence."""
    shape = sizes_argument(args, size, "ones")
    of, where = placement(dtype, device, layout, out, "ones")
    return deliver(create(Fill(shape, of, 1), where, requires_grad), out, "ones")


@offered
def empty(
    *args: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = None,
    names: Any = None,
) -> Any:
    """A tensor whose values are whatever its memory held."""
    shape = sizes_argument(args, size, "empty")
    check_memory_format(memory_format, "empty")
    of, where = placement(dtype, device, layout, out, "empty")
    return deliver(
        create(Fill(shape, of, None, format_order(memory_format, len(shape))), where, requires_grad), out, "empty"
    )


@offered
def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    names: Any = None,
) -> Any:
    """A tensor of `size` filled with `fill_value`, whose own dtype (bool, int64, default float) it has without `dtype=`.

    Raises `RuntimeError` when the dtype cannot hold the value.
    """
    if hasattr(size, "__index__") and not isinstance(size, TensorBase):
        raise TypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}: write full(({size},), ...)"
        )
    shape = sizes_argument((), size, "full")
    value = number_argument(fill_value, "full", "fill_value")
    if dtype is None and out is None:
        dtype = fill_value._dtype if isinstance(fill_value, TensorBase) else scalar_dtype(value)
    of, where = placement(dtype, device, layout, out, "full")
    check_fits(value, of, "full")
    return deliver(create(Fill(shape, of, value), where, requires_grad), out, "full")


def scalar_tensor(
    s: Any,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """A zero-dim tensor of the default dtype."""
    return full(
        (),
        s,
        dtype=get_default_dtype() if dtype is None else dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )


@offered
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """An uninitialised tensor with strides (in elements) of the caller's choosing."""
    shape, strides = sizes_argument((), size, "empty_strided"), shape_argument((stride,), "empty_strided")
    if len(shape) != len(strides):
        raise RuntimeError(
            f"empty_strided(): dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(strides)})"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(f"empty_strided(): strides must not be negative, got {list(strides)}")
    of, where = placement(dtype, device, layout, None, "empty_strided")
    return create(EmptyStrided(shape, strides, of), where, requires_grad)


# Like another tensor.


def _like(
    input: Any,
    value: Any,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    memory_format: Any,
    operation: str,
) -> Any:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    check_layout(layout, operation)
    check_memory_format(memory_format, operation)
    where = input._device if device is None else chosen_device(device)
    of = input._dtype if dtype is None else as_dtype(dtype, operation)
    if value is not None and value is not ZERO_VALUE:
        check_fits(value, of, operation)
    return create(
        Fill(input._shape, on_device(of, where), value, like_order(input, memory_format)), where, requires_grad
    )


@offered
def zeros_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """Zeros in the shape, dtype, device and memory order of `input`."""
    return _like(input, ZERO_VALUE, dtype, layout, device, requires_grad, memory_format, "zeros_like")


@offered
def ones_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """Ones in the shape, dtype, device and memory order of `input`."""
    return _like(input, 1, dtype, layout, device, requires_grad, memory_format, "ones_like")


@offered
def empty_like(
    input: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """Uninitialised memory in the shape, dtype, device and memory order of `input`."""
    return _like(input, None, dtype, layout, device, requires_grad, memory_format, "empty_like")


@offered
def full_like(
    input: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """`fill_value` in the shape, dtype, device and memory order of `input`."""
    value = number_argument(fill_value, "full_like", "fill_value")
    return _like(input, value, dtype, layout, device, requires_grad, memory_format, "full_like")


def _new(self: Any, shape: Shape, value: Any, dtype: Any, device: Any, requires_grad: bool, operation: str) -> Any:
    where = self._device if device is None else chosen_device(device)
    of = on_device(self._dtype if dtype is None else as_dtype(dtype, operation), where)
    return create(Fill(shape, of, value), where, requires_grad)


@offered
def new_zeros(
    self: Any,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Zeros of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_zeros"), ZERO_VALUE, dtype, device, requires_grad, "new_zeros")


@offered
def new_ones(
    self: Any,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Ones of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_ones"), 1, dtype, device, requires_grad, "new_ones")


@offered
def new_empty(
    self: Any,
    *args: Any,
    size: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Uninitialised memory of another size in this tensor's dtype and on its device."""
    return _new(self, sizes_argument(args, size, "new_empty"), None, dtype, device, requires_grad, "new_empty")


@offered
def new_full(
    self: Any,
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`fill_value` in another size, in this tensor's dtype and on its device."""
    value = number_argument(fill_value, "new_full", "fill_value")
    check_fits(value, self._dtype if dtype is None else as_dtype(dtype, "new_full"), "new_full")
    return _new(self, sizes_argument((), size, "new_full"), value, dtype, device, requires_grad, "new_full")


@offered
def new_empty_strided(
    self: Any,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """`empty_strided` in this tensor's dtype and on its device."""
    return empty_strided(
        size,
        stride,
        dtype=self._dtype if dtype is None else dtype,
        device=self._device if device is None else device,
        requires_grad=requires_grad,
    )


methods(new_zeros, new_ones, new_empty, new_full, new_empty_strided)
