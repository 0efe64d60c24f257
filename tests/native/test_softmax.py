"""Softmax, log-softmax, log-sum-exp and the losses of class indices: native kernels against the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

# Shape and dimension: rows and columns, tails, one element, one thread and several, blocks of 2048 terms.
CASES = [
    ((), 0), ((1,), 0), ((10,), 0), ((32, 10), 1), ((32, 10), 0), ((7, 16), 1), ((5, 17), 1), ((3, 64), 1), ((4, 1000), 1),
    ((3, 5000), 1), ((6, 3, 65), 1),
    ((2, 21, 9, 13), 1), ((2, 300, 70), 1), ((2, 3, 4, 5), 0), ((2, 1, 4), 1), ((0, 4), 1), ((4, 0), 1), ((200, 130), 0),
]  # fmt: skip
FORWARD = ["softmax", "log_softmax"]
BACKWARD = ["softmax_backward", "log_softmax_backward"]


def numbers(*shape, dtype=np.float32, seed=0, scale=3.0):
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * scale, dtype=dtype)


def channels_last(x):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def tolerance(dtype):
    return {"rtol": 3e-6, "atol": 3e-6} if dtype == np.float32 else {"rtol": 2e-14, "atol": 2e-14}


def likelihoods(name, x, dim):
    """A result of softmax (log-softmax), for the backward kernels."""
    wide = x.astype(np.float64).reshape(x.shape or (1,))
    y = np.exp(wide) / np.exp(wide).sum(dim, keepdims=True)
    return (y if name == "softmax_backward" else np.log(y)).reshape(x.shape).astype(x.dtype)


@pytest.mark.parametrize("name", FORWARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_forward(compare, name, dtype, shape, dim):
    compare(name, numbers(*shape, dtype=dtype), dim, **tolerance(dtype))


@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "dim"), CASES, ids=str)
def test_backward(compare, name, dtype, shape, dim):
    y = likelihoods(name, numbers(*shape, dtype=dtype), dim)
    compare(name, numbers(*shape, dtype=dtype, seed=1, scale=1.0), y, dim, **tolerance(dtype))


@pytest.mark.parametrize("dim", [0, 1, 2, 3])
def test_layouts(compare, dim):
    x, g = numbers(3, 5, 6, 7), numbers(3, 5, 6, 7, seed=1)
    last = channels_last(x)
    for name in FORWARD:
        found = compare(name, HiddenArray(last), dim, **tolerance(np.float32))
        assert type(found) is HiddenArray and found.array.strides == last.strides
        assert compare(name, last, dim, **tolerance(np.float32)).strides == last.strides
        compare(name, numbers(3, 5, 6, 14)[..., ::2], dim, same_strides=False, **tolerance(np.float32))
        compare(name, x.transpose(2, 0, 3, 1), dim, **tolerance(np.float32))
    for name in BACKWARD:
        y = likelihoods(name, x, dim)
        for cotangent in (
            g,
            channels_last(g),
            HiddenArray(channels_last(g)),
            np.broadcast_to(np.float32(1), g.shape),
            g[::-1],
        ):
            for result in (y, HiddenArray(channels_last(y))):
                compare(name, cotangent, result, dim, same_strides=False, **tolerance(np.float32))


def test_special_values(compare):
    x = numbers(9, 40)
    x[0, 3], x[1, 5], x[2, 7], x[3, :] = np.inf, -np.inf, np.nan, -np.inf
    x[4, 0], x[5, 0], x[6, :3] = 1e30, -1e30, np.inf
    for name in FORWARD:
        compare(name, x, 1, **tolerance(np.float32))
        compare(name, np.ascontiguousarray(x.T), 0, **tolerance(np.float32))
    compare("logsumexp", x, (1,), False, **tolerance(np.float32))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize(
    ("shape", "dims", "served"),
    [((5,), (0,), True), ((7, 30), (1,), True), ((3, 4, 5000), (2,), True), ((3, 4, 50), (1, 2), True),
    ((3, 4, 5), (1,), False), ((0, 4), (1,), False), ((4,), (), False)],
    ids=str,
)  # fmt: skip
def test_logsumexp(compare, shape, dims, served, keepdim):
    for dtype in (np.float32, np.float64):
        compare("logsumexp", numbers(*shape, dtype=dtype), dims, keepdim, served=served, **tolerance(dtype))
    if len(shape) == 2 and served:
        compare("logsumexp", numbers(*shape[::-1]).T, dims, keepdim, **tolerance(np.float32))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(32, 10), (1, 3), (300, 130), (2, 5, 3, 4), (0, 4)], ids=str)
def test_losses(compare, shape, dtype, reduction, weighted):
    x = numbers(*shape, dtype=dtype)
    random = np.random.default_rng(5)
    target = random.integers(0, shape[1], (shape[0], *shape[2:]))
    target[target == 2] = -100
    weight = np.asarray(random.random(shape[1]) + 0.1, dtype) if weighted else None
    rest = (target, weight, -100, reduction)
    tol = tolerance(dtype)
    logp = likelihoods("log_softmax_backward", x, 1)
    _, total = compare("nll_loss", logp, *rest, **tol)
    g = numbers(*(target.shape if reduction == "none" else ()), dtype=dtype, seed=2)
    compare("nll_loss_backward", g, shape, *rest, total, **tol)
    if len(shape) == 2 and shape[0]:
        compare("cross_entropy", x, *rest, **tol)
        compare("cross_entropy", np.ascontiguousarray(x.T).T, *rest, same_strides=False, **tol)
        compare("cross_entropy_backward", g, logp, *rest, total, **tol)


def test_every_target_ignored(compare):
    x, target = numbers(4, 5), np.full(4, 7)
    for name in ("nll_loss", "cross_entropy"):
        compare(name, x, target, None, 7, "mean", **tolerance(np.float32))  # NaN
        compare(name, x, target, None, 7, "sum", **tolerance(np.float32))


def test_bad_targets_go_to_the_reference(native):
    x, total = numbers(3, 4), np.float32(3)[...]
    for target in ([0, 1, 4], [0, -1, 2]):
        for name in ("nll_loss", "cross_entropy"):
            with pytest.raises(IndexError, match="out of bounds"):
                getattr(native, name)(x, np.array(target), None, -100, "mean")
        with pytest.raises(IndexError, match="out of bounds"):
            native.cross_entropy_backward(np.float32(1)[...], x, np.array(target), None, -100, "mean", total)


def test_uint8_targets(compare):
    compare(
        "cross_entropy",
        numbers(3, 4),
        np.array([0, 1, 3], np.uint8),
        None,
        -100,
        "mean",
        served=False,
        **tolerance(np.float32),
    )
