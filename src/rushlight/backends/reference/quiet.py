"""Run a kernel with floating-point warnings off, as torch does, without touching the user's `np.seterr`.

`numpy.errstate` builds its state anew at every entry (about 0.5 µs). NumPy keeps that state in a context variable, so
the same state built once can be set and reset for a quarter of the price; where that variable is not to be had,
`numpy.errstate` itself serves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

try:
    from numpy._core import umath

    _CONTEXT: Any = umath._extobj_contextvar
    _SILENT: Any = umath._make_extobj(all="ignore")
except (ImportError, AttributeError, TypeError, ValueError):  # another NumPy: the public, slower way
    _CONTEXT = None

F = TypeVar("F", bound=Callable[..., Any])


def quiet(kernel: F) -> F:
    """Return `kernel` wrapped so that no floating-point event warns or raises inside it."""
    if _CONTEXT is None:

        @wraps(kernel)
        def run_errstate(*args: Any, **kwargs: Any) -> Any:
            with np.errstate(all="ignore"):
                return kernel(*args, **kwargs)

        return run_errstate  # type: ignore[return-value]

    setter, resetter = _CONTEXT.set, _CONTEXT.reset

    @wraps(kernel)
    def run(*args: Any, **kwargs: Any) -> Any:
        token = setter(_SILENT)
        try:
            return kernel(*args, **kwargs)
        finally:
            resetter(token)

    return run  # type: ignore[return-value]
