"""Powers, roots and reciprocals."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import (
    BOOL,
    FLOATING,
    can_cast,
    complex128,
    dtype,
    float64,
    int64,
)
from rushlight.core.inplace import apply_inplace
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import elementwise, need_tensor
from rushlight.ops.common import Number, binary, check_broadcast, methods, serve, write_out
from rushlight.ops.power_rules import (
    POW,
    Pow,
    PowNumber,
    PowOfNumber,
    PowOperator,
    Reciprocal,
    RpowOperator,
    Rsqrt,
    Sqrt,
    number_pow,
    pow_number,
    promoted_by,
)

__all__ = ["float_power", "pow", "reciprocal", "rsqrt", "sqrt", "square"]


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """`input` to the power `exponent`; one of them may be a Python number.

    Integers stay integers; raising them to a negative Python integer is a RuntimeError (make them floats first).

    >>> pow(tensor([1., 2., 3.]), 2)
    tensor([1., 4., 9.])
    """
    if isinstance(input, TensorBase):
        result = pow_number(input, exponent) if isinstance(exponent, Number) else binary(POW, input, exponent)
    elif isinstance(input, Number) and isinstance(exponent, TensorBase):
        result = number_pow(exponent, input)
    else:
        need_tensor("pow", input)
    return result if out is None else write_out(out, result, "pow")


def pow_(self: Any, exponent: Any) -> Any:
    """`pow` in place."""
    if isinstance(exponent, Number):
        of = promoted_by(self, exponent)._dtype
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
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self._dtype!r} but the operation's result requires dtype {wide!r}"
        )
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


reciprocal = elementwise(Reciprocal(), "`1 / x`; integers give the default floating dtype.")
sqrt = elementwise(Sqrt(), "The square root; NaN below zero.")
rsqrt = elementwise(Rsqrt(), "`1 / sqrt(x)`.")
serve(PowNumber, pow)
serve(Pow, pow)
serve(PowOfNumber, pow)
methods(pow, pow_, float_power, float_power_, square, square_)
fill(pow=PowOperator(), rpow=RpowOperator(), ipow=pow_)
