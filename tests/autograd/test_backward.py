"""`backward` and `grad`: every argument, accumulation, higher orders, what a tensor says of its history."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


def lists(values):
    return [None if v is None else v.tolist() for v in values]


@both
def test_what_a_tensor_says(lib):
    x, plain = lib.ones(2, requires_grad=True), lib.ones(2)
    y = x * 2
    assert (x.requires_grad, x.is_leaf, x.grad_fn) == (True, True, None)
    assert (plain.requires_grad, plain.is_leaf, plain.grad_fn) == (False, True, None)
    assert (y.requires_grad, y.is_leaf) == (True, False)
    assert type(y.grad_fn).__name__ == "MulBackward0"
    assert not (plain * 2).requires_grad
    assert not (x > 0).requires_grad and (x > 0).is_leaf
    assert not x.argmax().requires_grad
    assert not x.long().requires_grad
    assert y.grad_fn.next_functions[0][0].variable is x
    assert x.name is None


@both
def test_requires_grad_can_be_switched(lib):
    x = lib.ones(2)
    assert x.requires_grad_() is x and x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    x.requires_grad_(True).requires_grad_(False)
    assert not (x * 2).requires_grad


@both
def test_detach(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    d = y.detach()
    assert not d.requires_grad and d.is_leaf and d.data_ptr() == y.data_ptr()
    d.add_(1)
    assert y.tolist() == [3.0] * 3 and y._version == d._version == 1
    assert y.detach_() is y and not y.requires_grad and y.is_leaf
    (x * y).sum().backward()
    assert x.grad.tolist() == [3.0] * 3


@both
def test_data(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * x
    x.data.mul_(5)
    assert x._version == 0 and x.tolist() == [5.0] * 3
    y.sum().backward()
    assert x.grad.tolist() == [10.0] * 3  # torch's known hole: .data hides the write
    x.data = lib.zeros(3)
    assert x.requires_grad and x.tolist() == [0.0] * 3


@both
def test_gradients_accumulate(lib):
    x = lib.ones(2, requires_grad=True)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    x.grad.zero_()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    x.grad = None
    assert x.grad is None


@both
def test_given_cotangents(lib):
    x = lib.ones(3, requires_grad=True)
    (x * 2).backward(lib.tensor([1.0, 2.0, 3.0]))
    (x * 2).backward(gradient=lib.tensor([1.0, 1.0, 1.0], dtype=lib.float64))
    lib.autograd.backward([x.sum(), x * 1], [None, lib.ones(3)])
    lib.autograd.backward((x.sum(),))
    assert x.grad.tolist() == [7.0, 9.0, 11.0]
    assert x.grad.dtype == lib.float32


@both
def test_scalars_of_any_rank(lib):
    x = lib.ones(1, 1, 1, requires_grad=True)
    (x * 3).backward()
    assert x.grad.tolist() == [[[3.0]]]


@both
def test_retain_graph(lib):
    x = lib.ones(2, requires_grad=True)
    y = (x**2).sum()
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


@both
def test_a_shared_part_is_freed_by_the_first_pass(lib):
    x = lib.ones(2, requires_grad=True)
    shared = x.exp()
    a, b = shared.sum(), (shared * 2).sum()
    a.backward()
    with pytest.raises(RuntimeError, match="second time"):
        b.backward()


@both
def test_higher_orders(lib):
    x = lib.tensor([2.0], requires_grad=True)
    value, found = x**4, []
    for _ in range(4):
        (value,) = lib.autograd.grad(value.sum(), x, create_graph=True)
        found.append(value.item())
    assert found == [32.0, 48.0, 48.0, 24.0]


@both
def test_create_graph_of_backward(lib):
    torch.set_warn_always(True)
    x = lib.tensor([3.0], requires_grad=True)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    (second,) = lib.autograd.grad(x.grad, x)
    assert second.item() == 18.0
    x.grad = None


@both
def test_inputs_of_backward(lib):
    x, w = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    y = x * w
    z = (y * 3).sum()
    z.backward(inputs=[x], retain_graph=True)
    assert lists((x.grad, w.grad)) == [[3.0, 3.0], None]
    z.backward(inputs=(y, w), retain_graph=True)
    assert y.retains_grad and lists((x.grad, w.grad, y.grad)) == [[3.0, 3.0], [3.0, 3.0], [3.0, 3.0]]
    z.backward(inputs=x)
    assert lists((x.grad, w.grad)) == [[6.0, 6.0], [3.0, 3.0]]


@both
def test_only_what_is_needed_runs(lib):
    log = []

    class Spy(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, name):
            ctx.name_ = name
            return x * 1

        @staticmethod
        def backward(ctx, g):
            log.append(ctx.name_)
            return g, None

    x, w = lib.ones(2, requires_grad=True), lib.ones(2, requires_grad=True)
    z = Spy.apply(Spy.apply(x, "x") * Spy.apply(w, "w"), "top").sum()
    lib.autograd.grad(z, w, retain_graph=True)
    assert log == ["top", "w"]
    log.clear()
    z.backward(inputs=[x])
    assert log == ["top", "x"]


@both
def test_grad(lib):
    x, w = lib.ones(2, requires_grad=True), lib.full((2,), 3.0, requires_grad=True)
    y = x * w
    assert lists(lib.autograd.grad(y.sum(), (x, w), retain_graph=True)) == [[3.0, 3.0], [1.0, 1.0]]
    assert lists(lib.autograd.grad(y, x, lib.tensor([1.0, 2.0]), retain_graph=True)) == [[3.0, 6.0]]
    assert lists(lib.autograd.grad([y.sum(), (y * 2).sum()], [y, x], retain_graph=True)) == [[3.0, 3.0], [9.0, 9.0]]
    assert lists(lib.autograd.grad(y.sum(), [x, x], retain_graph=True)) == [[3.0, 3.0], [3.0, 3.0]]
    assert lists(lib.autograd.grad(y.sum(), [x, lib.ones(1, requires_grad=True)], allow_unused=True)) == [[3.0, 3.0], None]
    assert x.grad is None and w.grad is None
    assert lists(lib.autograd.grad(x, x, lib.ones(2))) == [[1.0, 1.0]]


@both
def test_materialized_gradients_have_the_inputs_dtype(lib):
    unused = lib.ones(2, 3, dtype=lib.float64, requires_grad=True)
    (g,) = lib.autograd.grad(lib.ones(1, requires_grad=True).sum(), unused, materialize_grads=True)
    assert g.dtype == lib.float64 and tuple(g.shape) == (2, 3) and not g.any()


def test_batched_cotangents():
    x = np.random.default_rng(0).standard_normal(3)
    results = []
    for lib in (rl, torch):
        t = lib.tensor(x, requires_grad=True)
        y = t**2
        results.append(lib.autograd.grad(y, t, lib.eye(3, dtype=lib.float64), is_grads_batched=True)[0].numpy())
    np.testing.assert_allclose(*results)


@both
def test_a_leaf_is_its_own_output(lib):
    x = lib.ones(2, requires_grad=True)
    x.backward(lib.ones(2))
    x.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@both
def test_gradients_are_summed_and_cast_to_their_inputs(lib):
    row = lib.ones(3, requires_grad=True)
    half = lib.ones(2, 3, dtype=lib.float16, requires_grad=True)
    scalar = lib.ones((), dtype=lib.float64, requires_grad=True)
    y = row + half * scalar
    y.sum().backward()
    assert (row.grad.tolist(), half.grad.dtype, scalar.grad.dtype) == ([2.0] * 3, lib.float16, lib.float64)
    assert scalar.grad.item() == 6.0 and tuple(half.grad.shape) == (2, 3)


@both
def test_complex_gradients(lib):
    z = lib.tensor([1 + 2j, 3 - 1j], requires_grad=True)
    x = lib.tensor([1.0, 2.0], requires_grad=True)
    (z * x).abs().pow(2).sum().backward()
    np.testing.assert_allclose(np.array(z.grad.tolist()), [2 * (1 + 2j), 8 * (3 - 1j)], rtol=1e-5)
    np.testing.assert_allclose(x.grad.tolist(), [2 * 5, 4 * 10], rtol=1e-5)
    assert x.grad.dtype == lib.float32
    w = lib.tensor([1 + 1j], requires_grad=True)
    (w * w).backward(lib.tensor([1 + 0j]))
    np.testing.assert_allclose(np.array(w.grad.tolist()), [2 - 2j])


@both
def test_unused_parts_are_left_alone(lib):
    x = lib.ones(4, requires_grad=True)
    first, _ = x.split(2)
    first.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0]
    a, b = lib.ones(1, requires_grad=True), lib.ones(1, requires_grad=True)
    (a * 1).backward()
    assert b.grad is None


@both
def test_setting_the_gradient(lib):
    x = lib.ones(2, requires_grad=True)
    g = lib.ones(2)
    x.grad = g
    assert x.grad is g
    (x * 2).sum().backward()
    assert x.grad is g and g.tolist() == [3.0, 3.0]
