"""The operations behind sums, products, quotients and remainders; ops/arithmetic.py has their public functions."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, FLOATING, FROM_NUMPY
from rushlight.core.primitive import COMMON, COMMON_FLOAT, apply1, apply2
from rushlight.core.table import Operator
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import float_operand, not_implemented
from rushlight.ops.common import Binary, BinaryOperator, Unary, Undifferentiable, conj, operand


class Add(Binary):
    """a + alpha * b."""

    __slots__ = ("alpha",)
    name = "add"
    elementwise = True
    linear = True

    def __init__(self, alpha: Any = 1) -> None:
        self.alpha = alpha

    def forward(self, k: Any, *arrays: Any) -> Any:
        a, b = arrays[0], arrays[1]
        return k.add(a, b) if self.alpha == 1 else k.add(a, k.mul(b, k.scalar(self.alpha, b.dtype)))

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return k.add(out, b if self.alpha == 1 else k.mul(b, k.scalar(self.alpha, b.dtype)), out=out)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g, g if self.alpha == 1 or not needs[1] else g * _conjugate(self.alpha)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)


class Sub(Binary):
    """a - alpha * b."""

    __slots__ = ("alpha",)
    name = "sub"
    elementwise = True
    linear = True

    def __init__(self, alpha: Any = 1) -> None:
        self.alpha = alpha

    def forward(self, k: Any, *arrays: Any) -> Any:
        a, b = arrays[0], arrays[1]
        return k.sub(a, b) if self.alpha == 1 else k.sub(a, k.mul(b, k.scalar(self.alpha, b.dtype)))

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return k.sub(out, b if self.alpha == 1 else k.mul(b, k.scalar(self.alpha, b.dtype)), out=out)

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

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)

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
    elementwise = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.mul(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g * conj(b) if needs[0] else None, g * conj(a) if needs[1] else None


class Div(Binary):
    """a / b, the true quotient."""

    __slots__ = ()
    name = "div"
    elementwise = True
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        ga = g / conj(b) if needs[0] else None
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

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)

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

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs if needs[1] else (None, None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g, -g * apply2(DIV_MODES[self.rounding_mode], a, b) if needs[1] else None


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


def negated(input: TensorBase) -> Any:
    """`-input`, which bool tensors refuse."""
    if input._dtype.category == BOOL:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the "
            "`~` or `logical_not()` operator instead."
        )
    return apply1(NEG, input)


def no_bool(a: Any, b: Any) -> None:
    """torch's errors for the difference of masks."""
    masks = [is_mask(a), is_mask(b)]
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


def is_mask(value: Any) -> bool:
    return value._dtype.category == BOOL if isinstance(value, TensorBase) else isinstance(value, bool)


class SubOperator(Operator):
    """A subtraction operator, which refuses masks."""

    __slots__ = ("operator",)

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    def run(self, a: TensorBase, other: Any) -> Any:
        if a._dtype.category == BOOL or (type(other) is not float and is_mask(other)):
            if operand(other, a) is NotImplemented:
                return NotImplemented
            no_bool(a, other)
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
