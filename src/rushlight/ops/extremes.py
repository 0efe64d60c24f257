"""The largest and smallest elements, and where they are."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.return_types import aminmax as aminmax_result
from rushlight.base.return_types import max_ as max_result
from rushlight.base.return_types import min_ as min_result
from rushlight.base.return_types import return_type
from rushlight.base.shape import Shape, normalize_dim
from rushlight.core.primitive import Primitive, apply1, apply_multi
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_real, need_tensor, numpy_names, refuse
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.reduce import delivered, dims_of
from rushlight.ops.reduce_rules import Reduction, keep_reduced
from rushlight.ops.where import maximum, minimum

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]


class Amax(Reduction):
    """The largest element over some dimensions; equal ones share the cotangent evenly."""

    __slots__ = ()
    name = "amax"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, extreme = saved
        chosen = x == self.spread(extreme, x._shape)
        return shared(self.spread(g, x._shape), chosen, self.dim)


def shared(g: Any, chosen: Any, dims: Shape) -> Any:
    """`g`, which has the reduced dimensions at size 1, divided evenly among the chosen elements.

    NaN where none was chosen, which happens when the extreme is NaN: as in torch.
    """
    count = chosen.sum(dims, True) if dims else chosen.to(g._dtype)
    return g.expand(chosen._shape).masked_fill(~chosen, 0) / count


class Amin(Amax):
    """The smallest element over some dimensions."""

    __slots__ = ()
    name = "amin"


class MaxAll(Amax):
    """The largest element of all: what `max()` records."""

    __slots__ = ()
    node_name = "MaxBackward1"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, extreme = saved
        return shared(g, (x == extreme) | (x.isnan() & extreme.isnan()), self.dim)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {}


class MinAll(MaxAll):
    """The smallest element of all: what `min()` records."""

    __slots__ = ()
    name = "amin"
    node_name = "MinBackward1"


class Aminmax(Primitive):
    """The smallest and the largest element, along one dimension or (None) of all."""

    __slots__ = ("dim", "keepdim")
    name = "aminmax"
    outputs = 2

    def __init__(self, dim: int | None, keepdim: bool) -> None:
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.aminmax(arrays[0], self.dim, self.keepdim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], *output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0]
        dims = tuple(range(len(x._shape))) if self.dim is None else (self.dim,) if x._shape else ()
        total = None
        for extreme, cotangent in zip(saved[1:], g, strict=True):
            if cotangent is None:
                continue
            chosen = x == keep_reduced(extreme, x._shape, dims, self.keepdim)
            part = shared(keep_reduced(cotangent, x._shape, dims, self.keepdim), chosen, dims)
            total = part if total is None else total + part
        return total


class PickAlong(Primitive):
    """A choice of elements along a dimension: values and their indices. The cotangent goes to where they came from."""

    __slots__ = ("dim", "keepdim")
    outputs = 2

    def __init__(self, dim: int, keepdim: bool = False) -> None:
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.dim, self.keepdim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, output[1].detach_alias())

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, index = saved
        cotangent = g[0]
        if cotangent is None:
            return None
        if shape and not self.keepdim:
            cotangent, index = cotangent.unsqueeze(self.dim), index.unsqueeze(self.dim)
        return place_along(cotangent, shape, self.dim, index)


def place_along(g: Any, shape: Shape, dim: int, index: Any) -> Any:
    """Zeros of `shape` with `g` at `index` along `dim`."""
    return g.new_zeros(shape).scatter(dim, index, g) if shape else g.reshape(())


class MaxDim(PickAlong):
    """The largest element along a dimension, and where it first is."""

    __slots__ = ()
    name = "max_dim"
    node_name = "MaxBackward0"


class MinDim(PickAlong):
    """The smallest element along a dimension, and where it first is."""

    __slots__ = ()
    name = "min_dim"
    node_name = "MinBackward0"


class Argmax(Primitive):
    """Where the largest element is, along one dimension or (None) in the flattened tensor."""

    __slots__ = ("dim", "keepdim")
    name = "argmax"
    differentiable = False

    def __init__(self, dim: int | None, keepdim: bool) -> None:
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.dim, self.keepdim)


class Argmin(Argmax):
    """Where the smallest element is."""

    __slots__ = ()
    name = "argmin"


def pick(cls: type[PickAlong], result: Any, operation: str, input: Any, dim: int, keepdim: bool, out: Any) -> Any:
    """Apply a choice along one dimension; the values and indices as a named tuple."""
    need_tensor(operation, input)
    need_real(operation, input)
    d = normalize_dim(dim, len(input._shape), operation)
    return named(result, apply_multi(cls(d, keepdim), (input,)), out, operation)


def named(result: Any, found: tuple[Any, ...], out: Any, operation: str) -> Any:
    """Several results as torch's named tuple, written into the tensors of `out` when given."""
    if out is not None:
        found = tuple(write_out(o, f, operation) for o, f in zip(out, found, strict=True))
        result = return_type(f"{result.__name__}_out", *result._names)
    return result(found)


def _extreme(
    operation: str, input: Any, dim: Any, keepdim: bool, out: Any, other: Any, forms: tuple[Any, Any, Any, Any]
) -> Any:
    """The three forms of max and min: of all, along a dimension, of two tensors."""
    of_all, of_dim, result, of_two = forms
    need_tensor(operation, input)
    if isinstance(dim, TensorBase):
        other, dim = dim, None
    if other is not None:
        return of_two(input, other, out=out)
    if dim is not None:
        return pick(of_dim, result, operation, input, dim, keepdim, out)
    need_real(operation, input)
    if prod(input._shape) == 0:
        raise RuntimeError(
            f"{operation}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
            "'dim' argument."
        )
    return delivered(apply1(of_all(tuple(range(len(input._shape)))), input), out, operation)


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None, **names: Any) -> Any:
    """The largest element: of all (`max(x)`), along a dimension with its index (`max(x, dim)`, a named tuple), or of
    two tensors element by element (`max(x, y)`). NaN is the largest.

    >>> max(tensor([[1., 3.], [4., 2.]]), dim=1).indices
    tensor([1, 0])
    """
    if names:
        dim, keepdim = numpy_names("max", names, dim, keepdim)
    return _extreme("max", input, dim, keepdim, out, other, (MaxAll, MaxDim, max_result, maximum))


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None, **names: Any) -> Any:
    """The smallest element: of all, along a dimension with its index (a named tuple), or of two tensors. NaN wins."""
    if names:
        dim, keepdim = numpy_names("min", names, dim, keepdim)
    return _extreme("min", input, dim, keepdim, out, other, (MinAll, MinDim, min_result, minimum))


def _of_dims(cls: type[Amax], input: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    dims = dims_of(cls.name, input, dim)
    need_real(cls.name, input)
    if not isinstance(dim, int) and not dim and prod(input._shape) == 0:
        raise RuntimeError(
            f"{cls.name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
            "'dim' argument."
        )
    return delivered(apply1(cls(dims, keepdim), input), out, cls.name)


def amax(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The largest element over `dim` (one, several, or all); equal ones share the gradient evenly."""
    if names:
        dim, keepdim = numpy_names("amax", names, dim, keepdim)
    return _of_dims(Amax, input, dim, keepdim, out)


def amin(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The smallest element over `dim` (one, several, or all); equal ones share the gradient evenly."""
    if names:
        dim, keepdim = numpy_names("amin", names, dim, keepdim)
    return _of_dims(Amin, input, dim, keepdim, out)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False, out: Any = None) -> Any:
    """The smallest and the largest element, of all or along `dim`, as a named tuple `(min, max)`."""
    need_tensor("aminmax", input)
    need_real("aminmax", input)
    d = None if dim is None else normalize_dim(dim, len(input._shape), "aminmax")
    return named(aminmax_result, apply_multi(Aminmax(d, keepdim), (input,)), out, "aminmax")


def _where_extreme(cls: type[Argmax], input: Any, dim: int | None, keepdim: bool, out: Any) -> Any:
    need_tensor(cls.name, input)
    refuse(cls.name, input, "bool complex")
    d = None if dim is None else normalize_dim(dim, len(input._shape), cls.name)
    return delivered(apply1(cls(d, keepdim), input), out, cls.name)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The index (int64) of the first largest element along `dim`, or (None) in the flattened tensor."""
    if names:
        dim, keepdim = numpy_names("argmax", names, dim, keepdim)
    return _where_extreme(Argmax, input, dim, keepdim, out)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The index (int64) of the first smallest element along `dim`, or (None) in the flattened tensor."""
    if names:
        dim, keepdim = numpy_names("argmin", names, dim, keepdim)
    return _where_extreme(Argmin, input, dim, keepdim, out)


serve(Amax, amax)
serve(Amin, amin)
serve(MaxAll, max)
serve(MinAll, min)
serve(MaxDim, max)
serve(MinDim, min)
serve(Aminmax, aminmax)
serve(Argmax, argmax)
serve(Argmin, argmin)
methods(max, min, amax, amin, aminmax, argmax, argmin)
