"""The base of all optimizers: parameter groups, state, hooks, saving and loading."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, Final, TypeAlias

from rushlight.base.dtypes import float32
from rushlight.base.warn import warn_user
from rushlight.core.hooks import HookHandle
from rushlight.core.modes import set_grad
from rushlight.core.public import Tensor
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.foreach import forget_gradients
from rushlight.optim.common import Group, counter

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Closure: TypeAlias = Callable[[], Any]

_global_pre_hooks: Final[OrderedDict[int, Any]] = OrderedDict()
_global_post_hooks: Final[OrderedDict[int, Any]] = OrderedDict()

_HOOKS: Final = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _Required:
    """Stands in `defaults` for an option that every parameter group must give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required: Final = _Required()


def _add_hook(hooks: OrderedDict[int, Any], hook: Any, first: bool = False) -> HookHandle:
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    if first:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> HookHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer.

    It may return `(args, kwargs)` to take the place of those the step was called with; `args` starts with the
    optimizer. Returns a handle with `remove()`.
    """
    return _add_hook(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., None]) -> HookHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer. Returns a handle with `remove()`."""
    return _add_hook(_global_post_hooks, hook)


def _use_grad_for_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a `step` record operations only when the optimizer was made with `differentiable=True`."""

    @functools.wraps(function)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = set_grad(self.defaults["differentiable"])
        try:
            return function(self, *args, **kwargs)
        finally:
            set_grad(before)

    return step


def evaluate(closure: Closure | None) -> Any:
    """The closure's loss, computed with gradients; None without a closure."""
    if closure is None:
        return None
    before = set_grad(True)
    try:
        return closure()
    finally:
        set_grad(before)


class Optimizer:
    """Base class of all optimizers: it holds the parameters, their options and what is remembered about each.

    params: an iterable of tensors, of `(name, tensor)` pairs (such as `model.named_parameters()`), or of dicts
        `{"params": ..., option: value, ...}`, one for each parameter group.
    defaults: the options of groups that do not give their own.

    `param_groups` is a list of dicts with the key "params" and every option; changing an option there takes effect at
    the next step. `state[parameter]` is a dict. Parameters whose `.grad` is None are left alone by `step`.

    Raises `TypeError` for what is not a tensor, `ValueError` for an empty list, for a tensor that is not a leaf, and
    for one that is in two groups.
    """

    OptimizerPreHook: TypeAlias = Callable[[Any, Args, Kwargs], tuple[Args, Kwargs] | None]
    OptimizerPostHook: TypeAlias = Callable[[Any, Args, Kwargs], None]

    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    # Whether `step` was called since a learning-rate scheduler began to watch; None while none does.
    _opt_called: bool | None = None
    # Options that old checkpoints may lack, with the values they get then.
    _later_options: dict[str, Any] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = cls.__dict__.get("step")
        if step is not None and not getattr(step, "hooked", False):
            cls.step = Optimizer.profile_hook_step(step)  # type: ignore[method-assign]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        if isinstance(params, TensorBase) or not isinstance(params, Iterable):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}; pass a list, for example [x], or model.parameters()"
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list. Does the model have parameters, and was its parameters() generator "
                "not used up before?"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        for name in _HOOKS:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for name, value in self._later_options.items():
                group.setdefault(name, value)
            for p in group["params"]:
                count = self.state[p].get("step") if p in self.state else None
                if count is not None and not isinstance(count, TensorBase):
                    self.state[p]["step"] = counter(group, p, float(count))

    def __repr__(self) -> str:
        groups = []
        for i, group in enumerate(self.param_groups):
            options = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            groups.append(f"\nParameter Group {i}\n" + "".join(options))
        return f"{type(self).__name__} ({''.join(groups)})"

    # Steps and their hooks.

    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once from their gradients.

        closure: computes the loss anew (with its backward pass) and returns it; most optimizers do without.
        Returns the closure's loss, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step(closure=None)")

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """`func`, a class's `step`, with the step hooks run around it. Every subclass's `step` is wrapped by itself."""

        @functools.wraps(func)
        def step(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            if type(self).step is not step:  # reached through super(): the hooks are the outer step's
                return func(*args, **kwargs)
            if self._opt_called is False:
                self._opt_called = True
            if not (
                self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or _global_pre_hooks or _global_post_hooks
            ):
                return func(*args, **kwargs)
            for hook in chain(_global_pre_hooks.values(), self._optimizer_step_pre_hooks.values()):
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"an optimizer step pre-hook must return None or a tuple of (new_args, new_kwargs), but {hook} "
                        f"returned {changed}"
                    )
                args, kwargs = changed
            out = func(*args, **kwargs)
            for hook in chain(self._optimizer_step_post_hooks.values(), _global_post_hooks.values()):
                hook(self, args, kwargs)
            return out

        step.hooked = True  # type: ignore[attr-defined]
        return step

    def register_step_pre_hook(self, hook: OptimizerPreHook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return the `(args, kwargs)` to use instead."""
        return _add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: OptimizerPostHook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return _add_hook(self._optimizer_step_post_hooks, hook)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            if set_to_none:
                forget_gradients(group["params"])
                continue
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    # Parameter groups.

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters to be optimized too: a dict with "params" and, where they differ from the defaults, options.

        The dict itself becomes an entry of `param_groups`.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}; write {{'params': ...}}")
        if "params" not in param_group:
            raise KeyError(f"param_group has no key 'params', only {sorted(param_group)}")
        _split_names(param_group)
        for param in param_group["params"]:
            self._check_param(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        self._check_group(param_group)
        self.param_groups.append(param_group)

    def _check_param(self, param: Any) -> None:
        if not is_tensor(param):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}; pass tensors, "
                "for example model.parameters()"
            )
        if not self.defaults.get("differentiable") and not (param.is_leaf or param.retains_grad):
            raise ValueError(
                "can't optimize a non-leaf Tensor: it was computed by an operation, here "
                f"{type(param.grad_fn).__name__}. Pass the leaf it was computed from, or x.detach().requires_grad_()"
            )

    def _check_group(self, param_group: Group) -> None:
        """The group against itself and against the groups that are there."""
        added = {id(p) for p in param_group["params"]}
        if len(added) != len(param_group["params"]):
            warn_user(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error. "
                "Pass each parameter once.",
            )
        named = "param_names" in param_group
        for i, group in enumerate(self.param_groups):
            if ("param_names" in group) != named:
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group "
                    f"{'with' if named else 'without'} names to the optimizer"
                )
            for p in group["params"]:
                if id(p) in added:
                    raise ValueError(
                        "some parameters appear in more than one parameter group: a parameter of shape "
                        f"{tuple(p.shape)} is in group {i} already"
                    )

    # Saving and loading.

    def register_state_dict_pre_hook(self, hook: Callable[[Any], None], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` before `state_dict` is made."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict` is made; what it returns takes its place."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns is loaded instead."""
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[[Any], None], prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` after loading."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> StateDict:
        """The optimizer's state as plain data: `{"state": {id: {...}}, "param_groups": [{..., "params": [id, ...]}]}`.

        Ids count the parameters in the order of the groups. Tensors are the optimizer's own, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        ids: dict[int, int] = {}
        packed_groups = []
        start = 0
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for i, p in enumerate(group["params"], start):
                ids.setdefault(id(p), i)
            packed["params"] = [ids[id(p)] for p in group["params"]]
            start += len(group["params"])
            packed_groups.append(packed)
        state = {ids[id(key)] if isinstance(key, TensorBase) else key: value for key, value in self.state.items()}
        found: StateDict = {"state": state, "param_groups": packed_groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, found)
            if replaced is not None:
                found = replaced
        return found

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over what `state_dict()` gave, matching parameters by their place in the groups.

        Floating-point state takes the dtype and device of its parameter; step counters keep their own. Options come
        from the state dict too, learning rates included. Raises `ValueError` when the groups differ in size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        if "param_groups" not in state_dict or "state" not in state_dict:
            raise KeyError(
                f"load_state_dict() needs 'state' and 'param_groups', got {list(state_dict)[:5]}: pass what optimizer.state_dict() gave"
            )
        saved_groups = deepcopy(state_dict["param_groups"])
        self._check_same_groups(saved_groups)
        saved_ids = chain.from_iterable(group["params"] for group in saved_groups)
        own: Iterable[Any] = chain.from_iterable(group["params"] for group in self.param_groups)
        by_id = dict(zip(saved_ids, own, strict=True))
        group_of = {i: group for group in saved_groups for i in group["params"]}

        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_id:
                state[by_id[key]] = _placed(by_id[key], value, group_of[key])
            else:
                state[key] = value
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _check_same_groups(self, saved: list[Group]) -> None:
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)}, the optimizer has "
                f"{len(self.param_groups)}"
            )
        for i, (group, other) in enumerate(zip(self.param_groups, saved, strict=True)):
            if len(group["params"]) != len(other["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: group "
                    f"{i} has {len(other['params'])} parameters, the optimizer's has {len(group['params'])}"
                )


def _split_names(group: Group) -> None:
    """Bring `group["params"]` to a list of tensors, with the names of pairs under "param_names"."""
    params = group["params"]
    if isinstance(params, TensorBase):
        params = [params]
    elif isinstance(params, (set, frozenset)):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets will "
            "change between runs. Please use a list instead."
        )
    params = list(params)
    names = [param[0] for param in params if isinstance(param, tuple)]
    if names:
        if len(names) != len(params):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing: "
                f"{len(names)} of {len(params)} have one"
            )
        group["param_names"] = names
        params = [param[1] for param in params]
    group["params"] = params


def _placed(param: Any, value: Any, group: Group, key: Any = None) -> Any:
    """A loaded value with its tensors in the dtype and on the device that the parameter's state has."""
    if isinstance(value, TensorBase):
        moved: Any = value
        if key == "step":
            on_device = group.get("capturable", False) or group.get("fused", False)
            return moved.to(dtype=float32, device=param.device) if on_device else moved
        if param.is_floating_point():
            return moved.to(dtype=param.dtype, device=param.device)
        return moved.to(device=param.device)
    if isinstance(value, dict):
        return {k: _placed(param, v, group, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_placed(param, v, group) for v in value])
    return value
