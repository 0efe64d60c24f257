"""The engine: walks recorded nodes from the outputs back and hands each its cotangents. Iterative, never recursive.

A node runs when all cotangents that can reach it have arrived (dependency counting); among the ready ones the latest
recorded runs first, as in torch. What a node saved is freed as soon as it has run, unless `retain_graph`.

The walk keeps, beside every cotangent, whether the engine *owns* it alone. Only such a one becomes a leaf's `.grad`
without a copy, so two leaves never share memory, nor a leaf and the caller.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.core.modes import local, set_grad
from rushlight.core.node import RELEASED, AccumulateGrad, Edge, Meta, Node
from rushlight.core.tensor import T, array_of, is_tensor

Capture = Callable[[Any], None]


class Arriving:
    """The cotangents gathered for the outputs of one node, and which of them the engine owns."""

    __slots__ = ("grads", "owned")

    def __init__(self, outputs: int) -> None:
        self.grads: list[Any] = [None] * outputs
        self.owned: list[bool] = [False] * outputs

    def add(self, nr: int, g: Any, owned: bool) -> None:
        """Add `g` to what has arrived for output `nr`."""
        have = self.grads[nr]
        self.grads[nr] = g if have is None else T.add(have, g)
        self.owned[nr] = owned or have is not None


class Walk:
    """One backward pass."""

    def __init__(
        self,
        roots: Sequence[Edge],
        captures: dict[tuple[Node, int], int] | None,
        accumulate: bool,
        retain_graph: bool,
        create_graph: bool,
    ) -> None:
        self.captures = captures or {}
        self.captured: list[Any] = [None] * len(self.captures)
        self.accumulate = accumulate
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.arriving: dict[Node, Arriving] = {}
        self.ready: list[tuple[int, int, Node]] = []
        self.waiting = count_dependencies(roots)
        self.wanted = None if captures is None else leading_to(self.waiting, {node for node, _ in captures})

    def reaches(self, node: Node | None) -> bool:
        """Whether `node` gets cotangents in this pass."""
        return node in self.waiting and (
            self.wanted is None or node in self.wanted or any(key[0] is node for key in self.captures)
        )

    def send(self, edge: Edge, g: Any, owned: bool) -> None:
        """A cotangent arrives over `edge`."""
        node, nr = edge
        box = self.arriving.get(node)
        if box is None:
            box = self.arriving[node] = Arriving(len(node.metas))
        box.add(nr, g, owned)

    def release(self, node: Node) -> None:
        """One of the cotangents that `node` waits for has arrived (or will never)."""
        left = self.waiting[node] = self.waiting[node] - 1
        if left == 0:
            self.enqueue(node)

    def enqueue(self, node: Node) -> None:
        """Let `node` run: leaves first, then the latest recorded."""
        rank = 0 if isinstance(node, AccumulateGrad) else 1
        heapq.heappush(self.ready, (rank, -node.sequence, node))

    def run(self) -> None:
        """Run every ready node until none is left."""
        ready, arriving = self.ready, self.arriving
        while ready:
            node = heapq.heappop(ready)[2]
            box = arriving.pop(node, None)
            if box is not None:
                self.visit(node, box)
            else:
                self.pass_on(node, ())

    def visit(self, node: Node, box: Arriving) -> None:
        """Run hooks, captures and the node itself; send the results on."""
        if node.tensor_hooks is not None:
            run_tensor_hooks(node, box)
        if node.retained is not None:
            keep_retained(node, box)
        if self.captures:
            for nr in range(len(box.grads)):
                slot = self.captures.get((node, nr))
                if slot is not None:
                    self.capture(node, box, nr, slot)
        if isinstance(node, AccumulateGrad):
            if self.accumulate and (self.wanted is None or node in self.wanted):
                accumulate(node, box.grads[0], box.owned[0], self.create_graph)
            return
        if self.wanted is not None and node not in self.wanted:
            self.pass_on(node, ())
            return
        grads = tuple(box.grads)
        if node.pre_hooks:
            grads = run_pre_hooks(node, grads)
        found = node.run(grads) if any(g is not None for g in grads) else (None,) * len(node.edges)
        if len(found) != len(node.edges):
            raise RuntimeError(
                f"{node.name()} returned {len(found)} gradients, expected one for each of its {len(node.edges)} inputs"
            )
        if node.hooks:
            found = run_hooks(node, found, grads)
        if local.anomaly:
            T.check_anomaly(node, found)
        owned = ownership(node, found, box)
        if not self.retain_graph:
            node.release()
        self.pass_on(node, tuple(zip(found, owned, strict=True)))

    def capture(self, node: Node, box: Arriving, nr: int, slot: int) -> None:
        """Hand a cotangent to `autograd.grad`, after the leaf's own hooks."""
        g = box.grads[nr]
        if isinstance(node, AccumulateGrad) and not self.accumulate:
            g = run_leaf_hooks(node.variable, g)
        box.owned[nr] = False
        self.captured[slot] = g

    def pass_on(self, node: Node, results: tuple[tuple[Any, bool], ...]) -> None:
        """Send the results over the node's edges and release those who wait."""
        for i, edge in enumerate(node.edges):
            if edge is None or edge[0] not in self.waiting:
                continue
            if results:
                g, owned = results[i]
                if g is not None:
                    fitted = fit(g, edge[0].metas[edge[1]], node, i)
                    self.send(edge, fitted, owned or fitted is not g)
            self.release(edge[0])


def count_dependencies(roots: Sequence[Edge]) -> dict[Node, int]:
    """How many edges lead to each reachable node."""
    counts: dict[Node, int] = {node: 0 for node, _ in roots}
    stack = list(counts)
    while stack:
        for edge in stack.pop().edges:
            if edge is None:
                continue
            target = edge[0]
            if target in counts:
                counts[target] += 1
            else:
                counts[target] = 1
                stack.append(target)
    return counts


def leading_to(nodes: dict[Node, int], targets: set[Node]) -> set[Node]:
    """The nodes that must run so that the targets get their cotangents: those with an edge towards one of them."""
    into: dict[Node, list[Node]] = {}
    for node in nodes:
        for edge in node.edges:
            if edge is not None:
                into.setdefault(edge[0], []).append(node)
    wanted = {target for target in targets if isinstance(target, AccumulateGrad)}
    stack, seen = list(targets), set(targets)
    while stack:
        for node in into.get(stack.pop(), ()):
            wanted.add(node)
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return wanted


def fit(g: Any, meta: Meta, node: Node, i: int) -> Any:
    """`g` summed and cast to what the receiving output is: rules may return the broadcast shape and promoted dtype."""
    if g._dtype is not meta.dtype:
        if g._dtype.category == COMPLEX and meta.dtype.category != COMPLEX:
            g = g.real
        g = g.to(meta.dtype)
    if g._shape != meta.shape:
        try:
            g = g.sum_to_size(meta.shape)
        except RuntimeError:
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {i} - got {list(g._shape)} but expected "
                f"shape compatible with {list(meta.shape)}"
            ) from None
    if g._device is not meta.device and g._device.type != meta.device.type:
        raise RuntimeError(
            f"Function {node.name()} returned an invalid gradient at index {i} - expected device {meta.device} but got "
            f"{g._device}"
        )
    return g


def ownership(node: Node, found: tuple[Any, ...], box: Arriving) -> list[bool]:
    """Which results nobody else can hold: fresh ones, and arrived ones the engine owned and that are passed on once."""
    if node.op is None or node.hooks or node.pre_hooks:
        return [False] * len(found)
    arrived = {id(g._storage): owned for g, owned in zip(box.grads, box.owned, strict=True) if g is not None}
    taken = {id(s._storage) for s in node.saved if is_tensor(s)} if node.saved is not RELEASED else set()
    storages = [id(g._storage) for g in found if g is not None]
    return [
        g is not None
        and g._view is None
        and storages.count(id(g._storage)) == 1
        and id(g._storage) not in taken
        and arrived.get(id(g._storage), True)
        for g in found
    ]


def accumulate(node: AccumulateGrad, g: Any, owned: bool, create_graph: bool) -> None:
    """Add `g` to the leaf's `.grad`; the first one is kept without a copy when the engine owns it."""
    leaf = node.variable
    if node.pre_hooks:
        g, owned = run_pre_hooks(node, (g,))[0], False
    hooked = run_leaf_hooks(leaf, g)
    if hooked is not g:
        g, owned = hooked, False
    meta = leaf.autograd_meta()
    have = meta.grad
    if have is None:
        meta.grad = g if owned and not create_graph and same_layout(g, leaf) else T.clone_like(g, leaf)
    elif create_graph:
        meta.grad = T.add(have, g)
    else:
        T.iadd(have, g)
    if meta.post_hooks:
        for hook in tuple(meta.post_hooks.values()):
            hook(leaf)
    if node.hooks:
        run_hooks(node, (), (g,))


def same_layout(g: Any, leaf: Any) -> bool:
    """Whether `g` is dense in the strides of its leaf (a hidden layout reports them by construction)."""
    if g._requires_grad:
        return False
    return g._array is None or leaf._array is None or array_of(g).strides == array_of(leaf).strides


def check_hook_result(result: Any, g: Any) -> Any:
    """What a tensor hook returned, or the gradient itself for None."""
    if result is None:
        return g
    if not is_tensor(result):
        raise TypeError(f"a tensor hook must return None or a Tensor, got {type(result).__name__}")
    if g is not None and result._shape != g._shape:
        raise RuntimeError(f"hook has changed the size of value: expected {list(g._shape)}, got {list(result._shape)}")
    return result


def run_tensor_hooks(node: Node, box: Arriving) -> None:
    """The hooks that `Tensor.register_hook` put on outputs of `node`."""
    assert node.tensor_hooks is not None
    for nr, hooks in node.tensor_hooks.items():
        for hook in tuple(hooks.values()):
            if box.grads[nr] is not None:
                box.grads[nr] = check_hook_result(hook(box.grads[nr]), box.grads[nr])
                box.owned[nr] = False


def run_leaf_hooks(leaf: Any, g: Any) -> Any:
    """The hooks that `Tensor.register_hook` put on a leaf."""
    hooks = None if leaf._meta is None else leaf._meta.hooks
    if hooks:
        for hook in tuple(hooks.values()):
            g = check_hook_result(hook(g), g)
    return g


def keep_retained(node: Node, box: Arriving) -> None:
    """`.grad` of computed tensors that asked to retain it."""
    assert node.retained is not None
    for nr, reference in node.retained.items():
        tensor, g = reference(), box.grads[nr]
        if tensor is None or g is None:
            continue
        meta = tensor.autograd_meta()
        meta.grad = g if meta.grad is None else T.add(meta.grad, g)
        box.owned[nr] = False


def run_pre_hooks(node: Node, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_prehook`."""
    for hook in tuple((node.pre_hooks or {}).values()):
        result = hook(grads)
        if result is not None:
            grads = result if isinstance(result, tuple) else (result,)
    return grads


def run_hooks(node: Node, found: tuple[Any, ...], grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_hook`."""
    for hook in tuple((node.hooks or {}).values()):
        result = hook(found, grads)
        if result is not None:
            result = result if isinstance(result, tuple) else (result,)
            if len(result) != len(found):
                raise RuntimeError(f"a hook on {node.name()} returned {len(result)} gradients, expected {len(found)}")
            found = result
    return found


def run_backward(
    roots: Sequence[Edge],
    grads: Sequence[Any],
    *,
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Edge] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Walk back from `roots` with cotangents `grads`.

    With `inputs` only what leads to them runs; the cotangents that arrive there are returned in order (None where none
    did). With `accumulate` leaves receive theirs in `.grad`.
    """
    captures: dict[tuple[Node, int], int] | None = None
    if inputs is not None:
        captures = {}
        for edge in inputs:
            captures.setdefault(edge, len(captures))
    before, outer = set_grad(create_graph), local.walk
    try:
        walk = local.walk = Walk(roots, captures, accumulate, retain_graph, create_graph)
        for edge, g in zip(roots, grads, strict=True):
            walk.send(edge, fit(g, edge[0].metas[edge[1]], edge[0], 0), False)
        for node in {node for node, _ in roots}:
            if walk.waiting[node] == 0:
                walk.enqueue(node)
        walk.run()
    finally:
        set_grad(before)
        local.walk = outer
    return [walk.captured[captures[edge]] for edge in inputs] if inputs is not None and captures is not None else []
