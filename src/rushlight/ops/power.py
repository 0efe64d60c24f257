"""Powers, roots and reciprocals."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import COMPLEX, FLOATING, INTEGER, complex128, dtype, float64, with_scalar
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import apply1
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import elementwise, need_tensor
from rushlight.ops.common import Binary, Number, Unary, binary, check_broadcast, methods, scalar_array, serve, write_out

__all__ = ["float_power", "pow", "reciprocal", "rsqrt", "sqrt", "square"]


class Reciprocal(Unary):
    """1 / x."""

    __slots__ = ()
    name = "reciprocal"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return -(saved * saved)


class Sqrt(Unary):
    __slots__ = ()
    name = "sqrt"
    saves_output = True

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g / (saved[0] * 2).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] / (saved[0] * 2)


class Rsqrt(Unary):
    """1 / sqrt(x)."""

    __slots__ = ()
    name = "rsqrt"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return saved * saved * saved * -0.5


class PowNumber(Unary):
    """x to the power of a Python number."""

    __slots__ = ("exponent",)
    name = "pow"
    node_name = "PowBackward0"
    promotion = 0

    def __init__(self, exponent: Any) -> None:
        self.exponent = exponent

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, exponent = arrays[0], self.exponent
        if exponent == 2:
            return k.square(x)
        return k.pow(x, k.scalar(exponent, x.dtype)) if exponent != 1 else k.copy(x)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.square(arrays[0], out=out) if self.exponent == 2 else self.forward(k, *arrays)

    def slope(self, saved: Any) -> Any:
        exponent = self.exponent
        if exponent == 2:
            return saved * 2
        if exponent == 0:
            return saved.new_zeros(saved._shape)
        return saved.new_ones(saved._shape) if exponent == 1 else apply1(PowNumber(exponent - 1), saved) * exponent


class Pow(Binary):
    """a to the power b."""

    __slots__ = ()
    name = "pow"
    node_name = "PowBackward1"

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "b":
            raise NotImplementedError("\"pow\" not implemented for 'Bool': convert the masks first, for example with x.int()")
        return k.pow(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], inputs[1], output if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, power = saved
        ga = gb = None
        if needs[0]:
            ga = (g * (b * a ** (b - 1)).conj()).masked_fill(b == 0, 0)
        if needs[1]:
            # 0 ** b is constantly 0 for b > 0; log(0) would make it NaN.
            flat = (a == 0) & (b.real >= 0)
            gb = g * (power * a.masked_fill(flat, 1).log()).conj()
        return ga, gb


class PowOfNumber(Unary):
    """A Python number to the power x."""

    __slots__ = ("base",)
    name = "pow"
    node_name = "PowBackward2"
    promotion = 0
    saves_output = True

    def __init__(self, base: Any) -> None:
        self.base = base

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.pow(k.scalar(self.base, arrays[0].dtype), arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output, inputs[0] if self.base == 0 else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * self._slope(*saved).conj()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] * self._slope(*saved)

    def _slope(self, power: Any, x: Any) -> Any:
        of: dtype = power._dtype
        log = apply1(_LOG_OF, power.new_tensor(self.base, dtype=of)) if self.base != 0 else None
        if log is None:
            return (power * float("-inf")).masked_fill(x.real >= 0, 0)
        return power * log

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return pow, (self.base, tensors[0]), {}


