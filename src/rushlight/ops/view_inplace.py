"""Views taken in place (squeeze_, unsqueeze_, t_, transpose_, swapaxes_, swapdims_, as_strided_), and fill_diagonal_.

No element moves: the tensor becomes a view of what it was, on the same memory, and records that view.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.shape import normalize_dim, normalize_dims
from rushlight.core.inplace import apply_view_inplace
from rushlight.ops.common import methods
from rushlight.ops.strided import AsStrided, checked_layout
from rushlight.ops.view import diagonal
from rushlight.ops.view_rules import Squeeze, Transpose, TransposeMatrix, Unsqueeze

__all__: list[str] = []


class SqueezeInPlace(Squeeze):
    """What `squeeze_()` records."""

    __slots__ = ()
    node_name = "SqueezeBackward3"


class SqueezeDimInPlace(Squeeze):
    """What `squeeze_(dim)` records."""

    __slots__ = ()
    node_name = "SqueezeBackward4"


class SqueezeDimsInPlace(Squeeze):
    """What `squeeze_((dim, ...))` records."""

    __slots__ = ()
    node_name = "SqueezeBackward5"


class UnsqueezeInPlace(Unsqueeze):
    """What `unsqueeze_` records."""

    __slots__ = ()
    node_name = "UnsqueezeBackward1"


class TransposeInPlace(Transpose):
    """What `transpose_` records."""

    __slots__ = ()
    node_name = "TransposeBackward1"


class TransposeMatrixInPlace(TransposeMatrix):
    """What `t_` records."""

    __slots__ = ()
    node_name = "TBackward1"


class AsStridedInPlace(AsStrided):
    """What `as_strided_` records."""

    __slots__ = ()
    node_name = "AsStridedBackward1"


def squeeze_(self: Any, dim: Any = None) -> Any:
    """`squeeze` in place: the tensor itself loses the dimensions of size 1 (all, or those of `dim`)."""
    shape = self._shape
    if dim is None:
        return apply_view_inplace(SqueezeInPlace(tuple(i for i, n in enumerate(shape) if n == 1)), self)
    cls = SqueezeDimInPlace if isinstance(dim, int) else SqueezeDimsInPlace
    dims = normalize_dims(dim, len(shape), "squeeze_")
    return apply_view_inplace(cls(tuple(sorted(i for i in dims if shape[i] == 1))), self)


def unsqueeze_(self: Any, dim: int) -> Any:
    """`unsqueeze` in place: the tensor itself gets a dimension of size 1 at `dim`."""
    return apply_view_inplace(UnsqueezeInPlace(normalize_dim(dim, len(self._shape) + 1, "unsqueeze_")), self)


def transpose_(self: Any, dim0: int, dim1: int) -> Any:
    """`transpose` in place: dimensions `dim0` and `dim1` of the tensor itself change places."""
    return _exchange(self, dim0, dim1, "transpose_")


def swapaxes_(self: Any, axis0: int, axis1: int) -> Any:
    """`transpose_` under NumPy's name."""
    return _exchange(self, axis0, axis1, "swapaxes_")


def swapdims_(self: Any, dim0: int, dim1: int) -> Any:
    """`transpose_`."""
    return _exchange(self, dim0, dim1, "swapdims_")


def _exchange(self: Any, dim0: int, dim1: int, operation: str) -> Any:
    rank = len(self._shape)
    a, b = normalize_dim(dim0, rank, operation), normalize_dim(dim1, rank, operation)
    order = list(range(rank))
    if rank:
        order[a], order[b] = b, a
    return apply_view_inplace(TransposeInPlace(tuple(order)), self)


def t_(self: Any) -> Any:
    """`t` in place: a matrix becomes its transpose. `RuntimeError` for more than two dimensions."""
    rank = len(self._shape)
    if rank > 2:
        raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {rank}D; use transpose_(dim0, dim1)")
    return apply_view_inplace(TransposeMatrixInPlace(tuple(reversed(range(rank)))), self)


def as_strided_(self: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """`as_strided` in place: the tensor itself looks at its memory with these sizes, strides and offset."""
    return apply_view_inplace(AsStridedInPlace(*checked_layout(self, size, stride, storage_offset)), self)


def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Write a number on the main diagonal. wrap: in a tall matrix begin anew below, after one row left out.

    Raises `RuntimeError` for fewer than two dimensions, and for more than two of different sizes.

    >>> zeros(2, 2).fill_diagonal_(5)
    tensor([[5., 0.],
            [0., 5.]])
    """
    shape = self._shape
    if len(shape) < 2:
        raise RuntimeError(f"fill_diagonal_(): dimensions must larger than 1, got a tensor of shape {list(shape)}")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError(f"fill_diagonal_(): all dimensions of input must be of equal length, got shape {list(shape)}")
    main = self
    while len(main._shape) > 1:
        main = diagonal(main, 0, 0, -1)
    main.fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1 and shape[1]:
        fill_diagonal_(self[shape[1] + 1 :], fill_value, wrap)
    return self


methods(squeeze_, unsqueeze_, t_, transpose_, swapaxes_, swapdims_, as_strided_, fill_diagonal_)
