"""Hooks of modules: registering them, and the call of a module that has some.

The functions whose first parameter is `self` are methods of Module (module.py takes them into its body).
"""

from __future__ import annotations

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from rushlight.base.warn import warn_user
from rushlight.core.hooks import HookHandle
from rushlight.core.modes import local
from rushlight.core.primitive import Primitive, record_nodes, wants_grad
from rushlight.core.storage import View
from rushlight.core.tensor import TensorBase, make_alias

Hook = Callable[..., Any]


class ModuleHookHandle(HookHandle):
    """The handle of a module's hook; `remove()` also takes away what was noted about the hook."""

    __slots__ = ("dicts",)

    def __init__(self, *dicts: Any) -> None:
        self.id = HookHandle._next_id()
        # Weak: a handle that is kept does not keep the module alive.
        self.dicts = tuple(weakref.ref(d) for d in dicts)

    def remove(self) -> None:
        """Take the hook away; harmless when it is gone already."""
        for reference in self.dicts:
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)


def _add(hooks: Any, hook: Any, prepend: bool = False, *noted: tuple[Any, bool]) -> ModuleHookHandle:
    """Register `hook` in `hooks`, and its id in each dict of `noted` whose flag is set."""
    handle = ModuleHookHandle(hooks, *[where for where, _ in noted])
    hooks[handle.id] = hook
    for where, flag in noted:
        if flag:
            where[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


# ---------------------------------------------------------------- hooks of all modules


class GlobalHook:
    """A hook on every module: what it is called for, and how."""

    __slots__ = ("kind", "call", "with_kwargs", "always_call")

    def __init__(self, kind: str, call: Hook, with_kwargs: bool = False, always_call: bool = False) -> None:
        self.kind = kind
        self.call = call
        self.with_kwargs = with_kwargs
        self.always_call = always_call


# Those a call of a module must look at, and those of registration; empty nearly always.
global_hooks: Final[OrderedDict[int, GlobalHook]] = OrderedDict()
registration_hooks: Final[OrderedDict[int, GlobalHook]] = OrderedDict()


def _global(kind: str) -> list[tuple[int, GlobalHook]]:
    return [(id_, hook) for id_, hook in global_hooks.items() if hook.kind == kind]


def register_module_forward_pre_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, args)` before the forward of every module; what it returns (None apart) are the new args."""
    return _add(global_hooks, GlobalHook("forward_pre", hook))


def register_module_forward_hook(hook: Hook, *, with_kwargs: bool = False, always_call: bool = False) -> HookHandle:
    """Call `hook(module, args, output)` after the forward of every module; see `Module.register_forward_hook`."""
    return _add(global_hooks, GlobalHook("forward", hook, with_kwargs, always_call))


def register_module_backward_hook(hook: Hook) -> HookHandle:
    """`Module.register_backward_hook` for every module; `register_module_full_backward_hook` is the better one."""
    _check_global_backward("backward")
    return _add(global_hooks, GlobalHook("backward", hook))


def register_module_full_backward_pre_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, grad_output)` on every module before its gradients are computed."""
    return _add(global_hooks, GlobalHook("full_backward_pre", hook))


def register_module_full_backward_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, grad_input, grad_output)` on every module when its gradients are known."""
    _check_global_backward("full_backward")
    return _add(global_hooks, GlobalHook("full_backward", hook))


def _check_global_backward(kind: str) -> None:
    other = "full_backward" if kind == "backward" else "backward"
    if _global(other):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )


def register_module_module_registration_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, name, submodule)` when a submodule is registered; a returned module takes its place."""
    return _add(registration_hooks, GlobalHook("module", hook))


def register_module_parameter_registration_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, name, param)` when a parameter is registered; a returned parameter takes its place."""
    return _add(registration_hooks, GlobalHook("parameter", hook))


def register_module_buffer_registration_hook(hook: Hook) -> HookHandle:
    """Call `hook(module, name, buffer)` when a buffer is registered; a returned tensor takes its place."""
    return _add(registration_hooks, GlobalHook("buffer", hook))


def registered(kind: str, module: Any, name: str, value: Any) -> Any:
    """What is to be registered under `name` once the registration hooks have seen `value`."""
    for hook in registration_hooks.values():
        if hook.kind == kind:
            found = hook.call(module, name, value)
            value = value if found is None else found
    return value


# ---------------------------------------------------------------- methods of Module


def register_forward_pre_hook(self: Any, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False) -> HookHandle:
    """Call `hook(module, args)` before each forward; what it returns (None apart) takes the place of `args`.

    with_kwargs: call `hook(module, args, kwargs)`; it returns None or a pair `(args, kwargs)`.
    prepend: run it before the hooks registered so far.
    """
    return _add(self._forward_pre_hooks, hook, prepend, (self._forward_pre_hooks_with_kwargs, with_kwargs))


def register_forward_hook(
    self: Any, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
) -> HookHandle:
    """Call `hook(module, args, output)` after each forward; what it returns (None apart) takes the output's place.

    with_kwargs: call `hook(module, args, kwargs, output)`.
    always_call: call it (with output None) also when the forward raised.
    prepend: run it before the hooks registered so far.

    Returns a handle with `remove()`.
    """
    return _add(
        self._forward_hooks,
        hook,
        prepend,
        (self._forward_hooks_with_kwargs, with_kwargs),
        (self._forward_hooks_always_called, always_call),
    )


def register_full_backward_pre_hook(self: Any, hook: Hook, prepend: bool = False) -> HookHandle:
    """Call `hook(module, grad_output)` before the module's gradients are computed.

    A tuple it returns takes the place of `grad_output`.
    """
    return _add(self._backward_pre_hooks, hook, prepend)


def register_full_backward_hook(self: Any, hook: Hook, prepend: bool = False) -> HookHandle:
    """Call `hook(module, grad_input, grad_output)` when the gradients of the module's positional inputs are known.

    Both are tuples with None for arguments that are no tensors; a tuple it returns takes the place of `grad_input`.
    Raises `RuntimeError` when the module has hooks of `register_backward_hook`.
    """
    if self._is_full_backward_hook is False:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use "
            "only one of them."
        )
    self._is_full_backward_hook = True
    return _add(self._backward_hooks, hook, prepend)


def register_backward_hook(self: Any, hook: Hook) -> HookHandle:
    """Call `hook(module, grad_input, grad_output)` after the *last operation* of the module: kept for old programs.

    `register_full_backward_hook` sees the gradients of the whole module.
    """
    if self._is_full_backward_hook is True:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use "
            "only one of them."
        )
    self._is_full_backward_hook = False
    return _add(self._backward_hooks, hook)


# ---------------------------------------------------------------- a call with hooks


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward` with all hooks that apply, in torch's order: those on every module come first."""
    done: set[int] = set()
    try:
        return _call(module, args, kwargs, done)
    except Exception:
        _call_remaining(module, args, kwargs, done)
        raise


def _call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], done: set[int]) -> Any:
    everywhere = bool(global_hooks)
    if everywhere or module._forward_pre_hooks:
        args, kwargs = _before_forward(module, args, kwargs)
    own = list(module._backward_hooks.values())
    is_full = module._is_full_backward_hook is True
    full, plain = (own, []) if is_full else ([], own)
    before = list(module._backward_pre_hooks.values())
    if everywhere:
        full = [hook.call for _, hook in _global("full_backward")] + full
        plain = [hook.call for _, hook in _global("backward")] + plain
        before = [hook.call for _, hook in _global("full_backward_pre")] + before
    boundary = _Boundary(module, full, before) if full or before else None
    if boundary is not None:
        args = boundary.enter(args)
    result = module.forward(*args, **kwargs)
    if everywhere or module._forward_hooks:
        result = _after_forward(module, args, kwargs, result, done)
    if boundary is not None:
        result = boundary.leave(result)
    if plain:
        _hook_last_node(module, plain, args, result)
    return result


def _before_forward(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    for _, shared in _global("forward_pre"):
        found = shared.call(module, args)
        if found is not None:
            args = found if isinstance(found, tuple) else (found,)
    for id_, hook in list(module._forward_pre_hooks.items()):
        if id_ in module._forward_pre_hooks_with_kwargs:
            found = hook(module, args, kwargs)
            if found is not None:
                if not isinstance(found, tuple) or len(found) != 2:
                    raise RuntimeError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {found}."
                    )
                args, kwargs = found
        else:
            found = hook(module, args)
            if found is not None:
                args = found if isinstance(found, tuple) else (found,)
    return args, kwargs


def _forward_hooks_of(module: Any) -> list[tuple[int, Hook, bool, bool]]:
    """(id, hook, with_kwargs, always_call) of the hooks after the forward."""
    shared = [(id_, hook.call, hook.with_kwargs, hook.always_call) for id_, hook in _global("forward")]
    return shared + [
        (id_, hook, id_ in module._forward_hooks_with_kwargs, id_ in module._forward_hooks_always_called)
        for id_, hook in module._forward_hooks.items()
    ]


def _after_forward(module: Any, args: Any, kwargs: dict[str, Any], result: Any, done: set[int]) -> Any:
    for id_, hook, with_kwargs, always in _forward_hooks_of(module):
        if always:
            done.add(id_)
        found = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
        if found is not None:
            result = found
    return result


def _call_remaining(module: Any, args: Any, kwargs: dict[str, Any], done: set[int]) -> None:
    """The forward failed: run the hooks that are always called and have not been yet."""
    for id_, hook, with_kwargs, always in _forward_hooks_of(module):
        if not always or id_ in done:
            continue
        try:
            if with_kwargs:
                hook(module, args, kwargs, None)
            else:
                hook(module, args, None)
        except Exception as error:
            kind = "global module" if id_ in global_hooks else "module"
            warn_user(
                f"{kind} forward hook with ``always_call=True`` raised an exception that was silenced as another "
                f"error was raised in forward: {error}",
            )


def _hook_last_node(module: Any, hooks: list[Hook], args: tuple[Any, ...], result: Any) -> None:
    """Hooks of `register_backward_hook` sit on the node that made the first tensor of the result."""
    first = result
    while not isinstance(first, TensorBase):
        first = next(v for v in first.values() if isinstance(v, TensorBase)) if isinstance(first, dict) else first[0]
    node = first.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(functools.partial(hook, module))
    problem = _what_plain_hooks_miss(args, result, node)
    if problem is not None:
        warn_user(
            f"Using a non-full backward hook {problem} is deprecated and will be removed in future versions. This hook "
            "will be missing some gradients. Please use register_full_backward_hook to get the documented behavior.",
            FutureWarning,
        )


def _what_plain_hooks_miss(args: tuple[Any, ...], result: Any, node: Any) -> str | None:
    """Why a hook on the last node does not see all gradients of a module, or None when it does."""
    results = result if isinstance(result, tuple) else (result,)
    if not all(isinstance(r, TensorBase) for r in results):
        return "on a Module that does not return a single Tensor or a tuple of Tensors"
    if not all(isinstance(a, TensorBase) for a in args):
        return "on a Module that does not take as input a single Tensor or a tuple of Tensors"
    if len(results) > 1:
        if any(r.grad_fn is not node for r in results):
            return "when outputs are generated by different autograd Nodes"
        return None
    before = {a.grad_fn for a in args if a.grad_fn is not None}
    return (
        None if before == {fn for fn, _ in node.next_functions} else "when the forward contains multiple autograd Nodes"
    )


# ---------------------------------------------------------------- full backward hooks


class ModuleBoundary(Primitive):
    """The identity on several tensors: where gradients enter or leave a module, seen together."""

    __slots__ = ()
    name = "module_boundary"
    node_name = "BackwardHookFunctionBackward"
    outputs = 0
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return arrays

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g


_BOUNDARY: Final = ModuleBoundary()


class _Boundary:
    """The full backward hooks of one call of a module.

    Inputs and outputs that require gradients pass through one node each. When gradients reach the node of the outputs
    they are remembered; when those of the inputs are known the hooks are called with both.
    """

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: Any = None
        self.inputs: tuple[int, ...] | None = None  # which arguments carry gradients; None: none does
        self.n_inputs = 0
        self.outputs: tuple[int, ...] = ()
        self.n_outputs = 0

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, passed through the node on which the gradients of the inputs are seen."""
        self.n_inputs = len(args)
        args, self.inputs, node = _pass_through(args)
        if node is not None:
            node.register_hook(self._inputs_known)
        return args

    def leave(self, result: Any) -> Any:
        """The result, passed through the node on which the gradients of the outputs are seen."""
        if not isinstance(result, (TensorBase, tuple)):
            warn_user(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
            )
        is_tuple = isinstance(result, tuple)
        values = result if is_tuple else (result,)
        self.n_outputs = len(values)
        passed, outputs, node = _pass_through(values)
        if node is not None:
            self.outputs = outputs or ()
            node.register_prehook(self._outputs_known)
        if not is_tuple:
            return passed[0]
        # A named tuple stays one.
        return type(result)(*passed) if hasattr(result, "_fields") else passed

    def _outputs_known(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        self.grad_outputs = _spread(grads, self.outputs, self.n_outputs)
        for hook in self.pre_hooks:
            found = hook(self.module, self.grad_outputs)
            if found is None:
                continue
            found = found if isinstance(found, tuple) else (found,)
            if len(found) != self.n_outputs:
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, got "
                    f"{len(found)}, but expected {self.n_outputs}"
                )
            self.grad_outputs = found
        grad_outputs = self.grad_outputs
        if self.inputs is None:
            self._call_without_inputs()
        return tuple(grad_outputs[i] for i in self.outputs)

    def _call_without_inputs(self) -> None:
        """No input requires gradients: the hooks see None for each, as soon as the outputs' are known."""
        if self.hooks:
            warn_user(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                "inputs require gradients. Pass an input with requires_grad=True to see its gradient.",
            )
        for hook in self.hooks:
            found = hook(self.module, (None,) * self.n_inputs, self.grad_outputs)
            if found is not None and not (isinstance(found, tuple) and all(g is None for g in found)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or "
                    "None for all gradients."
                )
        self.grad_outputs = None

    def _inputs_known(self, grads: tuple[Any, ...], _: Any) -> Any:
        if self.grad_outputs is None or self.inputs is None:
            # The gradient came to the input by a way that is not through the module's output (double backward).
            return None
        found = _spread(grads, self.inputs, self.n_inputs)
        for hook in self.hooks:
            other = hook(self.module, found, self.grad_outputs)
            if other is None:
                continue
            other = other if isinstance(other, tuple) else (other,)
            if len(other) != self.n_inputs:
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(other)}, but expected "
                    f"{self.n_inputs}"
                )
            found = other
        self.grad_outputs = None
        return tuple(found[i] for i in self.inputs)


def _spread(values: tuple[Any, ...], places: tuple[int, ...], length: int) -> tuple[Any, ...]:
    """A tuple of `length` with `values` at `places` and None elsewhere."""
    spread = [None] * length
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return tuple(spread)


def _pass_through(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[int, ...] | None, Any]:
    """(args with the tensors that require gradients replaced, their places, the node); (args, None, None) without any."""
    places = tuple(i for i, a in enumerate(args) if isinstance(a, TensorBase) and wants_grad(a)) if local.modes.grad else ()
    if not places:
        return args, None, None
    inputs = tuple(args[i] for i in places)
    outs = []
    for t in inputs:
        alias = make_alias(t)
        # An in-place write through the alias would be lost on the tensor it stands for: it is refused.
        alias._view = View(t, (), "multi", t._storage.version)
        outs.append(alias)
    record_nodes(_BOUNDARY, inputs, tuple(outs))
    passed = list(args)
    for place, alias in zip(places, outs, strict=True):
        passed[place] = alias
    return tuple(passed), places, outs[0]._grad_fn
