"""The memory under tensors: strides, offsets, pointers and `untyped_storage()`."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from rushlight.base.device import device
from rushlight.base.layout import layout, strided
from rushlight.base.shape import Shape, contiguous_strides, normalize_dim
from rushlight.core.storage import Array, Storage
from rushlight.core.strides import numpy_strides
from rushlight.core.tensor import alias_array, attach
from rushlight.ops.common import methods

__all__ = ["UntypedStorage"]


def memory_of(array: Array) -> Array:
    """The array that owns the memory `array` looks at, or the last one before memory of another kind."""
    root: Any = array
    while True:
        below = root.base
        # `as_strided` puts an object of its own between a view and its array.
        inner = below if isinstance(below, np.ndarray) else getattr(below, "base", None)
        if not isinstance(inner, np.ndarray):
            return root  # type: ignore[no-any-return]
        root = inner


def memory_bytes(array: Array) -> Array:
    """All the memory under `array` as one run of bytes, whatever the order of its dimensions."""
    root = memory_of(array)
    if root.size == 0:
        return np.empty(0, np.uint8)
    if root.flags.c_contiguous:
        return root.reshape(-1).view(np.uint8)
    low, high = np.lib.array_utils.byte_bounds(root)
    first = root[tuple(slice(0, 1) for _ in range(root.ndim))].reshape(1, copy=False).view(np.uint8)
    return np.lib.stride_tricks.as_strided(first, (high - low,), (1,), writeable=root.flags.writeable)


def byte_offset(array: Array) -> int:
    """Where `array` starts in the memory under it, in bytes."""
    if array.size == 0:
        return 0
    root = memory_of(array)
    return int(array.__array_interface__["data"][0] - np.lib.array_utils.byte_bounds(root)[0])


def view_of_bytes(memory: Array, of: np.dtype[Any], shape: Shape, strides: Shape, offset: int) -> Array:
    """An array on a run of bytes; `strides` and `offset` count elements. `RuntimeError` when it would leave the memory."""
    size = of.itemsize
    if prod(shape) == 0:
        return np.empty(shape, of)
    reach = offset + 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if reach * size > memory.size:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset} require a storage size of "
            f"{reach * size}, but the storage has {memory.size} bytes"
        )
    return np.ndarray(shape, of, memory, offset * size, tuple(s * size for s in strides))  # type: ignore[arg-type]


class UntypedStorage:
    """The bytes that a tensor and its views share, as `Tensor.untyped_storage()` gives them.

    `record` is what tensors on this memory share (version counter); `memory` the bytes, None on meta.
    """

    __slots__ = ("memory", "record", "device", "_length")

    def __init__(self, memory: Array | None, record: Storage, where: device, length: int) -> None:
        self.memory = memory
        self.record = record
        self.device = where
        self._length = length

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._length

    size = __len__ = nbytes

    def element_size(self) -> int:
        """Bytes per element: 1."""
        return 1

    def data_ptr(self) -> int:
        """The address of the first byte, 0 for no memory."""
        return 0 if self.memory is None or not self._length else int(self.memory.__array_interface__["data"][0])

    def resizable(self) -> bool:
        """Whether tensors may ask for more memory: not where it belongs to someone else, such as a NumPy array."""
        return self.record.resizable

    def is_shared(self) -> bool:
        return False

    def is_pinned(self) -> bool:
        return False

    def __getitem__(self, index: Any) -> Any:
        if self.memory is None:
            raise NotImplementedError("UntypedStorage: a meta tensor has no memory to look at")
        found = self.memory[index]
        if isinstance(index, slice):
            return UntypedStorage(found, self.record, self.device, found.size)
        return int(found)

    def tolist(self) -> list[int]:
        """The bytes as a list of ints."""
        return [] if self.memory is None else self.memory.tolist()

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, UntypedStorage):
            return NotImplemented
        return self.record is other.record and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash((id(self.record), self.data_ptr()))

    def __repr__(self) -> str:
        lines = "" if self.memory is None else "".join(f" {byte}\n" for byte in self.memory.tolist())
        return f"{lines}[torch.storage.UntypedStorage(device={self.device}) of size {self._length}]"


UntypedStorage.__module__ = "torch.storage"


def stride(self: Any, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dimension."""
    found = None if self._device.type == "meta" else numpy_strides(self)
    if found is None or (0 in self._shape and not any(found)):  # NumPy gives fresh empty arrays strides of 0
        found = contiguous_strides(self._shape)
    return found if dim is None else found[normalize_dim(dim, len(self._shape), "stride")]


def storage_offset(self: Any) -> int:
    """Where the first element lies in the storage, in elements."""
    if self._array is None or self._device.type == "meta":
        return 0
    return byte_offset(self._array) // self._dtype.itemsize  # type: ignore[no-any-return]


def data_ptr(self: Any) -> int:
    """The address of the first element, 0 for a tensor without memory."""
    if self._device.type == "meta" or not self.numel():
        return 0
    return int(alias_array(self).__array_interface__["data"][0])


def untyped_storage(self: Any) -> UntypedStorage:
    """The memory of the tensor and its views."""
    if self._device.type == "meta":
        return UntypedStorage(None, self._storage, self._device, self.numel() * self._dtype.itemsize)
    memory = memory_bytes(alias_array(self))
    return UntypedStorage(memory, self._storage, self._device, memory.size)


def is_same_size(self: Any, other: Any) -> bool:
    """Whether both tensors have the same shape."""
    return bool(self._shape == other._shape)


def _answer(value: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return value

    return method


def share_memory_(self: Any) -> Any:
    """The tensor itself: worker processes get copies."""
    return self


def pin_memory(self: Any, device: Any = None) -> Any:
    """The tensor itself: without an accelerator there is nothing to pin for."""
    return self


methods(
    stride,
    storage_offset,
    data_ptr,
    untyped_storage,
    is_same_size,
    share_memory_,
    pin_memory,
    is_shared=_answer(False),
    is_pinned=_answer(False),
)


def _layout(self: Any) -> layout:
    """How the elements are stored: always `strided`."""
    return strided


attach("layout", property(_layout))
