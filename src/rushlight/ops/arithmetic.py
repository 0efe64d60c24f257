"""Sums, products, quotients and remainders."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, FLOATING, FROM_NUMPY
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON, COMMON_FLOAT, apply2
from rushlight.core.table import Operator, fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import Undifferentiable, float_operand, float_operands, need_tensor, not_implemented
from rushlight.ops.common import (
    Binary,
    BinaryOperator,
    InplaceOperator,
    Number,
    ReflectedOperator,
    Unary,
    binary,
    check_broadcast,
    methods,
    operand,
    serve,
    tensors_of,
    unary,
)

__all__ = [
    "add", "div", "divide", "floor_divide", "fmod", "mul", "multiply", "neg", "negative", "positive", "remainder", "rsub", "sub",
    "subtract", "true_divide",
]  # fmt: skip


class Add(Binary):
    """a + alpha * b."""

    __slots__ = ("alpha",)
    name = "add"
    linear = True

    def __init__(self, alpha: Any = 1) -> None:
        self.alpha = alpha

    def forward(self, k: Any, *arrays: Any) -> Any:
        a, b = arrays
        return k.add(a, b) if self.alpha == 1 else k.add(a, k.mul(b, k.scalar(self.alpha, b.dtype)))

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return super().forward_into(k, out, *arrays) if self.alpha == 1 else self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g, g if self.alpha == 1 or not needs[1] else g * _conjugate(self.alpha)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)


class Sub(Binary):
    """a - alpha * b."""

    __slots__ = ("alpha",)
    name = "sub"
    linear = True

    def __init__(self, alpha: Any = 1) -> None:
        self.alpha = alpha

    def forward(self, k: Any, *arrays: Any) -> Any:
        a, b = arrays
        return k.sub(a, b) if self.alpha == 1 else k.sub(a, k.mul(b, k.scalar(self.alpha, b.dtype)))

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return super().forward_into(k, out, *arrays) if self.alpha == 1 else self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g, -g * _conjugate(self.alpha) if needs[1] and self.alpha != 1 else -g if needs[1] else None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)


class Rsub(Sub):
    """b - alpha * a, what `1 - x` records."""

    __slots__ = ()
    name = "rsub"
    node_name = "RsubBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return super().forward(k, arrays[1], arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gb, ga = super().vjp(saved, g, needs[::-1])
        return ga, gb


class RsubTensor(Rsub):
    """What `rsub(x, tensor)` records."""

    __slots__ = ()
    node_name = "RsubBackward0"


class Mul(Binary):
    """a * b."""

    __slots__ = ()
    name = "mul"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g * b.conj() if needs[0] else None, g * a.conj() if needs[1] else None


class Div(Binary):
    """a / b, the true quotient."""

    __slots__ = ()
    name = "div"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        ga = g / b.conj() if needs[0] else None
        return ga, -g * ((a / b) / b).conj() if needs[1] else None


class DivMode(Binary):
    """a / b rounded to a whole number, "floor" or "trunc": a piecewise constant function."""

    __slots__ = ("rounding_mode",)
    name = "div"
    node_name = "DivBackward2"
    promotion = COMMON

    def __init__(self, rounding_mode: str) -> None:
        self.rounding_mode = rounding_mode

    def forward(self, k: Any, *arrays: Any) -> Any:
        _integers_or_floats(f"div_{self.rounding_mode}_cpu", arrays[0])
        return k.div_mode(arrays[0], arrays[1], self.rounding_mode)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        zeros = g.new_zeros(g._shape)
        return zeros if needs[0] else None, zeros if needs[1] else None


class FloorDivide(Undifferentiable):
    """a // b, rounded towards minus infinity."""

    __slots__ = ()
    name = "floor_divide"
    node_name = "NotImplemented"

    def forward(self, k: Any, *arrays: Any) -> Any:
        _integers_or_floats("div_floor_cpu", arrays[0])
        return k.floor_divide(arrays[0], arrays[1])


class Remainder(Binary):
    """a - floor(a / b) * b: the sign of the divisor."""

    __slots__ = ()
    name = "remainder"
    node_name = "RemainderBackward1"
    rounding_mode = "floor"

    def forward(self, k: Any, *arrays: Any) -> Any:
        _integers_or_floats(f"{self.name}_cpu", arrays[0])
        return getattr(k, self.name)(arrays[0], arrays[1])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs if needs[1] else (None, None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g, -g * div(a, b, rounding_mode=self.rounding_mode) if needs[1] else None


class RemainderNumber(Remainder):
    """What `x % 2` records."""

    __slots__ = ()
    node_name = "RemainderBackward0"


class Fmod(Remainder):
    """a - trunc(a / b) * b: the sign of the dividend."""

    __slots__ = ()
    name = "fmod"
    node_name = "FmodBackward1"
    rounding_mode = "trunc"


class FmodNumber(Fmod):
    """What `fmod(x, 2)` records."""

    __slots__ = ()
    node_name = "FmodBackward0"


class Neg(Unary):
    """-a."""

    __slots__ = ()
    name = "neg"
    promotion = 0
    linear = True

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return -g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return -tangents[0]


def _conjugate(alpha: Any) -> Any:
    return alpha.conjugate() if isinstance(alpha, complex) else alpha


def _integers_or_floats(kernel: str, array: Any) -> None:
    if array.dtype.kind in "bc":
        raise not_implemented(kernel, FROM_NUMPY[array.dtype])


ADD = Add()
SUB = Sub()
RSUB = Rsub()
MUL = Mul()
DIV = Div()
NEG = Neg()
FLOOR_DIVIDE = FloorDivide()
DIV_MODES = {mode: DivMode(mode) for mode in ("floor", "trunc")}
REMAINDER, REMAINDER_NUMBER = Remainder(), RemainderNumber()
FMOD, FMOD_NUMBER = Fmod(), FmodNumber()


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """`input + alpha * other`, broadcast and promoted.

    >>> add(tensor([1., 2.]), 10)
    tensor([11., 12.])
    """
    return binary(ADD if alpha == 1 else Add(alpha), input, other, out)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """`input - alpha * other`, broadcast and promoted. Bool tensors have no difference: use `^` or `logical_xor`."""
    _no_bool(input, other)
    a, b = tensors_of("sub", input, other)
    return binary(SUB if alpha == 1 else Sub(alpha), a, b, out)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`other - alpha * input`."""
    need_tensor("rsub", input)
    _no_bool(input, other)
    a, b = tensors_of("rsub", input, other)
    return binary((RsubTensor if isinstance(other, TensorBase) else Rsub)(alpha), a, b)


def mul(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input * other`, broadcast and promoted."""
    return binary(MUL, input, other, out)


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """`input / other`, broadcast and promoted; integers give the default floating dtype.

    rounding_mode: None, "trunc" (towards zero) or "floor"; with one of them integers stay integers, and dividing
    integers by zero raises RuntimeError.
    """
    if rounding_mode is None:
        return true_divide(input, other, out=out)
    return binary(_div_mode(rounding_mode), input, other, out)


def _div_mode(rounding_mode: str) -> DivMode:
    found = DIV_MODES.get(rounding_mode)
    if found is None:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    return found


def true_divide(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input / other`; the same as `div`."""
    a, b = float_operands("div", input, other)
    return binary(DIV, a, b, out)


def floor_divide(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input / other` rounded towards minus infinity, in the promoted dtype of both."""
    return binary(FLOOR_DIVIDE, input, other, out)


def remainder(input: Any, other: Any, *, out: Any = None) -> Any:
    """The remainder of `input / other` with the sign of the divisor, as Python's `%`."""
    return binary(REMAINDER_NUMBER if isinstance(other, Number) else REMAINDER, input, other, out)


def fmod(input: Any, other: Any, *, out: Any = None) -> Any:
    """The remainder of `input / other` with the sign of the dividend, as C's `fmod`."""
    need_tensor("fmod", input)
    return binary(FMOD_NUMBER if isinstance(other, Number) else FMOD, input, other, out)


def neg(input: Any, *, out: Any = None) -> Any:
    """`-input`. Raises `RuntimeError` for bool: use `~` or `logical_not`."""
    need_tensor("neg", input)
    if input._dtype.category == BOOL:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
            "`~` or `logical_not()` operator instead."
        )
    return unary(NEG, input, out)


def positive(input: Any) -> Any:
    """`+input`: the tensor itself. Raises `RuntimeError` for bool."""
    need_tensor("positive", input)
    if input._dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def _no_bool(a: Any, b: Any) -> None:
    """torch's errors for the difference of masks."""
    masks = [_is_mask(a), _is_mask(b)]
    if all(masks):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    if any(masks):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the "
            "`~` or `logical_not()` operator instead."
        )


def _is_mask(value: Any) -> bool:
    return value._dtype.category == BOOL if isinstance(value, TensorBase) else isinstance(value, bool)


class SubOperator(Operator):
    """A subtraction operator, which refuses masks."""

    __slots__ = ("operator",)

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def run(self, a: TensorBase, other: Any) -> Any:
        if a._dtype.category == BOOL or (type(other) is not float and _is_mask(other)):
            if operand(other, a) is NotImplemented:
                return NotImplemented
            _no_bool(a, other)
        return self.operator.run(a, other)


class DivOperator(BinaryOperator):
    """`a / other`: integers become floats, and so does a number beside them, before it could wrap."""

    __slots__ = ()

    def run(self, a: TensorBase, other: Any) -> Any:
        if a._dtype.category < FLOATING and not isinstance(other, TensorBase):
            other = float_operand(other, a)
            if other is NotImplemented:
                return NotImplemented
        return super().run(a, other)


def _reciprocal_times(b: Any, other: Any) -> Any:
    """`2 / x`, which torch computes and records as `x.reciprocal() * 2`."""
    return b.reciprocal() * other if isinstance(other, Number) else _RDIV.run(b, other)


def _remainder_operator(a: Any, other: Any) -> Any:
    return (_MOD if isinstance(other, TensorBase) else _MOD_NUMBER).run(a, other)


_RDIV = ReflectedOperator(DIV)
_MOD, _MOD_NUMBER = BinaryOperator(REMAINDER), BinaryOperator(REMAINDER_NUMBER)


# In-place forms.


def _inplace(op: Binary, self: Any, other: Any) -> Any:
    _, b = tensors_of(op.name + "_", self, other)
    check_broadcast(self, b)
    return apply_inplace(op, self, (b,))


def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`self += alpha * other`."""
    return _inplace(ADD if alpha == 1 else Add(alpha), self, other)


def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`self -= alpha * other`."""
    _no_bool(self, other)
    return _inplace(SUB if alpha == 1 else Sub(alpha), self, other)


def mul_(self: Any, other: Any) -> Any:
    """`self *= other`."""
    return _inplace(MUL, self, other)


def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`self /= other`, rounded as `rounding_mode` says."""
    return _inplace(DIV if rounding_mode is None else _div_mode(rounding_mode), self, other)


def true_divide_(self: Any, other: Any) -> Any:
    """`self /= other`."""
    return _inplace(DIV, self, other)


def floor_divide_(self: Any, other: Any) -> Any:
    """`self //= other`."""
    return _inplace(FLOOR_DIVIDE, self, other)


def remainder_(self: Any, other: Any) -> Any:
    """`self %= other`."""
    return _inplace(REMAINDER_NUMBER if isinstance(other, Number) else REMAINDER, self, other)


def fmod_(self: Any, other: Any) -> Any:
    """`fmod` in place."""
    return _inplace(FMOD_NUMBER if isinstance(other, Number) else FMOD, self, other)


serve(Add, add)
serve(Sub, sub)
serve(Rsub, rsub)
serve(Mul, mul)
serve(Div, div)
serve(DivMode, div)
serve(FloorDivide, floor_divide)
serve(Remainder, remainder)
serve(Fmod, fmod)
serve(Neg, neg)


def neg_(self: Any) -> Any:
    """`neg` in place."""
    if self._dtype.category == BOOL:
        return neg(self)  # the error
    return apply_inplace(NEG, self)


multiply, subtract, negative, divide = mul, sub, neg, div
methods(
    add, sub, mul, div, neg, true_divide, floor_divide, remainder, fmod, positive, add_, sub_, mul_, div_, true_divide_,
    floor_divide_, remainder_, fmod_,
    multiply=mul, subtract=sub, negative=neg, divide=div, multiply_=mul_, subtract_=sub_, divide_=div_,
    neg_=neg_, negative_=neg_,
)  # fmt: skip
fill(
    add=BinaryOperator(ADD),
    sub=SubOperator(BinaryOperator(SUB)),
    rsub=SubOperator(BinaryOperator(RSUB)),
    mul=BinaryOperator(MUL),
    div=DivOperator(DIV),
    rdiv=_reciprocal_times,
    floor_divide=BinaryOperator(FLOOR_DIVIDE),
    rfloor_divide=ReflectedOperator(FLOOR_DIVIDE),
    remainder=_remainder_operator,
    rremainder=ReflectedOperator(REMAINDER),
    neg=neg,
    iadd=InplaceOperator(ADD),
    isub=SubOperator(InplaceOperator(SUB)),
    imul=InplaceOperator(MUL),
    idiv=InplaceOperator(DIV),
    ifloor_divide=InplaceOperator(FLOOR_DIVIDE),
    iremainder=InplaceOperator(REMAINDER),
)
