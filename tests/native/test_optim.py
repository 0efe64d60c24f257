"""Optimizer steps and gradient clipping: native kernels against their reference, over lists of parameters."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray
from rushlight.backends.reference import reference

SHAPES = [(3, 5), (), (0,), (17,), (40000,), (64, 3, 3, 3), (1,), (5, 1, 7)]
TOLERANCE = {"float32": (2e-6, 1e-6), "float64": (1e-13, 1e-14)}


@pytest.fixture(params=[1, 4])
def threads(request, native):
    before = native._module.get_num_threads()
    native._module.set_num_threads(request.param)
    yield request.param
    native._module.set_num_threads(before)


def arrays(seed, dtype, shapes=SHAPES, positive=False):
    rng = np.random.default_rng(seed)
    made = [np.asarray(rng.standard_normal(s)).astype(dtype) for s in shapes]
    return [np.asarray(np.abs(a)) for a in made] if positive else made


def copies(lists):
    return [[a.copy(order="K") if isinstance(a, np.ndarray) else a for a in one] for one in lists]


def same(ours, theirs, dtype):
    rtol, atol = TOLERANCE[np.dtype(dtype).name if np.dtype(dtype).kind == "f" else "float32"]
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def check(native, name, lists, settings, dtype, served=True):
    """Two steps of both kernels; `lists` are the positional arguments."""
    ours, theirs = copies(lists), copies(lists)
    kernel = getattr(native, name)
    before = kernel.calls
    for _ in range(2):
        assert kernel(*ours, **settings) is None
        getattr(reference, name)(*theirs, **settings)
    assert (kernel.calls > before) is served
    same(ours, theirs, dtype)
    return ours


PENALTIES = [{}, {"weight_decay": 0.1}, {"maximize": True, "weight_decay": 0.01}]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("more", [*PENALTIES, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
                                  {"momentum": 0.8, "nesterov": True, "maximize": True}])  # fmt: skip
def test_sgd(native, threads, dtype, more):
    buffers = [None if i % 2 else a for i, a in enumerate(arrays(2, dtype))]
    ours = check(native, "sgd_step", [arrays(0, dtype), arrays(1, dtype), buffers], {"lr": 0.1, **more}, dtype)
    assert all((b is None) == (not more.get("momentum") and i % 2 == 1) for i, b in enumerate(ours[2]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("more", [*PENALTIES, {"amsgrad": True}, {"decoupled_weight_decay": True, "weight_decay": 0.1, "amsgrad": True}])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.3, 0.7)])
def test_adam(native, threads, dtype, more, betas):
    greatest = arrays(4, dtype, positive=True) if more.get("amsgrad") else []
    steps = [3.0, 3.0, 4.0, 1.0, 7.0, 7.0, 2.0, 2.0]
    lists = [arrays(0, dtype), arrays(1, dtype), arrays(2, dtype), arrays(3, dtype, positive=True), greatest, steps]
    check(native, "adam_step", lists, {"lr": 0.01, "beta1": betas[0], "beta2": betas[1], "eps": 1e-8, **more}, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("more", [*PENALTIES, {"momentum": 0.9}, {"centered": True}, {"centered": True, "momentum": 0.5}])
def test_rmsprop(native, threads, dtype, more):
    means = [np.asarray(a * 0.1) for a in arrays(4, dtype)] if more.get("centered") else []
    squares = [np.asarray(a + 1) for a in arrays(3, dtype, positive=True)]
    buffers = arrays(5, dtype) if more.get("momentum") else []
    lists = [arrays(0, dtype), arrays(1, dtype), squares, means, buffers]
    check(native, "rmsprop_step", lists, {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, **more}, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("more", [*PENALTIES, {"lr_decay": 0.1}])
def test_adagrad(native, threads, dtype, more):
    lists = [arrays(0, dtype), arrays(1, dtype), arrays(2, dtype, positive=True), [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 5.0]]
    check(native, "adagrad_step", lists, {"lr": 0.1, **more}, dtype)


def test_a_constant_gradient_keeps_centered_rmsprop_finite(native):
    p, g = [np.ones(100, np.float32)], [np.full(100, 0.7, np.float32)]
    square, mean = [np.full(100, 0.49, np.float32)], [np.full(100, 0.7, np.float32)]
    native.rmsprop_step(p, g, square, mean, [], lr=0.01, alpha=0.99, eps=1e-8, centered=True)
    assert np.isfinite(p[0]).all()


def test_results_do_not_depend_on_threads(native):
    found = []
    for count in (1, 4):
        native._module.set_num_threads(count)
        params, grads = arrays(0, np.float32), arrays(1, np.float32)
        native.sgd_step(params, grads, [None] * len(params), lr=0.1, momentum=0.9)
        norm = native.total_norm(grads, 2.0)
        found.append(b"".join(a.tobytes() for a in [*params, norm]))
    native._module.set_num_threads(1)
    assert found[0] == found[1]


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, 3, 1, 2)


def test_gradients_in_another_layout(native, threads):
    shape = (8, 6, 5, 4)
    p, g = arrays(0, np.float32, [shape, (9,)]), arrays(1, np.float32, [shape, (9,)])
    expected = [a - np.float32(0.5) * b for a, b in zip(p, g, strict=True)]
    for layout in (channels_last, lambda x: HiddenArray(channels_last(x)), lambda x: np.repeat(x, 2, axis=3)[..., ::2]):
        ours = [a.copy() for a in p]
        calls = native.sgd_step.calls
        native.sgd_step(ours, [layout(g[0]), g[1]], [None, None], lr=0.5)
        assert native.sgd_step.calls == calls + 1
        for a, b in zip(ours, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    # Parameters and state that lie alike, in whatever order, need no copy.
    ours, buffers = [channels_last(p[0])], [None]
    native.sgd_step(ours, [channels_last(g[0])], buffers, lr=0.5, momentum=0.9)
    assert buffers[0].strides == ours[0].strides
    np.testing.assert_allclose(ours[0], expected[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("change", ["half", "mixed", "strided", "short"])
def test_what_the_reference_does(native, change):
    p, g = arrays(0, np.float32, [(50,), (4, 4)]), arrays(1, np.float32, [(50,), (4, 4)])
    if change == "half":
        p, g = [a.astype(np.float16) for a in p], [a.astype(np.float16) for a in g]
    elif change == "mixed":
        p[1], g[1] = p[1].astype(np.float64), g[1].astype(np.float64)
    elif change == "strided":
        p[0] = np.zeros(100, np.float32)[::2]
    declined = native.sgd_step.declined
    if change == "short":
        with pytest.raises(ValueError, match="shorter"):
            native.sgd_step(p, g[:1], [None, None], lr=0.5)
    else:
        expected = [a - a.dtype.type(0.5) * b for a, b in zip(p, g, strict=True)]
        native.sgd_step(p, g, [None, None], lr=0.5)
        for a, b in zip(p, expected, strict=True):
            np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=1e-2, atol=1e-3)
    assert native.sgd_step.declined == declined + 1


def test_a_parameter_listed_twice_is_stepped_twice(native, threads):
    p, g = np.zeros(60000, np.float32), np.ones(60000, np.float32)
    native.sgd_step([p, p], [g, g], [None, None], lr=1.0)
    assert np.array_equal(p, np.full(60000, -2, np.float32))


def test_counters(native):
    counters = [np.zeros((), np.float32), np.array(4.0)]
    assert native.count_up(counters) == [1.0, 5.0] and counters[1] == 5.0
    assert native.count_up(()) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1.0, 2.0, np.inf, 3.0, 0.0])
def test_total_norm(native, compare, dtype, p):
    shapes = [s for s in SHAPES if 0 not in s]
    lists = arrays(0, dtype, shapes)
    compare("total_norm", lists, p, rtol=1e-6 if dtype == "float32" else 1e-13, served=p in (1, 2, np.inf))
    lists[2][3] = np.nan
    assert np.isnan(native.total_norm(lists, p)) or p == 0
    lists[2][3] = -np.inf
    assert native.total_norm(lists, p) == np.inf or p == 0


def test_total_norm_of_the_extremes(native, compare):
    compare("total_norm", [np.full(100, 1e30, np.float32)], 2.0, rtol=1e-6)
    compare("total_norm", [np.full(100, 1e-30, np.float32)], 2.0, rtol=1e-6)
    compare("total_norm", [np.zeros((0,), np.float32)], 2.0)
    compare("total_norm", arrays(0, np.complex64), 2.0, rtol=1e-6)
    with pytest.raises(RuntimeError):
        native.total_norm([np.zeros((0,), np.float32)], np.inf)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "float16"])
def test_scale_and_clamp(native, threads, dtype):
    before = arrays(0, dtype)
    scaled = [a.copy() for a in before]
    native.scale_all(scaled, np.asarray(0.25, np.float32))
    for a, b in zip(scaled, before, strict=True):
        assert np.array_equal(a, b * b.dtype.type(0.25))
    if dtype == "complex64":
        return
    before[0][0, 0] = np.nan
    clamped = [a.copy() for a in before]
    native.clamp_all(clamped, -0.5, 0.5)
    for a, b in zip(clamped, before, strict=True):
        assert np.array_equal(a, np.clip(b, b.dtype.type(-0.5), b.dtype.type(0.5)), equal_nan=True)
