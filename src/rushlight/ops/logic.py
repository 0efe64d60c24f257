"""Logical operations on every dtype, and bitwise ones on integers and bool. Nothing here has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import FROM_NUMPY, INTEGER
from rushlight.core.primitive import COMMON, Primitive, apply1
from rushlight.core.table import fill
from rushlight.ops.checks import need_tensor, not_implemented
from rushlight.ops.common import (
    Binary,
    BinaryOperator,
    InplaceOperator,
    ReflectedOperator,
    binary,
    inplace_binary,
    inplace_unary,
    methods,
    serve,
    write_out,
)

__all__ = [
    "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "gcd", "lcm",
    "logical_and", "logical_not", "logical_or", "logical_xor",
]  # fmt: skip


class Logical(Binary):
    """A logical operation: operands of any dtype, each taken as `!= 0`; the result is bool."""

    __slots__ = ()
    promotion = 0
    differentiable = False

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)


class LogicalAnd(Logical):
    __slots__ = ()
    name = "logical_and"


class LogicalOr(Logical):
    __slots__ = ()
    name = "logical_or"


class LogicalXor(Logical):
    __slots__ = ()
    name = "logical_xor"


class LogicalNot(Primitive):
    """Where the input is zero; bool."""

    __slots__ = ()
    name = "logical_not"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.logical_not(arrays[0])


class Integral(Binary):
    """An operation on integers (and bool where `takes_bool`), brought to their common dtype."""

    __slots__ = ()
    promotion = COMMON
    differentiable = False
    kernel_name = ""
    takes_bool = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        kind = arrays[0].dtype.kind
        if kind not in "iu" and not (kind == "b" and self.takes_bool):
            known = "integers and bool" if self.takes_bool else "integers"
            raise NotImplementedError(
                f'"{self.kernel_name or self.name + "_cpu"}" not implemented for {arrays[0].dtype.name}: {self.name} takes {known} only'
            )
        return getattr(k, self.name)(arrays[0], arrays[1])

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)


class BitwiseAnd(Integral):
    __slots__ = ()
    name = "bitwise_and"


class BitwiseOr(Integral):
    __slots__ = ()
    name = "bitwise_or"


class BitwiseXor(Integral):
    __slots__ = ()
    name = "bitwise_xor"


class BitwiseLeftShift(Integral):
    __slots__ = ()
    name = "bitwise_left_shift"
    kernel_name = "lshift_cpu"
    takes_bool = False


class BitwiseRightShift(Integral):
    __slots__ = ()
    name = "bitwise_right_shift"
    kernel_name = "rshift_cpu"
    takes_bool = False


class Gcd(Integral):
    __slots__ = ()
    name = "gcd"
    takes_bool = False


class Lcm(Integral):
    __slots__ = ()
    name = "lcm"
    takes_bool = False


class BitwiseNot(Primitive):
    """Every bit flipped; of bool the negation."""

    __slots__ = ()
    name = "bitwise_not"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind not in "iub":
            raise not_implemented("bitwise_not_cpu", FROM_NUMPY[arrays[0].dtype])
        return k.bitwise_not(arrays[0])


def _binary_function(op: Binary, doc: str, numbers: bool = False) -> Callable[..., Any]:
    """The public function, method and in-place method of a binary operation; with `numbers` it takes them too."""

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        if not numbers:
            need_tensor(op.name, input)
            need_tensor(op.name, other, "other")
        return binary(op, input, other, out)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = doc
    serve(type(op), function)
    methods(**{op.name: function, op.name + "_": inplace_binary(op)})
    return function


AND, OR, XOR = BitwiseAnd(), BitwiseOr(), BitwiseXor()
LEFT_SHIFT, RIGHT_SHIFT = BitwiseLeftShift(), BitwiseRightShift()
LOGICAL_NOT, BITWISE_NOT = LogicalNot(), BitwiseNot()

logical_and = _binary_function(LogicalAnd(), "Where both are non-zero; bool.")
logical_or = _binary_function(LogicalOr(), "Where at least one is non-zero; bool.")
logical_xor = _binary_function(LogicalXor(), "Where exactly one is non-zero; bool.")
bitwise_and = _binary_function(AND, "The bits set in both; integers or bool.", numbers=True)
bitwise_or = _binary_function(OR, "The bits set in either; integers or bool.", numbers=True)
bitwise_xor = _binary_function(XOR, "The bits set in exactly one; integers or bool.", numbers=True)
bitwise_left_shift = _binary_function(LEFT_SHIFT, "The bits of `input` moved up by `other` places; integers.", numbers=True)
bitwise_right_shift = _binary_function(RIGHT_SHIFT, "The bits of `input` moved down by `other` places; integers.", numbers=True)
gcd = _binary_function(Gcd(), "The greatest common divisor of integers, never negative.")
lcm = _binary_function(Lcm(), "The least common multiple of integers, never negative.")


def logical_not(input: Any, *, out: Any = None) -> Any:
    """Where `input` is zero; bool."""
    need_tensor("logical_not", input)
    result = apply1(LOGICAL_NOT, input)
    return result if out is None else write_out(out, result, "logical_not")


def bitwise_not(input: Any, *, out: Any = None) -> Any:
    """Every bit flipped; of bool the negation."""
    need_tensor("bitwise_not", input)
    if input._dtype.category > INTEGER:
        raise not_implemented("bitwise_not_cpu", input._dtype)
    result = apply1(BITWISE_NOT, input)
    return result if out is None else write_out(out, result, "bitwise_not")


def _invert(a: Any) -> Any:
    """`~a`."""
    if a._dtype.category > INTEGER:
        raise TypeError(f"~ (operator.invert) is only implemented on integer and Boolean-type tensors, got {a._dtype!r}")
    return apply1(BITWISE_NOT, a)


serve(LogicalNot, logical_not)
serve(BitwiseNot, bitwise_not)
methods(
    logical_not, bitwise_not, logical_not_=inplace_unary(LOGICAL_NOT), bitwise_not_=inplace_unary(BITWISE_NOT),
)  # fmt: skip
fill(
    and_=BinaryOperator(AND),
    or_=BinaryOperator(OR),
    xor=BinaryOperator(XOR),
    invert=_invert,
    lshift=BinaryOperator(LEFT_SHIFT),
    rshift=BinaryOperator(RIGHT_SHIFT),
    rlshift=ReflectedOperator(LEFT_SHIFT),
    rrshift=ReflectedOperator(RIGHT_SHIFT),
    iand=InplaceOperator(AND),
    ior=InplaceOperator(OR),
    ixor=InplaceOperator(XOR),
    ilshift=InplaceOperator(LEFT_SHIFT),
    irshift=InplaceOperator(RIGHT_SHIFT),
)
