"""In-place writes: versions, where the write came from, casts, overlaps, what is saved."""

from __future__ import annotations

import re

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.inplace import CopySlices, ViewAgain

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


@both
def test_versions(lib):
    x = lib.zeros(4)
    v, d = x[1:], x.detach()
    x.add_(1)
    v.mul_(2)
    d[0] = 5
    x.zero_().fill_(1).copy_(lib.ones(4))
    assert x._version == v._version == d._version == 6
    assert x.clone()._version == 0 and x.data._version == 0
    lib.add(x, 1, out=x)
    assert x._version == 7


WRITES = {
    "method": lambda x: x.add_(1),
    "operator": lambda x: x.__imul__(2),
    "tensor": lambda x: x.sub_(rl.ones(2)),
    "broadcast": lambda x: x.add_(rl.ones(1)),
    "converted": lambda x: x.add_(rl.ones(2, dtype=rl.int64)),
    "unary": lambda x: x.exp_(),
    "view": lambda x: x[0].zero_(),
    "out": lambda x: rl.add(rl.ones(2), 1, out=x),
    "update": lambda x: optim_step(x),
}


def optim_step(x):
    x.grad = rl.ones(2)
    rl.optim.SGD([x], lr=1.0).step()


@pytest.mark.parametrize("name", WRITES)
def test_the_error_names_the_line_that_wrote(name):
    """The last one that wrote, although nobody asked where earlier ones stood."""
    x, w = rl.rand(2), rl.ones(2, requires_grad=True)
    x.add_(1)
    y = (w * x).sum()
    with rl.no_grad():
        WRITES[name](x)
    code = (optim_step if name == "update" else WRITES[name]).__code__
    line = code.co_firstlineno + (2 if name == "update" else 0)
    with pytest.raises(RuntimeError, match=rf"last written at {re.escape(__file__)}, line {line}\."):
        y.backward()


def test_the_error_names_a_recorded_write_over_what_it_saves():
    x = rl.rand(2, requires_grad=True).clone()
    x.mul_(x[:])
    line = test_the_error_names_a_recorded_write_over_what_it_saves.__code__.co_firstlineno + 2
    with pytest.raises(RuntimeError, match=rf"last written at {re.escape(__file__)}, line {line}\."):
        x.sum().backward()


@both
@pytest.mark.parametrize("target", ["float16", "float32", "int64", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("other", ["float64", "int32", "complex128", "bool"])
def test_results_are_cast_to_the_target(lib, target, other):
    x, y = lib.ones(2, dtype=getattr(lib, target)), lib.ones(2, dtype=getattr(lib, other))
    order = ["bool", "int", "uint8", "float", "complex"]
    rank = lambda name: 1 if name.startswith("uint") else next(i for i, kind in enumerate(order) if name.startswith(kind))  # noqa: E731
    if rank(other) > max(rank(target), 1 if target == "uint8" else 0) and not (target == "uint8" and other == "int32"):
        with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
            x.add_(y)
        assert x._version == 0
    else:
        assert x.add_(y).dtype is getattr(lib, target)


@both
def test_broadcasting_goes_into_the_target_only(lib):
    x = lib.zeros(2, 3)
    assert x.add_(lib.ones(3)).sum().item() == 6
    with pytest.raises(RuntimeError, match="broadcast|output with shape"):
        lib.zeros(3).add_(lib.ones(2, 3))


def test_overlapping_inputs_are_read_before_they_are_written():
    x = rl.arange(5)
    x[1:].copy_(x[:-1])
    assert x.tolist() == [0, 0, 1, 2, 3]
    y = rl.arange(9.0).reshape(3, 3)
    y.add_(y.t())
    assert y.tolist() == (np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T).tolist()


@both
def test_elements_that_share_memory(lib):
    x = lib.zeros(1, 3).expand(2, 3)
    with pytest.raises(RuntimeError, match="clone\\(\\)"):
        x.add_(1)
    assert x.fill_(2).tolist() == [[2.0] * 3] * 2
    assert x.zero_().tolist() == [[0.0] * 3] * 2


@both
def test_an_input_that_is_saved_is_kept_as_it_was(lib):
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y.sin_().mul_(y.detach() * 0 + 2).pow_(2)
    (y * 1).sum().backward()
    expected = 8 * np.sin([2.0, 3.0]) * np.cos([2.0, 3.0])
    np.testing.assert_allclose(x.grad.tolist(), expected, rtol=1e-5)
    w = lib.tensor([5.0, 7.0], requires_grad=True)
    z = x * 1
    z.mul_(w)
    z.sum().backward()
    assert w.grad.tolist() == [2.0, 3.0]


def test_a_tensor_times_itself_in_place():
    """torch refuses to differentiate this."""
    x = rl.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 6.0]


@both
def test_an_other_input_on_the_same_memory_is_an_error_later(lib):
    x = lib.ones(4, requires_grad=True)
    y = x * 2
    view = y[:2]
    out = lib.ones(2, requires_grad=True) * view
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_the_nodes_of_a_write_through_a_view():
    x = rl.ones(4, requires_grad=True)
    base = x * 2
    view = base[1:]
    view.mul_(rl.full((3,), 3.0))
    assert isinstance(base.grad_fn, CopySlices) and type(base.grad_fn).__module__ == "builtins"
    assert [type(n).__name__ for n, _ in base.grad_fn.next_functions] == ["MulBackward0", "NoneType"]
    assert isinstance(view.grad_fn.op, ViewAgain) and type(view.grad_fn).__name__ == "AsStridedBackward0"
    assert view.grad_fn.next_functions == ((base.grad_fn, 0),)
    base.sum().backward()
    assert x.grad.tolist() == [2.0, 6.0, 6.0, 6.0]
    with pytest.raises(RuntimeError, match="second time"):
        base.sum().backward()


@both
def test_double_backward_through_writes(lib):
    x = lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64, requires_grad=True)

    def f(x):
        y = x * 1
        y[1:].mul_(x[1:])
        y.view(-1)[2:].sin_()
        y[0].exp_()
        return (y**2).sum()

    (g,) = lib.autograd.grad(f(x), x, create_graph=True)
    (gg,) = lib.autograd.grad(g.sum(), x)
    a, b, c = 1.0, 2.0, 3.0
    s, k = np.sin(c * c), np.cos(c * c)
    first = [2 * np.exp(2 * a), 4 * b**3, 4 * c * s * k]
    second = [4 * np.exp(2 * a), 12 * b**2, 4 * s * k + 8 * c**2 * (k * k - s * s)]
    np.testing.assert_allclose(g.tolist(), first, rtol=1e-9)
    np.testing.assert_allclose(gg.tolist(), second, rtol=1e-9)


@both
def test_complex_parts(lib):
    z = lib.tensor([1 + 1j, 2 + 2j], requires_grad=True)
    y = z * 1
    y.real.mul_(3)
    y.imag.zero_()
    y.abs().sum().backward()
    np.testing.assert_allclose(np.array(z.grad.tolist()), [3, 3])


@both
def test_writes_under_no_grad_keep_the_history(lib):
    x = lib.ones(3, requires_grad=True)
    y = x * 2
    node = y.grad_fn
    with lib.no_grad():
        y.add_(5)
        x[0] = 9
    assert y.grad_fn is node and x.tolist() == [9.0, 1.0, 1.0] and x.is_leaf
    y.sum().backward()
    assert x.grad.tolist() == [2.0] * 3


def test_failed_writes_change_nothing():
    x = rl.ones(2, dtype=rl.int64)
    for bad in (lambda: x.add_(0.5), lambda: x.add_(rl.ones(3, 2, dtype=rl.int64)), lambda: x.copy_(rl.ones(3)), lambda: x.div_(2)):
        with pytest.raises(RuntimeError):
            bad()
    assert x.tolist() == [1, 1] and x._version == 0
