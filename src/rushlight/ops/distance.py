"""Distances and similarities between rows of tensors."""

from __future__ import annotations

from math import inf
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import broadcast_shapes, normalize_dim
from rushlight.core.primitive import SAME, Primitive, apply1, apply2
from rushlight.ops.checks import kind_name, refuse
from rushlight.ops.grids import triu_indices

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]

# torch takes the Euclidean distance by a matrix product from this many rows on.
_ROWS_FOR_PRODUCT = 25


def _slope(difference: Any, distance: Any, p: float) -> Any:
    """d(distance) / d(difference), 0 where the distance is 0; `distance` broadcasts against `difference`."""
    zero = distance == 0
    safe = distance.masked_fill(zero, 1)
    if p == 2:
        slope = difference / safe
    elif p == 1:
        slope = difference.sign()
    elif p == inf:
        slope = difference.sign() * (difference.abs() == distance).to(difference._dtype)
    else:
        flat = difference == 0
        slope = difference.sign() * (difference.masked_fill(flat, 1).abs() / safe).pow(p - 1).masked_fill(flat, 0)
    return slope.masked_fill(zero, 0)


class Cdist(Primitive):
    """The p-norm of every difference of a row of x [*, P, M] and a row of y [*, R, M]: [*, P, R]."""

    __slots__ = ("p", "product")
    name = "cdist"
    promotion = SAME

    def __init__(self, p: float, product: bool) -> None:
        self.p = p
        self.product = product

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, y = arrays
        if not x.shape[-1]:
            return k.zeros((*x.shape[:-1], y.shape[-2]), x.dtype)
        if not self.product:
            return k.norm(k.sub(k.unsqueeze(x, x.ndim - 1), k.unsqueeze(y, y.ndim - 2)), self.p, (x.ndim,), False)
        last, of = x.ndim - 1, x.dtype
        squares = k.add(k.sum(k.mul(x, x), (last,), True), k.unsqueeze(k.sum(k.mul(y, y), (last,)), last - 1))
        twice = k.mul(k.matmul(x, k.permute(y, (*range(last - 1), last, last - 1))), k.scalar(2, of))
        return k.sqrt(k.clamp_min(k.sub(squares, twice), k.scalar(0, of)))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (*inputs, output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, y, distance = saved
        if self.p == 0:
            return x.new_zeros(x._shape), y.new_zeros(y._shape)
        part = _slope(x.unsqueeze(-2) - y.unsqueeze(-3), distance.unsqueeze(-1), self.p) * g.unsqueeze(-1)
        return part.sum(-2) if needs[0] else None, -part.sum(-3) if needs[1] else None


class Pdist(Primitive):
    """The p-norm of the difference of every pair of rows of x [N, M]: [N * (N - 1) / 2], row pairs in order."""

    __slots__ = ("p",)
    name = "pdist"

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        if x.shape[1] == 0:
            return k.zeros((x.shape[0] * (x.shape[0] - 1) // 2,), x.dtype)
        pairs = k.triu_indices(x.shape[0], x.shape[0], 1)
        first, second = k.index_select(x, 0, k.select(pairs, 0, 0)), k.index_select(x, 0, k.select(pairs, 0, 1))
        return k.norm(k.sub(first, second), self.p, (1,), False)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, distance = saved
        rows = x._shape[0]
        if self.p == 0:
            return x.new_zeros(x._shape)
        first, second = triu_indices(rows, rows, 1, device=x._device).unbind(0)
        difference = x.index_select(0, first) - x.index_select(0, second)
        part = _slope(difference, distance.unsqueeze(1), self.p) * g.unsqueeze(1)
        return x.detach().new_zeros(x._shape).index_add(0, first, part).index_add(0, second, -part)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return pdist, (tensors[0], self.p), {}


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """The p-norm distance of every row of `x1` [*, P, M] to every row of `x2` [*, R, M]: [*, P, R].

    `compute_mode` says when the Euclidean distance may be taken by a matrix product, which is fast and rounds more:
    "use_mm_for_euclid_dist_if_necessary" (more than 25 rows), "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist".
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if x._dtype.category != FLOATING:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: {kind_name(x._dtype)}")
        refuse("cdist", x, "half")
        if len(x._shape) < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {len(x._shape)}D")
    if x1._shape[-1] != x2._shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1._shape[-1]} X2: {x2._shape[-1]}")
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got p={p}")
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode: expected one of {', '.join(modes)}")
    many = x1._shape[-2] > _ROWS_FOR_PRODUCT or x2._shape[-2] > _ROWS_FOR_PRODUCT
    product = p == 2 and (compute_mode == modes[1] or (many and compute_mode == modes[0]))
    batch = broadcast_shapes(x1._shape[:-2], x2._shape[:-2])
    x, y = x1.expand(*batch, *x1._shape[-2:]), x2.expand(*batch, *x2._shape[-2:])
    return apply2(Cdist(float(p), product), x, y)


def pdist(input: Any, p: float = 2) -> Any:
    """The p-norm distance of every pair of rows of `input` [N, M]: [N * (N - 1) / 2]."""
    refuse("pdist", input, "half")
    if len(input._shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input._shape)}D")
    if input._dtype.category != FLOATING:
        raise RuntimeError(f"pdist only supports floating-point dtypes, got: {kind_name(input._dtype)}")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got p={p}")
    return apply1(Pdist(float(p)), input)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of `x1 - x2 + eps` over the last dimension; the leading ones broadcast."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between `x1` and `x2` along `dim`; lengths below `eps` count as `eps`.

    >>> cosine_similarity(tensor([[1., 0.]]), tensor([[1., 1.]]))
    tensor([0.7071])
    """
    if x1._dtype.category < FLOATING and x2._dtype.category < FLOATING:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {kind_name(x1._dtype)}: convert with x.float()"
        )
    for x in (x1, x2):
        refuse("cosine_similarity", x, "complex")
    if x1._shape != x2._shape:
        shape = broadcast_shapes(x1._shape, x2._shape)
        x1, x2 = x1.expand(shape), x2.expand(shape)
    d = normalize_dim(dim, len(x1._shape), "cosine_similarity")
    length1, length2 = x1.norm(2, d, True).clamp_min(eps), x2.norm(2, d, True).clamp_min(eps)
    return ((x1 / length1) * (x2 / length2)).sum(d)
