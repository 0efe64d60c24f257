"""One direction of one recurrent layer over all its time steps, and its gradient, as two operations.

The products over all steps at once, with the input's weights and for the weights' gradients, are ordinary matrix products; what must
be done step by step is a kernel of its own (backends/reference/recurrent.py). Where a derivative is itself to be differentiated, the
gradient is taken step by step in tensor operations instead (recurrent_steps.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rushlight.base.dtypes import float32
from rushlight.base.sequences import BatchSizes, sizes_of
from rushlight.base.shape import Shape
from rushlight.core.modes import local
from rushlight.core.primitive import Primitive, apply_multi
from rushlight.ops.recurrent_steps import GruStep, LstmStep, ReluStep, TanhStep, Unrolled

Present = tuple[bool, bool, bool, bool, bool]


class RecurrentLayer(Primitive):
    """One direction of one layer: inputs (x, h0[, c0], weights), outputs (y, hT[, cT], what the gradient needs).

    The weights are w_ih, w_hh, b_ih, b_hh and an LSTM's w_hr, as many of them as `present` says. Half types are computed in float32.
    """

    __slots__ = ("present", "batch_sizes", "reverse")
    outputs = 0
    step: ClassVar[Any]
    states: ClassVar[int] = 1

    def __init__(self, present: Present, batch_sizes: BatchSizes, reverse: bool) -> None:
        self.present = present
        self.batch_sizes = batch_sizes
        self.reverse = reverse

    def parts(self, values: Sequence[Any], missing: Any = None) -> tuple[list[Any], list[Any]]:
        """One value per input, as x and the states, and as five weights: `missing` for those that are not there."""
        lead = 1 + self.states
        rest = iter(values[lead:])
        return list(values[:lead]), [next(rest) if there else missing for there in self.present]

    def sizes(self, x: Any) -> Shape:
        """How many sequences are running at each step."""
        return sizes_of(x.shape, self.batch_sizes)

    def run(self, k: Any, rows: Any, states: list[Any], weights: list[Any], sizes: Shape) -> tuple[Any, ...]:
        """(y, last states, what is kept) of all steps."""
        raise NotImplementedError(f"{self.name} has no kernel")

    def run_backward(
        self,
        k: Any,
        cotangents: list[Any],
        states: list[Any],
        weights: list[Any],
        kept: list[Any],
        before: Any,
        sizes: Shape,
    ) -> tuple[Any, Any, list[Any], Any]:
        """Gradients of the sum over the input, of that over the state, of the states and of w_hr. `kept` begins with y."""
        raise NotImplementedError(f"{self.name} has no kernel")

    def forward(self, k: Any, *arrays: Any) -> Any:
        dtype = arrays[0].dtype
        (x, *states), weights = self.parts(_widened(k, arrays))
        y, *rest = self.run(k, _rows(k, x), states, weights, self.sizes(x))
        y = k.reshape_view(y, (*x.shape[:-1], y.shape[-1]))
        if x.dtype == dtype:
            return (y, *rest)
        return (*[k.cast(a, dtype) for a in (y, *rest[: self.states])], *rest[self.states :])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (*inputs, output[0], *[t.detach() for t in output[1 + self.states :]])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        inputs, kept = saved[: len(needs)], saved[len(needs) :]
        given = g[: 1 + self.states]
        if local.modes.grad:
            (x, *states), tensors = self.parts(inputs)
            unrolled = Unrolled(self.step, x, tuple(states), tuple(tensors), self.batch_sizes, self.reverse)
            found = unrolled.gradients(given[0], given[1:])
            lead = 1 + self.states
            chosen = [t for t, there in zip(found[lead:], self.present, strict=True) if there]
            return (*found[:lead], *chosen)
        op = RecurrentLayerGrad(self, tuple([t is not None for t in given]), needs)
        made = iter(apply_multi(op, (*[t for t in given if t is not None], *inputs, *kept)))
        return tuple([next(made) if wanted else None for wanted in needs])


class RecurrentLayerGrad(Primitive):
    """The gradients of the layer's inputs that `needs` asks for: inputs (cotangents of y, hT[, cT] as `given` says, the layer's
    inputs, y, what it kept)."""

    __slots__ = ("layer", "given", "needs")
    name = "recurrent_layer_backward"
    outputs = 0
    differentiable = False  # a derivative that is to be differentiated does not use this operation

    def __init__(self, layer: RecurrentLayer, given: tuple[bool, ...], needs: tuple[bool, ...]) -> None:
        self.layer = layer
        self.given = given
        self.needs = needs

    def forward(self, k: Any, *arrays: Any) -> Any:
        layer, dtype = self.layer, arrays[sum(self.given)].dtype
        rest = iter(_widened(k, arrays))
        gy, *finals = [next(rest) if there else None for there in self.given]
        values = list(rest)
        (x, *states), weights = layer.parts(values[: len(self.needs)])
        kept = values[len(self.needs) :]
        kept[0] = _rows(k, kept[0])
        sizes = layer.sizes(x)
        before = k.states_before(kept[0], states[0], sizes, layer.reverse)
        cotangents = [None if gy is None else _rows(k, gy), *finals]
        given, share, to_states, to_hr = layer.run_backward(k, cotangents, states, weights, kept, before, sizes)
        lead, (w_ih, w_hh, b_ih, b_hh, w_hr) = layer.parts(self.needs, False)
        to_b_ih = k.sum(given, (0,)) if b_ih else None
        to_b_hh = None
        if b_hh:  # equal gradients are two arrays all the same
            to_b_hh = k.copy(to_b_ih) if share is given and to_b_ih is not None else k.sum(share, (0,))
        found = [
            k.reshape_view(k.matmul(given, weights[0]), x.shape) if lead[0] else None,
            *[gradient if wanted else None for gradient, wanted in zip(to_states, lead[1:], strict=True)],
            k.matmul(k.permute(given, (1, 0)), _rows(k, x)) if w_ih else None,
            k.matmul(k.permute(share, (1, 0)), before) if w_hh else None,
            to_b_ih,
            to_b_hh,
            to_hr if w_hr else None,
        ]
        wanted_ones = [gradient for gradient in found if gradient is not None]
        return wanted_ones if x.dtype == dtype else [k.cast(gradient, dtype) for gradient in wanted_ones]


def _widened(k: Any, arrays: Sequence[Any]) -> Sequence[Any]:
    """Half types as float32."""
    return [k.cast(a, float32.np) if a.dtype.itemsize == 2 else a for a in arrays]


def _rows(k: Any, x: Any) -> Any:
    """The elements of all steps one after the other, `[N, width]`, row-major."""
    if not x.flags.c_contiguous:
        x = k.contiguous(x)
    return x if x.ndim == 2 else k.reshape_view(x, (x.shape[0] * x.shape[1], x.shape[2]))


def _affine(k: Any, rows: Any, w: Any, bias: Any) -> Any:
    """rows @ w.T + bias, of arrays; a fresh one."""
    return k.matmul(rows, k.permute(w, (1, 0))) if bias is None else k.addmm(bias, rows, k.permute(w, (1, 0)))


def _both(k: Any, b_ih: Any, b_hh: Any) -> Any:
    return None if b_ih is None else k.add(b_ih, b_hh)


class LstmLayer(RecurrentLayer):
    """A float32 LSTM layer, which torch too computes in one piece, under this name."""

    __slots__ = ()
    name = "mkldnn_rnn_layer"
    step = LstmStep
    states = 2

    def run(self, k: Any, rows: Any, states: list[Any], weights: list[Any], sizes: Shape) -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh, w_hr = weights
        sums = _affine(k, rows, w_ih, _both(k, b_ih, b_hh))
        found: tuple[Any, ...] = k.lstm_steps(sums, *states, w_hh, w_hr, sizes, self.reverse)
        return found

    def run_backward(
        self,
        k: Any,
        cotangents: list[Any],
        states: list[Any],
        weights: list[Any],
        kept: list[Any],
        before: Any,
        sizes: Shape,
    ) -> tuple[Any, Any, list[Any], Any]:
        _, gates, cells = kept
        sums, h0, c0, w_hr = k.lstm_steps_backward(
            *cotangents, gates, cells, states[1], weights[1], weights[4], sizes, self.reverse
        )
        return sums, sums, [h0, c0], w_hr


# The others end in torch with the stack (packed: the concatenation) of their steps, and are named after it.


class StackedLstmLayer(LstmLayer):
    """An LSTM layer of another dtype, or with a projection."""

    __slots__ = ()
    node_name = "StackBackward0"


class PackedLstmLayer(LstmLayer):
    """An LSTM layer over a packed batch."""

    __slots__ = ()
    node_name = "CatBackward0"


class GruLayer(RecurrentLayer):
    """A GRU layer."""

    __slots__ = ()
    name = "gru_layer"
    node_name = "StackBackward0"
    step = GruStep

    def run(self, k: Any, rows: Any, states: list[Any], weights: list[Any], sizes: Shape) -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh, _ = weights
        found: tuple[Any, ...] = k.gru_steps(_affine(k, rows, w_ih, b_ih), *states, w_hh, b_hh, sizes, self.reverse)
        return found

    def run_backward(
        self,
        k: Any,
        cotangents: list[Any],
        states: list[Any],
        weights: list[Any],
        kept: list[Any],
        before: Any,
        sizes: Shape,
    ) -> tuple[Any, Any, list[Any], Any]:
        given, share, h0 = k.gru_steps_backward(*cotangents, kept[1], before, weights[1], sizes, self.reverse)
        return given, share, [h0], None


class PackedGruLayer(GruLayer):
    """A GRU layer over a packed batch."""

    __slots__ = ()
    node_name = "CatBackward0"


class TanhLayer(RecurrentLayer):
    """A plain recurrent layer with tanh."""

    __slots__ = ()
    name = "rnn_tanh_layer"
    node_name = "StackBackward0"
    step: ClassVar[Any] = TanhStep
    relu: ClassVar[bool] = False

    def run(self, k: Any, rows: Any, states: list[Any], weights: list[Any], sizes: Shape) -> tuple[Any, ...]:
        w_ih, w_hh, b_ih, b_hh, _ = weights
        sums = _affine(k, rows, w_ih, _both(k, b_ih, b_hh))
        found: tuple[Any, ...] = k.rnn_steps(sums, *states, w_hh, self.relu, sizes, self.reverse)
        return found

    def run_backward(
        self,
        k: Any,
        cotangents: list[Any],
        states: list[Any],
        weights: list[Any],
        kept: list[Any],
        before: Any,
        sizes: Shape,
    ) -> tuple[Any, Any, list[Any], Any]:
        sums, h0 = k.rnn_steps_backward(*cotangents, kept[0], weights[1], self.relu, sizes, self.reverse)
        return sums, sums, [h0], None


class PackedTanhLayer(TanhLayer):
    """A plain recurrent layer over a packed batch."""

    __slots__ = ()
    node_name = "CatBackward0"


class ReluLayer(TanhLayer):
    """A plain recurrent layer with relu."""

    __slots__ = ()
    name = "rnn_relu_layer"
    node_name = "StackBackward0"
    step = ReluStep
    relu = True


class PackedReluLayer(ReluLayer):
    """A plain recurrent layer with relu over a packed batch."""

    __slots__ = ()
    node_name = "CatBackward0"
