"""torch.autograd.graph: nodes, edges, saved-tensor hooks, versions."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.modes import STATE

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


@pytest.fixture(autouse=True)
def modes_are_left():
    yield
    assert len(STATE.busy) == 0


def packed_through_numpy(lib):
    return lib.autograd.graph.saved_tensors_hooks(lambda t: t.detach().numpy().copy(), lambda a: lib.from_numpy(a.copy()))


@both
def test_what_is_packed_comes_back(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    log = []
    with lib.autograd.graph.saved_tensors_hooks(
        lambda t: (log.append("pack"), t.tolist())[1], lambda v: (log.append("unpack"), lib.tensor(v))[1]
    ):
        y = (x * x).exp()
    assert log.count("pack") == 3 and "unpack" not in log
    y.sum().backward()
    assert log.count("unpack") == 3
    np.testing.assert_allclose(x.grad.tolist(), [2 * np.e, 4 * np.exp(4.0)], rtol=1e-6)


@both
def test_double_backward_through_packed_values(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    with packed_through_numpy(lib):
        y = (x * x * x).exp().log().sum()
        (first,) = lib.autograd.grad(y, x, create_graph=True)
        (second,) = lib.autograd.grad(first.sum(), x)
    np.testing.assert_allclose(first.tolist(), [3.0, 12.0], rtol=1e-5)
    np.testing.assert_allclose(second.tolist(), [6.0, 12.0], rtol=1e-5)


@both
def test_hooks_nest_innermost_only(lib):
    log = []

    def hooks(name):
        return lib.autograd.graph.saved_tensors_hooks(lambda t: (log.append(name), t)[1], lambda t: t)

    x = lib.ones(2, requires_grad=True)
    with hooks("outer"):
        x.exp()
        with hooks("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert log == ["outer", "inner", "outer"]


@both
def test_custom_functions_save_through_hooks(lib):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = lib.tensor([3.0], requires_grad=True)
    with packed_through_numpy(lib):
        y = Square.apply(x)
    y.backward()
    assert x.grad.tolist() == [6.0]


@both
def test_inputs_are_packed_as_they_are(lib):
    x = lib.ones(2, requires_grad=True)
    seen = []
    with lib.autograd.graph.saved_tensors_hooks(lambda t: (seen.append(t), t)[1], lambda t: t):
        y = x * x
    assert all(t.data_ptr() == x.data_ptr() and t.requires_grad for t in seen)
    (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (gg,) = lib.autograd.grad(g.sum(), x)
    assert gg.tolist() == [2.0, 2.0]


def test_numbers_are_not_packed():
    """A hook that wrote into the cached constant of a number would change it everywhere."""
    x = rl.ones(2, requires_grad=True)
    seen = []
    with rl.autograd.graph.saved_tensors_hooks(lambda t: (seen.append(t), t)[1], lambda t: t):
        y = x * 3
    assert not seen
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


@both
def test_values_without_hooks_can_go_through_the_graph_twice(lib):
    x = lib.ones(2, requires_grad=True)
    with packed_through_numpy(lib):
        y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@both
def test_save_on_cpu(lib):
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    with lib.autograd.graph.save_on_cpu():
        y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_save_on_cpu_still_checks_writes():
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    with rl.autograd.graph.save_on_cpu():
        y = (x * x).sum()
    with rl.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


@both
def test_disabled_hooks(lib):
    hooks = lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t)

    @lib.autograd.graph.disable_saved_tensors_hooks("not here")
    def decorated():
        with hooks:
            pass

    with pytest.raises(RuntimeError, match="not here"):
        decorated()
    with hooks:
        (lib.ones(1, requires_grad=True) ** 2).backward()


@both
def test_the_graph_can_be_walked(lib):
    x, w = lib.ones(2, 2, requires_grad=True), lib.ones(2, 2, requires_grad=True)
    y = ((x @ w).relu() + x).sum()

    def walk(node):
        return None if node is None else (type(node).__name__, [walk(n) for n, _ in node.next_functions])

    assert walk(y.grad_fn) == (
        "SumBackward0",
        [
            (
                "AddBackward0",
                [
                    ("ReluBackward0", [("MmBackward0", [("AccumulateGrad", []), ("AccumulateGrad", [])])]),
                    ("AccumulateGrad", []),
                ],
            )
        ],
    )
    assert isinstance(y.grad_fn, lib.autograd.graph.Node)
    assert repr(y.grad_fn).startswith("<SumBackward0 object at 0x")
    assert type(y.grad_fn).__module__ == "builtins"
    assert y.grad_fn.name() == "SumBackward0"
    numbers = (y.grad_fn._sequence_nr(), y.grad_fn.next_functions[0][0]._sequence_nr())
    assert numbers[0] > numbers[1]


@both
def test_nodes_hash_and_compare_by_identity(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    assert len({y.grad_fn, y.grad_fn}) == 1 and y.grad_fn == y.grad_fn
    assert (x * 2).grad_fn != y.grad_fn


@both
def test_output_numbers(lib):
    parts = lib.ones(6, requires_grad=True).split(2)
    assert [p.output_nr for p in parts] == [0, 1, 2]
    total = (parts[2] * 2).sum()
    assert total.grad_fn.next_functions[0][0].next_functions[0][1] == 2


@both
def test_gradient_edges(lib):
    x = lib.ones(2, requires_grad=True)
    y = x * 2
    edge = lib.autograd.graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0
    z = (y * 3).sum()
    del y
    assert lib.autograd.grad(z, edge, retain_graph=True)[0].tolist() == [3.0, 3.0]
    assert lib.autograd.grad(z, [edge, x])[1].tolist() == [6.0, 6.0]


@both
def test_increment_version(lib):
    x = lib.ones(2, requires_grad=True) * 1
    y = (x * x).sum()
    lib.autograd.graph.increment_version(x)
    assert x._version == 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
