"""Elementwise activation functions, and the gradients that have a cheaper closed form than their parts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.backends.reference.precision import Array, finish, floating_result, scalar, to_floating, widen
from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.special import erf

SQRT_HALF = math.sqrt(0.5)
GELU_SCALE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715


def _sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))` in the dtype of `x`; exp overflows to inf, which gives the right 0."""
    one = x.dtype.type(1)
    result = np.negative(x, out=...)
    np.exp(result, out=result)
    np.add(result, one, out=result)
    return np.true_divide(one, result, out=result)


@quiet
def sigmoid(x: Array, out: Array | None = None) -> Array:
    """The logistic function."""
    return finish(_sigmoid(to_floating(x)), floating_result(x.dtype), out)


@quiet
def sigmoid_backward(grad: Array, y: Array, out: Array | None = None) -> Array:
    """`grad * (1 - y) * y`, from the output `y` of sigmoid."""
    wide = widen(y)
    return finish(widen(grad) * ((wide.dtype.type(1) - wide) * wide), y.dtype, out)


@quiet
def tanh_backward(grad: Array, y: Array, out: Array | None = None) -> Array:
    """`grad * (1 - y * y)`, from the output `y` of tanh."""
    wide = widen(y)
    return finish(widen(grad) * (wide.dtype.type(1) - wide * wide), y.dtype, out)


@quiet
def logit(x: Array, eps: float | None = None, out: Array | None = None) -> Array:
    """`log(x / (1 - x))`, with x clamped to [eps, 1 - eps] when eps is given."""
    wide = to_floating(x)
    one = wide.dtype.type(1)
    if eps is not None:
        low = scalar(eps, wide.dtype)
        wide = np.minimum(np.maximum(wide, low), one - low)
    return finish(np.log(wide / (one - wide)), floating_result(x.dtype), out)


@quiet
def relu(x: Array, out: Array | None = None) -> Array:
    """`max(x, 0)`, NaN propagating."""
    wide = widen(x)
    return finish(np.maximum(wide, wide.dtype.type(0), out=...), x.dtype, out)


def _check_approximate(approximate: str) -> None:
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, but got '{approximate}'.")


@quiet
def gelu(x: Array, approximate: str = "none", out: Array | None = None) -> Array:
    """`x * Phi(x)` with the normal distribution function, exact ("none") or by its tanh approximation ("tanh")."""
    _check_approximate(approximate)
    wide = widen(x)
    f = wide.dtype.type
    if approximate == "tanh":
        inner = f(GELU_SCALE) * (wide + f(GELU_CUBIC) * wide * wide * wide)
        result = f(0.5) * wide * (f(1) + np.tanh(inner))
    else:
        result = f(0.5) * wide * (f(1) + erf(np.asarray(wide * f(SQRT_HALF))))
    return finish(result, x.dtype, out)


@quiet
def gelu_backward(grad: Array, x: Array, approximate: str = "none", out: Array | None = None) -> Array:
    """`grad * d gelu(x) / dx`."""
    _check_approximate(approximate)
    wide, g = widen(x), widen(grad)
    f = wide.dtype.type
    if approximate == "tanh":
        squared = wide * wide
        tangent = np.tanh(f(GELU_SCALE) * (wide + f(GELU_CUBIC) * squared * wide))
        inner_slope = f(GELU_SCALE) * (f(1) + f(3 * GELU_CUBIC) * squared)
        slope = f(0.5) * (f(1) + tangent) + f(0.5) * wide * (f(1) - tangent * tangent) * inner_slope
    else:
        distribution = f(0.5) * (f(1) + erf(np.asarray(wide * f(SQRT_HALF))))
        density = np.exp(f(-0.5) * wide * wide) * f(1 / math.sqrt(2 * math.pi))
        slope = distribution + wide * density
    return finish(g * slope, x.dtype, out)


@quiet
def silu(x: Array, out: Array | None = None) -> Array:
    """`x * sigmoid(x)`."""
    wide = to_floating(x)
    return finish(wide / (wide.dtype.type(1) + np.exp(-wide)), floating_result(x.dtype), out)


@quiet
def silu_backward(grad: Array, x: Array, out: Array | None = None) -> Array:
    """`grad * d silu(x) / dx`."""
    wide = widen(x)
    s = _sigmoid(wide)
    one = wide.dtype.type(1)
    return finish(widen(grad) * (s * (one + wide * (one - s))), x.dtype, out)


@quiet
def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0, out: Array | None = None) -> Array:
    """`log(1 + exp(beta x)) / beta`, and `x` itself where `beta x > threshold`."""
    wide = widen(x)
    scaled = wide * scalar(beta, wide.dtype)
    result = np.where(scaled > threshold, wide, np.log1p(np.exp(scaled)) / scalar(beta, wide.dtype))
    return finish(result, x.dtype, out)


@quiet
def softplus_backward(
    grad: Array, x: Array, beta: float = 1.0, threshold: float = 20.0, out: Array | None = None
) -> Array:
    """`grad * d softplus(x) / dx`."""
    wide, g = widen(x), widen(grad)
    scaled = np.asarray(wide * scalar(beta, wide.dtype))
    return finish(np.where(scaled > threshold, g, g * _sigmoid(scaled)), x.dtype, out)


@quiet
def elu(
    x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0, out: Array | None = None
) -> Array:
    """`scale * x` above zero, `scale * alpha * (exp(input_scale * x) - 1)` at and below it."""
    wide = widen(x)
    f = wide.dtype.type
    below = np.expm1(wide * f(input_scale)) * f(alpha * scale)
    return finish(np.where(wide <= 0, below, wide * f(scale)), x.dtype, out)


KERNELS: dict[str, Callable[..., Array]] = {
    kernel.__name__: kernel
    for kernel in (
        sigmoid,
        sigmoid_backward,
        tanh_backward,
        logit,
        relu,
        gelu,
        gelu_backward,
        silu,
        silu_backward,
        softplus,
        softplus_backward,
        elu,
    )
}
