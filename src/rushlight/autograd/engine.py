"""The engine: walks recorded nodes from the outputs back and hands each its cotangents. Iterative, never recursive.

A node runs when all cotangents that can reach it have arrived (dependency counting); among the ready ones the latest
recorded runs first, as in torch. What a node saved is freed as soon as it has run, unless `retain_graph`.

The walk keeps, beside every cotangent, whether the engine *owns* it alone. Only such a one becomes a leaf's `.grad`
without a copy, so two leaves never share memory, nor a leaf and the caller.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any, Final, cast

from rushlight.base.dtypes import COMPLEX
from rushlight.core.hooks import HookDict
from rushlight.core.modes import Modes, local, set_grad
from rushlight.core.node import (
    AccumulateGrad,
    Edge,
    Extras,
    Meta,
    Node,
    Packed,
    SavedOutput,
    edges_of,
    release_node,
    run_node,
    unpack_node,
)
from rushlight.core.storage import AutogradMeta
from rushlight.core.strides import numpy_strides
from rushlight.core.table import T
from rushlight.core.tensor import TensorBase, is_tensor, make_alias


class Task:
    """A node in a pass: how many edges still have to bring something, what arrived for its outputs, and which of it is owned.

    owned: a bit for each output whose cotangent the engine alone holds.
    """

    __slots__ = ("node", "waiting", "grads", "owned")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waiting = 0
        self.grads: list[Any] = [None] if node.metas is None else [None] * len(node.metas)
        self.owned = 0

    def add(self, nr: int, g: Any, owned: bool) -> None:
        """A cotangent for output `nr` arrives."""
        have = self.grads[nr]
        self.grads[nr] = g if have is None else T.add.run(have, g)
        if owned or have is not None:
            self.owned |= 1 << nr

    def __lt__(self, other: Task) -> bool:
        """Two threads may have given two nodes one number: any order of them serves."""
        return id(self) < id(other)

    def owns(self, nr: int) -> bool:
        """Whether the engine alone holds the cotangent of output `nr`."""
        return (self.owned >> nr) & 1 == 1

    def shown(self, nr: int) -> None:
        """Someone else may hold the cotangent of output `nr` from now on."""
        if self.owns(nr):
            self.owned -= 1 << nr


_LEAF: Final = -(1 << 60)  # below every other place in the queue: sequence numbers are never that large
_next_number: Final = itertools.count(1).__next__


class Walk:
    """One backward pass."""

    __slots__ = (
        "accumulate", "retain_graph", "create_graph", "captures", "tasks", "only", "ready", "wanted", "reached", "current", "checked",
        "watched", "simple", "number",
    )  # fmt: skip

    def __init__(
        self,
        roots: Sequence[Edge],
        inputs: Sequence[Edge] | None,
        accumulate: bool,
        retain_graph: bool,
        create_graph: bool,
    ) -> None:
        self.number: int = _next_number()  # no other pass has it
        self.accumulate = accumulate
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.captures: dict[Edge, Any] = dict.fromkeys(inputs or ()) if not accumulate else {}
        # Those that may run; a single one, the usual case, waits outside the heap.
        self.only: Task | None = None
        self.ready: list[tuple[int, Task]] = []
        self.tasks = count_dependencies(roots)
        # With `inputs`: the nodes that must run, and those that are run or looked at.
        self.wanted: set[Node] | None = None
        self.reached: set[Node] | None = None
        if inputs is not None:
            targets = {node for node, _ in inputs}
            self.wanted = leading_to(self.tasks, targets)
            if accumulate:
                self.wanted |= targets
            self.reached = self.wanted | targets
        self.current: Node | None = None  # the node that runs now
        modes: Modes = local.modes
        self.checked: bool = modes.anomaly
        self.watched: bool = not modes.plain  # someone may hold on to what operations return
        # Everything runs, and nobody sees what passes between two nodes but for hooks.
        self.simple: bool = inputs is None and not (create_graph or self.checked or self.watched)

    def reaches(self, node: Node | None) -> bool:
        """Whether `node` gets cotangents in this pass."""
        return node in self.tasks and (self.reached is None or node in self.reached)

    def enqueue(self, task: Task) -> None:
        """Let a node run: leaves first, then the latest recorded."""
        if self.only is None and not self.ready:
            self.only = task
            return
        if self.only is not None:
            self.push(self.only)
            self.only = None
        self.push(task)

    def push(self, task: Task) -> None:
        """Put a node among several ready ones."""
        node = task.node
        heappush(self.ready, (_LEAF - node.sequence if isinstance(node, AccumulateGrad) else -node.sequence, task))

    def run(self) -> None:
        """Run every ready node until none is left."""
        ready = self.ready
        while True:
            if self.only is not None:
                task, self.only = self.only, None
            elif ready:
                task = heappop(ready)[1]
            else:
                return
            self.current = task.node
            self.visit(task.node, task)
            task.grads = []

    def visit(self, node: Node, task: Task) -> None:
        """Run hooks, captures and the node itself; send the results on."""
        runs = self.wanted is None or node in self.wanted
        if runs and self.captures:  # as torch: where the node runs too, what is captured is what its hooks have not changed yet
            self.capture(node, task)
        leaf = isinstance(node, AccumulateGrad)
        if leaf or node.extras is not None:
            run_tensor_hooks(node, task)
        if not runs:
            self.capture(node, task)
            return
        if leaf:
            if self.accumulate:
                accumulate(cast(AccumulateGrad, node), task.grads[0], task.owns(0), self.create_graph)
            return
        if self.simple and len(node.edges) == 1 and self.run_with_gated(node, task):
            return
        found = self.cotangents(node, task)
        if self.checked:
            T.check_anomaly(node, found)
        owned = ownership(node, found, task, self.watched)
        self.release(node)
        self.pass_on(node, found, owned)

    def run_with_gated(self, node: Node, task: Task) -> bool:
        """Run `node` and the one before it in one pass: a gate (ReLU) behind an operation that takes it along (batch norm).

        False, and nothing is done, where there is no such pair, someone could look in between, or another node is due first.
        """
        edge: Edge | None = node.edges[0]
        if edge is None or edge[0].metas is None or self.only is not None or self.ready:
            return False
        target, nr = edge
        before = self.tasks[target]
        op, gate_op = target.op, node.op
        if op is None or gate_op is None or not op.takes_gate or node.extras is not None or target.extras is not None:
            return False
        bounds = gate_op.gate()
        if bounds is None or nr != 0 or task.grads[0] is None:
            return False
        for g in before.grads:  # nobody else is due who could still send something
            if g is not None:
                return False
        gate = unpack_node(node)[0]
        self.current = target
        before.grads[0] = task.grads[0]
        found = op.vjp_gated(unpack_node(target), tuple(before.grads), target.needs, gate, bounds)
        found = fit_all(target, found)
        owned = ownership(target, found, before, False)
        self.release(node)
        self.release(target)
        self.pass_on(target, found, owned)
        before.grads = []
        return True

    def release(self, node: Node) -> None:
        """Free what `node` saved, unless it may run again."""
        if self.retain_graph:
            return
        if node.op is None:
            node.release()
        else:
            release_node(node)

    def cotangents(self, node: Node, task: Task) -> tuple[Any, ...]:
        """Run the node and its hooks; what it returns is brought to the shapes and dtypes of the receivers."""
        grads = tuple(task.grads)
        if node.extras is not None:
            grads = run_pre_hooks(node, grads)
        arrived = False
        for g in grads:
            if g is not None:
                arrived = True
        fitted: tuple[Any, ...]
        if arrived or (node.op is None and node.runs_without_cotangent):
            found = node.run(grads) if node.op is None else run_node(node, grads)
            if len(found) != len(node.edges):
                raise RuntimeError(
                    f"{node.name()} returned {len(found)} gradients, expected one for each of its {len(node.edges)} inputs"
                )
            fitted = fit_all(node, found)
        else:
            fitted = (None,) * len(node.edges)
        if node.extras is not None and node.extras.hooks:
            fitted = fit_all(node, run_hooks(node, fitted, grads))
        return fitted

    def capture(self, node: Node, task: Task) -> None:
        """Keep what arrived for `autograd.grad`."""
        for nr, g in enumerate(task.grads):
            if (node, nr) in self.captures:
                self.captures[node, nr] = g
                task.shown(nr)

    def pass_on(self, node: Node, grads: tuple[Any, ...], owned: int) -> None:
        """Send the results over the node's edges; let those run for which nothing more can arrive."""
        tasks, reached = self.tasks, self.reached
        edges: tuple[Edge | None, ...] = node.edges
        for i, edge in enumerate(edges):
            if edge is None:
                continue
            target = edge[0]
            if reached is not None and target not in reached:
                continue
            task = tasks[target]
            g = grads[i]
            if g is not None:
                task.add(edge[1], g, (owned >> i) & 1 == 1)
            task.waiting -= 1
            if task.waiting == 0:
                self.enqueue(task)


def count_dependencies(roots: Sequence[Edge]) -> dict[Node, Task]:
    """The reachable nodes, with how many edges lead to each."""
    tasks: dict[Node, Task] = {}
    stack: list[Node] = []
    for root, _ in roots:
        if root not in tasks:
            tasks[root] = Task(root)
            stack.append(root)
    while stack:
        for edge in edges_of(stack.pop()):
            if edge is None:
                continue
            target = edge[0]
            task = tasks.get(target)
            if task is None:
                task = tasks[target] = Task(target)
                stack.append(target)
            task.waiting += 1
    return tasks


def leading_to(nodes: dict[Node, Task], targets: set[Node]) -> set[Node]:
    """The nodes that must run so that the targets get their cotangents: those with a path to one of them."""
    into: dict[Node, list[Node]] = {}
    edges: tuple[Edge | None, ...]
    for node in nodes:
        edges = node.edges
        for edge in edges:
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
    changed: list[Any] | None = None
    edges: tuple[Edge | None, ...] = node.edges
    for i, edge in enumerate(edges):
        g: TensorBase | None = found[i]
        if g is None:
            continue
        fits: Any = None
        if edge is not None:
            target = edge[0]
            if target.metas is None and (
                g._dtype is target._dtype and g._device is target._device and g._shape == target._shape
            ):
                continue
            fits = fit(g, target.meta(edge[1]), node, i)
        if changed is None:
            changed = list(found)
        changed[i] = fits
    return found if changed is None else tuple(changed)


def fit(g: Any, meta: Meta, node: Node | None, i: int) -> Any:
    """`g` summed and cast to what the receiving output is: rules may return the broadcast shape and promoted dtype."""
    if g._dtype is meta.dtype and g._shape == meta.shape and g._device is meta.device:
        return g
    source = "" if node is None else f"Function {node.name()} returned an "
    if g._device is not meta.device and g._device.type != meta.device.type and (g._shape or g._device.type != "cpu"):
        raise RuntimeError(f"{source}invalid gradient at index {i} - expected device {meta.device} but got {g._device}")
    if g._dtype is not meta.dtype:
        if g._dtype.category == COMPLEX and meta.dtype.category != COMPLEX:
            g = g.real
        g = g.to(meta.dtype)
    if g._shape != meta.shape:
        try:
            g = T.sum_to(g, meta.shape)
        except RuntimeError:
            raise RuntimeError(
                f"{source}invalid gradient at index {i} - got {list(g._shape)} but expected shape compatible with "
                f"{list(meta.shape)}"
            ) from None
    return g


def ownership(node: Node, found: tuple[Any, ...], task: Task, watched: bool) -> int:
    """Which results nobody else can hold, a bit for each: fresh ones, and arrived ones that were owned and are passed on once."""
    if node.op is None or watched or (node.extras is not None and (node.extras.hooks or node.extras.pre_hooks)):
        return 0
    owned = 0
    for i, g in enumerate(found):
        if g is not None and is_alone(node, g, i, found, task):
            owned |= 1 << i
    return owned


def is_alone(node: Node, g: TensorBase, place: int, found: tuple[Any, ...], task: Task) -> bool:
    """Whether the memory of the result number `place` is no other result's, no saved value's and nobody else's who sent it."""
    storage = g._storage
    other: TensorBase | None
    for i, other in enumerate(found):
        if i != place and other is not None and other._storage is storage:
            return False
    for i, other in enumerate(task.grads):
        if other is not None and other._storage is storage and not task.owns(i):
            return False
    if node.versions:
        for value in node.saved:
            if isinstance(value, Packed):  # hooks of the user's decide what it is
                return False
            if isinstance(value, SavedOutput):
                value = value.alias
            if isinstance(value, TensorBase) and value._storage is storage:
                return False
    return True


def accumulate(node: AccumulateGrad, g: TensorBase | None, owned: bool, create_graph: bool) -> None:
    """Add `g` to the leaf's `.grad`; the first one is kept without a copy when the engine owns it."""
    leaf = node.variable
    extras = node.extras
    if extras is not None and extras.pre_hooks:
        g, owned = run_pre_hooks(node, (g,))[0], False
    meta = leaf._meta
    if meta is None:
        meta = leaf._meta = AutogradMeta()
    have = meta.grad
    if g is None:
        pass
    elif have is None:
        if owned and not create_graph and same_layout(g, leaf):
            meta.grad = g if g._view is None else make_alias(g)
        else:
            meta.grad = T.clone_like(g, leaf)
    elif create_graph:
        meta.grad = T.add.run(have, g)
    else:
        T.iadd.run(have, g)
    if meta.post_hooks:
        for hook in tuple(meta.post_hooks.values()):
            result = hook(leaf)
            if result is not None:
                raise TypeError(f"a post accumulate grad hook must return None, but hook returned '{type(result).__name__}'")
    if extras is not None and extras.hooks:
        run_hooks(node, (), (g,))


def same_layout(g: TensorBase, leaf: TensorBase) -> bool:
    """Whether `g` lies in memory as its leaf reports to (a hidden layout is reported as row-major)."""
    if g._requires_grad:
        return False
    a: Any = g._array
    b: Any = leaf._array
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


def run_tensor_hooks(node: Node, task: Task) -> None:
    """The hooks that `Tensor.register_hook` put on outputs of `node`, or on its leaf, and `.grad` of tensors that retain it."""
    if isinstance(node, AccumulateGrad):
        meta = node.variable._meta
        if meta is not None and meta.hooks:
            run_hooks_of_output(meta.hooks, task, 0)
        return
    if node.extras is not None:
        for nr, hooks in node.extras.tensor_hooks.items():
            run_hooks_of_output(hooks, task, nr)
        keep_retained(node.extras, task)


def run_hooks_of_output(hooks: HookDict, task: Task, nr: int) -> None:
    """The hooks on one output. They may keep what they are shown, so the engine no longer owns it."""
    for hook in tuple(hooks.values()):
        task.grads[nr] = check_hook_result(hook, hook(task.grads[nr]), task.grads[nr])
        task.shown(nr)


def keep_retained(extras: Extras, task: Task) -> None:
    """`.grad` of computed tensors that asked to retain it: a copy of their own."""
    for nr, reference in extras.retained.items():
        tensor, g = reference(), task.grads[nr]
        if tensor is None or g is None:
            continue
        meta = tensor.autograd_meta()
        meta.grad = g.clone() if meta.grad is None else T.add.run(meta.grad, g)


def run_pre_hooks(node: Node, grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_prehook`."""
    if node.extras is not None:
        for hook in tuple(node.extras.pre_hooks.values()):
            grads = replaced(hook, hook(grads), grads)
    return grads


def run_hooks(node: Node, found: tuple[Any, ...], grads: tuple[Any, ...]) -> tuple[Any, ...]:
    """The hooks of `Node.register_hook`."""
    if node.extras is not None:
        for hook in tuple(node.extras.hooks.values()):
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
    modes: Modes = local.modes
    before, outer = set_grad(create_graph), modes.walk
    walk = Walk(roots, inputs, accumulate, retain_graph, create_graph)
    modes.walk = walk
    try:
        for i, edge in enumerate(roots):
            walk.tasks[edge[0]].add(edge[1], fit(grads[i], edge[0].meta(edge[1]), None, i), False)
        for node in dict.fromkeys([node for node, _ in roots]):
            if walk.tasks[node].waiting == 0 and walk.reaches(node):
                walk.enqueue(walk.tasks[node])
        walk.run()
    except Exception:
        if modes.anomaly and walk.current is not None:
            T.report_anomaly(walk.current)
        raise
    finally:
        set_grad(before)
        modes.walk = outer
    return [] if inputs is None or accumulate else [walk.captures[edge] for edge in inputs]
