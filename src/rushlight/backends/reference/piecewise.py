"""Activations made of pieces, their gradients, and the parts of a floating-point number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import Array, finish, is_low, widen
from rushlight.backends.reference.quiet import quiet

INT32 = np.dtype(np.int32)


@quiet
def threshold(x: Array, threshold: float, value: float, out: Array | None = None) -> Array:
    """`x` where it is above the threshold (or NaN), `value` elsewhere."""
    wide = widen(x)
    return finish(np.where(wide <= threshold, wide.dtype.type(value), wide), x.dtype, out)


@quiet
def threshold_backward(grad: Array, x: Array, threshold: float, out: Array | None = None) -> Array:
    """`grad` where `x` is above the threshold (or NaN), 0 elsewhere."""
    g = widen(grad)
    return finish(np.where(widen(x) <= threshold, g.dtype.type(0), g), grad.dtype, out)


@quiet
def leaky_relu(x: Array, slope: float, out: Array | None = None) -> Array:
    """`x` above zero, `slope * x` elsewhere."""
    wide = widen(x)
    return finish(np.where(wide > 0, wide, wide * wide.dtype.type(slope)), x.dtype, out)


@quiet
def leaky_relu_backward(grad: Array, x: Array, slope: float, out: Array | None = None) -> Array:
    """`grad` where `x` is above zero, `slope * grad` elsewhere."""
    g = widen(grad)
    return finish(np.where(widen(x) > 0, g, g * g.dtype.type(slope)), grad.dtype, out)


@quiet
def hardtanh_backward(grad: Array, x: Array, low: float, high: float, out: Array | None = None) -> Array:
    """`grad` where `x` lies strictly between the bounds, 0 elsewhere (at NaN too)."""
    g, wide = widen(grad), widen(x)
    return finish(np.where((wide > low) & (wide < high), g, g.dtype.type(0)), grad.dtype, out)


@quiet
def hardsigmoid(x: Array, out: Array | None = None) -> Array:
    """`min(max(x + 3, 0), 6) / 6`."""
    wide = widen(x)
    f = wide.dtype.type
    return finish(np.minimum(np.maximum(wide + f(3), f(0)), f(6)) / f(6), x.dtype, out)


@quiet
def hardsigmoid_backward(grad: Array, x: Array, out: Array | None = None) -> Array:
    """`grad / 6` where `x` lies strictly between -3 and 3, 0 elsewhere."""
    g, wide = widen(grad), widen(x)
    return finish(np.where((wide > -3) & (wide < 3), g * g.dtype.type(1 / 6), g.dtype.type(0)), grad.dtype, out)


@quiet
def hardswish(x: Array, out: Array | None = None) -> Array:
    """`x * hardsigmoid(x)`."""
    wide = widen(x)
    f = wide.dtype.type
    return finish(wide * np.minimum(np.maximum(wide + f(3), f(0)), f(6)) / f(6), x.dtype, out)


@quiet
def hardswish_backward(grad: Array, x: Array, out: Array | None = None) -> Array:
    """`grad * (x / 3 + 1 / 2)` between -3 and 3, 0 below, `grad` above."""
    g, wide = widen(grad), widen(x)
    f = wide.dtype.type
    inside = g * (wide / f(3) + f(0.5))
    return finish(np.where(wide <= -3, f(0), np.where(wide < 3, inside, g)), grad.dtype, out)


@quiet
def hardshrink(x: Array, bound: float, out: Array | None = None) -> Array:
    """0 where `-bound <= x <= bound`, `x` elsewhere (NaN too)."""
    wide = widen(x)
    return finish(np.where((wide >= -bound) & (wide <= bound), wide.dtype.type(0), wide), x.dtype, out)


@quiet
def softshrink(x: Array, bound: float, out: Array | None = None) -> Array:
    """`x` moved by `bound` towards zero, and 0 where it would pass it."""
    wide = widen(x)
    f = wide.dtype.type
    moved = np.where(wide > bound, wide - f(bound), np.where(wide < -bound, wide + f(bound), wide * f(0)))
    return finish(moved, x.dtype, out)


@quiet
def shrink_backward(grad: Array, x: Array, bound: float, out: Array | None = None) -> Array:
    """`grad` where `x` lies outside [-bound, bound], 0 elsewhere (at NaN too)."""
    g, wide = widen(grad), widen(x)
    return finish(np.where((wide < -bound) | (wide > bound), g, g.dtype.type(0)), grad.dtype, out)


@quiet
def prelu(x: Array, weight: Array, out: Array | None = None) -> Array:
    """`x` above zero, `weight * x` elsewhere; the weight broadcasts."""
    wide = widen(x)
    return finish(np.where(wide > 0, wide, widen(weight) * wide), x.dtype, out)


@quiet
def elu_backward(
    grad: Array, x: Array, alpha: float, scale: float, input_scale: float, out: Array | None = None
) -> Array:
    """`grad * scale` above zero, `grad * scale * alpha * input_scale * exp(input_scale * x)` elsewhere."""
    g, wide = widen(grad), widen(x)
    f = wide.dtype.type
    below = g * (f(input_scale * alpha * scale) * np.exp(wide * f(input_scale)))
    return finish(np.where(wide <= 0, below, g * f(scale)), grad.dtype, out)


def _softplus_tanh(x: Array) -> Array:
    return np.tanh(np.logaddexp(x, x.dtype.type(0)))


@quiet
def mish(x: Array, out: Array | None = None) -> Array:
    """`x * tanh(log(1 + exp(x)))`."""
    wide = widen(x)
    return finish(wide * _softplus_tanh(wide), x.dtype, out)


@quiet
def mish_backward(grad: Array, x: Array, out: Array | None = None) -> Array:
    """`grad * d mish(x) / dx`."""
    g, wide = widen(grad), widen(x)
    one = wide.dtype.type(1)
    t = _softplus_tanh(wide)
    s = one / (one + np.exp(-wide))
    return finish(g * (t + wide * s * (one - t * t)), grad.dtype, out)


@quiet
def log_sigmoid(x: Array, out: Array | None = None) -> Array:
    """`log(1 / (1 + exp(-x)))` without overflow."""
    wide = widen(x)
    zero = wide.dtype.type(0)
    return finish(np.minimum(wide, zero) - np.log1p(np.exp(-np.absolute(wide))), x.dtype, out)


@quiet
def log_sigmoid_backward(grad: Array, x: Array, out: Array | None = None) -> Array:
    """`grad / (1 + exp(x))`."""
    wide = widen(x)
    return finish(widen(grad) / (wide.dtype.type(1) + np.exp(wide)), x.dtype, out)


# ---- parts of a number ----------------------------------------------------------------------------------------------


def signbit(x: Array) -> Array:
    """Which elements are below zero, -0.0 included."""
    if x.dtype.kind in "iub":
        return np.less(x, 0, out=...)
    return np.signbit(widen(x), out=...)


@quiet
def frexp(x: Array) -> tuple[Array, Array]:
    """Mantissas in [0.5, 1) and int32 exponents of floating-point numbers."""
    wide = widen(x)
    mantissa, exponent = np.frexp(wide)
    # What C leaves undefined torch answers with exponent 0.
    exponent = np.where(np.isfinite(wide), exponent, 0)
    mantissa = np.asarray(mantissa).astype(x.dtype) if is_low(x.dtype) else np.asarray(mantissa)
    return mantissa, np.asarray(exponent, dtype=INT32)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        threshold,
        threshold_backward,
        leaky_relu,
        leaky_relu_backward,
        hardtanh_backward,
        hardsigmoid,
        hardsigmoid_backward,
        hardswish,
        hardswish_backward,
        hardshrink,
        softshrink,
        shrink_backward,
        prelu,
        elu_backward,
        mish,
        mish_backward,
        log_sigmoid,
        log_sigmoid_backward,
        signbit,
        frexp,
    )
}
