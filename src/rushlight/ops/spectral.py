"""Eigenvalues, singular values, determinants and functions of matrices."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.core.modes import local
from rushlight.core.primitive import Primitive, apply1, apply_multi, wants_grad
from rushlight.ops.common import serve, write_out
from rushlight.ops.linear_checks import named, need_matrix, need_real_gradient, need_square
from rushlight.ops.matmul import matmul
from rushlight.ops.shape import cat
from rushlight.ops.solve import inv_ex, solve
from rushlight.ops.where import where


class Svd(Primitive):
    """U, S, V^h with `A = U diag(S) V^h`."""

    __slots__ = ("full_matrices",)
    name = "linalg_svd"
    outputs = 3

    def __init__(self, full_matrices: bool) -> None:
        self.full_matrices = full_matrices

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.svd(arrays[0], self.full_matrices)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        u, s, vh = saved
        k = s._shape[-1]
        gu, gs, gvh = g
        # The further columns of square factors are any basis of the rest: nothing may depend on them.
        gu, gv = (None if gu is None else gu[..., :k]), (None if gvh is None else gvh[..., :k, :].mH)
        return svd_cotangent(u[..., :k], s, vh[..., :k, :], gu, gs, gv)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return linalg_svd, tensors, {"full_matrices": self.full_matrices}


class Svdvals(Primitive):
    """Singular values alone; where a gradient is wanted Svd is recorded instead."""

    __slots__ = ()
    name = "linalg_svdvals"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.svdvals(arrays[0])


class Eigh(Primitive):
    """Real eigenvalues and orthonormal eigenvectors of Hermitian matrices, read from one triangle."""

    __slots__ = ("UPLO",)
    name = "linalg_eigh"
    outputs = 2

    def __init__(self, UPLO: str) -> None:
        self.UPLO = UPLO

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.eigh(arrays[0], self.UPLO)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """dL = diag(V^h dA V) and dV = V (V^h dA V / E) with E_jk = L_k - L_j off the diagonal."""
        w, v = saved
        gw, gv = g
        if gv is None:
            return None if gw is None else matmul(v * _as(gw, v).unsqueeze(-2), v.mH)
        m = v.mH @ gv
        if v._dtype.category == COMPLEX:
            need_real_gradient("linalg_eigh_backward", m.diagonal(0, -2, -1).imag, "eigenvectors")
        inner = _over_gaps((m - m.mH) * 0.5, w)
        return v @ (inner if gw is None else inner + _as(gw, v).diag_embed()) @ v.mH


class Eigvalsh(Primitive):
    """Eigenvalues alone; where a gradient is wanted Eigh is recorded instead."""

    __slots__ = ("UPLO",)
    name = "linalg_eigvalsh"
    differentiable = False

    def __init__(self, UPLO: str) -> None:
        self.UPLO = UPLO

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.eigvalsh(arrays[0], self.UPLO)


class Eig(Primitive):
    """Complex eigenvalues and eigenvectors of norm 1."""

    __slots__ = ()
    name = "linalg_eig"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.eig(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """As for Hermitian matrices with V^-1 for V^h; a change along an eigenvector itself is taken out (norm 1)."""
        w, v = saved
        gw, gv = g
        if gw is None and gv is None:
            return None
        inner = None if gw is None else gw.diag_embed()
        if gv is not None:
            m = v.mH @ gv
            along = m.diagonal(0, -2, -1)
            need_real_gradient("linalg_eig_backward", along.imag, "eigenvectors")
            m = _over_gaps(m - (v.mH @ v) * along.real.unsqueeze(-2), w, conjugate=True)
            inner = m if inner is None else inner + m
        return solve(v.mH, inner @ v.mH)


class Eigvals(Primitive):
    """Eigenvalues alone; where a gradient is wanted Eig is recorded instead."""

    __slots__ = ()
    name = "linalg_eigvals"
    differentiable = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.eigvals(arrays[0])


class Det(Primitive):
    """The determinant."""

    __slots__ = ()
    name = "linalg_det"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.det(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], output

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g[..., None, None] * cofactors(*saved).conj()


class Slogdet(Primitive):
    """Sign and logarithm of the modulus of the determinant."""

    __slots__ = ()
    name = "linalg_slogdet"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.slogdet(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[0], output[0]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """d log|det| is the real part of trace(A^-1 dA); the sign turns by its imaginary part."""
        a, sign = saved
        g_sign, g_log = g
        scale = None if g_log is None else _as(g_log, a)
        if g_sign is not None and a._dtype.category == COMPLEX:
            turning = (g_sign * sign.conj()).imag * 1j
            scale = turning if scale is None else scale + turning
        if scale is None:  # a real sign does not change
            return a.new_zeros(a._shape)
        return scale[..., None, None] * inv_ex(a)[0].mH


class MatrixExp(Primitive):
    """The matrix exponential."""

    __slots__ = ()
    name = "linalg_matrix_exp"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.matrix_exp(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return _exp_derivative(saved[0].mH, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return _exp_derivative(saved[0], tangents[0])


def _exp_derivative(a: Any, direction: Any) -> Any:
    """The derivative of exp at `a` along `direction`: the upper right block of exp([[a, direction], [0, a]])."""
    n = a._shape[-1]
    top = cat([a, direction], -1)
    bottom = cat([a.new_zeros(a._shape), a], -1)
    return apply1(MATRIX_EXP, cat([top, bottom], -2))[..., :n, n:]


def _as(real: Any, like: Any) -> Any:
    """A real tensor in the dtype of `like`, which may be complex."""
    return real.to(like._dtype) if real._dtype is not like._dtype else real


def _over_gaps(m: Any, w: Any, conjugate: bool = False) -> Any:
    """`m` divided by E_jk = w_k - w_j off the diagonal, zero on it."""
    gaps = w.unsqueeze(-2) - w.unsqueeze(-1)
    if conjugate:
        gaps = gaps.conj()
    diagonal = m.new_ones(m._shape[-1]).diag() != 0
    return (m / gaps.masked_fill(diagonal, 1)).masked_fill(diagonal, 0)


def svd_cotangent(u: Any, s: Any, vh: Any, gu: Any, gs: Any, gv: Any) -> Any:
    """The cotangent of A = U diag(S) V^h with k columns in U and V, from those of U, S and V (each may be None).

    With P = U^h dA V: dS = Re diag(P), and dU, dV turn U and V by skew-Hermitian matrices that solve
    P = U^h dU S + dS + S dV^h V; what leaves their column spaces is added at the end.
    """
    if gu is None and gv is None:
        return None if gs is None else matmul(u * _as(gs, u).unsqueeze(-2), vh)
    inner = None if gs is None else _as(gs, u).diag_embed()
    squares = s * s
    phase = None
    for vectors, g, scale in ((u, gu, s.unsqueeze(-2)), (vh.mH, gv, s.unsqueeze(-1))):
        if g is None:
            continue
        m = vectors.mH @ g
        turned = _over_gaps(m - m.mH, squares) * scale
        inner = turned if inner is None else inner + turned
        if u._dtype.category == COMPLEX:
            along = m.diagonal(0, -2, -1).imag
            phase = along if phase is None else phase + along
            if vectors is u:
                inner = inner + (along / s * 1j).diag_embed()
    if phase is not None:
        need_real_gradient("svd_backward", phase, "singular vectors")
    found = u @ inner @ vh
    if gu is not None and u._shape[-2] > u._shape[-1]:
        part = gu / s.unsqueeze(-2)
        found = found + (part - u @ (u.mH @ part)) @ vh
    if gv is not None and vh._shape[-1] > vh._shape[-2]:
        part = (gv / s.unsqueeze(-2)).mH
        found = found + u @ (part - (part @ vh.mH) @ vh)
    return found


def cofactors(a: Any, det: Any) -> Any:
    """The matrices of cofactors, the derivative of the determinant: det(A) A^-t, also where A is singular.

    There they are the limit of `U diag(products of the other singular values) V^h` times det(U V^h), conjugated.
    """
    singular = det.detach() == 0
    if a._device.type == "meta" or not a.numel() or not bool(singular.any()):
        return det[..., None, None] * inv_ex(a)[0].mT
    u, s, vh = linalg_svd(a)
    one = s.new_ones(s._shape[-1]).diag() != 0
    others = s.unsqueeze(-2).expand(*s._shape, s._shape[-1]).masked_fill(one, 1).prod(-1)
    limit = (linalg_det(u) * linalg_det(vh))[..., None, None] * ((u * _as(others, u).unsqueeze(-2)) @ vh).conj()
    mask = singular[..., None, None]
    regular = where(mask, (one.to(a._dtype)).expand(a._shape), a)
    return where(mask, limit, det[..., None, None] * inv_ex(regular)[0].mT)


DET = Det()
SLOGDET = Slogdet()
EIG = Eig()
EIGVALS = Eigvals()
SVDVALS = Svdvals()
MATRIX_EXP = MatrixExp()


def recording(t: Any) -> bool:
    """Whether an operation on `t` would be recorded."""
    return local.modes.grad and wants_grad(t)


def linalg_svd(A: Any, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> Any:
    """(U, S, Vh) with `A = U diag(S) Vh`: S real, in descending order.

    With `full_matrices` U is m by m and Vh n by n, else they have min(m, n) columns and rows. `driver` is for CUDA only.
    Gradients of U and Vh exist for distinct singular values, and are unstable for close ones.
    """
    _no_driver("linalg.svd", driver)
    need_matrix("linalg.svd", A)
    return named("linalg_svd", "U S Vh", apply_multi(Svd(bool(full_matrices)), (A,)), out)


def svdvals(A: Any, *, driver: str | None = None, out: Any = None) -> Any:
    """The singular values in descending order, shape (*, min(m, n)); real."""
    _no_driver("linalg.svdvals", driver)
    need_matrix("linalg.svdvals", A)
    result = apply_multi(Svd(False), (A,))[1] if recording(A) else apply1(SVDVALS, A)
    return result if out is None else write_out(out, result, "linalg.svdvals")


def _no_driver(operation: str, driver: str | None) -> None:
    if driver is not None:
        raise RuntimeError(f"{operation}: keyword argument `driver=` is only supported on CUDA inputs, got {driver!r}")


def svd(input: Any, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """(U, S, V) with `input = U diag(S) V^h`: the older form of `linalg.svd` (V is not transposed).

    Without `compute_uv` U and V are zeros.
    """
    need_matrix("svd", input, "input")
    rows, cols = input._shape[-2:]
    if not compute_uv:
        batch = input._shape[:-2]
        found = (input.new_zeros((*batch, rows, rows)), svdvals(input), input.new_zeros((*batch, cols, cols)))
    else:
        u, s, vh = linalg_svd(input, not some)
        found = (u, s, vh.mH)
    return named("svd", "U S V", found, out)


def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """(eigenvalues, eigenvectors) of Hermitian matrices: `A = Q diag(L) Q^h`, eigenvalues real and ascending.

    Only the lower ("L") or upper ("U") triangle is read; the gradient is that of a Hermitian A.
    """
    need_square("linalg.eigh", A)
    return named("linalg_eigh", "eigenvalues eigenvectors", apply_multi(Eigh(_triangle("linalg.eigh", UPLO)), (A,)), out)


def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """The eigenvalues of Hermitian matrices in ascending order; real."""
    need_square("linalg.eigvalsh", A)
    triangle = _triangle("linalg.eigvalsh", UPLO)
    result = apply_multi(Eigh(triangle), (A,))[0] if recording(A) else apply1(Eigvalsh(triangle), A)
    return result if out is None else write_out(out, result, "linalg.eigvalsh")


def _triangle(operation: str, uplo: str) -> str:
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"{operation}: Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    return uplo.upper()


def eig(A: Any, *, out: Any = None) -> Any:
    """(eigenvalues, eigenvectors) of square matrices, both complex, in no particular order; eigenvectors of norm 1."""
    need_square("linalg.eig", A)
    return named("linalg_eig", "eigenvalues eigenvectors", apply_multi(EIG, (A,)), out)


def eigvals(A: Any, *, out: Any = None) -> Any:
    """The complex eigenvalues of square matrices, in no particular order."""
    need_square("linalg.eigvals", A)
    result = apply_multi(EIG, (A,))[0] if recording(A) else apply1(EIGVALS, A)
    return result if out is None else write_out(out, result, "linalg.eigvals")


def linalg_det(A: Any, *, out: Any = None) -> Any:
    """The determinant of square matrices, shape (*)."""
    need_square("linalg.det", A)
    result = apply1(DET, A)
    return result if out is None else write_out(out, result, "linalg.det")


def det(input: Any) -> Any:
    """The determinant of square matrices, shape (*)."""
    return linalg_det(input)


def linalg_slogdet(A: Any, *, out: Any = None) -> Any:
    """(sign, logabsdet): `det(A) = sign * exp(logabsdet)`, without overflow. A singular matrix gives (0, -inf)."""
    need_square("linalg.slogdet", A)
    return named("linalg_slogdet", "sign logabsdet", apply_multi(SLOGDET, (A,)), out)


def slogdet(input: Any, *, out: Any = None) -> Any:
    """(sign, logabsdet) of the determinant."""
    need_square("slogdet", input, "input")
    return named("slogdet", "sign logabsdet", apply_multi(SLOGDET, (input,)), out)


def logdet(input: Any) -> Any:
    """The logarithm of the determinant: -inf for 0, NaN for a negative one."""
    need_square("logdet", input, "input")
    sign, log_modulus = apply_multi(SLOGDET, (input,))
    if input._dtype.category == COMPLEX:
        return log_modulus + sign.log()
    return where(sign == -1, float("nan"), log_modulus)


def matrix_exp(input: Any) -> Any:
    """The matrix exponential of square matrices."""
    need_square("linalg.matrix_exp", input, "input")
    return apply1(MATRIX_EXP, input)


for _primitive, _function in (
    (Svdvals, svdvals), (Eigh, eigh), (Eigvalsh, eigvalsh), (Eig, eig), (Eigvals, eigvals), (Det, linalg_det),
    (Slogdet, linalg_slogdet), (MatrixExp, matrix_exp),
):  # fmt: skip
    serve(_primitive, _function)
