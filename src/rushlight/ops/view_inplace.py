"""Views taken in place: squeeze_, unsqueeze_, t_, transpose_, swapaxes_, swapdims_, as_strided_.

No element moves: the tensor becomes a view of what it was, on the same memory, and records that view.
"""

from __future__ import annotations

from typing import Any

from rushlight.core.inplace import check_writable, wrote
from rushlight.core.modes import local
from rushlight.core.primitive import wants_grad
from rushlight.core.tensor import alias_array
from rushlight.ops.common import methods
from rushlight.ops.strided import as_strided
from rushlight.ops.view import squeeze, t, transpose, unsqueeze

__all__: list[str] = []


def _become(self: Any, name: str, take: Any) -> Any:
    """Let `self` be the view that `take` makes of it."""
    record = local.grad and not local.inference and wants_grad(self)
    check_writable(self, name, record)
    before = self.with_history(*(self.edge() if record else (None, 0)))
    before._view = self._view
    found = take(before)
    self._array = alias_array(found)
    self._shape = found._shape
    wrote(self)
    if self._view is not None and found._view is not None:
        self._view = found._view
        self._view.version = self._storage.version
    if record:
        self._grad_fn, self._output_nr, self._requires_grad = found._grad_fn, found._output_nr, True
    return self


def squeeze_(self: Any, dim: Any = None) -> Any:
    """`squeeze` in place."""
    return _become(self, "squeeze_", lambda x: squeeze(x, dim))


def unsqueeze_(self: Any, dim: int) -> Any:
    """`unsqueeze` in place."""
    return _become(self, "unsqueeze_", lambda x: unsqueeze(x, dim))


def t_(self: Any) -> Any:
    """`t` in place."""
    return _become(self, "t_", t)


def transpose_(self: Any, dim0: int, dim1: int) -> Any:
    """`transpose` in place."""
    return _become(self, "transpose_", lambda x: transpose(x, dim0, dim1))


def swapaxes_(self: Any, axis0: int, axis1: int) -> Any:
    """`swapaxes` in place."""
    return _become(self, "swapaxes_", lambda x: transpose(x, axis0, axis1))


def swapdims_(self: Any, dim0: int, dim1: int) -> Any:
    """`swapdims` in place."""
    return _become(self, "swapdims_", lambda x: transpose(x, dim0, dim1))


def as_strided_(self: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """`as_strided` in place."""
    return _become(self, "as_strided_", lambda x: as_strided(x, size, stride, storage_offset))


methods(squeeze_, unsqueeze_, t_, transpose_, swapaxes_, swapdims_, as_strided_)
