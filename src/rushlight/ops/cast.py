"""Copies and moves: clone, contiguous, `to` and the dtype and device casts built on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU, as_device, concrete, device
from rushlight.base.dtypes import (
    BOOL,
    COMPLEX,
    FLOATING,
    bfloat16,
    bool_,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from rushlight.base.layout import (
    check_memory_format,
    contiguous_format,
    format_order,
    is_dense_in,
    memory_format,
    preserve_format,
)
from rushlight.base.shape import Shape
from rushlight.base.warn import warn_user
from rushlight.core.modes import STATE, local
from rushlight.core.primitive import (
    PLAIN,
    Primitive,
    apply1,
    apply_view,
    input_array,
    overridden,
    record_node,
    wants_grad,
)
from rushlight.core.storage import Array, View
from rushlight.core.strides import numpy_strides
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase, attach, wrap
from rushlight.ops.common import methods, serve
from rushlight.ops.factory import as_dtype, empty_ordered, on_device, order_of

__all__ = ["clone"]


def dense_copy(k: Any, x: Array, order: Shape | None) -> Any:
    """A copy of `x` whose dimensions lie in memory in `order`, None for row-major."""
    if order is None:
        return k.contiguous(x)
    out = empty_ordered(k, x.shape, x.dtype, order)
    k.copy_into(out, x)
    return out


def wanted_order(x: Array, wanted: memory_format | None) -> Shape | None:
    """The memory order for a copy of `x`: its own for None and `preserve_format`, else the format's."""
    return order_of(x) if wanted is None or wanted is preserve_format else format_order(wanted, x.ndim)


class Clone(Primitive):
    """A copy in memory of its own."""

    __slots__ = ("memory_format",)
    name = "clone"
    linear = True

    def __init__(self, memory_format: memory_format | None = None) -> None:
        self.memory_format = memory_format

    def forward(self, k: Any, *arrays: Any) -> Any:
        return dense_copy(k, arrays[0], wanted_order(arrays[0], self.memory_format))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class CloneOrdered(Clone):
    """A copy in a given memory order: a gradient takes the strides of its leaf."""

    __slots__ = ("order",)
    name = "clone_ordered"
    node_name = "CloneBackward0"

    def __init__(self, order: Shape) -> None:
        self.memory_format = None
        self.order = order

    def forward(self, k: Any, *arrays: Any) -> Any:
        return dense_copy(k, arrays[0], self.order)

    def public_call(
        self, tensors: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None:
        return clone, tensors, {}


class ToCopy(Primitive):
    """A copy in another dtype or on another device; the engine casts the cotangent back."""

    __slots__ = ("dtype", "device", "memory_format")
    name = "to_copy"
    node_name = "ToCopyBackward0"
    linear = True

    def __init__(self, dtype: dtype, device: device | None = None, memory_format: memory_format | None = None) -> None:
        self.dtype = dtype
        self.device = device
        self.memory_format = memory_format

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        order = wanted_order(x, self.memory_format)
        if order is None and x.flags.c_contiguous:
            return k.cast(x, self.dtype.np)
        out = empty_ordered(k, x.shape, self.dtype.np, order)
        k.copy_into(out, x if x.dtype == self.dtype.np else k.cast(x, self.dtype.np))
        return out

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return () if self.device is None else (inputs[0]._device,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return to(g, device=saved[0]) if saved else g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return to(tangents[0], dtype=self.dtype, device=self.device)

    def public_call(
        self, tensors: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None:
        return (
            to,
            tensors,
            {"dtype": self.dtype, "device": self.device, "copy": True, "memory_format": self.memory_format},
        )


class Alias(Primitive):
    """The tensor again, as a view of itself."""

    __slots__ = ()
    name = "alias"
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return arrays[0].view()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0]


CLONE = Clone()
CONTIGUOUS = Clone(contiguous_format)


def clone(input: Any, *, memory_format: Any = preserve_format) -> Any:
    """A copy in memory of its own; gradients flow through it to `input`. It keeps the strides of a dense tensor.

    `memory_format` asks for another order in memory, for example `torch.contiguous_format` or `torch.channels_last`.
    """
    if not isinstance(input, TensorBase):
        raise TypeError(f"clone(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if memory_format is None or memory_format is preserve_format:
        return apply1(CLONE, input)
    check_memory_format(memory_format, "clone")
    return apply1(Clone(memory_format), input)


def alias(input: Any) -> Any:
    """A view of the whole tensor (`x[...]`)."""
    return apply_view(Alias(), input)


def is_contiguous(self: Any, memory_format: Any = contiguous_format) -> bool:
    """Whether the elements lie densely in memory, row-major or in the order of `memory_format`."""
    if memory_format is contiguous_format or memory_format is preserve_format:
        array = self._array
        return array is None or self._device.type == "meta" or bool(array.flags.c_contiguous)
    check_memory_format(memory_format, "is_contiguous")
    rank = 4 if memory_format._name == "channels_last" else 5
    if len(self._shape) != rank:
        return False
    order = format_order(memory_format, rank)
    return order is not None and is_dense_in(self._shape, numpy_strides(self), order)


def contiguous(self: Any, memory_format: Any = contiguous_format) -> Any:
    """The tensor itself when it is dense in the order of `memory_format` (row-major), else a copy that is."""
    if memory_format is contiguous_format:
        array = self._array
        if array is None or array.flags.c_contiguous or self._device.type == "meta":
            return self
        return apply1(CONTIGUOUS, self)
    check_memory_format(memory_format, "contiguous")
    if memory_format is preserve_format:
        if is_contiguous(self):
            return self
        raise RuntimeError("preserve memory format is unsupported by the contiguous operator; use clone()")
    format_order(memory_format, len(self._shape))
    return self if is_contiguous(self, memory_format) else apply1(Clone(memory_format), self)


def clone_like(g: Any, leaf: Any) -> Any:
    """A copy of a gradient in the strides its leaf reports (the engine's "keep")."""
    array = leaf._array
    order = None if array is None or leaf._device.type == "meta" else order_of(array)
    return apply1(CONTIGUOUS if order is None else CloneOrdered(order), g)


# Dtypes and devices.


def to(
    self: Any,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Any:
    """The tensor in another dtype, on another device, or both; itself when nothing changes and `copy` is False.

    Forms: `to(dtype)`, `to(device, dtype=None)`, `to(other)` (the dtype and device of another tensor), each followed by
    `non_blocking`, `copy`. `memory_format` orders the copy's memory. A copy between devices is always a real copy.

    >>> tensor([1, 2]).to(float64)
    tensor([1., 2.], dtype=torch.float64)
    """
    if args:
        dtype, device, other, copy = _to_arguments(args, dtype, device, other, copy)
    if other is not None:
        dtype, device = other._dtype, other._device
    where = self._device if device is None else concrete(as_device(device))
    of = self._dtype if dtype is None else as_dtype(dtype, "to")
    if where.type == "mps":
        of = on_device(of, where)
    check_memory_format(memory_format, "to")
    if of is not self._dtype and self._dtype.category == COMPLEX:
        warn_of_lost_part(of)
    if where is not self._device:
        return move(ToCopy(of, where, memory_format), self)
    if of is not self._dtype or copy:
        return apply1(ToCopy(of, None, memory_format), self)
    if memory_format is None or memory_format is preserve_format or is_contiguous(self, memory_format):
        return self
    return apply1(ToCopy(of, None, memory_format), self)


def warn_of_lost_part(of: dtype) -> None:
    """torch's warning when complex numbers become real ones."""
    if of.category < COMPLEX and of.category != BOOL:
        warn_user("Casting complex values to real discards the imaginary part; x.real says so without a warning")


def _to_arguments(
    args: tuple[Any, ...], dtype_: Any, device_: Any, other: Any, copy: bool
) -> tuple[Any, Any, Any, bool]:
    """What the positional arguments of `to` mean: (dtype, device, other, copy)."""
    first = args[0]
    if isinstance(first, TensorBase):
        other, rest = first, args[1:]
    elif isinstance(first, dtype) or isinstance(first, type):
        dtype_, rest = first, args[1:]
    elif first is None or isinstance(first, (str, int, device)):
        device_, rest = first, args[1:]
        if rest and (rest[0] is None or isinstance(rest[0], (dtype, type))):
            dtype_, rest = rest[0] if rest[0] is not None else dtype_, rest[1:]
    else:
        raise TypeError(f"to(): argument 1 must be a dtype, a device or a tensor, not {type(first).__name__}")
    if len(rest) > 2:
        raise TypeError(
            f"to() takes at most non_blocking and copy after what to convert to, got {len(rest)} more arguments"
        )
    return dtype_, device_, other, bool(rest[1]) if len(rest) == 2 else copy


def move(op: ToCopy, a: Any) -> Any:
    """Apply `op`, whose result lives on another device than its input."""
    target = op.device
    assert target is not None
    if a._device.type == "meta":
        raise NotImplementedError(
            "Cannot copy out of meta tensor; no data! Use empty_like(x, device=...) and fill it, for example with "
            "module.to_empty() and load_state_dict()."
        )
    if STATE.busy or type(a) not in PLAIN:
        if not local.modes.plain or type(a) not in PLAIN:
            handled, found = overridden(op, (a,))
            if handled:
                return found
    x = a._array if a._array is not None else input_array(op, a)
    out = wrap(op.forward(kernels_for(target), x), target)
    if local.modes.grad and not local.modes.inference and wants_grad(a) and out._dtype.category >= FLOATING:
        record_node(op, (a,), out)
    if local.modes.inference:
        out._view = View(None, (), "inference", 0)
    for listener in local.modes.listeners:
        listener(op, (a,), out)
    return out


def cpu(self: Any, memory_format: Any = preserve_format) -> Any:
    """The tensor in host memory; itself if it is there."""
    return self if self._device is CPU else to(self, device=CPU, memory_format=memory_format)


def cuda(self: Any, device: Any = None, non_blocking: bool = False, memory_format: Any = preserve_format) -> Any:
    """The tensor on a CUDA device (the first one); on a machine without one it is emulated in host memory."""
    return to(self, device="cuda" if device is None else device, memory_format=memory_format)


def type_as(self: Any, other: Any) -> Any:
    """The tensor in the dtype and on the device of `other`."""
    return to(self, other)


def _caster(method: str, wanted: dtype) -> Callable[..., Any]:
    def cast(self: Any, memory_format: Any = preserve_format) -> Any:
        return (
            self
            if self._dtype is wanted and memory_format is preserve_format
            else to(self, dtype=wanted, memory_format=memory_format)
        )

    cast.__name__ = cast.__qualname__ = method
    cast.__doc__ = f"The tensor in {wanted!r}; itself if it has that dtype."
    return cast


fill(clone_like=clone_like)
serve(Clone, clone)
methods(clone, contiguous, is_contiguous, to, cpu, cuda, type_as)
for _method, _wanted in {
    "float": float32,
    "double": float64,
    "half": float16,
    "bfloat16": bfloat16,
    "int": int32,
    "long": int64,
    "short": int16,
    "char": int8,
    "byte": uint8,
    "bool": bool_,
    "cfloat": complex64,
    "cdouble": complex128,
}.items():
    attach(_method, _caster(_method, _wanted))
