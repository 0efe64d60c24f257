"""The engine: deep, wide and random graphs, memory, ownership of gradients, re-entrance, threads, errors."""

from __future__ import annotations

import gc
import random
import threading
import weakref

import numpy as np
import pytest

import rushlight as rl
from rushlight.autograd import engine
from rushlight.core.modes import STATE, local
from rushlight.core.node import AccumulateGrad

torch = pytest.importorskip("torch", reason="parity tests need torch")


@pytest.fixture
def no_collector():
    """Only reference counts free memory."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# ---------------------------------------------------------------- deep and wide


@pytest.mark.slow
def test_a_chain_of_a_million_operations(no_collector):
    x = rl.ones((), requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    node = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert node() is None


def test_a_chain_far_deeper_than_the_stack(no_collector):
    x = rl.ones((), dtype=rl.float64, requires_grad=True)
    y = x
    for _ in range(30_000):
        y = y * 1.0001
    nodes = weakref.ref(y.grad_fn)
    (g,) = rl.autograd.grad(y, x, create_graph=True)
    np.testing.assert_allclose(g.item(), 1.0001**30_000, rtol=1e-9)
    del y, g
    assert nodes() is None


def test_a_deep_chain_of_views_and_in_place_writes():
    x = rl.ones(4, requires_grad=True)
    y = x * 1
    for i in range(3_000):
        y[i % 3 :].mul_(1.0)
    y.sum().backward()
    assert x.grad.tolist() == [1.0] * 4


def test_wide_fan_out_and_in():
    x = rl.ones(3, requires_grad=True)
    total = x * 0
    for _ in range(5_000):
        total = total + x
    total.sum().backward()
    assert x.grad.tolist() == [5_000.0] * 3
    x.grad = None
    rl.cat([x] * 2_000).sum().backward()
    assert x.grad.tolist() == [2_000.0] * 3


def test_many_leaves():
    leaves = [rl.ones(1, requires_grad=True) for _ in range(2_000)]
    rl.stack(leaves).sum().backward()
    assert all(t.grad.item() == 1.0 for t in leaves)


# ---------------------------------------------------------------- random graphs, bit for bit


UNARY = ["sin", "tanh", "neg", "exp_small", "slice", "t", "clone", "sum_keep", "row"]
BINARY = ["add", "sub", "mul", "mm", "cat", "broadcast"]


def grow(lib, steps, values):
    """A random float32 graph on 4x4 tensors."""
    leaves = [lib.tensor(v, requires_grad=True) for v in values]
    made = list(leaves)
    for name, i, j in steps:
        a, b = made[i % len(made)], made[j % len(made)]
        made.append(
            {
                "sin": lambda a=a: a.sin(),
                "tanh": lambda a=a: a.tanh(),
                "neg": lambda a=a: -a,
                "exp_small": lambda a=a: (a * 0.1).exp(),
                "slice": lambda a=a: a[[1, 0, 3, 2]],
                "t": lambda a=a: a.t(),
                "clone": lambda a=a: a.clone(),
                "sum_keep": lambda a=a: a - a.sum(0, keepdim=True),
                "row": lambda a=a: a + a[1],
                "add": lambda a=a, b=b: a + b,
                "sub": lambda a=a, b=b: a - b * 0.5,
                "mul": lambda a=a, b=b: a * b,
                "mm": lambda a=a, b=b: (a * 0.25) @ b,
                "cat": lambda a=a, b=b: lib.cat([a[:2], b[2:]]),
                "broadcast": lambda a=a, b=b: a + b[:, :1],
            }[name]()
        )
    return leaves, made


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_accumulate_in_torchs_order(seed):
    """Sums of many terms in float32 depend on their order: equal bits mean the same order."""
    rng = random.Random(seed)
    # What a kernel rounds or sums by itself (the gradients of "row" and "broadcast" are sums) is not the engine's order.
    inexact = ("sin", "tanh", "exp_small", "mm", "sum_keep", "row", "broadcast")
    exact = [name for name in UNARY + BINARY if name not in inexact]
    steps = [(rng.choice(exact), rng.randrange(100), rng.randrange(100)) for _ in range(rng.randint(5, 30))]
    values = np.random.default_rng(seed).standard_normal((3, 4, 4)).astype(np.float32)
    results = []
    for lib in (rl, torch):
        leaves, made = grow(lib, steps, values)
        total = made[-1]
        for t in made[-4:-1]:
            total = total + t
        total.backward(lib.tensor(values[0]))
        results.append([None if t.grad is None else t.grad.numpy() for t in leaves])
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_array_equal(ours.view(np.uint32), theirs.view(np.uint32))


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_with_selected_inputs(seed):
    rng = random.Random(seed)
    steps = [(rng.choice(UNARY + BINARY), rng.randrange(100), rng.randrange(100)) for _ in range(rng.randint(5, 25))]
    values = np.random.default_rng(seed).standard_normal((3, 4, 4))
    picks = [rng.randrange(100) for _ in range(3)]
    results = []
    for lib in (rl, torch):
        _, made = grow(lib, steps, values)
        inputs = [made[i % len(made)] for i in picks]
        first = lib.autograd.grad(made[-1].sum(), inputs, create_graph=True, allow_unused=True)
        live = [g.pow(2).sum() for g in first if g is not None and g.requires_grad]
        second = lib.autograd.grad(sum(live[1:], live[0]), inputs, allow_unused=True) if live else []
        results.append([None if g is None else g.detach().numpy() for g in (*first, *second)])
    for ours, theirs in zip(*results, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


# ---------------------------------------------------------------- whose memory a gradient is


class Same(rl.autograd.Function):
    """Hands the same cotangent to both inputs."""

    @staticmethod
    def forward(ctx, a, b):
        return a + b

    @staticmethod
    def backward(ctx, g):
        return g, g


class Hoarder(rl.autograd.Function):
    """Keeps the gradient it returns."""

    kept: list = []

    @staticmethod
    def forward(ctx, a, b):
        return a * b

    @staticmethod
    def backward(ctx, g):
        mine = g * 2
        Hoarder.kept.append(mine)
        return mine, mine.view(-1).view(mine.shape)


class Saver(rl.autograd.Function):
    """Returns a tensor it has saved."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a.detach(), b.detach())
        return a + b

    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensors


SHARERS = {
    "add": lambda a, b: a + b,
    "add-self": lambda a, b: a + a + b,
    "sub": lambda a, b: a - b,
    "views": lambda a, b: a.view(-1) + b.reshape(-1),
    "transposes": lambda a, b: a.t() + b.t(),
    "cat": lambda a, b: rl.cat([a, b]),
    "stack": lambda a, b: rl.stack([a, b]),
    "expand": lambda a, b: a.expand(2, 3, 3) + b,
    "sum": lambda a, b: a.sum() + b.sum(),
    "identity": lambda a, b: a.clone() + b.view_as(b),
    "alias": lambda a, b: a[...] + b[...],
    "same": Same.apply,
    "hoarder": Hoarder.apply,
    "saver": Saver.apply,
    "unsqueeze": lambda a, b: a.unsqueeze(0) + b.unsqueeze(0),
    "split": lambda a, b: a.split(1)[0] + b.split(2)[0][:1],
    "where": lambda a, b: rl.where(a > 0, a, b),
    "to": lambda a, b: a.double() + b.double(),
    "complex": lambda a, b: (a * (1 + 0j)) + b,
    "mm": lambda a, b: a @ b,
    "max": lambda a, b: rl.maximum(a, b),
    "in place": lambda a, b: (a * 1).add_(b),
    "copy_": lambda a, b: rl.zeros(3, 3).copy_(a) + b,
    "setitem": lambda a, b: _written(a, b),
}


def _written(a, b):
    out = rl.zeros(2, 3, 3)
    out[0], out[1] = a, b
    return out


@pytest.mark.parametrize("hooked", [False, True], ids=["", "hooked"])
@pytest.mark.parametrize("name", SHARERS)
def test_gradients_never_share_memory(name, hooked):
    """With another leaf, the caller's cotangent, the output, a hook's or a Function's own tensors; nor the next pass."""
    a, b = (rl.rand(3, 3).requires_grad_() for _ in range(2))
    kept = Hoarder.kept = []
    if hooked:
        a.register_hook(kept.append)
        b.register_hook(lambda g: (kept.append(g), g)[1])
    for _ in range(3):
        out = SHARERS[name](a, b)
        seed = rl.ones_like(out)
        out.backward(seed)
        kept += [seed, out.detach(), a.detach(), b.detach()]
        before = [t.clone() for t in kept]
        for leaf in (a, b):
            assert leaf.grad._base is None and leaf.grad.is_leaf
            assert all(not np.shares_memory(leaf.grad.numpy(), t.detach().numpy()) for t in kept)
        assert not np.shares_memory(a.grad.numpy(), b.grad.numpy())
        a.grad.add_(1)
        b.grad.mul_(2)
        assert all(rl.equal(t, u) for t, u in zip(kept, before, strict=True))


def test_a_fresh_gradient_is_kept_without_a_copy(monkeypatch):
    x = rl.rand(3, 3).requires_grad_()
    copies = []
    original = engine.T.clone_like
    monkeypatch.setattr(engine.T, "clone_like", lambda g, leaf: copies.append(g) or original(g, leaf))
    (x * 2).backward(rl.ones(3, 3))
    assert not copies
    y = rl.rand(3, 3).requires_grad_()
    (y + 0).backward(rl.ones(3, 3))
    assert len(copies) == 1


@pytest.mark.parametrize("layout", [lambda t: t.t(), lambda t: t[:, ::2], lambda t: t.expand(3, 4), lambda t: t[1:]])
def test_gradients_take_the_strides_of_their_leaf(layout):
    results = []
    for lib in (rl, torch):
        base = lib.ones(1, 4) if layout(lib.ones(1, 4)).shape == (3, 4) else lib.rand(3, 4)
        x = layout(base).detach().requires_grad_()
        (x * 2).sum().backward()
        y = layout(base).detach().requires_grad_()
        (y.t().contiguous() * 2).sum().backward()
        results.append((x.stride(), x.grad.stride(), y.grad.stride()))
    assert results[0] == results[1]


def test_accumulation_is_in_place_unless_a_graph_is_made():
    results = []
    for lib in (rl, torch):
        x = lib.ones(3, requires_grad=True)
        (x * 2).sum().backward()
        first = x.grad
        (x * 2).sum().backward()
        found = [x.grad is first, first._version, first.tolist()]
        with pytest.warns(UserWarning, match="reference cycle"):
            torch.set_warn_always(True)
            (x * x).sum().backward(create_graph=True)
        found += [x.grad is first, first.tolist(), x.grad.requires_grad, type(x.grad.grad_fn).__name__]
        x.grad = None
        results.append(found)
    assert results[0] == results[1]


# ---------------------------------------------------------------- what is freed, and when


def test_the_graph_is_freed_by_reference_counts(no_collector):
    x = rl.rand(4, 4).requires_grad_()
    hidden = (x @ x).tanh()
    loss = (hidden.exp() / hidden.sum()).softmax(0)[1:].max(1)[0].sum()
    watched = [weakref.ref(t) for t in (hidden, hidden.grad_fn, loss.grad_fn)]
    loss.backward()
    del hidden, loss
    assert all(ref() is None for ref in watched)


def test_a_graph_that_is_never_differentiated_is_freed(no_collector):
    x = rl.rand(4).requires_grad_()
    y = x.exp().sigmoid()
    y[1:].mul_(2)
    watched = weakref.ref(y.grad_fn)
    del y
    assert watched() is None


def test_saved_values_are_freed_as_the_pass_goes(no_collector):
    x = rl.ones(4, requires_grad=True)
    middle = x * 2
    late = middle * middle
    freed = []
    x.register_hook(lambda g: freed.append(late.grad_fn.saved is not None and not isinstance(late.grad_fn.saved, tuple)))
    late.sum().backward()
    assert freed == [True]


def test_leaves_and_their_accumulators_make_no_cycle(no_collector):
    x = rl.ones(2, requires_grad=True)
    x.register_hook(lambda g: None)
    (x * 2).sum().backward()
    (x.detach() * 2).sum()
    leaf = weakref.ref(x)
    del x
    assert leaf() is None


def test_no_leak_over_many_iterations():
    x = rl.rand(8, 8).requires_grad_()

    def iteration():
        y = (x @ x).relu().clone()
        y[0].mul_(2)
        with rl.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            z = (y * y).sum()
        z.backward()
        (g,) = rl.autograd.grad((x**3).sum(), x, create_graph=True)
        g.sum().backward()
        x.grad = None

    for _ in range(5):
        iteration()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        iteration()
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_backward_with_create_graph_makes_a_cycle_that_none_breaks(no_collector):
    x = rl.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x**2).sum().backward(create_graph=True)
    x.grad = None
    leaf = weakref.ref(x)
    del x
    assert leaf() is None


# ---------------------------------------------------------------- re-entrance


class Checkpointed(rl.autograd.Function):
    """Computes its argument again in the backward pass, by a backward pass of its own."""

    @staticmethod
    def forward(ctx, function, x):
        ctx.function = function
        ctx.save_for_backward(x)
        return function(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        with rl.enable_grad():
            again = x.detach().requires_grad_()
            rl.autograd.backward(ctx.function(again), g)
        return None, again.grad


def test_backward_inside_a_functions_backward():
    x = rl.rand(3, dtype=rl.float64).requires_grad_()
    y = Checkpointed.apply(lambda t: Checkpointed.apply(lambda u: u.exp(), t * 2) * 3, x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), (6 * (2 * x).exp()).detach().numpy())
    assert rl.is_grad_enabled() and local.modes.walk is None


def test_grad_of_the_outer_graph_inside_a_hook():
    x = rl.ones(2, requires_grad=True)
    y = x**2
    z = y.sum()
    seen = []

    def hook(g):
        if not seen:
            seen.append(None)
            seen[0] = rl.autograd.grad(z, x, retain_graph=True)[0].tolist()

    y.register_hook(hook)
    z.backward(retain_graph=True)
    assert seen == [[2.0, 2.0]]
    assert x.grad.tolist() == [2.0, 2.0]


# ---------------------------------------------------------------- threads


def test_separate_graphs_in_several_threads():
    results = {}

    def work(n):
        rng = np.random.default_rng(n)
        x = rl.tensor(rng.standard_normal((16, 16)), requires_grad=True)
        for _ in range(20):
            x.grad = None
            y = (x @ x.t()).tanh().clone()
            y[0].mul_(2)
            y.sum().backward()
        results[n] = (x.detach().numpy(), x.grad.numpy())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and len(STATE.busy) == 0
    for x, g in results.values():
        t = torch.tensor(x, requires_grad=True)
        y = (t @ t.t()).tanh().clone()
        y[0].mul_(2)
        y.sum().backward()
        np.testing.assert_allclose(g, t.grad.numpy(), rtol=1e-9)


def test_the_backward_pass_runs_on_the_callers_thread():
    seen = []
    x = rl.ones(1, requires_grad=True)
    x.register_hook(lambda g: seen.append(threading.current_thread()))
    x.sum().backward()
    assert seen == [threading.current_thread()]


# ---------------------------------------------------------------- errors


def test_an_error_leaves_the_modes_as_they_were():
    class Bad(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise KeyError("bad")

    x = rl.ones(1, requires_grad=True)
    for enter in (rl.enable_grad, rl.no_grad):
        y = Bad.apply(x)
        with enter():
            before = rl.is_grad_enabled()
            with pytest.raises(KeyError, match="bad"):
                y.backward()
            assert rl.is_grad_enabled() is before and local.modes.walk is None
    assert len(STATE.busy) == 0


def test_a_rule_that_returns_too_much_is_named():
    x = rl.ones(2, requires_grad=True)
    node = (x * 2).grad_fn
    node.edges = node.edges[:1]
    z = rl.ones(2, requires_grad=True)
    out = (z * 3).with_history(node, 0)
    with pytest.raises(RuntimeError, match="MulBackward0 returned 2 gradients"):
        out.sum().backward()


def test_accumulate_nodes_are_one_per_leaf_while_a_graph_lives():
    x = rl.ones(2, requires_grad=True)
    y, z = x * 2, x * 3
    node = y.grad_fn.next_functions[0][0]
    assert isinstance(node, AccumulateGrad) and node is z.grad_fn.next_functions[0][0]
    assert node.variable is x and type(node).__name__ == "AccumulateGrad"
    with pytest.raises(RuntimeError, match="engine only"):
        node.run((rl.ones(2),))


def test_nodes_can_be_called():
    x = rl.ones(2, requires_grad=True)
    y = x * 3
    grads = y.grad_fn(rl.ones(2))
    assert grads[0].tolist() == [3.0, 3.0] and grads[1] is None
