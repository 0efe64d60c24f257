"""Losses that compare inputs with each other: rankings, embeddings, triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.nn.functional._reduction import reduced, resolved
from rushlight.ops.distance import pairwise_distance

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """`input` where `target` is 1, `max(0, margin - input)` where it is -1, both elsewhere; reduced."""
    how = resolved(reduction, size_average, reduce)
    apart = (margin - input).clamp_min(0).masked_fill(target == 1, 0)
    together = input.masked_fill(target == -1, 0)
    return reduced(apart + together, how)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """`max(0, -target * (input1 - input2) + margin)`, reduced: target 1 wants `input1` larger, -1 `input2`."""
    how = resolved(reduction, size_average, reduce)
    if not len(input1._shape) == len(input2._shape) == len(target._shape):
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {input1.shape}, input2: "
            f"{input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), how)


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """`1 - cos` where `target` is 1 and `max(0, cos - margin)` where it is -1, for the rows of [N, D] (or [D]); reduced."""
    how = resolved(reduction, size_average, reduce)
    if (
        len(target._shape) > 1
        or len(target._shape) + 1 != len(input1._shape)
        or len(input1._shape) != len(input2._shape)
    ):
        raise RuntimeError(
            f"{len(target._shape)}D target tensor expects {len(target._shape) + 1}D input tensors, but found inputs with sizes "
            f"{list(input1._shape)} and {list(input2._shape)}."
        )
    dim, eps = len(target._shape), 1e-12
    products = (input1 * input2).sum(dim)
    squares = ((input1 * input1).sum(dim) + eps) * ((input2 * input2).sum(dim) + eps)
    cosine = products / squares.sqrt()
    together = (1 - cosine).masked_fill(target != 1, 0)
    apart = (cosine - margin).clamp_min(0).masked_fill(target != -1, 0)
    return reduced(together + apart, how)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """`max(0, distance(anchor, positive) - distance(anchor, negative) + margin)` over rows, reduced.

    swap: use the distance of `positive` and `negative` where it is the smaller one.
    """
    how = resolved(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    ranks = len(anchor._shape), len(positive._shape), len(negative._shape)
    if len(set(ranks)) != 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs"
        )
    return _triplet(anchor, positive, negative, lambda a, b: pairwise_distance(a, b, p, eps), margin, swap, how)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """`triplet_margin_loss` with a distance of your own, `distance_function(x, y)`; `pairwise_distance` by default."""
    how = resolved(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    ranks = len(anchor._shape), len(positive._shape), len(negative._shape)
    if len(set(ranks)) != 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{ranks[0]}D, positive {ranks[1]}D, and negative {ranks[2]}D inputs"
        )
    return _triplet(anchor, positive, negative, distance_function or pairwise_distance, margin, swap, how)


def _triplet(
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)
