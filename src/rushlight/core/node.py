"""Nodes: what an operation leaves behind so that its derivative can be taken later.

A node holds its operation, one edge per input, what the operation saved, and the shape, dtype and device of its
outputs. Walking the nodes is the engine's work (autograd/engine.py); here nothing is computed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

from rushlight.base.compiled import mypyc_attr
from rushlight.base.kinds import Device, Dtype
from rushlight.base.shape import Shape
from rushlight.core.hooks import HookDict, HookHandle
from rushlight.core.modes import STATE, local, set_grad
from rushlight.core.storage import AutogradMeta
from rushlight.core.table import T
from rushlight.core.tensor import TensorBase, make_alias

if TYPE_CHECKING:
    from rushlight.core.primitive import Primitive


class Meta:
    """What a cotangent for one output of a node must look like."""

    __slots__ = ("shape", "dtype", "device")

    def __init__(self, shape: Shape, dtype: Dtype, device: Device) -> None:
        self.shape = shape
        self.dtype = dtype
        self.device = device


Edge = tuple["Node", int]


# The pack and the unpack function of `saved_tensors_hooks`.
Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class Released:
    """Stands in for the saved values of a node that has already run."""

    __slots__ = ()


RELEASED: Final = Released()


class SavedOutput:
    """An output that its own node saved: an alias without history (the tensor itself would make a cycle)."""

    __slots__ = ("alias", "output_nr")

    def __init__(self, alias: TensorBase, output_nr: int) -> None:
        self.alias = alias
        self.output_nr = output_nr


class Packed:
    """A saved tensor that went through a `saved_tensors_hooks` pack function."""

    __slots__ = ("value", "unpack", "edge")

    def __init__(self, value: Any, unpack: Callable[[Any], Any], edge: Edge | None) -> None:
        self.value = value
        self.unpack = unpack
        self.edge = edge


class _Counter:
    """Numbers the nodes in the order in which they are recorded."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0


_sequence: Final = _Counter()


class Extras:
    """What only few nodes are given.

    pre_hooks: on all cotangents together, before the node runs. hooks: after it ran.
    tensor_hooks: those of `Tensor.register_hook` by output. retained: by output, a weak reference to the tensor that
        retains its gradient.
    stand_in: what stands for the node in the history of an output it saved, while a write into a view is differentiated.
    notes: the user's own.
    """

    __slots__ = ("pre_hooks", "hooks", "tensor_hooks", "retained", "stand_in", "notes")

    def __init__(self) -> None:
        self.pre_hooks = HookDict()
        self.hooks = HookDict()
        self.tensor_hooks: dict[int, HookDict] = {}
        self.retained: dict[int, Any] = {}
        self.stand_in: Node | None = None
        self.notes: dict[str, Any] = {}


@mypyc_attr(allow_interpreted_subclasses=True)
class Node:
    """One recorded operation. Each operation has its own subclass, named as torch names it (`MulBackward0`)."""

    __slots__ = (
        "op",
        "edges",
        "needs",
        "saved",
        "versions",
        "_shape",
        "_dtype",
        "_device",
        "metas",
        "sequence",
        "extras",
    )
    op: Primitive | None
    # One for each input, None for one that wants nothing. A leaf may stand for the edge to its AccumulateGrad: most graphs
    # are never walked. Read them through `edges_of`.
    edges: tuple[Any, ...]
    needs: tuple[bool, ...]
    saved: Any
    versions: tuple[int, ...]
    # What the cotangent of the only output must look like; of several outputs `metas` tells it.
    _shape: Shape
    _dtype: Dtype
    _device: Device
    metas: tuple[Meta | None, ...] | None
    sequence: int
    extras: Extras | None

    def __new__(cls) -> Node:
        """An instance of `cls` whose slots are still empty: `start` fills them."""
        return super().__new__(cls)

    def start(self, op: Primitive | None, edges: tuple[Edge | None, ...], needs: tuple[bool, ...]) -> None:
        """Fill a fresh node; `describe` or `describe_all` has to follow."""
        fill_node(self, op, edges, needs)

    def describe(self, output: TensorBase) -> None:
        """Note what a cotangent of the only output must look like."""
        self._shape = output._shape
        self._dtype = output._dtype
        self._device = output._device

    def describe_all(self, metas: tuple[Meta | None, ...]) -> None:
        """The same for several outputs, or for one that is no tensor (None)."""
        self.metas = metas

    def outputs(self) -> int:
        """How many outputs there are."""
        return 1 if self.metas is None else len(self.metas)

    def meta(self, nr: int) -> Any:
        """What a cotangent of output `nr` must look like, a Meta; None for an output that is no tensor."""
        return Meta(self._shape, self._dtype, self._device) if self.metas is None else self.metas[nr]

    # What torch shows of a node.

    def name(self) -> str:
        """The name of the node's class, `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes of the inputs, each with the number of the output that was used."""
        return tuple((None, 0) if edge is None else edge for edge in edges_of(self))

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes on this node."""
        return extras_of(self).notes

    def _sequence_nr(self) -> int:
        return self.sequence

    def register_hook(self, hook: Callable[[Any, Any], Any]) -> HookHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node has run; it may return new `grad_inputs`."""
        return extras_of(self).hooks.add(hook)

    def register_prehook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call `hook(grad_outputs)` before the node runs; it may return new `grad_outputs`."""
        return extras_of(self).pre_hooks.add(hook)

    # What the engine needs.

    # Whether `run` has something to say when no cotangent arrived at all (a user's Function is given zeros).
    runs_without_cotangent: ClassVar[bool] = False

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The cotangents of the inputs from those of the outputs (an entry is None where none came)."""
        return run_node(self, grads)

    def keep(self, saved: tuple[Any, ...], outputs: tuple[TensorBase, ...]) -> None:
        """Remember what the operation saved, each tensor with its version."""
        keep_saved(self, saved, outputs)

    def unpack(self) -> tuple[Any, ...]:
        """The saved values, checked to be what they were when they were saved."""
        return unpack_node(self)

    def release(self) -> None:
        """Free the saved tensors. A node that saved none can run again."""
        release_node(self)

    def __call__(self, *grads: Any) -> Any:
        found = self.run(grads)
        return found[0] if len(found) == 1 else found


@mypyc_attr(native_class=False)
class GradientEdge(NamedTuple):
    """A place in the graph to differentiate with respect to (or from), without keeping the tensor alive."""

    node: Node
    output_nr: int


# Functions, not methods: calls of methods of a class that may have interpreted subclasses are slow when compiled.


def fill_node(node: Node, op: Primitive | None, edges: tuple[Any, ...], needs: tuple[bool, ...]) -> None:
    """Fill a fresh node but for the description of its outputs."""
    node.op = op
    node.edges = edges
    node.needs = needs
    node.metas = None
    node.saved = ()
    node.versions = ()
    node.sequence = _sequence.last = _sequence.last + 1
    node.extras = None


def extras_of(node: Node) -> Extras:
    """What only few nodes are given: from now on `node` is one of them."""
    if node.extras is None:
        node.extras = Extras()
    return node.extras


def keep_saved(node: Node, saved: tuple[Any, ...], outputs: tuple[TensorBase, ...]) -> None:
    """Remember what the operation saved, each tensor with its version (-1 for other values)."""
    pack: Hooks | None = None
    if STATE.busy and local.modes.saved_hooks:
        pack = local.modes.saved_hooks[-1]
    versions: list[int] = []
    kept: list[Any] | None = None
    tensors = False
    for place, value in enumerate(saved):
        if not isinstance(value, TensorBase):
            versions.append(-1)
            continue
        tensors = True
        storage = value._storage
        storage.saved = True
        version = storage.version
        view = value._view
        if view is not None and view.base is None:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
                f"computation tracked by autograd (here {node.name()}, a tensor of shape {list(value._shape)}). clone() it to "
                "get a normal tensor, or use no_grad() instead of inference_mode()."
            )
        output_nr = -1
        for i, out in enumerate(outputs):
            if out is value:
                output_nr = i
        if pack is not None and not hasattr(value, "_number"):  # a hook could write into a cached constant
            kept = list(saved) if kept is None else kept
            kept[place] = pack_tensor(node, value, output_nr, pack)
            version = -1
        elif output_nr >= 0:
            kept = list(saved) if kept is None else kept
            kept[place] = SavedOutput(make_alias(value), output_nr)
        versions.append(version)
    node.saved = saved if kept is None else tuple(kept)
    if tensors:
        node.versions = tuple(versions)


def run_node(node: Node, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """`Node.run` of a node that has an operation."""
    op = node.op
    assert op is not None
    found = op.vjp(unpack_node(node), grads[0] if node.metas is None else grads, node.needs)
    return found if isinstance(found, tuple) else (found,)


def unpack_node(node: Node) -> tuple[Any, ...]:
    """The saved values, checked to be what they were when they were saved."""
    if node.saved is RELEASED:
        raise RuntimeError(
            f"Trying to backward through the graph a second time: {node.name()} has already been differentiated and the "
            "values it saved were freed. Call backward(retain_graph=True) or autograd.grad(..., retain_graph=True) the "
            "first time if you need to go through the graph twice, or compute the forward pass again (a loss that is "
            "kept from an earlier iteration is a frequent cause: use loss.detach() or loss.item())."
        )
    saved: tuple[Any, ...] = node.saved
    values: list[Any] | None = None
    for place, version in enumerate(node.versions):
        value = saved[place]
        if isinstance(value, TensorBase):
            if value._storage.version != version:
                raise RuntimeError(overwritten_message(node, value, version))
        elif isinstance(value, SavedOutput):
            alias = value.alias
            if alias._storage.version != version:
                raise RuntimeError(overwritten_message(node, alias, version))
            values = list(saved) if values is None else values
            stand_in = None if node.extras is None else node.extras.stand_in
            owner, nr = (node, value.output_nr) if stand_in is None else (stand_in, 0)
            restored: TensorBase = make_alias(alias)
            restored._grad_fn, restored._output_nr, restored._requires_grad = owner, nr, True
            values[place] = restored
        elif isinstance(value, Packed):
            values = list(saved) if values is None else values
            values[place] = unpack_tensor(value)
    return saved if values is None else tuple(values)


def release_node(node: Node) -> None:
    """`Node.release` of a node that has an operation."""
    if node.versions:
        node.saved = RELEASED
        node.versions = ()


def pack_tensor(node: Node, value: Any, output_nr: int, pack: Hooks) -> Packed:
    """Give a tensor that `node` saves to a pack hook; an output of the node itself as an alias, for it would be a cycle."""
    given = value.detach_alias() if output_nr >= 0 else value
    edge: Edge | None = (node, output_nr) if output_nr >= 0 else edge_of(value)
    version, recording = value._storage.version, set_grad(False)
    try:
        packed = pack[0](given)
    finally:
        set_grad(recording)
    if value._storage.version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
            "modified by in-place operations as this can lead to unexpected side-effects: let the hook return a new tensor."
        )
    return Packed(packed, pack[1], edge)


def unpack_tensor(packed: Packed) -> Any:
    """The tensor of an unpack hook, with the history of the one that was saved."""
    value: Any = packed.unpack(packed.value)
    if not isinstance(value, TensorBase):
        raise TypeError(
            f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(value).__name__}"
        )
    if packed.edge is None:
        return value
    node, output_nr = packed.edge
    if not isinstance(node, AccumulateGrad):
        return value.with_history(node, output_nr)
    if value is node.variable:
        return value
    leaf = value.detach_alias()
    leaf._requires_grad = True
    leaf.autograd_meta().accumulator = weakref.ref(node)
    return leaf


def overwritten_message(node: Node, tensor: Any, version: int) -> str:
    """Why a saved value can't be used any more, where it was overwritten, and what to do."""
    kind = f"{tensor._dtype!r} {list(tensor._shape)}"
    origin = tensor._storage.origin
    where = f" It was last written at {origin[0].co_filename}, line {line_of(*origin)}." if origin else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind}], which {node.name()} saved at version {version}, is at version {tensor._storage.version} now.{where} "
        "Write `y = x + 1` instead of `x += 1` or `x.add_(1)` for that tensor, or clone() it before changing it."
    )


def line_of(code: CodeType, place: int) -> int | None:
    """The line of the instruction at `place` (`f_lasti`) of a code object."""
    for start, end, line in code.co_lines():
        if start <= place < end:
            return line
    return None


@mypyc_attr(allow_interpreted_subclasses=True)
class AccumulateGrad(Node):
    """The end of the graph: adds the arriving cotangent to its leaf's `.grad`."""

    __slots__ = ("variable",)
    variable: TensorBase

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        raise RuntimeError("AccumulateGrad is run by the engine only")  # it has no vjp of its own


_node_classes: Final[dict[str, type[Node]]] = {}


def node_class(name: str, base: type[Node] = Node) -> type[Node]:
    """The Node subclass of that name, which shows itself as torch's does: `<AddBackward0 object at 0x...>`."""
    found = _node_classes.get(name)
    if found is None:
        found = _node_classes[name] = type(name, (base,), {"__module__": "builtins"})
    return found


_accumulate_class: Final[Any] = node_class("AccumulateGrad", AccumulateGrad)


def accumulate_node(leaf: TensorBase) -> Node:
    """The AccumulateGrad node of a leaf, one as long as some graph holds it."""
    meta = leaf._meta
    if meta is None:
        meta = leaf._meta = AutogradMeta()
    if meta.accumulator is not None:
        found = meta.accumulator()
        if found is not None:
            return found
    made = cast(AccumulateGrad, Node.__new__(_accumulate_class))
    fill_node(made, None, (), ())
    made._shape = leaf._shape
    made._dtype = leaf._dtype
    made._device = leaf._device
    made.variable = leaf
    meta.accumulator = weakref.ref(made)
    return made


def link_of(t: TensorBase) -> Any:
    """What a node that is being recorded keeps for an input: its edge, or the leaf itself while it has no AccumulateGrad."""
    if t._view is None and t._grad_fn is None:
        meta = t._meta
        if meta is None or meta.accumulator is None:
            return t if t._requires_grad else None
    return edge_of(t)


def edges_of(node: Node) -> tuple[Edge | None, ...]:
    """The edges of a node, those to leaves made now if nobody has asked for them before."""
    for edge in node.edges:
        if edge is not None and not isinstance(edge, tuple):
            node.edges = tuple([(accumulate_node(e), 0) if isinstance(e, TensorBase) else e for e in node.edges])
            break
    edges: tuple[Edge | None, ...] = node.edges
    return edges


def edge_of(t: TensorBase) -> Edge | None:
    """Where a cotangent of the tensor goes, None for nowhere."""
    view = t._view
    if view is not None and view.version != t._storage.version:
        T.refresh_view(t)
    node = t._grad_fn
    if node is not None:
        return node, t._output_nr
    return (accumulate_node(t), 0) if t._requires_grad else None
