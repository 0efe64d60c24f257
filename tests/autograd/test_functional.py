"""torch.autograd.functional, against torch: values, structure, strict mode, graphs, errors."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def vector(lib):
    return lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64)


def matrix(lib):
    return lib.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=lib.float64)


def plain(value):
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    return value.detach().numpy(), value.requires_grad


def outcome(call, lib):
    try:
        return plain(call(lib.autograd.functional, lib))
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


def assert_same(ours, theirs):
    assert type(ours) is type(theirs), f"{ours} but torch {theirs}"
    if isinstance(ours, str):
        assert ours == theirs
    elif isinstance(ours[0], np.ndarray):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-10, atol=1e-12)
        assert ours[0].shape == theirs[0].shape and ours[1] == theirs[1]
    else:
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)


def exp_sum(x):
    return x.exp().sum()


def both_outputs(x):
    return x**2, x.sum()


def mixed(x, y):
    return (x.sum() * y**2).sum()


def ones_of(lib, *shape):
    return lambda *args: lib.ones(*shape, dtype=lib.float64)


def leaf(lib):
    return vector(lib).requires_grad_()


CASES = {
    "jacobian": lambda F, lib: F.jacobian(lambda x: x**2, vector(lib)),
    "jacobian of a scalar": lambda F, lib: F.jacobian(exp_sum, vector(lib)),
    "jacobian, two outputs": lambda F, lib: F.jacobian(both_outputs, vector(lib)),
    "jacobian, two inputs": lambda F, lib: F.jacobian(lambda x, y: x.sum() * y, (vector(lib), matrix(lib))),
    "jacobian, one in a tuple": lambda F, lib: F.jacobian(lambda x: (x * 2,), (vector(lib),)),
    "jacobian of a constant": lambda F, lib: F.jacobian(ones_of(lib, 2), vector(lib)),
    "jacobian, unused input": lambda F, lib: F.jacobian(lambda x, y: x * 2, (vector(lib), matrix(lib))),
    "jacobian with graph": lambda F, lib: F.jacobian(lambda x: x**2, leaf(lib), create_graph=True),
    "jacobian vectorized": lambda F, lib: F.jacobian(lambda x: x**2, vector(lib), vectorize=True),
    "jacobian of no tensor": lambda F, lib: F.jacobian(lambda x: x, 3),
    "jacobian of a list": lambda F, lib: F.jacobian(lambda x: x, [vector(lib)]),
    "jacobian to no tensor": lambda F, lib: F.jacobian(lambda x: 3, vector(lib)),
    "jacobian to a list": lambda F, lib: F.jacobian(lambda x: [x], vector(lib)),
    "jacobian strategy": lambda F, lib: F.jacobian(exp_sum, vector(lib), strategy="sideways"),
    "jacobian strict constant": lambda F, lib: F.jacobian(ones_of(lib, 2), vector(lib), strict=True),
    "jacobian strict unused": lambda F, lib: F.jacobian(lambda x, y: x * 2, (vector(lib), matrix(lib)), strict=True),
    "jacobian strict graph": lambda F, lib: F.jacobian(lambda x: x * 2, vector(lib), strict=True, create_graph=True),
    "jacobian strict": lambda F, lib: F.jacobian(lambda x: x**2, vector(lib), strict=True, create_graph=True),
    "hessian": lambda F, lib: F.hessian(exp_sum, vector(lib)),
    "hessian, two inputs": lambda F, lib: F.hessian(mixed, (vector(lib), matrix(lib))),
    "hessian of a linear function": lambda F, lib: F.hessian(lambda x: x.sum(), vector(lib)),
    "hessian of a constant": lambda F, lib: F.hessian(ones_of(lib), vector(lib)),
    "hessian of one element": lambda F, lib: F.hessian(lambda x: (x**3).sum().view(1), vector(lib)),
    "hessian with graph": lambda F, lib: F.hessian(exp_sum, leaf(lib), create_graph=True),
    "hessian, not a scalar": lambda F, lib: F.hessian(lambda x: x**2, vector(lib)),
    "hessian to no tensor": lambda F, lib: F.hessian(lambda x: 3, vector(lib)),
    "hessian to a tuple": lambda F, lib: F.hessian(lambda x: (x.sum(),), vector(lib)),
    "hessian strategy": lambda F, lib: F.hessian(exp_sum, vector(lib), outer_jacobian_strategy="sideways"),
    "hessian strict linear": lambda F, lib: F.hessian(lambda x: x.sum(), vector(lib), strict=True),
    "hessian strict constant": lambda F, lib: F.hessian(ones_of(lib), vector(lib), strict=True),
    "hessian strict": lambda F, lib: F.hessian(exp_sum, vector(lib), strict=True),
    "vjp": lambda F, lib: F.vjp(lambda x: x**2, vector(lib), vector(lib)),
    "vjp of a scalar": lambda F, lib: F.vjp(exp_sum, vector(lib)),
    "vjp, two outputs": lambda F, lib: F.vjp(both_outputs, vector(lib), (vector(lib), vector(lib)[0])),
    "vjp of a constant": lambda F, lib: F.vjp(ones_of(lib, 3), vector(lib), vector(lib)),
    "vjp with graph": lambda F, lib: F.vjp(lambda x: x**2, leaf(lib), vector(lib), create_graph=True),
    "vjp without v": lambda F, lib: F.vjp(lambda x: x**2, vector(lib)),
    "vjp, v of another shape": lambda F, lib: F.vjp(lambda x: x**2, vector(lib), matrix(lib)),
    "vjp, v too short": lambda F, lib: F.vjp(both_outputs, vector(lib), (vector(lib),)),
    "vjp, v no tensor": lambda F, lib: F.vjp(exp_sum, vector(lib), 3),
    "vjp strict constant": lambda F, lib: F.vjp(ones_of(lib, 3), vector(lib), vector(lib), strict=True),
    "jvp": lambda F, lib: F.jvp(lambda x: x**2, vector(lib), vector(lib)),
    "jvp, two of each": lambda F, lib: F.jvp(lambda x, y: (x.sum() * y, x), (vector(lib), matrix(lib)), (vector(lib), matrix(lib))),
    "jvp of one element": lambda F, lib: F.jvp(lambda x: x**2, vector(lib)[:1]),
    "jvp without v": lambda F, lib: F.jvp(lambda x: x**2, vector(lib)),
    "jvp of a constant": lambda F, lib: F.jvp(ones_of(lib, 3), vector(lib), vector(lib)),
    "jvp, linear": lambda F, lib: F.jvp(lambda x: x * 2, vector(lib), vector(lib)),
    "jvp with graph": lambda F, lib: F.jvp(lambda x: x**2, leaf(lib), vector(lib), create_graph=True),
    "jvp strict constant": lambda F, lib: F.jvp(ones_of(lib, 3), vector(lib), vector(lib), strict=True),
    "hvp": lambda F, lib: F.hvp(exp_sum, vector(lib), vector(lib)),
    "hvp, two inputs": lambda F, lib: F.hvp(mixed, (vector(lib), matrix(lib)), (vector(lib), matrix(lib))),
    "hvp of one element": lambda F, lib: F.hvp(lambda x: x**3, vector(lib)[0]),
    "hvp, linear": lambda F, lib: F.hvp(lambda x: x.sum(), vector(lib), vector(lib)),
    "hvp strict linear": lambda F, lib: F.hvp(lambda x: x.sum(), vector(lib), vector(lib), strict=True),
    "hvp, not a scalar": lambda F, lib: F.hvp(lambda x: x**2, vector(lib), vector(lib)),
    "hvp without v": lambda F, lib: F.hvp(exp_sum, vector(lib)),
    "hvp to a tuple": lambda F, lib: F.hvp(both_outputs, vector(lib), vector(lib)),
    "vhp": lambda F, lib: F.vhp(exp_sum, vector(lib), vector(lib)),
    "vhp, two inputs": lambda F, lib: F.vhp(mixed, (vector(lib), matrix(lib)), (vector(lib), matrix(lib))),
    "vhp of one element": lambda F, lib: F.vhp(lambda x: x**3, vector(lib)[0]),
    "vhp, linear": lambda F, lib: F.vhp(lambda x: x.sum(), vector(lib), vector(lib)),
    "vhp strict linear": lambda F, lib: F.vhp(lambda x: x.sum(), vector(lib), vector(lib), strict=True),
    "vhp of a constant": lambda F, lib: F.vhp(ones_of(lib), vector(lib), vector(lib)),
    "vhp strict constant": lambda F, lib: F.vhp(ones_of(lib), vector(lib), vector(lib), strict=True),
    "vhp with graph": lambda F, lib: F.vhp(exp_sum, leaf(lib), vector(lib), create_graph=True),
    "vhp, v of another shape": lambda F, lib: F.vhp(exp_sum, vector(lib), matrix(lib)),
}


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    assert_same(outcome(CASES[name], rl), outcome(CASES[name], torch))


def test_results_with_a_graph_reach_the_callers_tensor():
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    J = rl.autograd.functional.jacobian(lambda t: t**3, x, create_graph=True)
    (g,) = rl.autograd.grad(J.sum(), x)
    assert g.tolist() == [6.0, 12.0]


def test_the_callers_tensors_are_left_alone():
    x = rl.tensor([1.0, 2.0])
    rl.autograd.functional.hessian(lambda t: (t**3).sum(), x)
    assert not x.requires_grad and x.grad is None
    with rl.no_grad():
        assert rl.autograd.functional.jacobian(lambda t: t * 2, x).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_what_torch_refuses_and_we_serve():
    F, x = rl.autograd.functional, rl.tensor([1.0, 2.0])
    assert F.jacobian(lambda t: t[:0], x).shape == (0, 2)
    assert F.jacobian(lambda t: t**2, x, strategy="forward-mode").tolist() == [[2.0, 0.0], [0.0, 4.0]]
