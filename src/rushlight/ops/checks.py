"""What many operations check about their arguments, in torch's words, and the shape of elementwise functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rushlight.base.dtypes import FLOATING, HALF, INTEGER, dtype, get_default_dtype, with_scalar
from rushlight.base.kinds import Dtype
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import (
    Number,
    Unary,
    constant,
    inplace_unary,
    methods,
    operand,
    serve,
    tensors_of,
    unary,
)

_KIND_NAMES: Final = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def kind_name(d: Dtype) -> str:
    """The name torch's messages use for a dtype: `Float` for float32."""
    return _KIND_NAMES.get(d.name, d.name)


def not_implemented(operation: str, d: dtype) -> NotImplementedError:
    """The error for a dtype that an operation does not know."""
    cure = (
        "convert it first, for example with x.float()" if d.category <= INTEGER else "convert it to another dtype first"
    )
    return NotImplementedError(f"\"{operation}\" not implemented for '{kind_name(d)}': {cure}")


def refuse(operation: str, t: Any, kinds: str) -> None:
    """Refuse dtypes that torch has no kernel for; `kinds` names them: some of bool, integer, half and complex."""
    category = t._dtype.category
    if category == FLOATING:
        found = "half" if t._dtype in HALF else "float"
    else:
        found = "bool" if category < INTEGER else "integer" if category == INTEGER else "complex"
    if found in kinds.split():
        raise not_implemented(operation, t._dtype)


def no_derivative(operation: str) -> RuntimeError:
    """The error of the backward pass through an operation without derivative, whose result claims a history as in torch."""
    return RuntimeError(
        f"derivative for aten::{operation} is not implemented: it is zero or undefined. Use detach() on its inputs if no "
        "gradient should flow through it."
    )


def need_floating(operation: str, t: Any) -> None:
    """Refuse integers and bool for an operation that torch does not promote."""
    if t._dtype.category < FLOATING:
        raise not_implemented(operation, t._dtype)


def need_real(operation: str, *tensors: Any) -> None:
    """Refuse complex numbers for an operation that orders them."""
    for t in tensors:
        if t._dtype.category > FLOATING:
            raise not_implemented(operation, t._dtype)


def need_tensor(operation: str, value: Any, argument: str = "input") -> None:
    """The TypeError for an argument that must be a tensor."""
    if not isinstance(value, TensorBase):
        raise TypeError(f"{operation}(): argument '{argument}' must be Tensor, not {type(value).__name__}")


def elementwise(op: Unary, doc: str, *aliases: str, inplace: bool = True) -> Callable[..., Any]:
    """The public function of a unary operation without parameters, attached with its in-place form as Tensor methods.

    `aliases` are further names for the methods.
    """

    def function(input: Any, *, out: Any = None) -> Any:
        return unary(op, input, out)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = doc
    serve(type(op), function)
    for name in (op.name, *aliases):
        methods(**{name: function})
        if inplace:
            methods(**{name + "_": inplace_unary(op)})
    return function


def numpy_names(operation: str, given: dict[str, Any], dim: Any, keepdim: bool = False) -> tuple[Any, bool]:
    """`dim` and `keepdim` where they came under NumPy's names, `axis` and `keepdims`; a TypeError for any other name."""
    for name, value in given.items():
        if name == "axis":
            dim = value
        elif name == "keepdims":
            keepdim = value
        else:
            raise TypeError(f"{operation}() got an unexpected keyword argument '{name}'")
    return dim, keepdim


def float_operand(value: Any, like: Any) -> Any:
    """`operand` for an operation that takes integers as floats: a number beside them must not wrap into their dtype."""
    if like._dtype.category < FLOATING and isinstance(value, Number):
        return constant(value, with_scalar(get_default_dtype(), value), like._device)
    return operand(value, like)


def float_operands(operation: str, input: Any, other: Any) -> tuple[Any, Any]:
    """Both arguments of such an operation as tensors."""
    if isinstance(input, TensorBase) and isinstance(other, Number):
        other = float_operand(other, input)
    elif isinstance(other, TensorBase) and isinstance(input, Number):
        input = float_operand(input, other)
    return tensors_of(operation, input, other)
