"""Views of a tensor's memory itself: as_strided, sliding windows, and the parts of complex numbers."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.base.shape import Shape, normalize_dim, shape_argument
from rushlight.core.primitive import Primitive, apply1, apply_view
from rushlight.core.strides import numpy_strides
from rushlight.core.tensor import attach
from rushlight.ops.common import methods, serve
from rushlight.ops.view_rules import Part, ViewOp

__all__ = ["as_strided", "imag", "real", "view_as_complex", "view_as_real"]


class AsStrided(Part):
    """A view given by sizes, strides and an offset into the memory block; elements may be seen several times."""

    __slots__ = ("size", "stride", "offset")
    name = "as_strided"

    def __init__(self, size: Shape, stride: Shape, offset: int) -> None:
        self.size = size
        self.stride = stride
        self.offset = offset

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.as_strided(arrays[0], self.size, self.stride, self.offset)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return as_strided, (tensors[0], self.size, self.stride, self.offset), {}

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, numpy_strides(inputs[0]), inputs[0].storage_offset())

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PlaceStrided(self, *saved), g)


class PlaceStrided(Primitive):
    """The transpose of `as_strided`: adds every seen element to the place it was seen at."""

    __slots__ = ("part", "shape", "strides", "offset")
    name = "place_strided"
    linear = True

    def __init__(self, part: AsStrided, shape: Shape, strides: Shape, offset: int) -> None:
        self.part = part
        self.shape = shape
        self.strides = strides
        self.offset = offset

    def forward(self, k: Any, *arrays: Any) -> Any:
        part = self.part
        return k.as_strided_backward(
            arrays[0], self.shape, self.strides, self.offset, part.size, part.stride, part.offset
        )

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        part = self.part
        block = apply1(
            PlaceStrided(AsStrided(self.shape, self.strides, self.offset), (block_length(self, part),), (1,), 0), g
        )
        return apply_view(part, block)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


def block_length(outer: PlaceStrided, part: AsStrided) -> int:
    """How many elements of the memory block both geometries reach."""

    def reach(size: Shape, stride: Shape, offset: int) -> int:
        return offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if prod(size) else 0

    return max(reach(outer.shape, outer.strides, outer.offset), reach(part.size, part.stride, part.offset))


class Windows(ViewOp):
    """All windows of a dimension: `Tensor.unfold`."""

    __slots__ = ("dim", "size", "step")
    name = "unfold"

    def __init__(self, dim: int, size: int, step: int) -> None:
        self.dim = dim
        self.size = size
        self.step = step

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        return k.unfold_view(x, self.dim, self.size, self.step) if x.ndim else x.reshape(1)[: self.size]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(AddWindows(self, saved[0]), g) if saved[0] else g.sum()

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return unfold, (tensors[0], self.dim, self.size, self.step), {}


class AddWindows(Primitive):
    """The transpose of `Windows`: overlapping windows added up."""

    __slots__ = ("windows", "shape")
    name = "unfold_backward"
    linear = True

    def __init__(self, windows: Windows, shape: Shape) -> None:
        self.windows = windows
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        w = self.windows
        return k.tensor_unfold_backward(arrays[0], self.shape, w.dim, w.size, w.step)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply_view(self.windows, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class ViewAsReal(ViewOp):
    """Complex numbers as pairs."""

    __slots__ = ()
    name = "view_as_real"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.view_as_real(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return view_as_complex(g.contiguous())


class ViewAsComplex(ViewOp):
    """Pairs as complex numbers."""

    __slots__ = ()
    name = "view_as_complex"

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].strides[-1] != arrays[0].itemsize and arrays[0].size:
            raise RuntimeError("Tensor must have a last dimension with stride 1; call contiguous() first")
        return k.view_as_complex(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return view_as_real(g.contiguous())


class RealPart(ViewOp):
    """The real parts of complex numbers."""

    __slots__ = ()
    name = "real"
    node_name = "SelectBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.real_view(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.to(g._dtype.to_complex())


class ImaginaryPart(ViewOp):
    """The imaginary parts of complex numbers."""

    __slots__ = ()
    name = "imag"
    node_name = "SelectBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.imag_view(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.to(g._dtype.to_complex()) * 1j


def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """All windows of `size` elements along `dimension`, one every `step`; the window is the last dimension."""
    d = normalize_dim(dimension, len(self._shape), "unfold")
    length = self._shape[d] if self._shape else 1
    if size > length:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {length} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return apply_view(Windows(d, size, step), self)


def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view of the tensor's memory with the given sizes, strides and offset (in elements)."""
    return apply_view(AsStrided(*checked_layout(input, size, stride, storage_offset)), input)


def checked_layout(input: Any, size: Any, stride: Any, storage_offset: int | None) -> tuple[Shape, Shape, int]:
    """Sizes, strides and offset of a view that stays inside the memory of `input`; `RuntimeError` for others."""
    sizes, strides = shape_argument((size,), "as_strided"), shape_argument((stride,), "as_strided")
    offset = input.storage_offset() if storage_offset is None else storage_offset
    if len(sizes) != len(strides):
        raise RuntimeError(f"mismatch in length of strides and shape: size={list(sizes)}, stride={list(strides)}")
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(strides)}"
        )
    reach = offset + 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) if prod(sizes) else 0
    available = input.untyped_storage().nbytes() // input._dtype.itemsize
    if reach > available:
        raise RuntimeError(
            f"setStorage: sizes {list(sizes)}, strides {list(strides)}, storage offset {offset} need {reach} elements, "
            f"but the storage holds {available}"
        )
    return sizes, strides, offset


def view_as_real(input: Any) -> Any:
    """Complex numbers as a last dimension of size 2, sharing memory."""
    if input._dtype.category != COMPLEX:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return apply_view(ViewAsReal(), input)


def view_as_complex(input: Any) -> Any:
    """A last dimension of size 2 as complex numbers, sharing memory."""
    if input._dtype.name not in ("float32", "float64"):
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {input._dtype!r}"
        )
    if not input._shape or input._shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, got shape {list(input._shape)}")
    return apply_view(ViewAsComplex(), input)


def real(input: Any) -> Any:
    """The real part: a view for complex tensors, the tensor itself otherwise."""
    return apply_view(RealPart(), input) if input._dtype.category == COMPLEX else input


def imag(input: Any) -> Any:
    """The imaginary part of a complex tensor, a view."""
    if input._dtype.category != COMPLEX:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return apply_view(ImaginaryPart(), input)


serve(AsStrided, as_strided)
serve(Windows, unfold)
serve(ViewAsReal, view_as_real)
serve(ViewAsComplex, view_as_complex)
serve(RealPart, real)
serve(ImaginaryPart, imag)
methods(as_strided, unfold)
attach("real", property(real))
attach("imag", property(imag))
