"""The reference backend: NumPy kernels, readable and complete, the definition of what every kernel computes.

`reference` is the table of all kernels: `reference.mul(a, b)`. The contract is in each family's module: arrays in,
arrays out, parameters already normalised by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rushlight.backends.reference import (
    activation,
    arrange,
    attention,
    bessel,
    bitwise,
    cast,
    clip,
    compare,
    conv,
    creation,
    elementwise,
    embedding,
    index,
    interpolate,
    linalg,
    matmul,
    memory,
    norm,
    optim,
    pad,
    piecewise,
    pool,
    products,
    random,
    random_integers,
    recurrent,
    reduce,
    scan,
    softmax,
    sort,
    special,
    special_more,
    statistics,
    ternary,
    view,
)

FAMILIES: tuple[ModuleType, ...] = (
    activation,
    arrange,
    attention,
    bessel,
    bitwise,
    cast,
    clip,
    compare,
    conv,
    creation,
    elementwise,
    embedding,
    index,
    interpolate,
    linalg,
    matmul,
    memory,
    norm,
    optim,
    pad,
    piecewise,
    products,
    pool,
    random,
    random_integers,
    recurrent,
    reduce,
    scan,
    softmax,
    sort,
    special,
    special_more,
    statistics,
    ternary,
    view,
)


class Kernels:
    """A table of kernels with one attribute for each."""

    # Whether its kernels accept arrays in a layout of the backend's own (backends/hidden.py).
    takes_hidden = False

    def __init__(self, families: tuple[ModuleType, ...]) -> None:
        table: dict[str, Callable[..., Any]] = {}
        for family in families:
            for name, kernel in family.KERNELS.items():
                if name in table:
                    first = table[name].__module__
                    raise RuntimeError(f"kernel '{name}' of {family.__name__} is defined twice, first in {first}")
                table[name] = kernel
        self.__dict__.update(table)

    if TYPE_CHECKING:  # a class without this method has its attributes found faster

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__

    def names(self) -> list[str]:
        """The names of all kernels."""
        return [name for name in self.__dict__ if not name.startswith("_")]


reference = Kernels(FAMILIES)
