"""What hangs on a tensor: storage (memory and version counter, shared with its views), a view's recipe, the gradient.

Views, in-place writes and version counters live here and in `inplace.py`, never in operations or backends, so that a
backend whose arrays can't alias can serve them by write-back.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.backends.hidden import HiddenArray
from rushlight.core.hooks import HookDict

if TYPE_CHECKING:
    from rushlight.core.node import Node

Array = np.ndarray[Any, Any]


class Storage:
    """The memory behind a tensor, its views and its detached aliases.

    Never `mypyc_attr(acyclic=True)`: mypyc frees classes without a collector's header through CPython's trashcan too, which
    then writes before their memory when they are let go deep inside other objects.

    version: how often the memory was written in place; saved values compare it.
    hidden: the value in a layout of the backend's own, or None once (or always) in the default one. A hidden
        storage has one array and no aliases; `relay` ends that for good.
    relaid: the default array that `relay` made, for tensors whose own array slot is still empty.
    saved: whether a node ever kept a tensor of this storage: only then will anybody ask who wrote to it.
    origin: where the last in-place write since came from.
    """

    __slots__ = ("version", "hidden", "relaid", "saved", "origin", "resizable")

    def __init__(self) -> None:
        self.version = 0
        self.hidden: HiddenArray | None = None
        self.relaid: Array | None = None
        self.saved = False
        self.origin: Any = None
        self.resizable = True

    def relay(self) -> Array:
        """Give up the hidden layout: from now on the value lives in the default format."""
        hidden = self.hidden
        if hidden is not None:
            made = hidden.default()  # other threads run meanwhile and may do the same: the first one counts
            if self.relaid is None:
                self.relaid = made
                self.hidden = None
        assert self.relaid is not None
        return self.relaid


class View:
    """How a view came from its base: replaying `ops` on the base gives the view again.

    made_in: "grad", "no_grad", "inference" or "multi" (one of several views an operation returned): in-place writes
        through views that could not carry history properly are refused, as in torch.
    version: the storage's version for which the view's `_grad_fn` is right.
    """

    __slots__ = ("base", "ops", "made_in", "version")

    def __init__(self, base: Any, ops: tuple[Any, ...], made_in: str, version: int) -> None:
        self.base = base
        self.ops = ops
        self.made_in = made_in
        self.version = version


class AutogradMeta:
    """What only some tensors have: a gradient, hooks, a name."""

    __slots__ = ("grad", "accumulator", "hooks", "post_hooks", "retains_grad", "name", "reshaped")

    def __init__(self) -> None:
        self.grad: Any = None
        self.accumulator: weakref.ref[Node] | None = None
        self.hooks: HookDict | None = None
        self.post_hooks: HookDict | None = None
        self.retains_grad = False
        self.name: str | None = None
        self.reshaped = 0  # the version at which the tensor took another shape in place: recipes of older views are void
