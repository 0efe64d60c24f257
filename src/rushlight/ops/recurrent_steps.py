"""Recurrent layers in tensor operations, step by step: the formulas of the kernels once more, differentiable to any order.

They serve where no kernel does: derivatives that are themselves differentiated (`create_graph=True`), complex numbers,
and the cells that a program steps by hand. Notation as in backends/reference/recurrent.py.
"""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.sequences import BatchSizes, sizes_of, walk
from rushlight.ops.matmul import addmm, mm
from rushlight.ops.shape import cat
from rushlight.ops.view import t


def affine(x: Any, w: Any, b: Any) -> Any:
    """x @ w.T + b for matrices, without b where it is None."""
    return mm(x, t(w)) if b is None else addmm(b, x, t(w))


class LstmStep:
    """One step of an LSTM. `given` and `share` [n, 4 H] are the sums over the input and over the state."""

    @staticmethod
    def forward(given: Any, share: Any, h: Any, c: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """The output, the new cell state, and what `backward` needs."""
        first, second, third, fourth = (given + share).chunk(4, 1)
        i, f, g, o = first.sigmoid(), second.sigmoid(), third.tanh(), fourth.sigmoid()
        cell = f * c + i * g
        squashed = cell.tanh()
        return o * squashed, cell, (i, f, g, o, c, squashed)

    @staticmethod
    def backward(tape: tuple[Any, ...], gh: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """Cotangents of `given`, of `share`, of h where it was used directly, and of c."""
        i, f, g, o, c, squashed = tape
        at_c = gc + gh * o * (1 - squashed * squashed)
        at_gates = (
            at_c * g * i * (1 - i),
            at_c * c * f * (1 - f),
            at_c * i * (1 - g * g),
            gh * squashed * o * (1 - o),
        )
        total = cat(at_gates, 1)
        return total, total, None, at_c * f


class GruStep:
    """One step of a GRU. `given` and `share` [n, 3 H] are the sums over the input and over the state."""

    @staticmethod
    def forward(given: Any, share: Any, h: Any, c: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """The new state, no cell state, and what `backward` needs."""
        given_r, given_z, given_n = given.chunk(3, 1)
        share_r, share_z, share_n = share.chunk(3, 1)
        r, z = (given_r + share_r).sigmoid(), (given_z + share_z).sigmoid()
        n = (given_n + r * share_n).tanh()
        return n + z * (h - n), None, (r, z, n, share_n, h)

    @staticmethod
    def backward(tape: tuple[Any, ...], gh: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """Cotangents of `given`, of `share`, of h where it was used directly, and of no cell state."""
        r, z, n, share_n, h = tape
        at_n = gh * (1 - z) * (1 - n * n)
        at_r, at_z = at_n * share_n * r * (1 - r), gh * (h - n) * z * (1 - z)
        return cat((at_r, at_z, at_n), 1), cat((at_r, at_z, at_n * r), 1), gh * z, None


class TanhStep:
    """One step of a plain recurrent layer. `given` and `share` [n, H] are the sums over the input and over the state."""

    @staticmethod
    def forward(given: Any, share: Any, h: Any, c: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """The new state, no cell state, and what `backward` needs."""
        out = (given + share).tanh()
        return out, None, (out,)

    @staticmethod
    def backward(tape: tuple[Any, ...], gh: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """Cotangents of `given` and of `share`; h was not used otherwise."""
        total = gh * (1 - tape[0] * tape[0])
        return total, total, None, None


class ReluStep:
    """`TanhStep` with relu in the place of tanh."""

    @staticmethod
    def forward(given: Any, share: Any, h: Any, c: Any) -> tuple[Any, Any, tuple[Any, ...]]:
        """The new state, no cell state, and what `backward` needs."""
        out = (given + share).relu()
        return out, None, (out,)

    @staticmethod
    def backward(tape: tuple[Any, ...], gh: Any, gc: Any) -> tuple[Any, Any, Any, Any]:
        """Cotangents of `given` and of `share`; h was not used otherwise."""
        total = gh * (tape[0] > 0)
        return total, total, None, None


def _updated(state: Any, new: Any, size: int) -> Any:
    """`state` with its first `size` rows replaced."""
    return new if size == state._shape[0] else cat((new, state[size:]))


def _in_order(pieces: list[Any], reverse: bool) -> Any:
    """Rows of all steps, in the order of time, from those in the order of the walk."""
    return cat(pieces[::-1] if reverse else pieces)


class Unrolled:
    """The forward pass of one direction of one layer, with what every step leaves for the backward pass."""

    def __init__(
        self,
        cell: Any,
        x: Any,
        states: tuple[Any, ...],
        weights: tuple[Any, ...],
        batch_sizes: BatchSizes,
        reverse: bool,
    ) -> None:
        """`states` are h0 (and c0), `weights` w_ih, w_hh, b_ih, b_hh and w_hr, the last three None where there are none."""
        w_ih, w_hh, b_ih, b_hh, w_hr = weights
        self.cell = cell
        self.reverse = reverse
        self.steps = walk(sizes_of(x._shape, batch_sizes), reverse)
        self.rows = x.reshape(prod(x._shape[:-1]), x._shape[-1])
        self.x_shape = x._shape
        self.w_ih, self.w_hh, self.w_hr = w_ih, w_hh, w_hr
        self.h, self.c = states[0], states[1] if len(states) == 2 else None
        self.before: list[Any] = []  # h at the start of each step
        self.inner: list[Any] = []  # an LSTM's output before its projection
        self.tapes: list[tuple[Any, ...]] = []
        self.outputs: list[Any] = []
        given = affine(self.rows, w_ih, b_ih)
        for start, size in self.steps:
            h = self.h[:size]
            c = None if self.c is None else self.c[:size]
            out, cell_state, tape = cell.forward(given[start : start + size], affine(h, w_hh, b_hh), h, c)
            self.before.append(h)
            self.inner.append(out)
            self.tapes.append(tape)
            out = out if w_hr is None else affine(out, w_hr, None)
            self.outputs.append(out)
            self.h = _updated(self.h, out, size)
            self.c = None if self.c is None else _updated(self.c, cell_state, size)

    def results(self) -> tuple[Any, ...]:
        """y and the last states, as the kernel returns them."""
        y = _in_order(self.outputs, self.reverse)
        y = y.reshape(*self.x_shape[:-1], y._shape[-1])
        return (y, self.h) if self.c is None else (y, self.h, self.c)

    def gradients(self, gy: Any, final: tuple[Any, ...]) -> tuple[Any, ...]:
        """Cotangents of x, the states and w_ih, w_hh, b_ih, b_hh and w_hr, from those of y and the last states (None: none)."""
        gy = None if gy is None else gy.reshape(prod(gy._shape[:-1]), gy._shape[-1])
        gh = self.h.new_zeros(self.h._shape) if final[0] is None else final[0]
        gc = None
        if self.c is not None:
            gc = self.c.new_zeros(self.c._shape) if final[1] is None else final[1]
        at_given, at_share, at_outputs = [], [], []
        for (start, size), tape in zip(reversed(self.steps), reversed(self.tapes), strict=True):
            arrived = gh[:size] if gy is None else gh[:size] + gy[start : start + size]
            at_outputs.append(arrived)
            if self.w_hr is not None:
                arrived = mm(arrived, self.w_hr)
            given, share, direct, cell = self.cell.backward(tape, arrived, None if gc is None else gc[:size])
            at_given.append(given)
            at_share.append(share)
            back = mm(share, self.w_hh)
            gh = _updated(gh, back if direct is None else back + direct, size)
            gc = None if gc is None else _updated(gc, cell, size)
        # The lists above are in the order of the backward walk.
        backward = not self.reverse
        given, share = _in_order(at_given, backward), _in_order(at_share, backward)
        g_hr = None
        if self.w_hr is not None:
            g_hr = mm(t(_in_order(at_outputs, backward)), _in_order(self.inner, self.reverse))
        return (
            mm(given, self.w_ih).reshape(self.x_shape),
            *((gh,) if gc is None else (gh, gc)),
            mm(t(given), self.rows),
            mm(t(share), _in_order(self.before, self.reverse)),
            given.sum(0),
            share.sum(0),
            g_hr,
        )
