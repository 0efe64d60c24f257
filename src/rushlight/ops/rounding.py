"""Rounding, signs and the parts of a floating-point number."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import COMPLEX, FLOATING
from rushlight.base.return_types import frexp as frexp_result
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON_FLOAT, Primitive, apply1, apply_multi
from rushlight.core.table import fill
from rushlight.ops.checks import elementwise, float_operands, need_floating, need_real, need_tensor, not_implemented
from rushlight.ops.common import (
    Binary,
    Flat,
    Number,
    RealBinary,
    Unary,
    Undifferentiable,
    binary,
    check_broadcast,
    inplace_binary,
    methods,
    serve,
    tensors_of,
    unary,
    write_out,
)

__all__ = [
    "abs", "absolute", "ceil", "copysign", "fix", "floor", "frac", "frexp", "heaviside", "ldexp", "nan_to_num", "nextafter", "round",
    "sgn", "sign", "trunc",
]  # fmt: skip


class Rounding(Flat):
    """A rounding to whole numbers: no bool, no complex numbers."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        self._check(arrays[0].dtype)
        return getattr(k, self.name)(arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        self._check(arrays[0].dtype)
        return getattr(k, self.name)(arrays[0], out=out)

    def _check(self, of: Any) -> None:
        if of.kind in "bc":
            raise NotImplementedError(f"\"{self.name}_vml_cpu\" not implemented for {of.name}: {self.name} takes real numbers only")


class Floor(Rounding):
    __slots__ = ()
    name = "floor"


class Ceil(Rounding):
    __slots__ = ()
    name = "ceil"


class Trunc(Rounding):
    __slots__ = ()
    name = "trunc"


class Round(Rounding):
    __slots__ = ()
    name = "round"


class RoundDecimals(Flat):
    """Rounding at a decimal place."""

    __slots__ = ("decimals",)
    name = "round"
    node_name = "RoundBackward1"

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.round(arrays[0], self.decimals)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.round(arrays[0], self.decimals, out=out)


class Frac(Unary):
    """x - trunc(x)."""

    __slots__ = ()
    name = "frac"
    promotion = 0

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0]


class Sign(Flat):
    __slots__ = ()
    name = "sign"


class Sgn(Unary):
    """sign for real numbers, x / |x| for complex ones."""

    __slots__ = ()
    name = "sgn"
    promotion = 0

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output) if inputs[0]._dtype.category == COMPLEX else ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        if not saved:
            return g.new_zeros(g._shape)
        x, direction = saved
        modulus = x.abs()
        # Only the part of the cotangent at right angles to x turns the result.
        along = (g * direction.conj()).real * direction
        return ((g - along) / modulus).masked_fill(modulus == 0, 0)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return self.vjp(saved, tangents[0], (True,))


class Abs(Unary):
    """The absolute value; of complex numbers the modulus."""

    __slots__ = ()
    name = "abs"
    promotion = 0
    elementwise = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "b":
            raise NotImplementedError("\"abs_cpu\" not implemented for 'Bool': a mask is never negative")
        return k.abs(arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "c":
            raise RuntimeError("In-place abs is not supported for complex tensors: the result is real. Use x = x.abs()")
        return self.forward(k, *arrays)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * saved[0].sgn()

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        found = tangents[0] * saved[0].sgn().conj()
        return found.real


class NanToNum(Unary):
    """Numbers in place of NaN and infinities."""

    __slots__ = ("nan", "posinf", "neginf")
    name = "nan_to_num"
    promotion = 0

    def __init__(self, nan: float | None, posinf: float | None, neginf: float | None) -> None:
        self.nan = nan
        self.posinf = posinf
        self.neginf = neginf

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.nan_to_num(arrays[0], self.nan, self.posinf, self.neginf)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.nan_to_num(arrays[0], self.nan, self.posinf, self.neginf, out=out)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.masked_fill(~saved[0].isfinite(), 0)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0].masked_fill(~saved[0].isfinite(), 0)


class Copysign(RealBinary):
    """|a| with the sign of b."""

    __slots__ = ()
    name = "copysign"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, result = saved
        ga = g * (a.sign() * result.sign()) if needs[0] else None
        return ga, g.new_zeros(g._shape) if needs[1] else None


class CopysignNumber(Copysign):
    """What `copysign(x, number)` records."""

    __slots__ = ()
    node_name = "CopysignBackward1"


class Ldexp(Binary):
    """a * 2**b."""

    __slots__ = ()
    name = "ldexp"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1] if needs[0] else None, output if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        b, result = saved
        return g * b.exp2() if needs[0] else None, g * (result * math.log(2)) if needs[1] else None


class Frexp(Primitive):
    """Mantissa in [0.5, 1) and exponent: x = mantissa * 2**exponent."""

    __slots__ = ()
    name = "frexp"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.frexp(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return None if g[0] is None else g[0] / saved[0].exp2()


class Nextafter(RealBinary):
    """The number next to a towards b; its distance from a counts as constant."""

    __slots__ = ()
    name = "nextafter"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        same = a == b
        return g.masked_fill(same, 0) if needs[0] else None, g.masked_fill(~same, 0) if needs[1] else None


class Heaviside(Undifferentiable):
    """0 below zero, 1 above, b at zero."""

    __slots__ = ()
    name = "heaviside"
    node_name = "NotImplemented"


floor = elementwise(Floor(), "Rounded towards minus infinity; integers as they are.")
ceil = elementwise(Ceil(), "Rounded towards plus infinity; integers as they are.")
trunc = elementwise(Trunc(), "Rounded towards zero; integers as they are.", "fix")
fix = trunc
ROUND = Round()
FRAC = Frac()
SIGN = Sign()
ABS = Abs()
COPYSIGN, COPYSIGN_NUMBER = Copysign(), CopysignNumber()
LDEXP = Ldexp()
FREXP = Frexp()
NEXTAFTER = Nextafter()
HEAVISIDE = Heaviside()
sgn = elementwise(Sgn(), "The sign of real numbers (0 at 0), `x / |x|` of complex ones.")
abs = elementwise(ABS, "The absolute value; of complex numbers the modulus, in the real dtype.", "absolute")
absolute = abs


def _rounding(input: Any, decimals: int) -> Unary:
    if decimals == 0:
        return ROUND
    if input._dtype.category != FLOATING:
        raise not_implemented("round_cpu", input._dtype)
    return RoundDecimals(decimals)


def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """Rounded half to even at `decimals` places behind (negative: before) the decimal point."""
    need_tensor("round", input)
    return unary(_rounding(input, decimals), input, out)


def round_(self: Any, *, decimals: int = 0) -> Any:
    """`round` in place."""
    return apply_inplace(_rounding(self, decimals), self)


def frac(input: Any, *, out: Any = None) -> Any:
    """The part behind the decimal point, with the sign of `input`."""
    need_tensor("frac", input)
    need_floating("frac_cpu", input)
    need_real("frac_cpu", input)
    return unary(FRAC, input, out)


def frac_(self: Any) -> Any:
    """`frac` in place."""
    need_floating("frac_cpu", self)
    need_real("frac_cpu", self)
    return apply_inplace(FRAC, self)


def _check_sign(input: Any) -> None:
    need_tensor("sign", input)
    if input._dtype.category == COMPLEX:
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead."
        )


def sign(input: Any, *, out: Any = None) -> Any:
    """-1, 0 or 1; complex numbers have `sgn`."""
    _check_sign(input)
    return unary(SIGN, input, out)


def sign_(self: Any) -> Any:
    """`sign` in place."""
    _check_sign(self)
    return apply_inplace(SIGN, self)


def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None, *,
               out: Any = None) -> Any:  # fmt: skip
    """NaN replaced by `nan` (0), infinities by `posinf` and `neginf` (the dtype's largest and smallest numbers)."""
    return unary(NanToNum(nan, posinf, neginf), input, out)


def nan_to_num_(self: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """`nan_to_num` in place."""
    return apply_inplace(NanToNum(nan, posinf, neginf), self)


def copysign(input: Any, other: Any, *, out: Any = None) -> Any:
    """The magnitudes of `input` with the signs of `other` (a tensor or a number)."""
    need_tensor("copysign", input)
    a, b = float_operands("copysign", input, other)
    return binary(COPYSIGN_NUMBER if isinstance(other, Number) else COPYSIGN, a, b, out)


def ldexp(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input * 2**other`."""
    need_tensor("ldexp", input)
    need_tensor("ldexp", other, "other")
    return binary(LDEXP, input, other, out)


def frexp(input: Any, *, out: Any = None) -> Any:
    """Mantissas in [0.5, 1) and int32 exponents, `input = mantissa * 2**exponent`, as a named tuple."""
    need_tensor("frexp", input)
    if input._dtype.category != FLOATING:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, got {input._dtype!r}")
    found = apply_multi(FREXP, (input,))
    if out is not None:
        found = tuple(write_out(o, f, "frexp") for o, f in zip(out, found, strict=True))
    return frexp_result(found)


def nextafter(input: Any, other: Any, *, out: Any = None) -> Any:
    """The next number of the dtype after `input` towards `other`."""
    need_tensor("nextafter", input)
    need_tensor("nextafter", other, "other")
    a, b = input, other
    need_floating("nextafter_cpu", a if a._dtype.category > b._dtype.category else b)
    return binary(NEXTAFTER, a, b, out)


def nextafter_(self: Any, other: Any) -> Any:
    """`nextafter` in place."""
    a, b = tensors_of("nextafter_", self, other)
    need_floating("nextafter_cpu", a if a._dtype.category > b._dtype.category else b)
    return apply_inplace(NEXTAFTER, self, (b,))


def _check_heaviside(input: Any, values: Any) -> None:
    need_tensor("heaviside", input)
    need_tensor("heaviside", values, "values")
    if input._dtype is not values._dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


def heaviside_(self: Any, values: Any) -> Any:
    """`heaviside` in place."""
    _check_heaviside(self, values)
    check_broadcast(self, values)
    return apply_inplace(HEAVISIDE, self, (values,))


def heaviside(input: Any, values: Any, *, out: Any = None) -> Any:
    """0 where `input` is negative, 1 where positive, `values` where zero. Both must have one dtype."""
    _check_heaviside(input, values)
    return binary(HEAVISIDE, input, values, out)


def _absolute(a: Any) -> Any:
    return apply1(ABS, a)


serve(Round, round)
serve(RoundDecimals, round)
serve(Frac, frac)
serve(Sign, sign)
serve(NanToNum, nan_to_num)
serve(Copysign, copysign)
serve(Ldexp, ldexp)
serve(Frexp, frexp)
serve(Nextafter, nextafter)
serve(Heaviside, heaviside)
methods(
    round, round_, frac, frac_, sign, sign_, nan_to_num, nan_to_num_, copysign, ldexp, frexp, nextafter, heaviside,
    copysign_=inplace_binary(COPYSIGN), ldexp_=inplace_binary(LDEXP), nextafter_=nextafter_,
    heaviside_=heaviside_,
)  # fmt: skip
fill(abs=_absolute)
