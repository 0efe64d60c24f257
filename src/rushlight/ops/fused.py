"""Sums with a product or quotient, and linear interpolation."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, FLOATING, INTEGER
from rushlight.base.shape import broadcast_shapes
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON, Primitive, apply2, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name, need_tensor, not_implemented, refuse
from rushlight.ops.common import Binary, methods, serve, write_out

__all__ = ["addcdiv", "addcmul", "lerp"]


class Addcmul(Primitive):
    """x + value * a * b."""

    __slots__ = ("value",)
    name = "addcmul"
    promotion = COMMON

    def __init__(self, value: Any = 1) -> None:
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.addcmul(*arrays, _as_scalar(self.value, arrays[0]))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1] if needs[2] else None, inputs[2] if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return (
            g,
            g * (b * self.value).conj() if needs[1] else None,
            g * (a * self.value).conj() if needs[2] else None,
        )


class Addcdiv(Primitive):
    """x + value * a / b."""

    __slots__ = ("value",)
    name = "addcdiv"
    promotion = COMMON

    def __init__(self, value: Any = 1) -> None:
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.addcdiv(*arrays, _as_scalar(self.value, arrays[0]))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1] if needs[2] else None, inputs[2])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return (
            g,
            g * (self.value / b).conj() if needs[1] else None,
            -g * (a * self.value / (b * b)).conj() if needs[2] else None,
        )


class Lerp(Binary):
    """start + weight * (end - start) with a Python number as weight."""

    __slots__ = ("weight",)
    name = "lerp"
    promotion = 0
    linear = True

    def __init__(self, weight: Any) -> None:
        self.weight = weight

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.lerp(*arrays, self.weight)

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        w = self.weight.conjugate()
        return g * (1 - w) if needs[0] else None, g * w if needs[1] else None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return lerp, (*tensors, self.weight), {}


class LerpTensor(Primitive):
    """start + weight * (end - start) with a tensor as weight."""

    __slots__ = ()
    name = "lerp"
    node_name = "LerpBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.lerp(*arrays)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        start, end, weight = inputs
        return (start if needs[2] else None, end if needs[2] else None, weight if needs[0] or needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        start, end, weight = saved
        return (
            g * (1 - weight).conj() if needs[0] else None,
            g * weight.conj() if needs[1] else None,
            g * (end - start).conj() if needs[2] else None,
        )


def _as_scalar(value: Any, array: Any) -> Any:
    return int(value) if array.dtype.kind in "iub" else value


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """`input + value * tensor1 * tensor2`, broadcast and promoted."""
    result = applyn(Addcmul(value), _three("addcmul", input, tensor1, tensor2))
    return result if out is None else write_out(out, result, "addcmul")


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """`input + value * tensor1 / tensor2`, broadcast and promoted. RuntimeError when both operands are integers."""
    result = applyn(Addcdiv(value), _quotient("addcdiv", input, tensor1, tensor2))
    return result if out is None else write_out(out, result, "addcdiv")


def lerp(input: Any, end: Any, weight: Any, *, out: Any = None) -> Any:
    """`input + weight * (end - input)`: `weight` is a number or a tensor; all tensors must have one floating dtype."""
    _check_lerp(input, end, weight)
    if isinstance(weight, TensorBase):
        result = applyn(LERP_TENSOR, (input, end, weight))
    else:
        result = apply2(Lerp(weight), input, end)
    return result if out is None else write_out(out, result, "lerp")


def _three(operation: str, *tensors: Any) -> tuple[Any, ...]:
    for name, t in zip(("input", "tensor1", "tensor2"), tensors, strict=True):
        need_tensor(operation, t, name)
    broadcast_shapes(*[t._shape for t in tensors])
    if all(t._dtype.category == BOOL for t in tensors):
        refuse(f"{operation}_cpu_out", tensors[0], "bool")
    return tensors


def _quotient(operation: str, *tensors: Any) -> tuple[Any, ...]:
    _three(operation, *tensors)
    if tensors[1]._dtype.category <= INTEGER and tensors[2]._dtype.category <= INTEGER:
        raise RuntimeError(
            f"Integer division with {operation} is no longer supported, as it would be a true division. Make an operand "
            "floating-point, or write input + value * torch.div(tensor1, tensor2, rounding_mode='trunc')"
        )
    return tensors


def _check_lerp(start: Any, end: Any, weight: Any) -> None:
    need_tensor("lerp", start)
    need_tensor("lerp", end, "end")
    if start._dtype.category < FLOATING:
        raise not_implemented("lerp_kernel_scalar", start._dtype)
    given = [("end", end)] + ([("weight", weight)] if isinstance(weight, TensorBase) else [])
    for name, t in given:
        if t._dtype is not start._dtype:
            raise RuntimeError(
                f"expected dtype {kind_name(start._dtype).lower()} for `{name}` but got dtype {kind_name(t._dtype).lower()}"
            )
    broadcast_shapes(start._shape, *[t._shape for _, t in given])


def addcmul_(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """`self += value * tensor1 * tensor2`."""
    return apply_inplace(Addcmul(value), *_split(_three("addcmul_", self, tensor1, tensor2)))


def addcdiv_(self: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """`self += value * tensor1 / tensor2`."""
    return apply_inplace(Addcdiv(value), *_split(_quotient("addcdiv_", self, tensor1, tensor2)))


def lerp_(self: Any, end: Any, weight: Any) -> Any:
    """`lerp` in place."""
    _check_lerp(self, end, weight)
    if isinstance(weight, TensorBase):
        return apply_inplace(LERP_TENSOR, self, (end, weight))
    return apply_inplace(Lerp(weight), self, (end,))


def _split(tensors: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    return tensors[0], tensors[1:]


LERP_TENSOR = LerpTensor()
serve(Addcmul, addcmul)
serve(Addcdiv, addcdiv)
serve(LerpTensor, lerp)
methods(addcmul, addcdiv, lerp, addcmul_, addcdiv_, lerp_)
