"""Indexing, gathering, scattering, masks, joining, padding and sliding windows against torch."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
F = torch.nn.functional
BF16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), BF16, np.dtype("i8"), np.dtype("u1"), np.dtype("?")]


def values(dtype, shape=(4, 5, 3), seed=1):
    source = np.random.default_rng(seed)
    if dtype.kind in "iub":
        return source.integers(0, 2 if dtype.kind == "b" else 9, shape).astype(dtype)
    return source.uniform(-2, 2, shape).astype(dtype)


def t_index(parity, index):
    return tuple(parity.tensor(i) if isinstance(i, np.ndarray) else i for i in index)


INDICES = [
    (np.array([0, 2, 2, -1]),),
    (np.array([[0, 1], [3, 3]]),),
    (slice(1, 3), np.array([0, -1, 4])),
    (np.array([0, 1]), slice(None), np.array([2, 0])),
    (np.array([[0], [1]]), np.array([2, 4])),
    (np.array([True, False, True, True]),),
    (slice(None), np.array([True, False, False, True, True])),
    (np.array(2),),
    (np.array(2), np.array(1), np.array(0)),
    (np.array([], np.int64),),
    (slice(0, 4, 2), slice(1, 1)),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_index_get_and_put(parity, dtype):
    x = values(dtype)
    for v, index in itertools.product([x, np.asfortranarray(x)], INDICES):
        wanted = parity.tensor(v)[t_index(parity, index)]
        result = reference.index_get(v, index)
        parity.check(result, wanted)
        assert not np.shares_memory(result, v)
        filler = values(dtype, tuple(wanted.shape), seed=2)
        for accumulate in (False, True):
            if accumulate and (dtype.kind == "b" or any(isinstance(i, slice) for i in index)):
                continue
            mine, theirs = v.copy(), parity.tensor(v.copy())
            assert reference.index_put(mine, index, filler, accumulate) is mine
            if any(isinstance(i, slice) for i in index):
                theirs[t_index(parity, index)] = parity.tensor(filler)
            else:
                theirs.index_put_(t_index(parity, index), parity.tensor(filler), accumulate)
            parity.check(mine, theirs)


def test_out_of_bounds_is_torchs_error(parity):
    x, five, minus = np.arange(3.0), np.array([5]), np.array([-1])
    t, t5, tm = parity.tensor(x), parity.tensor(five), parity.tensor(minus)
    one = np.ones(1)
    t1 = parity.tensor(one)
    match = "index 5 is out of bounds for dimension 0 with size 3"
    cases = [
        (lambda: reference.index_get(x, (five,)), lambda: t[t5]),
        (lambda: reference.index_put(x.copy(), (five,), one), lambda: t.index_put((t5,), t1)),
        (lambda: reference.index_put(x.copy(), (five,), one, True), lambda: t.index_put((t5,), t1, True)),
        (lambda: reference.index_select(x, 0, five), lambda: t.index_select(0, t5)),
        (lambda: reference.gather(x, 0, five), lambda: t.gather(0, t5)),
        (lambda: reference.scatter(x, 0, five, one), lambda: t.scatter(0, t5, t1)),
        (lambda: reference.scatter_add(x, 0, five, one), lambda: t.scatter_add(0, t5, t1)),
        (lambda: reference.scatter_reduce(x, 0, five, one, "sum"), lambda: t.scatter_reduce(0, t5, t1, "sum")),
        (lambda: reference.index_add(x, 0, five, one), lambda: t.index_add(0, t5, t1)),
        (lambda: reference.index_copy(x, 0, five, one), lambda: t.index_copy(0, t5, t1)),
        (lambda: reference.index_fill(x, 0, five, 1.0), lambda: t.index_fill(0, t5, 1.0)),
    ]
    for kernel, oracle in cases:
        parity.same_error(kernel, oracle, match)
    tried = "tried to access index 5 on a tensor of 3 elements"
    parity.same_error(lambda: reference.take(x, five), lambda: t.take(t5), tried)
    parity.same_error(lambda: reference.put(x, five, one), lambda: t.put(t5, t1), tried)
    parity.same_error(lambda: reference.index_select(x, 0, minus), lambda: t.index_select(0, tm), "index -1")
    parity.same_error(lambda: reference.gather(x, 0, minus), lambda: t.gather(0, tm), "index -1")
    parity.same_error(lambda: reference.index_get(x, (np.array([True]),)), lambda: t[torch.tensor([True])])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slices_along_a_dim(parity, dtype):
    x = values(dtype)
    for v, dim in itertools.product([x, x.transpose(2, 0, 1)], range(3)):
        index = np.array([2, 0, 2, 1])
        t, ti = parity.tensor(v), parity.tensor(index)
        shape = list(v.shape)
        shape[dim] = 4
        source = values(dtype, tuple(shape), seed=2)
        parity.check(reference.index_select(v, dim, index), t.index_select(dim, ti))
        parity.check(reference.index_add(v, dim, index, source), t.index_add(dim, ti, parity.tensor(source)))
        if dtype.kind != "b":
            parity.check(
                reference.index_add(v, dim, index, source, 2), t.index_add(dim, ti, parity.tensor(source), alpha=2)
            )
        parity.check(reference.index_fill(v, dim, index - 1, 1), t.index_fill(dim, parity.tensor(index - 1), 1))
        first = np.array([2, 0, 1])
        rows = np.take(source, [0, 1, 2], axis=dim)
        wanted = t.index_copy(dim, parity.tensor(first), parity.tensor(rows))
        parity.check(reference.index_copy(v, dim, first, rows), wanted)
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.index_select(zero, 0, np.array([0])), parity.tensor(zero).index_select(0, torch.tensor([0])))
    with pytest.raises(IndexError, match="does not fit"):
        reference.index_add(x, 0, np.array([0]), x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gather_and_scatter(parity, dtype):
    x = values(dtype)
    for v, dim in itertools.product([x, x.transpose(2, 0, 1)], range(3)):
        shape = [min(n, 3) for n in v.shape]
        shape[dim] = 6
        index = np.random.default_rng(3).integers(0, v.shape[dim], shape)
        source = values(dtype, tuple(n + 1 for n in shape), seed=2)
        t, ti, ts = parity.tensor(v), parity.tensor(index), parity.tensor(source)
        parity.check(reference.gather(v, dim, index), t.gather(dim, ti))
        parity.check(
            reference.scatter_add(v, dim, index, source),
            t.scatter_add(dim, ti, ts),
            rtol=4e-2 if dtype.itemsize == 2 else None,
        )
        once = np.argsort(np.random.default_rng(4).random(v.shape), axis=dim)[tuple(slice(0, 2) for _ in range(3))]
        parity.check(reference.scatter(v, dim, once, source), t.scatter(dim, parity.tensor(once), ts))
        parity.check(
            reference.scatter(v, dim, index, source[0, 0, :1].reshape(())), t.scatter(dim, ti, ts[0, 0, 0].item())
        )
    parity.check(
        reference.gather(x, 1, np.empty((0, 5, 3), np.int64)), parity.tensor(x).gather(1, torch.empty(0, 5, 3).long())
    )
    zero = x[0, 0, :1].reshape(())
    parity.check(reference.gather(zero, 0, np.array(0)), parity.tensor(zero).gather(0, torch.tensor(0)))
    t = parity.tensor(x)
    wide = np.zeros((9, 1, 1), np.int64)
    parity.same_error(lambda: reference.gather(x, 1, wide), lambda: t.gather(1, parity.tensor(wide)), "no larger")
    parity.same_error(
        lambda: reference.gather(x, 1, wide[0]), lambda: t.gather(1, parity.tensor(wide[0])), "same number"
    )


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(parity, reduce, include_self):
    for dtype in DTYPES[:2] + [np.dtype("i8"), np.dtype("u1")]:
        x, source = values(dtype), values(dtype, (4, 9, 3), seed=2)
        index = np.random.default_rng(3).integers(0, 4, (4, 9, 3))
        wanted = parity.tensor(x).scatter_reduce(
            1, parity.tensor(index), parity.tensor(source), reduce, include_self=include_self
        )
        rtol = 1e-13 if dtype == np.float64 else 1e-5 if dtype.kind == "f" else None
        parity.check(reference.scatter_reduce(x, 1, index, source, reduce, include_self), wanted, rtol=rtol)
    with pytest.raises(RuntimeError, match="median"):
        reference.scatter_reduce(x, 1, index, source, "median")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_flat_positions_and_masks(parity, dtype):
    x = values(dtype)
    v = x.transpose(2, 0, 1)
    t = parity.tensor(v)
    index = np.array([[0, -1], [7, 13]])
    source = values(dtype, (2, 2), seed=2)
    ti, ts = parity.tensor(index), parity.tensor(source)
    parity.check(reference.take(v, index), t.take(ti))
    parity.check(reference.take(v, np.array(3)), t.take(torch.tensor(3)))
    parity.check(reference.put(v, index, source), t.put(ti, ts))
    if dtype.kind != "b":
        parity.check(reference.put(v, index, source, True), t.put(ti, ts, accumulate=True))
    mask = values(np.dtype("?"), v.shape)
    parity.check(reference.masked_select(v, mask), t.masked_select(parity.tensor(mask)))
    parity.check(reference.masked_select(v, mask[0, 0]), t.masked_select(parity.tensor(mask[0, 0])))
    filler = values(dtype, (60,), seed=2)
    parity.check(
        reference.masked_scatter(v, mask, filler), t.masked_scatter(parity.tensor(mask), parity.tensor(filler))
    )
    parity.check(reference.nonzero(v), t.nonzero())
    parity.check(reference.nonzero(v[:0]), t[:0].nonzero())
    parity.check(reference.nonzero(np.array(1, dtype)), torch.ones((), dtype=parity.dtype(dtype)).nonzero())
    everywhere = np.ones(v.shape, bool)
    parity.same_error(
        lambda: reference.masked_scatter(v, everywhere, filler[:3]),
        lambda: t.masked_scatter(parity.tensor(everywhere), parity.tensor(filler[:3])),
        "Number of elements",
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_join_and_rearrange(parity, dtype):
    x = values(dtype)
    t = parity.tensor(x)
    for dim in range(3):
        parts = [x, np.flip(x, dim), x[(slice(None),) * dim + (slice(0, 0),)]]
        parity.check(reference.cat(parts, dim), torch.cat([parity.tensor(p) for p in parts], dim))
        parity.check(reference.stack([x, x], dim), torch.stack([t, t], dim))
        parity.check(reference.flip(x, (dim,)), t.flip(dim))
        parity.check(reference.roll(x, (2,), (dim,)), t.roll(2, dim))
        parity.check(reference.repeat_interleave(x, 2, dim), t.repeat_interleave(2, dim))
        counts = np.arange(x.shape[dim])
        parity.check(reference.repeat_interleave(x, counts, dim), t.repeat_interleave(parity.tensor(counts), dim))
    parity.check(reference.cat([np.empty(0, dtype), x], 1), torch.cat([torch.empty(0, dtype=t.dtype), t], 1))
    parity.check(reference.roll(x, (7,), ()), t.roll(7))
    parity.check(reference.roll(x, (1, -2), (0, 1)), t.roll((1, -2), (0, 1)))
    parity.check(reference.flip(x, (0, 2)), t.flip(0, 2))
    parity.check(reference.flip(x, ()), t.flip(()))
    parity.check(reference.repeat_interleave(x, 3), t.repeat_interleave(3))
    for k in (-1, 0, 2):
        parity.check(reference.tril(x, k), t.tril(k))
        parity.check(reference.triu(x, k), t.triu(k))
        parity.check(reference.tril_indices(4, 5, k), torch.tril_indices(4, 5, k))
        parity.check(reference.triu_indices(4, 5, k), torch.triu_indices(4, 5, k))


def test_join_errors(parity):
    a, b, c = np.ones(3), np.ones((2, 2)), np.ones((2, 3))
    ta, tb, tc = (parity.tensor(v) for v in (a, b, c))
    parity.same_error(lambda: reference.cat([a, b], 0), lambda: torch.cat([ta, tb]), "same number of dimensions")
    parity.same_error(lambda: reference.cat([c, b], 0), lambda: torch.cat([tc, tb]), "Expected size 3 but got size 2")
    parity.same_error(lambda: reference.cat([], 0), lambda: torch.cat([]), "non-empty")
    parity.same_error(lambda: reference.stack([c, b], 0), lambda: torch.stack([tc, tb]), r"got \[2, 3\] at entry 0")
    counts = np.array([1, -1, 2])
    parity.same_error(
        lambda: reference.repeat_interleave(a, counts), lambda: ta.repeat_interleave(parity.tensor(counts)), "negative"
    )
    parity.same_error(
        lambda: reference.repeat_interleave(a, counts[:2] ** 2),
        lambda: ta.repeat_interleave(torch.tensor([1, 1])),
        "same size",
    )


PADS = {
    "reflect": ("reflection", [(1, 2), (2, 0, 1, 3)]),
    "replicate": ("replication", [(4, 7), (0, 5, 6, 1)]),
    "circular": ("circular", [(1, 4), (3, 0, 2, 2)]),
}


@pytest.mark.parametrize("mode", PADS)
def test_gathering_pads_and_gradients(parity, mode):
    name, all_pads = PADS[mode]
    for dtype, pads in itertools.product([np.dtype("f8"), np.dtype("f4"), BF16], all_pads):
        x = values(dtype, (2, 3, 4) if len(pads) == 2 else (2, 3, 5, 4))
        t = parity.tensor(x).clone().requires_grad_()
        wanted = F.pad(t, pads, mode=mode)
        parity.check(getattr(reference, name + "_pad")(x, pads), wanted)
        if dtype == BF16:
            continue
        g = values(dtype, tuple(wanted.shape), seed=2)
        wanted.backward(parity.tensor(g))
        result = getattr(reference, name + "_pad_backward")(g, x.shape, pads)
        parity.check(result, t.grad, rtol=1e-6 if dtype == np.float32 else 1e-14)


def test_pad_errors(parity):
    x = np.ones((1, 1, 3))
    t = parity.tensor(x)
    parity.same_error(
        lambda: reference.reflection_pad(x, (3, 0)), lambda: F.pad(t, (3, 0), mode="reflect"), "less than"
    )
    parity.same_error(
        lambda: reference.circular_pad(x, (4, 0)), lambda: F.pad(t, (4, 0), mode="circular"), "more than once"
    )
    parity.same_error(lambda: reference.constant_pad(x, (-3, -1)), lambda: F.pad(t, (-3, -1)), "negative")
    parity.same_error(
        lambda: reference.replication_pad(x[..., :0], (1, 0)),
        lambda: F.pad(t[..., :0], (1, 0), mode="replicate"),
        "non-zero",
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_constant_pad(parity, dtype):
    x = values(dtype)
    for pads in ((1, 2), (0, 1, 2, 0), (-1, 2, 3, -2), (1, 1, -1, -1, 0, 3), (0, -3)):
        wanted = F.pad(parity.tensor(x), pads, value=1)
        result = reference.constant_pad(x, pads, 1)
        parity.check(result, wanted)
        if dtype == np.float64:
            t = parity.tensor(x).clone().requires_grad_()
            g = values(dtype, result.shape, seed=2)
            F.pad(t, pads).backward(parity.tensor(g))
            parity.check(reference.constant_pad_backward(g, pads), t.grad)


@pytest.mark.parametrize(
    "kernel,dilation,padding,stride", [((2, 3), (1, 1), (0, 0), (1, 1)), ((3, 2), (1, 2), (1, 2), (2, 1))]
)
def test_unfold_and_fold(parity, kernel, dilation, padding, stride):
    for dtype in (np.dtype("f8"), np.dtype("f4"), BF16):
        x = values(dtype, (2, 3, 6, 7))
        wanted = F.unfold(parity.tensor(x), kernel, dilation, padding, stride)
        columns = reference.unfold(x, kernel, dilation, padding, stride)
        parity.check(columns, wanted)
        folded = F.fold(wanted, (6, 7), kernel, dilation, padding, stride)
        parity.check(
            reference.fold(columns, (6, 7), kernel, dilation, padding, stride),
            folded,
            rtol=3e-2 if dtype == BF16 else None,
        )
    with pytest.raises(RuntimeError, match="at least one"):
        reference.unfold(x, (9, 9), (1, 1), (0, 0), (1, 1))
    with pytest.raises(RuntimeError, match="sliding blocks"):
        reference.fold(columns, (6, 8), kernel, dilation, padding, stride)


def test_tensor_unfold_backward(parity):
    x = values(np.dtype("f8"), (4, 9, 3))
    for dim, size, step in ((1, 3, 1), (1, 3, 4), (1, 8, 1), (0, 2, 2), (2, 3, 1), (1, 0, 3)):
        t = parity.tensor(x).clone().requires_grad_()
        windows = t.unfold(dim, size, step)
        g = values(np.dtype("f8"), tuple(windows.shape), seed=2)
        windows.backward(parity.tensor(g))
        parity.check(reference.tensor_unfold_backward(g, x.shape, dim, size, step), t.grad)


def test_as_strided_backward(parity):
    for size, stride, offset in (
        ((3, 3), (4, 1), 0),
        ((5, 4), (1, 1), 3),
        ((2,), (7,), 5),
        ((), (), 4),
        ((0, 2), (1, 1), 0),
    ):
        t = torch.arange(20.0).double().reshape(4, 5).requires_grad_()
        view = t.as_strided(size, stride, offset)
        g = values(np.dtype("f8"), size, seed=2)
        view.backward(parity.tensor(g))
        result = reference.as_strided_backward(g, (4, 5), (5, 1), 0, size, stride, offset)
        parity.check(result, t.grad)
    base = torch.arange(4.0).double().requires_grad_()
    shared = base.expand(3, 4).detach().requires_grad_()
    shared.as_strided((2, 2), (1, 1)).backward(torch.ones(2, 2).double())
    result = reference.as_strided_backward(np.ones((2, 2)), (3, 4), (0, 1), 0, (2, 2), (1, 1), 0)
    parity.check(result, shared.grad)


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 6), (50, 2, 3)])
def test_many_repeated_indices_add_up(parity, shape):
    """Few places hit often, many places hit once, and a mixture: every way of adding meets its case."""
    source = np.random.default_rng(0)
    for index in (
        source.integers(0, 3, 400),
        source.permutation(50),
        np.concatenate([np.zeros(90, int), np.arange(50)]),
    ):
        x, rows = values(np.dtype("f8"), shape), values(np.dtype("f8"), (index.size, *shape[1:]), seed=2)
        wanted = parity.tensor(x).index_add(0, parity.tensor(index), parity.tensor(rows))
        parity.check(reference.index_add(x, 0, index, rows), wanted, rtol=1e-12, atol=1e-12)
        half = reference.index_add(np.zeros(shape, BF16), 0, index, np.ones_like(rows, dtype=BF16))
        counts = np.bincount(index, minlength=50).astype(BF16).reshape(50, *[1] * (len(shape) - 1))
        np.testing.assert_array_equal(half, np.broadcast_to(counts, shape))
