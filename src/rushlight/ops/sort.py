"""Sorting, the k largest, order statistics by position, and binary search."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int32, promote_types, with_scalar
from rushlight.base.return_types import kthvalue as kthvalue_result
from rushlight.base.return_types import sort as sort_result
from rushlight.base.return_types import topk as topk_result
from rushlight.base.shape import normalize_dim
from rushlight.core.primitive import Primitive, apply1, apply_multi, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_real, need_tensor, numpy_names, refuse
from rushlight.ops.common import constant, methods, serve, write_out
from rushlight.ops.extremes import PickAlong, named, place_along
from rushlight.ops.reduce import delivered

__all__ = ["argsort", "bucketize", "kthvalue", "msort", "searchsorted", "sort", "topk"]


class Ordered(Primitive):
    """Several elements along a dimension in some order, with their indices, which the cotangent follows back."""

    __slots__ = ()
    outputs = 2
    dim: int

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, output[1].detach_alias())

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, index = saved
        return None if g[0] is None else place_along(g[0], shape, self.dim, index)


class Sort(Ordered):
    """All elements along a dimension in order."""

    __slots__ = ("dim", "descending", "stable")
    name = "sort"

    def __init__(self, dim: int, descending: bool, stable: bool) -> None:
        self.dim = dim
        self.descending = descending
        self.stable = stable

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.sort(arrays[0], self.dim, self.descending, self.stable)


class SortStable(Sort):
    """What `sort(stable=...)` records."""

    __slots__ = ()
    node_name = "SortBackward1"


class Topk(Ordered):
    """The k largest or smallest elements along a dimension."""

    __slots__ = ("k", "dim", "largest", "sorted")
    name = "topk"

    def __init__(self, k: int, dim: int, largest: bool, sorted: bool) -> None:
        self.k = k
        self.dim = dim
        self.largest = largest
        self.sorted = sorted

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.topk(arrays[0], self.k, self.dim, self.largest, self.sorted)


class Kthvalue(PickAlong):
    """The k-th smallest element along a dimension."""

    __slots__ = ("k",)
    name = "kthvalue"

    def __init__(self, k: int, dim: int, keepdim: bool) -> None:
        super().__init__(dim, keepdim)
        self.k = k

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.kthvalue(arrays[0], self.k, self.dim, self.keepdim)


class Argsort(Primitive):
    """The indices that sort along a dimension."""

    __slots__ = ("dim", "descending", "stable")
    name = "argsort"
    differentiable = False

    def __init__(self, dim: int, descending: bool, stable: bool) -> None:
        self.dim = dim
        self.descending = descending
        self.stable = stable

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.argsort(arrays[0], self.dim, self.descending, self.stable)


class Searchsorted(Primitive):
    """Where values would be inserted: `searchsorted(sequence, values)`, and a third input for the sorter if there is one."""

    __slots__ = ("right", "out_int32")
    name = "searchsorted"
    differentiable = False

    def __init__(self, right: bool, out_int32: bool) -> None:
        self.right = right
        self.out_int32 = out_int32

    def forward(self, k: Any, *arrays: Any) -> Any:
        found = k.searchsorted(arrays[0], arrays[1], self.right, *arrays[2:])
        return k.cast(found, int32.np) if self.out_int32 else found

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        names = {"right": self.right, "out_int32": self.out_int32}
        if len(tensors) > 2:
            names["sorter"] = tensors[2]
        return searchsorted, tensors[:2], names


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The elements along `dim` in order, with their indices, as a named tuple. NaN is the greatest; equal elements keep
    their order.

    >>> sort(tensor([3., 1., 2.])).values
    tensor([1., 2., 3.])
    """
    if names:
        dim, _ = numpy_names("sort", names, dim)
    need_tensor("sort", input)
    need_real("sort", input)
    d = normalize_dim(dim, len(input._shape), "sort")
    return named(sort_result, apply_multi((SortStable if stable else Sort)(d, bool(descending), bool(stable)), (input,)), out, "sort")


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The indices (int64) that sort `input` along `dim`."""
    if names:
        dim, _ = numpy_names("argsort", names, dim)
    need_tensor("argsort", input)
    need_real("argsort", input)
    d = normalize_dim(dim, len(input._shape), "argsort")
    return delivered(apply1(Argsort(d, bool(descending), bool(stable)), input), out, "argsort")


def msort(input: Any, *, out: Any = None) -> Any:
    """The elements in order along dimension 0."""
    return delivered(sort(input, 0)[0], out, "msort")


def topk(input: Any, k: int, dim: int | None = None, largest: bool = True, sorted: bool = True, *, out: Any = None,
         **names: Any) -> Any:  # fmt: skip
    """The k largest (or smallest) elements along `dim` (the last), in order, with their indices, as a named tuple."""
    if names:
        dim, _ = numpy_names("topk", names, dim)
    need_tensor("topk", input)
    refuse("topk_cpu", input, "bool complex")
    d = normalize_dim(-1 if dim is None else dim, len(input._shape), "topk")
    count = int(k)
    size = input._shape[d] if input._shape else 1
    if not 0 <= count <= size:
        raise RuntimeError(f"selected index k out of range: k is {count}, and dimension {d} has {size} elements")
    return named(topk_result, apply_multi(Topk(count, d, bool(largest), bool(sorted)), (input,)), out, "topk")


def kthvalue(input: Any, k: int, dim: int | None = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The k-th smallest element (k from 1) along `dim` (the last) and its index, as a named tuple."""
    if names:
        dim, keepdim = numpy_names("kthvalue", names, dim, keepdim)
    need_tensor("kthvalue", input)
    refuse("kthvalue_cpu", input, "bool complex")
    d = normalize_dim(-1 if dim is None else dim, len(input._shape), "kthvalue")
    return named(kthvalue_result, apply_multi(Kthvalue(int(k), d, keepdim), (input,)), out, "kthvalue")


def searchsorted(sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
                 sorter: Any = None, out: Any = None) -> Any:  # fmt: skip
    """Where each value of `input` would be inserted to keep the last dimension of `sorted_sequence` in order (int64).

    Before equal elements, or with `right=True` (`side="right"`) behind them. `sorter` are the indices that sort the
    sequence. The sequence is one-dim, or has the leading dimensions of `input`.
    """
    need_tensor("searchsorted", sorted_sequence, "sorted_sequence")
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
        if side == "left" and right:
            raise RuntimeError(
                "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
            )
        right = side == "right"
    values = _values("searchsorted", input, sorted_sequence)
    for t in (sorted_sequence, values):
        refuse("searchsorted_out_cpu", t, "complex")
    if values._dtype is sorted_sequence._dtype and isinstance(input, TensorBase):
        refuse("searchsorted_out_cpu", values, "bool")
    _check_search(sorted_sequence, values, sorter)
    if sorted_sequence._dtype is not values._dtype:
        common = promote_types(sorted_sequence._dtype, values._dtype)
        sorted_sequence, values = sorted_sequence.to(common), values.to(common)
    tensors = (sorted_sequence, values) if sorter is None else (sorted_sequence, values, sorter)
    result = applyn(Searchsorted(bool(right), bool(out_int32)), tensors)
    return result if out is None else write_out(out, result, "searchsorted")


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None) -> Any:
    """The index (int64) of the bucket between the one-dim sorted `boundaries` that each element falls into."""
    need_tensor("bucketize", boundaries, "boundaries")
    if len(boundaries._shape) != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({len(boundaries._shape)})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def _values(operation: str, value: Any, sequence: Any) -> Any:
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, (bool, int, float)):
        return constant(value, with_scalar(sequence._dtype, value), sequence._device)
    raise TypeError(f"{operation}(): argument 'input' must be Tensor or Number, not {type(value).__name__}")


def _check_search(sequence: Any, values: Any, sorter: Any) -> None:
    if not sequence._shape:
        raise RuntimeError("torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1")
    if len(sequence._shape) > 1 and sequence._shape[:-1] != values._shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(sequence._shape)} and input value tensor "
            f"{list(values._shape)}"
        )
    if sorter is not None:
        need_tensor("searchsorted", sorter, "sorter")
        if sorter._shape != sequence._shape:
            raise RuntimeError(
                f"torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {list(sequence._shape)} "
                f"and got sorter tensor {list(sorter._shape)}"
            )


serve(Sort, sort)
serve(Topk, topk)
serve(Kthvalue, kthvalue)
serve(Argsort, argsort)
methods(sort, argsort, msort, topk, kthvalue)
