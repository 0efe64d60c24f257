"""`Function`: operations of the user's own, with forward and backward as static methods.

`type(y.grad_fn).__name__` is `MyFunctionBackward`, as in torch. The node holds the `ctx`, which knows the node weakly: the
attributes a user gives `ctx` can then never be mistaken for the node's own, and no cycle keeps a graph alive.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any, ClassVar, Final

from rushlight.base.dtypes import FLOATING
from rushlight.base.warn import warn_user
from rushlight.core.inplace import adopt_history, check_writable, wrote
from rushlight.core.modes import local, set_grad
from rushlight.core.node import RELEASED, Meta, Node, edge_of
from rushlight.core.storage import View
from rushlight.core.table import T
from rushlight.core.tensor import TensorBase
from rushlight.ops.creation import zeros

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]

# What a `ctx` shows of its node.
_OF_THE_NODE: Final = frozenset(("metadata", "name", "next_functions", "register_hook", "register_prehook"))


class FunctionCtx:
    """What `forward` can tell the graph, and `backward` can ask it; any other attribute is the user's."""

    needs_input_grad: tuple[bool, ...]
    to_save: tuple[Any, ...]
    dirty_tensors: tuple[Any, ...]
    non_differentiable: tuple[Any, ...]
    materialize_grads: bool

    def __init__(self, node: FunctionNode, needs_input_grad: tuple[bool, ...]) -> None:
        self._node = weakref.ref(node)
        self.needs_input_grad = needs_input_grad
        self.to_save = self.dirty_tensors = self.non_differentiable = ()
        self.materialize_grads = True

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_NODE:
            return getattr(self._node(), name)
        raise AttributeError(f"this Function's ctx has no attribute '{name}': set it in forward (or setup_context) first")

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept; empty while `forward` runs."""
        node = self._node()
        return () if node is None else node.unpack()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs and outputs of `forward` for `backward`, checked against in-place changes; call it once.

        Tensors or None only (`TypeError`): other values may be kept as attributes of `ctx`.
        """
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}; keep other "
                    "values as attributes: ctx.name = value"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs `forward` changed in place; they must be among its outputs."""
        _only_tensors("mark_dirty", tensors)
        self.dirty_tensors = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no derivative."""
        _only_tensors("mark_non_differentiable", tensors)
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing cotangents reach `backward` as zeros (the default) or as None."""
        self.materialize_grads = value


def _only_tensors(method: str, values: tuple[Any, ...]) -> None:
    for i, value in enumerate(values):
        if not isinstance(value, TensorBase):
            raise RuntimeError(f"{method} can only accept variables, but argument {i} is of type {type(value).__name__}")


class FunctionNode(Node):
    """The node of a user's Function. Attributes of its `ctx` can be read from it."""

    __slots__ = ("ctx", "are_tensors", "__dict__", "__weakref__")
    function: ClassVar[type[Function]]
    runs_without_cotangent = True
    ctx: FunctionCtx
    are_tensors: tuple[bool, ...]  # which arguments of forward were tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept."""
        return self.unpack()

    def __getattr__(self, name: str) -> Any:
        if name in FunctionNode.__slots__ or name not in self.ctx.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return self.ctx.__dict__[name]

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.saved is RELEASED:
            self.unpack()
        if self.ctx.materialize_grads:
            grads = tuple(
                zeros(meta.shape, dtype=meta.dtype, device=meta.device) if g is None and meta is not None else g
                for g, meta in zip(grads, self.metas or (), strict=True)
            )
        found = _rule(self.function)(self.ctx, *grads)
        found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        inputs = len(self.are_tensors)
        if len(found) > inputs and all(g is None for g in found[inputs:]):
            found = found[:inputs]
        if len(found) != inputs:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {inputs}, got {len(found)}): "
                "backward must return one value for each argument of forward, None for those without a gradient"
            )
        for i, g in enumerate(found):
            if g is not None:
                self._check(i, g)
        return tuple([g for g, is_tensor in zip(found, self.are_tensors, strict=True) if is_tensor])

    def _check(self, i: int, g: Any) -> None:
        if not isinstance(g, TensorBase):
            raise RuntimeError(
                f"function {self.name()}: expected Variable or None (got {type(g).__name__}) as gradient number {i + 1}"
            )
        if not self.are_tensors[i]:
            raise RuntimeError(
                f"function {self.name()} returned a gradient different than None at position {i + 1}, but the corresponding "
                "forward input was not a Variable: return None there"
            )


def _rule(function: type[Function]) -> Callable[..., Any]:
    """The class's `backward`, or the same under its other name, `vjp`."""
    if function.vjp is Function.vjp:
        return function.backward
    if function.backward is not Function.backward:
        raise RuntimeError(
            f"Implementing both 'backward' and 'vjp' for a custom Function is not allowed ({function.__name__}): keep one"
        )
    return function.vjp


class Function:
    """Base class of operations with a derivative of your own.

    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         x, = ctx.saved_tensors
    ...         return g * 3 * x ** 2
    >>> x = tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False
    _node_class: ClassVar[type[FunctionNode]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warn_user(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke them "
            f"on the class itself: {type(self).__name__}.apply(...)",
            DeprecationWarning,
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        members = {"__slots__": (), "function": cls, "__module__": "torch.autograd.function"}
        cls._node_class = type(f"{cls.__name__}Backward", (FunctionNode,), members)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
            "with static forward method."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation: `forward(ctx, *args)`, or `forward(*args)` beside `setup_context`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fill `ctx` when `forward` does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient (or None) for every argument of `forward` from one for every output."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
            "mode AD."
        )

    # torch's other name for `backward`; a class implements one of them.
    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The tangent of the outputs from those of the inputs."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` and record it."""
        split = cls.setup_context is not Function.setup_context
        if kwargs or split:
            args = _positional(cls.forward, args, kwargs, split)
        node: Any = cls._node_class.__new__(cls._node_class)
        needs = tuple([isinstance(a, TensorBase) and a.requires_grad for a in args])
        record = local.modes.grad and not local.modes.inference and True in needs
        given = [a for a in args if isinstance(a, TensorBase)]
        node.start(None, tuple([edge_of(a) if record and a.requires_grad else None for a in given]), ())
        node.describe_all(())
        node.are_tensors = tuple([isinstance(a, TensorBase) for a in args])
        ctx = node.ctx = FunctionCtx(node, needs)
        before = set_grad(False)
        try:
            if split:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        finally:
            set_grad(before)
        if record and local.modes.anomaly:
            T.remember_node(node)
        return _finish(node, ctx, args, output, record)


_signature = functools.lru_cache(maxsize=None)(inspect.signature)


def _positional(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], split: bool) -> tuple[Any, ...]:
    """The arguments of a call in the order of `forward`; beside `setup_context` defaults are filled in, as in torch."""
    if split:
        bound = _signature(forward).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args
    return _signature(forward).bind(None, *args, **kwargs).args[1:]


def _finish(node: FunctionNode, ctx: FunctionCtx, args: tuple[Any, ...], output: Any, record: bool) -> Any:
    """Give the outputs their history and keep what was saved."""
    returned = list(output) if isinstance(output, (tuple, list)) else [output]
    _check_dirty(node, ctx, args, returned, record)
    outputs = list(returned)
    for i, out in enumerate(returned):
        if isinstance(out, TensorBase) and _among(out, args) and not _among(out, ctx.dirty_tensors):
            outputs[i] = _handed_through(out) if record else out.detach_alias()
    if record:
        node.describe_all(tuple([_meta(t) for t in outputs]))
        for i, (out, given) in enumerate(zip(outputs, returned, strict=True)):
            if (
                isinstance(out, TensorBase)
                and out._dtype.category >= FLOATING
                and not _among(given, ctx.non_differentiable)
            ):
                _give_history(node, ctx, args, out, i)
        node.keep(ctx.to_save, tuple(outputs))
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ()
    if isinstance(output, (tuple, list)):
        return type(output)(*outputs) if hasattr(output, "_fields") else type(output)(outputs)
    return outputs[0]


def _meta(t: Any) -> Any:
    """What a cotangent of an output looks like; None for an output that is no tensor."""
    return Meta(t._shape, t._dtype, t._device) if isinstance(t, TensorBase) else None


def _among(t: Any, several: Any) -> bool:
    return any(t is other for other in several)


def _handed_through(t: Any) -> Any:
    """An input that `forward` returned as it is: a new tensor on its memory, which counts as a view made in the Function."""
    alias = t.detach_alias()
    base, ops = (t, ()) if t._view is None else (t._view.base, t._view.ops)
    alias._view = View(base, ops, "function", t._storage.version)
    return alias


def _give_history(node: FunctionNode, ctx: FunctionCtx, args: tuple[Any, ...], out: Any, i: int) -> None:
    if _among(out, ctx.dirty_tensors) and _among(out, args):
        place = next(n for n, a in enumerate([a for a in args if isinstance(a, TensorBase)]) if a is out)
        adopt_history(out, node, i, place)
        return
    if out._view is not None and out._view.base is not None:
        out._view = View(out._view.base, out._view.ops, "function", out._storage.version)
    out._grad_fn, out._output_nr, out._requires_grad = node, i, True


def _check_dirty(node: FunctionNode, ctx: FunctionCtx, args: tuple[Any, ...], outputs: list[Any], record: bool) -> None:
    """The rules for inputs that `forward` changed, and their version."""
    for t in ctx.dirty_tensors:
        if not _among(t, args):
            warn_user(
                f"{node.name()}: ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been "
                "mutated should be passed to ctx.mark_dirty().",
            )
            continue
        if not _among(t, outputs):
            raise RuntimeError(
                f"{node.name()}: Some elements marked as dirty during the forward method were not returned as output. The "
                "inputs that are modified inplace must all be outputs of the Function."
            )
        check_writable(t, node.name(), record)
        if record and t._is_view() and len(outputs) > 1:
            raise RuntimeError(
                f"{node.name()}: If your Function modifies inplace an input that is a view of another Tensor, your Function "
                "cannot return more than one Tensor. Make sure the input is not a view (using .clone() for example), or split "
                "the Function in two, one of which changes that input and returns nothing else."
            )
        wrote(t)


class InplaceFunction(Function):
    """torch's older name for a Function that works in place; the same as `Function`."""


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a `backward` that can't be differentiated itself: doing so raises `RuntimeError`."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        recording = local.modes.grad
        before = set_grad(False)
        try:
            found = fn(ctx, *args)
        finally:
            set_grad(before)
        if not recording or not any(isinstance(a, TensorBase) and a.requires_grad for a in args):
            return found
        results = found if isinstance(found, tuple) else (found,)
        blocked = tuple(
            _Blocked.apply(t.detach_alias().requires_grad_()) if isinstance(t, TensorBase) else t for t in results
        )
        return blocked if isinstance(found, tuple) else blocked[0]

    return wrapper


class _Blocked(Function):
    """An identity whose derivative is an error; its node shows itself as `Error`, as in torch."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:  # type: ignore[override]
        return x

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


_Blocked._node_class.__name__ = "Error"
