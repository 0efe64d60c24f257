"""Comparisons, classification of numbers, and the checks that answer with a Python bool. Nothing here has a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.backends.registry import kernels_for
from rushlight.base.dtypes import (
    COMPLEX,
    FLOATING,
    bool_,
    can_cast,
    dtype,
    promote_types,
    result_dtype,
    scalar_dtype,
    with_scalar,
)
from rushlight.core.primitive import COMMON, Primitive, apply1, apply2
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase, array_of, is_tensor
from rushlight.ops.checks import kind_name, need_tensor, refuse
from rushlight.ops.common import (
    Binary,
    BinaryOperator,
    Number,
    binary,
    check_broadcast,
    constant,
    inplace_binary,
    methods,
    serve,
    write_out,
)

__all__ = [
    "allclose", "can_cast", "eq", "equal", "ge", "greater", "greater_equal", "gt", "is_complex", "is_floating_point", "is_nonzero",
    "is_signed", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "le", "less",
    "less_equal", "lt", "ne", "not_equal", "numel", "promote_types", "result_type", "signbit",
]  # fmt: skip


class Comparison(Binary):
    """A comparison; its result is bool."""

    __slots__ = ()
    differentiable = False

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)


class Ordering(Comparison):
    """A comparison that complex numbers do not have."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "c":
            name = "ComplexFloat" if arrays[0].dtype.itemsize == 8 else "ComplexDouble"
            raise NotImplementedError(f"\"{self.name}_cpu\" not implemented for '{name}': compare .abs() or .real")
        return getattr(k, self.name)(arrays[0], arrays[1])


class Eq(Comparison):
    __slots__ = ()
    name = "eq"


class Ne(Comparison):
    __slots__ = ()
    name = "ne"


class Lt(Ordering):
    __slots__ = ()
    name = "lt"


class Le(Ordering):
    __slots__ = ()
    name = "le"


class Gt(Ordering):
    __slots__ = ()
    name = "gt"


class Ge(Ordering):
    __slots__ = ()
    name = "ge"


class Isclose(Comparison):
    """|a - b| <= atol + rtol * |b|."""

    __slots__ = ("rtol", "atol", "equal_nan")
    name = "isclose"

    def __init__(self, rtol: float, atol: float, equal_nan: bool) -> None:
        self.rtol = rtol
        self.atol = atol
        self.equal_nan = equal_nan

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.isclose(arrays[0], arrays[1], self.rtol, self.atol, self.equal_nan)


class Classification(Primitive):
    """Which elements are of some kind; bool."""

    __slots__ = ()
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0])


class Isnan(Classification):
    __slots__ = ()
    name = "isnan"


class Isinf(Classification):
    __slots__ = ()
    name = "isinf"


class Isfinite(Classification):
    __slots__ = ()
    name = "isfinite"


class Isposinf(Classification):
    __slots__ = ()
    name = "isposinf"


class Isneginf(Classification):
    __slots__ = ()
    name = "isneginf"


class Signbit(Classification):
    __slots__ = ()
    name = "signbit"


class Isin(Primitive):
    """Which elements of a occur in b."""

    __slots__ = ("assume_unique", "invert")
    name = "isin"
    promotion = COMMON
    differentiable = False

    def __init__(self, assume_unique: bool, invert: bool) -> None:
        self.assume_unique = assume_unique
        self.invert = invert

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.isin(arrays[0], arrays[1], self.assume_unique, self.invert)


def _comparison(op: Comparison, symbol: str) -> Callable[..., Any]:
    """The public function, method and in-place method of a comparison."""

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        need_tensor(op.name, input)
        return binary(op, input, other, out)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"`input {symbol} other`, element by element, broadcast and promoted; bool."
    serve(type(op), function)
    methods(**{op.name: function, op.name + "_": inplace_binary(op)})
    return function


EQ, NE, LT, LE, GT, GE = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
eq, ne = _comparison(EQ, "=="), _comparison(NE, "!=")
lt, le = _comparison(LT, "<"), _comparison(LE, "<=")
gt, ge = _comparison(GT, ">"), _comparison(GE, ">=")
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge


def _classification(op: Classification, doc: str) -> Callable[..., Any]:
    """The public function and method of a classification."""

    def function(input: Any, *, out: Any = None) -> Any:
        need_tensor(op.name, input)
        if op.name in ("isposinf", "isneginf") and input._dtype.category == COMPLEX:
            raise RuntimeError(f"{op.name} does not support complex inputs.")
        if op.name == "signbit" and input._dtype.category == COMPLEX:
            raise NotImplementedError("signbit is not implemented for complex tensors.")
        result = apply1(op, input)
        return result if out is None else write_out(out, result, op.name)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = doc
    serve(type(op), function)
    methods(**{op.name: function})
    return function


isnan = _classification(Isnan(), "Which elements are NaN; bool.")
isinf = _classification(Isinf(), "Which elements are plus or minus infinity; bool.")
isfinite = _classification(Isfinite(), "Which elements are neither infinite nor NaN; bool.")
isposinf = _classification(Isposinf(), "Which elements are plus infinity; bool.")
isneginf = _classification(Isneginf(), "Which elements are minus infinity; bool.")
signbit = _classification(Signbit(), "Which elements have their sign bit set, -0.0 included; bool.")


def isreal(input: Any) -> Any:
    """Which elements have no imaginary part; bool."""
    need_tensor("isreal", input)
    return input.imag == 0 if input._dtype.category == COMPLEX else input.new_ones(input._shape, dtype=bool_)


def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """`|input - other| <= atol + rtol * |other|`, element by element; bool. Both must have the same dtype."""
    need_tensor("isclose", input)
    need_tensor("isclose", other, "other")
    if input._dtype is not other._dtype:
        raise RuntimeError(f"{kind_name(input._dtype)} did not match {kind_name(other._dtype)}")
    if rtol < 0 or atol < 0:
        name, value = ("rtol", rtol) if rtol < 0 else ("atol", atol)
        raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value}")
    check_broadcast(input, other)
    return apply2(Isclose(rtol, atol, equal_nan), input, other)


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as a Python bool; see `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Any, other: Any) -> bool:
    """Whether shape and all elements are the same, as a Python bool; NaN equals nothing."""
    need_tensor("equal", input)
    need_tensor("equal", other, "other")
    if input._shape != other._shape:
        return False
    if input._dtype is not other._dtype:
        return bool(apply2(EQ, input, other).all())
    k = input._device.kernels or kernels_for(input._device)
    return bool(k.equal(array_of(input), array_of(other)))


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False, out: Any = None) -> Any:
    """Which of `elements` occur among `test_elements` (with `invert`: do not); one of them may be a number."""
    if isinstance(elements, TensorBase):
        a, b = elements, _as_tensor(test_elements, elements)
    else:
        need_tensor("isin", test_elements, "test_elements")
        a, b = _as_tensor(elements, test_elements), test_elements
    for t in (a, b):
        refuse("isin", t, "bool complex")
    result = apply2(Isin(assume_unique, invert), a, b)
    return result if out is None else write_out(out, result, "isin")


def _as_tensor(value: Any, like: Any) -> Any:
    if isinstance(value, TensorBase):
        return value
    if not isinstance(value, Number):
        raise TypeError(f"isin(): expected a Tensor or a number, not {type(value).__name__}")
    return constant(value, with_scalar(like._dtype, value), like._device)


def is_nonzero(input: Any) -> bool:
    """Whether the only element is not zero; RuntimeError for several elements or none."""
    need_tensor("is_nonzero", input)
    return bool(input)


def is_floating_point(input: Any) -> bool:
    """Whether the dtype is a real floating-point one."""
    need_tensor("is_floating_point", input)
    return bool(input._dtype.category == FLOATING)


def is_complex(input: Any) -> bool:
    """Whether the dtype is complex."""
    need_tensor("is_complex", input)
    return bool(input._dtype.category == COMPLEX)


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative numbers."""
    need_tensor("is_signed", input)
    return bool(input._dtype.is_signed)


def numel(input: Any) -> int:
    """The number of elements."""
    need_tensor("numel", input)
    return int(input.numel())


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype that arithmetic of the two (tensors or Python numbers) gives.

    >>> result_type(tensor([1, 2]), 1.0)
    torch.float32
    """
    tensors = [t for t in (tensor1, tensor2) if isinstance(t, TensorBase)]
    numbers = [n for n in (tensor1, tensor2) if not isinstance(n, TensorBase)]
    if not tensors:
        return promote_types(scalar_dtype(tensor1), scalar_dtype(tensor2))
    found = result_dtype([(t._dtype, not t._shape) for t in tensors])
    for number in numbers:
        found = with_scalar(found, number)
    return found


serve(Isclose, isclose)
serve(Isin, isin)
methods(
    isreal, isclose, allclose, equal, is_nonzero,
    not_equal=ne, less=lt, less_equal=le, greater=gt, greater_equal=ge, not_equal_=inplace_binary(NE), less_=inplace_binary(LT),
    less_equal_=inplace_binary(LE), greater_=inplace_binary(GT), greater_equal_=inplace_binary(GE),
)  # fmt: skip
fill(
    eq=BinaryOperator(EQ), ne=BinaryOperator(NE), lt=BinaryOperator(LT),
    le=BinaryOperator(LE), gt=BinaryOperator(GT), ge=BinaryOperator(GE),
)  # fmt: skip
