"""Optimizer steps, in place, over lists of parameter arrays.

Each step is the update of one parameter written as a function of small blocks: parameters, gradients and state are
walked through in pieces that stay in cache for all operations of the formula, so that a step costs about one reading
and writing of its state. The order of the operations is that of torch's single-tensor optimizers.

Half-precision parameters are updated in float32 and rounded once. Complex ones are taken as pairs of real numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any

import numpy as np

from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.scratch import scratch

Array = np.ndarray[Any, np.dtype[Any]]

# Numbers in a block: with four arrays of float32, half a megabyte.
BLOCK = 1 << 15


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def _real(a: Array) -> Array:
    """Complex numbers as pairs of real ones, in a new last dimension (a view, as the step writes through it)."""
    if a.dtype.kind != "c":
        return a
    return a[..., None].view(a.real.dtype)


def _blocks(parameter: Array, gradient: Array, states: Sequence[Array]) -> Iterator[tuple[Array, Array, list[Array]]]:
    """Matching blocks of a parameter, its gradient and its state; all but the gradient may be written."""
    arrays = [_real(a) for a in (parameter, gradient, *states)]
    if not all(a.flags.c_contiguous for a in arrays):
        arrays = _same_order(arrays)
    if all(a.flags.c_contiguous for a in arrays):
        flat = [a.reshape(-1) for a in arrays]
        pieces: Iterator[list[Array]] = (
            [a[start : start + BLOCK] for a in flat] for start in range(0, flat[0].size, BLOCK)
        )
    else:
        pieces = iter([arrays] if arrays[0].ndim else [[a.reshape(1) for a in arrays]])
    for piece in pieces:
        if not _is_half(piece[0].dtype):
            yield piece[0], piece[1].astype(piece[0].dtype, copy=False), piece[2:]
            continue
        wide = [a.astype(np.float32) for a in piece]
        yield wide[0], wide[1], wide[2:]
        for i, (narrow, computed) in enumerate(zip(piece, wide, strict=True)):
            if i != 1:
                narrow[...] = computed


def _same_order(arrays: list[Array]) -> list[Array]:
    """The arrays with dimensions in the parameter's memory order: dense again where all are laid out alike."""
    order = sorted(range(arrays[0].ndim), key=lambda d: -abs(arrays[0].strides[d]))
    return [a.transpose(order) for a in arrays]


def _add_scaled(a: Array, b: Array, factor: float, work: Array) -> None:
    """`a += factor * b`."""
    if factor == 1:
        np.add(a, b, out=a)
    else:
        np.add(a, np.multiply(b, factor, out=work), out=a)


def _signed_gradient(
    parameter: Array, gradient: Array, weight_decay: float, maximize: bool, work: Array
) -> Array:
    """The gradient of what is to fall: negated to maximize, with the penalty's added. In `work`, or as it is."""
    if maximize:
        gradient = np.negative(gradient, out=work)
    if weight_decay == 0:
        return gradient
    decay = np.multiply(parameter, weight_decay, out=scratch("optim.decay", parameter.shape, parameter.dtype))
    return np.add(gradient, decay, out=work)


def _work(name: str, like: Array) -> Array:
    return scratch("optim." + name, like.shape, like.dtype)


@quiet
def sgd_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    momentum_buffers: list[Array | None],
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> None:
    """One step of stochastic gradient descent; writes `params` and `momentum_buffers`.

    With momentum, a buffer that is None is made here and starts as the gradient itself.
    """
    for i, (parameter, gradient) in enumerate(zip(params, grads, strict=True)):
        states: list[Array] = []
        fresh = False
        if momentum != 0:
            buffer = momentum_buffers[i]
            fresh = buffer is None
            if buffer is None:
                buffer = momentum_buffers[i] = np.empty_like(parameter)
            states = [buffer]
        for p, g, state in _blocks(parameter, gradient, states):
            work, second = _work("work", p), _work("second", p)
            direction = _signed_gradient(p, g, weight_decay, maximize, work)
            if state:
                (velocity,) = state
                if fresh:
                    np.copyto(velocity, direction)
                else:
                    np.multiply(velocity, momentum, out=velocity)
                    _add_scaled(velocity, direction, 1 - dampening, second)
                if nesterov:
                    direction = np.add(direction, np.multiply(velocity, momentum, out=second), out=work)
                else:
                    direction = velocity
            _add_scaled(p, direction, -lr, second)


def _lerp(a: Array, b: Array, weight: float, work: Array) -> None:
    """Move `a` towards `b` by `weight`, from whichever end is nearer, as torch does."""
    np.subtract(b, a, out=work)
    if abs(weight) < 0.5:
        np.multiply(work, weight, out=work)
        np.add(a, work, out=a)
    else:
        np.multiply(work, 1 - weight, out=work)
        np.subtract(b, work, out=a)


def _decayed_squares(average: Array, g: Array, beta: float, work: Array) -> None:
    """`average = beta * average + (1 - beta) * g * g`."""
    np.multiply(average, beta, out=average)
    np.multiply(g, 1 - beta, out=work)
    np.multiply(work, g, out=work)
    np.add(average, work, out=average)


def _subtract_quotient(p: Array, a: Array, b: Array, factor: float, work: Array) -> None:
    """`p -= factor * a / b`."""
    np.multiply(a, -factor, out=work)
    np.divide(work, b, out=work)
    np.add(p, work, out=p)


@quiet
def adam_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    exp_avgs: Sequence[Array],
    exp_avg_sqs: Sequence[Array],
    max_exp_avg_sqs: Sequence[Array],
    steps: Sequence[float],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> None:
    """One step of Adam, or of AdamW with `decoupled_weight_decay`; writes `params` and the averages.

    `steps` counts this step too (1 at the first). `max_exp_avg_sqs` is read only with `amsgrad`, else it may be empty.
    """
    for i, (parameter, gradient) in enumerate(zip(params, grads, strict=True)):
        step_size = lr / (1 - beta1 ** steps[i])
        correction = sqrt(1 - beta2 ** steps[i])
        states = [exp_avgs[i], exp_avg_sqs[i]] + ([max_exp_avg_sqs[i]] if amsgrad else [])
        for p, g, state in _blocks(parameter, gradient, states):
            work, denominator = _work("work", p), _work("second", p)
            if decoupled_weight_decay and weight_decay != 0:
                np.multiply(p, 1 - lr * weight_decay, out=p)
            direction = _signed_gradient(p, g, 0 if decoupled_weight_decay else weight_decay, maximize, work)
            _lerp(state[0], direction, 1 - beta1, denominator)
            _decayed_squares(state[1], direction, beta2, denominator)
            if amsgrad:
                np.maximum(state[2], state[1], out=state[2])
            np.sqrt(state[-1], out=denominator)
            np.divide(denominator, correction, out=denominator)
            np.add(denominator, eps, out=denominator)
            _subtract_quotient(p, state[0], denominator, step_size, work)


@quiet
def rmsprop_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    square_avgs: Sequence[Array],
    grad_avgs: Sequence[Array],
    momentum_buffers: Sequence[Array],
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
) -> None:
    """One step of RMSprop; writes `params` and the averages.

    `grad_avgs` is used only with `centered`, `momentum_buffers` only with momentum; else they may be empty.
    """
    for i, (parameter, gradient) in enumerate(zip(params, grads, strict=True)):
        states = [square_avgs[i]] + ([grad_avgs[i]] if centered else [])
        states += [momentum_buffers[i]] if momentum > 0 else []
        for p, g, state in _blocks(parameter, gradient, states):
            work, denominator = _work("work", p), _work("second", p)
            direction = _signed_gradient(p, g, weight_decay, maximize, work)
            _decayed_squares(state[0], direction, alpha, denominator)
            if centered:
                _lerp(state[1], direction, 1 - alpha, denominator)
                np.multiply(state[1], state[1], out=denominator)
                np.subtract(state[0], denominator, out=denominator)
                np.sqrt(denominator, out=denominator)
            else:
                np.sqrt(state[0], out=denominator)
            np.add(denominator, eps, out=denominator)
            if momentum > 0:
                np.multiply(state[-1], momentum, out=state[-1])
                np.add(state[-1], np.divide(direction, denominator, out=work), out=state[-1])
                _add_scaled(p, state[-1], -lr, work)
            else:
                _subtract_quotient(p, direction, denominator, lr, work)


@quiet
def adagrad_step(
    params: Sequence[Array],
    grads: Sequence[Array],
    state_sums: Sequence[Array],
    steps: Sequence[float],
    *,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """One step of Adagrad; writes `params` and `state_sums`. `steps` counts this step too (1 at the first)."""
    for i, (parameter, gradient) in enumerate(zip(params, grads, strict=True)):
        rate = lr / (1 + (steps[i] - 1) * lr_decay)
        for p, g, state in _blocks(parameter, gradient, [state_sums[i]]):
            work, denominator = _work("work", p), _work("second", p)
            direction = _signed_gradient(p, g, weight_decay, maximize, work)
            np.multiply(direction, direction, out=denominator)
            np.add(state[0], denominator, out=state[0])
            np.sqrt(state[0], out=denominator)
            np.add(denominator, eps, out=denominator)
            _subtract_quotient(p, direction, denominator, rate, work)


def count_up(counters: Sequence[Array]) -> list[float]:
    """Count the step in each zero-dim counter, in place; returns their new values."""
    for counter in counters:
        counter[...] += 1
    return [float(counter) for counter in counters]


KERNELS = {
    "sgd_step": sgd_step,
    "adam_step": adam_step,
    "rmsprop_step": rmsprop_step,
    "adagrad_step": adagrad_step,
    "count_up": count_up,
}
