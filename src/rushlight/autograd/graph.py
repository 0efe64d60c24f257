"""torch.autograd.graph: the nodes of the graph and hooks on them and on what they save."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.core.hooks import HookHandle
from rushlight.core.inplace import wrote
from rushlight.core.modes import Override, local
from rushlight.core.node import GradientEdge, Node, edge_of
from rushlight.core.tensor import TensorBase

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge at which the gradient of `tensor` arrives; `RuntimeError` when it does not require one."""
    edge = edge_of(tensor) if tensor.requires_grad else None
    if edge is None:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(*edge)


class saved_tensors_hooks:
    """Inside, every tensor an operation saves goes through `pack_hook`, and comes back through `unpack_hook`.

    pack_hook(tensor) may return anything; unpack_hook(that) must return the tensor again.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if local.modes.saved_hooks_disabled is not None:
            raise RuntimeError(local.modes.saved_hooks_disabled)
        self.override = Override(saved_hooks=(*local.modes.saved_hooks, self.hooks))
        self.override.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.override.__exit__(*exc)


class save_on_cpu(saved_tensors_hooks):
    """Inside, saved tensors are kept in host memory, and brought back to their device when they are needed.

    Those that are there already are not copied; that they were not overwritten meanwhile is checked as always.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(_to_host, _from_host)


def _to_host(t: Any) -> tuple[Any, Any, int]:
    host = t.cpu()
    return t.device, host, host._storage.version


def _from_host(packed: tuple[Any, Any, int]) -> Any:
    where, host, version = packed
    if host._storage.version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: a tensor of shape "
            f"{list(host._shape)} that save_on_cpu keeps at version {version} is at version {host._storage.version} now"
        )
    return host.to(where)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, `saved_tensors_hooks` raises `RuntimeError` with this message; so does this where hooks are active already.

    Also a decorator.
    """
    if local.modes.saved_hooks:
        raise RuntimeError(error_message)
    with Override(saved_hooks_disabled=error_message):
        yield


class _MultiHandle:
    """Removes several hooks at once."""

    def __init__(self, handles: tuple[HookHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Take all of them away."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., None], *, mode: str = "all") -> Any:
    """Call `fn` once the gradients of all `tensors` are known (mode "all": with the list of them, None where the pass
    does not reach), or of the first one (mode "any": with that one), in each backward pass.

    Raises `ValueError` for another mode and `RuntimeError` for a tensor that does not require a gradient. Returns a handle
    with `remove()`.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    for i, t in enumerate(tensors):
        if not isinstance(t, TensorBase) or not t.requires_grad:
            raise RuntimeError(f"register_multi_grad_hook: tensors[{i}] does not require a gradient")
    state = _Arrivals(tensors, fn, mode == "any")
    return _MultiHandle(tuple(t.register_hook(state.hook(i)) for i, t in enumerate(tensors)))


class _Arrivals:
    """Gradients that have arrived in the backward pass under way."""

    def __init__(self, tensors: Sequence[Any], fn: Callable[..., None], first_only: bool) -> None:
        self.fn = fn
        self.first_only = first_only
        # Weak: the hooks hold this object, and nodes and tensors hold the hooks. A leaf has a new node in each graph.
        self.places = [weakref.ref(t if t.grad_fn is None else t.grad_fn) for t in tensors]
        self.walk = 0
        self.grads: list[Any] = []
        self.expected = 0
        self.arrived = 0

    def start(self, walk: Any) -> None:
        """Forget the pass before and count the gradients that this one will bring."""
        self.walk = walk.number
        self.grads = [None] * len(self.places)
        self.arrived = 0
        self.expected = sum(walk.reaches(node_at(place())) for place in self.places)

    def hook(self, i: int) -> Callable[[Any], None]:
        def arrive(g: Any) -> None:
            walk = local.modes.walk
            if self.walk != walk.number:
                self.start(walk)
            self.grads[i] = g
            self.arrived += 1
            if self.first_only:
                if self.arrived == 1:
                    self.fn(g)
            elif self.arrived == self.expected:
                grads, self.grads = self.grads, []
                self.fn(grads)

        return arrive


def node_at(place: Any) -> Node | None:
    """The node of a leaf in the graphs that exist now; a node itself."""
    if not isinstance(place, TensorBase):
        return place  # type: ignore[no-any-return]
    meta = place._meta
    return None if meta is None or meta.accumulator is None else meta.accumulator()


def increment_version(tensor: Any) -> None:
    """Count a change of the memory of a tensor, or of several, that was made behind rushlight's back."""
    for t in (tensor,) if isinstance(tensor, TensorBase) else tensor:
        wrote(t)
