"""`torch.special`: special functions under their names of this module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.core.primitive import COMMON_FLOAT, apply2
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import float_operands, need_tensor, refuse
from rushlight.ops.common import Unary, Undifferentiable, binary, check_broadcast, serve, tensors_of, unary, write_out
from rushlight.ops.elementwise import exp2, expm1, log1p, sinc
from rushlight.ops.elementwise import sigmoid as expit
from rushlight.ops.reduce import logsumexp
from rushlight.ops.rounding import round
from rushlight.ops.softmax import log_softmax, softmax
from rushlight.ops.special import (
    ENTR,
    ERFCX,
    I0E,
    I1_,
    I1E,
    LOG_NDTR,
    NDTRI,
    ZETA,
    ZETA_FROM_NUMBER,
    ZETA_OF_NUMBER,
    digamma,
    erf,
    erfc,
    erfinv,
    i0,
    logit,
    polygamma,
    xlog1py,
    xlogy,
)
from rushlight.ops.special import digamma as psi
from rushlight.ops.special import igamma as gammainc
from rushlight.ops.special import igammac as gammaincc
from rushlight.ops.special import lgamma as gammaln
from rushlight.ops.special import mvlgamma as multigammaln

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit",
    "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e", "i1", "i1e",
    "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w", "sinc", "softmax",
    "spherical_bessel_j0", "xlog1py", "xlogy", "zeta",
]  # fmt: skip


def _function(op: Unary, name: str, doc: str, refused: str = "complex") -> Callable[..., Any]:
    """The public function of a unary operation."""

    def function(input: Any, *, out: Any = None) -> Any:
        need_tensor(name, input)
        refuse(f"{name}_cpu", input, refused)
        return unary(op, input, out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    serve(type(op), function)
    return function


entr = _function(ENTR, "entr", "The entropy `-x log(x)`: 0 at 0, -inf below.")
erfcx = _function(ERFCX, "erfcx", "`exp(x**2) erfc(x)`.", "half complex")
i0e = _function(I0E, "i0e", "`exp(-|x|) i0(x)`.")
i1 = _function(I1_, "i1", "The modified Bessel function of the first kind, order 1.")
i1e = _function(I1E, "i1e", "`exp(-|x|) i1(x)`.")
log_ndtr = _function(LOG_NDTR, "log_ndtr", "The logarithm of the normal distribution function, accurate in both tails.", "half complex")
ndtri = _function(NDTRI, "ndtri", "The inverse of the normal distribution function.", "half complex")


def ndtr(input: Any, *, out: Any = None) -> Any:
    """The normal distribution function: the chance that a standard normal number is below `input`."""
    result = (erf(input * math.sqrt(0.5)) + 1) * 0.5
    return result if out is None else write_out(out, result, "special_ndtr")


def zeta(input: Any, other: Any, *, out: Any = None) -> Any:
    """Hurwitz' zeta function `sum over k of (k + other)**-input`; differentiable in `other`."""
    a, b = float_operands("special_zeta", input, other)
    if a._dtype.category == b._dtype.category:
        refuse("zeta_cpu", a, "half")
    op = ZETA if isinstance(input, TensorBase) and isinstance(other, TensorBase) else None
    return binary(op or (ZETA_OF_NUMBER if isinstance(input, TensorBase) else ZETA_FROM_NUMBER), a, b, out)


# Without derivatives, as in torch.


class Constant(Unary):
    """A special function that torch does not differentiate."""

    __slots__ = ("kernel",)
    name = "special"
    differentiable = False

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.kernel)(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return globals()[self.kernel], tensors, {}


class Polynomial(Undifferentiable):
    """An orthogonal polynomial of x, its degree the second input."""

    __slots__ = ("family", "shifted")
    name = "special_polynomial"
    node_name = "NotImplemented"
    promotion = COMMON_FLOAT

    def __init__(self, family: str, shifted: bool) -> None:
        self.family = family
        self.shifted = shifted

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        if self.shifted:
            x = k.sub(k.add(x, x), k.scalar(1, x.dtype))
        return k.orthogonal_polynomial(x, arrays[1], self.family)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return globals()[_public_names[self.family, self.shifted]], tensors, {}


def _constant(name: str, doc: str, kernel: str = "") -> Callable[..., Any]:
    op = Constant(kernel or name)

    def function(input: Any, *, out: Any = None) -> Any:
        need_tensor(name, input)
        refuse(f"{name}_cpu", input, "half complex")
        return unary(op, input, out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


airy_ai = _constant("airy_ai", "The Airy function Ai. Has no derivative here, as in torch.")
bessel_j0 = _constant("bessel_j0", "The Bessel function of the first kind, order 0.")
bessel_j1 = _constant("bessel_j1", "The Bessel function of the first kind, order 1.")
bessel_y0 = _constant("bessel_y0", "The Bessel function of the second kind, order 0.")
bessel_y1 = _constant("bessel_y1", "The Bessel function of the second kind, order 1.")
modified_bessel_i0 = _constant("modified_bessel_i0", "The modified Bessel function of the first kind, order 0.", "i0")
modified_bessel_i1 = _constant("modified_bessel_i1", "The modified Bessel function of the first kind, order 1.", "i1")
modified_bessel_k0 = _constant("modified_bessel_k0", "The modified Bessel function of the second kind, order 0.")
modified_bessel_k1 = _constant("modified_bessel_k1", "The modified Bessel function of the second kind, order 1.")
scaled_modified_bessel_k0 = _constant("scaled_modified_bessel_k0", "`exp(x) modified_bessel_k0(x)`.")
scaled_modified_bessel_k1 = _constant("scaled_modified_bessel_k1", "`exp(x) modified_bessel_k1(x)`.")
spherical_bessel_j0 = _constant("spherical_bessel_j0", "The spherical Bessel function of the first kind, order 0.")

_public_names: dict[tuple[str, bool], str] = {}


def _polynomial(name: str, family: str, shifted: bool = False) -> Callable[..., Any]:
    op = Polynomial(family, shifted)
    _public_names[family, shifted] = name

    def function(input: Any, n: Any, *, out: Any = None) -> Any:
        x, degree = tensors_of(name, input, n)
        check_broadcast(x, degree)
        result = apply2(op, x, degree)
        return result if out is None else write_out(out, result, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The polynomial of degree `n` (a number or a tensor) at `input`: {name.replace('_', ' ')}."
    return function


chebyshev_polynomial_t = _polynomial("chebyshev_polynomial_t", "chebyshev_t")
chebyshev_polynomial_u = _polynomial("chebyshev_polynomial_u", "chebyshev_u")
chebyshev_polynomial_v = _polynomial("chebyshev_polynomial_v", "chebyshev_v")
chebyshev_polynomial_w = _polynomial("chebyshev_polynomial_w", "chebyshev_w")
shifted_chebyshev_polynomial_t = _polynomial("shifted_chebyshev_polynomial_t", "chebyshev_t", True)
shifted_chebyshev_polynomial_u = _polynomial("shifted_chebyshev_polynomial_u", "chebyshev_u", True)
shifted_chebyshev_polynomial_v = _polynomial("shifted_chebyshev_polynomial_v", "chebyshev_v", True)
shifted_chebyshev_polynomial_w = _polynomial("shifted_chebyshev_polynomial_w", "chebyshev_w", True)
hermite_polynomial_h = _polynomial("hermite_polynomial_h", "hermite_h")
hermite_polynomial_he = _polynomial("hermite_polynomial_he", "hermite_he")
laguerre_polynomial_l = _polynomial("laguerre_polynomial_l", "laguerre")
legendre_polynomial_p = _polynomial("legendre_polynomial_p", "legendre")

serve(type(ZETA), zeta)
