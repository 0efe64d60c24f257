"""torch's older ways to make tensors and name their kinds: `Tensor(2, 3)`, `FloatTensor([1, 2])`, `t.type()`; subclasses."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rushlight.base.device import CPU, concrete, device
from rushlight.base.dtypes import ALL, dtype, get_default_dtype
from rushlight.base.layout import strided
from rushlight.core.modes import Override
from rushlight.core.public import Tensor
from rushlight.core.tensor import TensorBase, attach, make_alias
from rushlight.ops.cast import alias, to
from rushlight.ops.common import methods
from rushlight.ops.creation import empty
from rushlight.ops.from_data import tensor
from rushlight.ops.history import detach

_TYPE_NAMES: Final = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def legacy_tensor(operation: str, args: tuple[Any, ...], of: dtype, where: device) -> Any:
    """What the constructors of old make: sizes give uninitialised memory, a sequence or array its values, a tensor itself again."""
    if not args:
        return empty(0, dtype=of, device=where)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, TensorBase):
            return alias(first)
        if isinstance(first, (list, tuple, np.ndarray)) and not _is_size(first):
            return tensor(first, dtype=of, device=where)
        if isinstance(first, tuple):
            return empty(first, dtype=of, device=where)
    if all(hasattr(n, "__index__") for n in args):
        return empty(args, dtype=of, device=where)
    raise TypeError(
        f"{operation}(): data must be a sequence (got {type(first).__name__}); torch.tensor({first!r}) makes a tensor of a number"
    )


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and type(value).__name__ == "Size"


def as_class(t: Any, cls: type) -> Any:
    """`t`, which nobody else holds yet, as an instance of the tensor subclass `cls`."""
    if type(t) is not cls:
        try:
            t.__class__ = cls
        except TypeError:
            raise TypeError(f"results can't become {cls.__name__}: a Tensor subclass must not define __slots__") from None
    return t


def _new_tensor(cls: type, *args: Any, device: Any = None, **kwargs: Any) -> Any:
    """`Tensor(...)`: see the class."""
    where = CPU if device is None else concrete(_as_device(device))
    given = (*args, *kwargs.values()) if cls is Tensor else args
    return as_class(legacy_tensor("new", given, get_default_dtype(), where), cls)


def _as_device(value: Any) -> device:
    return device(value)


def new(self: Any, *args: Any, device: Any = None) -> Any:
    """A tensor of this one's dtype and device, in the ways of the legacy constructor."""
    where = self._device if device is None else concrete(_as_device(device))
    return legacy_tensor("new", args, self._dtype, where)


# `torch.FloatTensor` and kin.


class tensortype(type):
    """The class of `torch.FloatTensor` and kin: they make tensors of one dtype and device type, and `isinstance` looks at these."""

    dtype: dtype
    where: device
    layout: Any = strided

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], TensorBase) and args[0]._dtype is not cls.dtype:
            raise TypeError(
                f"{cls.__name__}(): expected a tensor of dtype {cls.dtype!r}, got {args[0]._dtype!r}; convert it with "
                f"x.to({cls.dtype!r})"
            )
        return legacy_tensor(cls.__name__, args, cls.dtype, concrete(cls.where))

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, TensorBase)
            and instance._dtype is cls.dtype
            and instance._device.type == cls.where.type
        )

    @property
    def is_cuda(cls) -> bool:
        return cls.where.type == "cuda"


def _module(where: device) -> str:
    return "torch" if where.type == "cpu" else f"torch.{where.type}"


def tensor_types(where: device) -> dict[str, Any]:
    """The tensor types of a device type by name: `{"FloatTensor": ...}`."""
    found: dict[str, Any] = {}
    for of in ALL:
        name = f"{_TYPE_NAMES[of.name]}Tensor"
        found[name] = tensortype(name, (), {"__module__": _module(where), "dtype": of, "where": where})
    return found


TENSOR_TYPES: Final = tensor_types(CPU)
DoubleTensor = TENSOR_TYPES["DoubleTensor"]
FloatTensor = TENSOR_TYPES["FloatTensor"]
HalfTensor = TENSOR_TYPES["HalfTensor"]
BFloat16Tensor = TENSOR_TYPES["BFloat16Tensor"]
CharTensor = TENSOR_TYPES["CharTensor"]
ShortTensor = TENSOR_TYPES["ShortTensor"]
IntTensor = TENSOR_TYPES["IntTensor"]
LongTensor = TENSOR_TYPES["LongTensor"]
ByteTensor = TENSOR_TYPES["ByteTensor"]
BoolTensor = TENSOR_TYPES["BoolTensor"]
ComplexFloatTensor = TENSOR_TYPES["ComplexFloatTensor"]
ComplexDoubleTensor = TENSOR_TYPES["ComplexDoubleTensor"]

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "ComplexDoubleTensor",
    "ComplexFloatTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]


def type_name(of: dtype, where: device) -> str:
    """torch's name of the kind of tensor, `"torch.cuda.FloatTensor"`."""
    return f"{_module(where)}.{_TYPE_NAMES[of.name]}Tensor"


def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """Without arguments the name of the tensor's kind, `'torch.FloatTensor'`; else the tensor converted to a dtype, tensor type or name.

    Raises `ValueError` for an unknown name.
    """
    if dtype is None:
        return type_name(self._dtype, self._device)
    if isinstance(dtype, tensortype):
        return to(self, device=dtype.where, dtype=dtype.dtype)
    if isinstance(dtype, str):
        for of in ALL:
            for kind in ("cpu", "cuda", "mps"):
                if dtype == type_name(of, device(kind)):
                    return to(self, device=kind if kind != self._device.type else None, dtype=of)
        raise ValueError(f"invalid type: '{dtype}'; expected a name such as 'torch.FloatTensor'")
    return to(self, dtype=dtype)


# Subclasses.


def as_subclass(self: Any, cls: type) -> Any:
    """The tensor as an instance of the subclass `cls`, on the same memory and with the same history."""
    if not issubclass(cls, TensorBase):
        raise TypeError(f"as_subclass(): cls must be a type that inherits from Tensor, got {cls!r}")
    with Override(torch_function=False):
        return as_class(alias(self) if self._requires_grad else make_alias(self), cls)


def _make_subclass(cls: type, data: Any, require_grad: bool = False) -> Any:
    """A leaf of the subclass `cls` on the memory of `data`."""
    with Override(torch_function=False):
        return as_class(detach(data), cls).requires_grad_(require_grad)


def _torch_function(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """What subclasses do with an operation unless they say otherwise: run it, and make tensors in the result their own."""
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with Override(torch_function=False):
        found = func(*args, **(kwargs or {}))
    return _converted(found, cls, args)


def _converted(found: Any, cls: type, args: tuple[Any, ...]) -> Any:
    if cls is Tensor:
        return found
    if isinstance(found, TensorBase):
        if isinstance(found, cls):
            return found
        return as_subclass(found, cls) if any(found is arg for arg in args) else as_class(found, cls)
    if isinstance(found, (tuple, list)) and type(found).__name__ != "Size":
        parts = [_converted(part, cls, args) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)
    return found


attach("__new__", staticmethod(_new_tensor))
attach("__torch_function__", classmethod(_torch_function))
attach("_make_subclass", staticmethod(_make_subclass))
methods(new, as_subclass, type=type_)
