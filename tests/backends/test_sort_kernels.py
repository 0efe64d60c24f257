"""Sorting, top k and binary search against torch."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
inf, nan = np.inf, np.nan
DTYPES = [np.dtype(c) for c in ("f8", "f4", "f2", "i8", "i4", "u1", "?")] + [np.dtype(ml_dtypes.bfloat16)]


def values(dtype, shape=(4, 9, 5)):
    rng = np.random.default_rng(1)
    if dtype.kind in "iub":
        return rng.integers(0, 2 if dtype.kind == "b" else 9, shape).astype(dtype)
    x = np.round(rng.uniform(-9, 9, shape)).astype(dtype)
    x.reshape(-1)[[3, 17, 40]] = nan
    x.reshape(-1)[[5, 19]] = inf, -inf
    return x


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_sort_is_stable_and_puts_nan_last_upwards(parity, dtype, descending):
    x = values(dtype)
    for v, dim in itertools.product([x, x.transpose(2, 0, 1), x[:, :0]], range(3)):
        wanted = torch.sort(parity.tensor(v), dim=dim, descending=descending, stable=True)
        parity.check(reference.sort(v, dim, descending, True), wanted)
        parity.check(reference.argsort(v, dim, descending), wanted.indices)
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.sort(zero, 0, descending), torch.sort(parity.tensor(zero), descending=descending))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.kind != "b"], ids=str)
def test_topk(parity, dtype, largest):
    big = np.random.default_rng(2).permutation(1200).reshape(3, 400).astype(dtype)
    for x, dim, k in [
        (values(dtype), 1, 3),
        (values(dtype), 0, 4),
        (values(dtype), 2, 0),
        (big, 1, 20),
        (big.T, 0, 20),
    ]:
        result, index = reference.topk(x, k, dim, largest)
        parity.check(result, torch.topk(parity.tensor(x), k, dim, largest).values)
        assert index.dtype == np.int64
        picked, result = np.take_along_axis(x, index, dim).astype("f8"), result.astype("f8")
        np.testing.assert_array_equal(picked, result)
    t = parity.tensor(x)
    parity.same_error(lambda: reference.topk(x, 500, 0), lambda: torch.topk(t, 500, 0), "k out of range")
    wide = np.random.default_rng(3).standard_normal((2, 1000)).astype(dtype)
    if dtype.itemsize >= 4 and dtype.kind == "f":
        wide[0, [5, 9]] = nan
        parity.check(reference.topk(wide, 5, 1, largest)[0], torch.topk(parity.tensor(wide), 5, 1, largest)[0])


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("dtype", [np.dtype("f8"), np.dtype("f4"), np.dtype("i8")], ids=str)
def test_searchsorted(parity, dtype, right):
    rng = np.random.default_rng(4)
    line = np.sort(rng.integers(0, 9, 11)).astype(dtype)
    rows = np.sort(rng.integers(0, 9, (3, 2, 11)), axis=-1).astype(dtype)
    wanted = rng.integers(-2, 12, (3, 2, 6)).astype(dtype)
    if dtype.kind == "f":
        wanted[0, 0, :3] = nan, inf, -inf
    tl, tr, tw = (parity.tensor(v) for v in (line, rows, wanted))
    parity.check(reference.searchsorted(line, wanted, right), torch.searchsorted(tl, tw, right=right))
    parity.check(reference.searchsorted(rows, wanted, right), torch.searchsorted(tr, tw, right=right))
    parity.check(reference.bucketize(wanted, line, right), torch.bucketize(tw, tl, right=right))
    parity.check(
        reference.searchsorted(line, wanted[1, 1, :1].reshape(()), right),
        torch.searchsorted(tl, tw[1, 1, 0], right=right),
    )
    parity.check(reference.searchsorted(line[:0], wanted, right), torch.searchsorted(tl[:0], tw, right=right))
    shuffled = rows[..., ::-1].copy()
    order = np.argsort(shuffled, axis=-1)
    oracle = torch.searchsorted(parity.tensor(shuffled), tw, right=right, sorter=parity.tensor(order))
    parity.check(reference.searchsorted(shuffled, wanted, right, order), oracle)
    parity.same_error(
        lambda: reference.searchsorted(rows, wanted[:2]), lambda: torch.searchsorted(tr, tw[:2]), "must match"
    )
