"""Softmax, losses, normalisation and attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.cases.operation import SQUARE, Inputs, Operation, all_cases, shaped

IMAGES = {"small": (2, 2, 1, 1), "medium": (4, 16, 16, 16), "large": (64, 64, 64, 64)}
ROWS = {"small": (1, 2), "medium": (128, 128), "large": (16384, 1024)}
# (batch, heads, sequence, width)
HEADS = {"small": (1, 1, 2, 2), "medium": (1, 4, 128, 32), "large": (4, 8, 1024, 64)}
ATTENTION = {size: [shape] * 3 for size, shape in HEADS.items()}


def one(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return (inputs.normal(*SQUARE[size]),)


def labelled(inputs: Inputs, size: str) -> tuple[Any, ...]:
    rows, classes = SQUARE[size]
    return inputs.normal(rows, classes), inputs.integers(classes, rows)


def paired(inputs: Inputs, size: str) -> tuple[Any, ...]:
    return inputs.normal(*SQUARE[size]), inputs.positive(*SQUARE[size], grad=False)


def affine(shapes: Mapping[str, tuple[int, ...]], features: int) -> Callable[[Inputs, str], tuple[Any, ...]]:
    """A tensor, and a weight and a bias as long as its dimension `features`."""

    def inputs_of(inputs: Inputs, size: str) -> tuple[Any, ...]:
        shape = shapes[size]
        return inputs.normal(*shape), inputs.positive(shape[features]), inputs.normal(shape[features])

    return inputs_of


def with_statistics(inputs: Inputs, size: str) -> tuple[Any, ...]:
    x, weight, bias = affine(IMAGES, 1)(inputs, size)
    channels = IMAGES[size][1]
    return x, inputs.normal(channels, grad=False), inputs.positive(channels, grad=False), weight, bias


def layer_norm(torch: Any) -> Callable[..., Any]:
    function = torch.nn.functional.layer_norm
    return lambda x, weight, bias: function(x, weight.shape, weight, bias)


def group_norm(torch: Any) -> Callable[..., Any]:
    function = torch.nn.functional.group_norm
    return lambda x, weight, bias: function(x, 2, weight, bias)


def batch_norm(torch: Any, training: bool) -> Callable[..., Any]:
    return partial(torch.nn.functional.batch_norm, training=training)


def functional(name: str, **keywords: Any) -> Callable[[Any], Callable[..., Any]]:
    return lambda torch: partial(getattr(torch.nn.functional, name), **keywords)


OPERATIONS = (
    Operation("softmax", functional("softmax", dim=-1), one),
    Operation("softmax_dim0", functional("softmax", dim=0), one),
    Operation("log_softmax", functional("log_softmax", dim=-1), one),
    Operation("cross_entropy", functional("cross_entropy"), labelled),
    Operation("nll_loss", functional("nll_loss"), labelled),
    Operation("mse_loss", functional("mse_loss"), paired),
    Operation("binary_cross_entropy_with_logits", functional("binary_cross_entropy_with_logits"), paired),
    Operation("layer_norm", layer_norm, affine(ROWS, 1)),
    Operation("group_norm", group_norm, affine(IMAGES, 1), channels_last=True),
    Operation("batch_norm_train", partial(batch_norm, training=True), with_statistics, channels_last=True),
    Operation("batch_norm_eval", partial(batch_norm, training=False), with_statistics, channels_last=True),
    Operation("attention", functional("scaled_dot_product_attention"), shaped(ATTENTION)),
    Operation("attention_causal", functional("scaled_dot_product_attention", is_causal=True), shaped(ATTENTION)),
)

CASES = all_cases(OPERATIONS)
