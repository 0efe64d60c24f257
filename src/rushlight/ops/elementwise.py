"""Exponentials, logarithms, trigonometric and hyperbolic functions, element by element."""

from __future__ import annotations

import math
from typing import Any

from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON_FLOAT, apply2
from rushlight.ops.checks import elementwise, need_floating, need_tensor
from rushlight.ops.common import (
    Backward,
    Binary,
    RealBinary,
    RealUnary,
    Unary,
    binary,
    check_broadcast,
    inplace_binary,
    methods,
    serve,
)

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2",
    "atanh", "cos", "cosh", "deg2rad", "exp", "exp2", "expm1", "hypot", "log", "log10", "log1p", "log2", "logaddexp",
    "logaddexp2", "rad2deg", "sigmoid", "sin", "sinc", "sinh", "tan", "tanh",
]  # fmt: skip

LN2 = math.log(2)
LN10 = math.log(10)


class TanhBackward(Backward):
    """Of the cotangent and the output."""

    __slots__ = ()
    name = "tanh_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        return x * -2


class SigmoidBackward(Backward):
    """Of the cotangent and the output."""

    __slots__ = ()
    name = "sigmoid_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        return 1 - x * 2


class Exp(Unary):
    __slots__ = ()
    name = "exp"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved


class Exp2(Unary):
    __slots__ = ()
    name = "exp2"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved * LN2


class Expm1(Unary):
    __slots__ = ()
    name = "expm1"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved + 1


class Log(Unary):
    __slots__ = ()
    name = "log"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g / saved[0].conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] / saved[0]


class Log2(Unary):
    __slots__ = ()
    name = "log2"

    def slope(self, saved: Any) -> Any:
        return (saved * LN2).reciprocal()


class Log10(Unary):
    __slots__ = ()
    name = "log10"

    def slope(self, saved: Any) -> Any:
        return (saved * LN10).reciprocal()


class Log1p(Unary):
    __slots__ = ()
    name = "log1p"
    node_name = "Log1PBackward0"

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g / (saved[0] + 1).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] / (saved[0] + 1)


class Sin(Unary):
    __slots__ = ()
    name = "sin"

    def slope(self, saved: Any) -> Any:
        return saved.cos()


class Cos(Unary):
    __slots__ = ()
    name = "cos"

    def slope(self, saved: Any) -> Any:
        return -saved.sin()


class Tan(Unary):
    __slots__ = ()
    name = "tan"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved * saved + 1


class Asin(Unary):
    __slots__ = ()
    name = "asin"

    def slope(self, saved: Any) -> Any:
        return (1 - saved * saved).rsqrt()


class Acos(Unary):
    __slots__ = ()
    name = "acos"

    def slope(self, saved: Any) -> Any:
        return -(1 - saved * saved).rsqrt()


class Atan(Unary):
    __slots__ = ()
    name = "atan"

    def slope(self, saved: Any) -> Any:
        return (saved * saved + 1).reciprocal()


class Sinh(Unary):
    __slots__ = ()
    name = "sinh"

    def slope(self, saved: Any) -> Any:
        return saved.cosh()


class Cosh(Unary):
    __slots__ = ()
    name = "cosh"

    def slope(self, saved: Any) -> Any:
        return saved.sinh()


class Tanh(Unary):
    __slots__ = ()
    name = "tanh"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return 1 - saved * saved

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        y = saved[0]
        return g * self.slope(y).conj() if y._dtype.is_complex else apply2(TANH_BACKWARD, g, y)


class Asinh(Unary):
    __slots__ = ()
    name = "asinh"

    def slope(self, saved: Any) -> Any:
        return (saved * saved + 1).rsqrt()


class Acosh(Unary):
    __slots__ = ()
    name = "acosh"

    def slope(self, saved: Any) -> Any:
        if not saved._dtype.is_complex:
            return (saved * saved - 1).rsqrt()
        # Two roots, not one of the product: right on the whole complex plane.
        return (saved - 1).rsqrt() * (saved + 1).rsqrt()


class Atanh(Unary):
    __slots__ = ()
    name = "atanh"

    def slope(self, saved: Any) -> Any:
        return (1 - saved * saved).reciprocal()


class Sigmoid(Unary):
    __slots__ = ()
    name = "sigmoid"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return (1 - saved) * saved

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        y = saved[0]
        return g * self.slope(y).conj() if y._dtype.is_complex else apply2(SIGMOID_BACKWARD, g, y)


class Sinc(Unary):
    """sin(pi x) / (pi x)."""

    __slots__ = ()
    name = "sinc"

    def slope(self, saved: Any) -> Any:
        angle = saved * math.pi
        return ((angle * angle.cos() - angle.sin()) / (angle * saved)).masked_fill(saved == 0, 0)


class Deg2Rad(RealUnary):
    __slots__ = ()
    name = "deg2rad"
    node_name = "Deg2RadBackward0"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (None,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * (math.pi / 180)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] * (math.pi / 180)


class Rad2Deg(RealUnary):
    __slots__ = ()
    name = "rad2deg"
    node_name = "Rad2DegBackward0"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (None,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * (180 / math.pi)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] * (180 / math.pi)


class Atan2(RealBinary):
    """The angle of the point (b, a)."""

    __slots__ = ()
    name = "atan2"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        # At the origin, where the angle is undefined, torch's derivative is 0.
        share = g * (a * a + b * b).reciprocal().masked_fill((a == 0) & (b == 0), 0)
        return share * b if needs[0] else None, share * -a if needs[1] else None


class Hypot(RealBinary):
    """sqrt(a**2 + b**2)."""

    __slots__ = ()
    name = "hypot"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (*inputs, output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, length = saved
        return g * (a / length) if needs[0] else None, g * (b / length) if needs[1] else None


class Logaddexp(Binary):
    """log(exp(a) + exp(b))."""

    __slots__ = ()
    name = "logaddexp"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return (
            g / ((b - a).exp() + 1).conj() if needs[0] else None,
            g / ((a - b).exp() + 1).conj() if needs[1] else None,
        )


class Logaddexp2(RealBinary):
    """log2(2**a + 2**b)."""

    __slots__ = ()
    name = "logaddexp2"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return g / ((b - a).exp2() + 1) if needs[0] else None, g / ((a - b).exp2() + 1) if needs[1] else None


TANH_BACKWARD = TanhBackward()
SIGMOID_BACKWARD = SigmoidBackward()

exp = elementwise(Exp(), "e to the power of each element.")
exp2 = elementwise(Exp2(), "2 to the power of each element.")
expm1 = elementwise(Expm1(), "`exp(x) - 1`, accurate for small x.")
log = elementwise(Log(), "The natural logarithm; NaN below zero, -inf at zero.")
log2 = elementwise(Log2(), "The logarithm to base 2.")
log10 = elementwise(Log10(), "The logarithm to base 10.")
log1p = elementwise(Log1p(), "`log(1 + x)`, accurate for small x.")
sin = elementwise(Sin(), "The sine of each element (radians).")
cos = elementwise(Cos(), "The cosine of each element (radians).")
tan = elementwise(Tan(), "The tangent of each element (radians).")
asin = elementwise(Asin(), "The angle in [-pi/2, pi/2] whose sine each element is; NaN outside [-1, 1].", "arcsin")
acos = elementwise(Acos(), "The angle in [0, pi] whose cosine each element is; NaN outside [-1, 1].", "arccos")
atan = elementwise(Atan(), "The angle in (-pi/2, pi/2) whose tangent each element is.", "arctan")
sinh = elementwise(Sinh(), "The hyperbolic sine.")
cosh = elementwise(Cosh(), "The hyperbolic cosine.")
tanh = elementwise(Tanh(), "The hyperbolic tangent.")
asinh = elementwise(Asinh(), "The inverse hyperbolic sine.", "arcsinh")
acosh = elementwise(Acosh(), "The inverse hyperbolic cosine; NaN below 1.", "arccosh")
atanh = elementwise(Atanh(), "The inverse hyperbolic tangent; NaN outside [-1, 1].", "arctanh")
sigmoid = elementwise(Sigmoid(), "The logistic function `1 / (1 + exp(-x))`.")
sinc = elementwise(Sinc(), "`sin(pi x) / (pi x)`, and 1 at 0.")
deg2rad = elementwise(Deg2Rad(), "Degrees to radians.")
rad2deg = elementwise(Rad2Deg(), "Radians to degrees.")

ATAN2 = Atan2()
HYPOT = Hypot()
LOGADDEXP = Logaddexp()
LOGADDEXP2 = Logaddexp2()


def atan2(input: Any, other: Any, *, out: Any = None) -> Any:
    """The angle in [-pi, pi] of the point with y = `input` and x = `other`, signs and quadrant respected."""
    need_tensor("atan2", input)
    need_tensor("atan2", other, "other")
    return binary(ATAN2, input, other, out)


def _need_floats(operation: str, a: Any, b: Any) -> None:
    need_tensor(operation, a)
    need_tensor(operation, b, "other")
    need_floating(f"{operation}_cpu", a if a._dtype.category > b._dtype.category else b)


def hypot(input: Any, other: Any, *, out: Any = None) -> Any:
    """`sqrt(input**2 + other**2)` without overflow."""
    _need_floats("hypot", input, other)
    return binary(HYPOT, input, other, out)


def hypot_(self: Any, other: Any) -> Any:
    """`hypot` in place."""
    _need_floats("hypot", self, other)
    check_broadcast(self, other)
    return apply_inplace(HYPOT, self, (other,))


def logaddexp(input: Any, other: Any, *, out: Any = None) -> Any:
    """`log(exp(input) + exp(other))` without overflow."""
    _need_floats("logaddexp", input, other)
    return binary(LOGADDEXP, input, other, out)


def logaddexp2(input: Any, other: Any, *, out: Any = None) -> Any:
    """`log2(2**input + 2**other)` without overflow."""
    _need_floats("logaddexp2", input, other)
    return binary(LOGADDEXP2, input, other, out)


serve(Atan2, atan2)
serve(Hypot, hypot)
serve(Logaddexp, logaddexp)
serve(Logaddexp2, logaddexp2)
arcsin, arccos, arctan, arcsinh, arccosh, arctanh, arctan2 = asin, acos, atan, asinh, acosh, atanh, atan2
methods(
    atan2, hypot, logaddexp, logaddexp2,
    arctan2=atan2, atan2_=inplace_binary(ATAN2), arctan2_=inplace_binary(ATAN2), hypot_=hypot_,
)  # fmt: skip

