"""Optimizers against torch's: the same parameters after every step."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")

SHAPES = [(4, 3), (), (5,), (2, 1, 3)]
SETTINGS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.3, 0.6), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.2, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "eps": 1e-3}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.7, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.5, 0.8), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.1, "t0": 2, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.2), "maximize": True}),
]
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(SETTINGS)]
STEPS = 12


def problem(dtype, steps=STEPS, shapes=SHAPES):
    rng = np.random.default_rng(0)

    def draw(shape):
        values = rng.standard_normal(shape)
        if np.dtype(dtype).kind == "c":
            values = values + 1j * rng.standard_normal(shape)
        return np.asarray(values, dtype)

    return [draw(s) for s in shapes], [[draw(s) for s in shapes] for _ in range(steps)]


def both(name, params, settings):
    ours = [rl.tensor(p).requires_grad_() for p in params]
    theirs = [torch.tensor(p).requires_grad_() for p in params]
    return ours, getattr(rl.optim, name)(ours, **settings), theirs, getattr(torch.optim, name)(theirs, **settings)


def give(params, grads, library):
    for p, g in zip(params, grads, strict=True):
        p.grad = library.tensor(g)


def assert_close(ours, theirs, dtype, steps):
    single = np.dtype(dtype).itemsize // (2 if np.dtype(dtype).kind == "c" else 1) == 4
    # One or two units in the last place for each step: torch's kernels fuse products with sums.
    rtol, atol = (3e-7 * steps, 1.2e-7 * steps) if single else (4e-16 * 4 * steps, 4e-16 * steps)
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_steps_equal_torchs(name, settings, dtype):
    params, grads = problem(dtype)
    ours, our_optimizer, theirs, their_optimizer = both(name, params, settings)
    for n, step in enumerate(grads, 1):
        give(ours, step, rl)
        give(theirs, step, torch)
        our_optimizer.step()
        their_optimizer.step()
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b, dtype, n)


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_state_has_torchs_names_dtypes_and_values(name, settings):
    params, grads = problem("float32", 3)
    ours, our_optimizer, theirs, their_optimizer = both(name, params, settings)
    for step in grads:
        give(ours, step, rl)
        give(theirs, step, torch)
        our_optimizer.step()
        their_optimizer.step()
    a, b = our_optimizer.state_dict(), their_optimizer.state_dict()
    assert a["param_groups"] == b["param_groups"]
    assert a["state"].keys() == b["state"].keys()
    for i, state in b["state"].items():
        assert a["state"][i].keys() == state.keys()
        for key, value in state.items():
            mine = a["state"][i][key]
            assert (str(mine.dtype), str(mine.device), tuple(mine.shape)) == (
                str(value.dtype), str(value.device), tuple(value.shape))
            assert_close(mine, value, "float32", 3)
    assert repr(our_optimizer) == repr(their_optimizer)


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_recorded_steps_equal_fused_ones(name, settings):
    params, grads = problem("complex128", 6)
    ours, optimizer, _, _ = both(name, params, settings)
    leaves = [rl.tensor(p).requires_grad_() for p in params]
    recorded = [p.clone() for p in leaves]
    differentiable = getattr(rl.optim, name)(recorded, differentiable=True, **settings)
    for step in grads:
        give(ours, step, rl)
        optimizer.step()
        for p, g in zip(recorded, step, strict=True):
            p.grad = rl.tensor(g)
        differentiable.step()
    for a, b, leaf in zip(ours, recorded, leaves, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-13, atol=1e-14)
        assert b.requires_grad
        (slope,) = rl.autograd.grad(b.abs().sum(), leaf)
        assert np.isfinite(slope.numpy()).all() and slope.abs().sum() > 0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"])
def test_gradient_of_the_learning_rate(name):
    def after(rate, library):
        p = library.tensor([1.0, -2.0], dtype=library.float64).requires_grad_() * 1
        p.grad = library.tensor([0.5, 0.25], dtype=library.float64)
        getattr(library.optim, name)([p], lr=rate, differentiable=True, weight_decay=0.1).step()
        return p.sum()

    rate = rl.tensor(0.1, dtype=rl.float64, requires_grad=True)
    after(rate, rl).backward()
    up, down = (after(rl.tensor(r, dtype=rl.float64), rl).item() for r in (0.1 + 1e-5, 0.1 - 1e-5))
    np.testing.assert_allclose(rate.grad.item(), (up - down) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "NAdam", "Rprop", "ASGD"])
def test_tensor_learning_rate(name):
    params, grads = problem("float32", 4)
    ours, our_optimizer, theirs, their_optimizer = (
        *(lambda p: (p, getattr(rl.optim, name)(p, lr=rl.tensor([0.05]))))([rl.tensor(p).requires_grad_() for p in params]),
        *(lambda p: (p, getattr(torch.optim, name)(p, lr=torch.tensor([0.05]))))(
            [torch.tensor(p).requires_grad_() for p in params]),
    )
    for step in grads:
        give(ours, step, rl)
        give(theirs, step, torch)
        our_optimizer.step()
        their_optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b, "float32", 4)


@pytest.mark.parametrize(
    ("name", "dtype"),
    # In float16 torch's small epsilons round to zero; here they do not.
    [("SGD", "float16"), ("SGD", "bfloat16"), ("Adam", "bfloat16"), ("RMSprop", "bfloat16"), ("Adagrad", "bfloat16")],
)
def test_half_parameters(name, dtype):
    params, grads = problem("float32", 5, [(50,)])
    ours = [rl.tensor(p).to(getattr(rl, dtype)).requires_grad_() for p in params]
    theirs = [torch.tensor(p).to(getattr(torch, dtype)).requires_grad_() for p in params]
    our_optimizer, their_optimizer = (getattr(m.optim, name)(p, lr=0.01) for m, p in ((rl, ours), (torch, theirs)))
    for step in grads:
        for p, q, g in zip(ours, theirs, step, strict=True):
            p.grad = rl.tensor(g).to(p.dtype)
            q.grad = torch.tensor(g).to(q.dtype)
        our_optimizer.step()
        their_optimizer.step()
    eps = {"float16": 1e-3, "bfloat16": 8e-3}[dtype]
    for a, b in zip(ours, theirs, strict=True):
        assert str(a.dtype) == str(b.dtype)
        np.testing.assert_allclose(
            a.detach().float().numpy(), b.detach().float().numpy(), rtol=5 * eps, atol=5 * eps * 0.1)


def test_layout_of_state_follows_the_parameter():
    p = rl.rand(4, 3, dtype=rl.float32).t().requires_grad_()
    p.retain_grad()
    leaf = rl.empty_strided((3, 4), (1, 3)).copy_(p.detach()).requires_grad_()
    optimizer = rl.optim.SGD([leaf], lr=0.1, momentum=0.9)
    before = leaf.detach().clone()
    leaf.grad = rl.ones(3, 4)
    optimizer.step()
    assert optimizer.state[leaf]["momentum_buffer"].stride() == leaf.stride() == (1, 3)
    np.testing.assert_allclose(leaf.detach().numpy(), before.numpy() - 0.1, rtol=1e-6)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_lbfgs(search, dtype):
    start = np.asarray([-1.2, 1.0, 0.5], dtype) * (1 + 0.5j if dtype == "complex128" else 1)

    def run(library):
        x = library.tensor(start[:2]).requires_grad_()
        y = library.tensor(start[2:]).requires_grad_()
        optimizer = library.optim.LBFGS([x, y], lr=0.8 if search else 0.01, max_iter=7, history_size=4,
                                        line_search_fn=search)
        path = []

        def closure():
            optimizer.zero_grad()
            loss = (100 * (x[1] - x[0] ** 2).abs() ** 2 + (1 - x[0]).abs() ** 2 + (y * y.conj()).real * 3).sum()
            loss.backward()
            return loss

        for _ in range(4):
            path.append(optimizer.step(closure).item())
        state = optimizer.state[x]
        return np.concatenate([x.detach().numpy(), y.detach().numpy()]), path, state["func_evals"], state["n_iter"]

    ours, our_path, *our_counts = run(rl)
    theirs, their_path, *their_counts = run(torch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(our_path, their_path, rtol=1e-6, atol=1e-8)
    assert our_counts == their_counts and our_path[-1] < our_path[0]
