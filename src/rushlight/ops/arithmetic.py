"""Sums, products, quotients and remainders."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL
from rushlight.core.inplace import apply_inplace
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.arithmetic_rules import (
    ADD,
    DIV,
    DIV_MODES,
    FLOOR_DIVIDE,
    FMOD,
    FMOD_NUMBER,
    MUL,
    NEG,
    REMAINDER,
    REMAINDER_NUMBER,
    RSUB,
    SUB,
    Add,
    Div,
    DivMode,
    DivOperator,
    FloorDivide,
    Fmod,
    Mul,
    Neg,
    Remainder,
    Rsub,
    RsubTensor,
    Sub,
    SubOperator,
    negated,
    no_bool,
)
from rushlight.ops.checks import float_operands, need_tensor
from rushlight.ops.common import (
    BinaryOperator,
    InplaceOperator,
    Number,
    ReflectedOperator,
    binary,
    inplace,
    methods,
    serve,
    tensors_of,
    write_out,
)

__all__ = [
    "add", "div", "divide", "floor_divide", "fmod", "mul", "multiply", "neg", "negative", "positive", "remainder", "rsub", "sub",
    "subtract", "true_divide",
]  # fmt: skip


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """`input + alpha * other`, broadcast and promoted.

    >>> add(tensor([1., 2.]), 10)
    tensor([11., 12.])
    """
    return binary(ADD if alpha == 1 else Add(alpha), input, other, out)


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """`input - alpha * other`, broadcast and promoted. Bool tensors have no difference: use `^` or `logical_xor`."""
    no_bool(input, other)
    a, b = tensors_of("sub", input, other)
    return binary(SUB if alpha == 1 else Sub(alpha), a, b, out)


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`other - alpha * input`."""
    need_tensor("rsub", input)
    no_bool(input, other)
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
    result = negated(input)
    return result if out is None else write_out(out, result, "neg")


def positive(input: Any) -> Any:
    """`+input`: the tensor itself. Raises `RuntimeError` for bool."""
    need_tensor("positive", input)
    if input._dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def _reciprocal_times(b: Any, other: Any) -> Any:
    """`2 / x`, which torch computes and records as `x.reciprocal() * 2`."""
    return b.reciprocal() * other if isinstance(other, Number) else _RDIV.run(b, other)


def _remainder_operator(a: Any, other: Any) -> Any:
    return (_MOD if isinstance(other, TensorBase) else _MOD_NUMBER).run(a, other)


_RDIV = ReflectedOperator(DIV)
_MOD, _MOD_NUMBER = BinaryOperator(REMAINDER), BinaryOperator(REMAINDER_NUMBER)


# In-place forms.


def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`self += alpha * other`."""
    return inplace(ADD if alpha == 1 else Add(alpha), self, other)


def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """`self -= alpha * other`."""
    no_bool(self, other)
    return inplace(SUB if alpha == 1 else Sub(alpha), self, other)


def mul_(self: Any, other: Any) -> Any:
    """`self *= other`."""
    return inplace(MUL, self, other)


def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`self /= other`, rounded as `rounding_mode` says."""
    return inplace(DIV if rounding_mode is None else _div_mode(rounding_mode), self, other)


def true_divide_(self: Any, other: Any) -> Any:
    """`self /= other`."""
    return inplace(DIV, self, other)


def floor_divide_(self: Any, other: Any) -> Any:
    """`self //= other`."""
    return inplace(FLOOR_DIVIDE, self, other)


def remainder_(self: Any, other: Any) -> Any:
    """`self %= other`."""
    return inplace(REMAINDER_NUMBER if isinstance(other, Number) else REMAINDER, self, other)


def fmod_(self: Any, other: Any) -> Any:
    """`fmod` in place."""
    return inplace(FMOD_NUMBER if isinstance(other, Number) else FMOD, self, other)


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
    neg=negated,
    iadd=InplaceOperator(ADD),
    isub=SubOperator(InplaceOperator(SUB)),
    imul=InplaceOperator(MUL),
    idiv=InplaceOperator(DIV),
    ifloor_divide=InplaceOperator(FLOOR_DIVIDE),
    iremainder=InplaceOperator(REMAINDER),
)
