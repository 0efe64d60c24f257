"""Operations that return several views: split, chunk, unbind and kin. One node with as many outputs."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from rushlight.base.shape import Shape, normalize_dim, shape_argument
from rushlight.core.primitive import Primitive, apply_view, applyn
from rushlight.core.tensor import is_tensor
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import methods, serve
from rushlight.ops.shape import Cat, Stack
from rushlight.ops.view_rules import Slice

__all__ = [
    "chunk",
    "dsplit",
    "hsplit",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "vsplit",
]


class Split(Primitive):
    """Consecutive pieces of a dimension, each a view; one node with as many outputs."""

    __slots__ = ("sizes", "dim")
    name = "split"
    node_name = "SplitBackward0"
    outputs = 0
    linear = True

    def __init__(self, sizes: Shape, dim: int) -> None:
        self.sizes = sizes
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        pieces, start = [], 0
        for size in self.sizes:
            pieces.append(k.slice(arrays[0], self.dim, start, start + size, 1))
            start += size
        return tuple(pieces)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        like = next(piece for piece in g if piece is not None)
        pieces = [
            like.new_zeros((*shape[: self.dim], size, *shape[self.dim + 1 :])) if piece is None else piece
            for size, piece in zip(self.sizes, g, strict=True)
        ]
        return applyn(Cat(self.dim), tuple(pieces))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return split_with_sizes, (tensors[0], self.sizes, self.dim), {}

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply_view(self, tangents[0])


class SplitWithSizes(Split):
    """What `split([a, b, ...])` records."""

    __slots__ = ()
    name = "split_with_sizes"


class Unbind(Primitive):
    """All indices of a dimension, each a view."""

    __slots__ = ("dim",)
    name = "unbind"
    outputs = 0
    linear = True

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return tuple(k.select(arrays[0], self.dim, i) for i in range(arrays[0].shape[self.dim]))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        like = next(piece for piece in g if piece is not None)
        rest = (*shape[: self.dim], *shape[self.dim + 1 :])
        return applyn(Stack(self.dim), tuple([like.new_zeros(rest) if piece is None else piece for piece in g]))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply_view(self, tangents[0])


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along `dim`: all of one size (the last may be smaller), or of the sizes given."""
    need_tensor("split", tensor, "tensor")
    rank = len(tensor._shape)
    if rank == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = normalize_dim(dim, rank, "split")
    total = tensor._shape[d]
    if isinstance(split_size_or_sections, Sequence):
        return split_with_sizes(tensor, split_size_or_sections, d)
    size = operator.index(split_size_or_sections)
    if size < 0 or (size == 0 and total != 0):
        raise RuntimeError(
            f"split expects split_size be {'non-negative' if size < 0 else 'greater than 0'}, but got split_size={size} "
            f"for dimension size {total}"
        )
    starts = range(0, max(total, 1), size) if size else range(1)
    return apply_view(Split(tuple(min(size, total - s) for s in starts), d), tensor)  # type: ignore[no-any-return]


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces of the given sizes along `dim`."""
    need_tensor("split_with_sizes", input)
    if not input._shape:
        raise RuntimeError("split_with_sizes expects at least a 1-dimensional tensor")
    d = normalize_dim(dim, len(input._shape), "split_with_sizes")
    sizes = shape_argument((split_sizes,), "split_with_sizes")
    if sum(sizes) != input._shape[d] or any(n < 0 for n in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input._shape[d]} (input tensor's size at dimension "
            f"{d}), but got split_sizes={list(sizes)}"
        )
    return apply_view(SplitWithSizes(sizes, d), input)  # type: ignore[no-any-return]


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size (the last may be smaller) along `dim`."""
    need_tensor("chunk", input)
    if not input._shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = normalize_dim(dim, len(input._shape), "chunk")
    size = -(-input._shape[d] // chunks)
    return split(input, size, d) if size else split_with_sizes(input, [0] * chunks, d)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views along `dim`: as many as asked, nearly equal, or cut at the given indices."""
    need_tensor("tensor_split", input)
    if not input._shape:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    d = normalize_dim(dim, len(input._shape), "tensor_split")
    total = input._shape[d]
    if is_tensor(indices_or_sections):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {indices_or_sections}")
        base, more = divmod(total, indices_or_sections)
        sizes = [base + 1] * more + [base] * (indices_or_sections - more)
        cuts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    else:
        cuts = [0, *[slice(i, None).indices(total)[0] for i in indices_or_sections], total]
    return tuple(apply_view(Slice(d, a, max(a, b), 1), input) for a, b in zip(cuts, cuts[1:], strict=False))


def _even_split(operation: str, input: Any, indices_or_sections: Any, dim: int) -> tuple[Any, ...]:
    """`tensor_split` whose sections must be equal."""
    if isinstance(indices_or_sections, int):
        if indices_or_sections == 0 or input._shape[dim] % indices_or_sections:
            raise RuntimeError(
                f"torch.{operation} attempted to split along dimension {dim}, but the size of the dimension {input._shape[dim]} is "
                f"not divisible by the split_size {indices_or_sections}! tensor_split takes unequal sections"
            )
    return tensor_split(input, indices_or_sections, dim)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views along the columns (along dimension 0 for one-dim tensors): equally many each, or cut at the given indices."""
    if not input._shape:
        raise RuntimeError("torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with 0 dimensions!")
    return _even_split("hsplit", input, indices_or_sections, 0 if len(input._shape) == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views along the rows of a tensor with two or more dimensions, as `hsplit`."""
    if len(input._shape) < 2:
        raise RuntimeError(
            f"torch.vsplit requires a tensor with at least 2 dimension, but got a tensor with {len(input._shape)} dimensions!"
        )
    return _even_split("vsplit", input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views along dimension 2 of a tensor with three or more, as `hsplit`."""
    if len(input._shape) < 3:
        raise RuntimeError(
            f"torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with {len(input._shape)} dimensions!"
        )
    return _even_split("dsplit", input, indices_or_sections, 2)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along `dim`, each a view without it."""
    need_tensor("unbind", input)
    if not input._shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return apply_view(Unbind(normalize_dim(dim, len(input._shape), "unbind")), input)  # type: ignore[no-any-return]


serve(Unbind, unbind)
methods(split, split_with_sizes, chunk, tensor_split, hsplit, vsplit, dsplit, unbind)
