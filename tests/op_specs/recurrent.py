"""Recurrent layers, cells, packing and padding."""

import numpy as np

import rushlight as rl
import rushlight.nn.utils.rnn
from rushlight.testing.op_spec import Spec


def case(name, call, *inputs, **settings):
    """A function `call(library, *tensors)` of rushlight or torch."""

    def theirs(*tensors):
        import torch

        return call(torch, *tensors)

    return Spec(name, lambda *tensors: call(rl, *tensors), inputs, domain=(-1.0, 1.0), torch_function=theirs, **settings)


def layer(function, states, weights, bias=True, layers=1, both=False, batch_first=False, batch_sizes=None):
    """The output and the last states of a stack of layers, its input, states and weights one after the other."""

    def call(library, x, *rest):
        hx = list(rest[:states]) if states == 2 else rest[0]
        params = list(rest[states:])
        assert len(params) == weights
        settings = (params, bias, layers, 0.0, True, both)
        if batch_sizes is not None:
            return getattr(library, function)(x, library.tensor(batch_sizes), hx, *settings)
        return getattr(library, function)(x, hx, *settings, batch_first)

    return call


def shapes(gates, inputs, units, layers=1, directions=1, bias=True, proj=0):
    """The shapes of the weights of all layers."""
    found, out = [], proj or units
    for number in range(layers):
        for _ in range(directions):
            found += [(gates * units, inputs if number == 0 else out * directions), (gates * units, out)]
            found += [(gates * units,)] * 2 if bias else []
            found += [(proj, units)] if proj else []
    return found


def packed(name, gates, states):
    weights = shapes(gates, 2, 3, directions=2)
    return case(
        f"{name}-packed",
        layer(name, states, len(weights), both=True, batch_sizes=[3, 2, 2, 1]),
        (8, 2), *[(2, 3, 3)] * states, *weights,
    )  # fmt: skip


def apart(*shape):
    """Distinct numbers, away from each other and from zero: no kinks of relu."""
    count = int(np.prod(shape))
    return lambda rng: ((rng.permutation(count) - count / 2 + 0.5) * 0.15 + rng.uniform(-0.01, 0.01, count)).reshape(shape)


def cell(name, states):
    def call(library, x, *rest):
        return getattr(library, name)(x, rest[:2] if states == 2 else rest[0], *rest[states:])

    return call


SPECS = [
    case("lstm", layer("lstm", 2, 4), (3, 2, 2), (1, 2, 3), (1, 2, 3), *shapes(4, 2, 3)),
    case(
        "lstm-stacked",
        layer("lstm", 2, 8, bias=False, layers=2, both=True, batch_first=True),
        (2, 3, 2), (4, 2, 2), (4, 2, 2), *shapes(4, 2, 2, 2, 2, False),
    ),
    case("lstm-projected", layer("lstm", 2, 5), (3, 2, 2), (1, 2, 2), (1, 2, 3), *shapes(4, 2, 3, proj=2)),
    packed("lstm", 4, 2),
    case("gru", layer("gru", 1, 4), (3, 2, 2), (1, 2, 3), *shapes(3, 2, 3)),
    case("gru-stacked", layer("gru", 1, 4, bias=False, layers=2), (3, 2, 2), (2, 2, 3), *shapes(3, 2, 3, 2, 1, False)),
    packed("gru", 3, 1),
    case("rnn_tanh", layer("rnn_tanh", 1, 8, both=True), (3, 2, 2), (2, 2, 3), *shapes(1, 2, 3, 1, 2)),
    packed("rnn_tanh", 1, 1),
    case("rnn_relu", layer("rnn_relu", 1, 2, bias=False), apart(3, 2, 2), apart(1, 2, 3), apart(3, 2), apart(3, 3)),
    case("lstm_cell", cell("lstm_cell", 2), (2, 2), (2, 3), (2, 3), *shapes(4, 2, 3)),
    case("gru_cell", cell("gru_cell", 1), (2, 2), (2, 3), *shapes(3, 2, 3)),
    case("rnn_tanh_cell", cell("rnn_tanh_cell", 1), (2, 2), (2, 3), *shapes(1, 2, 3, bias=False)),
    case("rnn_relu_cell", cell("rnn_relu_cell", 1), apart(2, 2), apart(2, 3), apart(3, 2), apart(3, 3)),
    case(
        "pack_padded_sequence",
        lambda lib, x: lib.nn.utils.rnn.pack_padded_sequence(x, [4, 2, 1])[0],
        (4, 3, 2),
    ),
    case(
        "pad_packed_sequence",
        lambda lib, x: lib._pad_packed_sequence(x, lib.tensor([3, 2, 1]), True, 2.5, 5)[0],
        (6, 2),
    ),
    case(
        "pad_sequence",
        lambda lib, *xs: lib.nn.utils.rnn.pad_sequence(list(xs), padding_side="left", padding_value=-1.0),
        (2, 3), (4, 3), (1, 3),
    ),
]  # fmt: skip
