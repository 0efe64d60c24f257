"""Module: the base class of everything with parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from rushlight.core.tensor import TensorBase
from rushlight.nn.modules import _conversion, _hooks, _state, _walk
from rushlight.nn.modules._hooks import (
    call_with_hooks,
    global_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    registered,
    registration_hooks,
)
from rushlight.nn.parameter import Buffer, Parameter
from rushlight.serialization.globals import define, entry_value, written_path

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


def typename(value: Any) -> str:
    """The type of `value` with its module, for messages."""
    if isinstance(value, TensorBase):
        tensor: Any = value
        return str(tensor.type())
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _check_name(owner: Any, kind: str, name: Any, taken: Any) -> None:
    """The errors of a name under which something can't be registered."""
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if name not in taken and hasattr(owner, name):
        raise KeyError(f"attribute '{name}' already exists")


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


# What a module's state holds beside `training`; `__setstate__` gives it to modules of files that lack some of it.
_FIELDS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("_parameters", dict),
    ("_buffers", dict),
    ("_non_persistent_buffers_set", set),
    ("_backward_pre_hooks", OrderedDict),
    ("_backward_hooks", OrderedDict),
    ("_is_full_backward_hook", lambda: None),
    ("_forward_hooks", OrderedDict),
    ("_forward_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_always_called", OrderedDict),
    ("_forward_pre_hooks", OrderedDict),
    ("_forward_pre_hooks_with_kwargs", OrderedDict),
    ("_state_dict_hooks", OrderedDict),
    ("_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_post_hooks", OrderedDict),
    ("_modules", dict),
)


class Module:
    """Base class of models and layers: define `__init__` (calling `super().__init__()` first) and `forward`.

    Parameters, buffers and modules that are assigned to attributes are registered: `parameters()`, `state_dict()`,
    `to()`, `train()`... reach them. Calling the module runs `forward` and its hooks.

    >>> class Net(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = Parameter(rushlight.ones(2))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> [name for name, _ in Net().named_parameters()]
    ['scale']
    """

    dump_patches: bool = False
    # Kept in the metadata of state dicts; a class raises it when the meaning of its entries changes.
    _version: int = 1
    # Whether `__init__` passes its arguments on to the next class of the MRO (for multiple inheritance).
    call_super_init: bool = False
    T_destination = TypeVar("T_destination", bound=dict[str, Any])

    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        # Past `__setattr__`, which needs the fields it would look at.
        fields = self.__dict__
        fields["training"] = True
        for name, make in _FIELDS:
            fields[name] = make()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # Calling.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fields = self.__dict__  # asked once: with a `__getattr__` every attribute takes several times as long as a dict's entry
        try:
            hooked = (
                fields["_forward_hooks"]
                or fields["_forward_pre_hooks"]
                or fields["_backward_hooks"]
                or fields["_backward_pre_hooks"]
                or global_hooks
            )
        except KeyError as error:
            name = error.args[0]
            raise AttributeError(self._why_missing(name), name=name, obj=self) from None
        return call_with_hooks(self, args, kwargs) if hooked else self.forward(*args, **kwargs)

    def forward(self, *input: Any) -> Any:
        """Compute the module's output; every subclass defines it. Call the module itself, which also runs the hooks."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function: define forward(self, input) in the class '
            "(check its spelling and indentation); members of a ModuleList or ModuleDict are called one by one"
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accepted and without effect: there is nothing to compile."""

    register_forward_pre_hook = _hooks.register_forward_pre_hook
    register_forward_hook = _hooks.register_forward_hook
    register_full_backward_pre_hook = _hooks.register_full_backward_pre_hook
    register_full_backward_hook = _hooks.register_full_backward_hook
    register_backward_hook = _hooks.register_backward_hook

    # Registering.

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Add a tensor that is part of the state and not learned; `self.name` is it.

        tensor: None keeps the name without a value, which the state_dict leaves out.
        persistent: whether the state_dict holds it.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, "buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, TensorBase):
            raise TypeError(
                f"cannot assign '{typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        if registration_hooks:
            tensor = registered("buffer", self, name, tensor)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Any) -> None:
        """Add a Parameter, as `self.name = param` does; None keeps the name without a value."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, "parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None "
                    "required); wrap the tensor in torch.nn.Parameter(...)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in the "
                    "forward() method."
                )
            if registration_hooks:
                param = registered("parameter", self, name, param)
        self._parameters[name] = param

    def add_module(self, name: str, module: Any) -> None:
        """Add a child, as `self.name = module` does; None keeps the name without a module."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass{_class_hint(module)}")
        _check_name(self, "module", name, self._modules)
        if registration_hooks:
            module = registered("module", self, name, module)
        self._modules[name] = module

    def register_module(self, name: str, module: Any) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        params = fields.get("_parameters")
        if isinstance(value, TensorBase):
            if isinstance(value, Parameter):
                if params is None:
                    raise AttributeError("cannot assign parameters before Module.__init__() call")
                self._forget(name, "_parameters")
                self.register_parameter(name, value)
                return
            if params is not None and name in params:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected). "
                    "To change the values, write in place under torch.no_grad(); to change the parameter, wrap the "
                    "tensor in torch.nn.Parameter(...)"
                )
            if name in fields.get("_modules", ()):
                _require_none(value, "child module", name, "torch.nn.Module")
            is_buffer = isinstance(value, Buffer)
            if is_buffer or name in fields.get("_buffers", ()):
                self._set_buffer(name, value, is_buffer)
                return
        elif isinstance(value, Module):
            if params is None:
                raise AttributeError(
                    "cannot assign module before Module.__init__() call: call super().__init__() first"
                )
            if name in params:
                raise TypeError(
                    f"cannot assign '{typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self._forget(name, "_modules")
            self._modules[name] = registered("module", self, name, value) if registration_hooks else value
            return
        elif params is not None:
            if name in params:
                _require_none(value, "parameter", name, "torch.nn.Parameter")
                params[name] = None
                return
            if name in fields["_modules"]:
                _require_none(value, "child module", name, "torch.nn.Module")
                fields["_modules"][name] = None
                return
            if name in fields["_buffers"]:
                _require_none(value, "buffer", name, "torch.nn.Buffer, torch.Tensor")
                fields["_buffers"][name] = None
                return
        object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: str) -> None:
        """Drop what `name` stood for before, except in the table `keep`, where it keeps its place."""
        fields = self.__dict__
        fields.pop(name, None)
        for table in ("_parameters", "_buffers", "_modules"):
            if table != keep:
                fields[table].pop(name, None)
        fields["_non_persistent_buffers_set"].discard(name)

    def _set_buffer(self, name: str, value: Any, is_buffer: bool) -> None:
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        persistent = value.persistent if is_buffer else name not in self._non_persistent_buffers_set
        self.register_buffer(name, value, persistent)

    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        # One by one, not in a loop: layers look up their parameters here at every call.
        found = fields.get("_parameters")
        if found is not None and name in found:
            return found[name]
        found = fields.get("_modules")
        if found is not None and name in found:
            return found[name]
        found = fields.get("_buffers")
        if found is not None and name in found:
            return found[name]
        raise AttributeError(self._why_missing(name), name=name, obj=self)

    def _why_missing(self, name: str) -> str:
        text = f"'{type(self).__name__}' object has no attribute '{name}'"
        if "_parameters" not in self.__dict__:
            text += f" (Module.__init__() has not run: call super().__init__() first in {type(self).__name__}.__init__)"
        return text

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        fields = self.__dict__
        names = [
            *dir(type(self)),
            *fields,
            *fields.get("_parameters", ()),
            *fields.get("_modules", ()),
            *fields.get("_buffers", ()),
        ]
        return sorted({name for name in names if not name[0].isdigit()})

    # Walking.

    parameters = _walk.parameters
    named_parameters = _walk.named_parameters
    buffers = _walk.buffers
    named_buffers = _walk.named_buffers
    children = _walk.children
    named_children = _walk.named_children
    modules = _walk.modules
    named_modules = _walk.named_modules
    _named_members = _walk._named_members

    def get_submodule(self, target: str) -> Module:
        """The module at the dotted path `target`; "" is the module itself. `AttributeError` when there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(found, name):
                raise AttributeError(f"{found._get_name()} has no attribute `{name}` (in the path '{target}')")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at the dotted path `target`; with `strict` there must be one already.

        Raises `ValueError` for an empty path or when `module` is no Module, `AttributeError` for a path not there.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Any:
        """The parameter at the dotted path `target`; `AttributeError` when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        found = getattr(module, name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Any:
        """The buffer at the dotted path `target`; `AttributeError` when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return module._buffers[name]

    # Training.

    def train(self, mode: bool = True) -> Any:
        """Put the module and all below it in training mode (Dropout, BatchNorm... behave accordingly). Returns it."""
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Any:
        """Put the module and all below it in evaluation mode: `train(False)`. Returns it."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say for all parameters whether gradients are wanted (False freezes them). Returns the module."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters: to None, or to zeros in place."""
        for param in self.parameters():
            grad = param.grad  # type: ignore[attr-defined]
            if grad is None:
                continue
            if set_to_none:
                param.grad = None  # type: ignore[attr-defined]
            else:
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    # Showing.

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """The module's settings as its repr shows them; a subclass may define it, in one line or several."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) == 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): {_indented(repr(module))}" for name, module in self._modules.items()]
        if not lines:
            return f"{self._get_name()}()"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    # Copying and files.

    state_dict = _state.state_dict
    load_state_dict = _state.load_state_dict
    get_extra_state = _state.get_extra_state
    set_extra_state = _state.set_extra_state
    _save_to_state_dict = _state._save_to_state_dict
    _load_from_state_dict = _state._load_from_state_dict
    register_state_dict_pre_hook = _state.register_state_dict_pre_hook
    register_state_dict_post_hook = _state.register_state_dict_post_hook
    register_load_state_dict_pre_hook = _state.register_load_state_dict_pre_hook
    register_load_state_dict_post_hook = _state.register_load_state_dict_post_hook
    _register_state_dict_hook = _state._register_state_dict_hook
    _register_load_state_dict_pre_hook = _state._register_load_state_dict_pre_hook

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, make in _FIELDS:
            if name not in self.__dict__:
                self.__dict__[name] = make()

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        # Classes of this package bear torch's names, under which Python's pickle could not find them again; checkpoint
        # files, which use protocol 2, are written by that name and read from the closed table.
        path = written_path(type(self))
        if path is None or protocol == 2 or type(reduced) is not tuple:
            return reduced
        return (make_empty, (".".join(path),), *reduced[2:])

    # Moving and casting. The last names are those of built-ins, so they stand where nothing below needs these.

    _apply = _conversion._apply
    apply = _conversion.apply
    to = _conversion.to
    to_empty = _conversion.to_empty
    cpu = _conversion.cpu
    cuda = _conversion.cuda
    double = _conversion.double
    half = _conversion.half
    bfloat16 = _conversion.bfloat16
    share_memory = _conversion.share_memory
    type = _conversion.type_
    float = _conversion.float_


def weight_and_bias(layer: Module) -> tuple[Any, Any]:
    """`layer.weight` and `layer.bias`, at every call of a layer: past `__getattr__`, unless they are no parameters of its own."""
    parameters = layer._parameters
    try:
        return parameters["weight"], parameters["bias"]
    except KeyError:  # parametrized, pruned, or replaced by a plain tensor
        return layer.weight, layer.bias


def make_empty(path: str) -> Any:
    """A module of the class that files know as `path`, without its state."""
    cls = entry_value(path)
    return cls.__new__(cls)


define("rushlight.nn.modules.module.make_empty", make_empty, call=make_empty)


def _require_none(value: Any, kind: str, name: str, expected: str) -> None:
    if value is not None:
        raise TypeError(f"cannot assign '{typename(value)}' as {kind} '{name}' ({expected} or None expected)")


def _class_hint(value: Any) -> str:
    if isinstance(value, type) and issubclass(value, Module):
        return f": it is the class; make an instance with {value.__name__}(...)"
    return ""
