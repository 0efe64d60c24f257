"""Tensors and the rest of Python: NumPy, DLPack, pickle, copy, print, iteration."""

from __future__ import annotations

import copy
import copyreg
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.backends.registry import kernels_for
from rushlight.base.device import device
from rushlight.base.dtypes import BOOL, bfloat16, dtype, get_default_dtype
from rushlight.core.modes import Override
from rushlight.core.printing import tensor_format, tensor_repr
from rushlight.core.public import Tensor
from rushlight.core.storage import Array, Storage
from rushlight.core.tensor import SLOTS, TensorBase, alias_array, array_of, attach, is_tensor, wrap
from rushlight.ops.common import methods
from rushlight.ops.from_data import shared_tensor
from rushlight.ops.split import unbind
from rushlight.ops.storage import byte_offset, memory_bytes, memory_of, view_of_bytes
from rushlight.ops.tensor_types import as_class

__all__ = ["from_dlpack", "is_tensor"]


# NumPy.


def numpy(self: Any, *, force: bool = False) -> Array:
    """The tensor as a NumPy array on the same memory; `force=True` detaches and moves it to the host first.

    Raises `RuntimeError` for a tensor that requires a gradient, `TypeError` for one on another device. bfloat16 comes as an array of
    ml_dtypes' type.
    """
    if force:
        self = self.detach().cpu()
    if self.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if self._device.type == "meta":
        raise TypeError("can't convert meta device type tensor to numpy: it has a shape but no values. Make it on the CPU")
    if self._device.type != "cpu":
        raise TypeError(
            f"can't convert {self._device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            "first."
        )
    array = alias_array(self)
    self._storage.resizable = False
    return array[...] if array.ndim else array.view()


def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> Array:
    """What `np.asarray(tensor)` calls: the same memory where dtype and `copy` allow."""
    array = numpy(self)
    if dtype is None or np.dtype(dtype) == array.dtype:
        return array.copy() if copy else array
    if copy is False:
        raise ValueError(
            f"unable to avoid a copy: the tensor is {self._dtype!r} and the array should be {np.dtype(dtype)}; leave out "
            "copy=False"
        )
    return array.astype(dtype)


def __array_wrap__(self: Any, array: Array, context: Any = None, return_scalar: bool = False) -> Any:
    """Results of NumPy's functions on tensors are tensors (comparisons, as in torch, of uint8)."""
    array = np.asarray(array)
    return wrap(array.astype(np.uint8) if array.dtype.kind == "b" else array, self._device)


def tolist(self: Any) -> Any:
    """The values as nested lists of Python numbers; a number for a zero-dim tensor."""
    if self._device.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    array = array_of(self)
    return (array.astype(np.float32) if self._dtype is bfloat16 else array).tolist()


def __dlpack__(
    self: Any, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule of the memory. `BufferError` for tensors that require a gradient or that DLPack can't describe."""
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self._device.type != "cpu":
        raise BufferError(f"Can't export a tensor on {self._device}: there is no such memory here; use tensor.cpu()")
    if self._dtype is bfloat16:
        raise BufferError("Can't export a bfloat16 tensor: NumPy's DLPack has no name for it; use tensor.float()")
    return alias_array(self).__dlpack__(max_version=max_version, dl_device=dl_device, copy=copy)


def __dlpack_device__(self: Any) -> tuple[int, int]:
    """DLPack's device type and number: (1, 0), the CPU."""
    if self._device.type != "cpu":
        raise BufferError(f"a tensor on {self._device} has no DLPack device here; use tensor.cpu()")
    return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor on the memory of another library's array or tensor (one with `__dlpack__`)."""
    if not hasattr(ext_tensor, "__dlpack__"):
        raise RuntimeError(f"from_dlpack(): expected an object with __dlpack__, got {type(ext_tensor).__name__}")
    shared = shared_tensor(np.from_dlpack(ext_tensor, copy=copy), warn=False)
    return shared if device is None else shared.to(device)


# pickle and copy.


def rebuild_tensor(
    cls: type | None,
    memory: Array | None,
    record: Storage,
    of: dtype,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    where: device,
    requires_grad: bool,
    attributes: dict[str, Any] | None,
) -> Any:
    """The tensor that `__reduce_ex__` took apart: views of one storage that were pickled together share it again."""
    if memory is None:
        array = kernels_for(where).empty(shape, of.np)
    else:
        array = view_of_bytes(memory_bytes(memory), of.np, shape, strides, offset)
    t = wrap(array, where)
    t._storage = record
    t._requires_grad = requires_grad
    if cls is not None:
        as_class(t, cls)
    if attributes:
        t.__dict__.update(attributes)
    return t


def _taken_apart(t: Any) -> tuple[Array | None, tuple[int, ...], int]:
    """The memory of a tensor (None on meta) as an array that pickle can hold, with the strides and offset in elements."""
    if t._device.type == "meta":
        return None, (), 0
    array = alias_array(t)
    memory = memory_of(array)
    if not memory.flags.c_contiguous or byte_offset(array) % array.itemsize:
        memory = array = np.ascontiguousarray(array).reshape(array.shape)
    return memory, tuple(s // array.itemsize for s in array.strides), byte_offset(array) // array.itemsize


def __reduce_ex__(self: Any, protocol: Any) -> Any:
    memory, strides, offset = _taken_apart(self)
    cls = None if type(self) is Tensor else type(self)
    return rebuild_tensor, (
        cls,
        memory,
        self._storage,
        self._dtype,
        self._shape,
        strides,
        offset,
        self._device,
        self.requires_grad,
        dict(self.__dict__) or None,
    )


def _reduce_storage(record: Storage) -> Any:
    return Storage, ()


def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
    """A copy with memory of its own; views of one storage that are copied together share the copy. Leaves only."""
    if id(self) in memo:
        return memo[id(self)]
    if self.grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol: this one was "
            f"computed ({type(self.grad_fn).__name__}) and its history can't be copied. Copy x.detach() instead."
        )
    memory, strides, offset = _taken_apart(self)
    cls = None if type(self) is Tensor else type(self)
    with Override(torch_function=False):
        found = rebuild_tensor(
            cls,
            copy.deepcopy(memory, memo),
            copy.deepcopy(self._storage, memo),
            self._dtype,
            self._shape,
            strides,
            offset,
            self._device,
            self._requires_grad,
            None,
        )
        memo[id(self)] = found
        if self._meta is not None and self._meta.grad is not None:
            found.autograd_meta().grad = copy.deepcopy(self._meta.grad, memo)
    found.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return found


# Text.


def __repr__(self: Any, *, tensor_contents: str | None = None) -> str:
    with Override(torch_function=False):
        node = self.grad_fn
        return tensor_repr(
            None if self._device.type == "meta" else array_of(self),
            dtype_name=self._dtype.name,
            default_dtype_name=get_default_dtype().name,
            shape=self._shape,
            device_text=None if self._device.type == "cpu" else str(self._device),
            requires_grad=self.requires_grad,
            grad_fn_name=None if node is None else type(node).__name__,
            class_prefix="tensor(" if type(self) is Tensor else f"{type(self).__name__}(",
            tensor_contents=tensor_contents,
        )


def __format__(self: Any, format_spec: str) -> str:
    plain = type(self) is Tensor and not self._shape and self._device.type != "meta"
    return tensor_format(self, self.item() if plain else None, format_spec)


def __dir__(self: Any) -> list[str]:
    """The public names and the user's own attributes; the engine's slots are left out."""
    return sorted(name for name in object.__dir__(self) if name not in SLOTS)


# Iteration.


def __iter__(self: Any) -> Iterator[Any]:
    if not self._shape:
        raise TypeError("iteration over a 0-d tensor: it has no dimension to go along; use x.item() for its value")
    return iter(unbind(self, 0))


def __reversed__(self: Any) -> Any:
    """The tensor in reverse order of its first dimension."""
    return self.flip(0) if self._shape else self


def __contains__(self: Any, element: Any) -> bool:
    """Whether some element equals `element`; `RuntimeError` for what is neither a tensor nor a number."""
    if not isinstance(element, (TensorBase, int, float, complex)):
        raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")
    return bool((self == element).any())


def is_nonzero(input: Any) -> bool:
    """Whether the only element is not zero (False); `RuntimeError` for several or none."""
    if input.numel() != 1:
        amount = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {amount} is ambiguous")
    return bool(input.item()) if input._dtype.category != BOOL else input.item()  # type: ignore[no-any-return]


copyreg.pickle(Storage, _reduce_storage)  # type: ignore[arg-type]
methods(
    __contains__,
    numpy,
    __array__,
    __array_wrap__,
    tolist,
    __dlpack__,
    __dlpack_device__,
    __reduce_ex__,
    __deepcopy__,
    __repr__,
    __format__,
    __dir__,
    __iter__,
    __reversed__,
    is_nonzero,
)
attach("__hash__", object.__hash__)
