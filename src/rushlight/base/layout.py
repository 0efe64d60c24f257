"""`layout` and `memory_format` objects, and the orders in which dimensions lie in memory."""

from __future__ import annotations

from typing import Any, Final

from rushlight.base.shape import Shape


class _Named:
    """An object that is its name: there is one of each, and `is` compares them."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_by_name, (self._name,))


class layout(_Named):
    """How a tensor stores its elements; every tensor here is `strided`."""

    __slots__ = ()


class memory_format(_Named):
    """The order of the dimensions in memory: `contiguous_format`, `channels_last`, `channels_last_3d`, `preserve_format`."""

    __slots__ = ()


strided: Final = layout("strided")
sparse_coo: Final = layout("sparse_coo")
contiguous_format: Final = memory_format("contiguous_format")
channels_last: Final = memory_format("channels_last")
channels_last_3d: Final = memory_format("channels_last_3d")
preserve_format: Final = memory_format("preserve_format")

_ALL: Final = {
    each._name: each
    for each in (strided, sparse_coo, contiguous_format, channels_last, channels_last_3d, preserve_format)
}
_CHANNELS_LAST: Final[dict[memory_format, Shape]] = {channels_last: (0, 2, 3, 1), channels_last_3d: (0, 2, 3, 4, 1)}


def _by_name(name: str) -> _Named:
    return _ALL[name]


def check_layout(value: Any, operation: str) -> None:
    """Only `strided` tensors exist here."""
    if value is None or value is strided:
        return
    if not isinstance(value, layout):
        raise TypeError(f"{operation}(): argument 'layout' must be torch.layout, not {type(value).__name__}")
    raise NotImplementedError(
        f"{operation}(): layout {value!r} is not supported, every tensor is torch.strided; leave `layout` out"
    )


def check_memory_format(value: Any, operation: str) -> None:
    """A memory format, or None."""
    if value is not None and not isinstance(value, memory_format):
        raise TypeError(
            f"{operation}(): argument 'memory_format' must be torch.memory_format, not {type(value).__name__}"
        )


def format_order(wanted: memory_format | None, rank: int) -> Shape | None:
    """The dimensions from the outermost in memory to the innermost, or None for row-major.

    `RuntimeError` when the format asks for another number of dimensions.
    """
    order = _CHANNELS_LAST.get(wanted) if wanted is not None else None
    if order is not None and len(order) != rank:
        raise RuntimeError(
            f"required rank {len(order)} tensor to use {wanted._name} format, got a tensor with {rank} "  # type: ignore[union-attr]
            "dimensions"
        )
    return order


def dense_order(shape: Shape, strides: Shape) -> Shape | None:
    """The order of the dimensions in memory that a dense copy keeps, outermost first; None for row-major.

    Dimensions of stride 0 (expanded ones) stay where they are, as in torch.
    """
    rank = len(shape)
    order = list(range(rank - 1, -1, -1))  # innermost first
    for i in range(1, rank):
        at = i
        for before in range(i - 1, -1, -1):
            relation = _compare(order[before], order[at], shape, strides)
            if relation > 0:
                order[before], order[at] = order[at], order[before]
                at = before
            elif relation < 0:
                break
    order.reverse()
    return None if order == list(range(rank)) else tuple(order)


def _compare(a: int, b: int, shape: Shape, strides: Shape) -> int:
    """Positive when dimension `a` lies further out than `b`, negative when further in, 0 when that is open."""
    if strides[a] == 0 or strides[b] == 0:
        return 0
    if strides[a] != strides[b]:
        return 1 if strides[a] > strides[b] else -1
    return 1 if shape[a] > shape[b] else 0


def inverse_order(order: Shape) -> Shape:
    """The permutation that undoes `order`."""
    back = [0] * len(order)
    for place, dim in enumerate(order):
        back[dim] = place
    return tuple(back)


def is_dense_in(shape: Shape, strides: Shape, order: Shape) -> bool:
    """Whether the elements lie without gaps, the dimensions in `order` (outermost first)."""
    expected = 1
    for dim in reversed(order):
        if shape[dim] != 1:
            if strides[dim] != expected:
                return False
            expected *= shape[dim]
    return True


for _kind in (layout, memory_format):
    _kind.__module__ = "torch"
