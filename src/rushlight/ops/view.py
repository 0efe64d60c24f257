"""Functions whose results share memory with their input: reshape, permute, expand, squeeze, select, slice, diagonal."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.base.dtypes import dtype as dtype_class
from rushlight.base.shape import broadcast_shapes as common_shape
from rushlight.base.shape import (
    infer_size,
    normalize_dim,
    normalize_dims,
    shape_argument,
)
from rushlight.base.size import Size
from rushlight.core.primitive import apply_view
from rushlight.core.tensor import TensorBase, attach
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import methods, serve
from rushlight.ops.view_rules import (
    Diagonal,
    Expand,
    Permute,
    Reshape,
    Select,
    Slice,
    Squeeze,
    SqueezeDim,
    SqueezeDims,
    Transpose,
    TransposeMatrix,
    UnsafeView,
    Unsqueeze,
    ViewDtype,
    reshaped,
)

__all__ = [
    "adjoint",
    "broadcast_shapes",
    "broadcast_tensors",
    "broadcast_to",
    "diagonal",
    "flatten",
    "moveaxis",
    "movedim",
    "narrow",
    "permute",
    "ravel",
    "reshape",
    "select",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
]


def view(self: Any, *shape: Any, dtype: Any = None) -> Any:
    """The same memory in another shape, or read as another dtype. `RuntimeError` where that needs a copy."""
    given = dtype if dtype is not None else shape[0] if len(shape) == 1 else None
    if isinstance(given, dtype_class):
        return self if given is self._dtype else apply_view(ViewDtype(given), self)
    return apply_view(Reshape(infer_size(shape_argument(shape, "view"), self.numel())), self)


def view_as(self: Any, other: Any) -> Any:
    """`view` in the shape of `other`."""
    return view(self, other._shape)


def reshape(input: Any, *args: Any, shape: Any = None) -> Any:
    """The same elements in another `shape`: a view where possible, else a copy. One size may be -1."""
    need_tensor("reshape", input)
    wanted = infer_size(shape_argument(args if shape is None else (shape,), "reshape"), input.numel())
    return reshaped(input, wanted)


def reshape_as(self: Any, other: Any) -> Any:
    """`reshape` to the shape of `other`."""
    return reshape(self, other._shape)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions `start_dim` to `end_dim` made one; a zero-dim tensor becomes one-dim."""
    need_tensor("flatten", input)
    rank = len(input._shape)
    first, last = normalize_dim(start_dim, rank, "flatten"), normalize_dim(end_dim, rank, "flatten")
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if rank == 0:
        return reshape(input, (1,))
    if first == last:
        return input
    shape = input._shape
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    need_tensor("ravel", input)
    return view(input.contiguous(), -1)


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Dimension `dim` split into `sizes`, one of which may be -1."""
    need_tensor("unflatten", input)
    d = normalize_dim(dim, len(input._shape), "unflatten")
    if not input._shape:
        raise RuntimeError("unflatten: the input has no dimensions to split")
    given = shape_argument((sizes,), "unflatten")
    if not given:
        raise RuntimeError("unflatten: sizes must be non-empty")
    shape = input._shape
    try:
        wanted = infer_size(given, shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(given)} don't multiply up to the size of dim {d} ({shape[d]}) in the input "
            "tensor"
        ) from None
    return view(input, (*shape[:d], *wanted, *shape[d + 1 :]))


def permute(input: Any, *args: Any, dims: Any = None) -> Any:
    """The dimensions in the order `dims`."""
    if not args and dims is None:
        raise TypeError("permute() missing 1 required positional arguments: 'dims'")
    given = shape_argument(args if dims is None else (dims,), "permute")
    rank = len(input._shape)
    if len(given) != rank:
        raise RuntimeError(
            f"permute(): number of dimensions in the tensor input does not match the length of the desired ordering "
            f"of dimensions i.e. input.dim() = {rank} is not equal to len(dims) = {len(given)}"
        )
    return apply_view(Permute(normalize_dims(given, rank, "permute")), input)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Dimensions `dim0` and `dim1` exchanged."""
    need_tensor("transpose", input)
    rank = len(input._shape)
    a, b = normalize_dim(dim0, rank, "transpose"), normalize_dim(dim1, rank, "transpose")
    dims = list(range(rank))
    if rank:
        dims[a], dims[b] = dims[b], dims[a]
    return apply_view(Transpose(tuple(dims)), input)


def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and zero-dim tensors as they are."""
    need_tensor("t", input)
    rank = len(input._shape)
    if rank > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {rank}D; use transpose(dim0, dim1) or mT"
        )
    return apply_view(TransposeMatrix(tuple(reversed(range(rank)))), input)


def _matrix_transpose(self: Any) -> Any:
    """The last two dimensions exchanged."""
    if len(self._shape) < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {len(self._shape)}-D tensor."
        )
    return transpose(self, -2, -1)


def _reverse_dims(self: Any) -> Any:
    """All dimensions in reverse order."""
    return apply_view(Permute(tuple(reversed(range(len(self._shape))))), self)


def adjoint(input: Any) -> Any:
    """The last two dimensions exchanged and conjugated."""
    flipped = _matrix_transpose(input) if input._shape else input
    return flipped.conj() if input._dtype.category == COMPLEX else flipped


def _hermitian(self: Any) -> Any:
    """The conjugate transpose of a matrix."""
    if len(self._shape) not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {len(self._shape)}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if len(self._shape) > 2 else "")
        )
    return adjoint(self) if self._shape else self.conj()


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions `source` moved to the places `destination`; the others keep their order."""
    need_tensor("movedim", input)
    rank = len(input._shape)
    from_, to = normalize_dims(source, rank, "movedim"), normalize_dims(destination, rank, "movedim")
    if len(from_) != len(to):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({len(from_)} dims) should contain the same number of "
            f"dims as destination ({len(to)} dims)"
        )
    rest = iter([d for d in range(rank) if d not in from_])
    at = dict(zip(to, from_, strict=True))
    return apply_view(Permute(tuple(at[i] if i in at else next(rest) for i in range(rank))), input)


def expand(self: Any, *sizes: Any) -> Any:
    """Size-1 dimensions repeated to `sizes` without copying; -1 keeps a size, new dimensions come in front."""
    given = shape_argument(sizes, "expand")
    shape = self._shape
    lead = len(given) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({list(shape)}, size={list(given)}): the number of sizes provided ({len(given)}) must be greater or "
            f"equal to the number of dimensions in the tensor ({len(shape)})"
        )
    wanted = []
    for i, size in enumerate(given):
        have = shape[i - lead] if i >= lead else None
        if size == -1:
            if have is None:
                raise RuntimeError(
                    f"expand({list(shape)}, size={list(given)}): the expanded size of the tensor ({size}) isn't allowed "
                    f"in a leading, non-existing dimension {i}"
                )
            size = have
        elif have is not None and have != 1 and have != size:
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) must match the existing size ({have}) at non-singleton "
                f"dimension {i}. Target sizes: {list(given)}. Tensor sizes: {list(shape)}: only sizes of 1 can be expanded"
            )
        wanted.append(size)
    return apply_view(Expand(tuple(wanted)), self)


def expand_as(self: Any, other: Any) -> Any:
    """`expand` to the shape of `other`."""
    return expand(self, other._shape)


def broadcast_to(input: Any, size: Any) -> Any:
    """`input` broadcast to the shape `size`."""
    return expand(input, size)


def broadcast_shapes(*shapes: int | Sequence[int]) -> Size:
    """The shape that tensors of `shapes` (a number counts as one size) broadcast to; no tensor is made.

    Raises `RuntimeError` for shapes that don't fit each other, `ValueError` for a negative size.

    >>> broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    given = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    if any(size < 0 for shape in given for size in shape):
        raise ValueError(f"broadcast_shapes(): a shape can't have a negative size, got {', '.join(map(str, given))}")
    return Size(common_shape(*given))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors broadcast against each other."""
    given = tuple(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], TensorBase) else tensors
    shape = common_shape(*[x._shape for x in given])
    return tuple(x if x._shape == shape else expand(x, shape) for x in given)


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of size 1: all of them, or those of `dim` that have size 1."""
    need_tensor("squeeze", input)
    shape = input._shape
    if dim is None:
        return apply_view(Squeeze(tuple(i for i, n in enumerate(shape) if n == 1)), input)
    dims = normalize_dims(dim, len(shape), "squeeze")
    cls = SqueezeDims if isinstance(dim, Sequence) else SqueezeDim
    return apply_view(cls(tuple(sorted(i for i in dims if shape[i] == 1))), input)


def unsqueeze(input: Any, dim: int) -> Any:
    """With a dimension of size 1 inserted at `dim`."""
    need_tensor("unsqueeze", input)
    return apply_view(Unsqueeze(normalize_dim(dim, len(input._shape) + 1, "unsqueeze")), input)


def select(input: Any, dim: int, index: int) -> Any:
    """The slice at `index` of dimension `dim`."""
    need_tensor("select", input)
    if not input._shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = normalize_dim(dim, len(input._shape), "select")
    size, i = input._shape[d], operator.index(index)
    if not -size <= i < size:
        raise IndexError(f"select(): index {i} out of range for tensor of size {list(input._shape)} at dimension {d}")
    return apply_view(Select(d, i + size if i < 0 else i), input)


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements of dimension `dim` from `start`."""
    need_tensor("narrow", input)
    if not input._shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = normalize_dim(dim, len(input._shape), "narrow")
    size, first = input._shape[d], operator.index(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= first <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {first})")
    first += size if first < 0 else 0
    if first + length > size:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({size}).")
    return apply_view(Slice(d, first, first + length, 1), input)


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal over `dim1` and `dim2`, appended as the last dimension."""
    need_tensor("diagonal", input)
    rank = len(input._shape)
    a, b = normalize_dim(dim1, rank, "diagonal"), normalize_dim(dim2, rank, "diagonal")
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply_view(Diagonal(offset, a, b), input)


swapdims, moveaxis = transpose, movedim


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """`transpose` with NumPy's names."""
    return transpose(input, axis0, axis1)


serve(Reshape, reshape)
serve(UnsafeView, reshape)
serve(Permute, permute)
serve(Transpose, transpose)
serve(ViewDtype, view)
serve(TransposeMatrix, t)
serve(Squeeze, squeeze)
serve(Unsqueeze, unsqueeze)
serve(Select, select)
serve(Diagonal, diagonal)
serve(Expand, expand)
methods(
    view,
    view_as,
    reshape,
    reshape_as,
    flatten,
    ravel,
    unflatten,
    permute,
    transpose,
    t,
    adjoint,
    movedim,
    expand,
    expand_as,
    broadcast_to,
    squeeze,
    unsqueeze,
    select,
    narrow,
    diagonal,
    swapaxes=swapaxes,
    swapdims=transpose,
    moveaxis=movedim,
)
for _name, _getter in (("T", _reverse_dims), ("mT", _matrix_transpose), ("H", _hermitian), ("mH", adjoint)):
    attach(_name, property(_getter))
