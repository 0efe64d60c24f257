"""Copies and moves: clone, contiguous, to, dtype and device casts, detach."""

from __future__ import annotations

from typing import Any

from rushlight.backends.registry import kernels_for
from rushlight.base.device import as_device, concrete, device
from rushlight.base.dtypes import COMPLEX, FLOATING, dtype
from rushlight.core.primitive import Primitive, apply1
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase, array_of, make_alias, wrap
from rushlight.ops.common import methods, serve

__all__ = ["clone"]


class Clone(Primitive):
    """A copy in memory of its own."""

    __slots__ = ()
    name = "clone"
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.copy(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0]


class Contiguous(Clone):
    """A row-major copy."""

    __slots__ = ()
    name = "contiguous"
    node_name = "CloneBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.contiguous(arrays[0])


class ToCopy(Primitive):
    """A copy in another dtype; the engine casts the cotangent back."""

    __slots__ = ("dtype",)
    name = "to_copy"
    node_name = "ToCopyBackward0"
    linear = True

    def __init__(self, dtype: dtype) -> None:
        self.dtype = dtype

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cast(arrays[0], self.dtype.np)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


CLONE = Clone()
CONTIGUOUS = Contiguous()


def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy in memory of its own; gradients flow through it to `input`."""
    return apply1(CLONE, input)


def contiguous(self: Any, memory_format: Any = None) -> Any:
    """The tensor itself when it is dense and row-major, else a copy that is."""
    array = self._array
    return self if array is None or array.flags.c_contiguous else apply1(CONTIGUOUS, self)


def detach(self: Any) -> Any:
    """A tensor on the same memory without history. Never requires a gradient."""
    return make_alias(self)


def clone_like(g: Any, leaf: Any) -> Any:
    """A copy of a gradient in the strides its leaf reports (the engine's "keep")."""
    return apply1(CONTIGUOUS, g)


fill(clone_like=clone_like)
serve(Clone, clone)
methods(clone, contiguous, detach)
