"""Linear algebra under torch's top-level names, and the functions made of others: powers, chains, cross products."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import bool_
from rushlight.base.shape import broadcast_shapes, normalize_dim
from rushlight.base.warn import warn_user
from rushlight.core.primitive import SAME, Primitive, apply2
from rushlight.ops.checks import need_tensor, not_implemented, refuse
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.factor import (
    cholesky,
    cholesky_inverse,
    cholesky_solve,
    geqrf,
    lu_unpack,
    orgqr,
    ormqr,
    packed_lu,
    qr,
)
from rushlight.ops.factor import lu_solve as linalg_lu_solve
from rushlight.ops.linear_checks import need_square
from rushlight.ops.matmul import matmul, mm
from rushlight.ops.shape import cat
from rushlight.ops.solve import inv, inverse, pinverse, triangular_solve
from rushlight.ops.spectral import det, logdet, matrix_exp, slogdet, svd
from rushlight.ops.view import diagonal as view_diagonal
from rushlight.ops.view import view

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "cross", "det", "geqrf", "inverse", "logdet", "lu", "lu_solve", "lu_unpack",
    "matrix_exp", "matrix_power", "orgqr", "ormqr", "pinverse", "qr", "slogdet", "svd", "triangular_solve", "vander",
]  # fmt: skip


class Cross(Primitive):
    """The vector product along `dim`, which has size 3; the other dimensions broadcast."""

    __slots__ = ("dim",)
    name = "linalg_cross"
    promotion = SAME

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "b":
            raise not_implemented("cross", bool_)
        return k.cross(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        a, b = saved
        return apply2(self, b.conj(), g) if needs[0] else None, apply2(self, g, a.conj()) if needs[1] else None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return linalg_cross, tensors, {"dim": self.dim}


def linalg_cross(input: Any, other: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The vector product of `input` and `other` along `dim`, which has size 3; the other dimensions broadcast."""
    need_tensor("linalg.cross", input)
    need_tensor("linalg.cross", other, "other")
    rank = len(input._shape)
    if rank != len(other._shape):
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {rank} and {len(other._shape)}."
        )
    if not rank:
        raise IndexError(f"linalg.cross: Dimension specified as {dim} but tensor has no dimensions")
    d = normalize_dim(dim, rank, "linalg.cross")
    if input._shape[d : d + 1] != (3,) or other._shape[d : d + 1] != (3,):
        sizes = [t._shape[d] if t._shape else 1 for t in (input, other)]
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {sizes[0]} and {sizes[1]}")
    broadcast_shapes(input._shape, other._shape)
    result = apply2(Cross(d), input, other)
    return result if out is None else write_out(out, result, "linalg.cross")


def cross(input: Any, other: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """The vector product along `dim`; without it, along the first dimension of size 3 (deprecated by torch)."""
    need_tensor("cross", input)
    if dim is None:
        dim = next((d for d, size in enumerate(input._shape) if size == 3), None)
        if dim is None:
            raise RuntimeError(f"cross: no dimension of size 3 in input, its shape is {list(input._shape)}")
        warn_user(
            "Using torch.cross without specifying the dim arg is deprecated: it takes the first dimension of size 3, here "
            f"{dim}. Pass dim={dim}, or use torch.linalg.cross, whose default is the last dimension.",
        )
    return linalg_cross(input, other, dim=dim, out=out)


def matrix_power(input: Any, n: int, *, out: Any = None) -> Any:
    """Square matrices to the integer power `n`: the identity for 0, of the inverse for negative ones."""
    need_tensor("linalg_matrix_power", input)
    if len(input._shape) < 2 or input._shape[-1] != input._shape[-2]:
        need_square("linalg.matrix_power", input)
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"linalg_matrix_power(): argument 'n' must be int, not {type(n).__name__}")
    result = _power(input, n)
    return result if out is None else write_out(out, result, "linalg.matrix_power")


def _power(a: Any, n: int) -> Any:
    if n == 0:
        return a.clone().copy_(a.new_ones(a._shape[-1]).diag().expand(a._shape))
    if n < 0:
        need_square("linalg.matrix_power", a)
        return inv(a) if n == -1 else _power(inv(a), -n)
    if n == 1:
        return a.clone()
    result = None
    square = a
    while True:  # the binary digits of n, lowest first
        if n & 1:
            result = square if result is None else matmul(result, square)
        n >>= 1
        if not n:
            return result
        square = matmul(square, square)


def multi_dot(tensors: Any, *, out: Any = None) -> Any:
    """The product of two or more matrices in the order that needs the fewest multiplications.

    The first may be a row vector and the last a column vector.
    """
    given = list(tensors)
    if len(given) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(given)}")
    first, last = given[0], given[-1]
    for i, t in enumerate(given):
        allowed = (1, 2) if i in (0, len(given) - 1) else (2,)
        if len(t._shape) not in allowed:
            raise RuntimeError(
                f"multi_dot(): tensor {i} must be {'1D or 2D' if len(allowed) == 2 else '2D'} but got {len(t._shape)}D"
            )
    if len(first._shape) == 1:
        given[0] = first.unsqueeze(0)
    if len(last._shape) == 1:
        given[-1] = last.unsqueeze(-1)
    shape = first._shape[:-1] + (last._shape[1:] if len(last._shape) == 2 else ())
    for i, (a, b) in enumerate(zip(given, given[1:], strict=False)):
        if a._shape[1] != b._shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(a._shape)} and {list(b._shape)} cannot be multiplied"
            )
    cuts = _cheapest_cuts([t._shape[0] for t in given] + [given[-1]._shape[1]])
    result = view(_chain(given, cuts, 0, len(given) - 1), shape)
    return result if out is None else write_out(out, result, "linalg.multi_dot")


def _cheapest_cuts(sizes: list[int]) -> list[list[int]]:
    """Where to split the product of matrices i..j (matrix i is sizes[i] by sizes[i + 1]) to multiply least."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    cuts = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], cuts[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return cuts


def _chain(matrices: list[Any], cuts: list[list[int]], i: int, j: int) -> Any:
    if i == j:
        return matrices[i]
    k = cuts[i][j]
    return mm(_chain(matrices, cuts, i, k), _chain(matrices, cuts, k + 1, j))


def linalg_vander(x: Any, *, N: int | None = None) -> Any:
    """The powers 0 to N - 1 of `x` in a new last dimension; N defaults to the size of the last dimension."""
    need_tensor("linalg.vander", x, "x")
    refuse("linalg.vander", x, "bool half")
    size = (x._shape[-1] if x._shape else 1) if N is None else N
    if size <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand(*x._shape, size - 1).cumprod(-1)
    return cat([powers.new_ones((*x._shape, 1)), powers], -1)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: powers N - 1 down to 0 in its columns, or upwards when `increasing`."""
    need_tensor("vander", x, "x")
    if len(x._shape) != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, got shape {list(x._shape)}.")
    size = x._shape[0] if N is None else N
    if size < 0:
        raise RuntimeError(f"N must be non-negative, got {size}.")
    columns = [x.new_ones((*x._shape, 1))] if size else [x.new_zeros((*x._shape, 0))]
    if size > 1:
        columns.append(x.unsqueeze(-1).expand(*x._shape, size - 1).cumprod(-1))
    powers = cat(columns, -1)
    return powers if increasing else powers.flip(-1)


def vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The sum of conj(x) * y over `dim`; the other dimensions broadcast."""
    for name, t in (("x", x), ("y", y)):
        need_tensor("linalg_vecdot", t, name)
        refuse("linalg.vecdot", t, "bool integer")
    result = (x.conj() * y).sum(dim)
    return result if out is None else write_out(out, result, "linalg.vecdot")


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices, as a view."""
    return view_diagonal(A, offset, dim1, dim2)


def lu(input: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """(LU, pivots) and, with `get_infos`, info: `linalg.lu_factor` under its older name."""
    return packed_lu(input, pivot, get_infos, out)


def lu_solve(b: Any, LU_data: Any, LU_pivots: Any, *, out: Any = None) -> Any:
    """X with `A X = b` from `lu_factor(A)`: `linalg.lu_solve` with its older order of arguments."""
    return linalg_lu_solve(LU_data, LU_pivots, b, out=out)


serve(Cross, cross)
methods(
    cholesky, cholesky_inverse, cholesky_solve, cross, det, geqrf, inverse, logdet, lu, lu_solve, matrix_exp, matrix_power, orgqr,
    ormqr, pinverse, qr, slogdet, svd, triangular_solve,
)  # fmt: skip
