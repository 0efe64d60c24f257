"""Distances, similarities and unit vectors."""

from __future__ import annotations

from typing import Any

from rushlight.ops.common import write_out
from rushlight.ops.distance import cosine_similarity, pairwise_distance, pdist

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """`input` divided by its p-norm along `dim`; norms below `eps` count as `eps`.

    >>> normalize(tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    found = input / input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return found if out is None else write_out(out, found, "normalize")
