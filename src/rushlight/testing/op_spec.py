"""`Spec`: one line about an operation, from which its tests are generated (tests/test_op_specs.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Spec:
    """How to call a differentiable function on random float64 inputs.

    name: unique, the public name plus what distinguishes the case ("sum-dim-keepdim").
    function: called with one tensor per entry of `inputs`; returns a tensor or a tuple of them (integer outputs are ignored).
    inputs: per argument a shape, drawn uniformly from `domain`, or a function of the random generator giving the array.
    domain: open interval in which the function is smooth; keep away from kinks and poles.
    order: up to which order gradients are checked (2: the derivative's derivative too).
    torch_function: the same function for an installed torch, called with torch tensors; the forward and the gradients
        are compared. None: `function` is looked up under `name` up to the first "-" in torch, with `args`/`kwargs`.
    args, kwargs: further arguments passed after the tensors, to both.
    complex: also check with complex128 inputs.
    tolerance: relative tolerance of the central-difference comparison.
    """

    name: str
    function: Callable[..., Any]
    inputs: Sequence[tuple[int, ...] | Draw]
    domain: tuple[float, float] = (-2.0, 2.0)
    order: int = 2
    torch_function: Callable[..., Any] | str | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    complex: bool = False
    tolerance: float = 1e-5

    def draw(self, rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
        """Random inputs for one test."""
        low, high = self.domain
        return [np.asarray(entry(rng)) if callable(entry) else rng.uniform(low, high, entry) for entry in self.inputs]
