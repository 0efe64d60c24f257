"""Complex numbers: conjugates and angles.

A conjugate is computed, never a flag on the memory: `is_conj()` and `is_neg()` are always False.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON_FLOAT, apply1
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import Unary, methods, serve, unary, write_out

__all__ = ["angle", "conj", "conj_physical", "is_conj", "is_neg", "resolve_conj", "resolve_neg"]


class Conj(Unary):
    """The complex conjugate."""

    __slots__ = ()
    name = "conj"
    promotion = 0

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0].conj()


class ConjPhysical(Conj):
    """What `conj_physical` records."""

    __slots__ = ()
    name = "conj_physical"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.conj(arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.conj(arrays[0], out=out)


class Angle(Unary):
    """The argument of complex numbers; 0 or pi for real ones."""

    __slots__ = ()
    name = "angle"
    promotion = COMMON_FLOAT
    elementwise = False

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        z = saved[0]
        if z._dtype.category != COMPLEX:
            return g.new_zeros(g._shape)
        # Turning z by a small angle moves it along i z.
        return (g * (z * 1j) / (z * z.conj()).real).masked_fill(z == 0, 0)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        z, tangent = saved[0], tangents[0]
        if z._dtype.category != COMPLEX:
            return tangent.new_zeros(tangent._shape)
        return ((tangent * (z * 1j).conj()).real / (z * z.conj()).real).masked_fill(z == 0, 0)


CONJ = Conj()
CONJ_PHYSICAL = ConjPhysical()
ANGLE = Angle()


def conj(input: Any) -> Any:
    """The complex conjugate; a real tensor is returned as it is."""
    if not isinstance(input, TensorBase):
        need_tensor("conj", input)
    return apply1(CONJ, input) if input._dtype.category == COMPLEX else input


def conj_physical(input: Any, *, out: Any = None) -> Any:
    """The complex conjugate; a real tensor is returned as it is."""
    need_tensor("conj_physical", input)
    result = apply1(CONJ_PHYSICAL, input) if input._dtype.category == COMPLEX else input
    return result if out is None else write_out(out, result, "conj_physical")


def conj_physical_(self: Any) -> Any:
    """The complex conjugate in place."""
    return apply_inplace(CONJ_PHYSICAL, self) if self._dtype.category == COMPLEX else self


def resolve_conj(input: Any) -> Any:
    """The tensor itself: conjugates are never lazy here."""
    need_tensor("resolve_conj", input)
    return input


def resolve_neg(input: Any) -> Any:
    """The tensor itself: negations are never lazy here."""
    need_tensor("resolve_neg", input)
    return input


def is_conj(input: Any) -> bool:
    """False: conjugates are never lazy here."""
    need_tensor("is_conj", input)
    return False


def is_neg(input: Any) -> bool:
    """False: negations are never lazy here."""
    need_tensor("is_neg", input)
    return False


def angle(input: Any, *, out: Any = None) -> Any:
    """The argument in radians, in (-pi, pi]; of real numbers pi where negative, else 0."""
    return unary(ANGLE, input, out)


serve(Conj, conj)
serve(ConjPhysical, conj_physical)
serve(Angle, angle)
fill(conj=conj)
methods(conj_physical, conj_physical_, resolve_conj, resolve_neg, is_conj, is_neg, angle)
