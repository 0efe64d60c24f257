"""One measured piece of work. `torch` in the signatures is whichever library is measured: torch or rushlight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[], Any]
Make = Callable[[Any], Step]


@dataclass(frozen=True)
class Case:
    """Work that a library can be asked to repeat.

    name      family/what/size/direction; globs select by it
    make      builds inputs with a library and returns the step that is timed
    repeats   how often one step does the work: times are divided by it
    bytes     what one step must at least read and write; 0 where the case is not bound by memory
    variants  further ways to set the same work up that only torch is asked for: fused optimizers, channels_last
    values    (torch, dtype, seed) -> [output, gradient...] of the same work on inputs drawn from the seed, computed in
              that dtype; None where results in two dtypes cannot be compared
    draws     how many seeds the accuracy is taken from, as a root mean square
    """

    name: str
    make: Make
    repeats: int = 1
    bytes: int = 0
    variants: Mapping[str, Make] = field(default_factory=dict)
    values: Callable[[Any, Any, int], list[Any]] | None = None
    draws: int = 1
