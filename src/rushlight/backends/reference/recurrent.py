"""Recurrent layers: one direction of one layer over all time steps, forward and backward; padding and packing.

The rows of all steps lie one step after the other: an input is `[T, B, I]`, or packed, `[N, I]` with `batch_sizes`, the number of
sequences that are still running at each step (it never grows; N is their sum). Both are walked in the same way:
the state has a row for every sequence, a step updates the first `n` of them, and where `reverse` walks from the last step to
the first, sequences join when their last element comes. What is left at the end is every sequence's own last state.

The input's share of all steps is one matrix product; a step is one more, `h @ w_hh.T`, and arithmetic. With H units and P = H, or
fewer where `w_hr` `[P, H]` projects an LSTM's output:

    x [T, B, I] or [N, I]   h0 [B, P]   c0 [B, H]   w_ih [G, I]   w_hh [G, P]   b_ih, b_hh [G] or None   y [T, B, P] or [N, P]

G is 4 H (LSTM: i, f, g, o), 3 H (GRU: r, z, n) or H. A forward kernel also returns what the backward one needs, in the
precision it computed in. Half types are computed in float32 and rounded at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import Array, DType, widen
from rushlight.backends.reference.quiet import quiet
from rushlight.base.sequences import BatchSizes, Step, walk

Mask = tuple[bool, ...]


def _rows(a: Array) -> Array:
    """All steps one after the other, `[N, width]`, contiguous, in at least float32."""
    return widen(np.ascontiguousarray(a)).reshape(prod(a.shape[:-1]), a.shape[-1])


def _like_input(y: Array, x: Array) -> Array:
    """Rows of all steps in the dtype and the leading dimensions of the input `x`."""
    return y.reshape(*x.shape[:-1], y.shape[-1]).astype(x.dtype, copy=False)


def _optional(a: Array | None) -> Array | None:
    return None if a is None else widen(a)


def _rounded(a: Array | None, dtype: DType) -> Array | None:
    return None if a is None else a.astype(dtype, copy=False)


def _before(y: Array, first: Array, steps: list[Step]) -> Array:
    """For every row of `y` the state it started from: its sequence's row of the step before, or of `first`."""
    found = np.empty_like(y)
    last_start, last_size = 0, 0
    for start, size in steps:
        known = min(size, last_size)
        found[start : start + known] = y[last_start : last_start + known]
        found[start + known : start + size] = first[known:size]
        last_start, last_size = start, size
    return found


def _state(g: Array | None, like: Array, width: int) -> Array:
    """The cotangent of a final state, to be carried back: a copy of `g`, or zeros."""
    shape = (like.shape[0], width)
    return np.zeros(shape, widen(like[:0]).dtype) if g is None else np.array(np.broadcast_to(widen(g), shape))


def _step_gradient(g: Array | None, state: Array, start: int, size: int) -> Array:
    """What arrives at the output of one step: from the output of the layer and from the step after it."""
    return state[:size] if g is None else state[:size] + g[start : start + size]


def _parameter_gradients(
    ginput: Array, ghidden: Array, rows: Array, before: Array, mask: Mask
) -> tuple[Array | None, Array | None, Array | None, Array | None]:
    """Gradients of w_ih, w_hh, b_ih and b_hh from those of both sums over all steps; None where `mask` asks for none."""
    ones = np.ones(
        ginput.shape[0], ginput.dtype
    )  # a product with ones adds in blocks: quicker and more accurate than sum(0)
    return (
        ginput.T @ rows if mask[0] else None,
        ghidden.T @ before if mask[1] else None,
        ones @ ginput if mask[2] else None,
        ones @ ghidden if mask[3] else None,
    )


# LSTM.


def _quarters(a: Array) -> tuple[Array, Array, Array, Array]:
    h = a.shape[1] // 4
    return a[:, :h], a[:, h : 2 * h], a[:, 2 * h : 3 * h], a[:, 3 * h :]


@quiet
def lstm_layer(
    x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, w_hr: Array | None,
    batch_sizes: BatchSizes, reverse: bool,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """`(y, hT, cT, gates, cells)`: gates `[N, 4 H]` are i, f, g and o of every row, cells `[N, H]` its c.

    i, f, o = sigmoid(...), g = tanh(...) of x @ w_ih.T + b_ih + h @ w_hh.T + b_hh;  c = f * c + i * g;  h = o * tanh(c).
    """
    dtype, steps = x.dtype, walk(x.shape, batch_sizes, reverse)
    h, c, units = np.array(widen(h0)), np.array(widen(c0)), c0.shape[1]
    # sigmoid(v) = tanh(v / 2) / 2 + 1 / 2: one tanh serves all four gates. Halving the weights is exact.
    scale = np.full(4 * units, 0.5, h.dtype)
    scale[2 * units : 3 * units] = 1.0
    offset = 1.0 - scale
    offset[2 * units : 3 * units] = 0.0
    gates = _rows(x) @ (widen(w_ih) * scale[:, None]).T
    for bias in (b_ih, b_hh):
        if bias is not None:
            gates += widen(bias) * scale
    recurrent = (widen(w_hh) * scale[:, None]).T
    projection = None if w_hr is None else widen(w_hr).T
    cells, y = np.empty((gates.shape[0], units), h.dtype), np.empty((gates.shape[0], h0.shape[1]), h.dtype)
    for start, size in steps:
        rows = slice(start, start + size)
        now, cell = gates[rows], cells[rows]
        now += h[:size] @ recurrent
        np.tanh(now, out=now)
        now *= scale
        now += offset
        i, f, g, o = _quarters(now)
        np.multiply(f, c[:size], out=cell)
        cell += i * g
        out = o * np.tanh(cell)
        y[rows] = h[:size] = out if projection is None else out @ projection
        c[:size] = cell
    return (
        _like_input(y, x),
        h.astype(dtype, copy=False),
        c.astype(dtype, copy=False),
        gates,
        cells,
    )


@quiet
def lstm_layer_backward(
    gy: Array | None, gh: Array | None, gc: Array | None, x: Array, h0: Array, c0: Array, w_ih: Array, w_hh: Array,
    w_hr: Array | None, y: Array, gates: Array, cells: Array, batch_sizes: BatchSizes, reverse: bool, mask: Mask,
) -> tuple[Array | None, ...]:  # fmt: skip
    """Gradients of (x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr) that `mask` asks for, None for the others.

    gy, gh and gc are the cotangents of y, hT and cT, None where there are none; gates and cells are those of the forward pass.
    """
    dtype, steps = x.dtype, walk(x.shape, batch_sizes, reverse)
    incoming = None if gy is None else _rows(gy)
    before, cells_before = _before(_rows(y), widen(h0), steps), _before(cells, widen(c0), steps)
    carried, carried_c = _state(gh, h0, h0.shape[1]), _state(gc, c0, c0.shape[1])
    recurrent, projection = widen(w_hh), _optional(w_hr)
    ggates, squashed = np.empty_like(gates), np.tanh(cells)
    gw_hr = None if projection is None else np.zeros_like(projection)
    for start, size in reversed(steps):
        rows = slice(start, start + size)
        i, f, g, o = _quarters(gates[rows])
        di, df, dg, do = _quarters(ggates[rows])
        tanh_c = squashed[rows]
        arrived = _step_gradient(incoming, carried, start, size)
        if projection is not None and gw_hr is not None:
            gw_hr += arrived.T @ (o * tanh_c)
            arrived = arrived @ projection
        at_c = carried_c[:size] + arrived * o * (1.0 - tanh_c * tanh_c)
        di[...] = at_c * g * i * (1.0 - i)
        df[...] = at_c * cells_before[rows] * f * (1.0 - f)
        dg[...] = at_c * i * (1.0 - g * g)
        do[...] = arrived * tanh_c * o * (1.0 - o)
        carried[:size] = ggates[rows] @ recurrent
        carried_c[:size] = at_c * f
    found = (
        (ggates @ widen(w_ih)).reshape(x.shape) if mask[0] else None,
        carried if mask[1] else None,
        carried_c if mask[2] else None,
        *_parameter_gradients(ggates, ggates, _rows(x), before, mask[3:7]),
        gw_hr if mask[7] else None,
    )
    return tuple([_rounded(a, dtype) for a in found])


# GRU.


def _sigmoid(v: Array) -> Array:
    return np.tanh(v * 0.5) * 0.5 + 0.5


@quiet
def gru_layer(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None,
    batch_sizes: BatchSizes, reverse: bool,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """`(y, hT, gates)`: gates `[N, 4 H]` are r, z and n of every row and the state's share of n.

    With i = x @ w_ih.T + b_ih and s = h @ w_hh.T + b_hh in three parts each: r = sigmoid(i0 + s0), z = sigmoid(i1 + s1),
    n = tanh(i2 + r * s2), h = (1 - z) * n + z * h.
    """
    dtype, steps = x.dtype, walk(x.shape, batch_sizes, reverse)
    h, units = np.array(widen(h0)), h0.shape[1]
    inputs = _rows(x) @ widen(w_ih).T
    if b_ih is not None:
        inputs += widen(b_ih)
    recurrent, bias = widen(w_hh).T, _optional(b_hh)
    gates, y = np.empty((inputs.shape[0], 4 * units), h.dtype), np.empty((inputs.shape[0], units), h.dtype)
    for start, size in steps:
        rows = slice(start, start + size)
        r, z, n, share = _quarters(gates[rows])
        given, state = inputs[rows], h[:size] @ recurrent
        if bias is not None:
            state += bias
        gates[rows, : 2 * units] = _sigmoid(given[:, : 2 * units] + state[:, : 2 * units])
        share[...] = state[:, 2 * units :]
        n[...] = np.tanh(given[:, 2 * units :] + r * share)
        y[rows] = h[:size] = n + z * (h[:size] - n)
    return _like_input(y, x), h.astype(dtype, copy=False), gates


@quiet
def gru_layer_backward(
    gy: Array | None, gh: Array | None, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, gates: Array,
    batch_sizes: BatchSizes, reverse: bool, mask: Mask,
) -> tuple[Array | None, ...]:  # fmt: skip
    """Gradients of (x, h0, w_ih, w_hh, b_ih, b_hh) that `mask` asks for, None for the others."""
    dtype, steps, units = x.dtype, walk(x.shape, batch_sizes, reverse), h0.shape[1]
    incoming = None if gy is None else _rows(gy)
    before, carried = _before(_rows(y), widen(h0), steps), _state(gh, h0, units)
    recurrent = widen(w_hh)
    ginput = np.empty((gates.shape[0], 3 * units), gates.dtype)
    ghidden = np.empty_like(ginput)
    for start, size in reversed(steps):
        rows = slice(start, start + size)
        r, z, n, share = _quarters(gates[rows])
        arrived = _step_gradient(incoming, carried, start, size)
        dn = arrived * (1.0 - z) * (1.0 - n * n)
        ginput[rows, :units] = dn * share * r * (1.0 - r)
        ginput[rows, units : 2 * units] = arrived * (before[rows] - n) * z * (1.0 - z)
        ginput[rows, 2 * units :] = dn
        ghidden[rows, : 2 * units] = ginput[rows, : 2 * units]
        ghidden[rows, 2 * units :] = dn * r
        carried[:size] = ghidden[rows] @ recurrent + arrived * z
    found = (
        (ginput @ widen(w_ih)).reshape(x.shape) if mask[0] else None,
        carried if mask[1] else None,
        *_parameter_gradients(ginput, ghidden, _rows(x), before, mask[2:]),
    )
    return tuple([_rounded(a, dtype) for a in found])


# The plain recurrent layer.


@quiet
def rnn_layer(
    x: Array, h0: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, relu: bool,
    batch_sizes: BatchSizes, reverse: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """`(y, hT)`: h = tanh(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh), or relu of it."""
    dtype = x.dtype
    h = np.array(widen(h0))
    y = _rows(x) @ widen(w_ih).T
    for bias in (b_ih, b_hh):
        if bias is not None:
            y += widen(bias)
    recurrent = widen(w_hh).T
    for start, size in walk(x.shape, batch_sizes, reverse):
        now = y[start : start + size]
        now += h[:size] @ recurrent
        h[:size] = np.maximum(now, 0.0, out=now) if relu else np.tanh(now, out=now)
    return _like_input(y, x), h.astype(dtype, copy=False)


@quiet
def rnn_layer_backward(
    gy: Array | None, gh: Array | None, x: Array, h0: Array, w_ih: Array, w_hh: Array, y: Array, relu: bool,
    batch_sizes: BatchSizes, reverse: bool, mask: Mask,
) -> tuple[Array | None, ...]:  # fmt: skip
    """Gradients of (x, h0, w_ih, w_hh, b_ih, b_hh) that `mask` asks for, None for the others."""
    dtype, steps = x.dtype, walk(x.shape, batch_sizes, reverse)
    incoming, outputs = None if gy is None else _rows(gy), _rows(y)
    before, carried = _before(outputs, widen(h0), steps), _state(gh, h0, h0.shape[1])
    recurrent, gsum = widen(w_hh), np.empty_like(outputs)
    for start, size in reversed(steps):
        rows = slice(start, start + size)
        out = outputs[rows]
        arrived = _step_gradient(incoming, carried, start, size)
        gsum[rows] = arrived * (out > 0) if relu else arrived * (1.0 - out * out)
        carried[:size] = gsum[rows] @ recurrent
    found = (
        (gsum @ widen(w_ih)).reshape(x.shape) if mask[0] else None,
        carried if mask[1] else None,
        *_parameter_gradients(gsum, gsum, _rows(x), before, mask[2:]),
    )
    return tuple([_rounded(a, dtype) for a in found])


# Padding and packing.


def pack_padded(x: Array, batch_sizes: tuple[int, ...]) -> Array:
    """The rows of `x` `[T, B, *]` that belong to sequences: the first `batch_sizes[t]` of step t, `[N, *]`."""
    return np.concatenate([x[step, :size] for step, size in enumerate(batch_sizes)])


def pad_packed(data: Array, batch_sizes: tuple[int, ...], length: int, batch: int, value: Any) -> Array:
    """Packed rows `[N, *]` in their places of `[length, batch, *]`; the other places hold `value`."""
    found = np.full((length, batch, *data.shape[1:]), value, data.dtype)
    start = 0
    for step, size in enumerate(batch_sizes):
        found[step, :size] = data[start : start + size]
        start += size
    return found


def pad_sequences(arrays: Sequence[Array], length: int, batch_first: bool, left: bool, value: Any) -> Array:
    """Arrays `[L_i, *]` side by side, each filled up with `value`: `[length, B, *]`, or `[B, length, *]`."""
    first = arrays[0]
    found = np.full((len(arrays), length, *first.shape[1:]), value, first.dtype)
    for row, a in zip(found, arrays, strict=True):
        size = a.shape[0]
        row[length - size if left else 0 : length if left else size] = a
    return found if batch_first else np.ascontiguousarray(found.swapaxes(0, 1))


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        lstm_layer,
        lstm_layer_backward,
        gru_layer,
        gru_layer_backward,
        rnn_layer,
        rnn_layer_backward,
        pack_padded,
        pad_packed,
        pad_sequences,
    )
}
