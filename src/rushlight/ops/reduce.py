"""Reductions: sums, means, products, logical ones, log-sum-exp.

A reduction's slots are its public arguments, with `dim` a tuple of all reduced dimensions.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING, bool_, dtype
from rushlight.base.shape import Shape, normalize_dim, normalize_dims, shape_argument
from rushlight.core.primitive import COMMON_FLOAT, Primitive, apply1
from rushlight.ops.checks import kind_name, need_tensor, numpy_names, refuse
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.creation import eye
from rushlight.ops.reduce_rules import Mean, Reduction, Sum, SumAll, TypedReduction, sum_to
from rushlight.ops.view import expand, reshape

__all__ = ["all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "prod", "sum"]


class MeanAll(Mean):
    """What `mean()` records."""

    __slots__ = ()
    node_name = "MeanBackward0"

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return mean, tensors, {} if self.dtype is None else {"dtype": self.dtype}


class Nansum(TypedReduction):
    """The sum of the elements that are not NaN."""

    __slots__ = ()
    name = "nansum"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0].isnan(),)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        missing = saved[0]
        return expand(self.spread(g, missing._shape), missing._shape).masked_fill(missing, 0)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0].masked_fill(saved[0], 0))


class Prod(TypedReduction):
    """The product over some dimensions; its derivative divides by nothing, so zeros are harmless."""

    __slots__ = ()
    name = "prod"
    node_name = "ProdBackward1"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0] if self.dtype is None else saved[0].to(self.dtype)
        return self.spread(g, x._shape) * self._others(x).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(Sum(self.dim, self.keepdim), tangents[0] * self._others(saved[0]))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        dim = None if type(self) is ProdAll else self.dim[0] if self.dim else 0
        return prod, tensors, {"dim": dim, "keepdim": self.keepdim, "dtype": self.dtype}

    def _others(self, x: Any) -> Any:
        if len(self.dim) == 1:
            return apply1(ProdOthers(self.dim[0]), x)
        return reshape(apply1(ProdOthers(0), reshape(x, (-1,))), x._shape)


class ProdAll(Prod):
    """What `prod()` records."""

    __slots__ = ()
    node_name = "ProdBackward0"


class ProdOthers(Primitive):
    """For each element the product of all others along `dim`."""

    __slots__ = ("dim",)
    name = "prod_others"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.prod_others(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """Each pair of elements is left out in turn: row i of a square holds the factors without the i-th."""
        x = saved[0]
        if not x._shape:
            return g.new_zeros(())
        rows, own = without_each(x, self.dim)
        pairs = apply1(ProdOthers(len(rows._shape) - 1), rows)
        found = (g.movedim(self.dim, -1).unsqueeze(-1) * pairs.conj()).masked_fill(own, 0)
        return found.sum(-2).movedim(-1, self.dim)


def without_each(x: Any, dim: int) -> tuple[Any, Any]:
    """`x` with `dim` last and repeated as the rows of a square whose diagonal is 1; and where that diagonal is."""
    size = x._shape[dim]
    own = eye(size, dtype=bool_, device=x._device)
    moved = x.movedim(dim, -1)
    return moved.unsqueeze(-2).expand(*moved._shape[:-1], size, size).masked_fill(own, 1), own


class Logsumexp(Reduction):
    """log(sum(exp(x)))."""

    __slots__ = ()
    name = "logsumexp"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def _share(self, x: Any, total: Any) -> Any:
        total = self.spread(total, x._shape)
        # Where all elements are -inf (or one is inf) the difference is NaN or -inf; 0 stands for it, as in torch.
        return (x - total.masked_fill(total.abs() == float("inf"), 0)).exp().conj()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, total = saved
        return self.spread(g, x._shape) * self._share(x, total)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        x, total = saved
        return apply1(Sum(self.dim, self.keepdim), tangents[0] * self._share(x, total).conj())


class AllTrue(Reduction):
    """Whether all elements are non-zero."""

    __slots__ = ()
    name = "all"
    differentiable = False


class AnyTrue(Reduction):
    """Whether some element is non-zero."""

    __slots__ = ()
    name = "any"
    differentiable = False


class CountNonzero(Primitive):
    """How many elements are non-zero."""

    __slots__ = ("dim",)
    name = "count_nonzero"
    differentiable = False

    def __init__(self, dim: Shape) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.count_nonzero(arrays[0], self.dim)


def dims_of(operation: str, input: Any, dim: Any) -> Shape:
    """The dimensions that `dim` (None and (): all) names, counted from the front."""
    need_tensor(operation, input)
    rank = len(input._shape)
    if dim is None or (type(dim) in (tuple, list) and not dim):
        return tuple(range(rank))
    return normalize_dims(dim, rank, operation)


def delivered(result: Any, out: Any, operation: str) -> Any:
    """The result itself, or `out` holding it."""
    return result if out is None else write_out(out, result, operation)


def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None, **names: Any
) -> Any:
    """The sum over `dim` (an int, several, or None for all dimensions). Integers and bool give int64.

    dtype: compute and return in this dtype. `axis` and `keepdims` are accepted for `dim` and `keepdim`.

    >>> sum(tensor([[1., 2.], [3., 4.]]), dim=0)
    tensor([4., 6.])
    """
    if names:
        dim, keepdim = numpy_names("sum", names, dim, keepdim)
    dims = dims_of("sum", input, dim)
    return delivered(apply1((SumAll if dim is None else Sum)(dims, keepdim, dtype), input), out, "sum")


def nansum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None, **names: Any
) -> Any:
    """The sum over `dim` with NaN counted as 0."""
    if names:
        dim, keepdim = numpy_names("nansum", names, dim, keepdim)
    need_tensor("nansum", input)
    refuse("nansum_cpu", input, "complex")
    return delivered(apply1(Nansum(dims_of("nansum", input, dim), keepdim, dtype), input), out, "nansum")


def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None, **names: Any
) -> Any:
    """The arithmetic mean over `dim`; NaN over nothing. RuntimeError for integers unless a floating `dtype` is given."""
    if names:
        dim, keepdim = numpy_names("mean", names, dim, keepdim)
    need_tensor("mean", input)
    of = input._dtype if dtype is None else dtype
    if of.category < FLOATING:
        missing = "could not infer output dtype. Input dtype" if dtype is None else "optional dtype"
        raise RuntimeError(
            f"mean(): {missing} must be either a floating point or complex dtype. Got: {kind_name(of)}. Use x.float().mean()"
        )
    op = (MeanAll if dim is None else Mean)(dims_of("mean", input, dim), keepdim, dtype)
    return delivered(apply1(op, input), out, "mean")


def nanmean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None, **names: Any
) -> Any:
    """The mean of the elements that are not NaN."""
    if names:
        dim, keepdim = numpy_names("nanmean", names, dim, keepdim)
    need_tensor("nanmean", input)
    refuse("nanmean_cpu", input, "complex")
    if input._dtype.category < FLOATING:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got {kind_name(input._dtype)}"
        )
    present = (~input.isnan()).sum(dim, keepdim)
    return delivered(nansum(input, dim, keepdim, dtype=dtype) / present, out, "nanmean")


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None,
         **names: Any) -> Any:  # fmt: skip
    """The product over one dimension, or (None) of all elements. Integers and bool give int64."""
    if names:
        dim, keepdim = numpy_names("prod", names, dim, keepdim)
    need_tensor("prod", input)
    rank = len(input._shape)
    if dim is None:
        op: Prod = ProdAll(tuple(range(rank)), keepdim, dtype)
    else:
        found = normalize_dim(dim, rank, "prod")
        op = Prod((found,) if rank else (), keepdim, dtype)
    return delivered(apply1(op, input), out, "prod")


def logsumexp(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """`log(sum(exp(input)))` over `dim`, without overflow."""
    if names:
        dim, keepdim = numpy_names("logsumexp", names, dim, keepdim)
    if dim is None:
        raise TypeError("logsumexp() missing 1 required positional argument: 'dim'; use tuple(range(x.dim())) for all")
    return delivered(apply1(Logsumexp(dims_of("logsumexp", input, dim), keepdim), input), out, "logsumexp")


def all(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """Whether every element over `dim` is non-zero; bool (uint8 for uint8)."""
    if names:
        dim, keepdim = numpy_names("all", names, dim, keepdim)
    dims = () if dim == () or dim == [] else dims_of("all", input, dim)
    return delivered(apply1(AllTrue(dims, keepdim), input), out, "all")


def any(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """Whether some element over `dim` is non-zero; bool (uint8 for uint8)."""
    if names:
        dim, keepdim = numpy_names("any", names, dim, keepdim)
    dims = () if dim == () or dim == [] else dims_of("any", input, dim)
    return delivered(apply1(AnyTrue(dims, keepdim), input), out, "any")


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements over `dim` are non-zero; int64."""
    return apply1(CountNonzero(dims_of("count_nonzero", input, dim)), input)


def sum_to_size(self: Any, *size: Any) -> Any:
    """The sum over the dimensions that `size` lacks or has as 1: the transpose of `expand`."""
    wanted = shape_argument(size, "sum_to_size")
    lead = len(self._shape) - len(wanted)
    if lead <= 0:
        return sum_to(self, wanted)
    return reshape(sum_to(self, (*(1,) * lead, *wanted)), wanted)  # torch records the view too


serve(Sum, sum)
serve(Mean, mean)
serve(Nansum, nansum)
serve(Prod, prod)
serve(Logsumexp, logsumexp)
serve(AllTrue, all)
serve(AnyTrue, any)
serve(CountNonzero, count_nonzero)
methods(sum, nansum, mean, nanmean, prod, logsumexp, all, any, count_nonzero, sum_to_size)
