"""Limiting the gradients of a whole model: one operation and one kernel call for a list of tensors, nothing recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rushlight.base.dtypes import FLOATING
from rushlight.core.inplace import apply_update
from rushlight.core.primitive import PLAIN, Primitive, applyn

__all__: list[str] = []


class TotalNorm(Primitive):
    """The norm of order `p` of all inputs together, zero-dim."""

    __slots__ = ("p",)
    name = "total_norm"
    differentiable: ClassVar[bool] = False

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.total_norm(list(arrays), self.p)


class ScaleAll(Primitive):
    """Every input times the last one, a zero-dim tensor, in place."""

    __slots__ = ()
    name = "scale_all"
    differentiable: ClassVar[bool] = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        k.scale_all(list(arrays[:-1]), arrays[-1])


class ClampAll(Primitive):
    """Every input limited to [low, high], in place."""

    __slots__ = ("low", "high")
    name = "clamp_all"
    differentiable: ClassVar[bool] = False

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def forward(self, k: Any, *arrays: Any) -> Any:
        k.clamp_all(list(arrays), self.low, self.high)


def in_one_call(tensors: Sequence[Any]) -> bool:
    """Whether the functions here serve `tensors`: plain real ones of one dtype on one device, at least one."""
    if not tensors or any([type(t) not in PLAIN for t in tensors]):
        return False
    where, of = tensors[0]._device, tensors[0]._dtype
    return of.category == FLOATING and all([t._device is where and t._dtype is of for t in tensors])


def total_norm(tensors: Sequence[Any], p: float) -> Any:
    """The norm of order `p` of all `tensors` as one vector, a zero-dim tensor."""
    return applyn(TotalNorm(p), tuple(tensors))


def scale_all(tensors: Sequence[Any], factor: Any) -> None:
    """Multiply all `tensors` by the zero-dim tensor `factor`, in place."""
    apply_update(ScaleAll(), (*tensors, factor), len(tensors))


def clamp_all(tensors: Sequence[Any], low: float, high: float) -> None:
    """Limit the elements of all `tensors` to [low, high], in place."""
    apply_update(ClampAll(low, high), tuple(tensors), len(tensors))
