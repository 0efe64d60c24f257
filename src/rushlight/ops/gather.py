"""gather, take and kin: elements and slices picked by index tensors and masks."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL
from rushlight.base.shape import broadcast_shapes, normalize_dim
from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import check_broadcast, methods, serve, write_out
from rushlight.ops.view import reshape

__all__ = ["argwhere", "gather", "index_select", "masked_select", "nonzero", "take"]


class AlongDim(Primitive):
    """An operation along a dimension whose last input is an index tensor."""

    __slots__ = ("dim",)
    mixed_devices = False

    def __init__(self, dim: int) -> None:
        self.dim = dim


class Gather(AlongDim):
    """One element of x for every entry of the index: `gather(x, index)`."""

    __slots__ = ()
    name = "gather"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.gather(arrays[0], self.dim, arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, index = saved
        return g.new_zeros(shape).scatter_add(self.dim, index, g), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[1])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return gather, (tensors[0], self.dim, tensors[1]), {}


class IndexSelect(AlongDim):
    """The slices of x at the index."""

    __slots__ = ()
    name = "index_select"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.index_select(arrays[0], self.dim, arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, index = saved
        return g.new_zeros(shape).index_add(self.dim, index, g), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[1])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return index_select, (tensors[0], self.dim, tensors[1]), {}


class Take(Primitive):
    """The elements of x at flat positions."""

    __slots__ = ()
    name = "take"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.take(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.new_zeros(saved[0]).put(saved[1], g, accumulate=True), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[1])


class MaskedSelect(Primitive):
    """The elements of x where the mask is true."""

    __slots__ = ()
    name = "masked_select"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.masked_select(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, mask = saved
        return g.new_zeros(broadcast_shapes(shape, mask._shape)).masked_scatter(mask, g), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[1])


class Nonzero(Primitive):
    """The indices of the non-zero elements, one row each."""

    __slots__ = ()
    name = "nonzero"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.nonzero(arrays[0])


def check_index(index: Any, operation: str) -> Any:
    if not isinstance(index, TensorBase):
        raise TypeError(f"{operation}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index._dtype.name not in ("int64", "int32"):
        raise RuntimeError(f"{operation}(): Expected dtype int32/int64 for index, got {index._dtype!r}; convert it with index.long()")
    return index


def check_vector(index: Any, operation: str) -> None:
    if len(index._shape) > 1:
        raise IndexError(f"{operation}(): Index is supposed to be a vector, got shape {list(index._shape)}")


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """`out[i][j] = input[index[i][j]][j]` for dim 0 (and so on): one element of `input` for every entry of `index`.

    `index` has as many dimensions as `input` and, apart from `dim`, no larger sizes.
    """
    need_tensor("gather", input)
    d = normalize_dim(dim, len(input._shape), "gather")
    result = apply2(Gather(d), input, check_index(index, "gather"))
    return result if out is None else write_out(out, result, "gather")


def index_select(input: Any, dim: int, index: Any, *, out: Any = None) -> Any:
    """The slices of `input` at the one-dim `index` along `dim`, as a copy."""
    check_vector(check_index(index, "index_select"), "index_select")
    result = apply2(IndexSelect(normalize_dim(dim, len(input._shape), "index_select")), input, index)
    return result if out is None else write_out(out, result, "index_select")


def take(input: Any, index: Any, *, out: Any = None) -> Any:
    """The elements of the flattened `input` at `index`, in the shape of `index`."""
    result = apply2(Take(), input, check_index(index, "take"))
    return result if out is None else write_out(out, result, "take")


def check_mask(mask: Any, operation: str) -> Any:
    if mask._dtype.category != BOOL:
        raise RuntimeError(f"{operation}(): expected BoolTensor for mask, got {mask._dtype!r}; use mask.bool() or a comparison")
    return mask


def masked_select(input: Any, mask: Any, *, out: Any = None) -> Any:
    """The elements of `input` where `mask` is true, in one dimension."""
    check_broadcast(input, check_mask(mask, "masked_select"))
    result = apply2(MaskedSelect(), input, mask)
    return result if out is None else write_out(out, result, "masked_select")


def nonzero(input: Any, *, out: Any = None, as_tuple: bool = False) -> Any:
    """The indices of the non-zero elements: one row each, or with `as_tuple` one tensor a dimension."""
    need_tensor("nonzero", input)
    if as_tuple:
        rows = apply1(Nonzero(), input if input._shape else reshape(input, (1,)))
        return rows.unbind(1)
    result = apply1(Nonzero(), input)
    return result if out is None else write_out(out, result, "nonzero")


def argwhere(input: Any) -> Any:
    """`nonzero` without `as_tuple`."""
    need_tensor("argwhere", input)
    return apply1(Nonzero(), input)


serve(Gather, gather)
serve(IndexSelect, index_select)
serve(Take, take)
serve(MaskedSelect, masked_select)
serve(Nonzero, nonzero)
methods(gather, index_select, take, masked_select, nonzero, argwhere)
