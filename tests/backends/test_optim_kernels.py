"""Optimizer steps against torch's single-tensor optimizers."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import optim

torch = pytest.importorskip("torch", reason="parity tests need torch")
SHAPES = [(70000,), (3, 5), (), (0,)]


def run_theirs(optimizer, params, grads, **settings):
    tensors = [torch.from_numpy(p.copy()).requires_grad_() for p in params]
    stepper = optimizer(tensors, foreach=False, **settings)
    for step in grads:
        for tensor, gradient in zip(tensors, step, strict=True):
            tensor.grad = torch.from_numpy(gradient.copy())
        stepper.step()
    return [t.detach().numpy() for t in tensors]


def problem(dtype, shapes=SHAPES, steps=4):
    rng = np.random.default_rng(0)
    make = lambda: [np.asarray(rng.standard_normal(s), dtype) for s in shapes]  # noqa: E731
    return make(), [make() for _ in range(steps)]


def close(ours, theirs, dtype):
    rtol, atol = (1e-13, 1e-14) if dtype == np.float64 else (1e-6, 2e-7)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


DTYPES = [np.float64, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.1, "dampening": 0.3},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9, "nesterov": True, "maximize": True},
        {"weight_decay": 0.1, "maximize": True},
    ],
)
def test_sgd(dtype, settings):
    params, grads = problem(dtype)
    theirs = run_theirs(torch.optim.SGD, params, grads, lr=0.1, **settings)
    kept = [[g.copy() for g in step] for step in grads]
    buffers = [None] * len(params)
    for step in grads:
        optim.sgd_step(params, step, buffers, lr=0.1, **settings)
    close(params, theirs, dtype)
    for step, before in zip(grads, kept, strict=True):
        for a, b in zip(step, before, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decoupled", [True, False])
@pytest.mark.parametrize("settings", [{}, {"amsgrad": True}, {"maximize": True}, {"weight_decay": 0.0}])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.3, 0.6)])
def test_adam(dtype, decoupled, settings, betas):
    params, grads = problem(dtype)
    settings = {"lr": 0.01, "eps": 1e-8, "weight_decay": 0.1, **settings}
    theirs = run_theirs(torch.optim.AdamW if decoupled else torch.optim.Adam, params, grads, betas=betas, **settings)
    first, second, most = ([np.zeros_like(p) for p in params] for _ in range(3))
    for n, step in enumerate(grads, 1):
        optim.adam_step(
            params, step, first, second, most, [n] * len(params),
            beta1=betas[0], beta2=betas[1], decoupled_weight_decay=decoupled, **settings,
        )
    close(params, theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("momentum", [0, 0.9])
@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("extra", [{}, {"weight_decay": 0.1, "maximize": True}])
def test_rmsprop(dtype, momentum, centered, extra):
    params, grads = problem(dtype)
    settings = {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "momentum": momentum, "centered": centered, **extra}
    theirs = run_theirs(torch.optim.RMSprop, params, grads, **settings)
    square, mean, buffers = ([np.zeros_like(p) for p in params] for _ in range(3))
    for step in grads:
        optim.rmsprop_step(params, step, square, mean, buffers, **settings)
    close(params, theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extra", [{}, {"weight_decay": 0.1, "maximize": True, "lr_decay": 0.2}])
def test_adagrad(dtype, extra):
    params, grads = problem(dtype)
    theirs = run_theirs(torch.optim.Adagrad, params, grads, lr=0.1, eps=1e-10, **extra)
    sums = [np.zeros_like(p) for p in params]
    for n, step in enumerate(grads, 1):
        optim.adagrad_step(params, step, sums, [n] * len(params), lr=0.1, eps=1e-10, **extra)
    close(params, theirs, dtype)


def test_layouts_are_updated_in_place():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((6, 5, 4))
    gradient = rng.standard_normal((6, 5, 4))
    for view in (lambda a: a.transpose(2, 0, 1), lambda a: a[::2, ::-1], lambda a: a[1, 1, 1:2].reshape(())):
        whole = base.copy()
        parameter, expected = view(whole), view(base).copy()
        expected -= 0.1 * (view(gradient) + 0.5 * expected)
        optim.sgd_step([parameter], [view(gradient)], [None], lr=0.1, weight_decay=0.5)
        np.testing.assert_allclose(parameter, expected, rtol=1e-14)
        assert parameter.ndim == 0 or not np.array_equal(whole, base)


def test_momentum_buffer_is_made_once_and_kept():
    parameter, gradient = np.ones(3, np.float32), np.full(3, 2, np.float32)
    buffers = [None]
    optim.sgd_step([parameter], [gradient], buffers, lr=1.0, momentum=0.5)
    first = buffers[0]
    optim.sgd_step([parameter], [gradient], buffers, lr=1.0, momentum=0.5)
    assert buffers[0] is first and not np.shares_memory(first, gradient)
    np.testing.assert_array_equal(first, [3, 3, 3])


def test_half_parameters_are_computed_in_float32():
    import ml_dtypes

    for dtype in (np.float16, ml_dtypes.bfloat16):
        params, grads = problem(dtype, [(50,)])
        wide = [p.astype(np.float32) for p in params]
        before = params[0].copy()
        optim.sgd_step(params, grads[0], [None], lr=0.01, weight_decay=0.1)
        optim.sgd_step(wide, [grads[0][0].astype(np.float32)], [None], lr=0.01, weight_decay=0.1)
        np.testing.assert_array_equal(params[0], wide[0].astype(dtype))
        assert params[0].dtype == before.dtype and not np.array_equal(params[0], before)


@pytest.mark.parametrize("maximize", [True, False])
def test_complex_parameters(maximize):
    rng = np.random.default_rng(0)
    params = [rng.standard_normal(6) + 1j * rng.standard_normal(6)]
    grads = [[rng.standard_normal(6) + 1j * rng.standard_normal(6)] for _ in range(3)]
    theirs = run_theirs(torch.optim.Adam, params, grads, lr=0.1, maximize=maximize)
    first, second = ([np.zeros_like(p) for p in params] for _ in range(2))
    for n, step in enumerate(grads, 1):
        optim.adam_step(params, step, first, second, [], [n], lr=0.1, beta1=0.9, beta2=0.999, eps=1e-8,
                        maximize=maximize)
    np.testing.assert_allclose(params[0], theirs[0], rtol=1e-12)
