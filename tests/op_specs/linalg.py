"""Linear algebra. Matrices are kept away from singular ones, and spectra from close values, where derivatives blow up."""

import numpy as np

import rushlight as rl
import rushlight.linalg  # noqa: F401  (torch.linalg is imported when it is first used)
from rushlight.testing.op_spec import Spec

INF = float("inf")


def regular(*shape):
    """Matrices with singular values from about 1 to n, well apart."""

    def draw(rng):
        rows, cols = shape[-2:]
        k = min(rows, cols)
        u = np.linalg.qr(rng.standard_normal((*shape[:-2], rows, k)))[0]
        v = np.linalg.qr(rng.standard_normal((*shape[:-2], cols, k)))[0]
        return np.ascontiguousarray((u * (1 + np.arange(k) + rng.uniform(-0.2, 0.2, k))) @ np.swapaxes(v, -1, -2))

    return draw


def apart(*shape):
    """Square matrices with real eigenvalues, well apart."""

    def draw(rng):
        n = shape[-1]
        v = np.eye(n) + 0.3 * rng.uniform(-1, 1, shape)
        return (v * (1.0 + 2 * np.arange(n))) @ np.linalg.inv(v)

    return draw


def case(name, call, *inputs, complex=True, theirs=None, **kwargs):
    """A function `call(library, *tensors)` that both libraries spell the same, or `theirs(torch, *tensors)`."""
    spelled = theirs or call

    def theirs(*tensors):
        import torch

        return spelled(torch, *tensors)

    return Spec(name, lambda *tensors: call(rl, *tensors), list(inputs), torch_function=theirs, complex=complex, **kwargs)


def hermitian(t):
    return t + t.mH


def positive(t):
    n = t.shape[-1]
    return t @ t.mH / n + 0.5 * t.new_ones(n).diag()


def invariant(t):
    """What does not depend on the sign or phase of the columns: |v| and v v^h's entries."""
    return t.abs(), t[..., :, None, :] * t[..., None, :, :].conj()


def same_phase(u, s, vh):
    k = s.shape[-1]
    return s, (u[..., :k, None, :k] * vh.mT[..., None, :, :k]).sum(-1), u[..., :k].abs()


NORMS = [
    *[case(f"linalg.vector_norm-{p}", lambda m, t, p=p: m.linalg.vector_norm(t, p), (3, 4)) for p in (1, 2, 3, 0.5, -1, INF, -INF)],
    case("linalg.vector_norm-dim", lambda m, t: m.linalg.vector_norm(t, 3, (0, -1), True), (2, 3, 4)),
    case("linalg.vector_norm-zero", lambda m, t: m.linalg.vector_norm(t, 0, 1) + t.sum(), (3, 4)),
    *[
        case(f"linalg.matrix_norm-{p}", lambda m, t, p=p: m.linalg.matrix_norm(t, p), regular(2, 3, 4))
        for p in ("fro", "nuc", 2, -2, 1, -1, INF, -INF)
    ],
    case("linalg.matrix_norm-dim", lambda m, t: m.linalg.matrix_norm(t, "nuc", (2, 0), True), (3, 2, 4)),
    case("linalg.norm", lambda m, t: m.linalg.norm(t), (2, 3, 4)),
    case("linalg.norm-matrix", lambda m, t: m.linalg.norm(t, 1), (3, 4)),
    case("linalg.norm-vector", lambda m, t: m.linalg.norm(t, 3, 1), (3, 4)),
    case("norm", lambda m, t: m.norm(t), (3, 4)),
    case("norm-method", lambda m, t: t.norm(1.5, 1, keepdim=True), (3, 4)),
    case("norm-nuc", lambda m, t: m.norm(t, p="nuc"), regular(3, 4)),
    *[case(f"linalg.cond-{p}", lambda m, t, p=p: m.linalg.cond(t, p), regular(3, 3)) for p in (None, -2, "nuc")],
    *[
        case(  # torch overwrites what its own derivative needs here
            f"linalg.cond-{p}", lambda m, t, p=p: m.linalg.cond(t, p), regular(3, 3),
            theirs=lambda m, t, p=p: m.linalg.matrix_norm(t, p) * m.linalg.matrix_norm(m.linalg.inv(t), p),
        )
        for p in (1, "fro")
    ],
]

SYSTEMS = [
    case("linalg.inv", lambda m, t: m.linalg.inv(t), regular(2, 3, 3)),
    case("linalg.inv_ex", lambda m, t: m.linalg.inv_ex(t)[0], regular(3, 3)),
    case("linalg.solve", lambda m, a, b: m.linalg.solve(a, b), regular(3, 3), (3, 2)),
    case("linalg.solve-vector", lambda m, a, b: m.linalg.solve(a, b), regular(3, 3), (3,)),
    case("linalg.solve-vectors", lambda m, a, b: m.linalg.solve(a, b), regular(2, 3, 3), (2, 3)),
    case("linalg.solve-broadcast", lambda m, a, b: m.linalg.solve(a, b), regular(2, 1, 3, 3), (4, 3, 2)),
    case("linalg.solve-right", lambda m, a, b: m.linalg.solve(a, b, left=False), regular(3, 3), (2, 3)),
    case("linalg.solve_ex", lambda m, a, b: m.linalg.solve_ex(a, b)[0], regular(3, 3), (3, 2)),
    *[
        case(
            f"linalg.solve_triangular-{upper}-{left}-{unit}",
            lambda m, a, b, upper=upper, left=left, unit=unit: m.linalg.solve_triangular(
                a + 3 * a.new_ones(3).diag(), b if left else b.mT, upper=upper, left=left, unitriangular=unit
            ),
            (3, 3), (2, 3, 2),
        )
        for upper in (True, False) for left in (True, False) for unit in (True, False)
    ],
    case(  # torch warns of the older names
        "triangular_solve", lambda m, b, a: m.triangular_solve(b, a + 3 * a.new_ones(3).diag(), transpose=True)[0], (3, 2), (3, 3),
        theirs=lambda m, b, a: m.linalg.solve_triangular((a + 3 * a.new_ones(3).diag()).mT, b, upper=False),
    ),
    case("linalg.pinv", lambda m, t: m.linalg.pinv(t), regular(3, 4)),
    case("linalg.pinv-tall", lambda m, t: m.linalg.pinv(t), regular(2, 4, 3)),
    case("linalg.pinv-hermitian", lambda m, t: m.linalg.pinv(hermitian(t), hermitian=True), regular(3, 3), tolerance=1e-4),
    case("linalg.lstsq", lambda m, a, b: m.linalg.lstsq(a, b)[0], regular(4, 3), (4, 2)),
    case("linalg.lstsq-vector", lambda m, a, b: m.linalg.lstsq(a, b)[0], regular(4, 3), (4,)),
    case("linalg.lstsq-wide", lambda m, a, b: m.linalg.lstsq(a, b)[0], regular(3, 4), (3, 2)),
    case("linalg.lstsq-residuals", lambda m, a, b: m.linalg.lstsq(a, b, driver="gels")[:2], regular(4, 2), (4, 2), complex=False),
    case("linalg.lstsq-residual", lambda m, a, b: m.linalg.lstsq(a, b, driver="gelss")[:2], regular(4, 2), (4,), complex=False),
    case("linalg.tensorsolve", lambda m, a, b: m.linalg.tensorsolve(a.reshape(2, 3, 6), b), regular(6, 6), (2, 3)),
    case("linalg.tensorinv", lambda m, a: m.linalg.tensorinv(a.reshape(2, 3, 6), ind=2), regular(6, 6)),
    case("cholesky_solve", lambda m, b, t: m.cholesky_solve(b, t.tril() + 2 * t.new_ones(3).diag()), (3, 2), (3, 3)),
    case("cholesky_solve-upper", lambda m, b, t: m.cholesky_solve(b, t.triu() + 2 * t.new_ones(3).diag(), True), (3, 2), (3, 3)),
    case("cholesky_inverse", lambda m, t: m.cholesky_inverse(t.tril() + 2 * t.new_ones(3).diag()), (3, 3)),
    case("cholesky_inverse-upper", lambda m, t: m.cholesky_inverse(t.triu() + 2 * t.new_ones(3).diag(), upper=True), (3, 3)),
    *[
        case(
            f"linalg.lu_solve-{left}-{adjoint}",
            lambda m, a, b, left=left, adjoint=adjoint: m.linalg.lu_solve(
                *m.linalg.lu_factor(a), b if left else b.mT, left=left, adjoint=adjoint
            ),
            regular(2, 3, 3), (2, 3, 2),
        )
        for left in (True, False) for adjoint in (True, False)
    ],
]

FACTORS = [
    case("linalg.cholesky", lambda m, t: m.linalg.cholesky(positive(t)), regular(2, 3, 3)),
    case("linalg.cholesky-upper", lambda m, t: m.linalg.cholesky(positive(t), upper=True), regular(3, 3)),
    case("linalg.cholesky_ex", lambda m, t: m.linalg.cholesky_ex(positive(t))[0], regular(3, 3)),
    case("cholesky", lambda m, t: m.cholesky(positive(t)), regular(3, 3), theirs=lambda m, t: m.linalg.cholesky(positive(t))),
    *[case(f"linalg.lu-{s}", lambda m, t: m.linalg.lu(t)[1:], regular(*s)) for s in ((2, 3, 3), (4, 2), (2, 4))],
    *[case(f"linalg.lu_factor-{s}", lambda m, t: m.linalg.lu_factor(t)[0], regular(*s)) for s in ((3, 3), (2, 4, 2), (2, 4))],
    *[
        case(f"lu_unpack-{s}", lambda m, t: m.lu_unpack(*m.linalg.lu_factor(t))[1:], regular(*s)) for s in ((3, 3), (4, 2), (2, 4))
    ],
    *[
        case(f"linalg.qr-{mode}-{s}", lambda m, t, mode=mode: m.linalg.qr(t, mode), regular(*s))
        for mode, s in (("reduced", (2, 3, 3)), ("reduced", (4, 2)), ("reduced", (2, 4)), ("complete", (3, 3)), ("complete", (2, 4)))
    ],
    case("qr", lambda m, t: m.qr(t)[1], regular(3, 2), theirs=lambda m, t: m.linalg.qr(t)[1]),
    case("linalg.householder_product", lambda m, t, tau: m.linalg.householder_product(t, tau), (4, 3), (3,)),
    case("ormqr", lambda m, t, tau, o: m.ormqr(t, tau, o, transpose=True), (4, 3), (3,), (4, 2), complex=False),
    case("ormqr-right", lambda m, t, tau, o: m.ormqr(t, tau, o, left=False), (4, 3), (3,), (2, 4), complex=False),
]

SPECTRA = [
    *[
        case(f"linalg.svd-{s}", lambda m, t: same_phase(*m.linalg.svd(t, full_matrices=False)), regular(*s))
        for s in ((2, 3, 3), (4, 2), (2, 4))
    ],
    case("linalg.svd-full", lambda m, t: same_phase(*m.linalg.svd(t)), regular(4, 3)),
    case("linalg.svdvals", lambda m, t: m.linalg.svdvals(t), regular(2, 3, 4)),
    case("svd", lambda m, t: (lambda u, s, v: (s, (u[:, None, :] * v.conj()).sum(-1)))(*m.svd(t)), regular(4, 3)),
    case("linalg.eigh", lambda m, t: m.linalg.eigh(hermitian(t))[0], apart(2, 3, 3)),
    case("linalg.eigh-vectors", lambda m, t: invariant(m.linalg.eigh(hermitian(t))[1]), apart(3, 3)),
    case("linalg.eigh-upper", lambda m, t: m.linalg.eigh(hermitian(t), "U")[0], apart(3, 3)),
    case("linalg.eigvalsh", lambda m, t: m.linalg.eigvalsh(hermitian(t)), apart(3, 3)),
    case("linalg.eigvals", lambda m, t: (lambda w: ((w * w).real.sum(-1), (w.abs() ** 3).sum(-1)))(m.linalg.eigvals(t)), apart(2, 3, 3)),
    case("linalg.eig", lambda m, t: (lambda w, v: ((v.abs() * w.abs().unsqueeze(-2)).sum(-1)))(*m.linalg.eig(t)), apart(3, 3)),
    case("linalg.det", lambda m, t: m.linalg.det(t), regular(2, 3, 3)),
    case("det", lambda m, t: m.det(t), regular(3, 3)),
    case("linalg.slogdet", lambda m, t: m.linalg.slogdet(t), regular(2, 3, 3)),
    case("logdet", lambda m, t: m.logdet(positive(t)), regular(2, 3, 3)),
    case("linalg.matrix_exp", lambda m, t: m.linalg.matrix_exp(t), (2, 3, 3)),
]

PRODUCTS = [
    *[case(f"linalg.matrix_power-{n}", lambda m, t, n=n: m.linalg.matrix_power(t, n), regular(2, 3, 3)) for n in (1, 2, 3, 5, -1, -2)],
    case("linalg.cross", lambda m, a, b: m.linalg.cross(a, b), (2, 3), (1, 3)),
    case("cross", lambda m, a, b: m.cross(a, b, dim=0), (3, 2), (3, 2)),
    case("linalg.multi_dot", lambda m, a, b, c: m.linalg.multi_dot([a, b, c]), (4, 2), (2, 5), (5,)),
    case("linalg.vander", lambda m, t: m.linalg.vander(t, N=4), (2, 3)),
    case("linalg.vecdot", lambda m, a, b: m.linalg.vecdot(a, b, dim=0), (3, 2), (3, 2)),
    case("linalg.diagonal", lambda m, t: m.linalg.diagonal(t, offset=1), (2, 3, 4)),
]

SPECS = [*NORMS, *SYSTEMS, *FACTORS, *SPECTRA, *PRODUCTS]
