"""Nodes: what an operation leaves behind so that its derivative can be taken later.

A node holds its operation, one edge per input, what the operation saved, and the shape, dtype and device of its
outputs. Walking the nodes is the engine's work (autograd/engine.py); here nothing is computed.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

from rushlight.base.device import device
from rushlight.base.dtypes import dtype
from rushlight.base.shape import Shape
from rushlight.core.hooks import HookDict, HookHandle
from rushlight.core.modes import local, set_grad

_next_sequence: Final = itertools.count().__next__


class Meta(NamedTuple):
    """What a cotangent for one output of a node must look like."""

    shape: Shape
    dtype: dtype
    device: device


Edge = tuple["Node", int]


class GradientEdge(NamedTuple):
    """A place in the graph to differentiate with respect to (or from), without keeping the tensor alive."""

    node: Node
    output_nr: int


# The pack and the unpack function of `saved_tensors_hooks`.
Hooks = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class Released:
    """Stands in for the saved values of a node that has already run."""

    __slots__ = ()


RELEASED: Final = Released()


class SavedOutput:
    """An output that its own node saved: an alias without history (the tensor itself would make a cycle)."""

    __slots__ = ("alias", "output_nr")

    def __init__(self, alias: Any, output_nr: int) -> None:
        self.alias = alias
        self.output_nr = output_nr


class Packed:
    """A saved tensor that went through a `saved_tensors_hooks` pack function."""

    __slots__ = ("value", "unpack", "edge")

    def __init__(self, value: Any, unpack: Callable[[Any], Any], edge: Edge | None) -> None:
        self.value = value
        self.unpack = unpack
        self.edge = edge


class Node:
    """One recorded operation. Each operation has its own subclass, named as torch names it (`MulBackward0`)."""

    __slots__ = (
        "op",
        "edges",
        "needs",
        "saved",
        "versions",
        "metas",
        "sequence",
        "pre_hooks",
        "hooks",
        "tensor_hooks",
        "retained",
        "origin",
        "__dict__",
        "__weakref__",
    )
    op: Any
    edges: tuple[Edge | None, ...]
    needs: tuple[bool, ...]
    saved: Any
    versions: Any
    metas: tuple[Meta, ...]
    sequence: int
    # Hooks exist only on the few nodes that were given some.
    pre_hooks: HookDict | None  # on all cotangents together, before the node runs
    hooks: HookDict | None  # after the node ran
    tensor_hooks: dict[int, HookDict] | None  # per output: Tensor.register_hook
    retained: dict[int, Any] | None  # per output: a weak reference to the tensor that retains its gradient
    origin: Any

    def start(self, op: Any, edges: tuple[Edge | None, ...], needs: tuple[bool, ...], metas: tuple[Meta, ...]) -> None:
        """Fill a fresh node (nodes are made by `Node.__new__`, the cheap way)."""
        self.op = op
        self.edges = edges
        self.needs = needs
        self.metas = metas
        self.saved = ()
        self.versions = ()
        self.sequence = _next_sequence()
        self.pre_hooks = self.hooks = self.tensor_hooks = self.retained = self.origin = None

    # What torch shows of a node.

    def name(self) -> str:
        """The name of the node's class, `MulBackward0`."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes of the inputs, each with the number of the output that was used."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes on this node."""
        found: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        return found

    def _sequence_nr(self) -> int:
        return self.sequence

    def register_hook(self, hook: Callable[[Any, Any], Any]) -> HookHandle:
        """Call `hook(grad_inputs, grad_outputs)` after the node has run; it may return new `grad_inputs`."""
        if self.hooks is None:
            self.hooks = HookDict()
        return self.hooks.add(hook)

    def register_prehook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call `hook(grad_outputs)` before the node runs; it may return new `grad_outputs`."""
        if self.pre_hooks is None:
            self.pre_hooks = HookDict()
        return self.pre_hooks.add(hook)

    # What the engine needs.

    # Whether `run` has something to say when no cotangent arrived at all (a user's Function is given zeros).
    runs_without_cotangent: ClassVar[bool] = False

    # What stands for this node in the history of an output it saved: set while a write into a view is differentiated.
    stand_in: Node | None = None

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """The cotangents of the inputs from those of the outputs (an entry is None where none came)."""
        saved = self.unpack()
        op = self.op
        found = op.vjp(saved, grads[0] if op.outputs == 1 else grads, self.needs)
        return found if type(found) is tuple else (found,)

    def keep(self, saved: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
        """Remember what the operation saved, each tensor with its version."""
        pack = local.saved_hooks[-1] if local.saved_hooks else None
        kept: list[Any] = []
        versions: list[int] = []
        tensors = False
        for value in saved:
            if not hasattr(value, "_storage"):
                kept.append(value)
                versions.append(-1)
                continue
            tensors = True
            if value._view is not None and value._view.base is None:
                raise RuntimeError(
                    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
                    f"computation tracked by autograd (here {self.name()}, a tensor of shape {list(value._shape)}). clone() it to "
                    "get a normal tensor, or use no_grad() instead of inference_mode()."
                )
            output_nr = -1
            for i, out in enumerate(outputs):
                if out is value:
                    output_nr = i
            if pack is not None and not hasattr(value, "_number"):  # a hook could write into a cached constant
                kept.append(pack_tensor(self, value, output_nr, pack))
                versions.append(-1)
            elif output_nr >= 0:
                kept.append(SavedOutput(value.detach_alias(), output_nr))
                versions.append(value._storage.version)
            else:
                kept.append(value)
                versions.append(value._storage.version)
        self.saved = tuple(kept)
        if tensors:
            self.versions = tuple(versions)

    def unpack(self) -> tuple[Any, ...]:
        """The saved values, checked to be what they were when they were saved."""
        saved = self.saved
        if saved is RELEASED:
            raise RuntimeError(
                f"Trying to backward through the graph a second time: {self.name()} has already been differentiated and the "
                "values it saved were freed. Call backward(retain_graph=True) or autograd.grad(..., retain_graph=True) the "
                "first time if you need to go through the graph twice, or compute the forward pass again (a loss that is "
                "kept from an earlier iteration is a frequent cause: use loss.detach() or loss.item())."
            )
        if not self.versions:
            return saved  # type: ignore[no-any-return]
        values: list[Any] = []
        for value, version in zip(saved, self.versions, strict=True):
            if version >= 0:
                tensor = value.alias if type(value) is SavedOutput else value
                if tensor._storage.version != version:
                    raise RuntimeError(overwritten_message(self, tensor, version))
                if type(value) is SavedOutput:
                    value = tensor.with_history(self.stand_in or self, 0 if self.stand_in else value.output_nr)
            elif type(value) is Packed:
                value = unpack_tensor(value)
            values.append(value)
        return tuple(values)

    def release(self) -> None:
        """Free the saved tensors. A node that saved none can run again."""
        if self.versions:
            self.saved = RELEASED
            self.versions = ()

    def __call__(self, *grads: Any) -> Any:
        found = self.run(grads)
        return found[0] if len(found) == 1 else found


def pack_tensor(node: Node, value: Any, output_nr: int, pack: Hooks) -> Packed:
    """Give a tensor that `node` saves to a pack hook; an output of the node itself as an alias, for it would be a cycle."""
    given = value.detach_alias() if output_nr >= 0 else value
    edge: Edge | None = (node, output_nr) if output_nr >= 0 else value.edge()
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
    value = packed.unpack(packed.value)
    if not hasattr(value, "_storage"):
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


def node_class(name: str, base: type[Node] = Node) -> type[Node]:
    """A Node subclass that shows itself as torch's does: `<AddBackward0 object at 0x...>`."""
    return type(name, (base,), {"__slots__": (), "__module__": "builtins"})


def overwritten_message(node: Node, tensor: Any, version: int) -> str:
    """Why a saved value can't be used any more, where it was overwritten, and what to do."""
    kind = f"{tensor._dtype!r} {list(tensor._shape)}"
    origin = tensor._storage.origin
    where = f" It was last written at {origin[0]}, line {origin[1]}." if origin else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind}], which {node.name()} saved at version {version}, is at version {tensor._storage.version} now.{where} "
        "Write `y = x + 1` instead of `x += 1` or `x.add_(1)` for that tensor, or clone() it before changing it."
    )


class AccumulateGrad(Node):
    """The end of the graph: adds the arriving cotangent to its leaf's `.grad`."""

    __slots__ = ("variable",)
    variable: Any

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        raise RuntimeError("AccumulateGrad is run by the engine only")  # it has no vjp of its own


AccumulateGrad.__module__ = "builtins"


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


def accumulate_node(leaf: Any) -> Node:
    """The AccumulateGrad node of a leaf, one as long as some graph holds it."""
    meta = leaf.autograd_meta()
    found = None if meta.accumulator is None else meta.accumulator()
    if found is None:
        found = AccumulateGrad.__new__(AccumulateGrad)
        found.start(None, (), (), (Meta(leaf._shape, leaf._dtype, leaf._device),))
        found.variable = leaf
        meta.accumulator = weakref.ref(found)
    return found
