"""`state_dict` and `load_state_dict`: what a module saves, and putting it back.

The functions whose first parameter is `self` are methods of Module (module.py takes them into its body).
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rushlight.autograd.grad_mode import no_grad
from rushlight.base.warn import warn_user
from rushlight.core.hooks import HookHandle
from rushlight.core.tensor import TensorBase
from rushlight.nn.modules._hooks import Hook, ModuleHookHandle
from rushlight.nn.parameter import Parameter, is_lazy

EXTRA_STATE: Final = "_extra_state"


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns: the keys that did not fit."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"


# ---------------------------------------------------------------- saving


def get_extra_state(self: Any) -> Any:
    """Anything besides tensors that the state_dict shall hold; define it together with `set_extra_state`."""
    raise RuntimeError(
        f"{type(self).__name__}.get_extra_state() was called, but the class does not define it. Define both "
        "get_extra_state() and set_extra_state(state) to save more than tensors."
    )


def set_extra_state(self: Any, state: Any) -> None:
    """Take back what `get_extra_state` returned."""
    raise RuntimeError(
        f"{type(self).__name__}.set_extra_state() was called, but the class does not define it. Define both "
        "get_extra_state() and set_extra_state(state) to save more than tensors."
    )


def _save_to_state_dict(self: Any, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
    """Put the module's own parameters and persistent buffers, without those of its children, into `destination`."""
    for name, param in self._parameters.items():
        if param is not None:
            destination[prefix + name] = param if keep_vars else param.detach()
    for name, buffer in self._buffers.items():
        if buffer is not None and name not in self._non_persistent_buffers_set:
            destination[prefix + name] = buffer if keep_vars else buffer.detach()
    if getattr(type(self), "get_extra_state", get_extra_state) is not get_extra_state:
        destination[prefix + EXTRA_STATE] = self.get_extra_state()


def state_dict(self: Any, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
    """All parameters and persistent buffers by name, in an OrderedDict: what to save of a model.

    The tensors share the model's memory: a later step changes them. They have no history unless `keep_vars`.
    destination: a mapping to fill and return. prefix: put before every name.

    >>> list(model.state_dict())  # doctest: +SKIP
    ['weight', 'bias']
    """
    if args:
        warn_user(
            "Positional args are being deprecated, use kwargs instead: state_dict(destination=..., prefix=..., "
            "keep_vars=...).",
            FutureWarning,
        )
        destination = args[0] if destination is None else destination
        prefix = args[1] if len(args) > 1 and prefix == "" else prefix
        keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    local_metadata = {"version": self._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = local_metadata
    for hook in self._state_dict_pre_hooks.values():
        hook(self, prefix, keep_vars)
    self._save_to_state_dict(destination, prefix, keep_vars)
    for name, module in self._modules.items():
        if module is not None:
            module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    for hook in self._state_dict_hooks.values():
        found = hook(self, destination, prefix, local_metadata)
        if getattr(hook, "_from_public_api", False):
            if found is not None:
                raise RuntimeError("state_dict post-hook must return None; change the dict it is given in place")
        elif found is not None:
            destination = found
    return destination


# ---------------------------------------------------------------- hooks


def _added(hooks: Any, hook: Any) -> HookHandle:
    handle = ModuleHookHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_state_dict_pre_hook(self: Any, hook: Hook) -> HookHandle:
    """Call `hook(module, prefix, keep_vars)` before `state_dict` collects."""
    return _added(self._state_dict_pre_hooks, hook)


def register_state_dict_post_hook(self: Any, hook: Any) -> HookHandle:
    """Call `hook(module, state_dict, prefix, local_metadata)` after `state_dict`; it may change the dict in place."""
    hook._from_public_api = True
    return _added(self._state_dict_hooks, hook)


def _register_state_dict_hook(self: Any, hook: Any) -> HookHandle:
    """The same for a hook that may return another dict."""
    if getattr(hook, "_from_public_api", False):
        raise RuntimeError(
            "Cannot register the same function as the state dict post hook that was previously registered via "
            "register_state_dict_post_hook"
        )
    return _added(self._state_dict_hooks, hook)


class _WithModule:
    """A load hook that receives the module as its first argument, without keeping it alive."""

    def __init__(self, hook: Hook, module: Any) -> None:
        self.hook = hook
        self.module = weakref.ref(module)

    def __call__(self, *args: Any) -> Any:
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args)

    def __getstate__(self) -> Any:
        return {"hook": self.hook, "module": self.module()}

    def __setstate__(self, state: Any) -> None:
        self.hook = state["hook"]
        self.module = weakref.ref(state["module"])


def _register_load_state_dict_pre_hook(self: Any, hook: Hook, with_module: bool = False) -> HookHandle:
    return _added(self._load_state_dict_pre_hooks, _WithModule(hook, self) if with_module else hook)


def register_load_state_dict_pre_hook(self: Any, hook: Hook) -> HookHandle:
    """Call `hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)`
    before the module takes its entries; it may change the dict, for example rename keys."""
    return _register_load_state_dict_pre_hook(self, hook, with_module=True)


def register_load_state_dict_post_hook(self: Any, hook: Hook) -> HookHandle:
    """Call `hook(module, incompatible_keys)` after loading; it may take keys off the two lists, in place."""
    return _added(self._load_state_dict_post_hooks, hook)


# ---------------------------------------------------------------- loading


def _load_from_state_dict(
    self: Any,
    state_dict: Any,
    prefix: str,
    local_metadata: dict[str, Any],
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    """Take the module's own entries, without those of its children, from `state_dict`; note in the lists what is wrong."""
    for hook in self._load_state_dict_pre_hooks.values():
        hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
    own = {name: param for name, param in self._parameters.items() if param is not None}
    own.update(
        (name, buffer)
        for name, buffer in self._buffers.items()
        if buffer is not None and name not in self._non_persistent_buffers_set
    )
    assign = local_metadata.get("assign_to_params_buffers", False)
    for name, current in own.items():
        key = prefix + name
        if key in state_dict:
            _load_one(self, name, key, current, state_dict[key], assign, error_msgs)
        elif strict:
            missing_keys.append(key)
    extra_key = prefix + EXTRA_STATE
    if getattr(type(self), "set_extra_state", set_extra_state) is not set_extra_state:
        if extra_key in state_dict:
            self.set_extra_state(state_dict[extra_key])
        elif strict:
            missing_keys.append(extra_key)
    elif strict and extra_key in state_dict:
        unexpected_keys.append(extra_key)
    if strict:
        for key in state_dict:
            if key.startswith(prefix) and key != extra_key:
                name, dot, _ = key[len(prefix) :].partition(".")
                if name not in (self._modules if dot else own):
                    unexpected_keys.append(key)


def _load_one(module: Any, name: str, key: str, current: Any, found: Any, assign: bool, error_msgs: list[str]) -> None:
    """Put `found` into (or, with `assign`, in the place of) the parameter or buffer `current`."""
    if not isinstance(found, TensorBase):
        hint = " (a NumPy array: convert it with torch.from_numpy)" if type(found).__module__ == "numpy" else ""
        error_msgs.append(
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
            f"checkpoint but received {type(found)}{hint}"
        )
        return
    if not is_lazy(current):
        if current.dim() == 0 and found.dim() == 1 and found.numel() == 1:
            found = found[0]  # torch before 0.4 had no zero-dim tensors
        if found.shape != current.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {found.shape} from checkpoint, the shape "
                f"in current model is {current.shape}."
            )
            return
    if current.is_meta and not found.is_meta and not assign:
        warn_user(
            f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the current model, "
            "which is a no-op. (Did you mean to pass `assign=True` to assign items in the state dictionary to their "
            "corresponding key in the module instead of copying them in place?)",
        )
    try:
        with no_grad():
            if not assign:
                current.copy_(found)
                return
            if isinstance(current, Parameter):
                if isinstance(found, Parameter):
                    found.requires_grad_(current.requires_grad)
                else:
                    found = Parameter(found, requires_grad=current.requires_grad)
            setattr(module, name, found)
    except Exception as error:
        error_msgs.append(
            f'While copying the parameter named "{key}", whose dimensions in the model are {current.size()} and '
            f"whose dimensions in the checkpoint are {found.size()}, an exception occurred : {error.args}."
        )


def load_state_dict(self: Any, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
    """Copy parameters and buffers from `state_dict` into this module and its descendants.

    strict: whether every key must fit. With False, look at the result: `missing_keys` kept their values,
        `unexpected_keys` were left out. Shapes must agree either way.
    assign: put the tensors of `state_dict` in the places of the module's own instead of copying the values; their
        dtype, device and memory are kept.

    Returns the named tuple `(missing_keys, unexpected_keys)`. Raises `RuntimeError` listing all that does not fit,
    `TypeError` when `state_dict` is no mapping.
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.{_hint_for_non_dict(state_dict)}")
    metadata = getattr(state_dict, "_metadata", None)
    given = state_dict
    state: Any = OrderedDict(state_dict)
    if metadata is not None:
        state._metadata = metadata
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    _load(self, state, "", metadata, assign, missing, unexpected, errors)
    if strict:
        if unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in unexpected)))
        if missing:
            errors.insert(0, "Missing key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in missing)))
    if errors:
        hint = _hint_for_keys(given, missing, unexpected) if strict else ""
        raise RuntimeError(
            "Error(s) in loading state_dict for {}:\n\t{}".format(
                type(self).__name__, "\n\t".join(errors + ([hint] if hint else []))
            )
        )
    return _IncompatibleKeys(missing, unexpected)


def _load(
    module: Any,
    state: Any,
    prefix: str,
    metadata: Any,
    assign: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Load `module`, whose names in `state` start with `prefix`, and its descendants."""
    local_metadata = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
    if assign:
        local_metadata["assign_to_params_buffers"] = assign
    module._load_from_state_dict(state, prefix, local_metadata, True, missing, unexpected, errors)
    for name, child in module._modules.items():
        if child is not None:
            child_prefix = f"{prefix}{name}."
            part = {key: value for key, value in state.items() if key.startswith(child_prefix)}
            _load(child, part, child_prefix, metadata, assign, missing, unexpected, errors)
    keys = _IncompatibleKeys(missing, unexpected)
    for hook in module._load_state_dict_post_hooks.values():
        if hook(module, keys) is not None:
            raise AssertionError(
                "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                "values, if incompatible_keys need to be modified, it should be done inplace."
            )


def _hint_for_non_dict(value: Any) -> str:
    if hasattr(value, "state_dict"):
        return " Pass value.state_dict(), not the module or optimizer itself."
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        return " Load the file first: model.load_state_dict(torch.load(path))."
    return ""


# Names under which training programs keep the model's state in a bigger dict.
_USUAL_NAMES: Final = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module")


def _hint_for_keys(state: Mapping[str, Any], missing: list[str], unexpected: list[str]) -> str:
    """What is likely behind keys that do not fit, and the cure."""
    if not missing or not unexpected:
        return ""
    for name in _USUAL_NAMES:
        if isinstance(state.get(name), Mapping):
            return f'The model\'s state seems to be one entry of this dict: load_state_dict(checkpoint["{name}"]).'
    wanted = set(missing)
    for key in missing:
        longer = next((k for k in unexpected if k.endswith("." + key)), None)
        if longer is not None:
            prefix = longer[: -len(key)]
            if all(k.startswith(prefix) for k in unexpected) and wanted & {k[len(prefix) :] for k in unexpected}:
                wrapper = {"module.": " (added by DataParallel)", "_orig_mod.": " (added by torch.compile)"}.get(
                    prefix, ""
                )
                return (
                    f'All unexpected keys start with "{prefix}"{wrapper}. Strip it: '
                    f'{{k.removeprefix("{prefix}"): v for k, v in state_dict.items()}}.'
                )
        shorter = next((k for k in unexpected if key.endswith("." + k)), None)
        if shorter is not None:
            prefix = key[: -len(shorter)]
            if all(k.startswith(prefix) for k in missing) and {prefix + k for k in unexpected} & wanted:
                return (
                    f'The model\'s keys start with "{prefix}" and those of the state_dict do not. Load into the inner '
                    f'module, or add it: {{"{prefix}" + k: v for k, v in state_dict.items()}}.'
                )
    return ""
