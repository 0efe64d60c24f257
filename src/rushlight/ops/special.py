"""Special functions: error, gamma, Bessel, zeta and the normal distribution's."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import COMMON_FLOAT, apply1
from rushlight.ops.checks import elementwise, float_operands, need_tensor, refuse
from rushlight.ops.common import (
    Number,
    RealBinary,
    RealUnary,
    Unary,
    binary,
    inplace_binary,
    methods,
    serve,
    unary,
    write_out,
)

__all__ = [
    "digamma", "erf", "erfc", "erfinv", "i0", "igamma", "igammac", "lgamma", "logit", "mvlgamma", "polygamma", "xlogy",
]  # fmt: skip

TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


class Erf(RealUnary):
    __slots__ = ()
    name = "erf"

    def slope(self, saved: Any) -> Any:
        return (-(saved * saved)).exp() * TWO_OVER_SQRT_PI


class Erfc(RealUnary):
    __slots__ = ()
    name = "erfc"

    def slope(self, saved: Any) -> Any:
        return (-(saved * saved)).exp() * -TWO_OVER_SQRT_PI


class Erfinv(RealUnary):
    __slots__ = ()
    name = "erfinv"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return (saved * saved).exp() * (1 / TWO_OVER_SQRT_PI)


class Erfcx(RealUnary):
    """exp(x**2) erfc(x)."""

    __slots__ = ()
    name = "erfcx"
    node_name = "SpecialErfcxBackward0"

    def slope(self, saved: Any) -> Any:
        return saved * 2 * apply1(self, saved) - TWO_OVER_SQRT_PI


class Lgamma(RealUnary):
    __slots__ = ()
    name = "lgamma"

    def slope(self, saved: Any) -> Any:
        return saved.digamma()


class Digamma(RealUnary):
    __slots__ = ()
    name = "digamma"

    def slope(self, saved: Any) -> Any:
        return apply1(Polygamma(1), saved)


class Polygamma(RealUnary):
    """The n-th derivative of digamma."""

    __slots__ = ("n",)
    name = "polygamma"

    def __init__(self, n: int) -> None:
        self.n = n

    def forward(self, k: Any, *arrays: Any) -> Any:
        self.refuse_complex(arrays[0])
        return k.polygamma(self.n, arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.polygamma(self.n, arrays[0], out=out)

    def slope(self, saved: Any) -> Any:
        return apply1(Polygamma(self.n + 1), saved)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return polygamma, (self.n, tensors[0]), {}


class I0(RealUnary):
    __slots__ = ()
    name = "i0"

    def slope(self, saved: Any) -> Any:
        return apply1(I1_, saved)


class I0e(RealUnary):
    """exp(-|x|) i0(x)."""

    __slots__ = ()
    name = "i0e"
    node_name = "SpecialI0EBackward0"

    def slope(self, saved: Any) -> Any:
        return apply1(I1E, saved) - saved.sgn() * apply1(self, saved)


class I1(RealUnary):
    __slots__ = ()
    name = "i1"
    node_name = "SpecialI1Backward0"

    def slope(self, saved: Any) -> Any:
        # i0 - i1 / x, whose limit at 0 is 1/2.
        zero = saved == 0
        return (apply1(I0_, saved) - apply1(self, saved) / saved.masked_fill(zero, 1)).masked_fill(zero, 0.5)


class I1e(RealUnary):
    """exp(-|x|) i1(x)."""

    __slots__ = ()
    name = "i1e"
    node_name = "SpecialI1EBackward0"

    def slope(self, saved: Any) -> Any:
        zero = saved == 0
        inverse = saved.masked_fill(zero, 1).reciprocal()
        return (apply1(I0E, saved) - apply1(self, saved) * (saved.sgn() + inverse)).masked_fill(zero, 0.5)


class Logit(RealUnary):
    """log(x / (1 - x)), of x clamped to [eps, 1 - eps] when eps is given."""

    __slots__ = ("eps",)
    name = "logit"

    def __init__(self, eps: float | None = None) -> None:
        self.eps = eps

    def forward(self, k: Any, *arrays: Any) -> Any:
        self.refuse_complex(arrays[0])
        return k.logit(arrays[0], self.eps)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.logit(arrays[0], self.eps, out=out)

    def slope(self, saved: Any) -> Any:
        found = (saved * (1 - saved)).reciprocal()
        if self.eps is None:
            return found.masked_fill((saved < 0) | (saved > 1), math.nan)
        return found.masked_fill((saved < self.eps) | (saved > 1 - self.eps), 0)


class Entr(RealUnary):
    """-x log(x)."""

    __slots__ = ()
    name = "entr"
    node_name = "SpecialEntrBackward0"

    def slope(self, saved: Any) -> Any:
        return -saved.log() - 1


class LogNdtr(RealUnary):
    """The logarithm of the normal distribution function."""

    __slots__ = ()
    name = "log_ndtr"
    node_name = "SpecialLogNdtrBackward0"

    def slope(self, saved: Any) -> Any:
        return math.sqrt(2 / math.pi) / apply1(ERFCX, saved * -math.sqrt(0.5))


class Ndtri(RealUnary):
    """The inverse of the normal distribution function."""

    __slots__ = ()
    name = "ndtri"
    node_name = "SpecialNdtriBackward0"
    saves_output = True

    def slope(self, saved: Any) -> Any:
        return (saved * saved * 0.5).exp() * math.sqrt(2 * math.pi)


class Xlogy(RealBinary):
    """a log(b), 0 where a is 0."""

    __slots__ = ()
    name = "xlogy"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        flat = (a == 0) & (b <= 0)
        return g * b.masked_fill(flat, 1).log() if needs[0] else None, g * (a / b) if needs[1] else None


class XlogyFromNumber(Xlogy):
    """What `xlogy(number, x)` records."""

    __slots__ = ()
    node_name = "XlogyBackward1"


class XlogyOfNumber(Xlogy):
    """What `xlogy(x, number)` records."""

    __slots__ = ()
    node_name = "XlogyBackward2"


class Xlog1py(RealBinary):
    """a log1p(b), 0 where a is 0."""

    __slots__ = ()
    name = "xlog1py"
    node_name = "SpecialXlog1PyBackward0"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        flat = (a == 0) & (b <= -1)
        return g * b.masked_fill(flat, 0).log1p() if needs[0] else None, g * (a / (b + 1)) if needs[1] else None


class Xlog1pyFromNumber(Xlog1py):
    """What `xlog1py(number, x)` records."""

    __slots__ = ()
    node_name = "SpecialXlog1PyBackward1"


class Xlog1pyOfNumber(Xlog1py):
    """What `xlog1py(x, number)` records."""

    __slots__ = ()
    node_name = "SpecialXlog1PyBackward2"


class Zeta(RealBinary):
    """Hurwitz' zeta function of s and q."""

    __slots__ = ()
    name = "zeta"
    node_name = "SpecialZetaBackward0"
    promotion = COMMON_FLOAT

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        if needs[0]:
            raise RuntimeError("derivative for special_zeta is not implemented in its first argument; detach() it")
        s, q = saved
        return None, g * -s * binary(ZETA, s + 1, q)


class ZetaFromNumber(Zeta):
    """What `zeta(number, q)` records."""

    __slots__ = ()
    node_name = "SpecialZetaBackward1"


class ZetaOfNumber(Zeta):
    """What `zeta(s, number)` records."""

    __slots__ = ()
    node_name = "SpecialZetaBackward2"


class Mvlgamma(Unary):
    """The logarithm of the multivariate gamma function of dimension p."""

    __slots__ = ("p",)
    name = "mvlgamma"

    def __init__(self, p: int) -> None:
        self.p = p

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        found = k.scalar(self.p * (self.p - 1) / 4 * math.log(math.pi), x.dtype)
        for i in range(self.p):
            found = k.add(k.lgamma(k.sub(x, k.scalar(i / 2, x.dtype))), found)
        return found

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return self.forward(k, *arrays)

    def slope(self, saved: Any) -> Any:
        return sum([(saved - i / 2).digamma() for i in range(1, self.p)], saved.digamma())


class Igamma(RealBinary):
    """The regularised lower incomplete gamma function."""

    __slots__ = ()
    name = "igamma"
    promotion = COMMON_FLOAT
    sign = 1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.gammainc(arrays[0], arrays[1])

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        if needs[0]:
            raise RuntimeError(f"derivative for {self.name} is not implemented in its first argument; detach() it")
        a, x = saved
        return None, g * ((a - 1) * x.log() - x - a.lgamma()).exp() * self.sign


class Igammac(Igamma):
    """The regularised upper incomplete gamma function."""

    __slots__ = ()
    name = "igammac"
    sign = -1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.gammaincc(arrays[0], arrays[1])


ERFCX = Erfcx()
I0_, I0E, I1_, I1E = I0(), I0e(), I1(), I1e()
ENTR, LOG_NDTR, NDTRI = Entr(), LogNdtr(), Ndtri()
LOGIT = Logit()
XLOGY, XLOGY_FROM_NUMBER, XLOGY_OF_NUMBER = Xlogy(), XlogyFromNumber(), XlogyOfNumber()
XLOG1PY, XLOG1PY_FROM_NUMBER, XLOG1PY_OF_NUMBER = Xlog1py(), Xlog1pyFromNumber(), Xlog1pyOfNumber()
ZETA, ZETA_FROM_NUMBER, ZETA_OF_NUMBER = Zeta(), ZetaFromNumber(), ZetaOfNumber()
IGAMMA, IGAMMAC = Igamma(), Igammac()

erf = elementwise(Erf(), "The error function.")
erfc = elementwise(Erfc(), "`1 - erf(x)`, accurate in the tail.")
erfinv = elementwise(Erfinv(), "The inverse of erf; infinite at -1 and 1, NaN outside.")
lgamma = elementwise(Lgamma(), "The logarithm of |Gamma(x)|.")
digamma = elementwise(Digamma(), "The derivative of lgamma.")
i0 = elementwise(I0_, "The modified Bessel function of the first kind, order 0.")


def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """`log(x / (1 - x))`; with `eps` of x clamped to [eps, 1 - eps], without NaN outside [0, 1]."""
    return unary(LOGIT if eps is None else Logit(eps), input, out)


def logit_(self: Any, eps: float | None = None) -> Any:
    """`logit` in place."""
    refuse("logit_cpu", self, "complex")
    return apply_inplace(Logit(eps), self)


def polygamma(n: int, input: Any, *, out: Any = None) -> Any:
    """The n-th derivative of digamma, n >= 0."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n, got n = {n}.")
    return unary(Polygamma(int(n)), input, out)


def _polygamma_method(self: Any, n: int) -> Any:
    """The n-th derivative of digamma."""
    return polygamma(n, self)


def _polygamma_inplace(self: Any, n: int) -> Any:
    """`polygamma` in place."""
    return apply_inplace(Polygamma(int(n)), self)


def mvlgamma(input: Any, p: int, *, out: Any = None) -> Any:
    """The logarithm of the multivariate gamma function of dimension p; NaN-free for input > (p - 1) / 2."""
    need_tensor("mvlgamma", input)
    if p < 1:
        raise RuntimeError(f"mvlgamma: p has to be greater than or equal to 1, got {p}")
    refuse("mvlgamma", input, "complex")
    x = input if input._dtype.category == FLOATING else input.float()
    result = apply1(Mvlgamma(int(p)), x)
    return result if out is None else write_out(out, result, "mvlgamma")


def mvlgamma_(self: Any, p: int) -> Any:
    """`mvlgamma` in place."""
    return self.copy_(mvlgamma(self, p))


def xlogy(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input * log(other)`, 0 where `input` is 0; one of them may be a number."""
    op = XLOGY_OF_NUMBER if isinstance(other, Number) else XLOGY_FROM_NUMBER if isinstance(input, Number) else XLOGY
    a, b = float_operands(op.name, input, other)
    return binary(op, a, b, out)


def xlog1py(input: Any, other: Any, *, out: Any = None) -> Any:
    """`input * log1p(other)`, 0 where `input` is 0; one of them may be a number."""
    op = XLOG1PY_OF_NUMBER if isinstance(other, Number) else XLOG1PY_FROM_NUMBER if isinstance(input, Number) else XLOG1PY
    a, b = float_operands(op.name, input, other)
    return binary(op, a, b, out)


def igamma(input: Any, other: Any, *, out: Any = None) -> Any:
    """The regularised lower incomplete gamma function P(input, other); differentiable in `other`."""
    return binary(IGAMMA, *_real_floats("igamma", input, other), out)


def igammac(input: Any, other: Any, *, out: Any = None) -> Any:
    """The regularised upper incomplete gamma function Q(input, other) = 1 - P; differentiable in `other`."""
    return binary(IGAMMAC, *_real_floats("igammac", input, other), out)


def igamma_(self: Any, other: Any) -> Any:
    """`igamma` in place."""
    return apply_inplace(IGAMMA, self, _real_floats("igamma", self, other)[1:])


def igammac_(self: Any, other: Any) -> Any:
    """`igammac` in place."""
    return apply_inplace(IGAMMAC, self, _real_floats("igammac", self, other)[1:])


def _real_floats(operation: str, input: Any, other: Any) -> tuple[Any, Any]:
    need_tensor(operation, input)
    need_tensor(operation, other, "other")
    a, b = input, other
    higher = a if a._dtype.category >= b._dtype.category else b
    refuse(f"{operation}_cpu", higher, "bool integer complex")
    return a, b


serve(Logit, logit)
serve(Xlogy, xlogy)
serve(Xlog1py, xlog1py)
serve(Igamma, igamma)
serve(Igammac, igammac)
methods(
    logit, logit_, mvlgamma, mvlgamma_, xlogy, igamma, igammac,
    polygamma=_polygamma_method, polygamma_=_polygamma_inplace, xlogy_=inplace_binary(XLOGY), igamma_=igamma_,
    igammac_=igammac_,
)  # fmt: skip
