"""Recurrent layers, all time steps of one direction; padding and packing of sequences.

The rows of all steps lie one step after the other, `[N, width]`; `batch_sizes` says how many sequences are still running at each
step (it never grows; N is their sum; of a padded batch it is T times B). Both directions are walked in the same way: the
state has a row for every sequence, a step updates the first `n` of them, and where `reverse` walks from the last step to
the first, sequences join when their last element comes. What is left at the end is every sequence's own last state.

The input's share of all steps is a matrix product that the caller has taken, and so are the gradients of the weights: a kernel
does what must be done step by step, `h @ w_hh.T` and the arithmetic of the gates. With B sequences, H units and P = H, or fewer
where `w_hr` `[P, H]` projects an LSTM's output:

    h0 [B, P]   c0 [B, H]   w_hh [G, P]   y [N, P]      G = 4 H (LSTM: i, f, g, o), 3 H (GRU: r, z, n) or H

Arrays are float32 or float64 and row-major; half types are the caller's to widen. A cotangent that is None is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import Array
from rushlight.backends.reference.quiet import quiet
from rushlight.base.sequences import walk

Shape = tuple[int, ...]


def states_before(y: Array, first: Array, batch_sizes: Shape, reverse: bool) -> Array:
    """For every row of `y` `[N, P]` the state its step started from: its sequence's row of the step before, or of `first`."""
    found = np.empty_like(y)
    last_start, last_size = 0, 0
    for start, size in walk(batch_sizes, reverse):
        known = min(size, last_size)
        found[start : start + known] = y[last_start : last_start + known]
        found[start + known : start + size] = first[known:size]
        last_start, last_size = start, size
    return found


def _carried(g: Array | None, like: Array, width: int, batch: int) -> Array:
    """The cotangent of the state, which is carried back from step to step: a copy of that of the last state, or zeros."""
    return np.zeros((batch, width), like.dtype) if g is None else np.array(g)


def _arrived(gy: Array | None, carried: Array, start: int, size: int) -> Array:
    """What arrives at the output of one step: from the layer's output, and from the step that came after it."""
    return carried[:size] if gy is None else carried[:size] + gy[start : start + size]


def _quarters(a: Array) -> tuple[Array, Array, Array, Array]:
    h = a.shape[1] // 4
    return a[:, :h], a[:, h : 2 * h], a[:, 2 * h : 3 * h], a[:, 3 * h :]


def _sigmoid(v: Array) -> Array:
    return np.tanh(v * 0.5) * 0.5 + 0.5


@quiet
def lstm_steps(
    sums: Array, h0: Array, c0: Array, w_hh: Array, w_hr: Array | None, batch_sizes: Shape, reverse: bool
) -> tuple[Array, Array, Array, Array, Array]:
    """`(y, hT, cT, gates, cells)` from `sums` `[N, 4 H]`, the inputs' share of the gates with all biases.

    i, f, o = sigmoid(sums + h @ w_hh.T), g = tanh(...);  c = f * c + i * g;  h = o * tanh(c), times w_hr.T where it is given.
    gates are i, f, g and o of every row, written over `sums`; cells `[N, H]` its c.
    """
    units = c0.shape[1]
    # sigmoid(v) = tanh(v / 2) / 2 + 1 / 2: one tanh serves all four gates.
    scale = np.full(4 * units, 0.5, sums.dtype)
    scale[2 * units : 3 * units] = 1.0
    offset = np.full(4 * units, 0.5, sums.dtype)
    offset[2 * units : 3 * units] = 0.0
    h, c = np.array(h0), np.array(c0)
    cells, y = np.empty((sums.shape[0], units), sums.dtype), np.empty((sums.shape[0], h0.shape[1]), sums.dtype)
    for start, size in walk(batch_sizes, reverse):
        rows = slice(start, start + size)
        now, cell = sums[rows], cells[rows]
        now += h[:size] @ w_hh.T
        now *= scale
        np.tanh(now, out=now)
        now *= scale
        now += offset
        i, f, g, o = _quarters(now)
        np.multiply(f, c[:size], out=cell)
        cell += i * g
        out = o * np.tanh(cell)
        y[rows] = h[:size] = out if w_hr is None else out @ w_hr.T
        c[:size] = cell
    return y, h, c, sums, cells


@quiet
def lstm_steps_backward(
    gy: Array | None, gh: Array | None, gc: Array | None, gates: Array, cells: Array, c0: Array, w_hh: Array, w_hr: Array | None,
    batch_sizes: Shape, reverse: bool,
) -> tuple[Array, Array, Array, Array | None]:  # fmt: skip
    """Gradients of (sums, h0, c0, w_hr); that of w_hr is None where it was."""
    steps, batch = walk(batch_sizes, reverse), c0.shape[0]
    cells_before = states_before(cells, c0, batch_sizes, reverse)
    carried, carried_c = _carried(gh, gates, w_hh.shape[1], batch), _carried(gc, gates, c0.shape[1], batch)
    gsums, squashed = np.empty_like(gates), np.tanh(cells)
    gw_hr = None if w_hr is None else np.zeros_like(w_hr)
    for start, size in reversed(steps):
        rows = slice(start, start + size)
        i, f, g, o = _quarters(gates[rows])
        di, df, dg, do = _quarters(gsums[rows])
        tanh_c = squashed[rows]
        arrived = _arrived(gy, carried, start, size)
        if w_hr is not None and gw_hr is not None:
            gw_hr += arrived.T @ (o * tanh_c)
            arrived = arrived @ w_hr
        at_c = carried_c[:size] + arrived * o * (1.0 - tanh_c * tanh_c)
        di[...] = at_c * g * i * (1.0 - i)
        df[...] = at_c * cells_before[rows] * f * (1.0 - f)
        dg[...] = at_c * i * (1.0 - g * g)
        do[...] = arrived * tanh_c * o * (1.0 - o)
        carried[:size] = gsums[rows] @ w_hh
        carried_c[:size] = at_c * f
    return gsums, carried, carried_c, gw_hr


@quiet
def gru_steps(
    given: Array, h0: Array, w_hh: Array, b_hh: Array | None, batch_sizes: Shape, reverse: bool
) -> tuple[Array, Array, Array]:
    """`(y, hT, gates)` from `given` `[N, 3 H]`, the inputs' share of r, z and n with its bias.

    With s = h @ w_hh.T + b_hh, in three parts like `given`: r = sigmoid(given0 + s0), z = sigmoid(given1 + s1),
    n = tanh(given2 + r * s2), h = (1 - z) * n + z * h. gates `[N, 4 H]` are r, z, n and s2 of every row.
    """
    h, units = np.array(h0), h0.shape[1]
    gates, y = np.empty((given.shape[0], 4 * units), given.dtype), np.empty((given.shape[0], units), given.dtype)
    for start, size in walk(batch_sizes, reverse):
        rows = slice(start, start + size)
        now, share = given[rows], h[:size] @ w_hh.T
        if b_hh is not None:
            share += b_hh
        _, z, n, share_n = _quarters(gates[rows])
        gates[rows, : 2 * units] = _sigmoid(now[:, : 2 * units] + share[:, : 2 * units])
        share_n[...] = share[:, 2 * units :]
        n[...] = np.tanh(now[:, 2 * units :] + gates[rows, :units] * share_n)
        y[rows] = h[:size] = n + z * (h[:size] - n)
    return y, h, gates


@quiet
def gru_steps_backward(
    gy: Array | None, gh: Array | None, gates: Array, before: Array, w_hh: Array, batch_sizes: Shape, reverse: bool
) -> tuple[Array, Array, Array]:
    """Gradients of (given, h @ w_hh.T + b_hh, h0); `before` `[N, H]` holds the state that every step started from."""
    units = before.shape[1]
    carried = _carried(gh, gates, units, max(batch_sizes, default=0))
    ggiven = np.empty((gates.shape[0], 3 * units), gates.dtype)
    gshare = np.empty_like(ggiven)
    for start, size in reversed(walk(batch_sizes, reverse)):
        rows = slice(start, start + size)
        r, z, n, share_n = _quarters(gates[rows])
        arrived = _arrived(gy, carried, start, size)
        dn = arrived * (1.0 - z) * (1.0 - n * n)
        ggiven[rows, :units] = dn * share_n * r * (1.0 - r)
        ggiven[rows, units : 2 * units] = arrived * (before[rows] - n) * z * (1.0 - z)
        ggiven[rows, 2 * units :] = dn
        gshare[rows, : 2 * units] = ggiven[rows, : 2 * units]
        gshare[rows, 2 * units :] = dn * r
        carried[:size] = gshare[rows] @ w_hh + arrived * z
    return ggiven, gshare, carried


@quiet
def rnn_steps(
    sums: Array, h0: Array, w_hh: Array, relu: bool, batch_sizes: Shape, reverse: bool
) -> tuple[Array, Array]:
    """`(y, hT)`: h = tanh(sums + h @ w_hh.T), or relu of it; y is written over `sums` `[N, H]`."""
    h = np.array(h0)
    for start, size in walk(batch_sizes, reverse):
        now = sums[start : start + size]
        now += h[:size] @ w_hh.T
        h[:size] = np.maximum(now, 0.0, out=now) if relu else np.tanh(now, out=now)
    return sums, h


@quiet
def rnn_steps_backward(
    gy: Array | None, gh: Array | None, y: Array, w_hh: Array, relu: bool, batch_sizes: Shape, reverse: bool
) -> tuple[Array, Array]:
    """Gradients of (sums, h0)."""
    carried, gsums = _carried(gh, y, y.shape[1], max(batch_sizes, default=0)), np.empty_like(y)
    for start, size in reversed(walk(batch_sizes, reverse)):
        rows = slice(start, start + size)
        arrived = _arrived(gy, carried, start, size)
        gsums[rows] = arrived * (y[rows] > 0) if relu else arrived * (1.0 - y[rows] * y[rows])
        carried[:size] = gsums[rows] @ w_hh
    return gsums, carried


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
        states_before,
        lstm_steps,
        lstm_steps_backward,
        gru_steps,
        gru_steps_backward,
        rnn_steps,
        rnn_steps_backward,
        pack_padded,
        pad_packed,
        pad_sequences,
    )
}
