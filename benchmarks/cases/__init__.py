"""All cases, by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmarks.case import Case
from benchmarks.cases import (
    convolution,
    elementwise,
    indexing,
    matmul,
    normalization,
    overhead,
    pooling,
    reduction,
    sampling,
    training,
)

FAMILIES = (
    overhead, elementwise, reduction, matmul, normalization, convolution, pooling, indexing, sampling, training,
)  # fmt: skip

ALL: tuple[Case, ...] = tuple(case for family in FAMILIES for case in family.CASES)
CASES: dict[str, Case] = {case.name: case for case in ALL}


def select(globs: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that any of the globs matches, in their own order; a glob also matches everything below it.

    Raises ValueError naming a glob that matches nothing.
    """
    chosen: set[str] = set()
    for glob in globs:
        found = {name for name in names if fnmatchcase(name, glob) or fnmatchcase(name, f"{glob.rstrip('/')}/*")}
        if not found:
            raise ValueError(f"no case matches {glob!r}; `--list` prints the names")
        chosen |= found
    return [name for name in names if name in chosen]
