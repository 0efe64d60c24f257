"""Writes over a tensor: copy_, fill_, zero_, and new memory for one: set_, resize_, resize_as_."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.backends.registry import kernels_for
from rushlight.base.dtypes import COMPLEX
from rushlight.base.layout import check_memory_format, format_order
from rushlight.base.shape import broadcast_shapes, check_sizes, contiguous_strides, shape_argument
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.core.tensor import TensorBase, alias_array
from rushlight.ops.cast import to, warn_of_lost_part
from rushlight.ops.common import Number, constant, methods, replace_memory, serve
from rushlight.ops.creation import zeros_like
from rushlight.ops.factory import check_fits, empty_ordered
from rushlight.ops.storage import UntypedStorage, byte_offset, memory_bytes, view_of_bytes

__all__ = ["fill"]


class Overwrite(Primitive):
    """Whatever the target was is gone: its cotangent is zero."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        return self.forward_into(k, k.empty(arrays[0].shape, arrays[0].dtype), *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g)


class Copy(Overwrite):
    """The values of another tensor, broadcast and cast."""

    __slots__ = ()
    name = "copy"
    node_name = "CopyBackwards"

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        source = arrays[1]
        k.copy_into(out, source if source.dtype == out.dtype else k.cast(source, out.dtype))
        return out

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g) if needs[0] else None, g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)


class FillNumber(Overwrite):
    """One number everywhere."""

    __slots__ = ("value",)
    name = "fill"
    reads_target = False

    def __init__(self, value: Any) -> None:
        self.value = value

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        k.copy_into(out, k.scalar(self.value, out.dtype))
        return out

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return zeros_like(tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return fill, (tensors[0], self.value), {}


class FillNumberInplace(FillNumber):
    """What `fill_(number)` records."""

    __slots__ = ()
    name = "fill"
    node_name = "FillBackward2"

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return fill_, (tensors[0], self.value), {}


class FillTensor(Overwrite):
    """The value of a zero-dim tensor everywhere."""

    __slots__ = ()
    name = "fill"
    reads_target = False
    node_name = "FillBackward1"

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        k.copy_into(out, k.cast(arrays[1], out.dtype))
        return out

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g) if needs[0] else None, g.sum() if needs[1] else None


class FillTensorInplace(FillTensor):
    """What `fill_(tensor)` records."""

    __slots__ = ()
    name = "fill"
    node_name = "FillBackward3"


class Zero(FillNumber):
    """Zeros."""

    __slots__ = ()
    name = "zero"

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        k.copy_into(out, k.zeros((), out.dtype))
        return out

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return zero_, tensors, {}


COPY = Copy()
ZERO = Zero(0)


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write the values of `src` over the tensor, broadcast, cast to its dtype and moved to its device; returns the tensor.

    Raises `RuntimeError` when the shapes do not broadcast, and for a leaf that requires a gradient.
    """
    if isinstance(src, Number):
        src = constant(src, self._dtype, self._device)
    if not isinstance(src, TensorBase):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}")
    if src._dtype.category == COMPLEX:
        warn_of_lost_part(self._dtype)
    if src._shape != self._shape:
        shape = broadcast_shapes(self._shape, src._shape)
        if shape != self._shape:
            raise RuntimeError(
                f"copy_(): output with shape {list(self._shape)} doesn't match the broadcast shape {list(shape)}"
            )
    if src._device is not self._device:
        if src._device.type == "meta":
            raise NotImplementedError("copy_(): Cannot copy out of meta tensor; no data!")
        src = to(src, device=self._device)
    return apply_inplace(COPY, self, (src,))


def _fill_operands(operation: str, input: Any, value: Any) -> Any:
    """The number to fill with, or a zero-dim tensor."""
    if isinstance(value, TensorBase):
        if value._shape:
            raise RuntimeError(
                f"{operation} only supports 0-dimension value tensor but got tensor with {len(value._shape)} dimensions."
            )
        return value
    if not isinstance(value, Number):
        raise TypeError(
            f"{operation}(): argument 'value' must be a number or a zero-dim tensor, not {type(value).__name__}"
        )
    check_fits(value, input._dtype, operation)
    return value


def fill(input: Any, value: Any) -> Any:
    """A tensor like `input` with `value` (a number or a zero-dim tensor) everywhere."""
    found = _fill_operands("fill", input, value)
    return apply2(FillTensor(), input, found) if isinstance(found, TensorBase) else apply1(FillNumber(found), input)


def fill_(self: Any, value: Any) -> Any:
    """Write `value` (a number or a zero-dim tensor) over every element; returns the tensor."""
    found = _fill_operands("fill_", self, value)
    if isinstance(found, TensorBase):
        return apply_inplace(FillTensorInplace(), self, (found,))
    return apply_inplace(FillNumberInplace(found), self)


def zero_(self: Any) -> Any:
    """Write zeros over every element; returns the tensor."""
    return apply_inplace(ZERO, self)


# New memory for a tensor.


def set_(self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Any:
    """Let the tensor look at the memory of `source` (a tensor or a storage), at offset, size and strides counted in elements.

    Without `source` the tensor becomes empty. Raises `RuntimeError` for another dtype, or when the memory is too small.
    """
    if source is None:
        replace_memory(self, kernels_for(self._device).empty((0,), self._dtype.np))
        return self
    if isinstance(source, TensorBase):
        if source._dtype is not self._dtype:
            raise RuntimeError(
                f"set_(): Could not set tensor of type {source._dtype!r} to a tensor of type {self._dtype!r}"
            )
        array, record = alias_array(source), source._storage
        if size is not None:
            array = _placed(self, memory_bytes(array), storage_offset, size, stride)
    elif isinstance(source, UntypedStorage):
        if source.memory is None:
            raise NotImplementedError("set_(): the storage of a meta tensor has no memory")
        count = source.nbytes() // self._dtype.itemsize - storage_offset
        array = _placed(self, source.memory, storage_offset, (count,) if size is None else size, stride)
        record = source.record
    else:
        raise TypeError(f"set_(): argument 'source' must be a Tensor or an UntypedStorage, not {type(source).__name__}")
    self._array, self._shape, self._storage, self._view = array, array.shape, record, None
    return self


def _placed(self: Any, memory: Any, offset: int, size: Any, stride: Any) -> Any:
    shape = shape_argument((size,), "set_")
    strides = contiguous_strides(shape) if stride is None else shape_argument((stride,), "set_")
    return view_of_bytes(memory, self._dtype.np, shape, strides, offset)


def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Any:
    """Give the tensor another shape in place: on its own memory if that is large enough, else on larger memory that keeps the old
    values; the rest is uninitialised.

    Raises `RuntimeError` for a tensor that requires a gradient, and when memory that belongs to NumPy would have to grow.
    """
    shape = shape_argument(sizes, "resize_")
    check_sizes(shape, "resize_")
    check_memory_format(memory_format, "resize_")
    if self._requires_grad:
        raise RuntimeError("cannot resize variables that require grad; resize a detached copy instead")
    if shape == self._shape and memory_format is None:
        return self
    k = kernels_for(self._device)
    if self._device.type == "meta":
        replace_memory(self, k.empty(shape, self._dtype.np))
        return self
    array = alias_array(self)
    memory, start, size = memory_bytes(array), byte_offset(array), self._dtype.itemsize
    order = format_order(memory_format, len(shape))
    if order is None and start + prod(shape) * size <= memory.size:
        self._array = view_of_bytes(memory, self._dtype.np, shape, contiguous_strides(shape), start // size)
        self._shape, self._view = shape, None
        return self
    if not self._storage.resizable:
        raise RuntimeError(
            f"Trying to resize storage that is not resizable: it has {memory.size} bytes that belong to a NumPy array or "
            f"buffer, {list(shape)} needs {prod(shape) * size}. clone() the tensor first."
        )
    larger = empty_ordered(k, shape, self._dtype.np, order)
    kept = memory[start : start + prod(shape) * size]
    memory_bytes(larger)[: kept.size] = kept
    replace_memory(self, larger)
    return self


def resize_as_(self: Any, the_template: Any, memory_format: Any = None) -> Any:
    """`resize_` to the shape of another tensor."""
    return resize_(self, the_template._shape, memory_format=memory_format)


serve(FillTensor, fill)
serve(Copy, copy_)
serve(FillTensorInplace, fill_)
methods(copy_, fill_, zero_, set_, resize_, resize_as_)
