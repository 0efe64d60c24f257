"""What all functions that make new tensors share: the call itself, dtype and device arguments, memory order.

`offered`, which decorates them, is in ops/offered.py.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU, as_device, concrete, device, get_default_device
from rushlight.base.dtypes import (
    BOOL,
    COMPLEX,
    FLOATING,
    bool_,
    complex64,
    complex128,
    dtype,
    float32,
    float64,
    get_default_dtype,
    int64,
)
from rushlight.base.kinds import Device, Dtype
from rushlight.base.layout import check_layout, dense_order, format_order, inverse_order, preserve_format
from rushlight.base.shape import Shape, check_sizes, shape_argument
from rushlight.base.warn import warn_user
from rushlight.core.modes import STATE, local
from rushlight.core.primitive import Primitive
from rushlight.core.storage import Array, View
from rushlight.core.tensor import TensorBase, wrap
from rushlight.ops.common import write_out

# Python's own types stand for dtypes, as in torch.
_PYTHON_TYPES: Final[dict[Any, dtype]] = {float: float64, int: int64, bool: bool_, complex: complex128}
_warned_about: set[str] = set()


def create(op: Primitive, where: Device, requires_grad: bool = False) -> Any:
    """Apply an operation without tensor inputs: its kernel's result as a new leaf on `where`."""
    return finished(op, wrap(op.forward(where.kernels or kernels_for(where)), where), requires_grad)


def finished(op: Primitive, out: Any, requires_grad: bool = False) -> Any:
    """The modes and `requires_grad=` served for a tensor just made by `op` from no tensors."""
    if STATE.busy:
        if local.modes.inference:
            out._view = View(None, (), "inference", 0)
        for listener in local.modes.listeners:
            listener(op, (), out)
    if requires_grad:
        out.requires_grad_(True)
    return out


def deliver(result: Any, out: Any, operation: str) -> Any:
    """The result itself, or `out` holding it."""
    return result if out is None else write_out(out, result, operation)


# Arguments.


def sizes_argument(args: tuple[Any, ...], size: Any, operation: str) -> Shape:
    """The shape given as ints, as one sequence, or as `size=`; `RuntimeError` for negative sizes."""
    if size is not None:
        args = (size,)
    elif not args:
        raise TypeError(
            f'{operation}() missing 1 required positional arguments: "size"; give sizes as {operation}(2, 3) or {operation}((2, 3))'
        )
    shape = shape_argument(args, operation)
    check_sizes(shape, operation)
    return shape


def as_dtype(value: Any, operation: str) -> dtype:
    """A `dtype=` argument: one of ours, or a Python type that stands for one."""
    if type(value) is dtype:
        return value
    found = _PYTHON_TYPES.get(value) if isinstance(value, type) else None
    if found is None:
        raise TypeError(
            f"{operation}(): argument 'dtype' must be torch.dtype, not {type(value).__name__}: got {value!r}, "
            "expected for example torch.float32"
        )
    return found


def chosen_dtype(value: Any, out: Any, operation: str) -> dtype:
    """The dtype a factory makes: as asked, that of `out`, or the default one."""
    if value is not None:
        return as_dtype(value, operation)
    return get_default_dtype() if out is None else out._dtype


def chosen_device(value: Any, out: Any = None) -> device:
    """The device a factory makes its tensor on: as asked, that of `out`, or the default one."""
    if value is None:
        return get_default_device() if out is None else out._device
    return concrete(as_device(value))


def on_device(wanted: Dtype, where: Device) -> Any:
    """The dtype that stands for `wanted` on `where`: mps has no float64, so float32 takes its place, with one warning."""
    if where.type != "mps" or wanted not in (float64, complex128):
        return wanted
    held = float32 if wanted is float64 else complex64
    if wanted.name not in _warned_about:
        _warned_about.add(wanted.name)
        warn_user(
            f"mps has no {wanted.name}: such tensors become {held.name} on that device. Pass dtype={held!r} to say so "
            "yourself.",
        )
    return held


def placement(wanted_dtype: Any, wanted_device: Any, layout: Any, out: Any, operation: str) -> tuple[dtype, device]:
    """dtype and device of a new tensor from a factory's arguments."""
    if layout is not None:
        check_layout(layout, operation)
    if out is not None and not isinstance(out, TensorBase):
        raise TypeError(f"{operation}(): argument 'out' must be Tensor, not {type(out).__name__}")
    where = chosen_device(wanted_device, out)
    return on_device(chosen_dtype(wanted_dtype, out, operation), where), where


def check_fits(value: Any, of: Dtype, operation: str) -> None:
    """torch's `RuntimeError` for a number that `of` cannot hold; negative numbers may wrap in unsigned types."""
    if of.category == BOOL or not isinstance(value, (int, float, complex, np.number)):
        return
    if isinstance(value, (complex, np.complexfloating)):
        if of.category == COMPLEX:
            return
        if value.imag != 0:
            raise RuntimeError(
                f"{operation}(): value {value!r} cannot be converted to type {of.name} without overflow: it has an "
                "imaginary part; use a complex dtype"
            )
        value = value.real
    if of.category >= FLOATING:
        # Half types take any float32, becoming infinite; only what is beyond that is refused.
        most = float(np.finfo(of.np if of.itemsize > 2 else np.float32).max)
        fits = value != value or value in (float("inf"), float("-inf")) or abs(value) <= most
    else:
        info = np.iinfo(of.np)
        fits = value == value and (-info.max if info.min == 0 else info.min) <= value <= info.max
    if not fits:
        raise RuntimeError(
            f"{operation}(): value {value!r} cannot be converted to type {of.name} without overflow; use a wider dtype "
            "or a smaller value"
        )


def number_argument(value: Any, operation: str, argument: str) -> Any:
    """A Python number from a number or a zero-dim tensor."""
    if isinstance(value, TensorBase):
        return value.item()
    if not isinstance(value, (bool, int, float, complex, np.number, np.bool_)):
        raise TypeError(f"{operation}(): argument '{argument}' must be Number, not {type(value).__name__}")
    return value


# Memory.


def empty_ordered(k: Any, shape: Shape, of: np.dtype[Any], order: Shape | None) -> Array:
    """Uninitialised dense memory whose dimensions lie in `order`, outermost first (None: row-major)."""
    if order is None:
        return k.empty(shape, of)  # type: ignore[no-any-return]
    return k.permute(k.empty(tuple(shape[d] for d in order), of), inverse_order(order))  # type: ignore[no-any-return]


def like_order(input: Any, memory_format: Any) -> Shape | None:
    """The memory order of a tensor made like `input`: its own (None, `preserve_format`) or the format's."""
    if memory_format is not None and memory_format is not preserve_format:
        return format_order(memory_format, len(input._shape))
    array = input._array
    return None if array is None or input._device.type == "meta" else order_of(array)


def order_of(array: Array) -> Shape | None:
    """The memory order that a dense copy of `array` keeps (torch's `preserve_format`)."""
    return None if array.flags.c_contiguous else dense_order(array.shape, array.strides)


def on_host(where: device) -> bool:
    """Whether tensors on `where` hold values in host memory (everything but meta)."""
    return where.type != "meta"


def upload(array: Array, where: device) -> Any:
    """A tensor on `where` that owns the host `array` from now on."""
    k = CPU.kernels if where is CPU else kernels_for(where)
    return wrap(array if on_host(where) else k.empty(array.shape, array.dtype), where)


class Fill(Primitive):
    """Memory of a shape filled with one value, or left as it is for the value None."""

    __slots__ = ("shape", "dtype", "value", "order")
    name = "full"
    differentiable = False

    def __init__(self, shape: Shape, of: dtype, value: Any = None, order: Shape | None = None) -> None:
        self.shape = shape
        self.dtype = of
        self.value = value
        self.order = order

    def forward(self, k: Any, *arrays: Any) -> Any:
        value, of = self.value, self.dtype.np
        if self.order is None:
            return (
                k.empty(self.shape, of)
                if value is None
                else k.zeros(self.shape, of)
                if value is ZERO_VALUE
                else k.full(self.shape, value, of)
            )
        out = empty_ordered(k, self.shape, of, self.order)
        if value is not None:
            k.copy_into(out, k.scalar(0 if value is ZERO_VALUE else value, of))
        return out


class ZeroValue:
    """The value of `zeros`, for which memory may come zeroed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "0"


ZERO_VALUE: Final = ZeroValue()
