"""The operations behind sums and means; ops/reduce.py has their public functions and the other reductions."""

from __future__ import annotations

from math import prod as count_of
from typing import Any

from rushlight.base.compiled import mypyc_attr
from rushlight.base.dtypes import dtype
from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1, apply_view
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.view_rules import Expand, reshaped


@mypyc_attr(allow_interpreted_subclasses=True)
class Reduction(Primitive):
    """A reduction over the dimensions `dim`, kept with size 1 when `keepdim`."""

    __slots__ = ("dim", "keepdim")
    keeps_layout = True

    def __init__(self, dim: Shape, keepdim: bool = False) -> None:
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.dim, self.keepdim)

    def spread(self, t: Any, shape: Shape) -> Any:
        """A tensor of the result's shape with the reduced dimensions back, at size 1."""
        return keep_reduced(t, shape, self.dim, self.keepdim)


def keep_reduced(t: Any, shape: Shape, dims: Shape, keepdim: bool) -> Any:
    """`t` with the reduced `dims` of `shape` back at size 1, unless they were kept."""
    if keepdim or not dims:
        return t
    return reshaped(t, tuple(1 if d in dims else n for d, n in enumerate(shape)))


@mypyc_attr(allow_interpreted_subclasses=True)
class TypedReduction(Reduction):
    """A reduction computed in another dtype when asked."""

    __slots__ = ("dtype",)

    def __init__(self, dim: Shape, keepdim: bool = False, dtype: dtype | None = None) -> None:
        self.dim = dim
        self.keepdim = keepdim
        self.dtype = dtype

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, of = arrays[0], None if self.dtype is None else self.dtype.np
        if of is not None and x.dtype.kind == "c" and of.kind != "c":
            x = k.cast(x, of)
        return getattr(k, self.name)(x, self.dim, self.keepdim, of)


@mypyc_attr(allow_interpreted_subclasses=True)
class Sum(TypedReduction):
    """The sum over some dimensions."""

    __slots__ = ()
    name = "sum"
    node_name = "SumBackward1"
    linear = True

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply_view(Expand(saved[0]), self.spread(g, saved[0]))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class SumAll(Sum):
    """What `sum()` records."""

    __slots__ = ()
    node_name = "SumBackward0"

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {} if self.dtype is None else {"dtype": self.dtype}


@mypyc_attr(allow_interpreted_subclasses=True)
class Mean(TypedReduction):
    """The arithmetic mean over some dimensions."""

    __slots__ = ()
    name = "mean"
    node_name = "MeanBackward1"
    linear = True

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        count = count_of([shape[d] for d in self.dim])
        return apply_view(Expand(shape), self.spread(g / count if count else g, shape))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


def sum_to(t: TensorBase, wanted: Shape) -> Any:
    """The sum over the dimensions that `wanted` lacks or has as 1: the transpose of an expansion."""
    shape = t._shape
    if wanted == shape:
        return t
    lead = len(shape) - len(wanted)
    if lead < 0 or [i for i, n in enumerate(wanted) if n != 1 and n != shape[lead + i]]:
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    inner = [d for d in range(lead, len(shape)) if wanted[d - lead] == 1 and shape[d] != 1]
    if not inner:
        return apply1(Sum(tuple(range(lead)), False), t)
    summed: TensorBase = apply1(Sum((*range(lead), *inner), True), t)
    return reshaped(summed, wanted) if lead else summed


fill(sum_to=sum_to)
