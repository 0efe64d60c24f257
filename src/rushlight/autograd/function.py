"""`Function`: operations of the user's own, with forward and backward as static methods.

The `ctx` that both receive is the graph's node itself, as in torch: `type(y.grad_fn).__name__` is `MyFunctionBackward`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from rushlight.base.dtypes import FLOATING
from rushlight.core.inplace import adopt_history, wrote
from rushlight.core.modes import local, set_grad
from rushlight.core.node import RELEASED, Meta, Node
from rushlight.core.primitive import wants_grad
from rushlight.core.tensor import TensorBase
from rushlight.ops.creation import zeros


class FunctionCtx:
    """What `forward` can tell the graph, and `backward` can ask it."""

    __slots__ = ()

    needs_input_grad: tuple[bool, ...]
    to_save: tuple[Any, ...]
    dirty: tuple[Any, ...]
    non_differentiable: tuple[Any, ...]
    materialize_grads: bool

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs and outputs of `forward` for `backward`, checked against in-place changes; call it once.

        Tensors or None only: other values may be kept as attributes of `ctx`.
        """
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}; keep other values as "
                    "attributes: ctx.name = value"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs `forward` changed in place; they must be among its outputs."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs have no derivative."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing cotangents reach `backward` as zeros (the default) or as None."""
        self.materialize_grads = value


class FunctionNode(Node, FunctionCtx):
    """The node, and the `ctx`, of a user's Function."""

    __slots__ = ()
    function: ClassVar[type[Function]]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What `save_for_backward` kept."""
        return self.unpack()

    def run(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.saved is RELEASED:
            self.unpack()
        if self.materialize_grads:
            grads = tuple(
                zeros(meta.shape, dtype=meta.dtype, device=meta.device) if g is None and meta is not None else g
                for g, meta in zip(grads, self.metas, strict=True)
            )
        function = self.function
        rule = function.vjp if function.vjp is not Function.vjp else function.backward
        if function.vjp is not Function.vjp and function.backward is not Function.backward:
            raise RuntimeError(
                f"Implementing both 'backward' and 'vjp' for a custom Function is not allowed ({function.__name__}): keep one of them"
            )
        found = rule(self, *grads)
        found = found if isinstance(found, tuple) else (found,)
        inputs = len(self.edges)
        if len(found) > inputs and all(g is None for g in found[inputs:]):
            found = found[:inputs]
        if len(found) != inputs:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {inputs}, got {len(found)}): backward must "
                "return one value for each argument of forward, None for those without a gradient"
            )
        for i, g in enumerate(found):
            if g is not None and not isinstance(g, TensorBase):
                raise TypeError(
                    f"function {self.name()} returned a gradient of type {type(g).__name__} at index {i}, expected Tensor or None"
                )
        return tuple(g if edge is not None else None for g, edge in zip(found, self.edges, strict=True))


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
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated. Methods on autograd functions are all static, so you should invoke them on the "
            f"class itself: {type(self).__name__}.apply(...)"
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = f"{cls.__name__}Backward"
        cls._node_class = type(name, (FunctionNode,), {"function": cls, "__module__": "torch.autograd.function"})

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
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward mode AD."
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
        ctx = cls._node_class.__new__(cls._node_class)
        needs = tuple([isinstance(a, TensorBase) and wants_grad(a) for a in args])
        record = local.grad and any(needs)
        ctx.start(
            None, tuple([a.edge() if record and n else None for a, n in zip(args, needs, strict=True)]), needs, ()
        )
        ctx.needs_input_grad = needs if record else (False,) * len(args)
        ctx.to_save = ctx.dirty = ctx.non_differentiable = ()
        ctx.materialize_grads = True
        before = set_grad(False)
        try:
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        finally:
            set_grad(before)
        return _finish(ctx, args, output, record)


def _finish(ctx: FunctionNode, args: tuple[Any, ...], output: Any, record: bool) -> Any:
    """Give the outputs their history and keep what was saved."""
    single = not isinstance(output, (tuple, list))
    outputs = [output] if single else list(output)
    _check_outputs(ctx, args, outputs)
    for i, out in enumerate(outputs):
        if isinstance(out, TensorBase) and any(out is a for a in args) and not any(out is d for d in ctx.dirty):
            outputs[i] = out.detach_alias()  # an input handed through: a new tensor on its memory
    for t in ctx.dirty:
        wrote(t)
    if record:
        ctx.metas = tuple([Meta(t._shape, t._dtype, t._device) if isinstance(t, TensorBase) else None for t in outputs])  # type: ignore[misc]
        for i, out in enumerate(outputs):
            if (
                not isinstance(out, TensorBase)
                or out._dtype.category < FLOATING
                or any(out is n for n in ctx.non_differentiable)
            ):
                continue
            if any(out is d for d in ctx.dirty):
                adopt_history(out, ctx, i)
            else:
                out._grad_fn, out._output_nr, out._requires_grad, out._view = ctx, i, True, None
        ctx.keep(ctx.to_save, tuple(outputs))
    else:
        ctx.saved = ctx.to_save
        ctx.versions = tuple([t._storage.version if isinstance(t, TensorBase) else -1 for t in ctx.to_save])
    ctx.to_save = ctx.dirty = ctx.non_differentiable = ()
    return outputs[0] if single else tuple(outputs)


def _check_outputs(ctx: FunctionNode, args: tuple[Any, ...], outputs: list[Any]) -> None:
    for t in ctx.dirty:
        if not any(t is a for a in args):
            raise RuntimeError(
                f"{ctx.name()}: mark_dirty only accepts input tensors, but got one that is no argument of forward"
            )
        if not any(t is out for out in outputs):
            raise RuntimeError(
                f"{ctx.name()}: Some elements marked as dirty during the forward method were not returned as output. The "
                "inputs that are modified inplace must all be outputs of the Function."
            )


class InplaceFunction(Function):
    """torch's older name for a Function that works in place; the same as `Function`."""


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a `backward` that can't be differentiated itself: doing so raises `RuntimeError`."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        recording = local.grad
        before = set_grad(False)
        try:
            found = fn(ctx, *args)
        finally:
            set_grad(before)
        if not recording or not any(isinstance(a, TensorBase) and a._requires_grad for a in args):
            return found
        results = found if isinstance(found, tuple) else (found,)
        blocked = tuple(
            _Blocked.apply(t.detach_alias().requires_grad_()) if isinstance(t, TensorBase) else t for t in results
        )
        return blocked if isinstance(found, tuple) else blocked[0]

    return wrapper


class _Blocked(Function):
    """An identity whose derivative is an error."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:  # type: ignore[override]
        return x

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
