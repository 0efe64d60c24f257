"""Joining, repeating and reordering: cat, stack, repeat, flip, roll, tril, diag and kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.base.dtypes import result_dtype
from rushlight.base.shape import Shape, normalize_dim, normalize_dims, shape_argument
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import Primitive, apply1, apply_view, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_tensor, not_implemented
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.view import expand, reshape, select, unsqueeze
from rushlight.ops.view_rules import Slice

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "cat", "column_stack", "concat", "concatenate", "dstack", "flip",
    "fliplr", "flipud", "hstack", "repeat_interleave", "roll", "row_stack", "stack", "tile", "tril", "triu", "vstack",
]


class Cat(Primitive):
    """Tensors joined along a dimension."""

    __slots__ = ("dim",)
    keeps_layout = True
    name = "cat"
    linear = True

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cat(arrays, self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return tuple(t._shape for t in inputs)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        found: list[Any] = []
        start = 0
        for shape, wanted in zip(saved, needs, strict=True):
            if shape == (0,):  # torch's legacy: an empty vector joins anything
                found.append(g.new_zeros(shape) if wanted else None)
                continue
            stop = start + shape[self.dim]
            found.append(apply_view(Slice(self.dim, start, stop, 1), g) if wanted else None)
            start = stop
        return tuple(found)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return applyn(self, tangents)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return cat, (tensors,), {"dim": self.dim}


class Stack(Primitive):
    """Tensors of one shape joined along a new dimension."""

    __slots__ = ("dim",)
    name = "stack"
    linear = True

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.stack(arrays, self.dim)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return tuple(select(g, self.dim, i) if wanted else None for i, wanted in enumerate(needs))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return applyn(self, tangents)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return stack, (tensors,), {"dim": self.dim}


class LinearUnary(Primitive):
    """A linear rearrangement of one tensor."""

    __slots__ = ()
    linear = True

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class Repeat(LinearUnary):
    """The tensor repeated along every dimension."""

    __slots__ = ("repeats",)
    name = "repeat"

    def __init__(self, repeats: Shape) -> None:
        self.repeats = repeats

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.repeat(arrays[0], self.repeats)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        lead = len(self.repeats) - len(shape)
        if 0 in self.repeats:
            return g.new_zeros(shape)
        pairs = [(r, 1 if i < lead else shape[i - lead]) for i, r in enumerate(self.repeats)]
        summed = reshape(g, tuple(n for pair in pairs for n in pair)).sum(tuple(range(0, 2 * len(pairs), 2))) if pairs else g
        return reshape(summed, shape)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return repeat, (tensors[0], self.repeats), {}


class Flip(LinearUnary):
    """The order along some dimensions reversed."""

    __slots__ = ("dims",)
    name = "flip"

    def __init__(self, dims: Shape) -> None:
        self.dims = dims

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.flip(arrays[0], self.dims)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return flip, (tensors[0], self.dims), {}

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self, g)


class Roll(LinearUnary):
    """The elements shifted around along some dimensions."""

    __slots__ = ("shifts", "dims")
    name = "roll"

    def __init__(self, shifts: Shape, dims: Shape) -> None:
        self.shifts = shifts
        self.dims = dims

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.roll(arrays[0], self.shifts, self.dims)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(Roll(tuple(-s for s in self.shifts), self.dims), g)


class Tril(LinearUnary):
    """The lower triangles, zeros elsewhere."""

    __slots__ = ("diagonal",)
    name = "tril"

    def __init__(self, diagonal: int) -> None:
        self.diagonal = diagonal

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.diagonal)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self, g)


class Triu(Tril):
    """The upper triangles, zeros elsewhere."""

    __slots__ = ()
    name = "triu"


def _tensors(operation: str, tensors: Any) -> tuple[Any, ...]:
    if isinstance(tensors, TensorBase) or not isinstance(tensors, Sequence):
        raise TypeError(f"{operation}(): argument 'tensors' must be tuple of Tensors, not {type(tensors).__name__}")
    for i, entry in enumerate(tensors):
        if not isinstance(entry, TensorBase):
            raise TypeError(f"{operation}(): expected Tensor as element {i} in argument 0, but got {type(entry).__name__}")
    if not tensors:
        error = ValueError if operation == "cat" else RuntimeError
        raise error(f"{operation}(): expected a non-empty list of Tensors")
    return tuple(tensors)


def _common_dtype(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    first = tensors[0]._dtype
    for x in tensors:
        if x._dtype is not first:
            break
    else:
        return tensors
    common = result_dtype([(x._dtype, not x._shape) for x in tensors])
    return tuple(x.to(common) for x in tensors)


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """`tensors` joined along `dim`; all other sizes must agree.

    >>> cat([tensor([1, 2]), tensor([3])])
    tensor([1, 2, 3])
    """
    given = _common_dtype(_tensors("cat", tensors))
    shapes = [x._shape for x in given]
    if () in shapes:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {shapes.index(())}) cannot be concatenated; use stack, or x.reshape(1)"
        )
    first = next((shape for shape in shapes if shape != (0,)), shapes[0])
    d = normalize_dim(dim, len(first), "cat")
    for i, shape in enumerate(shapes):
        if shape in (first, (0,)):
            continue
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}: cat got {list(first)} and, as number {i} "
                f"in the list, {list(shape)}; unsqueeze() adds a dimension"
            )
        for j, (want, have) in enumerate(zip(first, shape, strict=True)):
            if j != d and want != have:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size {want} but got size {have} for tensor number {i} "
                    f"in the list: cat got {list(first)} and {list(shape)}."
                )
    result = applyn(Cat(d), given)
    return result if out is None else write_out(out, result, "cat")


def stack(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """`tensors`, all of one shape, joined along a new dimension `dim`."""
    given = _common_dtype(_tensors("stack", tensors))
    for i, x in enumerate(given):
        if x._shape != given[0]._shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(given[0]._shape)} at entry 0 and {list(x._shape)} at entry {i}"
            )
    result = applyn(Stack(normalize_dim(dim, len(given[0]._shape) + 1, "stack")), given)
    return result if out is None else write_out(out, result, "stack")


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension."""
    return _each(tensors, lambda x: x if x._shape else reshape(x, (1,)))


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions; new ones in front."""
    return _each(tensors, lambda x: x if len(x._shape) > 1 else unsqueeze(x, 0) if x._shape else reshape(x, (1, 1)))


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions."""

    def grow(x: Any) -> Any:
        rank = len(x._shape)
        if rank == 0:
            return reshape(x, (1, 1, 1))
        return unsqueeze(unsqueeze(x, 0), -1) if rank == 1 else unsqueeze(x, -1) if rank == 2 else x

    return _each(tensors, grow)


def _each(tensors: tuple[Any, ...], function: Any) -> Any:
    if len(tensors) == 1:
        only = tensors[0]
        return function(only) if isinstance(only, TensorBase) else tuple(function(x) for x in only)
    return tuple(function(x) for x in tensors)


def hstack(tensors: Any, *, out: Any = None) -> Any:
    """`cat` along the columns (dimension 0 for one-dim tensors)."""
    given = atleast_1d(_tensors("hstack", tensors))
    return cat(given, 0 if len(given[0]._shape) == 1 else 1, out=out)


def vstack(tensors: Any, *, out: Any = None) -> Any:
    """`cat` along the rows; vectors are rows."""
    return cat(atleast_2d(_tensors("vstack", tensors)), 0, out=out)


def dstack(tensors: Any, *, out: Any = None) -> Any:
    """`cat` along the third dimension."""
    return cat(atleast_3d(_tensors("dstack", tensors)), 2, out=out)


def column_stack(tensors: Any, *, out: Any = None) -> Any:
    """Vectors as columns beside each other."""
    given = [x if len(x._shape) > 1 else reshape(x, (x.numel(), 1)) for x in _tensors("column_stack", tensors)]
    return cat(given, 1, out=out)


def repeat(self: Any, *repeats: Any) -> Any:
    """A copy repeated along every dimension; more repeats than dimensions add dimensions in front."""
    given = shape_argument(repeats, "repeat")
    if len(given) < len(self._shape):
        raise RuntimeError(
            f"Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: got {len(given)} repeats for "
            f"{len(self._shape)} dimensions"
        )
    if any(n < 0 for n in given):
        raise RuntimeError(f"repeat(): Trying to create tensor with negative dimension {min(given)}: {list(given)}")
    return apply1(Repeat(given), self)


def tile(input: Any, *args: Any, dims: Any = None) -> Any:
    """`repeat` by `dims`, where missing repeats in front count as 1."""
    need_tensor("tile", input)
    given = shape_argument(args if dims is None else (dims,), "tile")
    return repeat(input, (1,) * (len(input._shape) - len(given)) + given)


def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each element (each slice along `dim`) repeated `repeats` times in a row; a tensor of repeats gives one count each.

    With one argument, a tensor of counts, the indices repeated as often as they say.
    """
    need_tensor("repeat_interleave", input)
    counts = input if repeats is None else repeats
    if repeats is None:
        index = input.new_zeros((0,))
        return index if not input.numel() else _interleaved(counts, input)
    if dim is None:
        input, dim = reshape(input, (-1,)), 0
    d = normalize_dim(dim, len(input._shape), "repeat_interleave")
    size = input._shape[d]
    if isinstance(counts, TensorBase):
        if counts.numel() not in (1, size):
            raise RuntimeError(f"repeats must have the same size as input along dim, but got {counts.numel()} and {size}")
        counts = expand(reshape(counts, (-1,)), (size,))
        return input.index_select(d, _interleaved(counts, counts))
    if counts < 0:
        raise RuntimeError("Repeats must be non-negative")
    wide = expand(unsqueeze(input, d + 1), (*input._shape[: d + 1], counts, *input._shape[d + 1 :]))
    return reshape(wide.clone(), (*input._shape[:d], size * counts, *input._shape[d + 1 :]))


class Interleaved(Primitive):
    """The index i repeated counts[i] times."""

    __slots__ = ()
    name = "repeat_interleave"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.repeat_interleave(k.arange(0, arrays[0].size, 1, arrays[0].dtype), arrays[0])


def _interleaved(counts: Any, like: Any) -> Any:
    if counts._dtype.name not in ("int64", "int32"):
        raise not_implemented("repeat_interleave_cpu", counts._dtype)
    return apply1(Interleaved(), counts.contiguous())


def flip(input: Any, *args: Any, dims: Any = None) -> Any:
    """A copy with the order along `dims` reversed."""
    need_tensor("flip", input)
    given = shape_argument(args if dims is None else (dims,), "flip")
    return apply1(Flip(normalize_dims(given, len(input._shape), "flip")), input)


def fliplr(input: Any) -> Any:
    """`flip` of dimension 1."""
    if len(input._shape) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """`flip` of dimension 0."""
    if not input._shape:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """A copy shifted around by `shifts` along `dims`; without `dims` the flattened tensor is shifted."""
    need_tensor("roll", input)
    amounts = shape_argument((shifts,) if isinstance(shifts, Sequence) else ((shifts,),), "roll")
    along = () if dims is None else dims if isinstance(dims, Sequence) else (dims,)
    if along and len(along) != len(amounts):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(amounts)}, dims:{len(along)}")
    if not along and len(amounts) != 1:
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(amounts)}, dims:0")
    return apply1(Roll(amounts, tuple(normalize_dim(d, len(input._shape), "roll") for d in along)), input)


def _matrices(operation: str, input: Any) -> Any:
    if len(input._shape) < 2:
        raise RuntimeError(f"{operation}: input tensor must have at least 2 dimensions, got shape {list(input._shape)}")
    return input


def tril(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The lower triangles of the last two dimensions, zeros above `diagonal`."""
    need_tensor("tril", input)
    result = apply1(Tril(diagonal), _matrices("tril", input))
    return result if out is None else write_out(out, result, "tril")


def triu(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """The upper triangles of the last two dimensions, zeros below `diagonal`."""
    need_tensor("triu", input)
    result = apply1(Triu(diagonal), _matrices("triu", input))
    return result if out is None else write_out(out, result, "triu")


def tril_(self: Any, diagonal: int = 0) -> Any:
    """`tril` in place."""
    return apply_inplace(Tril(diagonal), _matrices("tril_", self))


def triu_(self: Any, diagonal: int = 0) -> Any:
    """`triu` in place."""
    return apply_inplace(Triu(diagonal), _matrices("triu_", self))


concat = concatenate = cat
row_stack = vstack
serve(Cat, cat)
serve(Stack, stack)
serve(Repeat, repeat)
serve(Flip, flip)
serve(Roll, roll)
serve(Tril, tril)
serve(Triu, triu)
methods(
    repeat, tile, repeat_interleave, flip, fliplr, flipud, roll, tril, triu, tril_, triu_,
)
