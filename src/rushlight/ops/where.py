"""Choices between elements: where, masked_fill, clamp, and the larger or smaller of two.

The derivative of a choice is the cotangent masked, `g where chosen, else 0`: never a product with 0 or 1, so that an
infinite or NaN cotangent of the branch not taken stays out of it.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, COMPLEX, scalar_dtype, uint8, with_scalar
from rushlight.base.shape import broadcast_shapes
from rushlight.base.warn import warn_user
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON, Primitive, apply1, apply2, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name, need_tensor, refuse
from rushlight.ops.common import Binary, Number, Unary, binary, constant, methods, serve, tensors_of, write_out

__all__ = ["clamp", "clamp_max", "clamp_min", "clip", "fmax", "fmin", "masked_fill", "maximum", "minimum", "where"]


class Where(Primitive):
    """a where the condition holds, else b."""

    __slots__ = ()
    keeps_layout = True
    name = "where"
    promotion = COMMON
    promote_from = 1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.where(*arrays)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        condition = saved[0]
        return (
            None,
            applyn(WHERE, (condition, g, _zero(g))) if needs[1] else None,
            applyn(WHERE, (condition, _zero(g), g)) if needs[2] else None,
        )


class MaskedFill(Primitive):
    """x with one number where the mask is true: `masked_fill(x, mask)`."""

    __slots__ = ("value",)
    name = "masked_fill"

    def __init__(self, value: Any) -> None:
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.masked_fill(arrays[0], arrays[1], k.scalar(self.value, arrays[0].dtype))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(_FILL_ZERO, g, saved[0]), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(_FILL_ZERO, tangents[0], saved[0])


class MaskedFillTensor(Primitive):
    """x with a zero-dim tensor's value where the mask is true: `masked_fill(x, mask, value)`."""

    __slots__ = ()
    name = "masked_fill"
    node_name = "MaskedFillBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, mask, value = arrays
        return k.masked_fill(x, mask, k.cast(value, x.dtype))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        mask = saved[0]
        return (
            apply2(_FILL_ZERO, g, mask) if needs[0] else None,
            None,
            applyn(WHERE, (mask, g, _zero(g))).sum() if needs[2] else None,
        )


class Clamp(Unary):
    """min(max(x, low), high) with Python numbers, either of which may be None."""

    __slots__ = ("min", "max")
    name = "clamp"
    node_name = "ClampBackward1"
    promotion = 0

    def __init__(self, low: Any, high: Any) -> None:
        self.min = low
        self.max = high

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.clamp(arrays[0], self.min, self.max)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.clamp(arrays[0], self.min, self.max, out=out)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(_FILL_ZERO, g, self._outside(saved[0]))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(_FILL_ZERO, tangents[0], self._outside(saved[0]))

    def _outside(self, x: Any) -> Any:
        """Where x was moved; the bounds themselves were not. NaN counts as moved, as in torch."""
        if self.min is None:
            return ~(x <= self.max)
        inside = x >= self.min
        return ~inside if self.max is None else ~(inside & (x <= self.max))


class ClampMin(Clamp):
    """What `clamp_min(number)` records."""

    __slots__ = ()
    name = "clamp_min"
    node_name = "ClampMinBackward0"


class ClampMax(Clamp):
    """What `clamp_max(number)` records."""

    __slots__ = ()
    name = "clamp_max"
    node_name = "ClampMaxBackward0"


class ClampTensor(Primitive):
    """min(max(x, low), high) with tensors: `clamp(x, bounds...)`; the slots tell which bounds there are."""

    __slots__ = ("has_min", "has_max")
    name = "clamp"
    promotion = COMMON

    def __init__(self, has_min: bool, has_max: bool) -> None:
        self.has_min = has_min
        self.has_max = has_max

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.clamp(arrays[0], arrays[1] if self.has_min else None, arrays[-1] if self.has_max else None)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0]
        low, high = saved[1] if self.has_min else None, saved[-1] if self.has_max else None
        if high is None:
            masks = [x >= low, x < low]
        elif low is None:
            masks = [x <= high, x > high]
        else:
            masks = [(x >= low) & (x <= high), (low < high) & (x < low), (x > high) | (high < low)]
        zero = _zero(g)
        return tuple(applyn(WHERE, (mask, g, zero)) if need else None for mask, need in zip(masks, needs, strict=True))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        low, high = tensors[1] if self.has_min else None, tensors[-1] if self.has_max else None
        return clamp, (tensors[0],), {"min": low, "max": high}


class ClampMinTensor(ClampTensor):
    """What `clamp_min(tensor)` records."""

    __slots__ = ()
    name = "clamp_min"
    node_name = "ClampMinBackward1"


class ClampMaxTensor(ClampTensor):
    """What `clamp_max(tensor)` records."""

    __slots__ = ()
    name = "clamp_max"
    node_name = "ClampMaxBackward1"


class Extreme(Binary):
    """The larger or smaller of two; equal elements share the cotangent, half each."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "c":
            raise RuntimeError(f"{self.name} not implemented for complex tensors.")
        return getattr(k, self.name)(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        a_loses, b_loses = self._losers(a, b)
        shared = applyn(WHERE, (a == b, g / 2, g))
        return (
            apply2(_FILL_ZERO, shared, a_loses) if needs[0] else None,
            apply2(_FILL_ZERO, shared, b_loses) if needs[1] else None,
        )

    def _losers(self, a: Any, b: Any) -> tuple[Any, Any]:
        raise NotImplementedError(f"{self.name} does not say which operand loses")


class Maximum(Extreme):
    __slots__ = ()
    name = "maximum"

    def _losers(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a < b, a > b


class Minimum(Extreme):
    __slots__ = ()
    name = "minimum"

    def _losers(self, a: Any, b: Any) -> tuple[Any, Any]:
        return a > b, a < b


class Fmax(Extreme):
    """The larger of two, NaN losing against any number; of equal ones the first takes the cotangent, as in torch."""

    __slots__ = ()
    name = "fmax"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        first = self._first(a, b) | b.isnan()
        return (
            apply2(_FILL_ZERO, g, ~first) if needs[0] else None,
            apply2(_FILL_ZERO, g, first) if needs[1] else None,
        )

    def _first(self, a: Any, b: Any) -> Any:
        return a >= b


class Fmin(Fmax):
    """The smaller of two, NaN losing against any number."""

    __slots__ = ()
    name = "fmin"

    def _first(self, a: Any, b: Any) -> Any:
        return a <= b


def _zero(g: Any) -> Any:
    return constant(0, g._dtype, g._device)


WHERE = Where()
_FILL_ZERO = MaskedFill(0)
FILL_TENSOR = MaskedFillTensor()
MAXIMUM, MINIMUM, FMAX, FMIN = Maximum(), Minimum(), Fmax(), Fmin()


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`input` where `condition` holds, else `other`, broadcast and promoted; both may be numbers.

    With the condition alone: the indices of its non-zero elements, a tuple with one tensor for each dimension.

    >>> where(tensor([True, False]), tensor([1., 2.]), 0.)
    tensor([1., 0.])
    """
    need_tensor("where", condition, "condition")
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    mask = _mask(condition)
    a, b = _branches(input, other, condition)
    broadcast_shapes(mask._shape, a._shape, b._shape)
    result = applyn(WHERE, (mask, a, b))
    return result if out is None else write_out(out, result, "where")


def _mask(condition: Any) -> Any:
    if condition._dtype is uint8:
        warn_user(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future version of "
            "PyTorch. Use a boolean condition instead.",
        )
        return condition != 0
    if condition._dtype.category != BOOL:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {kind_name(condition._dtype)}; use "
            "condition.bool() or a comparison"
        )
    return condition


def _branches(input: Any, other: Any, condition: Any) -> tuple[Any, Any]:
    if isinstance(input, TensorBase) or isinstance(other, TensorBase):
        return tensors_of("where", input, other)
    for name, value in (("input", input), ("other", other)):
        if not isinstance(value, Number):
            raise TypeError(f"where(): argument '{name}' must be Tensor or Number, not {type(value).__name__}")
    of = with_scalar(scalar_dtype(input), other)
    return constant(input, of, condition._device), constant(other, of, condition._device)


def _where_method(self: Any, condition: Any, other: Any) -> Any:
    """`self` where `condition` holds, else `other`."""
    return where(condition, self, other)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`input` with `value` (a number or a zero-dim tensor) where the bool `mask` is true; both broadcast."""
    _check_fill("masked_fill", input, mask, value)
    if isinstance(value, TensorBase):
        return applyn(FILL_TENSOR, (input, mask, value))
    return apply2(MaskedFill(value), input, mask)


def masked_fill_(self: Any, mask: Any, value: Any) -> Any:
    """Write `value` where the bool `mask` is true."""
    _check_fill("masked_fill_", self, mask, value)
    if isinstance(value, TensorBase):
        return apply_inplace(FILL_TENSOR, self, (mask, value))
    return apply_inplace(MaskedFill(value), self, (mask,))


def _check_fill(operation: str, input: Any, mask: Any, value: Any) -> None:
    need_tensor(operation, input)
    need_tensor(operation, mask, "mask")
    if mask._dtype.category != BOOL:
        raise RuntimeError(f"{operation} only supports boolean masks, but got mask with dtype {mask._dtype!r}; compare first, as in x > 0")
    broadcast_shapes(input._shape, mask._shape)
    if isinstance(value, TensorBase):
        if value._shape:
            raise RuntimeError(
                f"{operation} only supports a 0-dimensional value tensor, but got tensor with {len(value._shape)} dimension(s)."
            )
    elif not isinstance(value, Number):
        raise TypeError(f"{operation}(): argument 'value' must be Tensor or Number, not {type(value).__name__}")
    elif isinstance(value, complex) and input._dtype.category != COMPLEX:
        raise RuntimeError(f"value cannot be converted to type {kind_name(input._dtype).lower()} without overflow: it is complex")


def _clamp_call(operation: str, input: Any, low: Any, high: Any) -> tuple[Primitive, tuple[Any, ...]]:
    """The operation and its tensors for one of the clamp functions."""
    need_tensor(operation, input)
    if input._dtype.category == COMPLEX:
        raise NotImplementedError(f"{operation} is not supported for complex types; clamp .real and .imag, or .abs()")
    bounds = [b for b in (low, high) if b is not None]
    if not bounds:
        raise RuntimeError(f"torch.{operation}: At least one of 'min' or 'max' must not be None")
    if any(isinstance(b, TensorBase) for b in bounds):
        if not all(isinstance(b, TensorBase) for b in bounds):
            raise TypeError(f"{operation}(): min and max must both be Tensors or both be Numbers")
        broadcast_shapes(input._shape, *[b._shape for b in bounds])
        if len(bounds) == 2 and all(b._dtype.category == BOOL for b in bounds):
            refuse("clamp_cpu", input, "bool")
        cls = {"clamp_min": ClampMinTensor, "clamp_max": ClampMaxTensor}.get(operation, ClampTensor)
        return cls(low is not None, high is not None), (input, *bounds)
    for bound in bounds:
        if not isinstance(bound, Number):
            raise TypeError(f"{operation}(): a bound must be Tensor or Number, not {type(bound).__name__}")
        of = with_scalar(input._dtype, bound)
        if of is not input._dtype:
            input = input.to(of)
    return {"clamp_min": ClampMin, "clamp_max": ClampMax}.get(operation, Clamp)(low, high), (input,)


def _clamp(operation: str, input: Any, low: Any, high: Any, out: Any) -> Any:
    op, tensors = _clamp_call(operation, input, low, high)
    result = apply1(op, tensors[0]) if len(tensors) == 1 else applyn(op, tensors)
    return result if out is None else write_out(out, result, operation)


def _clamp_inplace(operation: str, self: Any, low: Any, high: Any) -> Any:
    op, tensors = _clamp_call(operation, self, low, high)
    if tensors[0]._dtype is not self._dtype:
        raise RuntimeError(f"result type {kind_name(tensors[0]._dtype)} can't be cast to the desired output type {kind_name(self._dtype)}")
    return apply_inplace(op, self, tensors[1:])


def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """Every element brought into [min, max]; bounds are numbers, or tensors that broadcast. One may be left out.

    Integers clamped to floating bounds become floating. NaN stays NaN.
    """
    return _clamp("clamp", input, min, max, out)


def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """`max(input, min)`, element by element."""
    return _clamp("clamp_min", input, min, None, out)


def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """`min(input, max)`, element by element."""
    return _clamp("clamp_max", input, None, max, out)


def clamp_(self: Any, min: Any = None, max: Any = None) -> Any:
    """`clamp` in place."""
    return _clamp_inplace("clamp", self, min, max)


def clamp_min_(self: Any, min: Any) -> Any:
    """`clamp_min` in place."""
    return _clamp_inplace("clamp_min", self, min, None)


def clamp_max_(self: Any, max: Any) -> Any:
    """`clamp_max` in place."""
    return _clamp_inplace("clamp_max", self, None, max)


def maximum(input: Any, other: Any, *, out: Any = None) -> Any:
    """The larger of two tensors, element by element; NaN wins."""
    return _extreme(MAXIMUM, input, other, out)


def minimum(input: Any, other: Any, *, out: Any = None) -> Any:
    """The smaller of two tensors, element by element; NaN wins."""
    return _extreme(MINIMUM, input, other, out)


def fmax(input: Any, other: Any, *, out: Any = None) -> Any:
    """The larger of two tensors, element by element; NaN only where both are."""
    return _extreme(FMAX, input, other, out)


def fmin(input: Any, other: Any, *, out: Any = None) -> Any:
    """The smaller of two tensors, element by element; NaN only where both are."""
    return _extreme(FMIN, input, other, out)


def _extreme(op: Extreme, input: Any, other: Any, out: Any) -> Any:
    need_tensor(op.name, input)
    need_tensor(op.name, other, "other")
    return binary(op, input, other, out)


serve(Where, where)
serve(MaskedFill, masked_fill)
serve(MaskedFillTensor, masked_fill)
serve(Clamp, clamp)
serve(Maximum, maximum)
serve(Minimum, minimum)
serve(Fmax, fmax)
serve(Fmin, fmin)
clip = clamp
methods(
    masked_fill, masked_fill_, clamp, clamp_min, clamp_max, clamp_, clamp_min_, clamp_max_, maximum, minimum, fmax, fmin,
    where=_where_method, clip=clamp, clip_=clamp_,
)  # fmt: skip
