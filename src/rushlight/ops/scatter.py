"""scatter, index_add, put and kin: elements and slices written (or added) where index tensors and masks say."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.shape import Shape, broadcast_shapes, normalize_dim
from rushlight.base.warn import warn_user
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import Primitive, apply2, applyn, number_of
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.checks import need_tensor, refuse
from rushlight.ops.common import constant, methods, serve, write_out
from rushlight.ops.gather import AlongDim, MaskedSelect, Take, check_index, check_mask, check_vector
from rushlight.ops.shape import cat
from rushlight.ops.view import expand, reshape

__all__ = [
    "index_add", "index_copy", "index_fill", "masked_scatter", "put", "scatter", "scatter_add", "scatter_reduce",
]  # fmt: skip


class Scatter(AlongDim):
    """x with src written at the index: `scatter(x, src, index)`."""

    __slots__ = ()
    name = "scatter"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, src, index = arrays
        return k.scatter(x, self.dim, index, src)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2], inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        index, shape = saved
        gs = grown(g.gather(self.dim, index), shape) if needs[1] else None
        return g.scatter(self.dim, index, 0) if needs[0] else None, gs, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return scatter, (tensors[0], self.dim, tensors[2], tensors[1]), {}


def grown(g: Any, shape: Shape) -> Any:
    """`g` with zeros after it in each dimension up to `shape`: what of src lies beyond the index is not used."""
    for d, (have, want) in enumerate(zip(g._shape, shape, strict=True)):
        if have < want:
            g = cat([g, g.new_zeros((*g._shape[:d], want - have, *g._shape[d + 1 :]))], d)
    return g


class ScatterValue(AlongDim):
    """x with one number written at the index: `scatter(x, value, index)`."""

    __slots__ = ()
    name = "scatter"
    node_name = "ScatterBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, value, index = arrays
        return k.scatter(x, self.dim, index, value)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.scatter(self.dim, saved[0], 0), None, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return scatter, (tensors[0], self.dim, tensors[2], number_of(tensors[1])), {}


class ScatterAdd(AlongDim):
    """x with src added at the index: `scatter_add(x, src, index)`."""

    __slots__ = ()
    name = "scatter_add"
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, src, index = arrays
        return k.scatter_add(x, self.dim, index, src)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2], inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g, grown(g.gather(self.dim, saved[0]), saved[1]) if needs[1] else None, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return scatter_add, (tensors[0], self.dim, tensors[2], tensors[1]), {}


class ScatterReduce(Primitive):
    """x with src combined at the index by prod, mean, amax or amin: `scatter_reduce(x, src, index)`."""

    __slots__ = ("dim", "reduce", "include_self")
    name = "scatter_reduce"

    def __init__(self, dim: int, reduce: str, include_self: bool) -> None:
        self.dim = dim
        self.reduce = reduce
        self.include_self = include_self

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, src, index = arrays
        return k.scatter_reduce(x, self.dim, index, src, self.reduce, self.include_self)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], inputs[1], inputs[2], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, src, index, result = saved
        if self.reduce == "sum":
            gx, gs = g, g.gather(self.dim, index)
        elif self.reduce == "mean":
            gx, gs = self._mean(x, src, index, g)
        elif self.reduce == "prod":
            gx, gs = self._prod(x, src, index, g)
        else:
            gx, gs = self._extreme(x, src, index, result, g)
        if not self.include_self:
            gx = gx.scatter(self.dim, index, 0)
        return gx, gs, None

    def _mean(self, x: Any, src: Any, index: Any, g: Any) -> tuple[Any, Any]:
        counts = x.new_ones(x._shape) if self.include_self else x.new_zeros(x._shape)
        counts = counts.scatter_add(self.dim, index, src.new_ones(src._shape)).clamp(min=1)
        share = g / counts
        return share, share.gather(self.dim, index)

    def _prod(self, x: Any, src: Any, index: Any, g: Any) -> tuple[Any, Any]:
        """The product of all other factors; where zeros are among them they are counted and taken out first."""
        own = x if self.include_self else x.scatter(self.dim, index, 1)
        zero_x, zero_s = own == 0, src == 0
        zeros = zero_x.to(g._dtype).scatter_add(self.dim, index, zero_s.to(g._dtype))
        rest = own.masked_fill(zero_x, 1)
        rest = apply3(ScatterReduce(self.dim, "prod", True), rest, src.masked_fill(zero_s, 1), index)
        others_x = (rest / own.masked_fill(zero_x, 1)).masked_fill(zeros - zero_x.to(g._dtype) > 0, 0)
        at = rest.gather(self.dim, index) / src.masked_fill(zero_s, 1)
        others_s = at.masked_fill(zeros.gather(self.dim, index) - zero_s.to(g._dtype) > 0, 0)
        return g * others_x.conj(), g.gather(self.dim, index) * others_s.conj()

    def _extreme(self, x: Any, src: Any, index: Any, result: Any, g: Any) -> tuple[Any, Any]:
        """Shared evenly among all that attain the extreme."""
        hit_x, hit_s = (x == result).to(g._dtype), (src == result.gather(self.dim, index)).to(g._dtype)
        if not self.include_self:
            hit_x = hit_x.scatter(self.dim, index, 0)
        share = g / hit_x.scatter_add(self.dim, index, hit_s).clamp(min=1)
        return share * hit_x, share.gather(self.dim, index) * hit_s

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return scatter_reduce, (tensors[0], self.dim, tensors[2], tensors[1], self.reduce), {"include_self": self.include_self}


def apply3(op: Primitive, a: Any, b: Any, c: Any) -> Any:
    """`applyn` of three inputs."""
    return applyn(op, (a, b, c))


class IndexAdd(Primitive):
    """x with alpha * source added to the slices at the index: `index_add(x, source, index)`."""

    __slots__ = ("dim", "alpha")
    name = "index_add"
    linear = True

    def __init__(self, dim: int, alpha: Any) -> None:
        self.dim = dim
        self.alpha = alpha

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, source, index = arrays
        try:
            return k.index_add(x, self.dim, index, source, self.alpha)
        except IndexError as error:
            if x.ndim < 2 or x.size == 1:
                raise
            raise RuntimeError(str(error)) from None  # torch's type for matrices and more

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2], inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        index, shape = saved
        gs = None
        if needs[1]:
            gs = expand(g.index_select(self.dim, index) * self.alpha, shape) if shape else g.gather(0, index).sum() * self.alpha
        return g, gs, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return index_add, (tensors[0], self.dim, tensors[2], tensors[1]), {"alpha": self.alpha}


class IndexCopy(AlongDim):
    """x with the slices at the index replaced: `index_copy(x, source, index)`."""

    __slots__ = ()
    name = "index_copy"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, source, index = arrays
        return k.index_copy(x, self.dim, index, source)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2], inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        index, shape = saved
        gx = g.index_fill(self.dim, index, 0) if needs[0] else None
        gs = None
        if needs[1]:
            gs = reshape(g.index_select(self.dim, index), shape)
        return gx, gs, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return index_copy, (tensors[0], self.dim, tensors[2], tensors[1]), {}


class IndexFill(AlongDim):
    """x with the slices at the index filled with a zero-dim value: `index_fill(x, value, index)`."""

    __slots__ = ()
    name = "index_fill"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, value, index = arrays
        return k.index_fill(x, self.dim, index, value)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        index = saved[0]
        # A mask, not the slices at the index: a repeated index fills its slice once.
        gv = (g * g.new_zeros(g._shape).index_fill(self.dim, index, 1)).sum() if needs[1] else None
        return g.index_fill(self.dim, index, 0) if needs[0] else None, gv, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return index_fill, (tensors[0], self.dim, tensors[2], tensors[1]), {}


class IndexFillTensor(IndexFill):
    """What `index_fill(dim, index, tensor)` records."""

    __slots__ = ()
    node_name = "IndexFillBackward1"


class Put(Primitive):
    """x with source written (or added) at flat positions: `put(x, source, index)`."""

    __slots__ = ("accumulate",)
    name = "put"

    def __init__(self, accumulate: bool) -> None:
        self.accumulate = accumulate

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, source, index = arrays
        return k.put(x, index, source, self.accumulate)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        index = saved[0]
        gx = g if self.accumulate else applyn(Put(False), (g, g.new_zeros(index._shape), index)) if needs[0] else None
        return gx, apply2(Take(), g, index) if needs[1] else None, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return put, (tensors[0], tensors[2], tensors[1]), {"accumulate": self.accumulate}


class MaskedScatter(Primitive):
    """x with the elements under the mask replaced by the first of source: `masked_scatter(x, source, mask)`."""

    __slots__ = ()
    name = "masked_scatter"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, source, mask = arrays
        return k.masked_scatter(x, mask, source)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[2], inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        mask, shape = saved
        gs = None
        if needs[1]:
            picked = apply2(MaskedSelect(), g, mask)
            flat = g.new_zeros((prod(shape),))
            gs = reshape(apply2(PutFirst(), flat, picked), shape)
        return g.masked_fill(mask, 0) if needs[0] else None, gs, None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return masked_scatter, (tensors[0], tensors[2], tensors[1]), {}


class PutFirst(Primitive):
    """A vector with its first elements replaced by a shorter vector."""

    __slots__ = ()
    name = "put_first"
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        out = k.contiguous(arrays[0])
        k.copy_into(out[: arrays[1].shape[0]], arrays[1])
        return out

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1]._shape[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gx = apply2(PutFirst(), g, g.new_zeros((saved[0],))) if needs[0] else None
        return gx, g[: saved[0]]


def check_same_dtype(operation: str, x: Any, source: Any) -> None:
    if x._dtype is not source._dtype:
        raise RuntimeError(
            f"{operation}(): Expected self.dtype to be equal to src.dtype, got {x._dtype!r} and {source._dtype!r}; convert one of them"
        )


def _scatter_op(self: Any, dim: int, index: Any, src: Any, reduce: str | None, operation: str) -> tuple[Primitive, tuple[Any, ...]]:
    d = normalize_dim(dim, len(self._shape), operation)
    check_index(index, operation)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError(f"{operation}(): reduce argument must be either add or multiply, got {reduce!r}")
        if isinstance(src, TensorBase):
            warn_user(
                "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future PyTorch release. "
                "Use torch.scatter_reduce instead for more reduction options.",
            )
        source = src if is_tensor(src) else expand(constant(src, self._dtype, self._device), index._shape).clone()
        op: Primitive = ScatterAdd(d) if reduce == "add" else ScatterReduce(d, "prod", True)
        return op, (source, index)
    if is_tensor(src):
        check_same_dtype(operation, self, src)
        return Scatter(d), (src, index)
    return ScatterValue(d), (constant(src, self._dtype, self._device), index)


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None, out: Any = None) -> Any:
    """A copy of `input` with `src` (a tensor or a number) written at `out[index[i][j]][j]` for dim 0 (and so on)."""
    need_tensor("scatter", input)
    op, rest = _scatter_op(input, dim, index, value if src is None else src, reduce, "scatter")
    result = applyn(op, (input, *rest))
    return result if out is None else write_out(out, result, "scatter")


def scatter_(self: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """`scatter` in place."""
    op, rest = _scatter_op(self, dim, index, value if src is None else src, reduce, "scatter_")
    return apply_inplace(op, self, rest)


def scatter_add(input: Any, dim: int, index: Any, src: Any, *, out: Any = None) -> Any:
    """A copy of `input` with `src` added at `out[index[i][j]][j]` for dim 0 (and so on); repeated positions add up."""
    need_tensor("scatter_add", input)
    d = normalize_dim(dim, len(input._shape), "scatter_add")
    check_same_dtype("scatter_add", input, src)
    result = apply3(ScatterAdd(d), input, src, check_index(index, "scatter_add"))
    return result if out is None else write_out(out, result, "scatter_add")


def scatter_add_(self: Any, dim: int, index: Any, src: Any) -> Any:
    """`scatter_add` in place."""
    check_same_dtype("scatter_add_", self, src)
    d = normalize_dim(dim, len(self._shape), "scatter_add_")
    return apply_inplace(ScatterAdd(d), self, (src, check_index(index, "scatter_add_")))


def _reduce_op(self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool) -> Primitive:
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    check_index(index, "scatter_reduce")
    check_same_dtype("scatter_reduce", self, src)
    if reduce in ("amax", "amin"):
        refuse(f"scatter_gather_tensor_cpu_reduce_{reduce}", self, "complex")
    elif reduce == "mean":
        refuse("scatter_gather_tensor_cpu_reduce_mean", self, "bool")
    return ScatterReduce(normalize_dim(dim, len(self._shape), "scatter_reduce"), reduce, include_self)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True, out: Any = None) -> Any:
    """A copy of `input` with `src` combined at the index by "sum", "prod", "mean", "amax" or "amin"."""
    result = apply3(_reduce_op(input, dim, index, src, reduce, include_self), input, src, index)
    return result if out is None else write_out(out, result, "scatter_reduce")


def scatter_reduce_(self: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """`scatter_reduce` in place."""
    return apply_inplace(_reduce_op(self, dim, index, src, reduce, include_self), self, (src, index))


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """A copy of `input` with `alpha * source` added to its slices at `index` along `dim`."""
    need_tensor("index_add", input)
    op = IndexAdd(normalize_dim(dim, len(input._shape), "index_add"), alpha)
    check_same_dtype("index_add", input, source)
    check_vector(check_index(index, "index_add"), "index_add")
    result = apply3(op, input, source, index)
    return result if out is None else write_out(out, result, "index_add")


def index_add_(self: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """`index_add` in place."""
    op = IndexAdd(normalize_dim(dim, len(self._shape), "index_add_"), alpha)
    check_same_dtype("index_add_", self, source)
    check_vector(check_index(index, "index_add_"), "index_add_")
    return apply_inplace(op, self, (source, index))


def index_copy(input: Any, dim: int, index: Any, source: Any, *, out: Any = None) -> Any:
    """A copy of `input` with its slices at `index` along `dim` replaced by those of `source`."""
    need_tensor("index_copy", input)
    check_same_dtype("index_copy", input, source)
    op = IndexCopy(normalize_dim(dim, len(input._shape), "index_copy"))
    result = apply3(op, input, source, check_index(index, "index_copy"))
    return result if out is None else write_out(out, result, "index_copy")


def index_copy_(self: Any, dim: int, index: Any, source: Any) -> Any:
    """`index_copy` in place."""
    check_same_dtype("index_copy_", self, source)
    op = IndexCopy(normalize_dim(dim, len(self._shape), "index_copy_"))
    return apply_inplace(op, self, (source, check_index(index, "index_copy_")))


def _fill_value(self: Any, value: Any) -> Any:
    if not is_tensor(value):
        return constant(value, self._dtype, self._device)
    if value._shape:
        raise RuntimeError(
            f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {len(value._shape)} dimension(s)."
        )
    return value.to(self._dtype)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of `input` with its slices at `index` along `dim` filled with `value`."""
    need_tensor("index_fill", input)
    op = (IndexFillTensor if isinstance(value, TensorBase) else IndexFill)(normalize_dim(dim, len(input._shape), "index_fill"))
    return apply3(op, input, _fill_value(input, value), check_index(index, "index_fill"))


def index_fill_(self: Any, dim: int, index: Any, value: Any) -> Any:
    """`index_fill` in place."""
    op = (IndexFillTensor if isinstance(value, TensorBase) else IndexFill)(normalize_dim(dim, len(self._shape), "index_fill_"))
    return apply_inplace(op, self, (_fill_value(self, value), check_index(index, "index_fill_")))


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with `source` written (or added) at flat positions `index`."""
    check_same_dtype("put", input, source)
    return apply3(Put(accumulate), input, _as_many(source, index), check_index(index, "put"))


def put_(self: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """`put` in place."""
    check_same_dtype("put_", self, source)
    return apply_inplace(Put(accumulate), self, (_as_many(source, index), check_index(index, "put_")))


def _as_many(source: Any, index: Any) -> Any:
    """`source`, which must have an element for each of `index`."""
    if source.numel() != index.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.numel()}, index.numel() = {index.numel()}"
        )
    return source


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy of `input` where the elements under `mask` are replaced, in order, by those of `source`."""
    need_tensor("masked_scatter", input)
    check_same_dtype("masked_scatter", input, source)
    check_mask(mask, "masked_scatter")
    shape = broadcast_shapes(input._shape, mask._shape)
    return apply3(MaskedScatter(), expand(input, shape), source, expand(mask, shape))


def masked_scatter_(self: Any, mask: Any, source: Any) -> Any:
    """`masked_scatter` in place."""
    check_same_dtype("masked_scatter_", self, source)
    return apply_inplace(MaskedScatter(), self, (source, expand(check_mask(mask, "masked_scatter_"), self._shape)))


serve(Scatter, scatter)
serve(ScatterValue, scatter)
serve(ScatterAdd, scatter_add)
serve(ScatterReduce, scatter_reduce)
serve(IndexAdd, index_add)
serve(IndexCopy, index_copy)
serve(IndexFill, index_fill)
serve(Put, put)
serve(MaskedScatter, masked_scatter)
methods(
    scatter, scatter_, scatter_add, scatter_add_, scatter_reduce, scatter_reduce_, index_add, index_add_, index_copy, index_copy_,
    index_fill, index_fill_, put, put_, masked_scatter, masked_scatter_,
)  # fmt: skip
