"""gather, scatter, index_* , take, put, masked_* and nonzero against torch: values, gradients, names, errors, `out=`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def x34(lib):
    return lib.arange(12, dtype=lib.float64).reshape(3, 4).clone().requires_grad_()


def src(lib, *shape):
    return (lib.arange(int(np.prod(shape)), dtype=lib.float64).reshape(shape) + 20.5).requires_grad_()


def idx(lib, *values, dtype="int64"):
    return lib.tensor(values[0] if len(values) == 1 else list(values), dtype=getattr(lib, dtype))


CASES = {
    "gather": lambda t: t.gather(x34(t), 1, idx(t, [[0, 3], [1, 1], [2, 0]])),
    "gather method": lambda t: x34(t).gather(-1, idx(t, [[0, 3]])),
    "gather dim 0": lambda t: x34(t).gather(0, idx(t, [[0, 2, 1, 0], [1, 1, 1, 1]])),
    "gather empty": lambda t: x34(t).gather(0, t.zeros(0, 4, dtype=t.int64)),
    "gather zero-dim": lambda t: t.tensor(3.0).requires_grad_().gather(0, t.tensor(0)),
    "gather int32": lambda t: x34(t).gather(1, idx(t, [[0, 3]], dtype="int32")),
    "gather float index": lambda t: x34(t).gather(1, t.ones(1, 1)),
    "gather rank": lambda t: x34(t).gather(1, idx(t, [0, 1])),
    "gather size": lambda t: x34(t).gather(1, t.zeros(4, 1, dtype=t.int64)),
    "gather outside": lambda t: x34(t).gather(1, idx(t, [[4]])),
    "gather negative": lambda t: x34(t).gather(1, idx(t, [[-1]])),
    "gather dim range": lambda t: x34(t).gather(2, idx(t, [[0]])),
    "gather no tensor": lambda t: x34(t).gather(1, [[0]]),
    "gather repeated": lambda t: x34(t).gather(1, idx(t, [[0, 0, 0, 0, 0]])),
    "scatter": lambda t: x34(t).scatter(1, idx(t, [[0, 3], [1, 2]]), src(t, 2, 2)),
    "scatter function": lambda t: t.scatter(x34(t), 0, idx(t, [[2, 0, 1, 1]]), src(t, 1, 4)),
    "scatter value": lambda t: x34(t).scatter(1, idx(t, [[0], [1]]), 7.5),
    "scatter value name": lambda t: x34(t).scatter(1, idx(t, [[0]]), value=7.5),
    "scatter add": lambda t: x34(t).detach().scatter(1, idx(t, [[0, 0]]), src(t, 1, 2).detach(), reduce="add"),
    "scatter bad reduce": lambda t: x34(t).scatter(1, idx(t, [[0, 0]]), src(t, 1, 2), reduce="mean"),
    "scatter dtype": lambda t: x34(t).scatter(1, idx(t, [[0]]), t.ones(1, 1)),
    "scatter outside": lambda t: x34(t).scatter(1, idx(t, [[4]]), src(t, 1, 1)),
    "scatter src size": lambda t: x34(t).scatter(1, idx(t, [[0, 1, 2]]), src(t, 1, 2)),
    "scatter rank": lambda t: x34(t).scatter(1, idx(t, [0]), src(t, 1)),
    "scatter empty": lambda t: x34(t).scatter(1, t.zeros(0, 0, dtype=t.int64), src(t, 1, 1)),
    "scatter_": lambda t: (x34(t) * 1).scatter_(1, idx(t, [[0, 3]]), src(t, 1, 2)),
    "scatter_ value": lambda t: (x34(t) * 1).scatter_(1, idx(t, [[0, 3]]), 1.0),
    "scatter_ leaf": lambda t: x34(t).scatter_(1, idx(t, [[0, 3]]), 1.0),
    "scatter_add": lambda t: x34(t).scatter_add(0, idx(t, [[0, 0, 1, 2], [0, 1, 1, 1]]), src(t, 2, 4)),
    "scatter_add_": lambda t: (x34(t) * 1).scatter_add_(0, idx(t, [[0, 0, 1, 2]]), src(t, 1, 4)),
    "scatter_add dtype": lambda t: x34(t).scatter_add(0, idx(t, [[0]]), t.ones(1, 1)),
    **{
        f"scatter_reduce {how} {own}": lambda t, how=how, own=own: x34(t).scatter_reduce(
            0, idx(t, [[0, 0, 1, 2], [0, 1, 1, 1]]), src(t, 2, 4), how, include_self=own
        )
        for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    },
    "scatter_reduce bad": lambda t: x34(t).scatter_reduce(0, idx(t, [[0]]), src(t, 1, 1), "median"),
    "scatter_reduce_": lambda t: (x34(t) * 1).scatter_reduce_(0, idx(t, [[0, 1, 2, 0]]), src(t, 1, 4), "amax"),
    "index_select": lambda t: t.index_select(x34(t), 1, idx(t, [3, 0, 0])),
    "index_select zero-dim index": lambda t: x34(t).index_select(0, t.tensor(1)),
    "index_select empty": lambda t: x34(t).index_select(0, t.zeros(0, dtype=t.int64)),
    "index_select int32": lambda t: x34(t).index_select(0, idx(t, [1], dtype="int32")),
    "index_select outside": lambda t: x34(t).index_select(0, idx(t, [3])),
    "index_select matrix": lambda t: x34(t).index_select(0, idx(t, [[1]])),
    "index_select float": lambda t: x34(t).index_select(0, t.ones(1)),
    "index_select of zero-dim": lambda t: t.tensor(2.0).index_select(0, idx(t, [0])),
    "index_add": lambda t: x34(t).index_add(0, idx(t, [0, 0]), src(t, 2, 4)),
    "index_add alpha": lambda t: t.index_add(x34(t), 1, idx(t, [3]), src(t, 3, 1), alpha=-2),
    "index_add_": lambda t: (x34(t) * 1).index_add_(0, idx(t, [0]), src(t, 1, 4)),
    "index_add size": lambda t: x34(t).index_add(0, idx(t, [0, 0]), src(t, 3, 4)),
    "index_add dtype": lambda t: x34(t).index_add(0, idx(t, [0]), t.ones(1, 4)),
    "index_add outside": lambda t: x34(t).index_add(0, idx(t, [5]), src(t, 1, 4)),
    "index_copy": lambda t: x34(t).index_copy(1, idx(t, [3, 0]), src(t, 3, 2)),
    "index_copy_": lambda t: (x34(t) * 1).index_copy_(0, idx(t, [2]), src(t, 1, 4)),
    "index_copy size": lambda t: x34(t).index_copy(0, idx(t, [2]), src(t, 2, 4)),
    "index_copy dtype": lambda t: x34(t).index_copy(0, idx(t, [2]), t.ones(1, 4)),
    "index_fill": lambda t: x34(t).index_fill(0, idx(t, [2, 0]), 9),
    "index_fill tensor": lambda t: x34(t).index_fill(0, idx(t, [2]), src(t, 1)[0]),
    "index_fill vector": lambda t: x34(t).index_fill(0, idx(t, [2]), src(t, 2)),
    "index_fill_": lambda t: (x34(t) * 1).index_fill_(1, idx(t, [-1]), 0.5),
    "take": lambda t: t.take(x34(t), idx(t, [[0, 11], [5, 5]])),
    "take negative": lambda t: x34(t).take(idx(t, [-1])),
    "take outside": lambda t: x34(t).take(idx(t, [12])),
    "take float": lambda t: x34(t).take(t.ones(1)),
    "put": lambda t: x34(t).put(idx(t, [0, 11]), src(t, 2)),
    "put accumulate": lambda t: t.put(x34(t), idx(t, [1, 1]), src(t, 2), accumulate=True),
    "put_": lambda t: (x34(t) * 1).put_(idx(t, [[0, 5]]), src(t, 1, 2)),
    "put size": lambda t: x34(t).put(idx(t, [0, 1]), src(t, 3)),
    "put dtype": lambda t: x34(t).put(idx(t, [0]), t.ones(1)),
    "masked_select": lambda t: t.masked_select(x34(t), x34(t).detach() > 4),
    "masked_select broadcast": lambda t: x34(t).masked_select(t.tensor([True, False, True, False])),
    "masked_select wider": lambda t: t.ones(4, dtype=t.float64).requires_grad_().masked_select(t.ones(2, 4, dtype=t.bool)),
    "masked_select int mask": lambda t: x34(t).masked_select(t.ones(3, 4, dtype=t.int64)),
    "masked_select shapes": lambda t: x34(t).masked_select(t.ones(3, dtype=t.bool)),
    "masked_scatter": lambda t: x34(t).masked_scatter(x34(t).detach() > 6, src(t, 8)),
    "masked_scatter broadcast": lambda t: x34(t).masked_scatter(t.tensor([True, False, False, False]), src(t, 5)),
    "masked_scatter_": lambda t: (x34(t) * 1).masked_scatter_(x34(t).detach() > 9, src(t, 4)),
    "masked_scatter too few": lambda t: x34(t).masked_scatter(t.ones(3, 4, dtype=t.bool), src(t, 4)),
    "masked_scatter dtype": lambda t: x34(t).masked_scatter(t.ones(3, 4, dtype=t.bool), t.ones(12)),
    "masked_scatter int mask": lambda t: x34(t).masked_scatter(t.ones(3, 4, dtype=t.int64), src(t, 12)),
    "nonzero": lambda t: t.nonzero(t.tensor([[0, 1], [2, 0]])),
    "nonzero tuple": lambda t: t.tensor([[0, 1], [2, 0]]).nonzero(as_tuple=True),
    "nonzero zero-dim": lambda t: (t.tensor(3.0).nonzero(), t.tensor(0.0).nonzero()),
    "nonzero zero-dim tuple": lambda t: t.tensor(3.0).nonzero(as_tuple=True),
    "nonzero nan": lambda t: t.tensor([0.0, float("nan"), -0.0]).nonzero(),
    "nonzero empty": lambda t: t.zeros(0, 3).nonzero(),
    "argwhere": lambda t: t.argwhere(t.tensor([[0, 1], [2, 0]])),
}


def outcome(function, lib):
    leaves = []
    original = lib.Tensor.requires_grad_

    def noted(self, *args):
        leaves.append(self)
        return original(self, *args)

    lib.Tensor.requires_grad_ = noted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(lib)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, str(error)
    finally:
        lib.Tensor.requires_grad_ = original
    outs = found if isinstance(found, tuple) else (found,)
    facts = [(tuple(o.shape), str(o.dtype), o.tolist(), type(o.grad_fn).__name__) for o in outs]
    if outs[0].requires_grad:
        weights = lib.arange(outs[0].numel(), dtype=lib.float64).reshape(outs[0].shape).to(outs[0].dtype)
        (outs[0] * outs[0] * weights).sum().backward()
    return "ok", (facts, [None if leaf.grad is None else leaf.grad.tolist() for leaf in leaves])


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    ours, theirs = outcome(CASES[name], rl), outcome(CASES[name], torch)
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"
    if ours[0] == "ok":
        assert ours[1][0] == theirs[1][0]
        assert len(ours[1][1]) == len(theirs[1][1])
        for a, b in zip(ours[1][1], theirs[1][1], strict=True):
            assert (a is None) == (b is None)
            np.testing.assert_allclose(a or 0.0, b or 0.0, rtol=1e-10)


OUT = {
    "gather": lambda t, out: t.gather(x34(t).detach(), 1, idx(t, [[0, 3]]), out=out),
    "scatter": lambda t, out: t.scatter(x34(t).detach(), 1, idx(t, [[0]]), 5.0, out=out),
    "scatter_add": lambda t, out: t.scatter_add(x34(t).detach(), 1, idx(t, [[0]]), src(t, 1, 1).detach(), out=out),
    "index_select": lambda t, out: t.index_select(x34(t).detach(), 0, idx(t, [1]), out=out),
    "index_add": lambda t, out: t.index_add(x34(t).detach(), 0, idx(t, [1]), src(t, 1, 4).detach(), out=out),
    "index_copy": lambda t, out: t.index_copy(x34(t).detach(), 0, idx(t, [1]), src(t, 1, 4).detach(), out=out),
    "take": lambda t, out: t.take(x34(t).detach(), idx(t, [1, 2]), out=out),
    "masked_select": lambda t, out: t.masked_select(x34(t).detach(), x34(t).detach() > 4, out=out),
}


@pytest.mark.parametrize("name", OUT)
def test_out(name):
    found = []
    for lib in (rl, torch):
        out = lib.empty(0, dtype=lib.float64)
        assert OUT[name](lib, out) is out
        found.append(out.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("how", ["scatter", "scatter_add"])
def test_a_source_larger_than_the_index(how):
    """torch can't differentiate these; here what is not used has gradient 0."""
    x, s = x34(rl), src(rl, 3, 4)
    getattr(x, how)(0, rl.tensor([[2, 0, 1]]), s).sum().backward()
    assert s.grad.tolist() == [[1.0, 1.0, 1.0, 0.0], [0.0] * 4, [0.0] * 4]


def test_nothing_is_written_to_the_input():
    x = rl.ones(3, 4)
    x.scatter(0, rl.tensor([[0]]), 5.0)
    x.index_fill(0, rl.tensor([0]), 5.0)
    x.put(rl.tensor([0]), rl.tensor([5.0]))
    x.masked_scatter(x > 0, rl.zeros(12))
    assert x.tolist() == [[1.0] * 4] * 3 and x._version == 0
