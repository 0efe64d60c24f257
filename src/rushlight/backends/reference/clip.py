"""Limiting gradients: the norm of a list of arrays as one vector, and scaling or clamping all of them in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import widen
from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.reduce import norm

Array = np.ndarray[Any, np.dtype[Any]]


@quiet
def total_norm(arrays: Sequence[Array], p: float) -> Array:
    """The vector norm of order `p` of all `arrays` together, zero-dim: the norm of their norms.

    Raises RuntimeError for orders without a value for an empty array.
    """
    return norm(np.stack([norm(a, p, tuple(range(a.ndim))) for a in arrays]), p, (0,))


@quiet
def scale_all(arrays: Sequence[Array], factor: Array) -> None:
    """Multiply every array by the zero-dim `factor`, in place. Half-precision numbers are rounded once."""
    for a in arrays:
        wide = widen(a)
        a[...] = wide * wide.dtype.type(factor)


@quiet
def clamp_all(arrays: Sequence[Array], low: float, high: float) -> None:
    """Limit every element of every array to [low, high], in place; NaN stays."""
    for a in arrays:
        a[...] = np.clip(widen(a), low, high)


KERNELS = {"total_norm": total_norm, "scale_all": scale_all, "clamp_all": clamp_all}
