"""A pytest plugin that hides every result of three or more dimensions, channels innermost, to see who can tell.

    RUSHLIGHT_ENGINE=python PYTHONPATH=src:tests python -m pytest -p hide_everything tests/ops tests/nn tests/parity

Every test must pass as it does without; needs native kernels (NumPy's keep no layouts) and the engine as Python.
"""

from __future__ import annotations

import numpy as np

import rushlight.core.inplace as inplace
import rushlight.core.primitive as primitive
from rushlight.backends.hidden import HiddenArray

_wrap, _compute_view = primitive.wrap, primitive.compute_view


def hidden(array):
    """The same values with dimension 1 innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def wrap_hiding(array, where):
    if type(array) is np.ndarray and array.ndim >= 3 and array.flags.c_contiguous and where.type != "meta":
        other = hidden(array)
        if not other.flags.c_contiguous:
            return primitive.wrap_hidden(HiddenArray(other), where)
    return _wrap(array, where)


def compute_view_openly(op, a):
    """Views share memory with their base: nothing is hidden while one is made."""
    primitive.wrap = _wrap
    try:
        return _compute_view(op, a)
    finally:
        primitive.wrap = wrap_hiding


primitive.wrap = wrap_hiding
primitive.compute_view = inplace.compute_view = compute_view_openly
