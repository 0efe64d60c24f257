"""Matrix products against torch."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
DTYPES = [np.dtype(c) for c in ("f8", "f4", "c8", "c16", "i8", "i4", "u1")] + [
    np.dtype("f2"),
    np.dtype(ml_dtypes.bfloat16),
]
TOLERANCE = {
    "float64": 1e-13,
    "float32": 1e-5,
    "complex64": 1e-5,
    "complex128": 1e-13,
    "float16": 3e-3,
    "bfloat16": 2e-2,
}


def values(dtype, shape, seed=1):
    rng = np.random.default_rng(seed)
    if dtype.kind in "iu":
        return rng.integers(0, 90, shape).astype(dtype)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.kind == "c" else x).astype(dtype)


SHAPES = [
    ((5,), (5,)),
    ((3, 5), (5,)),
    ((5,), (5, 2)),
    ((3, 5), (5, 2)),
    ((4, 3, 5), (5, 2)),
    ((4, 3, 5), (5,)),
    ((5,), (4, 5, 2)),
    ((3, 5), (4, 5, 2)),
    ((4, 3, 5), (4, 5, 2)),
    ((2, 1, 3, 5), (4, 5, 2)),
    ((0, 5), (5, 2)),
    ((3, 0), (0, 2)),
    ((2, 3, 0), (0, 2)),
    ((2, 0, 5), (5, 2)),
    ((0,), (0,)),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_matmul(parity, dtype):
    tolerance = TOLERANCE.get(dtype.name)
    for left, right in SHAPES:
        a, b = values(dtype, left), values(dtype, right, 2)
        for x, y in [
            (a, b),
            (np.asfortranarray(a), np.asfortranarray(b)),
            (a[..., ::1], values(dtype, (*right, 2))[..., 0]),
        ]:
            parity.check(reference.matmul(x, y), torch.matmul(parity.tensor(x), parity.tensor(y)), tolerance, tolerance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_named_products(parity, dtype):
    tolerance = TOLERANCE.get(dtype.name)
    a, b, v = values(dtype, (3, 5)), values(dtype, (5, 2), 2), values(dtype, (5,), 3)
    p, q = values(dtype, (4, 3, 5)), values(dtype, (4, 5, 2), 2)
    ta, tb, tv, tp, tq = (parity.tensor(x) for x in (a, b, v, p, q))

    def check(result, wanted):
        parity.check(result, wanted, tolerance, tolerance)

    check(reference.mm(a, b), ta @ tb)
    check(reference.mm(b.T, a.T), tb.T @ ta.T)
    check(reference.mv(a, v), ta.mv(tv))
    check(reference.dot(v, v), tv.dot(tv))
    check(reference.outer(v, a[:, 0]), torch.outer(tv, ta[:, 0]))
    check(reference.bmm(p, q), torch.bmm(tp, tq))
    c = values(dtype, (3, 2), 4)
    tc = parity.tensor(c)
    check(reference.addmm(c, a, b), torch.addmm(tc, ta, tb))
    check(reference.addmm(c[0], a, b, 2, 3), torch.addmm(tc[0], ta, tb, beta=2, alpha=3))
    check(reference.baddbmm(c, p, q, 2, 3), torch.baddbmm(tc, tp, tq, beta=2, alpha=3))
    x, y = values(dtype, (4, 3)), values(dtype, (4, 3), 2)
    check(reference.cross(x, y, 1), torch.linalg.cross(parity.tensor(x), parity.tensor(y)))
    check(reference.cross(x.T, y.T, 0), torch.linalg.cross(parity.tensor(x.T), parity.tensor(y.T), dim=0))


def test_beta_zero_ignores_nan(parity):
    c, a = np.full((2, 2), np.nan, np.float32), np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(reference.addmm(c, a, a, 0, 1), a)
    np.testing.assert_array_equal(reference.baddbmm(c[None], a[None], a[None], 0, 1), a[None])


def test_integers_are_exact_and_wrap_around(parity):
    rng = np.random.default_rng(0)
    big = rng.integers(-(2**40), 2**40, (6, 7))
    parity.check(reference.matmul(big, big.T), parity.tensor(big) @ parity.tensor(big.T))
    small = rng.integers(-(2**20), 2**20, (6, 7))
    assert (reference.matmul(small, small.T) == small.astype(object) @ small.T.astype(object)).all()
    lowest = np.full((1, 1), np.iinfo(np.int64).min)
    parity.check(reference.matmul(lowest, lowest), parity.tensor(lowest) @ parity.tensor(lowest))


def test_half_types_accumulate_in_float32():
    ones = np.ones((1, 4096), np.float16)
    assert reference.matmul(ones, ones.T)[0, 0] == 4096
    ones = ones.astype(ml_dtypes.bfloat16)
    assert reference.matmul(ones, ones.T)[0, 0] == 4096


def test_errors(parity):
    a, b = np.ones((3, 5)), np.ones((4, 2))
    ta, tb = parity.tensor(a), parity.tensor(b)
    parity.same_error(lambda: reference.matmul(a, b), lambda: ta @ tb, r"cannot be multiplied \(3x5 and 4x2\)")
    parity.same_error(lambda: reference.mv(a, b[0]), lambda: ta.mv(tb[0]), "size mismatch")
    parity.same_error(lambda: reference.dot(a[0], b[0]), lambda: ta[0].dot(tb[0]), "inconsistent")
    parity.same_error(lambda: reference.dot(a, a), lambda: ta.dot(ta), "1D tensors expected")
    parity.same_error(lambda: reference.bmm(a[None], b[None]), lambda: torch.bmm(ta[None], tb[None]), "Expected size")
    parity.same_error(lambda: reference.mm(a[0], a), lambda: torch.mm(ta[0], ta), "2D")
    parity.same_error(
        lambda: reference.matmul(a, np.array(1.0)), lambda: ta @ torch.tensor(1.0).double(), "at least 1D"
    )
    parity.same_error(lambda: reference.cross(b[:, :2], b, 1), lambda: torch.linalg.cross(tb[:, :2], tb), "length 3")
    yes = np.eye(2, dtype=bool)
    ty = parity.tensor(yes)
    parity.same_error(lambda: reference.matmul(yes, yes), lambda: ty @ ty, "'Bool'")
    parity.same_error(lambda: reference.dot(yes[0], yes[0]), lambda: ty[0].dot(ty[0]), "'Bool'")
