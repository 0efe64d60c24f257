"""Diagonals and parts written out of place: diag, diag_embed, trace, block_diag, the `*_scatter` functions; rot90."""

from __future__ import annotations

from typing import Any

from rushlight.base.shape import Shape, normalize_dim, normalize_dims
from rushlight.core.primitive import COMMON, Primitive, apply1, apply2, apply_view, applyn
from rushlight.ops.checks import need_tensor, refuse
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.creation import zeros
from rushlight.ops.shape import LinearUnary, atleast_2d
from rushlight.ops.view import reshape
from rushlight.ops.view_rules import Diagonal, Part, PlacePart, Select, Slice

__all__ = [
    "block_diag", "diag", "diag_embed", "diagflat", "diagonal_scatter", "rot90", "select_scatter", "slice_scatter", "trace",
]  # fmt: skip


class DiagEmbed(PlacePart):
    """Zeros with the input on a diagonal."""

    __slots__ = ()
    name = "diag_embed"

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        part: Any = self.part
        return diag_embed, (tensors[0], part.offset, part.dim1, part.dim2), {}


class DiagonalCopy(LinearUnary):
    """The diagonal of a matrix in memory of its own."""

    __slots__ = ("offset",)
    name = "diag"
    node_name = "DiagonalBackward0_copy"

    def __init__(self, offset: int) -> None:
        self.offset = offset

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.diagonal(arrays[0], self.offset, 0, 1).copy()

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PlacePart(Diagonal(self.offset, 0, 1), saved[0]), g)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return diag, (tensors[0], self.offset), {}


class Trace(LinearUnary):
    """The sum of a matrix's diagonal."""

    __slots__ = ()
    name = "trace"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.sum(k.diagonal(arrays[0], 0, 0, 1), (0,))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PlacePart(Diagonal(0, 0, 1), saved[0]), g.expand(min(saved[0])))


class Written(Primitive):
    """A copy of x with `src` in place of a part: `written(x, src)`."""

    __slots__ = ("part",)
    linear = True

    def __init__(self, part: Part) -> None:
        self.part = part

    def forward(self, k: Any, *arrays: Any) -> Any:
        out = arrays[0].copy()
        k.copy_into(self.part.forward(k, out), k.cast(arrays[1], out.dtype))
        return out

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        part = apply_view(self.part, g)
        return apply2(self, g, part.new_zeros(part._shape)) if needs[0] else None, part if needs[1] else None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        settings = self.part.parameters()
        if isinstance(self.part, Slice):
            settings["end"] = settings.pop("stop")
        return type(self).public, tensors, settings


class SelectScatter(Written):
    __slots__ = ()
    name = "select_scatter"


class SliceScatter(Written):
    __slots__ = ()
    name = "slice_scatter"


class DiagonalScatter(Written):
    __slots__ = ()
    name = "diagonal_scatter"


class BlockDiag(Primitive):
    """Matrices along the diagonal of a larger one."""

    __slots__ = ()
    name = "block_diag"
    promotion = COMMON
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        out = k.zeros((sum(a.shape[0] for a in arrays), sum(a.shape[1] for a in arrays)), arrays[0].dtype)
        top = left = 0
        for block in arrays:
            height, width = block.shape
            k.copy_into(k.slice(k.slice(out, 0, top, top + height, 1), 1, left, left + width, 1), block)
            top, left = top + height, left + width
        return out

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (tuple(x._shape for x in inputs),)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        found = []
        top = left = 0
        for (height, width), need in zip(saved[0], needs, strict=True):
            found.append(g.narrow(0, top, height).narrow(1, left, width) if need else None)
            top, left = top + height, left + width
        return tuple(found)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return applyn(self, tangents)


class Rot90(LinearUnary):
    """A turn by a number of quarters from the first towards the second of two dimensions."""

    __slots__ = ("k", "dims")
    name = "rot90"

    def __init__(self, quarters: int, dims: Shape) -> None:
        self.k = quarters
        self.dims = dims

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        a, b = self.dims
        turns = self.k % 4
        if turns == 0:
            return x.copy()
        if turns == 2:
            return k.flip(x, (a, b))
        order = list(range(x.ndim))
        order[a], order[b] = b, a
        return k.permute(k.flip(x, (b,)), order).copy() if turns == 1 else k.flip(k.permute(x, order), (b,))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(Rot90(-self.k, self.dims), g)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices over `dim1` and `dim2` with the last dimension of `input` on a diagonal, zeros elsewhere."""
    need_tensor("diag_embed", input)
    shape = input._shape
    rank = len(shape) + 1
    a, b = normalize_dim(dim1, rank, "diag_embed"), normalize_dim(dim2, rank, "diag_embed")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = shape[-1] + abs(offset)
    rest = iter(shape[:-1])
    whole = tuple(size if i in (a, b) else next(rest) for i in range(rank))
    return apply1(DiagEmbed(Diagonal(offset, a, b), whole), input)


def diag(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """A matrix with a vector on its diagonal, or the diagonal of a matrix as a copy."""
    need_tensor("diag", input)
    rank = len(input._shape)
    if rank not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {rank}D")
    result = diag_embed(input, diagonal) if rank == 1 else apply1(DiagonalCopy(diagonal), input)
    return result if out is None else write_out(out, result, "diag")


def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with the flattened input on its diagonal."""
    return diag_embed(reshape(input, (-1,)), offset)


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    need_tensor("trace", input)
    if len(input._shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input._shape)}")
    refuse("trace", input, "bool")
    return apply1(Trace(), input)


def block_diag(*tensors: Any) -> Any:
    """A block-diagonal matrix of the given matrices (vectors are rows, numbers 1 by 1 matrices)."""
    if not tensors:
        return zeros((1, 0))
    for i, t in enumerate(tensors):
        need_tensor("block_diag", t)
        if len(t._shape) > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {len(t._shape)} dimensions"
            )
    return applyn(BlockDiag(), tuple([atleast_2d(t) for t in tensors]))


def _written(op: Written, input: Any, src: Any) -> Any:
    need_tensor(op.name, input)
    need_tensor(op.name, src, "src")
    slot: Any = op.part
    found = tuple(apply_view(slot, input.detach_alias())._shape)
    if src._shape != found:
        raise RuntimeError(
            f"{op.name}(): expected src to have a size equal to the slice of self. src size = {list(src._shape)}, slice size = "
            f"{list(found)}"
        )
    return apply2(op, input, src)


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of `input` with `src` written at `index` of `dim`."""
    d = normalize_dim(dim, len(input._shape), "select_scatter")
    size = input._shape[d]
    if not -size <= index < size:
        raise IndexError(f"select_scatter(): index {index} out of range for tensor of size {list(input._shape)} at dimension {d}")
    return _written(SelectScatter(Select(d, index % size)), input, src)


def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1, *, out: Any = None
) -> Any:
    """A copy of `input` with `src` written at `start:end:step` of `dim`."""
    d = normalize_dim(dim, len(input._shape), "slice_scatter")
    if step <= 0:
        raise RuntimeError(f"slice step must be positive, got {step}")
    first, last, _ = slice(start, end).indices(input._shape[d])
    result = _written(SliceScatter(Slice(d, first, max(first, last), step)), input, src)
    return result if out is None else write_out(out, result, "slice_scatter")


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of `input` with `src` written on a diagonal."""
    rank = len(input._shape)
    a, b = normalize_dim(dim1, rank, "diagonal_scatter"), normalize_dim(dim2, rank, "diagonal_scatter")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _written(DiagonalScatter(Diagonal(offset, a, b)), input, src)


def rot90(input: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """A copy turned by `k` quarter turns from the first towards the second of `dims`."""
    need_tensor("rot90", input)
    rank = len(input._shape)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {rank}")
    a, b = [normalize_dim(d, rank, "rot90") for d in dims]
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {a} and dim1 = {b}")
    return apply1(Rot90(int(k), normalize_dims((a, b), rank, "rot90")), input)


serve(Trace, trace)
serve(BlockDiag, block_diag)
serve(Rot90, rot90)
serve(SelectScatter, select_scatter)
serve(SliceScatter, slice_scatter)
serve(DiagonalScatter, diagonal_scatter)
methods(diag, diag_embed, diagflat, diagonal_scatter, rot90, select_scatter, slice_scatter, trace)
