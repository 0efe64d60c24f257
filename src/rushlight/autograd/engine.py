"""The engine: walks recorded nodes from the outputs back and hands each its cotangents. Iterative, never recursive.

A node runs when all cotangents that can reach it have arrived (dependency counting); among the ready ones the latest
recorded runs first, as in torch. What a node saved is freed as soon as it has run, unless `retain_graph`.

The walk keeps, beside every cotangent, whether the engine *owns* it alone. Only such a one becomes a leaf's `.grad`
without a copy, so two leaves never share memory, nor a leaf and the caller.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from rushlight.base.dtypes import COMPLEX
from rushlight.core.hooks import HookDict
from rushlight.core.modes import local, set_grad
from rushlight.core.node import AccumulateGrad, Edge, Meta, Node, Packed, SavedOutput
from rushlight.core.table import T
from rushlight.core.tensor import is_tensor, numpy_strides


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
        inputs: Sequence[Edge] | None,
        accumulate: bool,
        retain_graph: bool,
        create_graph: bool,
    ) -> None:
        self.accumulate = accumulate
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.captures: dict[Edge, Any] = dict.fromkeys(inputs or ()) if not accumulate else {}
        self.arriving: dict[Node, Arriving] = {}
        self.ready: list[tuple[int, int, Node]] = []
        self.waiting = count_dependencies(roots)
        # With `inputs`: the nodes that must run, and those that are run or looked at.
        self.wanted: set[Node] | None = None
        self.reached: set[Node] | None = None
        if inputs is not None:
            targets = {node for node, _ in inputs}
            self.wanted = leading_to(self.waiting, targets)
            if accumulate:
                self.wanted |= targets
            self.reached = self.wanted | targets
        self.current: Node | None = None  # the node that runs now

    def reaches(self, node: Node | None) -> bool:
        """Whether `node` gets cotangents in this pass."""
        return node in self.waiting and (self.reached is None or node in self.reached)

    def send(self, edge: Edge, g: Any, owned: bool) -> None:
        """A cotangent arrives over `edge`."""
        node, nr = edge
        box = self.arriving.get(node)
        if box is None:
            box = self.arriving[node] = Arriving(len(node.metas))
        box.add(nr, g, owned)

    def enqueue(self, node: Node) -> None:
        """Let `node` run: leaves first, then the latest recorded."""
        rank = 0 if isinstance(node, AccumulateGrad) else 1
        heapq.heappush(self.ready, (rank, -node.sequence, node))

    def run(self) -> None:
        """Run every ready node until none is left."""
        ready, arriving = self.ready, self.arriving
        while ready:
            node = self.current = heapq.heappop(ready)[2]
            box = arriving.pop(node, None)
            self.visit(node, Arriving(len(node.metas)) if box is None else box)

    def visit(self, node: Node, box: Arriving) -> None:
        """Run hooks, captures and the node itself; send the results on."""
        runs = self.wanted is None or node in self.wanted
        if runs and self.captures:  # as torch: where the node runs too, what is captured is what its hooks have not changed yet
            self.capture(node, box)
        if node.tensor_hooks is not None or node.retained is not None or isinstance(node, AccumulateGrad):
            run_tensor_hooks(node, box)
        if not runs:
            self.capture(node, box)
            return
        if isinstance(node, AccumulateGrad):
            if self.accumulate:
                accumulate(node, box.grads[0], box.owned[0], self.create_graph)
            return
        grads = tuple(box.grads)
        if node.pre_hooks:
            grads = run_pre_hooks(node, grads)
        if node.runs_without_cotangent or any([g is not None for g in grads]):
            found = node.run(grads)
            if len(found) != len(node.edges):
                raise RuntimeError(
                    f"{node.name()} returned {len(found)} gradients, expected one for each of its {len(node.edges)} inputs"
                )
            fitted = fit_all(node, found)
        else:
            fitted = (None,) * len(node.edges)
        if node.hooks:
            fitted = fit_all(node, run_hooks(node, fitted, grads))
        if local.anomaly:
            T.check_anomaly(node, fitted)
        owned = ownership(node, fitted, box)
        if not self.retain_graph:
            node.release()
        self.pass_on(node, fitted, owned)

    def capture(self, node: Node, box: Arriving) -> None:
        """Keep what arrived for `autograd.grad`."""
        for nr, g in enumerate(box.grads):
            if (node, nr) in self.captures:
                self.captures[node, nr] = g
                box.owned[nr] = False

    def pass_on(self, node: Node, grads: tuple[Any, ...], owned: Sequence[bool]) -> None:
        """Send the results over the node's edges; let those run for which nothing more can arrive."""
        waiting, reached = self.waiting, self.reached
        for edge, g, alone in zip(node.edges, grads, owned, strict=True):
            if edge is None:
                continue
            target = edge[0]
            if reached is not None and target not in reached:
                continue
            if g is not None:
                self.send(edge, g, alone)
            left = waiting[target] = waiting[target] - 1
            if left == 0:
                self.enqueue(target)


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
    """The nodes that must run so that the targets get their cotangents: those with a path to one of them."""
    into: dict[Node, list[Node]] = {}
    for node in nodes:
        for edge in node.edges:
            if edge is not None:
                into.setdefault(edge[0], []).append(node)
    wanted: set[Node] = set()
    stack = list(targets)
    while stack:
        for node in into.get(stack.pop(), ()):
            if node not in wanted:
                wanted.add(node)
                stack.append(node)
    return wanted


def fit_all(node: Node, found: tuple[Any, ...]) -> tuple[Any, ...]:
    """The results of `node` as the receivers want them; None where nobody does."""
    fitted: list[Any] = []
    for i, (g, edge) in enumerate(zip(found, node.edges, strict=True)):
        if g is None or edge is None:
            fitted.append(None)
            continue
        meta = edge[0].metas[edge[1]]
        if g._dtype is not meta.dtype or g._shape != meta.shape or g._device is not meta.device:
            g = fit(g, meta, node, i)
        fitted.append(g)
    return tuple(fitted)


def fit(g: Any, meta: Meta, node: Node | None, i: int) -> Any:
    """`g` summed and cast to what the receiving output is: rules may return the broadcast shape and promoted dtype."""
    source = "" if node is None else f"Function {node.name()} returned an "
    if g._device is not meta.device and g._device.type != meta.device.type and (g._shape or g._device.type != "cpu"):
        raise RuntimeError(f"{source}invalid gradient at index {i} - expected device {meta.device} but got {g._device}")
    if g._dtype is not meta.dtype:
        if g._dtype.category == COMPLEX and meta.dtype.category != COMPLEX:
            g = g.real
        g = g.to(meta.dtype)
    if g._shape != meta.shape:
        try:
            g = g.sum_to_size(meta.shape)
        except RuntimeError:
            raise RuntimeError(
                f"{source}invalid gradient at index {i} - got {list(g._shape)} but expected shape compatible with "
                f"{list(meta.shape)}"
            ) from None
    return g


def ownership(node: Node, found: tuple[Any, ...], box: Arriving) -> list[bool]:
    """Which results nobody else can hold: fresh ones, and arrived ones the engine owned and that are passed on once."""
    if node.op is None or node.hooks or node.pre_hooks or not local.plain:
        return [False] * len(found)
    arrived = {id(g._storage): owned for g, owned in zip(box.grads, box.owned, strict=True) if g is not None}
    taken = storages_kept(node.saved)
    if taken is None:
        return [False] * len(found)
    storages = [id(g._storage) for g in found if g is not None]
    return [
        g is not None
        and g._view is None
        and storages.count(id(g._storage)) == 1
        and id(g._storage) not in taken
        and arrived.get(id(g._storage), True)
        for g in found
    ]


def storages_kept(saved: Any) -> set[int] | None:
    """The storages that a node's saved values hold; None when hooks of the user's decide what they are."""
    found: set[int] = set()
    for value in saved if type(saved) is tuple else ():
        if type(value) is Packed:
            return None
        if type(value) is SavedOutput:
            value = value.alias
        if is_tensor(value):
            found.add(id(value._storage))
    return found


def accumulate(node: AccumulateGrad, g: Any, owned: bool, create_graph: bool) -> None:
    """Add `g` to the leaf's `.grad`; the first one is kept without a copy when the engine owns it."""
    leaf = node.variable
    if node.pre_hooks:
        g, owned = run_pre_hooks(node, (g,))[0], False
    meta = leaf.autograd_meta()
    have = meta.grad
    if g is None:
        pass
    elif have is None:
        meta.grad = g if owned and not create_graph and same_layout(g, leaf) else T.clone_like(g, leaf)
    elif create_graph:
        meta.grad = T.add(have, g)
    else:
        T.iadd(have, g)
    if meta.post_hooks:
        for hook in tuple(meta.post_hooks.values()):
            result = hook(leaf)
            if result is not None:
                raise TypeError(f"a post accumulate grad hook must return None, but hook returned '{type(result).__name__}'")
    if node.hooks:
        run_hooks(node, (), (g,))


def same_layout(g: Any, leaf: Any) -> bool:
    """Whether `g` lies in memory as its leaf reports to (a hidden layout is reported as row-major)."""
    if g._requires_grad:
        return False
    a, b = g._array, leaf._array
    return bool(a.strides == b.strides if a is not None and b is not None else numpy_strides(g) == numpy_strides(leaf))


def check_hook_result(hook: Any, result: Any, g: Any) -> Any:
    """What a hook returned in place of the gradient `g`, checked to be like it; `g` itself for None."""
    if result is None:
        return g
    name = getattr(hook, "__name__", type(hook).__name__)
    if not is_tensor(result):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}': {name} must return a Tensor or None")
    if g is None:
        return result
    if result._shape != g._shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value (was {list(g._shape)} got {list(result._shape)})")
    if result._dtype is not g._dtype:
        raise RuntimeError(f"hook '{name}' has changed the type of value (was {g._dtype!r} got {result._dtype!r})")
    if result._device is not g._device:
        raise RuntimeError(f"hook '{name}' has changed the device of value (was {g._device} got {result._device})")
    return result


def run_tensor_hooks(node: Node, box: Arriving) -> None:
    """The hooks that `Tensor.register_hook` put on outputs of `node`, or on its leaf, and `.grad` of tensors that retain it."""
    if isinstance(node, AccumulateGrad):
        meta = node.variable._meta
        if meta is not None and meta.hooks:
            run_hooks_of_output(meta.hooks, box, 0)
        return
    if node.tensor_hooks is not None:
        for nr, hooks in node.tensor_hooks.items():
            run_hooks_of_output(hooks, box, nr)
    if node.retained is not None:
        keep_retained(node, box)


def run_hooks_of_output(hooks: HookDict, box: Arriving, nr: int) -> None:
    """The hooks on one output. They may keep what they are shown, so the engine no longer owns it."""
    for hook in tuple(hooks.values()):
        box.grads[nr] = check_hook_result(hook, hook(box.grads[nr]), box.grads[nr])
        box.owned[nr] = False


def keep_retained(node: Node, box: Arriving) -> None:
    """`.grad` of computed tensors that asked to retain it: a copy of their own."""
    assert node.retained is not None
    for nr, reference in node.retained.items():
        tensor, g = reference(), box.grads[nr]
        if tensor is None or g is None:
            continue
        meta = tensor.autograd_meta()
        meta.grad = g.clone() if meta.grad is None else T.add(meta.grad, g)


def run_pre_hooks(node: Node, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_prehook`."""
    for hook in tuple((node.pre_hooks or {}).values()):
        grads = replaced(hook, hook(grads), grads)
    return grads


def run_hooks(node: Node, found: tuple[Any, ...], grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_hook`."""
    for hook in tuple((node.hooks or {}).values()):
        found = replaced(hook, hook(found, grads), found)
    return found


def replaced(hook: Any, result: Any, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a hook on a node returned in place of `grads`, checked one by one."""
    if result is None:
        return grads
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(grads):
        name = getattr(hook, "__name__", type(hook).__name__)
        raise RuntimeError(f"hook '{name}' has returned an incorrect number of values (got {len(result)}, but expected {len(grads)})")
    return tuple([check_hook_result(hook, r, g) for r, g in zip(result, grads, strict=True)])


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

    With `inputs` only what leads to them runs. With `accumulate` leaves receive their cotangents in `.grad`; without it
    those that arrive at `inputs` are returned in order, None where none did.
    """
    before, outer = set_grad(create_graph), local.walk
    walk = Walk(roots, inputs, accumulate, retain_graph, create_graph)
    local.walk = walk
    try:
        for i, (edge, g) in enumerate(zip(roots, grads, strict=True)):
            walk.send(edge, fit(g, edge[0].metas[edge[1]], None, i), False)
        for node in dict.fromkeys([node for node, _ in roots]):
            if walk.waiting[node] == 0 and walk.reaches(node):
                walk.enqueue(node)
        walk.run()
    except Exception:
        if local.anomaly and walk.current is not None:
            T.report_anomaly(walk.current)
        raise
    finally:
        set_grad(before)
        local.walk = outer
    return [] if inputs is None or accumulate else [walk.captures[edge] for edge in inputs]
