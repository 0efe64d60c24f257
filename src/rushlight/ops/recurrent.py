"""Recurrent networks: stacks of LSTM, GRU and plain layers, in one or both directions, and their cells.

One direction of one layer over all its time steps is one operation (recurrent_layers.py): the graph does not grow with the length of
the sequence. A cell is made of ordinary operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

from rushlight.base.dtypes import COMPLEX, float32
from rushlight.base.sequences import BatchSizes
from rushlight.base.shape import Shape
from rushlight.core.primitive import apply_multi, intercepted
from rushlight.core.tensor import TensorBase
from rushlight.ops.dropout import dropout as drop
from rushlight.ops.recurrent_layers import (
    GruLayer,
    LstmLayer,
    PackedGruLayer,
    PackedLstmLayer,
    PackedReluLayer,
    PackedTanhLayer,
    RecurrentLayer,
    ReluLayer,
    StackedLstmLayer,
    TanhLayer,
)
from rushlight.ops.recurrent_steps import GruStep, LstmStep, ReluStep, TanhStep, Unrolled, affine
from rushlight.ops.shape import cat, stack
from rushlight.ops.split import unbind
from rushlight.ops.view import transpose

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"]

_LAYERS: Final[dict[str, tuple[type[RecurrentLayer], type[RecurrentLayer]]]] = {
    "lstm": (LstmLayer, PackedLstmLayer),
    "gru": (GruLayer, PackedGruLayer),
    "rnn_tanh": (TanhLayer, PackedTanhLayer),
    "rnn_relu": (ReluLayer, PackedReluLayer),
}
_GATES: Final = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}

_DENSE_NAMES: Final = "input hx params has_biases num_layers dropout train bidirectional batch_first".split()
_PACKED_NAMES: Final = "data batch_sizes hx params has_biases num_layers dropout train bidirectional".split()


def _named(operation: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, of either form: of a padded batch, or of a packed one, whose second argument is `batch_sizes`."""
    second = args[1] if len(args) > 1 else kwargs.get("batch_sizes")
    packed = isinstance(second, TensorBase) and not second._dtype.is_floating_point and not second._dtype.is_complex
    names = _PACKED_NAMES if packed else _DENSE_NAMES
    found = dict(zip(names, args, strict=False))
    unknown = [name for name in kwargs if name not in names or name in found]
    found.update(kwargs)
    missing = [name for name in names if name not in found]
    if len(args) > len(names) or unknown or missing:
        what = (
            f"missing {', '.join(missing)}" if missing else f"unexpected {', '.join(unknown) or 'positional arguments'}"
        )
        raise TypeError(f"{operation}() takes the arguments ({', '.join(names)}): {what}")
    return found


def _batch_sizes(operation: str, data: Any, batch_sizes: Any) -> tuple[int, ...]:
    """`batch_sizes` as a tuple; RuntimeError when they can't be those of `data`."""
    sizes = tuple(batch_sizes.tolist())
    if any(after > before for before, after in pairwise(sizes)) or min(sizes, default=1) <= 0:
        raise RuntimeError(
            f"{operation}(): batch_sizes must be positive and never grow from one step to the next, but they are {list(sizes)}"
        )
    if sum(sizes) != data._shape[0]:
        raise RuntimeError(
            f"{operation}(): batch_sizes add up to {sum(sizes)}, but the packed data has {data._shape[0]} rows (shape "
            f"{list(data._shape)})"
        )
    return sizes


def _check_layer(operation: str, x: Any, states: Sequence[Any], weights: Sequence[Any], batch: int) -> None:
    """RuntimeError where the tensors of one layer and direction do not fit together."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    units = states[-1]._shape[-1]
    gates = _GATES[operation] * units
    out = units if w_hr is None else w_hr._shape[0]
    expected: list[tuple[str, Any, Shape]] = [
        ("w_ih", w_ih, (gates, x._shape[-1])),
        ("w_hh", w_hh, (gates, out)),
        ("b_ih", b_ih, (gates,)),
        ("b_hh", b_hh, (gates,)),
        ("w_hr", w_hr, (out, units)),
        ("the hidden state", states[0], (batch, out)),
        ("the cell state", states[1] if len(states) == 2 else None, (batch, units)),
    ]
    for name, tensor, shape in expected:
        if tensor is None:
            continue
        if tensor._shape != shape:
            raise RuntimeError(
                f"{operation}(): {name} of a layer should have shape {list(shape)}, but has {list(tensor._shape)}; its input has shape "
                f"{list(x._shape)} and its state {units} units"
            )
        if tensor._dtype is not x._dtype:
            raise RuntimeError(
                f"{operation}(): the input is {x._dtype!r} and {name} is {tensor._dtype!r}, but all must have the same dtype. Convert "
                f"one of them, for example with .to({x._dtype!r})"
            )


def _layer(
    operation: str, x: Any, states: tuple[Any, ...], weights: list[Any], batch_sizes: BatchSizes, reverse: bool
) -> tuple[Any, ...]:
    """One direction of one layer: y and the last states."""
    if x._dtype.category == COMPLEX:
        step = _LAYERS[operation][0].step
        return Unrolled(step, x, states, tuple(weights), batch_sizes, reverse).results()
    cls = _LAYERS[operation][batch_sizes is not None]
    if cls is LstmLayer and (x._dtype is not float32 or weights[4] is not None):
        cls = StackedLstmLayer
    op = cls(tuple([w is not None for w in weights]), batch_sizes, reverse)  # type: ignore[arg-type]
    found = apply_multi(op, (x, *states, *[w for w in weights if w is not None]))
    return found[: 1 + op.states]


def _run(operation: str, given: dict[str, Any]) -> tuple[Any, ...]:
    """All layers: y, and every kind of state stacked, `[num_layers * directions, B, width]`."""
    packed = "batch_sizes" in given
    x, hx, params = given["data" if packed else "input"], given["hx"], list(given["params"])
    directions = 2 if given["bidirectional"] else 1
    layers, biased, p = given["num_layers"], given["has_biases"], given["dropout"]
    batch_sizes = _batch_sizes(operation, x, given["batch_sizes"]) if packed else None
    batch_first = not packed and given["batch_first"]
    if batch_first:
        x = transpose(x, 0, 1)
    if not batch_sizes if packed else x._shape[0] == 0:
        raise RuntimeError(
            f"Expected sequence length to be larger than 0 in RNN: {operation}() got shape {list(x._shape)}"
        )
    batch = batch_sizes[0] if batch_sizes else x._shape[1]
    projected = len(hx) == 2 and hx[0]._shape[-1] != hx[1]._shape[-1]
    each = 2 + 2 * bool(biased) + projected
    if len(params) != each * layers * directions:
        raise RuntimeError(
            f"got an incorrect number of RNN parameters: {layers} layers in {directions} directions have {each} each, "
            f"{each * layers * directions} together, but params holds {len(params)}"
        )
    for state in hx:
        if len(state._shape) != 3 or state._shape[0] != layers * directions:
            raise RuntimeError(
                f"Expected hidden states of shape [{layers * directions}, batch, units], one for each layer and direction, but got "
                f"{list(state._shape)}"
            )
    states = list(zip(*[unbind(state) for state in hx], strict=True))
    ends: list[tuple[Any, ...]] = []
    for number in range(layers):
        outputs = []
        for direction in range(directions):
            place = number * directions + direction
            w = params[place * each : (place + 1) * each]
            weights = [*w[:2], *(w[2:4] if biased else (None, None)), w[-1] if projected else None]
            _check_layer(operation, x, states[place], weights, batch)
            y, *last = _layer(operation, x, states[place], weights, batch_sizes, direction == 1)
            outputs.append(y)
            ends.append(tuple(last))
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if p and given["train"] and number < layers - 1:
            x = drop(x, p, True)
    return (transpose(x, 0, 1) if batch_first else x, *[stack(kind) for kind in zip(*ends, strict=True)])


def _serve(
    operation: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """Check the kinds of the arguments, offer the call to `__torch_function__`, and run all layers."""
    given = _named(operation, args, kwargs)
    hx = given["hx"]
    if operation != "lstm":
        given["hx"] = (hx,)
    elif isinstance(hx, TensorBase) or not isinstance(hx, Iterable):
        raise TypeError(f"lstm(): argument 'hx' must be tuple of Tensors (h_0, c_0), not {type(hx).__name__}")
    else:
        given["hx"] = tuple(hx)
        if len(given["hx"]) != 2:
            raise RuntimeError(f"lstm expects two hidden states, (h_0, c_0), but got {len(given['hx'])}")
    first = "data" if "data" in given else "input"
    if isinstance(given["params"], TensorBase) or not isinstance(given["params"], Iterable):
        raise TypeError(
            f"{operation}(): argument 'params' must be tuple of Tensors, not {type(given['params']).__name__}"
        )
    given["params"] = tuple(given["params"])
    for name, values in ((first, (given[first],)), ("hx", given["hx"]), ("params", given["params"])):
        for value in values:
            if not isinstance(value, TensorBase):
                raise TypeError(f"{operation}(): argument '{name}' must be Tensor, not {type(value).__name__}")
    rank = 2 if first == "data" else 3
    if len(given[first]._shape) != rank:
        raise RuntimeError(
            f"{operation}(): input must have {rank} dimensions, got {len(given[first]._shape)} (shape {list(given[first]._shape)})"
        )
    tensors = (given[first], *given["hx"], *given["params"])
    handled, found = intercepted(function, (*args, *kwargs.values()), tensors)
    return found if handled else _run(operation, given)


def lstm(*args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    """A stack of LSTM layers: `(output, h_n, c_n)`. See `nn.LSTM`, which calls it.

    lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)
    lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)

    hx is (h_0, c_0); params lists w_ih, w_hh[, b_ih, b_hh][, w_hr] of every layer and direction. The second form takes packed data.
    """
    return _serve("lstm", lstm, args, kwargs)  # type: ignore[return-value]


def gru(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """A stack of GRU layers: `(output, h_n)`. Arguments as of `lstm`, with hx one tensor. See `nn.GRU`."""
    return _serve("gru", gru, args, kwargs)  # type: ignore[return-value]


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """A stack of plain recurrent layers with tanh: `(output, h_n)`. Arguments as of `gru`. See `nn.RNN`."""
    return _serve("rnn_tanh", rnn_tanh, args, kwargs)  # type: ignore[return-value]


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """A stack of plain recurrent layers with relu: `(output, h_n)`. Arguments as of `gru`. See `nn.RNN`."""
    return _serve("rnn_relu", rnn_relu, args, kwargs)  # type: ignore[return-value]


# Cells: one step.


def _check_cell(operation: str, input: Any, hx: tuple[Any, ...], w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> None:
    """Errors, in torch's types, of arguments that do not fit together."""
    for name, value in (("input", input), *[("hx", h) for h in hx], ("w_ih", w_ih), ("w_hh", w_hh)):
        if not isinstance(value, TensorBase):
            raise TypeError(f"{operation}(): argument '{name}' must be Tensor, not {type(value).__name__}")
    gates = _GATES[operation.removesuffix("_cell")]
    if w_ih._shape[0] != gates * w_hh._shape[1]:
        raise RuntimeError(
            f"{operation}(): weight_ih first dim must be {gates} * hidden_size = {gates * w_hh._shape[1]}, but got {w_ih._shape[0]}: "
            f"w_ih has shape {list(w_ih._shape)}, w_hh {list(w_hh._shape)}"
        )
    if input._shape[-1] != w_ih._shape[1]:
        raise RuntimeError(
            f"{operation}(): input has inconsistent input_size: got {input._shape[-1]} expected {w_ih._shape[1]}"
        )
    for number, h in enumerate(hx):
        if h._shape[0] != input._shape[0]:
            raise RuntimeError(
                f"{operation}(): Input batch size {input._shape[0]} doesn't match hidden{number} batch size {h._shape[0]}"
            )
        if h._shape[-1] != w_hh._shape[1]:
            raise RuntimeError(
                f"{operation}(): hidden{number} has inconsistent hidden_size: got {h._shape[-1]}, expected {w_hh._shape[1]}"
            )


def lstm_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> tuple[Any, Any]:
    """One step of an LSTM: `(h, c)` from `input` [B, I] and hx, the (h, c) before, [B, H] each. See `nn.LSTMCell`."""
    if isinstance(hx, TensorBase) or not isinstance(hx, Iterable):
        raise TypeError(
            f"lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors (h, c), not {type(hx).__name__}"
        )
    states = tuple(hx)
    if len(states) != 2:
        raise RuntimeError(f"lstm_cell expects two hidden states, (h, c), but got {len(states)}")
    _check_cell("lstm_cell", input, states, w_ih, w_hh, b_ih, b_hh)
    h, c, _ = LstmStep.forward(affine(input, w_ih, b_ih), affine(states[0], w_hh, b_hh), *states)
    return h, c


def _step(step: Any, operation: str, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    _check_cell(operation, input, (hx,), w_ih, w_hh, b_ih, b_hh)
    return step.forward(affine(input, w_ih, b_ih), affine(hx, w_hh, b_hh), hx, None)[0]


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU: the new state from `input` [B, I] and the state before, hx [B, H]. See `nn.GRUCell`."""
    return _step(GruStep, "gru_cell", input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a plain recurrent layer with tanh: the new state, from `input` [B, I] and hx [B, H]. See `nn.RNNCell`."""
    return _step(TanhStep, "rnn_tanh_cell", input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """`rnn_tanh_cell` with relu."""
    return _step(ReluStep, "rnn_relu_cell", input, hx, w_ih, w_hh, b_ih, b_hh)
