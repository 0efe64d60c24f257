"""torch.autograd.graph: the nodes of the graph and hooks on them and on what they save."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rushlight.core.inplace import wrote
from rushlight.core.modes import Override, local
from rushlight.core.node import HookHandle, Node
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


class GradientEdge(NamedTuple):
    """A place in the graph to differentiate with respect to (or from), without keeping the tensor alive."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The edge at which the gradient of `tensor` arrives; `RuntimeError` when it does not require one."""
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(*tensor.edge())


class saved_tensors_hooks:
    """Inside, every tensor an operation saves goes through `pack_hook`, and comes back through `unpack_hook`.

    pack_hook(tensor) may return anything; unpack_hook(that) must return the tensor again.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if local.saved_hooks_disabled is not None:
            raise RuntimeError(local.saved_hooks_disabled)
        self.override = Override(saved_hooks=(*local.saved_hooks, self.hooks))
        self.override.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.override.__exit__(*exc)


class save_on_cpu(saved_tensors_hooks):
    """Inside, saved tensors are kept in host memory."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda t: (t.device, t.cpu()), lambda packed: packed[1].to(packed[0]))


class disable_saved_tensors_hooks(Override):
    """Inside, `saved_tensors_hooks` raises `RuntimeError` with this message."""

    def __init__(self, error_message: str) -> None:
        super().__init__(saved_hooks_disabled=error_message)


class _SeveralHandles:
    """Removes several hooks at once."""

    def __init__(self, handles: tuple[HookHandle, ...]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _SeveralHandles:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., None], *, mode: str = "all") -> Any:
    """Call `fn` once the gradients of all `tensors` are known (mode "all": with the list of them, None where the pass
    does not reach), or of the first one (mode "any": with that one), in each backward pass.

    Returns a handle with `remove()`.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    for i, t in enumerate(tensors):
        if not isinstance(t, TensorBase) or not t.requires_grad:
            raise RuntimeError(f"register_multi_grad_hook: tensors[{i}] does not require a gradient")
    state = _Arrivals(len(tensors), fn, mode == "any")
    handles = tuple(t.register_hook(state.hook(i)) for i, t in enumerate(tensors))
    state.nodes = [weakref.ref(t.edge()[0]) for t in tensors]
    return _SeveralHandles(handles)


class _Arrivals:
    """Gradients that have arrived in the backward pass under way."""

    def __init__(self, count: int, fn: Callable[..., None], first_only: bool) -> None:
        self.count = count
        self.fn = fn
        self.first_only = first_only
        self.nodes: list[Any] = []
        self.pass_id: Any = None
        self.grads: list[Any] = []
        self.expected = 0
        self.arrived = 0

    def hook(self, i: int) -> Callable[[Any], None]:
        def arrive(g: Any) -> None:
            walk = local.walk
            if walk is not self.pass_id:
                self.pass_id = walk
                self.grads = [None] * self.count
                self.arrived = 0
                self.expected = sum(1 for node in self.nodes if walk is None or walk.reaches(node()))
            self.grads[i] = g
            self.arrived += 1
            if self.first_only:
                if self.arrived == 1:
                    self.fn(g)
            elif self.arrived == self.expected:
                self.fn(self.grads)

        return arrive


def increment_version(tensor: Any) -> None:
    """Count a change of `tensor`'s memory that was made behind rushlight's back."""
    for t in (tensor,) if isinstance(tensor, TensorBase) else tensor:
        wrote(t)
