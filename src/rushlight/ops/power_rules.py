"""The operations behind powers, roots and reciprocals; ops/power.py has their public functions."""

from __future__ import annotations

import cmath
import math
from typing import Any

from rushlight.base.dtypes import COMPLEX, FLOATING, INTEGER, with_scalar
from rushlight.core.primitive import apply1, apply2
from rushlight.core.table import Operator
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import Backward, Binary, Number, Unary, check_broadcast


class Reciprocal(Unary):
    """1 / x."""

    __slots__ = ()
    name = "reciprocal"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return -(saved * saved)


class Sqrt(Unary):
    __slots__ = ()
    name = "sqrt"
    saves_output = True

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g / (saved[0] * 2).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] / (saved[0] * 2)


class Rsqrt(Unary):
    """1 / sqrt(x)."""

    __slots__ = ()
    name = "rsqrt"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved * saved * saved * -0.5


class PowBackward(Backward):
    """The cotangent of x to the power of a real number: `g * (exponent * x ** (exponent - 1))`."""

    __slots__ = ()
    name = "pow_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        exponent = constants[0]
        return apply1(PowNumber(exponent - 2), x) * (exponent * (exponent - 1)) if exponent != 2 else 2


class PowNumber(Unary):
    """x to the power of a Python number."""

    __slots__ = ("exponent",)
    name = "pow"
    node_name = "PowBackward0"
    promotion = 0

    def __init__(self, exponent: Any) -> None:
        self.exponent = exponent

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, exponent = arrays[0], self.exponent
        if exponent == 2:
            return k.square(x)
        return k.pow(x, k.scalar(exponent, x.dtype)) if exponent != 1 else k.copy(x)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.square(arrays[0], out=out) if self.exponent == 2 else self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        exponent = self.exponent
        x: TensorBase = saved[0]
        if isinstance(exponent, (int, float)) and exponent != 0 and exponent != 1 and x._dtype.category != COMPLEX:
            return apply2(PowBackward(exponent), g, x)
        return super().vjp(saved, g, needs)

    def slope(self, saved: Any) -> Any:
        exponent = self.exponent
        if exponent == 2:
            return saved * 2
        if exponent == 0:
            return saved.new_zeros(saved._shape)
        return saved.new_ones(saved._shape) if exponent == 1 else apply1(PowNumber(exponent - 1), saved) * exponent


class Pow(Binary):
    """a to the power b."""

    __slots__ = ()
    name = "pow"
    node_name = "PowBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "b":
            raise NotImplementedError(
                "\"pow\" not implemented for 'Bool': convert the masks first, for example with x.int()"
            )
        return k.pow(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], inputs[1], output if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, power = saved
        ga = gb = None
        if needs[0]:
            ga = (g * (b * a ** (b - 1)).conj()).masked_fill(b == 0, 0)
        if needs[1]:
            # 0 ** b is constantly 0 for b > 0; log(0) would make it NaN.
            flat = (a == 0) & (b.real >= 0)
            gb = g * (power * a.masked_fill(flat, 1).log()).conj()
        return ga, gb


class PowOfNumber(Unary):
    """A Python number to the power x."""

    __slots__ = ("base",)
    name = "pow"
    node_name = "PowBackward2"
    promotion = 0
    saves_output = True

    def __init__(self, base: Any) -> None:
        self.base = base

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.pow(k.scalar(self.base, arrays[0].dtype), arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output, inputs[0] if self.base == 0 else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * self._slope(*saved).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] * self._slope(*saved)

    def _slope(self, power: Any, x: Any) -> Any:
        if self.base == 0:
            return (power * -math.inf).masked_fill(x.real >= 0, 0)
        if isinstance(self.base, complex) or power._dtype.category == COMPLEX:
            return power * cmath.log(self.base)
        return power * (math.log(self.base) if self.base > 0 else math.nan)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (self.base, tensors[0]), {}


POW = Pow()
SQUARE = PowNumber(2)


class PowOperator(Operator):
    """`a ** other`."""

    __slots__ = ()

    def run(self, a: TensorBase, other: Any) -> Any:
        if type(other) is int or type(other) is float:
            if a._dtype.category >= FLOATING:
                return apply1(PowNumber(other), a)
        elif isinstance(other, TensorBase):
            check_broadcast(a, other)
            return apply2(POW, a, other)
        return pow_number(a, other) if isinstance(other, Number) else NotImplemented


class RpowOperator(Operator):
    """`number ** a`."""

    __slots__ = ()

    def run(self, a: TensorBase, other: Any) -> Any:
        return number_pow(a, other) if isinstance(other, Number) else NotImplemented


def pow_number(x: Any, exponent: Any) -> Any:
    """x ** number."""
    return apply1(PowNumber(exponent), promoted_by(x, exponent))


def promoted_by(x: Any, number: Any) -> Any:
    """x in the dtype that it and a Python number have together."""
    of = x._dtype
    if of.category >= FLOATING and not isinstance(number, complex):
        return x
    of = with_scalar(of, number)
    if of.category <= INTEGER and number < 0:
        raise RuntimeError(
            "Integers to negative integer powers are not allowed. Make the tensor or the exponent floating-point, for example "
            "x.float() ** -1"
        )
    if of.category == INTEGER and not -(1 << (8 * of.itemsize)) < number < 1 << (8 * of.itemsize):
        raise RuntimeError(f"pow(): the exponent {number} cannot be converted to type {of!r} without overflow")
    return x if x._dtype is of else x.to(of)


def number_pow(x: Any, base: Any) -> Any:
    """number ** x."""
    of = with_scalar(x._dtype, base)
    return apply1(PowOfNumber(base), x if x._dtype is of else x.to(of))
