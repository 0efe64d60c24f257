"""Linear algebra: values against torch where they are unique, defining equations where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import reference
from rushlight.base.errors import LinAlgError

torch = pytest.importorskip("torch", reason="parity tests need torch")
DTYPES = [np.dtype(c) for c in ("f8", "f4", "c16", "c8")]
TOLERANCE = {"f": 2e-4, "F": 2e-4, "d": 1e-11, "D": 1e-11}


def matrix(dtype, shape, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.kind == "c" else x).astype(dtype)


def h(a):
    return np.conjugate(np.swapaxes(a, -1, -2))


def hermitian(dtype, shape, seed=1):
    a = matrix(dtype, shape, seed)
    return a @ h(a) + np.eye(shape[-1], dtype=dtype)


def close(a, b, dtype):
    np.testing.assert_allclose(a, b, rtol=TOLERANCE[dtype.char], atol=TOLERANCE[dtype.char])


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4, 4), (0, 4, 4), (0, 0), (20, 20)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_square(parity, dtype, shape):
    a = matrix(dtype, shape)
    t = parity.tensor(a)
    tolerance = dict(rtol=TOLERANCE[dtype.char] * 20, atol=TOLERANCE[dtype.char] * 20)
    parity.check(reference.inv(a), torch.linalg.inv(t), **tolerance)
    parity.check(reference.det(a), torch.linalg.det(t), **tolerance)
    parity.check(reference.slogdet(a), torch.linalg.slogdet(t), **tolerance)
    parity.check(reference.matrix_exp(a), torch.linalg.matrix_exp(t), **tolerance)
    b = matrix(dtype, (*shape[:-1], 3), 2)
    parity.check(reference.solve(a, b), torch.linalg.solve(t, parity.tensor(b)), **tolerance)
    right = np.ascontiguousarray(np.swapaxes(b, -1, -2))
    parity.check(reference.solve(a, right, False), torch.linalg.solve(t, parity.tensor(right), left=False), **tolerance)
    if a.size:
        vectors = b[..., 0]
        parity.check(reference.solve(a, vectors), torch.linalg.solve(t, parity.tensor(vectors)), **tolerance)
    packed, pivots = reference.lu_factor(a)
    theirs = torch.linalg.lu_factor(t)
    parity.check((packed, pivots), theirs, **tolerance)
    parity.check(reference.lu_solve(packed, pivots, b), torch.linalg.lu_solve(*theirs, parity.tensor(b)), **tolerance)
    wanted = torch.linalg.lu_solve(*theirs, parity.tensor(b), adjoint=True)
    parity.check(reference.lu_solve(packed, pivots, b, True, True), wanted, **tolerance)
    wanted = torch.linalg.lu_solve(*theirs, parity.tensor(right), left=False)
    result = reference.lu_solve(packed, pivots, right, False)
    parity.check(np.array(result), wanted, **tolerance)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 5, 3), (0, 3, 5)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rectangular(parity, dtype, shape):
    a = matrix(dtype, shape)
    t = parity.tensor(a)
    tolerance = dict(rtol=TOLERANCE[dtype.char], atol=TOLERANCE[dtype.char])
    p, lower, upper = reference.lu(a)
    parity.check((p, lower, upper), torch.linalg.lu(t), **tolerance)
    close(p @ lower @ upper, a, dtype)
    for mode in ("reduced", "complete", "r"):
        q, r = reference.qr(a, mode)
        wanted = torch.linalg.qr(t, mode)
        assert q.shape == tuple(wanted.Q.shape) and r.shape == tuple(wanted.R.shape)
        assert q.dtype == dtype and r.dtype == dtype
        if mode != "r":
            close(q @ r, a, dtype)
            close(h(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*q.shape[:-2], q.shape[-1], q.shape[-1])), dtype)
    for full in (True, False):
        u, s, vh = reference.svd(a, full)
        wanted = torch.linalg.svd(t, full)
        assert u.shape == tuple(wanted.U.shape) and vh.shape == tuple(wanted.Vh.shape)
        parity.check(s, wanted.S, **tolerance)
        k = s.shape[-1]
        close((u[..., :, :k] * s[..., None, :]) @ vh[..., :k, :], a, dtype)
    parity.check(reference.svdvals(a), torch.linalg.svdvals(t), **tolerance)
    parity.check(reference.pinv(a), torch.linalg.pinv(t), **tolerance)
    parity.check(reference.pinv(a, atol=0.9), torch.linalg.pinv(t, atol=0.9), **tolerance)
    parity.check(reference.pinv(a, rtol=0.5), torch.linalg.pinv(t, rtol=0.5), **tolerance)
    b = matrix(dtype, (*shape[:-1], 2), 2)
    parity.check(reference.lstsq(a, b), torch.linalg.lstsq(t, parity.tensor(b), driver="gelsd"), **tolerance)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 4, 4), (0, 0)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_hermitian(parity, dtype, shape):
    a = hermitian(dtype, shape)
    t = parity.tensor(a)
    tolerance = dict(rtol=TOLERANCE[dtype.char], atol=TOLERANCE[dtype.char])
    for upper in (False, True):
        parity.check(reference.cholesky(a, upper), torch.linalg.cholesky(t, upper=upper), **tolerance)
    for uplo in "LU":
        w, v = reference.eigh(a, uplo)
        parity.check(w, torch.linalg.eigvalsh(t, uplo), **tolerance)
        parity.check(reference.eigvalsh(a, uplo), torch.linalg.eigvalsh(t, uplo), **tolerance)
        close(a @ v, v * w[..., None, :], dtype)
    parity.check(reference.pinv(a, hermitian=True), torch.linalg.pinv(t, hermitian=True), **tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_eig_is_always_complex(parity, dtype):
    for a in (matrix(dtype, (4, 4)), hermitian(dtype, (2, 3, 3))):
        w, v = reference.eig(a)
        assert w.dtype.kind == v.dtype.kind == "c"
        close(a @ v, v * w[..., None, :], dtype)
        close(np.linalg.norm(v, axis=-2), np.ones(w.shape), dtype)
        wanted = parity.array(torch.linalg.eigvals(parity.tensor(a)))
        close(np.sort_complex(reference.eigvals(a).reshape(-1)), np.sort_complex(wanted.reshape(-1)), dtype)


@pytest.mark.parametrize("n", [0, 1, 5, 16, 17, 50])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_solve_triangular(parity, dtype, n):
    a = matrix(dtype, (2, n, n)) * dtype.type(0.1) + 3 * np.eye(n, dtype=dtype)
    b = matrix(dtype, (2, n, 3), 2)
    right = np.ascontiguousarray(np.swapaxes(b, -1, -2))
    for upper in (False, True):
        for unit in (False, True):
            t = parity.tensor(a)
            keywords = dict(upper=upper, unitriangular=unit)
            tolerance = dict(rtol=TOLERANCE[dtype.char] * 10, atol=TOLERANCE[dtype.char] * 10)
            wanted = torch.linalg.solve_triangular(t, parity.tensor(b), **keywords)
            parity.check(reference.solve_triangular(a, b, upper, True, unit), wanted, **tolerance)
            wanted = torch.linalg.solve_triangular(t, parity.tensor(right), left=False, **keywords)
            parity.check(reference.solve_triangular(a, right, upper, False, unit), wanted, **tolerance)
    if n:
        wanted = torch.linalg.solve_triangular(parity.tensor(a[0]), parity.tensor(b), upper=True)
        parity.check(reference.solve_triangular(a[0], b, True), wanted, **tolerance)


def test_matrix_exp_of_large_and_zero_matrices(parity):
    for a in (np.zeros((3, 3)), matrix(np.dtype("f8"), (5, 3, 3)) * np.array([1e-8, 0.1, 1, 10, 30])[:, None, None]):
        parity.check(reference.matrix_exp(a), torch.linalg.matrix_exp(parity.tensor(a)), rtol=1e-9, atol=1e-12)


def test_errors(parity):
    zero = np.zeros((2, 2), np.float32)
    tz = parity.tensor(zero)
    batch = np.stack([np.eye(2, dtype=np.float32), zero])
    tb = parity.tensor(batch)
    ones = np.ones((2, 1), np.float32)
    t1 = parity.tensor(ones)
    minus = -np.eye(2, dtype=np.float32)
    cases = [
        (lambda: reference.inv(zero), lambda: torch.linalg.inv(tz), "diagonal element 1 is zero"),
        (lambda: reference.inv(batch), lambda: torch.linalg.inv(tb), r"\(Batch element 1\)"),
        (lambda: reference.solve(zero, ones), lambda: torch.linalg.solve(tz, t1), "singular"),
        (
            lambda: reference.cholesky(minus),
            lambda: torch.linalg.cholesky(parity.tensor(minus)),
            "leading minor of order 1",
        ),
        (
            lambda: reference.cholesky(np.stack([-minus, minus])),
            lambda: torch.linalg.cholesky(torch.stack([-parity.tensor(minus), parity.tensor(minus)])),
            r"Batch element 1",
        ),
        (lambda: reference.svd(zero / 1 + np.float32(np.nan)), lambda: torch.linalg.svd(tz + torch.nan), "non-finite"),
    ]
    for kernel, oracle, match in cases:
        parity.same_error(kernel, oracle, match)
        with pytest.raises(LinAlgError):
            kernel()
    parity.same_error(lambda: reference.lu_factor(zero), lambda: torch.linalg.lu_factor(tz), r"U\[1,1\] is zero")
    parity.same_error(
        lambda: reference.eig(zero + np.float32(np.inf)), lambda: torch.linalg.eig(tz + torch.inf), "infs or NaNs"
    )
    parity.same_error(lambda: reference.inv(ones), lambda: torch.linalg.inv(t1), "square")
    parity.same_error(
        lambda: reference.solve(minus, ones[:1]),
        lambda: torch.linalg.solve(parity.tensor(minus), t1[:1]),
        "Incompatible",
    )
    parity.same_error(lambda: reference.qr(zero, "full"), lambda: torch.linalg.qr(tz, "full"), "'full'")
    parity.check(reference.solve_triangular(zero, ones, True), torch.linalg.solve_triangular(tz, t1, upper=True))
