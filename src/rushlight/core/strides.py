"""The strides of tensors."""

from __future__ import annotations

from typing import Any

from rushlight.base.shape import Shape, contiguous_strides
from rushlight.core.tensor import TensorBase


def numpy_strides(t: TensorBase) -> Shape:
    """The strides in elements as torch reports them."""
    array: Any = t._array
    if array is None:
        storage = t._storage
        array = storage.relaid
        if array is None:
            assert storage.hidden is not None
            return contiguous_strides(t._shape)
    size = t._dtype.itemsize
    return tuple(s // size for s in array.strides)
