"""Linear algebra: LAPACK through numpy.linalg, batched over leading dims, with torch's conventions and errors.

Inputs are float32, float64, complex64 or complex128 and results keep the dtype (singular values, eigenvalues of
Hermitian matrices and log-determinants are real). `h` in a name is the conjugate transpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from rushlight.backends.reference.precision import COMPLEX64, COMPLEX128, FLOAT64, INT64, Array, finish, real_dtype
from rushlight.backends.reference.quiet import quiet
from rushlight.base.errors import LinAlgError

LEAF = 16  # triangles up to this size are solved row by row, larger ones are halved
PADE_THETA = 5.371920351148152  # largest 1-norm for which the [13/13] Padé approximant is accurate (Higham 2005)
PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


def _h(a: Array) -> Array:
    return np.conjugate(np.swapaxes(a, -1, -2))


def _require_square(a: Array, name: str) -> None:
    if a.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} matrices"
        )


def _batch_note(a: Array, bad: Array) -> tuple[tuple[int, ...], str]:
    """The index of the first bad matrix of a batch, and how torch names it."""
    if a.ndim == 2:
        return (), ""
    position = int(np.flatnonzero(bad.reshape(-1))[0])
    index = tuple(int(i) for i in np.unravel_index(position, a.shape[:-2]))
    return index, f"(Batch element {position}): "


# ---- LU -------------------------------------------------------------------------------------------------------------


def _size(x: Array) -> Array:
    """What LAPACK compares pivots by: |x|, of complex numbers |re| + |im|."""
    return np.absolute(x.real) + np.absolute(x.imag) if x.dtype.kind == "c" else np.absolute(x)


def _swap_rows(a: Array, k: int, pivot: Array) -> None:
    """Exchange row k with row pivot[b] in every matrix b of the batch (B, n, m)."""
    batch = np.arange(len(a))
    row = a[:, k].copy()
    a[:, k] = a[batch, pivot]
    a[batch, pivot] = row


@quiet
def lu_factor_ex(a: Array, pivot: bool = True) -> tuple[Array, Array, Array]:
    """Packed LU factors, pivots (int32, counted from 1) and info (int32: 0, or the first zero pivot from 1)."""
    if a.ndim < 2:
        raise RuntimeError("linalg.lu_factor: The input tensor A must have at least 2 dimensions.")
    rows, cols = a.shape[-2:]
    count = min(rows, cols)
    batch = a.shape[:-2]
    size = math.prod(batch)
    packed = np.array(a, order="C").reshape(size, rows, cols)
    pivots = np.tile(np.arange(1, count + 1, dtype=np.int32), (size, 1))
    info = np.zeros(size, np.int32)
    for k in range(count):
        if pivot and size:
            best = k + np.argmax(_size(packed[:, k:, k]), axis=1)
            pivots[:, k] = best + 1
            _swap_rows(packed, k, best)
        diagonal = packed[:, k, k]
        zero = diagonal == 0
        info[zero & (info == 0)] = k + 1
        factors = packed[:, k + 1 :, k] / np.where(zero, packed.dtype.type(1), diagonal)[:, None]
        packed[:, k + 1 :, k] = factors
        packed[:, k + 1 :, k + 1 :] -= factors[:, :, None] * packed[:, k, None, k + 1 :]
    return packed.reshape(a.shape), pivots.reshape(*batch, count), info.reshape(batch)


def lu_factor(a: Array, pivot: bool = True) -> tuple[Array, Array]:
    """`lu_factor_ex` that raises RuntimeError where a pivot is zero."""
    packed, pivots, info = lu_factor_ex(a, pivot)
    if info.any():
        index, note = _batch_note(a, info != 0)
        k = int(info[index])
        raise RuntimeError(
            f"torch.linalg.lu_factor: {note}U[{k},{k}] is zero and using it on lu_solve would result in a division by "
            "zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )
    return packed, pivots


def _permutation(pivots: Array, rows: int) -> Array:
    """Row order `order` such that `A[order] = L U`, from LAPACK's sequence of exchanges; shape (batch, rows)."""
    batch = pivots.shape[:-1]
    flat = pivots.reshape(math.prod(batch), pivots.shape[-1])
    order = np.tile(np.arange(rows), (len(flat), 1))[:, :, None]
    for k in range(flat.shape[1]):
        _swap_rows(order, k, flat[:, k] - 1)
    return order[:, :, 0].reshape(*batch, rows)


def lu_unpack(packed: Array, pivots: Array) -> tuple[Array, Array, Array]:
    """P, L and U with `A = P @ L @ U` from packed factors."""
    rows, cols = packed.shape[-2:]
    count = min(rows, cols)
    lower = np.tril(packed[..., :, :count], -1) + np.eye(rows, count, dtype=packed.dtype)
    upper = np.triu(packed[..., :count, :])
    order = _permutation(pivots, rows)
    p = np.swapaxes(np.eye(rows, dtype=packed.dtype)[order], -1, -2)
    return np.array(p, order="C"), lower, upper


def lu(a: Array, pivot: bool = True) -> tuple[Array, Array, Array]:
    """P, L and U with `A = P @ L @ U`, by partial pivoting; without `pivot` P is the empty tensor."""
    packed, pivots, _ = lu_factor_ex(a, pivot)
    p, lower, upper = lu_unpack(packed, pivots)
    return (p if pivot else np.empty(0, a.dtype)), lower, upper


def lu_solve(packed: Array, pivots: Array, b: Array, left: bool = True, adjoint: bool = False) -> Array:
    """X with `A X = B` (or `X A = B`, or with A's conjugate transpose) from A's packed factors."""
    if not left:
        return _h(lu_solve(packed, pivots, _h(b), True, not adjoint))
    order = np.broadcast_to(_permutation(pivots, packed.shape[-1]), (*b.shape[:-2], packed.shape[-1]))[..., None]
    if not adjoint:
        permuted = np.take_along_axis(b, order, axis=-2)
        return solve_triangular(packed, solve_triangular(packed, permuted, False, True, True), True)
    y = solve_triangular(_h(packed), solve_triangular(_h(packed), b, False), True, True, True)
    return np.take_along_axis(y, np.argsort(order, axis=-2), axis=-2)


# ---- triangular systems ---------------------------------------------------------------------------------------------


def _substitute(a: Array, b: Array, unitriangular: bool) -> Array:
    """Forward substitution for lower triangular `a`, halving down to LEAF rows."""
    n = a.shape[-1]
    if n > LEAF:
        half = n // 2
        top = _substitute(a[..., :half, :half], b[..., :half, :], unitriangular)
        rest = b[..., half:, :] - a[..., half:, :half] @ top
        return np.concatenate([top, _substitute(a[..., half:, half:], rest, unitriangular)], axis=-2)
    x = np.array(b)
    for i in range(n):
        if i:
            x[..., i : i + 1, :] -= a[..., i : i + 1, :i] @ x[..., :i, :]
        if not unitriangular:
            x[..., i, :] /= a[..., i, i, None]
    return x


@quiet
def solve_triangular(a: Array, b: Array, upper: bool, left: bool = True, unitriangular: bool = False) -> Array:
    """X with `A X = B`, or `X A = B` when not `left`, for triangular A; leading dims broadcast.

    The other triangle of A is not read, nor its diagonal with `unitriangular`. A zero on the diagonal gives inf.
    """
    _require_square(a, "linalg.solve_triangular")
    if b.shape[-2 if left else -1] != a.shape[-1]:
        raise RuntimeError(
            "linalg.solve_triangular: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )
    if not left:
        transposed = solve_triangular(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2), not upper, True, unitriangular)
        return np.swapaxes(transposed, -1, -2)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, batch + a.shape[-2:])
    b = np.broadcast_to(b, batch + b.shape[-2:])
    if upper:  # reversing both orders makes it lower
        return np.array(_substitute(a[..., ::-1, ::-1], b[..., ::-1, :], unitriangular)[..., ::-1, :], order="C")
    return _substitute(a, b, unitriangular)


# ---- general systems ------------------------------------------------------------------------------------------------


def _zero_pivot(matrix: Array) -> int:
    """The first zero pivot, counted from 1, of a matrix that LAPACK found singular (its last where rounding hides it)."""
    return int(lu_factor_ex(matrix)[2]) or matrix.shape[-1]


def _singular(a: Array, info: Array, name: str) -> LinAlgError:
    index, note = _batch_note(a, info != 0)
    if name == "linalg.inv":
        return LinAlgError(
            f"linalg.inv: {note}The diagonal element {info[index]} is zero, the inversion could not be completed because "
            "the input matrix is singular."
        )
    return LinAlgError(f"{name}: {note}The solver failed because the input matrix is singular.")


@quiet
def inv_ex(a: Array) -> tuple[Array, Array]:
    """Inverse and info (int32): 0, or the first zero pivot from 1 of a singular matrix, whose inverse is then NaN."""
    _require_square(a, "linalg.inv")
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        return np.linalg.inv(a), info
    except np.linalg.LinAlgError:
        inverse = np.full(a.shape, np.nan, a.dtype)
    for index in np.ndindex(a.shape[:-2]):
        try:
            inverse[index] = np.linalg.inv(a[index])
        except np.linalg.LinAlgError:
            info[index] = _zero_pivot(a[index])
    return inverse, info


def inv(a: Array) -> Array:
    """Inverse. Raises LinAlgError when a matrix is singular."""
    inverse, info = inv_ex(a)
    if info.any():
        raise _singular(a, info, "linalg.inv")
    return inverse


def _is_vector(a: Array, b: Array) -> bool:
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])


@quiet
def solve_ex(a: Array, b: Array, left: bool = True) -> tuple[Array, Array]:
    """`solve` and info (int32, one per matrix of A): 0, or the first zero pivot from 1; X is then NaN there."""
    _require_square(a, "linalg.solve")
    vector = left and _is_vector(a, b)
    columns = b[..., None] if vector else b
    if columns.ndim < 2:
        raise RuntimeError("linalg.solve: The right-hand side B must be a matrix when left=False; use B.unsqueeze(0)")
    if columns.shape[-2 if left else -1] != a.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({a.shape[-2]}x{a.shape[-1]} and {columns.shape[-2]}x{columns.shape[-1]})"
        )
    info = np.zeros(a.shape[:-2], np.int32)
    matrices = a if left else np.swapaxes(a, -1, -2)
    right = columns if left else np.swapaxes(columns, -1, -2)
    try:
        solution = np.linalg.solve(matrices, right)
    except np.linalg.LinAlgError:
        for index in np.ndindex(a.shape[:-2]):
            try:
                np.linalg.inv(a[index])
            except np.linalg.LinAlgError:
                info[index] = _zero_pivot(a[index])
        regular = np.where((info != 0)[..., None, None], np.eye(a.shape[-1], dtype=a.dtype), matrices)
        solution = np.where((info != 0)[..., None, None], a.dtype.type(np.nan), np.linalg.solve(regular, right))
    solution = solution if left else np.swapaxes(solution, -1, -2)
    return (solution[..., 0] if vector else solution), info


def solve(a: Array, b: Array, left: bool = True) -> Array:
    """X with `A X = B`, or `X A = B` when not `left`; B of shape `A.shape[:-1]` is a batch of vectors."""
    solution, info = solve_ex(a, b, left)
    if info.any():
        raise _singular(a, info, "torch.linalg.solve")
    return solution


@quiet
def cholesky_ex(a: Array, upper: bool = False) -> tuple[Array, Array]:
    """`cholesky` and info (int32): 0, or the order of the first leading minor that is not positive-definite.

    The factor of such a matrix is NaN.
    """
    _require_square(a, "linalg.cholesky")
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        return np.linalg.cholesky(a, upper=upper), info
    except np.linalg.LinAlgError:
        factor = np.full(a.shape, np.nan, a.dtype)
    for index in np.ndindex(a.shape[:-2]):
        for order in range(a.shape[-1], 0, -1):
            try:
                found = np.linalg.cholesky(a[index][:order, :order], upper=upper)
            except np.linalg.LinAlgError:
                info[index] = order
            else:
                if order == a.shape[-1]:
                    factor[index] = found
                break
    return factor, info


def cholesky(a: Array, upper: bool = False, name: str = "linalg.cholesky") -> Array:
    """Lower (or upper) triangular factor of `A = L L^h`, from A's lower (upper) triangle. LinAlgError if impossible."""
    factor, info = cholesky_ex(a, upper)
    if info.any():
        index, note = _batch_note(a, info != 0)
        raise LinAlgError(
            f"{name}: {note}The factorization could not be completed because the input is not positive-definite (the "
            f"leading minor of order {info[index]} is not positive-definite)."
        )
    return factor


@quiet
def lstsq(a: Array, b: Array, rcond: float | None = None) -> tuple[Array, Array, Array, Array]:
    """Least-squares solution, residuals, rank (int64) and singular values, by the singular value decomposition.

    The residuals are given when there are more rows than columns and every matrix has full rank, else an empty array.
    """
    vector = _is_vector(a, b)
    columns = b[..., None] if vector else b
    rows, cols = a.shape[-2:]
    cutoff = np.finfo(a.dtype).eps * max(rows, cols) if rcond is None else rcond
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    kept = s > cutoff * s.max(axis=-1, keepdims=True, initial=0)
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
    solution = _h(vh) @ (inverse[..., None] * (_h(u) @ columns))
    rank = np.add.reduce(kept, axis=-1, dtype=INT64, out=...)
    residuals = np.empty(0, real_dtype(a.dtype))
    if rows > cols and bool((rank == cols).all()):
        gap = np.absolute(a @ solution - columns)
        residuals = np.add.reduce(gap * gap, axis=-2, out=...)
    return (solution[..., 0] if vector else solution), residuals, rank, s


@quiet
def pinv(a: Array, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Array:
    """Moore-Penrose inverse; singular values up to `max(atol, rtol * largest)` count as zero.

    By default `rtol` is `max(m, n) * eps`, or 0 when a positive `atol` is given.
    """
    real = real_dtype(a.dtype)
    if rtol is None:
        rtol = 0.0 if atol is not None and np.any(np.asarray(atol) > 0) else max(a.shape[-2:]) * np.finfo(a.dtype).eps
    low = np.asarray(0.0 if atol is None else atol)[..., None]
    share = np.asarray(rtol)[..., None]
    if hermitian:
        w, v = np.linalg.eigh(a)
        left, s, right = v, w, _h(v)
    else:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        left, right = _h(vh), _h(u)
    magnitude = np.absolute(s)
    kept = magnitude > np.maximum(low, share * magnitude.max(axis=-1, keepdims=True, initial=0))
    inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(real)
    return finish((left * inverse[..., None, :]) @ right, a.dtype)


# ---- decompositions -------------------------------------------------------------------------------------------------


@quiet
def qr(a: Array, mode: str = "reduced") -> tuple[Array, Array]:
    """Q and R with `A = Q R`; `mode` is "reduced", "complete", or "r" (Q empty)."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    if mode == "r":
        return np.empty(0, a.dtype), np.asarray(np.linalg.qr(a, mode="r"))
    q, r = np.linalg.qr(a, mode="complete" if mode == "complete" else "reduced")
    return q, r


@quiet
def geqrf(a: Array) -> tuple[Array, Array]:
    """R above, the Householder vectors below the diagonal, and their factors tau."""
    packed, tau = np.linalg.qr(a, mode="raw")
    return np.array(np.swapaxes(packed, -1, -2), a.dtype, order="C"), np.asarray(tau, a.dtype)


def _no_convergence(name: str, error: Exception) -> LinAlgError:
    return LinAlgError(
        f"{name}: The algorithm failed to converge because the input matrix contained non-finite values or is "
        f"ill-conditioned ({error})."
    )


@quiet
def svd(a: Array, full_matrices: bool = True) -> tuple[Array, Array, Array]:
    """U, singular values in descending order (real), and V^h with `A = U diag(S) V^h`."""
    if not np.isfinite(a).all():
        raise LinAlgError(
            "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values."
        )
    try:
        u, s, vh = np.linalg.svd(a, full_matrices=full_matrices)
    except np.linalg.LinAlgError as error:
        raise _no_convergence("linalg.svd", error) from None
    return u, s, vh


@quiet
def svdvals(a: Array) -> Array:
    """Singular values in descending order."""
    if not np.isfinite(a).all():
        raise LinAlgError(
            "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values."
        )
    return np.linalg.svd(a, compute_uv=False)


def _check_triangle(uplo: str, name: str) -> Literal["L", "U"]:
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"{name}: expected UPLO to be 'L' or 'U', but got {uplo!r}")
    return "L" if uplo.upper() == "L" else "U"


@quiet
def eigh(a: Array, uplo: str = "L") -> tuple[Array, Array]:
    """Real eigenvalues in ascending order and orthonormal eigenvectors of a Hermitian matrix, from one triangle."""
    _require_square(a, "linalg.eigh")
    try:
        w, v = np.linalg.eigh(a, _check_triangle(uplo, "linalg.eigh"))
    except np.linalg.LinAlgError as error:
        raise _no_convergence("linalg.eigh", error) from None
    return w, v


@quiet
def eigvalsh(a: Array, uplo: str = "L") -> Array:
    """Real eigenvalues in ascending order of a Hermitian matrix, from one triangle."""
    _require_square(a, "linalg.eigvalsh")
    try:
        return np.linalg.eigvalsh(a, _check_triangle(uplo, "linalg.eigvalsh"))
    except np.linalg.LinAlgError as error:
        raise _no_convergence("linalg.eigvalsh", error) from None


def _complex_dtype(a: Array) -> np.dtype[Any]:
    return COMPLEX128 if a.dtype in (FLOAT64, COMPLEX128) else COMPLEX64


def _require_finite(a: Array, name: str) -> None:
    if not np.isfinite(a).all():
        raise RuntimeError(f"torch.{name}: input tensor should not contain infs or NaNs.")


@quiet
def eig(a: Array) -> tuple[Array, Array]:
    """Complex eigenvalues and eigenvectors (columns of norm 1) of square matrices."""
    _require_square(a, "linalg.eig")
    _require_finite(a, "linalg.eig")
    try:
        w, v = np.linalg.eig(a)
    except np.linalg.LinAlgError as error:
        raise _no_convergence("linalg.eig", error) from None
    return finish(w, _complex_dtype(a)), finish(v, _complex_dtype(a))


@quiet
def eigvals(a: Array) -> Array:
    """Complex eigenvalues of square matrices."""
    _require_square(a, "linalg.eigvals")
    _require_finite(a, "linalg.eigvals")
    try:
        return finish(np.linalg.eigvals(a), _complex_dtype(a))
    except np.linalg.LinAlgError as error:
        raise _no_convergence("linalg.eigvals", error) from None


# ---- determinants and functions of matrices -------------------------------------------------------------------------


@quiet
def det(a: Array) -> Array:
    """Determinant; 1 for a 0 by 0 matrix."""
    _require_square(a, "linalg.det")
    return finish(np.linalg.det(a), a.dtype)


@quiet
def slogdet(a: Array) -> tuple[Array, Array]:
    """Sign (unit complex number for complex input, 0 if singular) and logarithm of the determinant's modulus."""
    _require_square(a, "linalg.slogdet")
    sign, logabsdet = np.linalg.slogdet(a)
    return finish(sign, a.dtype), finish(logabsdet, real_dtype(a.dtype))


@quiet
def matrix_exp(a: Array) -> Array:
    """Matrix exponential by scaling and squaring with the [13/13] Padé approximant (Higham 2005)."""
    _require_square(a, "linalg.matrix_exp")
    if a.size == 0:
        return a.copy()
    wide = a.astype(COMPLEX128 if a.dtype.kind == "c" else FLOAT64)
    norms = np.absolute(wide).sum(axis=-2).max(axis=-1)
    if not np.isfinite(norms).all():
        return np.full_like(a, np.nan)
    halvings = np.maximum(np.ceil(np.log2(np.maximum(norms, 1e-300) / PADE_THETA)), 0).astype(np.int64)
    x = wide / np.exp2(halvings)[..., None, None]
    unit = np.eye(a.shape[-1], dtype=x.dtype)
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    b = PADE
    odd = x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * unit
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * unit
    odd = x @ odd
    result = np.linalg.solve(even - odd, even + odd)
    for done in range(int(halvings.max())):
        result = np.where((halvings > done)[..., None, None], result @ result, result)
    return finish(result, a.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        inv,
        inv_ex,
        solve,
        solve_ex,
        cholesky,
        cholesky_ex,
        qr,
        geqrf,
        svd,
        svdvals,
        eigh,
        eigvalsh,
        eig,
        eigvals,
        det,
        slogdet,
        lstsq,
        pinv,
        matrix_exp,
        solve_triangular,
        lu,
        lu_factor,
        lu_factor_ex,
        lu_unpack,
        lu_solve,
    )
}
