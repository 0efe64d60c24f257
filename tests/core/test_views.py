"""Views: their bases and recipes, shared versions, histories taken anew; see also tests/autograd/test_views_inplace.py."""

from __future__ import annotations

import gc
import weakref

import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


@both
def test_bases(lib):
    x = lib.zeros(3, 4)
    v = x.t()[1:].unsqueeze(0)
    assert v._base is x and v._is_view() and not x._is_view()
    assert x.detach()._base is None and x.clone()._base is None and (x + 1)._base is None
    assert v.detach()._base is None
    for part in (*x.split(1), *x.unbind(), x.expand(2, 3, 4), x.diagonal(), x.view(-1), x[...], x.as_strided((2,), (1,))):
        assert part._base is x


def test_a_recipe_gives_the_view_again():
    x = rl.arange(24).reshape(2, 3, 4).clone()
    v = x.permute(2, 0, 1)[1:, :, ::2]
    array = x._array
    for op in v._view.ops:
        array = op.forward(x.device.kernels, array)
    assert array.tolist() == v.tolist() and array.base is not None


@both
def test_views_follow_their_base(lib):
    x = lib.zeros(2, 3)
    row, column, flat = x[0], x[:, 0], x.view(-1)
    x[0, 0] = 7
    assert row[0].item() == column[0].item() == flat[0].item() == 7
    flat.add_(1)
    assert x.tolist() == [[8.0, 1.0, 1.0], [1.0] * 3]


@both
def test_histories_are_taken_anew(lib):
    x = lib.ones(4, requires_grad=True)
    y = x * 2
    v = y[1:]
    before = v.grad_fn
    y.mul_(3)
    assert v.grad_fn is not before and type(v.grad_fn).__name__ == "AsStridedBackward0"
    assert v.grad_fn is v.grad_fn
    v.sum().backward()
    assert x.grad.tolist() == [0.0, 6.0, 6.0, 6.0]


@both
def test_a_view_made_before_its_base_had_a_history(lib):
    x = lib.ones(2, requires_grad=True)
    buffer = lib.zeros(4)
    early, other = buffer[:2], buffer[2:]
    assert not early.requires_grad
    buffer[1:3] = x * 5
    assert early.requires_grad and other.requires_grad and not early.is_leaf
    (early * 2).sum().backward()
    assert x.grad.tolist() == [10.0, 0.0]


RECIPES = {
    "slice": lambda y: y[1:],
    "transpose": lambda y: y.transpose(0, 1),
    "expand": lambda y: y.unsqueeze(0).expand(3, 4, 4),
    "diagonal": lambda y: y.diagonal(),
    "as_strided": lambda y: y.as_strided((2, 2), (1, 2), 1),
    "unfold": lambda y: y.unfold(0, 2, 1),
    "view": lambda y: y.view(2, 8),
    "chain": lambda y: y.t()[1:].unsqueeze(1).expand(3, 2, 4)[..., ::2],
    "squeeze": lambda y: y[:1].squeeze(0).narrow(0, 1, 2),
}


@pytest.mark.parametrize("name", RECIPES)
def test_gradients_of_views_taken_anew(name):
    results = []
    for lib in (rl, torch):
        x = lib.arange(16.0).reshape(4, 4).clone().requires_grad_()
        y = x * 1
        view = RECIPES[name](y)
        y.mul_(lib.arange(16.0).reshape(4, 4))
        (view * view).sum().backward()
        results.append((x.grad.tolist(), type(view.grad_fn).__name__))
    assert results[0] == results[1]


@pytest.mark.parametrize("name", [n for n in RECIPES if n not in ("expand", "unfold", "chain")])
def test_writing_through_them(name):
    results = []
    for lib in (rl, torch):
        x = lib.arange(16.0).reshape(4, 4).clone().requires_grad_()
        y = x * 1
        RECIPES[name](y).mul_(2).add_(1)
        (y * y).sum().backward()
        results.append((y.tolist(), x.grad.tolist()))
    assert results[0] == results[1]


@both
def test_leaves_that_are_views(lib):
    x = lib.arange(4.0).reshape(2, 2).requires_grad_()
    assert x._is_view() and x.is_leaf
    with lib.no_grad():
        x.add_(1)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [[2.0, 2.0]] * 2
    with pytest.raises(RuntimeError, match="view of a leaf"):
        x.add_(1)


def test_a_view_keeps_its_base_but_not_the_other_way_round():
    gc.collect()
    gc.disable()
    try:
        x = rl.zeros(3)
        v = x[1:]
        base, view = weakref.ref(x), weakref.ref(v)
        del x
        assert base() is v._base
        del v
        assert base() is None and view() is None
    finally:
        gc.enable()


def test_results_of_matmul_are_no_views():
    x = rl.ones(2, 3, 4, requires_grad=True)
    y = x @ rl.ones(4, 2)
    assert not y._is_view()
    y.mul_(2)
    assert type(y.grad_fn).__name__ == "MulBackward0"
