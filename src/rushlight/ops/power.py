"""Powers, roots and reciprocals."""

from __future__ import annotations

import cmath
import math
from typing import Any

from rushlight.base.dtypes import (
    BOOL,
    COMPLEX,
    FLOATING,
    INTEGER,
    can_cast,
    complex128,
    dtype,
    float64,
    int64,
    with_scalar,
)
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import apply1
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import elementwise, need_tensor
from rushlight.ops.common import Binary, Number, Unary, binary, check_broadcast, methods, serve, write_out

__all__ = ["float_power", "pow", "reciprocal", "rsqrt", "sqrt", "square"]


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
            raise NotImplementedError("\"pow\" not implemented for 'Bool': convert the masks first, for example with x.int()")
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
        return pow, (self.base, tensors[0]), {}


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """`input` to the power `exponent`; one of them may be a Python number.

    Integers stay integers; raising them to a negative Python integer is a RuntimeError (make them floats first).

    >>> pow(tensor([1., 2., 3.]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(input, TensorBase):
        result = _pow_number(input, exponent) if isinstance(exponent, Number) else binary(POW, input, exponent)
    elif isinstance(input, Number) and isinstance(exponent, TensorBase):
        result = _number_pow(exponent, input)
    else:
        need_tensor("pow", input)
    return result if out is None else write_out(out, result, "pow")


def _pow_number(x: Any, exponent: Any) -> Any:
    """x ** number."""
    return apply1(PowNumber(exponent), _promoted(x, exponent))


def _promoted(x: Any, number: Any) -> Any:
    """x in the dtype that it and a Python number have together."""
    of = with_scalar(x._dtype, number)
    if of.category <= INTEGER and number < 0:
        raise RuntimeError(
            "Integers to negative integer powers are not allowed. Make the tensor or the exponent floating-point, for example "
            "x.float() ** -1"
        )
    if of.category == INTEGER and not -(1 << (8 * of.itemsize)) < number < 1 << (8 * of.itemsize):
        raise RuntimeError(f"pow(): the exponent {number} cannot be converted to type {of!r} without overflow")
    return x if x._dtype is of else x.to(of)


def _number_pow(x: Any, base: Any) -> Any:
    """number ** x."""
    of = with_scalar(x._dtype, base)
    return apply1(PowOfNumber(base), x if x._dtype is of else x.to(of))


def _pow_operator(a: Any, other: Any) -> Any:
    if isinstance(other, Number):
        return _pow_number(a, other)
    return pow(a, other) if isinstance(other, TensorBase) else NotImplemented


def _rpow_operator(a: Any, other: Any) -> Any:
    return _number_pow(a, other) if isinstance(other, Number) else NotImplemented


def pow_(self: Any, exponent: Any) -> Any:
    """`pow` in place."""
    if isinstance(exponent, Number):
        of = _promoted(self, exponent)._dtype
        result = int64 if of.category == BOOL else of
        if not can_cast(result, self._dtype):
            raise RuntimeError(
                f"pow_(): result type {result!r} can't be cast to the desired output type {self._dtype!r}; use pow, or convert "
                "the tensor first"
            )
        return apply_inplace(PowNumber(exponent), self)
    need_tensor("pow_", exponent, "exponent")
    check_broadcast(self, exponent)
    return apply_inplace(POW, self, (exponent,))


def float_power(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """`pow` computed in float64 (complex128 for complex arguments), whatever the dtypes came in."""
    if isinstance(input, Number):
        need_tensor("float_power", exponent, "exponent")
    else:
        need_tensor("float_power", input)
    wide = complex128 if _is_complex(input) or _is_complex(exponent) else float64
    return pow(_cast(input, wide), _cast(exponent, wide), out=out)


def _cast(value: Any, wide: dtype) -> Any:
    return value if isinstance(value, Number) else value.to(wide)


def float_power_(self: Any, exponent: Any) -> Any:
    """`float_power` in place; `self` must be float64, or complex128."""
    wide = complex128 if _is_complex(self) or _is_complex(exponent) else float64
    if self._dtype is not wide:
        raise RuntimeError(f"the base given to float_power_ has dtype {self._dtype!r} but the operation's result requires dtype {wide!r}")
    return pow_(self, _cast(exponent, wide))


def _is_complex(value: Any) -> bool:
    return value._dtype.category > FLOATING if isinstance(value, TensorBase) else isinstance(value, complex)


def square(input: Any, *, out: Any = None) -> Any:
    """`input * input`, recorded as a power."""
    need_tensor("square", input)
    return pow(input, 2, out=out)


def square_(self: Any) -> Any:
    """`square` in place."""
    return pow_(self, 2)


POW = Pow()
reciprocal = elementwise(Reciprocal(), "`1 / x`; integers give the default floating dtype.")
sqrt = elementwise(Sqrt(), "The square root; NaN below zero.")
rsqrt = elementwise(Rsqrt(), "`1 / sqrt(x)`.")
serve(PowNumber, pow)
serve(Pow, pow)
serve(PowOfNumber, pow)
methods(pow, pow_, float_power, float_power_, square, square_)
fill(pow=_pow_operator, rpow=_rpow_operator, ipow=pow_)
