"""Norms of vectors and matrices, condition numbers and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from rushlight.base.dtypes import COMPLEX, dtype
from rushlight.base.shape import Shape, normalize_dims
from rushlight.core.primitive import Primitive, apply1
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.linear_checks import need_linear_dtype, need_matrix, need_square
from rushlight.ops.solve import inv_ex
from rushlight.ops.spectral import eigvalsh, svdvals

__all__ = ["frobenius_norm", "norm", "nuclear_norm"]


class VectorNorm(Primitive):
    """(sum |x|**ord) ** (1 / ord) over the dimensions `dim`."""

    __slots__ = ("ord", "dim", "keepdim")
    name = "linalg_vector_norm"

    def __init__(self, ord: float, dim: Shape, keepdim: bool) -> None:
        self.ord = ord
        self.dim = dim
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.norm(arrays[0], self.ord, self.dim, self.keepdim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, found = saved
        if not self.keepdim:
            for d in sorted(self.dim):
                g, found = g.unsqueeze(d), found.unsqueeze(d)
        p = self.ord
        if p == 0:  # a count: its derivative is no gradient at all, as in torch
            return None
        if p == 1:
            return x.sgn() * g
        modulus = x.abs()
        if p in (inf, -inf):  # equal ones share
            largest = ((modulus == found) | (modulus.isnan() & found.isnan())).to(modulus._dtype)
            return x.sgn() * (largest * (g / largest.sum(self.dim, keepdim=True)))
        none = found == 0
        if p == 2:
            return x * (g / found.masked_fill(none, 1)).masked_fill(none, 0)
        zero = modulus == 0
        slope = (modulus.masked_fill(zero, 1) / found.masked_fill(none, 1)).pow(p - 1)
        return x.sgn() * (slope * g).masked_fill(zero | none, 0)


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None
) -> Any:
    """The norm `(sum |x|**ord) ** (1 / ord)` over `dim` (all dimensions by default); real.

    ord 0 counts what is not zero; inf and -inf are the largest and the smallest modulus. `dtype`: computed in, and returned.

    >>> linalg.vector_norm(tensor([3.0, 4.0]))
    tensor(5.)
    """
    need_tensor("linalg.vector_norm", x, "x")
    need_linear_dtype("linalg.vector_norm", x, low_precision=True)
    if not isinstance(ord, (int, float)):
        raise TypeError(f"linalg_vector_norm(): argument 'ord' must be Number, not {type(ord).__name__}")
    dims = normalize_dims(None if isinstance(dim, (tuple, list)) and not dim else dim, len(x._shape), "linalg.vector_norm")
    result = apply1(VectorNorm(float(ord), dims, bool(keepdim)), _in_dtype("linalg.vector_norm", x, dtype))
    return result if out is None else write_out(out, result, "linalg.vector_norm")


def _in_dtype(operation: str, x: Any, wanted: dtype | None) -> Any:
    if wanted is None or wanted is x._dtype:
        return x
    if (wanted.category == COMPLEX) != (x._dtype.category == COMPLEX) or wanted.category < x._dtype.category:
        expected = "complex" if x._dtype.category == COMPLEX else "floating point"
        raise RuntimeError(f"{operation}: dtype should be {expected} for an input of {x._dtype!r}, but got {wanted!r}")
    if wanted.itemsize < x._dtype.itemsize:
        raise RuntimeError(
            f"{operation}: the dtype of the input ({kind_name(x._dtype)}) should be convertible without narrowing to the "
            f"specified dtype ({kind_name(wanted)})"
        )
    return x.to(wanted)


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: dtype | None = None, out: Any = None
) -> Any:
    """A norm of the matrices in the two dimensions `dim`; real.

    ord: "fro" (root of the sum of squares), "nuc" (sum of the singular values), 2, -2 (largest and smallest singular value),
    1, -1 (largest and smallest column sum of moduli), inf, -inf (row sums).
    """
    need_tensor("linalg.matrix_norm", A, "A")
    if len(A._shape) < 2:
        raise RuntimeError(
            f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions, got shape {list(A._shape)}."
        )
    need_linear_dtype("linalg.matrix_norm", A, low_precision=ord in ("fro", 1, -1, inf, -inf))
    if isinstance(dim, int) or len(dim) != 2:
        shown = str(dim) if isinstance(dim, int) else " ".join(map(str, dim))
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {shown}")
    rows, cols = normalize_dims(dim, len(A._shape), "linalg.matrix_norm")
    a = _in_dtype("linalg.matrix_norm", A, dtype)
    if ord == "fro":
        result = vector_norm(a, 2, (rows, cols), keepdim)
    elif ord in ("nuc", 2, -2):
        s = svdvals(a.movedim((rows, cols), (-2, -1)))
        result = s.sum(-1) if ord == "nuc" else s.amax(-1) if ord == 2 else s.amin(-1)
        if keepdim:
            for d in sorted((rows, cols)):
                result = result.unsqueeze(d)
    elif ord in (1, -1, inf, -inf):
        summed, kept = (rows, cols) if ord in (1, -1) else (cols, rows)
        sums = vector_norm(a, 1, summed, keepdim)
        kept -= not keepdim and kept > summed
        result = sums.amax(kept, keepdim) if ord in (1, inf) else sums.amin(kept, keepdim)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported. Use 'fro', 'nuc', 1, 2, inf or their negatives")
    return result if out is None else write_out(out, result, "linalg.matrix_norm")


def linalg_norm(
    input: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Any = None, dtype: dtype | None = None
) -> Any:
    """A vector or matrix norm: of matrices when `dim` names two dimensions, or when `ord` is given for a 2-D input.

    Without `ord` the root of the sum of squares over `dim` (all dimensions by default).
    """
    need_tensor("linalg.norm", input)
    rank = len(input._shape)
    if ord is None:
        result = vector_norm(input, 2, dim, keepdim, dtype=dtype)
    elif dim is None and not isinstance(ord, str) and rank not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {rank}D; name the dimensions "
            "with dim="
        )
    elif isinstance(ord, str) or (dim is None and rank == 2) or (isinstance(dim, Sequence) and len(dim) == 2):
        result = matrix_norm(input, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    else:
        result = vector_norm(input, ord, dim, keepdim, dtype=dtype)
    return result if out is None else write_out(out, result, "linalg.norm")


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None, dtype: dtype | None = None
) -> Any:
    """The p-norm over `dim`, all dimensions by default; also of a matrix: p="nuc" is the sum of its singular values.

    `p="fro"` is the root of the sum of squares. `linalg.vector_norm` and `linalg.matrix_norm` say what they do.
    """
    need_tensor("norm", input)
    if p == "nuc":
        if dim is None and len(input._shape) != 2:
            dim = tuple(range(len(input._shape)))
        result = matrix_norm(input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    elif isinstance(p, str) and p != "fro":
        raise RuntimeError(f"norm: Order {p} not supported. Use 'fro', 'nuc' or a number")
    else:
        result = vector_norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype=dtype)
    return result if out is None else write_out(out, result, "norm")


def frobenius_norm(input: Any, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """The root of the sum of squares over `dim`."""
    return norm(input, "fro", dim, keepdim, out=out)


def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False, *, out: Any = None) -> Any:
    """The sum of the singular values of the matrices in the two dimensions `dim`; also called as (input, keepdim)."""
    if isinstance(dim, bool):
        dim, keepdim = (-2, -1), dim
    return matrix_norm(input, "nuc", dim, keepdim, out=out)


def cond(A: Any, p: Any = None, *, out: Any = None) -> Any:
    """The condition number |A| |A^-1| in the matrix norm `p` (None: 2); inf for singular matrices unless p is 2."""
    need_matrix("linalg.cond", A)
    if p in (None, 2, -2):
        s = svdvals(A)
        largest, smallest = s.narrow(-1, 0, 1), s.narrow(-1, -1, 1)
        result = (smallest / largest if p == -2 else largest / smallest).squeeze(-1)
    else:
        need_square(f"linalg.cond(ord={p})", A)
        if p == "nuc":
            s = svdvals(A)
            result = s.sum(-1) * s.reciprocal().sum(-1)
        else:
            found = matrix_norm(A, p) * matrix_norm(inv_ex(A)[0], p)
            result = found.nan_to_num(inf, inf, -inf)
    return result if out is None else write_out(out, result, "linalg.cond")


def matrix_rank(
    A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Any:
    """The rank, int64: how many singular values are above max(atol, rtol * largest).

    By default rtol is max(m, n) * eps; `tol` is an older name of `atol`. Not differentiable.
    """
    need_matrix("linalg.matrix_rank", A)
    if hermitian:
        need_square("linalg.matrix_rank", A)
    atol = tol if atol is None else atol
    a = A.detach()
    s = eigvalsh(a).abs() if hermitian else svdvals(a)
    if rtol is None:
        given = atol is not None and (bool((atol > 0).any()) if hasattr(atol, "any") else atol > 0)
        rtol = 0.0 if given else max(a._shape[-2:]) * _epsilon(s)
    largest = s.amax(-1) if s._shape[-1] else s.new_zeros(s._shape[:-1])
    tolerance = (largest * rtol).to(s._dtype)
    if atol is not None:
        tolerance = tolerance.maximum(atol.to(s._dtype) if hasattr(atol, "to") else s.new_full((), atol))
    result = (s > tolerance.unsqueeze(-1)).sum(-1)
    return result if out is None else write_out(out, result, "linalg.matrix_rank")


def _epsilon(t: Any) -> float:
    """The distance from 1 to the next number of a tensor's real dtype."""
    return 2.0**-52 if t._dtype.itemsize == 8 else 2.0**-23


serve(VectorNorm, vector_norm)
methods(norm)
