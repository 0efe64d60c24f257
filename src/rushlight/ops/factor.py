"""Triangular and orthogonal factors of matrices: Cholesky, LU, QR and Householder reflections."""

from __future__ import annotations

from typing import Any

from rushlight.core.primitive import SAME, Primitive, apply1, apply2, apply_multi, applyn
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import serve, write_out
from rushlight.ops.linear_checks import named, need_matrix, need_same_dtype, need_square, write_outs
from rushlight.ops.shape import cat
from rushlight.ops.solve import solve_triangular


class Cholesky(Primitive):
    """The triangular factor L of `A = L L^h` (upper: U of `A = U^h U`)."""

    __slots__ = ("upper", "title")
    name = "linalg_cholesky"
    node_name = "LinalgCholeskyExBackward0"

    def __init__(self, upper: bool, title: str = "linalg.cholesky") -> None:
        self.upper = upper
        self.title = title

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cholesky(arrays[0], self.upper, self.title)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """dL = L p(L^-1 dA L^-h), where p keeps the lower triangle and half of the diagonal."""
        lower, g = (saved[0].mH, g.mH) if self.upper else (saved[0], g)
        m = (lower.mH @ g).tril()
        m = (m + m.tril(-1).mH) * 0.5
        m = solve_triangular(lower.mH, m, upper=True)
        return solve_triangular(lower, m, upper=False, left=False)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return linalg_cholesky, tensors, {"upper": self.upper}


class LegacyCholesky(Cholesky):
    """What `torch.cholesky` records."""

    __slots__ = ()
    name = "cholesky"


class CholeskyEx(Cholesky):
    """The factor and LAPACK's info."""

    __slots__ = ()
    name = "linalg_cholesky_ex"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cholesky_ex(arrays[0], self.upper)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return None if g[0] is None else super().vjp(saved, g[0], needs)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return cholesky_ex, tensors, {"upper": self.upper}


class CholeskySolve(Primitive):
    """X with `L L^h X = B` from the factor: `cholesky_solve(B, L)`."""

    __slots__ = ("upper",)
    name = "cholesky_solve"
    promotion = SAME

    def __init__(self, upper: bool) -> None:
        self.upper = upper

    def forward(self, k: Any, *arrays: Any) -> Any:
        b, factor = arrays
        lower = k.conj(factor.swapaxes(-1, -2)) if self.upper else factor
        y = k.solve_triangular(lower, b, False, True, False)
        return k.solve_triangular(k.conj(lower.swapaxes(-1, -2)), y, True, True, False)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[1], (output if needs[1] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        factor, x = saved
        gb = apply2(self, g, factor)
        if not needs[1]:
            return gb, None
        product = gb @ x.mH
        product = product + product.mH
        gl = (factor @ product).triu() if self.upper else (product @ factor).tril()
        return gb if needs[0] else None, -gl


class CholeskyInverse(Primitive):
    """The inverse of `L L^h` from the factor."""

    __slots__ = ("upper",)
    name = "cholesky_inverse"

    def __init__(self, upper: bool) -> None:
        self.upper = upper

    def forward(self, k: Any, *arrays: Any) -> Any:
        factor = arrays[0]
        lower = k.conj(factor.swapaxes(-1, -2)) if self.upper else factor
        unit = k.expand(k.eye(factor.shape[-1], factor.shape[-1], factor.dtype), factor.shape)
        inverse = k.solve_triangular(lower, unit, False, True, False)
        return k.matmul(k.conj(inverse.swapaxes(-1, -2)), inverse)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        factor, inverse = saved
        m = inverse @ (g + g.mH) @ inverse
        return -(factor @ m).triu() if self.upper else -(m @ factor).tril()


class LuFactorEx(Primitive):
    """Packed LU factors, pivots and info of `A = P L U`."""

    __slots__ = ("pivot",)
    name = "linalg_lu_factor_ex"
    outputs = 3

    def __init__(self, pivot: bool) -> None:
        self.pivot = pivot

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.lu_factor_ex(arrays[0], self.pivot)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output[0], output[1]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        if g[0] is None:
            return None
        k = min(saved[0]._shape[-2:])
        p, lower, upper = lu_unpack(*saved)
        return lu_cotangent(p, lower, upper, g[0][..., :k].tril(-1), g[0][..., :k, :].triu())


class Lu(Primitive):
    """P, L and U with `A = P L U`; without `pivot` P is empty."""

    __slots__ = ("pivot",)
    name = "linalg_lu"
    outputs = 3

    def __init__(self, pivot: bool) -> None:
        self.pivot = pivot

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.lu(arrays[0], self.pivot)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output[0].detach(), output[1], output[2]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        p, lower, upper = saved
        gl, gu = g[1], g[2]
        if gl is None and gu is None:
            return None
        gl = lower.new_zeros(lower._shape) if gl is None else gl.tril(-1)
        gu = upper.new_zeros(upper._shape) if gu is None else gu.triu()
        return lu_cotangent(p if self.pivot else None, lower, upper, gl, gu)


class LuUnpack(Primitive):
    """P, L and U from packed factors and pivots."""

    __slots__ = ("data", "pivots")
    name = "lu_unpack"
    outputs = 3

    def __init__(self, data: bool, pivots: bool) -> None:
        self.data = data
        self.pivots = pivots

    def forward(self, k: Any, *arrays: Any) -> Any:
        p, lower, upper = k.lu_unpack(arrays[0], arrays[1])
        none = (0,)
        return (
            p if self.pivots else k.zeros(none, p.dtype),
            lower if self.data else k.zeros(none, p.dtype),
            upper if self.data else k.zeros(none, p.dtype),
        )

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        rows, cols = shape[-2:]
        parts = []
        if g[1] is not None:
            strict = g[1].tril(-1)
            fill = strict.new_zeros((*shape[:-1], max(cols - rows, 0)))
            parts.append(cat([strict, fill], -1))
        if g[2] is not None:
            upper = g[2].triu()
            fill = upper.new_zeros((*shape[:-2], max(rows - cols, 0), cols))
            parts.append(cat([upper, fill], -2))
        return (sum(parts[1:], parts[0]) if parts else None), None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return lu_unpack, tensors, {"unpack_data": self.data, "unpack_pivots": self.pivots}


class LuSolve(Primitive):
    """X with `A X = B` (`X A = B`, or with A's adjoint) from A's packed factors: `(LU, pivots, B)`."""

    __slots__ = ("left", "adjoint")
    name = "linalg_lu_solve"

    def __init__(self, left: bool, adjoint: bool) -> None:
        self.left = left
        self.adjoint = adjoint

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.lu_solve(*arrays, self.left, self.adjoint)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], inputs[1], (output if needs[0] else None)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        packed, pivots, x = saved
        gb = applyn(LuSolve(self.left, not self.adjoint), (packed, pivots, g))
        if not needs[0]:
            return None, None, gb
        # The cotangent of A itself, then of its factors.
        if self.left:
            ga = -(x @ gb.mH) if self.adjoint else -(gb @ x.mH)
        else:
            ga = -(gb.mH @ x) if self.adjoint else -(x.mH @ gb)
        p, lower, upper = lu_unpack(packed, pivots)
        inner = p.mT @ ga
        return (inner @ upper.mH).tril(-1) + (lower.mH @ inner).triu(), None, gb if needs[2] else None


class Qr(Primitive):
    """Q with orthonormal columns and upper triangular R, `A = Q R`."""

    __slots__ = ("mode",)
    name = "linalg_qr"
    outputs = 2

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.qr(arrays[0], self.mode)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output[0], output[1], inputs[0]._shape

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        q, r, (*_, rows, cols) = saved
        gq, gr = g
        if self.mode == "r":
            raise RuntimeError(
                "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
                "linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
            )
        if self.mode == "complete" and rows > cols:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols; use mode='reduced'."
            )
        gq = q.new_zeros(q._shape) if gq is None else gq
        if rows >= cols:
            return qr_cotangent(q, r, gq, gr)
        # A = [A1 A2]: A1 = Q R1, and R2 = Q^h A2.
        if gr is None:
            return cat([qr_cotangent(q, r[..., :rows], gq, None), q.new_zeros((*q._shape[:-1], cols - rows))], -1)
        gr1, gr2 = gr[..., :rows], gr[..., rows:]
        gq = gq + (q @ r[..., rows:]) @ gr2.mH
        return cat([qr_cotangent(q, r[..., :rows], gq, gr1), q @ gr2], -1)


def qr_cotangent(q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """The cotangent of a matrix with at least as many rows as columns.

    With W = Q^h dA R^-1: dR = T R and dQ = dA R^-1 - Q T, where T is the upper triangle of W + W^h, its diagonal halved.
    """
    y = -(q.mH @ gq)
    if gr is not None:
        y = y + gr @ r.mH
    strict = y.triu(1)
    z = strict + strict.mH + y.diagonal(0, -2, -1).real.diag_embed()
    return solve_triangular(r.mH, gq + q @ z, upper=False, left=False)


def lu_cotangent(p: Any, lower: Any, upper: Any, gl: Any, gu: Any) -> Any:
    """The cotangent of A = P L U from those of L (strictly lower) and U (upper triangular).

    With M = L1^-1 P^t dA1 U1^-1 for the leading square part: dL1 = L1 tril(M, -1) and dU1 = triu(M) U1.
    """
    rows, cols = lower._shape[-2], upper._shape[-1]
    k = min(rows, cols)
    l1, u1 = lower[..., :k, :], upper[..., :k]
    m = (l1.mH @ gl[..., :k, :]).tril(-1) + (gu[..., :k] @ u1.mH).triu()
    if rows > cols:  # L2 = A2 U^-1
        m = m - (lower[..., k:, :].mH @ gl[..., k:, :]).triu()
    elif cols > rows:  # U2 = L^-1 A2
        m = m - (gu[..., k:] @ upper[..., k:].mH).tril(-1)
    ga = solve_triangular(l1.mH, solve_triangular(u1.mH, m, upper=False, left=False), upper=True, unitriangular=True)
    if rows > cols:
        ga = cat([ga, solve_triangular(u1.mH, gl[..., k:, :], upper=False, left=False)], -2)
    elif cols > rows:
        ga = cat([ga, solve_triangular(l1.mH, gu[..., k:], upper=True, unitriangular=True)], -1)
    return ga if p is None else p @ ga


def linalg_cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Any:
    """The lower triangular L with `A = L L^h` (upper: U with `A = U^h U`) of Hermitian positive-definite matrices.

    Only one triangle of A is read. Raises `LinAlgError` when a matrix is not positive-definite.
    """
    need_square("linalg.cholesky", A)
    result = apply1(Cholesky(bool(upper)), A)
    return result if out is None else write_out(out, result, "linalg.cholesky")


def cholesky(input: Any, upper: bool = False, *, out: Any = None) -> Any:
    """`linalg.cholesky` under its older name."""
    need_square("cholesky", input)
    result = apply1(LegacyCholesky(bool(upper), "cholesky"), input)
    return result if out is None else write_out(out, result, "cholesky")


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """(L, info): info is 0, or the order of the first leading minor that is not positive-definite; L is then NaN."""
    need_square("linalg.cholesky", A)
    if check_errors:
        linalg_cholesky(A.detach(), upper=upper)
    return named("linalg_cholesky_ex", "L info", apply_multi(CholeskyEx(bool(upper)), (A,)), out)


def cholesky_solve(B: Any, L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """X with `A X = B`, from the Cholesky factor L of A (U when `upper`)."""
    need_matrix("cholesky_solve", B, "B")
    need_square("cholesky_solve", L, "L")
    need_same_dtype("cholesky_solve", L, B)
    result = apply2(CholeskySolve(bool(upper)), B, L)
    return result if out is None else write_out(out, result, "cholesky_solve")


def cholesky_inverse(L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The inverse of A, from its Cholesky factor L (U when `upper`)."""
    need_square("cholesky_inverse", L, "L")
    result = apply1(CholeskyInverse(bool(upper)), L)
    return result if out is None else write_out(out, result, "cholesky_inverse")


def lu_factor(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """(LU, pivots): the factors of `A = P L U` packed into one matrix; pivots are counted from 1.

    Raises `RuntimeError` when a pivot is zero (`lu_factor_ex` does not).
    """
    need_matrix("linalg.lu_factor", A)
    found = apply_multi(LuFactorEx(bool(pivot)), (A,))
    if type(found) is not tuple:
        return found
    packed, pivots, info = found
    _check_pivots(packed, info)
    return named("linalg_lu_factor", "LU pivots", (packed, pivots), out)


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """(LU, pivots, info): info is 0, or the first zero pivot."""
    need_matrix("linalg.lu_factor", A)
    found = apply_multi(LuFactorEx(bool(pivot)), (A,))
    if check_errors and type(found) is tuple:
        _check_pivots(found[0], found[2])
    return named("linalg_lu_factor_ex", "LU pivots info", found, out)


def _check_pivots(packed: Any, info: Any) -> None:
    if info._device.type == "meta" or not bool((info != 0).any()):
        return
    codes = info.reshape(-1).tolist()
    first = next(i for i, code in enumerate(codes) if code)
    note = f"(Batch element {first}): " if len(packed._shape) > 2 else ""
    raise RuntimeError(
        f"torch.linalg.lu_factor: {note}U[{codes[first]},{codes[first]}] is zero and using it on lu_solve would result in a "
        "division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
        "linalg.lu_factor_ex(A, pivot)"
    )


def lu(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """(P, L, U) with `A = P L U`; without `pivot` P is the empty tensor."""
    need_matrix("linalg.lu", A)
    return named("linalg_lu", "P L U", _constant_p(apply_multi(Lu(bool(pivot)), (A,))), out)


def _constant_p(found: Any) -> Any:
    """A permutation does not change with A: the first of (P, L, U) claims no history."""
    return (found[0].detach(), *found[1:]) if type(found) is tuple else found


def packed_lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """`torch.lu`: (LU, pivots), with infos when `get_infos`; `linalg.lu_factor` under its older name."""
    need_matrix("lu", A)
    found = tuple(apply_multi(LuFactorEx(bool(pivot)), (A,)))
    if not get_infos:
        _check_pivots(found[0], found[2])
        found = found[:2]
    return found if out is None else write_outs(out, found, "lu")


def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True, *, out: Any = None) -> Any:
    """(P, L, U) from the packed factors and pivots of `lu_factor`; what is not unpacked is empty."""
    need_matrix("lu_unpack", LU_data, "LU_data")
    found = apply_multi(LuUnpack(bool(unpack_data), bool(unpack_pivots)), (LU_data, LU_pivots))
    return named("lu_unpack", "P L U", _constant_p(found), out)


def lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False, out: Any = None) -> Any:
    """X with `A X = B` (`X A = B` when not `left`; A's adjoint when `adjoint`) from `lu_factor(A)`."""
    need_square("linalg.lu_solve", LU, "LU")
    need_matrix("linalg.lu_solve", B, "B")
    need_same_dtype("linalg.lu_solve", LU, B)
    result = applyn(LuSolve(bool(left), bool(adjoint)), (LU, pivots, B))
    return result if out is None else write_out(out, result, "linalg.lu_solve")


def linalg_qr(A: Any, mode: str = "reduced", *, out: Any = None) -> Any:
    """(Q, R) with `A = Q R`: Q with orthonormal columns, R upper triangular.

    mode: "reduced" (Q is m by min(m, n)), "complete" (m by m), or "r" (Q is empty, and there is no derivative).
    """
    need_matrix("linalg.qr", A)
    return named("linalg_qr", "Q R", apply_multi(Qr(mode), (A,)), out)


def qr(input: Any, some: bool = True, *, out: Any = None) -> Any:
    """(Q, R) with `input = Q R`: `linalg.qr` with mode "reduced" (`some`) or "complete", under its older name."""
    need_matrix("linalg.qr", input, "input")
    return named("qr", "Q R", apply_multi(Qr("reduced" if some else "complete"), (input,)), out)


class Geqrf(Primitive):
    """R and Householder vectors in one matrix, and their factors."""

    __slots__ = ()
    name = "geqrf"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.geqrf(arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise RuntimeError("derivative for aten::geqrf is not implemented: use linalg.qr(A)")


def geqrf(input: Any, *, out: Any = None) -> Any:
    """(a, tau): R on and above the diagonal of `a`, Householder vectors below; tau are their factors."""
    need_matrix("geqrf", input, "input")
    return named("geqrf", "a tau", apply_multi(Geqrf(), (input,)), out)


def _reflect(vectors: Any, tau: Any, target: Any, order: Any) -> Any:
    """`target` multiplied from the left by the reflections I - tau_i v_i v_i^h, taken in `order`."""
    for i in order:
        v = cat([vectors.new_zeros((*vectors._shape[:-2], i, 1)), vectors.new_ones((*vectors._shape[:-2], 1, 1)),
                 vectors[..., i + 1 :, i : i + 1]], -2)  # fmt: skip
        target = target - tau[..., i, None, None] * (v @ (v.mH @ target))
    return target


def householder_product(A: Any, tau: Any, *, out: Any = None) -> Any:
    """The first n columns of the product of the reflections whose vectors stand below A's diagonal, (*, m, n)."""
    need_matrix("linalg.householder_product", A)
    need_tensor("linalg.householder_product", tau, "tau")
    rows, cols = A._shape[-2:]
    if rows < cols:
        raise RuntimeError("linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if tau._shape[-1] > cols:
        raise RuntimeError("linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    unit = A.new_ones(rows).diag()[:, :cols].expand(A._shape)
    result = _reflect(A, tau, unit, range(tau._shape[-1] - 1, -1, -1))
    return result if out is None else write_out(out, result, "linalg.householder_product")


def orgqr(input: Any, tau: Any) -> Any:
    """`linalg.householder_product` under its older name."""
    return householder_product(input, tau)


def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False, *, out: Any = None) -> Any:
    """`Q @ other` (`other @ Q` when not `left`; Q^h when `transpose`) with the full Q of `geqrf`."""
    need_matrix("ormqr", input, "input")
    count = tau._shape[-1]
    if left:
        result = _reflect(input, tau.conj() if transpose else tau, other, range(count) if transpose else range(count - 1, -1, -1))
    else:  # (other Q)^h = Q^h other^h
        flipped = _reflect(input, tau if transpose else tau.conj(), other.mH, range(count - 1, -1, -1) if transpose else range(count))
        result = flipped.mH
    return result if out is None else write_out(out, result, "ormqr")


for _primitive, _function in (
    (LegacyCholesky, cholesky), (CholeskySolve, cholesky_solve), (CholeskyInverse, cholesky_inverse), (LuFactorEx, lu_factor_ex),
    (Lu, lu), (LuSolve, lu_solve), (Qr, linalg_qr), (Geqrf, geqrf),
):
    serve(_primitive, _function)
