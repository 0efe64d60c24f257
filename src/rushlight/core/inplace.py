"""In-place writes: version counters, the checks torch makes, and the history of views and their bases.

`x.mul_(2)` is the operation `mul` whose result is written over `x`. When `x` is a view, its base's history becomes
`CopySlices(base's old history, the operation)`, and the view's own history is taken anew from the base: the same for
every other view of that base the next time its history is looked at.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any, Final, cast

from rushlight.backends.registry import kernels_for
from rushlight.base.compiled import mypyc_attr
from rushlight.base.dtypes import FLOATING, FROM_NUMPY, can_cast
from rushlight.base.warn import INSIDE
from rushlight.core.kind import Kind
from rushlight.core.modes import IDLE, SLOW, STATE, Override, local
from rushlight.core.node import Edge, Meta, Node, edge_of, edges_of, extras_of, node_class
from rushlight.core.primitive import (
    COMMON,
    PLAIN,
    Primitive,
    common_device,
    compute_view,
    input_array,
    overridden,
    promoted,
    start_node,
    wants_grad,
)
from rushlight.core.storage import View
from rushlight.core.table import fill
from rushlight.core.tensor import PUBLIC, TensorBase, alias_array, wrap


def apply_inplace(op: Primitive, target: TensorBase, others: tuple[TensorBase, ...] = ()) -> Any:
    """Write `op(target, *others)` over `target`, record it, and return `target`."""
    tensors = (target, *others)
    recording = True
    if STATE.busy:
        way = local.modes.way
        if way == SLOW:
            handled, found = overridden(op, tensors, inplace=True)
            if handled:
                return found
        recording = local.modes.grad and not local.modes.inference
    wanted = False
    for t in tensors:
        if type(t) not in PLAIN:
            handled, found = overridden(op, tensors, inplace=True)
            if handled:
                return found
        wanted = wanted or t.requires_grad
    record = recording and wanted
    check_writable(target, op.name, record, op.reads_target, "_")
    where = common_device(op, tensors)
    if where is not target._device:
        raise RuntimeError(
            f"{op.name}_(): the result would live on {where}, but it is written into a tensor on {target._device}"
        )
    k = where.kernels or kernels_for(where)
    kind: Kind = op.kind
    started: tuple[Node, tuple[TensorBase, ...]] | None = None
    if record and kind.differentiable and target._dtype.category >= FLOATING:
        started = _start_node(op, k, tensors)  # before the arrays are looked up: it may relay a hidden layout
    memory: Any = target._array if target._array is not None else writable_array(op, target, k)
    arrays: list[Any] = [memory]
    for t in others:
        arrays.append(t._array if t._array is not None else input_array(op, t))
    if kind.promotion:
        arrays = promoted(op, k, tensors, arrays)
    result = op.forward_into(k, memory, *arrays) if arrays[0] is memory else op.forward(k, *arrays)
    if result is not memory:
        store(op.name + "_", k, target, result)
    if started is not None:
        for t in others:
            if t._storage is target._storage:
                t._storage.saved = True  # the node may keep what was just overwritten
    wrote(target)
    if started is not None:
        _finish_node(started[0], started[1], target)
    if STATE.busy:
        for listener in local.modes.listeners:
            listener(op, tensors, target)
    return target


def apply_inplace2(op: Primitive, target: TensorBase, other: TensorBase) -> Any:
    """`apply_inplace` of a binary elementwise operation; short where nothing is recorded and nothing converted."""
    recording = True
    if STATE.busy:
        way = local.modes.way
        if way == SLOW:
            return apply_inplace(op, target, (other,))
        recording = way == IDLE
    memory, b = target._array, other._array
    plain = (type(target) is PUBLIC.cls or type(target) in PLAIN) and (type(other) is PUBLIC.cls or type(other) in PLAIN)
    alike = target._device is other._device and target._dtype is other._dtype and (target._shape == other._shape or not other._shape)
    if not plain or not alike or memory is None or b is None or target._view is not None:
        return apply_inplace(op, target, (other,))
    kind: Kind = op.kind
    if (recording and (target._requires_grad or wants_grad(other))) or (kind.promotion != COMMON and target._dtype.category < FLOATING):
        return apply_inplace(op, target, (other,))
    if 0 in memory.strides:
        check_writable(target, op.name, False, op.reads_target, "_")
    where = target._device
    k = where.kernels or kernels_for(where)
    result = op.write(k, memory, b)
    if result is not memory:
        store(op.name + "_", k, target, result)
    wrote(target)
    return target


def writable_array(op: Primitive, target: TensorBase, k: Any) -> Any:
    """What `op` may write over: the hidden array itself where the operation keeps layouts, else the default format."""
    hidden = target._storage.hidden
    return hidden if hidden is not None and op.keeps_layout and k.takes_hidden else alias_array(target)


def apply_view_inplace(op: Primitive, target: TensorBase) -> Any:
    """Make `target` its own view `op(target)` (`x.unsqueeze_(0)`), record it, and return `target`.

    Nothing is written, but as in torch it counts as a write: a value saved in the old shape is gone.
    """
    if (STATE.busy and local.modes.way == SLOW) or type(target) not in PLAIN:
        handled, found = overridden(op, (target,), inplace=True)
        if handled:
            return found
    record = local.modes.grad and not local.modes.inference and target.requires_grad
    check_writable(target, op.name, record, False, "_")
    before: TensorBase = target.with_history(target.grad_fn, target._output_nr)
    before._view = target._view
    after: TensorBase = compute_view(op, before)
    target._array, target._shape = after._array, after._shape
    wrote(target)
    if target._view is not None and target._view.base is not None:
        target._view = view = cast(View, after._view)
        view.version = target._storage.version
    else:
        target.autograd_meta().reshaped = target._storage.version
    if record and target._dtype.category >= FLOATING:
        _set_history(target, cast(Node, after._grad_fn), 0)
    for listener in local.modes.listeners:
        listener(op, (target,), target)
    return target


def store(operation: str, k: Any, target: TensorBase, result: Any) -> None:
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


def wrote(target: TensorBase) -> None:
    """Count an in-place write and remember where the user made it."""
    storage = target._storage
    storage.version += 1
    if storage.saved:
        storage.origin = caller()


def apply_update(op: Primitive, tensors: tuple[TensorBase, ...], written: int) -> None:
    """Run an operation that only writes, into the first `written` inputs (optimizer steps, statistics); never recorded."""
    targets = tensors[:written]
    for t in targets:
        check_writable(t, op.name, False)
    where = common_device(op, tensors)
    arrays: list[Any] = [
        *[alias_array(t) for t in targets],
        *[t._array if t._array is not None else input_array(op, t) for t in tensors[written:]],
    ]
    op.forward(where.kernels or kernels_for(where), *arrays)
    origin: tuple[CodeType, int] | None = None
    for t in targets:
        storage = t._storage
        storage.version += 1
        if storage.saved:
            if origin is None:
                origin = caller()  # one walk up the stack for all the parameters of a step
            storage.origin = origin
    if STATE.busy:
        for listener in local.modes.listeners:
            listener(op, tensors, None)


def check_writable(target: TensorBase, operation: str, record: bool, exclusive: bool = True, suffix: str = "") -> None:
    """The errors torch raises before an in-place write; they begin with `operation` and `suffix`.

    record: it will be part of the history. exclusive: elements must not share memory (one value everywhere may be written).
    """
    view = target._view
    if view is not None and view.base is None and not local.modes.inference:
        raise RuntimeError(
            f"{operation}{suffix}: Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone "
            "to get a normal tensor before doing the in-place update."
        )
    if record and view is not None and view.base is not None:
        if view.made_in != "grad":
            raise RuntimeError(f"{operation}{suffix}: {view_message(target, 'is being')}")
        if target.requires_grad and view.base.grad_fn is None:
            raise RuntimeError(
                f"{operation}{suffix}: a view of a leaf Variable that requires grad is being used in an in-place operation. Wrap "
                "the change in `with torch.no_grad():`, or clone() the leaf first."
            )
    elif record and target._requires_grad and target._grad_fn is None:
        raise RuntimeError(
            f"{operation}{suffix}: a leaf Variable that requires grad is being used in an in-place operation. Wrap the "
            "change in `with torch.no_grad():`, or write it out of place: y = x + ..."
        )
    array = target._array
    if (
        exclusive
        and array is not None
        and 0 in array.strides
        and array.size
        and target._device.type != "meta"
        and any(stride == 0 and size > 1 for stride, size in zip(array.strides, array.shape, strict=True))
    ):
        raise RuntimeError(
            f"{operation}{suffix}: unsupported operation: more than one element of the written-to tensor refers to a single "
            "memory location. Please clone() the tensor before performing the operation."
        )


# Why views that were made in these ways can't carry the history of an in-place write, and what to do.
_WHY: Final = {
    "multi": "This view is the output of a function that returns multiple views. Such functions do not allow the output views "
    "to be modified inplace: take each part with x[i] or narrow(), or use an out-of-place operation.",
    "function": "This view was created inside a custom Function (or because an input was returned as-is), and the in-place "
    "write would bypass its backward. Return clone() of it from forward.",
}
_BOTH: Final = "Move the view and the write both into the block (not recorded), or both out of it (recorded)."


def view_message(t: Any, what: str) -> str:
    """Why the view `t` can't be written, or be used after its base was written; `what` says which of the two."""
    made_in = t._view.made_in
    if made_in in _WHY:
        node = t._grad_fn
        which = "A view" if node is None else f"Output {t._output_nr} of {node.name().partition('Backward')[0]} is a view and"
        return f"{which} {what} modified inplace. {_WHY[made_in]}"
    mode, outside = ("no_grad", "with grad mode enabled") if made_in == "no_grad" else ("inference", "in normal mode")
    return f"A view was created in {mode} mode and {what} modified inplace {outside}, which is ambiguous. {_BOTH}"


def _start_node(op: Primitive, k: Any, tensors: tuple[TensorBase, ...]) -> tuple[Node, tuple[TensorBase, ...]]:
    """The node with the inputs' edges, and the inputs with the target as it is now: both taken before the write."""
    target = tensors[0]
    node = start_node(op, tensors)
    node.describe(target)
    edge = edge_of(target)
    history, nr = edge if edge is not None else (None, 0)
    before: TensorBase = target.with_history(history, nr)
    inputs = tuple([before if t is target else t for t in tensors])
    if any([value is before for value in cast(Primitive, node.op).save(inputs, target, node.needs)]):  # as torch: kept as a copy
        before = wrap(k.contiguous(alias_array(target)), target._device).with_history(history, nr)
        inputs = tuple([before if t is target else t for t in tensors])
    return node, inputs


def _finish_node(node: Node, inputs: tuple[TensorBase, ...], target: TensorBase) -> None:
    """Keep what the operation saves and make the node the history of the target, or of its base."""
    saved = cast(Primitive, node.op).save(inputs, target, node.needs)
    if saved:
        node.keep(saved, (target,))
        # Inputs that share the target's memory are gone: at their old version, using them is the error it should be.
        versions: list[int] = []
        for i, version in enumerate(node.versions):
            value = node.saved[i]
            shares = isinstance(value, TensorBase) and value._storage is target._storage
            versions.append(version - 1 if shares else version)
        node.versions = tuple(versions)
    adopt_history(target, node, 0, 0)


def adopt_history(target: TensorBase, node: Node, output_nr: int, place: int) -> None:
    """Make output `output_nr` of `node`, which wrote over its input number `place`, the history of that tensor.

    When it is a view, its base's history becomes the base with that part replaced, and the view is taken anew from it.
    """
    view = target._view
    if view is None or view.base is None:
        _set_history(target, node, output_nr)
        return
    base: TensorBase = view.base
    slices: CopySlices = cast(CopySlices, Node.__new__(_copy_slices_class))
    others = edges_of(node)[:place] + edges_of(node)[place + 1 :]
    needs = (base._requires_grad, *[edge is not None for edge in others])
    edges = (edge_of(base), *others)
    slices.start(None, edges, needs)
    slices.describe(base)
    slices.write, slices.place, slices.path = node, place, view.ops
    _set_history(base, slices, 0)
    refresh_view(target)
    slices.again = cast(Primitive, cast(Node, target._grad_fn).op)


def _set_history(target: TensorBase, node: Node, output_nr: int) -> None:
    old = target._grad_fn
    if old is not None and old.extras is not None and old.extras.retained and target._meta is not None and target._meta.retains_grad:
        extras_of(node).retained = {output_nr: old.extras.retained.pop(target._output_nr)}
    target._grad_fn = node
    target._output_nr = output_nr
    target._requires_grad = True


@mypyc_attr(allow_interpreted_subclasses=True)
class CopySlices(Node):
    """A base whose part was overwritten: holds the node of the write, whose edges but the one to the part it takes over.

    The base's cotangent is passed on with that part replaced by what the write's own derivative makes of it.
    """

    __slots__ = ("write", "place", "path", "again")
    write: Node
    place: int
    path: tuple[Primitive, ...]
    again: Primitive  # takes the written view anew

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        part = self._part(grads[0]).clone()
        if local.modes.grad:  # a result that the write saved is now a view of this node's output
            extras_of(self.write).stand_in = bare_node(self.again, ((self, 0),), self.write.meta(0))
        try:
            found = self.write.run((part,))
        finally:
            if local.modes.grad:
                extras_of(self.write).stand_in = None
        base: Any = None
        if self.edges[0] is not None:
            base = grads[0].clone()
            part, inner = self._part(base), found[self.place]
            if inner is None:
                part.zero_()
            else:
                part.copy_(inner.real if inner._dtype.is_complex and not part._dtype.is_complex else inner)
        return (base, *found[: self.place], *found[self.place + 1 :])

    def _part(self, t: Any) -> Any:
        for op in self.path:
            t = compute_view(op, t)
        return t

    def release(self) -> None:
        self.write.release()


_copy_slices_class: Final[Any] = node_class("CopySlices", CopySlices)


class ViewAgain(Primitive):
    """A view taken anew from its base: the derivatives of its recipe in reverse order, with what each of them saved."""

    __slots__ = ("steps",)
    name = "view_again"
    node_name = "AsStridedBackward0"

    def __init__(self, steps: tuple[tuple[Primitive, Any, Meta], ...]) -> None:
        self.steps = steps

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        for op, kept, meta in self.steps[::-1]:
            g = op.vjp(kept, g, (True,))
            if g._shape != meta.shape:
                g = g.sum_to_size(meta.shape)
        return g


def refresh_view(t: TensorBase) -> None:
    """Take the history of a view anew from its base, which was written in place since; an error where that is unsafe."""
    view = cast(View, t._view)
    base: TensorBase | None = view.base
    if base is None or t._dtype.category < FLOATING or (t._grad_fn is None and not base._requires_grad):
        return
    if view.made_in != "grad":
        raise RuntimeError(view_message(t, "its base or another view of its base has been"))
    if base._meta is not None and view.version < base._meta.reshaped:
        raise RuntimeError(
            "this view was made before its base took another shape in place (unsqueeze_, transpose_, ...), so its gradient "
            "can't be taken anew from the base: make the view after that, or use the out-of-place form"
        )
    view.version = t._storage.version
    steps: list[tuple[Primitive, Any, Meta]] = []
    at: TensorBase = base.detach_alias()
    with Override(grad=False):
        for op in view.ops:
            after: TensorBase = compute_view(op, at)
            steps.append((op, op.save((at,), after, (True,)), Meta(at._shape, at._dtype, at._device)))
            at = after
    node = bare_node(ViewAgain(tuple(steps)), (edge_of(base),), Meta(t._shape, t._dtype, t._device))
    t._grad_fn, t._output_nr, t._requires_grad = node, 0, True


def bare_node(op: Primitive, edges: tuple[Edge | None, ...], meta: Meta) -> Node:
    """A node of `op` that is not the result of a call."""
    node = start_node(op, ())
    node._shape, node._dtype, node._device = meta.shape, meta.dtype, meta.device
    node.op, node.edges, node.needs = op, edges, (True,) * len(edges)
    return node


class _Last:
    """The code outside this package that wrote last: most often the same writes again."""

    __slots__ = ("code",)

    def __init__(self) -> None:
        self.code: CodeType | None = None


_last: Final = _Last()


def caller() -> tuple[CodeType, int] | None:
    """The code of the nearest frame outside this package, and where it stands there. Compiled functions have no frame."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code is _last.code or not code.co_filename.startswith(INSIDE):
            _last.code = code
            return code, frame.f_lasti  # to find the line takes longer than most writes, and few are ever asked for it
        frame = frame.f_back
    return None


fill(refresh_view=refresh_view)
