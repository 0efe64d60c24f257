"""Padding: with a constant, mirrored, with the border continued, or periodic.

`pads` is torch's: (left, right) of the last dimension first, then of the one before, and so on; negative numbers crop.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar, Final

from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1
from rushlight.core.tensor import TensorBase
from rushlight.ops.formats import in_format_of

__all__ = ["constant_pad_nd"]


class ConstantPadNd(Primitive):
    """x in a frame of `value`."""

    __slots__ = ("pads", "value")
    name = "constant_pad_nd"

    def __init__(self, pads: Shape, value: Any = 0) -> None:
        self.pads = pads
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        return in_format_of(k, arrays[0], k.constant_pad(arrays[0], self.pads, self.value))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(ConstantPadNd(tuple([-n for n in self.pads])), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(ConstantPadNd(self.pads), tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return constant_pad_nd, (tensors[0], list(self.pads), self.value), {}


class GatherPad(Primitive):
    """x continued by copies of its own elements; the kernel says which."""

    __slots__ = ("pads",)
    linear = True
    mode: ClassVar[str]

    def __init__(self, pads: Shape) -> None:
        self.pads = pads

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return pad, (tensors[0], list(self.pads), self.mode), {}

    def forward(self, k: Any, *arrays: Any) -> Any:
        return in_format_of(k, arrays[0], getattr(k, self.name)(arrays[0], self.pads))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(GatherPadGrad(self, saved[0]), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class GatherPadGrad(Primitive):
    """The transpose of a `GatherPad` for an input of `shape`."""

    __slots__ = ("pad", "shape")
    name = "pad_backward"
    linear = True

    def __init__(self, pad: GatherPad, shape: Shape) -> None:
        self.pad = pad
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.pad.name + "_backward")(arrays[0], self.shape, self.pad.pads)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self.pad, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class ReflectionPad1d(GatherPad):
    """Mirrored at the borders, the border element not repeated."""

    __slots__ = ()
    name = "reflection_pad"
    mode = "reflect"
    node_name = "ReflectionPad1DBackward0"


class ReflectionPad2d(ReflectionPad1d):
    __slots__ = ()
    node_name = "ReflectionPad2DBackward0"


class ReflectionPad3d(ReflectionPad1d):
    __slots__ = ()
    node_name = "ReflectionPad3DBackward0"


class ReplicationPad1d(GatherPad):
    """Continued by the border elements."""

    __slots__ = ()
    name = "replication_pad"
    mode = "replicate"
    node_name = "ReplicationPad1DBackward0"


class ReplicationPad2d(ReplicationPad1d):
    __slots__ = ()
    node_name = "ReplicationPad2DBackward0"


class ReplicationPad3d(ReplicationPad1d):
    __slots__ = ()
    node_name = "ReplicationPad3DBackward0"


class CircularPad(GatherPad):
    """Continued periodically. torch writes slices of a new tensor for it, hence the node's name."""

    __slots__ = ()
    name = "circular_pad"
    mode = "circular"
    node_name = "CopySlices"


_GATHERING: Final[dict[str, tuple[type[GatherPad], ...]]] = {
    "reflect": (ReflectionPad1d, ReflectionPad2d, ReflectionPad3d),
    "replicate": (ReplicationPad1d, ReplicationPad2d, ReplicationPad3d),
    "circular": (CircularPad, CircularPad, CircularPad),
}


def _pads_argument(given: Any) -> Shape:
    try:
        return tuple([operator.index(n) for n in given])
    except TypeError:
        raise TypeError(f"pad(): argument 'pad' (position 2) must be tuple of ints, but got {given!r}") from None


def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """`input` in a frame of `value`; see `nn.functional.pad`."""
    pads, rank = _pads_argument(pad), len(input._shape)
    if len(pads) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pads)}")
    if len(pads) > 2 * rank:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pads)} and input of dimension {rank}"
        )
    return apply1(ConstantPadNd(pads, value), input)


def pad(input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pad (or, with negative numbers, crop) the last dimensions of `input`.

    pad: (left, right) of the last dimension, then of the one before it, ...
    mode: "constant" (filled with `value`, default 0), "reflect", "replicate" or "circular"; the last three pad the last
        one, two or three dimensions of a tensor with at least one leading dimension.
    Raises `RuntimeError` for lengths that do not fit and `NotImplementedError` for an unknown mode.

    >>> pad(tensor([1, 2, 3]), (1, 1))
    tensor([0, 1, 2, 3, 0])
    """
    if not isinstance(input, TensorBase):
        raise TypeError(f"pad(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    pads, rank = _pads_argument(pad), len(input._shape)
    if len(pads) % 2:
        raise RuntimeError(
            f"Padding length must be divisible by 2: got {len(pads)} numbers, expected (left, right, ...)"
        )
    if len(pads) > 2 * rank:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(pads)} and input of dimension {rank}"
        )
    if mode == "constant":
        return apply1(ConstantPadNd(pads, 0 if value is None else value), input)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    classes = _GATHERING.get(mode)
    if classes is None:
        raise NotImplementedError(
            f"Unrecognised padding mode {mode}; pad() knows constant, reflect, replicate and circular"
        )
    nd = len(pads) // 2
    if nd not in (1, 2, 3) or rank not in (nd + 1, nd + 2):
        raise NotImplementedError(
            f"Padding size {len(pads)} is not supported for {rank}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    return apply1(classes[nd - 1](pads), input)
