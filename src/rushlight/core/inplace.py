"""In-place writes: version counters, the checks torch makes, and the history of views and their bases.

`x.mul_(2)` is the operation `mul` whose result is written over `x`. When `x` is a view, its base's history becomes
`CopySlices(base's old history, the operation)`, and the view's own history is taken anew from the base: the same for
every other view of that base the next time its history is looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from rushlight.backends.registry import kernels_for
from rushlight.base.dtypes import FLOATING, FROM_NUMPY, can_cast
from rushlight.core.modes import STATE, Override, local
from rushlight.core.node import Edge, Meta, Node
from rushlight.core.primitive import (
    PLAIN,
    Primitive,
    apply_view,
    common_device,
    input_array,
    overridden,
    promoted,
    wants_grad,
)
from rushlight.core.table import fill
from rushlight.core.tensor import alias_array

_PACKAGE: Final = str(Path(__file__).parent.parent)


def apply_inplace(op: Primitive, target: Any, others: tuple[Any, ...] = ()) -> Any:
    """Write `op(target, *others)` over `target`, record it, and return `target`."""
    tensors = (target, *others)
    if STATE.busy or any(type(t) not in PLAIN for t in tensors):
        if not local.plain or any(type(t) not in PLAIN for t in tensors):
            handled, found = overridden(op, tensors)
            if handled:
                return found
    record = local.grad and not local.inference and op.differentiable and any(wants_grad(t) for t in tensors)
    check_writable(target, op.name + "_", record)
    where = common_device(op, tensors)
    if where is not target._device:
        raise RuntimeError(
            f"{op.name}_(): the result would live on {where}, but it is written into a tensor on {target._device}"
        )
    k = where.kernels or kernels_for(where)
    memory = alias_array(target)
    arrays = [memory, *[t._array if t._array is not None else input_array(op, t) for t in others]]
    if op.promotion:
        arrays = promoted(op, k, tensors, arrays)
    node = None
    if record and target._dtype.category >= FLOATING:
        node, before = _start_node(op, tensors)
    result = op.forward_into(k, memory, *arrays) if arrays[0] is memory else op.forward(k, *arrays)
    if result is not memory:
        store(op.name + "_", k, target, result)
    wrote(target)
    if node is not None:
        _finish_node(op, node, tuple(before if t is target else t for t in tensors), target)
    for listener in local.listeners:
        listener(op, tensors, target)
    return target


def store(operation: str, k: Any, target: Any, result: Any) -> None:
    """Copy the array `result` into the memory of `target`, cast as torch casts an in-place result."""
    memory = alias_array(target)
    if result.shape != memory.shape:
        raise RuntimeError(
            f"{operation}(): output with shape {list(memory.shape)} doesn't match the broadcast shape "
            f"{list(result.shape)}; an in-place operation can't grow its tensor, use the out-of-place form"
        )
    if result.dtype != memory.dtype:
        from_ = FROM_NUMPY[result.dtype]
        if not can_cast(from_, target._dtype):
            raise RuntimeError(
                f"{operation}(): result type {from_!r} can't be cast to the desired output type {target._dtype!r}; "
                "use the out-of-place form, or convert the tensor first"
            )
        result = k.cast(result, memory.dtype)
    k.copy_into(memory, result)


def wrote(target: Any) -> None:
    """Count an in-place write and remember where the user made it."""
    storage = target._storage
    storage.version += 1
    storage.origin = caller()


def apply_update(op: Primitive, tensors: tuple[Any, ...], written: tuple[int, ...]) -> None:
    """Run an operation that only writes into some of its inputs (optimizer steps, running statistics); never recorded."""
    for i in written:
        check_writable(tensors[i], op.name, False)
    where = common_device(op, tensors)
    arrays = [alias_array(t) if i in written else input_array(op, t) for i, t in enumerate(tensors)]
    op.forward(where.kernels or kernels_for(where), *arrays)
    for i in written:
        wrote(tensors[i])
    for listener in local.listeners:
        listener(op, tensors, None)


def check_writable(target: Any, operation: str, record: bool) -> None:
    """The errors torch raises before an in-place write."""
    view = target._view
    if record or (local.grad and target._requires_grad):
        if target._requires_grad and target.grad_fn is None:
            raise RuntimeError(
                f"{operation}: a leaf Variable that requires grad is being used in an in-place operation. Wrap the "
                "change in `with torch.no_grad():`, or write it out of place: y = x + ..."
            )
        if view is not None and view.base is not None:
            _check_view(view, operation)
        elif view is not None and not local.inference:
            raise RuntimeError(
                f"{operation}: Inplace update to inference tensor outside InferenceMode is not allowed. You can "
                "make a clone to get a normal tensor before doing the in-place update."
            )
    array = target._array
    if (
        array is not None
        and 0 in array.strides
        and target._device.type != "meta"
        and any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape, strict=True))
    ):
        raise RuntimeError(
            f"{operation}: unsupported operation: more than one element of the written-to tensor refers to a single "
            "memory location. Please clone() the tensor before performing the operation."
        )


def _check_view(view: Any, operation: str) -> None:
    base = view.base
    if base._requires_grad and base.grad_fn is None:
        raise RuntimeError(
            f"{operation}: a view of a leaf Variable that requires grad is being used in an in-place operation. Wrap "
            "the change in `with torch.no_grad():`, or clone() the leaf first."
        )
    if view.made_in == "multi":
        raise RuntimeError(
            f"{operation}: Output of a function that returns multiple views is a view and is being modified inplace. "
            "Such functions do not allow their output views to be modified inplace: use x[i] for each, or clone() it."
        )
    if view.made_in == "no_grad":
        raise RuntimeError(
            f"{operation}: a view was created in no_grad mode and is being modified inplace with grad mode enabled. "
            "Create the view outside no_grad, or do both inside."
        )


def _start_node(op: Primitive, tensors: tuple[Any, ...]) -> tuple[Node, Any]:
    """The node with the inputs' edges, and a stand-in for the target as it was, both taken before the write."""
    target = tensors[0]
    cls = op.node_class
    node = cls.__new__(cls)
    node.start(
        op,
        tuple([t.edge() if t._requires_grad else None for t in tensors]),
        tuple([t._requires_grad for t in tensors]),
        (Meta(target._shape, target._dtype, target._device),),
    )
    before = target.with_history(*(target.edge() if target._requires_grad else (None, 0)))
    return node, before


def _finish_node(op: Primitive, node: Node, inputs: tuple[Any, ...], target: Any) -> None:
    """Keep what the operation saves and make the node the history of the target, or of its base."""
    saved = op.save(inputs, target, node.needs)
    if saved:
        node.keep(saved, (target,))
        # The target as an input is gone: at its old version, using it is the error it should be.
        node.versions = tuple(
            [
                version - 1 if value is inputs[0] and version >= 0 else version
                for value, version in zip(node.saved, node.versions, strict=True)
            ]
        )
    adopt_history(target, node, 0)


def adopt_history(target: Any, node: Node, output_nr: int) -> None:
    """Make output `output_nr` of `node`, which wrote over `target`, its history; for a view, that of its base too."""
    view = target._view
    if view is None or view.base is None:
        _set_history(target, node, output_nr)
    else:
        _rebase(view.base, view.ops, (node, output_nr))
        refresh_view(target)


def _set_history(target: Any, node: Node, output_nr: int = 0) -> None:
    old = target._grad_fn
    if old is not None and old.retained and target._meta is not None and target._meta.retains_grad:
        node.retained = {output_nr: old.retained.pop(target._output_nr)}
    target._grad_fn = node
    target._output_nr = output_nr
    target._requires_grad = True


class ViewScatter(Primitive):
    """The base with the part that `ops` views replaced: its derivative splits the cotangent the same way."""

    __slots__ = ("ops",)
    name = "view_scatter"
    node_name = "CopySlices"

    def __init__(self, ops: tuple[Primitive, ...]) -> None:
        self.ops = ops

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        if not needs[0]:
            return None, self._part(g)
        rest = g.clone()
        self._part(rest).zero_()
        return rest, self._part(g)

    def _part(self, t: Any) -> Any:
        for op in self.ops:
            t = apply_view(op, t)
        return t


def _rebase(base: Any, ops: tuple[Primitive, ...], edge: Edge) -> None:
    """Make the output `edge`, which wrote the view `ops` of `base`, part of the base's history."""
    scatter = ViewScatter(ops)
    slices = scatter.node_class.__new__(scatter.node_class)
    slices.start(
        scatter,
        (base.edge() if base._requires_grad else None, edge),
        (base._requires_grad, True),
        (Meta(base._shape, base._dtype, base._device),),
    )
    _set_history(base, slices)


def refresh_view(t: Any) -> None:
    """Take the history of a view anew from its base, which was written in place since."""
    view = t._view
    view.version = t._storage.version
    base = view.base
    if base is None or view.made_in != "grad" or not base._requires_grad:
        return
    with Override(grad=True):
        again = base
        for op in view.ops:
            again = apply_view(op, again)
    t._grad_fn = again._grad_fn
    t._output_nr = again._output_nr
    t._requires_grad = True


def caller() -> tuple[str, int] | None:
    """File and line of the nearest frame outside this package."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back  # type: ignore[assignment]
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


fill(refresh_view=refresh_view)
