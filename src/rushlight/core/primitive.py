"""The one choke point: every numeric act on tensors is `apply1`, `apply2`, `applyn`... of a `Primitive`.

They differ in arity only. `apply` promotes dtypes, calls the kernel, and records a node when gradients are wanted; it is
the only place where subclasses, function modes, inference mode, listeners and anomaly mode are served, on the slow path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from rushlight.backends.hidden import HiddenArray
from rushlight.backends.registry import kernels_for
from rushlight.base.compiled import mypyc_attr
from rushlight.base.dtypes import FLOATING, get_default_dtype, result_dtype
from rushlight.base.kinds import Device, Dtype
from rushlight.core.kind import Kind, KindOf
from rushlight.core.modes import IDLE, SLOW, STATE, Modes, local
from rushlight.core.node import Meta, Node, fill_node, keep_saved, link_of
from rushlight.core.public import Tensor
from rushlight.core.storage import View
from rushlight.core.table import T
from rushlight.core.tensor import PUBLIC, TensorBase, alias_array, array_of, wrap, wrap_hidden, wrap_like, wrap_view

# How `apply` treats the dtypes of the inputs from `promote_from` on.
KEEP: Final = 0  # as they are: structural operations, indices
COMMON: Final = 1  # brought to their common dtype
COMMON_FLOAT: Final = 2  # brought to their common dtype, integers to the default floating dtype
SAME: Final = 3  # must be equal already (matrix products, convolutions); a mismatch is an error

# Exactly these types take the fast path; nn adds Parameter and Buffer. All others may override functions.
PLAIN: Final[set[type]] = {Tensor}


@mypyc_attr(allow_interpreted_subclasses=True)
class Primitive:
    """An operation: a small immutable object whose slots are its parameters.

    A subclass states, side by side:
      forward(k, *arrays)            the result array(s), by calling the kernel table `k`
      save(inputs, output, needs)    what the derivative needs: tensors (version-checked) and plain values
      vjp(saved, g, needs)           one cotangent per input (a bare one for one input), written in tensor operations;
                                     `needs[i]` says whether input i wants one. It may have the broadcast shape and the
                                     promoted dtype: the engine sums and casts it to the input's own.
      jvp(saved, tangents)           the output's tangent, or None: then forward mode transposes vjp.
    """

    __slots__ = ()

    name: ClassVar[str] = ""
    node_name: ClassVar[str] = ""  # torch's, without "Backward0" it is derived from `name`
    kind: ClassVar[Any]  # see `Kind`
    outputs: ClassVar[int] = 1  # more: forward returns that many arrays; 0: a tuple whose length varies
    promotion: ClassVar[int] = KEEP
    promote_from: ClassVar[int] = 0
    differentiable: ClassVar[bool] = True  # False is the explicit NOT_DIFFERENTIABLE
    linear: ClassVar[bool] = False  # the tangent is the operation itself on the tangents
    keeps_layout: ClassVar[bool] = False  # it hands its arrays to kernels as they are, so they may be HiddenArrays
    mixed_devices: ClassVar[bool] = False  # indices may live on the CPU
    # Element by element, in the inputs' common dtype: the result's shape and dtype are known without asking its array.
    elementwise: ClassVar[bool] = False
    reads_target: ClassVar[bool] = True  # False: in place it writes one value everywhere, so elements may share memory
    takes_gate: ClassVar[bool] = False  # `vjp_gated` takes a gate right behind the first output along
    public: ClassVar[Callable[..., Any] | None] = None  # the public function it stands for: what `__torch_function__` receives

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = KindOf(cls)

    def forward(self, k: Any, *arrays: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward rule")

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        """Compute into `out`, the first of the arrays, when the kernel can; returns the array that holds the result."""
        return self.forward(k, *arrays)

    def write(self, k: Any, out: Any, b: Any) -> Any:
        """`forward_into` of a binary elementwise operation whose `b` has the shape of `out`, or none."""
        return self.forward_into(k, out, out, b)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise RuntimeError(f"derivative for {self.name} is not implemented")

    def gate(self) -> tuple[float, float | None] | None:
        """(low, high) where vjp is g for low < v < high (high None: unless v <= low), v being what was saved, and 0 elsewhere."""
        return None

    def vjp_gated(self, saved: Any, g: Any, needs: Any, gate: Any, bounds: Any) -> Any:
        """`vjp`, where g[0] arrived behind a gate that saved `gate`. It is not recorded."""
        raise RuntimeError(f"{self.name} takes no gate along")

    jvp: ClassVar[Callable[..., Any] | None] = None

    def parameters(self) -> dict[str, Any]:
        """The operation's parameters by name."""
        found: dict[str, Any] = {}
        for cls in type(self).__mro__:
            # A compiled class has its slots, inherited ones too, under mypyc's own name.
            for slot in cls.__dict__.get("__slots__") or cls.__dict__.get("__mypyc_attrs__") or ():
                found[slot] = getattr(self, slot)
        return found

    def public_call(self, tensors: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None:
        """The public function with the arguments that repeat this call, or None for an internal operation."""
        function = type(self).public
        return None if function is None else (function, tensors, self.parameters())

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{self.name}({settings})"


def apply1(op: Primitive, a: TensorBase) -> Any:
    """Apply a unary operation with one output."""
    recording = True
    if STATE.busy:
        modes: Modes = local.modes
        way = modes.way
        if way == SLOW:
            return apply_slow(op, (a,))
        recording = way == IDLE
    if type(a) is not PUBLIC.cls and type(a) not in PLAIN:
        return apply_slow(op, (a,))
    record = recording and wants_grad(a)
    x = a._array
    if x is None:
        x = input_array(op, a)
    kind: Kind = op.kind
    if kind.promotion == COMMON_FLOAT and a._dtype.category < FLOATING:
        x = kernels_for(a._device).cast(x, get_default_dtype().np)
    where = a._device
    y = op.forward(where.kernels or kernels_for(where), x)
    out: TensorBase
    if kind.elementwise and a._array is x and type(y) is not HiddenArray:
        out = wrap_like(y, a)
    else:
        out = wrap(y, where) if type(y) is not HiddenArray else wrap_hidden(y, where)
    if record and kind.differentiable and out._dtype.category >= FLOATING:
        record1(op, kind, a, out)
    return out


def apply2(op: Primitive, a: TensorBase, b: TensorBase) -> Any:
    """Apply a binary operation with one output."""
    recording = True
    if STATE.busy:
        modes: Modes = local.modes
        way = modes.way
        if way == SLOW:
            return apply_slow(op, (a, b))
        recording = way == IDLE
    public = PUBLIC.cls
    if (type(a) is not public and type(a) not in PLAIN) or (type(b) is not public and type(b) not in PLAIN):
        return apply_slow(op, (a, b))
    record = recording and (wants_grad(a) or wants_grad(b))
    x = a._array
    y = b._array
    if x is None:
        x = input_array(op, a)
    if y is None:
        y = input_array(op, b)
    where = a._device if a._device is b._device else common_device(op, (a, b))
    k = where.kernels or kernels_for(where)
    kind: Kind = op.kind
    if kind.promotion and (a._dtype is not b._dtype or kind.promotion == COMMON_FLOAT):
        x, y = promoted(op, k, (a, b), [x, y])
    z = op.forward(k, x, y)
    out: TensorBase
    if type(z) is HiddenArray:
        out = wrap_hidden(z, where)
    elif kind.elementwise and a._array is x and a._device is where and (a._shape is b._shape or not b._shape or a._shape == b._shape):
        out = wrap_like(z, a)
    else:
        out = wrap(z, where)
    if record and kind.differentiable and out._dtype.category >= FLOATING:
        record2(op, kind, a, b, out)
    return out


def applyn(op: Primitive, tensors: tuple[TensorBase, ...]) -> Any:
    """Apply an operation of any arity with one output."""
    recording = True
    if STATE.busy:
        modes: Modes = local.modes
        way = modes.way
        if way == SLOW:
            return apply_slow(op, tensors)
        recording = way == IDLE
    record = False
    for t in tensors:
        if type(t) is not PUBLIC.cls and type(t) not in PLAIN:
            return apply_slow(op, tensors)
        record = record or wants_grad(t)
    return compute(op, tensors, record and recording)


def apply_multi(op: Primitive, tensors: tuple[TensorBase, ...]) -> tuple[Any, ...]:
    """Apply an operation with several outputs; integer outputs (indices) are never differentiable."""
    return applyn(op, tensors)  # type: ignore[no-any-return]


def apply_view(op: Primitive, a: TensorBase) -> Any:
    """Apply an operation whose result shares the memory of its input."""
    recording = True
    if STATE.busy:
        modes: Modes = local.modes
        way = modes.way
        if way == SLOW:
            return apply_slow(op, (a,), view=True)
        recording = way == IDLE
    if type(a) is not PUBLIC.cls and type(a) not in PLAIN:
        return apply_slow(op, (a,), view=True)
    return take_view(op, a, recording, "grad" if recording else "no_grad")


def compute(op: Primitive, tensors: tuple[TensorBase, ...], record: bool) -> Any:
    """Run the kernel on the promoted arrays and record it when `record` says so."""
    arrays: list[Any] = [t._array if t._array is not None else input_array(op, t) for t in tensors]
    where = common_device(op, tensors)
    k = where.kernels or kernels_for(where)
    kind: Kind = op.kind
    if kind.promotion:
        arrays = promoted(op, k, tensors, arrays)
    found = op.forward(k, *arrays)
    if kind.outputs == 1:
        out: TensorBase = wrap(found, where) if type(found) is not HiddenArray else wrap_hidden(found, where)
        if record and kind.differentiable and out._dtype.category >= FLOATING:
            record_node(op, tensors, out)
        return out
    outs: tuple[TensorBase, ...] = tuple(
        [wrap(y, where) if type(y) is not HiddenArray else wrap_hidden(y, where) for y in found]
    )
    if record and kind.differentiable:
        record_nodes(op, tensors, outs)
    return outs


def compute_view(op: Primitive, a: TensorBase) -> Any:
    """The view(s) of `a` that `op` takes, with their recipes, as the thread's modes have it."""
    made_in = "inference" if local.modes.inference else "no_grad" if not local.modes.grad else "grad"
    return take_view(op, a, made_in == "grad", made_in)


def take_view(op: Primitive, a: TensorBase, recording: bool, made_in: str) -> Any:
    """The same. made_in: "grad", "no_grad" or "inference"."""
    where = a._device
    found = op.forward(where.kernels or kernels_for(where), alias_array(a))
    kind: Kind = op.kind
    if kind.outputs != 1:
        return take_views(op, a, found, recording, made_in)
    out: TensorBase = wrap_view(found, a)
    if kind.differentiable:
        out._view = recipe(op, a, made_in)
        if recording and out._dtype.category >= FLOATING and wants_grad(a):
            record_node(op, (a,), out)
    return out


def take_views(op: Primitive, a: TensorBase, arrays: Any, recording: bool, made_in: str) -> tuple[TensorBase, ...]:
    """The views of an operation that takes several at once."""
    kind: Kind = op.kind
    outs: tuple[TensorBase, ...] = tuple([wrap_view(array, a) for array in arrays])
    if kind.differentiable:
        for out in outs:
            out._view = recipe(op, a, "multi" if made_in == "grad" else made_in)
        if recording and wants_grad(a):
            record_nodes(op, (a,), outs)
    return outs


def recipe(op: Primitive, a: TensorBase, made_in: str) -> View:
    """How the view `op(a)` comes from the base of `a`."""
    view = a._view
    if view is None:
        return View(a, (op,), made_in, a._storage.version)
    return View(view.base, (*view.ops, op), view.made_in if made_in == "grad" else made_in, a._storage.version)


def wants_grad(t: TensorBase) -> bool:
    """Whether operations on `t` are recorded; a view looks again when its base was written in place.

    A view that was made in no_grad of a tensor with history does want it, though (as in torch) no cotangent goes anywhere
    from there: it has no edge.
    """
    view = t._view
    if view is None:
        return t._requires_grad
    if view.version != t._storage.version:
        T.refresh_view(t)
    return t._requires_grad or t.requires_grad


class Unconnected(Primitive):
    """Stands in a node none of whose inputs has an edge: it saves nothing and has nothing to pass on."""

    __slots__ = ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return (None,) * len(needs)


UNCONNECTED: Final = Unconnected()


# The `needs` of nodes with one and two inputs, by which are wanted, a bit for each.
_ONE: Final[list[tuple[bool, ...]]] = [(False,), (True,)]
_TWO: Final[list[tuple[bool, ...]]] = [(False, False), (True, False), (False, True), (True, True)]


def start_node(op: Primitive, inputs: tuple[TensorBase, ...]) -> Node:
    """A fresh node of `op` with the edges of its inputs; its outputs are still to be described."""
    kind: Kind = op.kind
    node: Node = Node.__new__(kind.node_class)
    edges = tuple([link_of(t) for t in inputs])
    needs = tuple([edge is not None for edge in edges])
    fill_node(node, op if True in needs else UNCONNECTED, edges, needs)
    return node


def record1(op: Primitive, kind: Kind, a: TensorBase, out: TensorBase) -> None:
    """Make the node of a unary operation with one output."""
    node: Node = Node.__new__(kind.node_class)
    edge = link_of(a)
    if edge is None:
        fill_node(node, UNCONNECTED, (None,), _ONE[0])
    else:
        fill_node(node, op, (edge,), _ONE[1])
    finish_node(node, op, (a,), out)


def record2(op: Primitive, kind: Kind, a: TensorBase, b: TensorBase, out: TensorBase) -> None:
    """Make the node of a binary operation with one output."""
    node: Node = Node.__new__(kind.node_class)
    first, second = link_of(a), link_of(b)
    wanted = (1 if first is not None else 0) + (2 if second is not None else 0)
    fill_node(node, op if wanted else UNCONNECTED, (first, second), _TWO[wanted])
    finish_node(node, op, (a, b), out)


def record_node(op: Primitive, inputs: tuple[TensorBase, ...], out: TensorBase) -> None:
    """Make the node of an operation with one output."""
    finish_node(start_node(op, inputs), op, inputs, out)


def finish_node(node: Node, op: Primitive, inputs: tuple[TensorBase, ...], out: TensorBase) -> None:
    """Describe the only output, save what the derivative needs, and give the output its history."""
    node._shape = out._shape
    node._dtype = out._dtype
    node._device = out._device
    if node.op is op:
        saved = op.save(inputs, out, node.needs)
        if saved:
            keep_saved(node, saved, (out,))
    out._grad_fn = node
    out._output_nr = 0
    out._requires_grad = True


def record_nodes(op: Primitive, inputs: tuple[TensorBase, ...], outs: tuple[TensorBase, ...]) -> None:
    """Make the node of an operation with several outputs."""
    node = start_node(op, inputs)
    node.metas = tuple([Meta(out._shape, out._dtype, out._device) for out in outs])
    if node.op is op:
        saved = op.save(inputs, outs, node.needs)
        if saved:
            keep_saved(node, saved, outs)
    for i, out in enumerate(outs):
        if out._dtype.category >= FLOATING:
            out._grad_fn = node
            out._output_nr = i
            out._requires_grad = True


def input_array(op: Primitive, t: TensorBase) -> Any:
    """The array of a tensor whose own slot is empty: hidden for an operation that keeps layouts, else the default."""
    hidden = t._storage.hidden
    return hidden if hidden is not None and op.keeps_layout and kernels_for(t._device).takes_hidden else array_of(t)


def promoted(op: Primitive, k: Any, tensors: tuple[TensorBase, ...], arrays: list[Any]) -> list[Any]:
    """The arrays brought to the dtype torch computes in."""
    kind: Kind = op.kind
    first = kind.promote_from
    common: Dtype = tensors[first]._dtype
    mixed = False
    for i in range(first + 1, len(tensors)):
        mixed = mixed or tensors[i]._dtype is not common
    if not mixed and (kind.promotion != COMMON_FLOAT or common.category >= FLOATING):
        return arrays
    members = tensors[first:]
    if mixed:
        if op.promotion == SAME:
            found = ", ".join(repr(t._dtype) for t in members)
            raise RuntimeError(
                f"{op.name}(): expected all tensors to have the same dtype, but got {found}. Convert one of them, "
                "for example with x.to(y.dtype)"
            )
        common = result_dtype([(t._dtype, not t._shape) for t in members])
    if op.promotion == COMMON_FLOAT and common.category < FLOATING:
        common = get_default_dtype()
    return arrays[:first] + [
        x if t._dtype is common else k.cast(x.default() if type(x) is HiddenArray else x, common.np)
        for t, x in zip(members, arrays[first:], strict=True)
    ]


def common_device(op: Primitive, tensors: tuple[TensorBase, ...]) -> Device:
    """The device of the result; mixing devices is an error except for zero-dim CPU tensors, as in torch."""
    where: Device = tensors[0]._device
    for t in tensors[1:]:
        if t._device is where:
            continue
        if op.mixed_devices and t._device.type == "cpu":
            continue
        if not t._shape and t._device.type == "cpu":
            continue
        if where.type == "cpu" and all(not u._shape for u in tensors if u._device.type == "cpu"):
            where = t._device
            continue
        names = sorted({str(u._device) for u in tensors})
        raise RuntimeError(
            f"{op.name}(): Expected all tensors to be on the same device, but found at least two devices, {names[0]} and "
            f"{names[-1]}! Move one of them, for example with x.to(y.device)"
        )
    return where


def apply_slow(op: Primitive, tensors: tuple[TensorBase, ...], view: bool = False) -> Any:
    """The same for subclasses, function modes and all other modes of the thread."""
    if local.modes.function_modes or local.modes.torch_function:
        handled, found = overridden(op, tensors)
        if handled:
            return found
    record = local.modes.grad and not local.modes.inference and any([wants_grad(t) for t in tensors])
    found = compute_view(op, tensors[0]) if view else compute(op, tensors, record)
    if local.modes.inference and not view:
        for out in found if op.outputs != 1 else (found,):
            out._view = View(None, (), "inference", 0)
    for listener in local.modes.listeners:
        listener(op, tensors, found)
    return found


def overridden(op: Primitive, tensors: tuple[Any, ...], inplace: bool = False) -> tuple[bool, Any]:
    """Offer the call to the innermost function mode, then to subclasses with `__torch_function__`."""
    call = op.public_call(tensors)
    if call is None:
        return False, None
    function, args, kwargs = call
    if inplace and not function.__name__.endswith("_"):
        in_place = getattr(Tensor, function.__name__ + "_", None)
        if in_place is None:
            return False, None
        function = in_place
    return dispatch_function(function, tuple([number_of(arg) for arg in args]), kwargs, tensors)


def number_of(arg: Any) -> Any:
    """The Python number that a cached constant stands for; any other argument itself."""
    return arg.__dict__.get("_number", arg) if type(arg) is Tensor and not arg._shape else arg


def intercepted(function: Callable[..., Any], args: tuple[Any, ...], relevant: tuple[Any, ...]) -> tuple[bool, Any]:
    """Offer a call of a function that is made of several operations; asked only when one of these would be slow anyway."""
    if local.modes.function_modes or (local.modes.torch_function and any(type(t) not in PLAIN for t in relevant)):
        return dispatch_function(function, args, {}, relevant)
    return False, None


def dispatch_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], relevant: tuple[Any, ...]
) -> tuple[bool, Any]:
    """torch's `__torch_function__` protocol: (handled, result). Most derived types are asked first."""
    types: list[type] = []
    if local.modes.torch_function:
        for t in relevant:
            cls = type(t)
            if (
                cls not in PLAIN
                and cls not in types
                and getattr(cls, "__torch_function__", disabled_torch_function) is not disabled_torch_function
            ):
                place = next((i for i, other in enumerate(types) if issubclass(cls, other)), len(types))
                types.insert(place, cls)
    if local.modes.function_modes:
        mode = local.modes.function_modes[-1]
        outer = local.modes.function_modes
        local.modes.function_modes = outer[:-1]
        try:
            found = mode.__torch_function__(function, tuple(types), args, kwargs)
        finally:
            local.modes.function_modes = outer
        if found is not NotImplemented:
            return True, found
    for cls in types:
        found = cls.__torch_function__(function, tuple(types), args, kwargs)
        if found is not NotImplemented:
            return True, found
    if types:
        names = ", ".join(cls.__name__ for cls in types)
        raise TypeError(
            f"no implementation found for {getattr(function, '__name__', function)!r} on types that implement "
            f"__torch_function__: {names}"
        )
    return False, None


def disabled_torch_function(function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of classes that opt out: run as for plain tensors."""
    return function(*args, **(kwargs or {}))
