"""Hooks: which, when, in what order, with what, and what they may change; compared with torch."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


def same(scenario):
    """Run `scenario(lib)` in both libraries; the results must be equal."""
    ours, theirs = scenario(rl), scenario(torch)
    assert ours == theirs
    return ours


def plain(value):
    """Tensors as lists, anything nested kept."""
    if isinstance(value, (rl.Tensor, torch.Tensor)):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value


def all_hooks(lib):
    log = []

    def note(name):
        return lambda *args: log.append((name, plain(args)))

    x = lib.ones(3, requires_grad=True)
    y = x * 2
    node = y.grad_fn
    node.register_hook(note("node 1"))
    y.register_hook(note("tensor 1"))
    node.register_prehook(note("pre 1"))
    y.retain_grad()
    y.register_hook(lambda g: (log.append(("tensor 2", y.grad is None)), g * 2)[1])
    node.register_prehook(lambda gs: log.append(("pre 2", y.grad is None)))
    x.register_post_accumulate_grad_hook(lambda t: log.append(("post", t is x, plain(t.grad))))
    x.register_hook(note("leaf 1"))
    accumulate = node.next_functions[0][0]
    accumulate.register_hook(note("accumulate"))
    accumulate.register_prehook(note("accumulate pre"))
    x.register_hook(note("leaf 2"))
    lib.autograd.graph.register_multi_grad_hook([x, y], note("all"))
    lib.autograd.graph.register_multi_grad_hook([x, y], note("any"), mode="any")
    y.sum().backward()
    return log, x.grad.tolist(), y.grad.tolist()


def test_the_order_of_all_hooks_is_torchs():
    log, *_ = same(all_hooks)
    names = [entry[0] for entry in log]
    assert names == [
        "tensor 1", "tensor 2", "any", "pre 1", "pre 2", "node 1", "leaf 1", "leaf 2", "all", "accumulate pre", "post", "accumulate",
    ]  # fmt: skip


def without_cotangent(lib):
    """Hooks on a part of the graph that gets no cotangent."""
    log = []

    class Stop(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return None

    x = lib.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: log.append(("tensor", g)))
    y.grad_fn.register_hook(lambda gi, go: log.append(("node", gi, go)))
    y.grad_fn.register_prehook(lambda go: log.append(("pre", go)))
    x.register_hook(lambda g: log.append(("leaf", g)))
    x.register_post_accumulate_grad_hook(lambda t: log.append(("post", t.grad)))
    Stop.apply(y).sum().backward()
    return log, x.grad


def test_hooks_where_no_cotangent_arrives():
    same(without_cotangent)


def split_hooks(lib):
    log = []
    parts = lib.ones(4, requires_grad=True).split(2)
    parts[0].grad_fn.register_hook(lambda gi, go: log.append(("split", plain(gi), plain(go))))
    for i, part in enumerate(parts):
        part.register_hook(lambda g, i=i: log.append((i, plain(g))))
    parts[0].sum().backward()
    return log


def test_hooks_on_several_outputs():
    same(split_hooks)


def broadcast_hook(lib):
    log = []
    b = lib.ones(1, requires_grad=True)
    y = lib.ones(3) * b
    y.grad_fn.register_hook(lambda gi, go: log.append((plain(gi), plain(go))))
    y.sum().backward()
    return log


def test_node_hooks_see_gradients_of_the_inputs_own_shape():
    assert same(broadcast_hook) == [([None, [3.0]], [[1.0, 1.0, 1.0]])]


@both
def test_hooks_replace(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.grad_fn.register_prehook(lambda gs: (gs[0] + 1,))
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 100, None))
    x.register_hook(lambda g: -g)
    y.sum().backward()
    assert x.grad.tolist() == [-2200.0, -2200.0]


def captured(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    z = (y * 3).sum()
    return plain(lib.autograd.grad(z, [x, y], retain_graph=True)), plain(lib.autograd.grad(z, [y]))


def test_hooks_and_autograd_grad():
    same(captured)


def grad_does_not_run(lib):
    log = []
    x = lib.ones(3, requires_grad=True)
    x.register_hook(lambda g: log.append("leaf"))
    x.register_post_accumulate_grad_hook(lambda t: log.append("post"))
    lib.autograd.grad((x * 2).sum(), x)
    return log, x.grad


def test_grad_runs_leaf_hooks_and_no_post_hooks():
    assert same(grad_does_not_run) == (["leaf"], None)


def in_place(lib):
    """Hooks stay with the value they were put on."""
    log = []
    x = lib.ones(4, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: log.append(("old", plain(g))))
    y.mul_(3)
    y.register_hook(lambda g: log.append(("new", plain(g))))
    y.sum().backward()
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    log.append(plain(y.grad))
    y = x * 2
    y.retain_grad()
    v = y[1:]
    v.retain_grad()
    v.register_hook(lambda g: log.append(("view", plain(g))))
    v.mul_(3)
    y.sum().backward()
    return log, plain(y.grad), v.grad, plain(x.grad)


def test_hooks_and_in_place_writes():
    same(in_place)


@both
def test_handles_remove(lib):
    x = lib.ones(2, requires_grad=True)
    calls = []
    handle = x.register_hook(lambda g: calls.append("hook"))
    handle.remove()
    handle.remove()
    with x.register_hook(lambda g: calls.append("inside")):
        (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert calls == ["inside"]


@both
def test_a_hook_may_remove_itself_and_add_others(lib):
    x = lib.ones(2, requires_grad=True)
    calls = []

    def once(g):
        calls.append("once")
        handle.remove()
        x.register_hook(lambda g: calls.append("later"))

    handle = x.register_hook(once)
    (x * 2).sum().backward()
    assert calls[0] == "once"
    calls.clear()
    (x * 2).sum().backward()
    assert calls == ["later"]


@both
def test_retain_grad(lib):
    x = lib.ones(2, requires_grad=True)
    x.retain_grad()
    assert not x.retains_grad
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    (y * 3).sum().backward(retain_graph=True)
    (y * 3).sum().backward()
    assert y.grad.tolist() == [6.0, 6.0]


def test_retained_gradients_are_their_owners_alone():
    x = rl.ones(2, requires_grad=True)
    y = x * 1
    z = y + 0
    y.retain_grad()
    z.retain_grad()
    seed = rl.ones(2)
    z.backward(seed)
    pointers = {t.data_ptr() for t in (x.grad, y.grad, z.grad, seed)}
    assert len(pointers) == 4


def test_hooks_may_keep_what_they_see():
    """What a hook has kept must not change when the gradient is accumulated in place."""
    x = rl.ones(2, requires_grad=True)
    kept = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * 2).exp().sum().backward()
    assert all(np.allclose(k.tolist(), kept[0].tolist()) for k in kept)
    assert all(k.data_ptr() != x.grad.data_ptr() for k in kept)


def multi(lib):
    log = []
    a, b = (lib.ones(2, requires_grad=True) for _ in range(2))
    handle = lib.autograd.graph.register_multi_grad_hook([a, b], lambda gs: log.append(plain(gs)))
    first = lib.autograd.graph.register_multi_grad_hook([a, b], lambda g: log.append(plain(g)), mode="any")
    (a * 2).sum().backward()
    (a * b).sum().backward()
    (a * b).sum().backward(inputs=[b])
    handle.remove()
    first.remove()
    (a * b).sum().backward()
    return log


def test_multi_grad_hooks():
    same(multi)


def test_multi_grad_hooks_leave_no_cycle():
    gc.collect()
    gc.disable()
    try:
        x = rl.ones(2, requires_grad=True)
        rl.autograd.graph.register_multi_grad_hook([x], lambda gs: None)
        (x * 2).sum().backward()
        alive = weakref.ref(x)
        del x
        assert alive() is None
    finally:
        gc.enable()


@both
def test_hooks_under_create_graph_are_differentiated(lib):
    x = lib.tensor([2.0], requires_grad=True)
    y = x**2
    y.register_hook(lambda g: g * x)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (gg,) = lib.autograd.grad(g.sum(), x)
    assert g.tolist() == [8.0] and gg.tolist() == [8.0]


@both
def test_backward_inside_a_hook(lib):
    x = lib.ones(2, requires_grad=True)
    w = lib.ones(2, requires_grad=True)
    y = x * 2

    def hook(g):
        with lib.enable_grad():
            (w * 5).sum().backward()

    y.register_hook(hook)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0] and w.grad.tolist() == [5.0, 5.0]


@both
def test_a_hook_that_raises_leaves_everything_in_order(lib):
    x = lib.ones(2, requires_grad=True)
    handle = x.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (x * 2).sum().backward()
    assert lib.is_grad_enabled() and x.grad is None
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@both
def test_post_hooks_may_free_the_gradient(lib):
    x = lib.ones(2, requires_grad=True)

    def step(t):
        with lib.no_grad():
            t -= t.grad
        t.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * 3).sum().backward()
    assert x.grad is None and x.tolist() == [-2.0, -2.0]


@both
def test_node_metadata(lib):
    y = lib.ones(2, requires_grad=True) * 2
    y.grad_fn.metadata["note"] = 1
    assert y.grad_fn.metadata == {"note": 1}
    assert y.grad_fn.name() == "MulBackward0"
