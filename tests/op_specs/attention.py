"""Scaled dot-product attention: plain, causal, masked, with grouped heads."""

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.testing.op_spec import Spec

BLOCKED = [[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 0]]


def case(name, call, *inputs, **settings):
    """call: of the functional module and the tensors, for us and for torch."""

    def ours(*tensors):
        return call(rl, F, *tensors)

    def theirs(*tensors):
        import torch

        return call(torch, torch.nn.functional, *tensors)

    return Spec(f"scaled_dot_product_attention-{name}", ours, inputs, torch_function=theirs, **settings)


def attend(name, *inputs, **arguments):
    return case(name, lambda m, f, q, k, v: f.scaled_dot_product_attention(q, k, v, **arguments), *inputs)


def blocked(m, f, q, k, v):
    return f.scaled_dot_product_attention(q, k, v, m.tensor(BLOCKED, dtype=m.bool))


def added_constant(m, f, q, k, v):
    mask = m.tensor([[0.5, -1.0, 0.0, 2.0]] * 3, dtype=q.dtype).masked_fill(m.tensor(BLOCKED) == 0, -float("inf"))
    return f.scaled_dot_product_attention(q, k, v, mask)


SPECS = [
    attend("matrices", (3, 2), (4, 2), (4, 5)),
    attend("heads", (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3), scale=0.7),
    attend("causal", (2, 5, 3), (2, 4, 3), (2, 4, 3), is_causal=True),
    attend("causal-wide", (1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4), is_causal=True),
    attend("broadcast", (2, 1, 3, 4), (3, 4, 4), (1, 3, 4, 2)),
    attend("groups", (2, 4, 3, 2), (2, 2, 5, 2), (2, 2, 5, 3), enable_gqa=True),
    attend("groups-causal", (4, 3, 2), (1, 3, 2), (1, 3, 2), enable_gqa=True, is_causal=True),
    case("blocked", blocked, (2, 1, 3, 2), (2, 1, 4, 2), (2, 1, 4, 2)),
    case("added-constant", added_constant, (2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2)),
    case(
        "added",
        lambda m, f, q, k, v, a: f.scaled_dot_product_attention(q, k, v, a),
        *((2, 2, 3, 2), (2, 2, 4, 2), (2, 2, 4, 2), (2, 1, 1, 4)),
    ),
    case(
        "added-groups",
        lambda m, f, q, k, v, a: f.scaled_dot_product_attention(q, k, v, a, enable_gqa=True),
        *((1, 4, 3, 2), (1, 2, 4, 2), (1, 2, 4, 2), (4, 3, 4)),
    ),
]
