"""Reductions, order statistics, histograms and distinct elements against torch."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
inf, nan = np.inf, np.nan

BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), BF16]
INTS = [np.dtype(c) for c in ("i8", "i4", "u1", "?")]
ALL_DIMS = [(), (0,), (1,), (2,), (0, 2), (0, 1), (1, 2), (0, 1, 2)]


def values(dtype, shape=(3, 5, 4), seed=3):
    rng = np.random.default_rng(seed)
    if dtype.kind in "iub":
        return rng.integers(0, 2 if dtype.kind == "b" else 9, shape).astype(dtype)
    return rng.uniform(-2, 2, shape).astype(dtype)


def layouts(x):
    return [x, x.transpose(2, 0, 1), x[:, ::2], np.broadcast_to(x[:, :1], x.shape), np.asfortranarray(x)]


REDUCTIONS = {
    "sum": lambda t, d, k: t.sum(d, keepdim=k),
    "mean": lambda t, d, k: t.mean(d, keepdim=k),
    "amax": lambda t, d, k: t.amax(d, keepdim=k),
    "amin": lambda t, d, k: t.amin(d, keepdim=k),
    "nansum": lambda t, d, k: t.nansum(d, keepdim=k),
    "nanmean": lambda t, d, k: t.nanmean(d, keepdim=k),
    "logsumexp": lambda t, d, k: t.logsumexp(d, keepdim=k),
    "var": lambda t, d, k: t.var(d, correction=1, keepdim=k),
    "std": lambda t, d, k: t.std(d, correction=1, keepdim=k),
    "all": lambda t, d, k: t.all(d, keepdim=k),
    "any": lambda t, d, k: t.any(d, keepdim=k),
}
# torch reads an empty tuple of dims as all dims in these; in the kernels it means none
EMPTY_MEANS_ALL = ("sum", "mean", "amax", "amin", "nansum", "nanmean", "logsumexp", "var", "std")


def run(name, x, dims, keepdim):
    if name in ("var", "std"):
        return getattr(reference, name)(x, dims, 1, keepdim)
    return getattr(reference, name)(x, dims, keepdim)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_float_reductions(parity, name, dtype):
    for x, dims, keepdim in itertools.product(layouts(values(dtype)), ALL_DIMS, (False, True)):
        if not dims and name in EMPTY_MEANS_ALL:
            continue
        wanted = REDUCTIONS[name](parity.tensor(x), dims, keepdim)
        parity.check(run(name, x, dims, keepdim), wanted, rtol=1e-13 if dtype == np.float64 else None)


@pytest.mark.parametrize("dtype", INTS, ids=str)
@pytest.mark.parametrize("name", ["sum", "amax", "amin", "all", "any"])
def test_integer_reductions(parity, name, dtype):
    for x, dims, keepdim in itertools.product(layouts(values(dtype)), ALL_DIMS[1:], (False, True)):
        parity.check(run(name, x, dims, keepdim), REDUCTIONS[name](parity.tensor(x), dims, keepdim))


@pytest.mark.parametrize("dtype", [np.dtype("c8"), np.dtype("c16")], ids=str)
def test_complex_reductions(parity, dtype):
    x = (values(np.dtype("f8")) + 1j * values(np.dtype("f8"), seed=4)).astype(dtype)
    t = parity.tensor(x)
    for name in ("sum", "mean", "var", "std"):
        parity.check(run(name, x, (0, 2), False), REDUCTIONS[name](t, (0, 2), False))
    parity.check(reference.prod(x, (1,)), t.prod(1), rtol=1e-5)
    parity.check(reference.norm(x, 2, (0, 1)), torch.linalg.vector_norm(t, 2, (0, 1)))


def test_zero_dim_and_empty(parity):
    for name, dtype in itertools.product(set(REDUCTIONS) - {"var", "std"}, FLOATS[:2]):
        x = np.array(1.5, dtype)
        parity.check(run(name, x, (), False), REDUCTIONS[name](parity.tensor(x), (), False))
    for name in ("sum", "mean", "nansum", "logsumexp", "all", "any"):
        x = np.empty((0, 3), np.float32)
        parity.check(run(name, x, (0,), False), REDUCTIONS[name](parity.tensor(x), (0,), False))
    x = np.empty((0, 3), np.float32)
    t = parity.tensor(x)
    for name in ("amax", "amin"):
        parity.same_error(
            lambda n=name: getattr(reference, n)(x, (0,)), lambda n=name: getattr(t, n)(0), "dim 0 to have non-zero"
        )
    for name in ("argmax", "argmin"):
        parity.same_error(lambda n=name: getattr(reference, n)(x, 0), lambda n=name: getattr(t, n)(0), "non-zero size")
        parity.same_error(lambda n=name: getattr(reference, n)(x), lambda n=name: getattr(t, n)(), "to be specified")
    parity.same_error(lambda: reference.aminmax(x), lambda: t.aminmax(), "no identity")
    parity.same_error(lambda: reference.max_dim(x, 0), lambda: t.max(0), "non-zero size")
    parity.same_error(lambda: reference.median(x, 0), lambda: t.median(0), "non-zero size")
    parity.same_error(lambda: reference.norm(x, inf, (0,)), lambda: torch.linalg.vector_norm(t, inf, 0), "inf norm")
    parity.check(reference.amax(x, (1,)), t.amax(1))
    parity.check(reference.median(np.empty(0, np.float32)), torch.empty(0).median())


def test_nan_and_infinities(parity):
    x = np.array([[1, nan, 3], [inf, -inf, 0], [inf, 1, 2], [-inf, -inf, -inf], [nan, nan, nan]], np.float32)
    t = parity.tensor(x)
    for name in ("sum", "amax", "amin", "nansum", "nanmean", "logsumexp", "mean", "all", "any"):
        parity.check(run(name, x, (1,), False), REDUCTIONS[name](t, (1,), False))
    for largest in ("max", "min"):
        parity.check(getattr(reference, largest + "_dim")(x, 1), getattr(t, largest)(1))
        parity.check(getattr(reference, "arg" + largest)(x, 1, True), getattr(t, "arg" + largest)(1, keepdim=True))
        parity.check(getattr(reference, "arg" + largest)(x), getattr(t, "arg" + largest)())
    parity.check(reference.median(x, 1), t.median(1))
    parity.check(reference.median(x), t.median())
    parity.check(reference.nanmedian(x, 1)[0], t.nanmedian(1)[0])
    parity.check(reference.nanmedian(x), t.nanmedian())
    parity.check(reference.kthvalue(x, 2, 1)[0], t.kthvalue(2, 1)[0])
    parity.check(reference.aminmax(x, 1), t.aminmax(dim=1))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS], ids=str)
def test_extremes_with_indices(parity, dtype):
    x = values(dtype, (4, 6, 5))
    for v, dim, keepdim in itertools.product([x, x.transpose(2, 0, 1)], range(3), (False, True)):
        t = parity.tensor(v)
        parity.check(reference.max_dim(v, dim, keepdim), t.max(dim, keepdim=keepdim))
        parity.check(reference.min_dim(v, dim, keepdim), t.min(dim, keepdim=keepdim))
        if dtype.kind != "b":
            parity.check(reference.argmax(v, dim, keepdim), t.argmax(dim, keepdim=keepdim))
            parity.check(reference.argmin(v, dim, keepdim), t.argmin(dim, keepdim=keepdim))
        parity.check(reference.aminmax(v, dim, keepdim), t.aminmax(dim=dim, keepdim=keepdim))
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.max_dim(zero, 0), parity.tensor(zero).max(0))
    if dtype.kind != "b":
        parity.check(reference.argmax(x, None, True), parity.tensor(x).argmax(keepdim=True))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS], ids=str)
def test_prod_sum_dtype_count_nonzero(parity, dtype):
    x = values(dtype)
    t = parity.tensor(x)
    parity.check(reference.prod(x, (1,)), t.prod(1), rtol=2e-2 if dtype.itemsize == 2 else 1e-5)
    parity.check(reference.prod(x, (0,), True), t.prod(0, keepdim=True), rtol=2e-2 if dtype.itemsize == 2 else 1e-5)
    parity.check(reference.sum(x, (0, 2), False, np.dtype("f8")), t.sum((0, 2), dtype=torch.float64))
    parity.check(reference.count_nonzero(x, (0, 1)), t.count_nonzero((0, 1)))
    if dtype.kind in "iu":
        parity.check(reference.sum(x, (0, 1, 2), False, dtype), t.sum((0, 1, 2), dtype=parity.dtype(dtype)))
        parity.check(reference.mean(x, (1,), False, np.dtype("f4")), t.mean(1, dtype=torch.float32))


@pytest.mark.parametrize("p", [0, 1, 2, 3, 0.5, -1, inf, -inf])
def test_norms(parity, p):
    for dtype in FLOATS:
        x = values(dtype)
        for dims, keepdim in itertools.product(ALL_DIMS[1:], (False, True)):
            wanted = torch.linalg.vector_norm(parity.tensor(x), p, dims, keepdim)
            parity.check(reference.norm(x, p, dims, keepdim), wanted, rtol={8: 1e-13, 4: 5e-6, 2: 1e-2}[dtype.itemsize])
    big = np.full(4, 1e30, np.float32)
    assert reference.norm(big, 2, (0,)) == np.float32(2e30)


def test_variance_corrections(parity):
    x = values(np.dtype("f4")) + np.float32(1e4)
    for correction in (0, 1, 2.5, 5):
        wanted = parity.tensor(x).double().var((0, 2), correction=correction).float()
        parity.check(reference.var(x, (0, 2), correction), wanted, rtol=1e-6)
    assert np.isnan(reference.std(np.array(1.5, np.float32), (), 1)).all()
    assert np.isnan(reference.var(np.ones((1, 3), np.float32), (0,), 1)).all()


@pytest.mark.parametrize(
    "shape,dims",
    [
        ((200_000, 3), (0,)),
        ((100_000, 40), (0,)),
        ((64, 4, 50, 50), (0, 2, 3)),
        ((4, 100_000), (1,)),
        ((3000, 20, 30), (0, 2)),
        ((1_000_000,), (0,)),
    ],
)
def test_float32_sums_are_as_accurate_as_torchs(parity, shape, dims):
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    exact = x.sum(dims, dtype=np.float64)

    def rms(s):
        return float(np.sqrt(np.mean(((s - exact) / exact) ** 2)))

    assert rms(reference.sum(x, dims)) <= max(rms(parity.tensor(x).sum(dims).numpy()), 1.2e-7)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTS[:3]], ids=str)
def test_order_statistics(parity, dtype):
    x = values(dtype, (4, 7, 6))
    t = parity.tensor(x)
    for dim, keepdim in itertools.product(range(3), (False, True)):
        for name in ("median", "nanmedian"):
            values_, index = getattr(reference, name)(x, dim, keepdim)
            parity.check(values_, getattr(t, name)(dim, keepdim=keepdim).values)
            picked = np.take_along_axis(x, index if keepdim else np.expand_dims(index, dim), dim)
            np.testing.assert_array_equal(picked.reshape(values_.shape), values_)
        parity.check(reference.mode(x, dim, keepdim)[0], t.mode(dim, keepdim=keepdim).values)
        parity.check(reference.kthvalue(x, 3, dim, keepdim)[0], t.kthvalue(3, dim, keepdim=keepdim).values)
    parity.check(reference.median(x), t.median())
    few = np.array([3, 1, 2, 1, 3, 1, 2]).astype(dtype)
    parity.check(reference.mode(few, 0), parity.tensor(few).mode(0))
    parity.same_error(lambda: reference.kthvalue(x, 9, 1), lambda: t.kthvalue(9, 1), "out of range")


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dtype", FLOATS[:2], ids=str)
def test_quantiles(parity, dtype, interpolation):
    x = values(dtype)
    x[0, 1, 2] = nan
    for q, dim, keepdim in itertools.product([0.3, [0.0, 0.25, 1.0]], (None, 0, 1, 2), (False, True)):
        levels = np.array(q, dtype)
        arguments = dict(dim=dim, keepdim=keepdim, interpolation=interpolation)
        result = reference.quantile(x, levels, dim, keepdim, interpolation)
        parity.check(result, torch.quantile(parity.tensor(x), parity.tensor(levels), **arguments))
        result = reference.quantile(x, levels, dim, keepdim, interpolation, ignore_nan=True)
        parity.check(result, torch.nanquantile(parity.tensor(x), parity.tensor(levels), **arguments))


def test_quantile_errors(parity):
    x, q = np.ones(3, np.float32), np.array(1.5, np.float32)
    parity.same_error(
        lambda: reference.quantile(x, q), lambda: torch.quantile(torch.ones(3), torch.tensor(1.5)), "range"
    )
    e = np.empty(0, np.float32)
    parity.same_error(lambda: reference.quantile(e, q / 2), lambda: torch.quantile(torch.empty(0), 0.5), "non-empty")
    with pytest.raises(RuntimeError, match="cubic"):
        reference.quantile(x, q / 2, interpolation="cubic")


def test_bincount_and_histc(parity):
    x = np.array([1, 4, 4, 0, 7])
    t = parity.tensor(x)
    parity.check(reference.bincount(x), torch.bincount(t))
    parity.check(reference.bincount(x, None, 12), torch.bincount(t, minlength=12))
    for dtype in ("f4", "f8", "i8"):
        w = np.array([1, 2, 3, 4, 5]).astype(dtype)
        parity.check(reference.bincount(x, w), torch.bincount(t, parity.tensor(w)))
    parity.same_error(lambda: reference.bincount(-x), lambda: torch.bincount(-t), "non-negative")
    parity.same_error(
        lambda: reference.bincount(x, w[:2]), lambda: torch.bincount(t, parity.tensor(w)[:2]), "same length"
    )
    for dtype in FLOATS[:2]:
        v = values(dtype)
        v[0, 0, 0] = nan
        parity.check(reference.histc(v, 7, -1.5, 2), torch.histc(parity.tensor(v), 7, -1.5, 2))
        parity.check(reference.histc(v[1:], 5), torch.histc(parity.tensor(v[1:]), 5))
        same = np.full(3, 2, dtype)
        parity.check(reference.histc(same, 4), torch.histc(parity.tensor(same), 4))
    parity.same_error(lambda: reference.histc(v), lambda: torch.histc(parity.tensor(v)), "not finite")
    parity.same_error(
        lambda: reference.histc(same, 5, 3, 2), lambda: torch.histc(parity.tensor(same), 5, 3, 2), "larger"
    )


@pytest.mark.parametrize("dtype", [FLOATS[0], FLOATS[1], BF16, *INTS], ids=str)
def test_unique(parity, dtype):
    x = np.round(values(dtype, (6, 4)).astype(np.float32)).astype(dtype)
    for v in (x, x.T, x[0], x[:0]):
        t = parity.tensor(v)
        wanted = torch.unique(t, return_inverse=True, return_counts=True)
        parity.check(reference.unique(v, True, True, True), wanted)
        wanted = torch.unique_consecutive(t, return_inverse=True, return_counts=True)
        parity.check(reference.unique_consecutive(v, True, True), wanted)
    rows = np.array([[2, 1, 2, 1], [0, 3, 0, 3], [1, 1, 1, 0]]).astype(dtype)
    t = parity.tensor(rows)
    for dim in (0, 1):
        wanted = torch.unique(t, return_inverse=True, return_counts=True, dim=dim)
        parity.check(reference.unique(rows, True, True, True, dim), wanted)
        wanted = torch.unique_consecutive(t, return_inverse=True, return_counts=True, dim=dim)
        parity.check(reference.unique_consecutive(rows, True, True, dim), wanted)
    values_, inverse, counts = reference.unique(x)
    assert inverse is None and counts is None
    parity.check(reference.unique(np.array([nan, 1.0, nan]))[0], torch.unique(torch.tensor([nan, 1, nan]).double()))
