"""Norms, distances, and rows brought down to a largest norm."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import FLOATING, dtype, promote_types
from rushlight.base.shape import Shape, normalize_dim, normalize_dims
from rushlight.core.primitive import COMMON, Primitive, apply1, apply2
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.common import check_broadcast, methods, serve
from rushlight.ops.extremes import shared
from rushlight.ops.reduce import delivered, dims_of
from rushlight.ops.reduce_rules import TypedReduction

__all__ = ["dist", "norm", "renorm"]


class VectorNorm(TypedReduction):
    """(sum of |x|**ord) ** (1 / ord) over some dimensions."""

    __slots__ = ("ord",)
    name = "linalg_vector_norm"

    def __init__(self, ord: float, dim: Shape, keepdim: bool = False, dtype: dtype | None = None) -> None:
        super().__init__(dim, keepdim, dtype)
        self.ord = ord

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.norm(arrays[0], self.ord, self.dim, self.keepdim, None if self.dtype is None else self.dtype.np)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, length = saved
        return norm_cotangent(x, self.ord, self.spread(length, x._shape), self.spread(g, x._shape), self.dim)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return norm, (tensors[0], self.ord, self.dim, self.keepdim), {"dtype": self.dtype}


def norm_cotangent(x: Any, p: float, length: Any, g: Any, dims: Shape) -> Any:
    """The cotangent of x in its p-norm; `length` (the norm) and `g` have the reduced dimensions at size 1.

    At a norm of zero, and at elements of zero for p < 1, where there is no derivative, it is 0, as in torch; for p = 0, a
    count, there is none.
    """
    if p == 0:
        return None
    if p == 1:
        return x.sgn() * g
    if p == 2:
        return (x / length).masked_fill(length == 0, 0) * g
    modulus = x.abs()
    if math.isinf(p):
        return x.sgn() * shared(g, (modulus == length) | (modulus.isnan() & length.isnan()), dims)
    if p < 1:
        direction = (x.sgn() * modulus ** (p - 1)).masked_fill(x == 0, 0)
        return direction * (g * length ** (1 - p))
    direction = x.sgn() * modulus ** (p - 1) if p < 2 else x * modulus ** (p - 2)
    return direction * (g / length ** (p - 1)).masked_fill(length == 0, 0)


class Dist(Primitive):
    """The p-norm of a - b over all elements."""

    __slots__ = ("p",)
    name = "dist"
    promotion = COMMON

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, k: Any, *arrays: Any) -> Any:
        difference = k.sub(arrays[0], arrays[1])
        return k.norm(difference, self.p, tuple(range(difference.ndim)))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (*inputs, output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b, length = saved
        difference = a - b
        found = norm_cotangent(difference, self.p, length, g, tuple(range(len(difference._shape))))
        if found is None:
            return None, None
        return found if needs[0] else None, -found if needs[1] else None


class Renorm(Primitive):
    """Every slice along `dim` whose p-norm is larger than maxnorm scaled down to it."""

    __slots__ = ("p", "dim", "maxnorm")
    name = "renorm"

    def __init__(self, p: float, dim: int, maxnorm: float) -> None:
        self.p = p
        self.dim = dim
        self.maxnorm = maxnorm

    def _others(self, rank: int) -> Shape:
        return tuple(d for d in range(rank) if d != self.dim)

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        length = k.norm(x, self.p, self._others(x.ndim), True)
        bound = k.scalar(self.maxnorm, length.dtype)
        # torch's small addend keeps the scaled norm just below the bound.
        scale = k.div(bound, k.add(length, k.scalar(1e-7, length.dtype)))
        return k.mul(x, k.cast(k.where(k.gt(length, bound), scale, k.scalar(1, length.dtype)), x.dtype))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0]
        dims = self._others(len(x._shape))
        length = apply1(VectorNorm(self.p, dims, True), x)
        inverse = 1 / (length + 1e-7)
        along = (x.conj() * g).sum(dims, keepdim=True).real
        change = norm_cotangent(x, self.p, length, along, dims)
        scaled = (g - change * inverse) * (inverse * self.maxnorm)
        return scaled.where(length > self.maxnorm, g)


def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: dtype | None = None) -> Any:
    """The p-norm over `dim`: a number, "fro" (2) or "nuc" (the sum of the singular values of matrices).

    Of all elements for `dim=None`. RuntimeError for integers unless a floating `dtype` is given.
    """
    need_tensor("norm", input)
    _need_float("linalg.vector_norm", input._dtype if dtype is None else dtype)
    if p == "nuc":
        return delivered(_nuclear(input if dtype is None else input.to(dtype), dim, keepdim), out, "norm")
    if isinstance(p, str) and p != "fro":
        raise RuntimeError(f"Unknown norm '{p}': give a number, 'fro' or 'nuc'")
    order = 2.0 if p in ("fro", None) else float(p)
    return delivered(apply1(VectorNorm(order, dims_of("norm", input, dim), keepdim, dtype), input), out, "norm")


def _need_float(operation: str, of: dtype) -> None:
    if of.category < FLOATING:
        raise RuntimeError(
            f"{operation}: Expected a floating point or complex tensor as input. Got {kind_name(of)}; use x.float()"
        )


def _nuclear(input: Any, dim: Any, keepdim: bool) -> Any:
    """The sum of the singular values over two dimensions, the last two by default."""
    rank = len(input._shape)
    if rank < 2:
        raise RuntimeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    dims = normalize_dims((-2, -1) if dim is None else dim, rank, "norm")
    if len(dims) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {list(dims)}")
    values = input.movedim(dims, (-2, -1)).svd()[1]
    total = values.sum(-1)
    if not keepdim:
        return total
    for d in sorted(dims):
        total = total.unsqueeze(d)
    return total


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of `input - other` over all elements."""
    need_tensor("dist", input)
    need_tensor("dist", other, "other")
    _need_float("dist", promote_types(input._dtype, other._dtype))
    check_broadcast(input, other)
    return apply2(Dist(float(p)), input, other)


def renorm(input: Any, p: float, dim: int, maxnorm: float, *, out: Any = None) -> Any:
    """`input` with every slice along `dim` whose p-norm exceeds `maxnorm` scaled down to it."""
    need_tensor("renorm", input)
    _need_float("renorm", input._dtype)
    if len(input._shape) < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {len(input._shape)} dimensions")
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive norm not supported, got p={p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = normalize_dim(dim, len(input._shape), "renorm")
    return delivered(apply1(Renorm(float(p), d, float(maxnorm)), input), out, "renorm")


def renorm_(self: Any, p: float, dim: int, maxnorm: float) -> Any:
    """`renorm` in place."""
    return self.copy_(renorm(self, p, dim, maxnorm))


def _norm_method(self: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: dtype | None = None) -> Any:
    """The p-norm over `dim`; see `torch.norm`."""
    return norm(self, p, dim, keepdim, dtype=dtype)


serve(Dist, dist)
serve(Renorm, renorm)
methods(dist, renorm, renorm_, norm=_norm_method)
