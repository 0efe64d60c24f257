"""The options of classes that mypyc compiles. This file is never compiled itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:
    C = TypeVar("C", bound=type)

    def mypyc_attr(**options: Any) -> Callable[[C], C]:
        """Options of a compiled class. Only the compiler reads them, so nothing need be installed to run this."""
        return _same

    def _same(cls: C) -> C:
        return cls
