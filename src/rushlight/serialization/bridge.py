"""The one place where serialization touches tensors: making them on shared memory, and taking them apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base import dtypes
from rushlight.base.device import META, device
from rushlight.base.dtypes import dtype
from rushlight.base.shape import contiguous_strides
from rushlight.core.storage import Array, Storage
from rushlight.core.tensor import TensorBase, array_of, wrap
from rushlight.ops.storage import memory_bytes, memory_of


def dtype_named(name: str) -> dtype | None:
    """Our dtype called `name`, or None when torch has it and we do not."""
    try:
        return dtypes.by_name(name)
    except KeyError:
        return None


def make_tensor(
    memory: Array,
    shared: Storage,
    element: dtype,
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    where: device,
) -> Any:
    """A tensor on part of a storage.

    memory: the storage's bytes. shared: the record that all tensors on this memory share. offset, stride: in elements.
    Raises `ValueError` when the view would leave the memory.
    """
    if len(size) != len(stride) or offset < 0 or any(n < 0 for n in (*size, *stride)):
        raise ValueError("a tensor in the file has a negative or incomplete size, stride or offset")
    width = element.itemsize
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if all(size) else offset - 1
    if (last + 1) * width > memory.nbytes:
        raise ValueError(f"a tensor in the file reaches element {last} of a storage that has {memory.nbytes // width}")
    # An empty tensor may stand past the end of its storage; it keeps nothing but its shape.
    place = offset * width if all(size) else 0
    array: Array = np.ndarray(
        size, element.np, memory, place, tuple(step * width for step in stride) if all(size) else None
    )
    tensor = wrap(array, where)
    tensor._storage = shared
    return tensor


def make_meta_tensor(element: dtype, size: tuple[int, ...]) -> Any:
    """A tensor with a shape and no memory."""
    return wrap(np.broadcast_to(np.empty((), element.np), size), META)


def is_tensor(value: Any) -> bool:
    return isinstance(value, TensorBase)


class TensorParts:
    """A tensor taken apart for writing; offset, size and stride count elements of `memory`.

    memory: every byte of the memory the tensor lies in (one-dimensional uint8), None for a meta tensor.
    key: equal for tensors on the same memory, as long as `memory` lives.
    """

    __slots__ = ("memory", "key", "dtype", "offset", "size", "stride")

    def __init__(
        self,
        memory: Array | None,
        key: tuple[str, int],
        element: dtype,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
    ) -> None:
        self.memory = memory
        self.key = key
        self.dtype = element
        self.offset = offset
        self.size = size
        self.stride = stride


def tensor_parts(tensor: Any) -> TensorParts:
    """Where the values of `tensor` lie."""
    size, element = tuple(tensor.shape), tensor.dtype
    if tensor.device.type == "meta":
        return TensorParts(None, ("meta", id(tensor)), element, 0, size, contiguous_strides(size))
    if 0 in size:
        empty = np.empty(0, np.uint8)
        return TensorParts(empty, ("empty", id(tensor._storage)), element, 0, size, contiguous_strides(size))
    array = array_of(tensor)
    hidden = tensor._storage.hidden is not None
    width = element.itemsize
    if any(step < 0 or step % width for step in (*array.strides, *memory_of(array).strides)):
        array = np.ascontiguousarray(array)
    memory = memory_bytes(array)
    low = memory.__array_interface__["data"][0]
    shift = array.__array_interface__["data"][0] - low
    if shift % width:
        array = np.array(array, order="C")
        memory, shift = memory_bytes(array), 0
        low = memory.__array_interface__["data"][0]
    stride = tuple(step // width for step in array.strides)
    # A hidden storage gives a temporary copy each time: what stays the same is its record.
    key = ("hidden", id(tensor._storage)) if hidden else ("memory", low)
    return TensorParts(memory, key, element, shift // width, size, stride)


def contiguous_array(tensor: Any) -> Array:
    """The tensor's values as a dense row-major array (its own memory when it is dense already)."""
    return np.ascontiguousarray(array_of(tensor)).reshape(tuple(tensor.shape))


def tensor_from_array(array: Array, where: device) -> Any:
    """A tensor that owns `array` from now on."""
    return wrap(array, where)
