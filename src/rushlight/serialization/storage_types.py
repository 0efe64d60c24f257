"""torch's storage classes by name (FloatStorage...), and the storages that a load is putting together."""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

from rushlight.base.device import CPU, as_device, concrete, device
from rushlight.base.dtypes import dtype
from rushlight.core.storage import Array, Storage
from rushlight.ops.storage import UntypedStorage
from rushlight.serialization import bridge

NATIVE_ORDER: Final = sys.byteorder

# torch's names for the storage of each dtype; dtypes that are not here are saved as UntypedStorage with their dtype
# beside.
STORAGE_OF_DTYPE: Final = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex128": "ComplexDoubleStorage",
    "complex64": "ComplexFloatStorage",
}
QUANTIZED_STORAGES: Final = ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage")


class StorageType:
    """Stands for one of torch's storage classes; `dtype` is None for UntypedStorage, whose items are bytes."""

    __slots__ = ("name", "dtype")

    def __init__(self, name: str, dtype_name: str | None) -> None:
        self.name = name
        self.dtype: dtype | None = None if dtype_name is None else bridge.dtype_named(dtype_name)

    @property
    def itemsize(self) -> int:
        return 1 if self.dtype is None else self.dtype.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"


UNTYPED: Final = StorageType("UntypedStorage", None)
TYPED: Final = {dtype_name: StorageType(name, dtype_name) for dtype_name, name in STORAGE_OF_DTYPE.items()}


def swap_bytes(array: Array, element: dtype) -> None:
    """Reverse the byte order of a byte array's elements in place; a complex number is two elements."""
    width = element.itemsize // 2 if element.is_complex else element.itemsize
    if width > 1:
        array.view(f"u{width}").byteswap(inplace=True)


class CheckpointStorage(UntypedStorage):
    """The memory of one storage in a checkpoint: what `map_location` functions receive, and what tensors are made on.

    dtype: its element type, None when the file says nothing about it. foreign: the bytes are still in the
    other byte order, until the first tensor tells the element size.
    """

    __slots__ = ("dtype", "foreign")

    def __init__(self, array: Array, where: device = CPU, element: dtype | None = None, foreign: bool = False) -> None:
        super().__init__(array, Storage(), where, int(array.nbytes))
        self.dtype = element
        self.foreign = foreign

    @property
    def array(self) -> Array:
        """The bytes (one-dimensional uint8), shared by every tensor on this storage."""
        assert self.memory is not None
        return self.memory

    def size(self) -> int:
        """The number of elements (bytes when the element type is not known)."""
        return self.nbytes() // (1 if self.dtype is None else self.dtype.itemsize)

    __len__ = size

    def to(self, device: Any) -> CheckpointStorage:  # torch's own argument name
        """This storage on another device."""
        where = concrete(as_device(device))
        if where is self.device:
            return self
        return CheckpointStorage(self.array, where, self.dtype, self.foreign)

    def cpu(self) -> CheckpointStorage:
        return self.to(CPU)

    def cuda(self, device: int | None = None) -> CheckpointStorage:  # torch's own argument name
        return self.to(f"cuda:{device or 0}")

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        values = self.array if self.dtype is None else self.array.view(self.dtype.np)
        return list(values.tolist())

    def settle_order(self, element: dtype) -> None:
        """Bring the bytes into this machine's order, now that the element type is known."""
        if self.foreign:
            swap_bytes(self.array, element)
            self.foreign = False


def empty_bytes(count: int) -> Array:
    """Uninitialised bytes for a storage."""
    return np.empty(count, np.uint8)
