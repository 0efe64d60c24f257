"""Parametrizations: a parameter computed from other tensors by modules each time it is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from rushlight.autograd.grad_mode import no_grad
from rushlight.core.tensor import TensorBase
from rushlight.nn.modules.container import ModuleDict, ModuleList
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

_cache_enabled = 0
_cache: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Any:
    """Within the block each parametrized tensor is computed once and then remembered."""
    global _cache_enabled
    _cache_enabled += 1
    try:
        yield
    finally:
        _cache_enabled -= 1
        if not _cache_enabled:
            _cache.clear()


class ParametrizationList(ModuleList):
    """The modules that compute one parametrized tensor, and the tensor(s) `original` (`original0`...) they start from.

    Calling it gives the tensor. Raises `ValueError` when a `right_inverse` changes shape or dtype (`unsafe=False`).
    """

    original: Any
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Any, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, kind = original.shape, original.dtype
        with no_grad():
            value: Any = original
            for module in reversed(self):
                if hasattr(module, "right_inverse"):
                    try:
                        value = module.right_inverse(value)
                    except NotImplementedError:
                        pass
        if not isinstance(value, (TensorBase, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
                f"{type(value).__name__}"
            )
        parts: Any = value
        self.is_tensor = isinstance(parts, TensorBase)
        self.ntensors = 1 if self.is_tensor else len(parts)
        if self.is_tensor:
            if original.dtype != parts.dtype:
                raise ValueError(
                    f"When `right_inverse` outputs one tensor, it may not change the dtype.\noriginal.dtype: "
                    f"{original.dtype}\nright_inverse(original).dtype: {parts.dtype}"
                )
            # The parameter itself goes on, so that optimizers that know it keep it.
            with no_grad():
                original.data = parts
            _register(self, "original", original)
        else:
            for i, part in enumerate(parts):
                if not isinstance(part, TensorBase):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                        f"{i} of the sequence with type {type(part).__name__}."
                    )
                if isinstance(original, Parameter):
                    part = Parameter(part, original.requires_grad)
                part.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            result = self()
            if not isinstance(result, TensorBase):
                raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
            if result.dtype != kind or result.shape != shape:
                raise ValueError(
                    "Registering a parametrization may not change the shape or dtype of the tensor, unless `unsafe` "
                    f"flag is enabled.\nunparametrized: {tuple(shape)} {kind}\nparametrized: {tuple(result.shape)} "
                    f"{result.dtype}"
                )

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the parametrized tensor becomes `value`, as far as that is possible."""
        with no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type_before_parametrizations(module).__name__} does not implement "
                        "right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, TensorBase) or value.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` must be one tensor of dtype {self.original.dtype}"
                    )
                if value.shape != self.original.shape and not self.unsafe:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has shape {tuple(value.shape)}, the original "
                        f"{tuple(self.original.shape)}"
                    )
                self.original.data = value
                return
            if len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                    f"length {len(value)}."
                )
            for i, part in enumerate(value):
                getattr(self, f"original{i}").data = part

    def forward(self) -> Any:
        if self.is_tensor:
            value = self[0](self.original)
        else:
            value = self[0](*[getattr(self, f"original{i}") for i in range(self.ntensors)])
        for module in list(self)[1:]:
            value = module(value)
        return value


def _register(module: Module, name: str, tensor: Any) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def is_parametrized(module: Any, tensor_name: str | None = None) -> bool:
    """Whether `module` has parametrizations, of `tensor_name` if given."""
    parametrizations = getattr(module, "parametrizations", None)
    if parametrizations is None or not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def type_before_parametrizations(module: Any) -> type:
    """The class the module had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def _new_class(module: Any) -> None:
    """Give `module` a class of its own, on which the parametrized tensors can be properties."""
    cls = type(module)

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = self.__new__(type(self))
            found.__dict__ = deepcopy(self.__dict__, memo)
        return found

    def state(self: Any) -> Any:
        raise RuntimeError("Serialization of parametrized modules is only supported through state_dict().")

    body: dict[str, Any] = {"__getstate__": state, "__module__": cls.__module__}
    if not hasattr(cls, "__deepcopy__"):
        body["__deepcopy__"] = copied
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), body)


def _inject_property(module: Any, name: str) -> None:
    """Let `module.name` compute the parametrized tensor."""

    def get(self: Any) -> Any:
        if not _cache_enabled:
            return self.parametrizations[name]()
        key = (id(module), name)
        found = _cache.get(key)
        if found is None:
            found = _cache[key] = self.parametrizations[name]()
        return found

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, put))


def register_parametrization(module: Any, tensor_name: str, parametrization: Any, *, unsafe: bool = False) -> Any:
    """Let `module.tensor_name` be computed by `parametrization` from the tensor it was. Returns the module.

    The tensor goes on as `module.parametrizations.tensor_name.original`; a `right_inverse` of the parametrization maps
    values back to originals (for initial values, and for assigning to the attribute). Several can be registered one
    after the other. Unless `unsafe`, shape and dtype must stay. Raises `ValueError` when there is no such tensor.

    >>> class Symmetric(Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            if not isinstance(after, TensorBase) or after.dtype != before.dtype or after.shape != before.shape:
                raise ValueError(
                    "Registering a parametrization may not change the type, shape or dtype of the tensor, unless the "
                    f"`unsafe` flag is enabled (module.{tensor_name})"
                )
            if hasattr(parametrization, "right_inverse"):
                try:
                    inverse = parametrization.right_inverse(after)
                except NotImplementedError:
                    pass
                else:
                    if inverse.dtype != before.dtype or inverse.shape != before.shape:
                        raise ValueError(
                            "The tensor returned by `parametrization.right_inverse` must have the dtype and shape of "
                            f"`module.{tensor_name}`"
                        )
        entry = module.parametrizations[tensor_name]
        entry.append(parametrization)
        entry.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        entry = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _new_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = entry
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def remove_parametrizations(module: Any, tensor_name: str, leave_parametrized: bool = True) -> Any:
    """Make `module.tensor_name` a plain parameter or buffer again. Returns the module.

    leave_parametrized: keep the value it had as computed, else that of the original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    entry = module.parametrizations[tensor_name]
    if entry.is_tensor:
        original = entry.original
        if leave_parametrized:
            with no_grad():
                value = getattr(module, tensor_name)
                original.data = value.detach().clone()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach().clone()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def transfer_parametrizations_and_params(from_module: Any, to_module: Any, tensor_name: str | None = None) -> Any:
    """Copy the parametrizations (of one tensor or all) and all parameters of `from_module` to `to_module`."""
    if not is_parametrized(from_module):
        return to_module
    if not isinstance(from_module.parametrizations, ModuleDict):
        raise AssertionError("from_module.parametrizations is no ModuleDict")
    names = from_module.parametrizations if tensor_name is None else [tensor_name]
    if not is_parametrized(to_module):
        _new_class(to_module)
        to_module.parametrizations = ModuleDict()
    for name in names:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in from_module.parametrizations[name]:
            register_parametrization(to_module, name, parametrization)
        entry = to_module.parametrizations[name]
        source = from_module.parametrizations[name]
        if source.is_tensor:
            entry.original = source.original
        else:
            for i in range(source.ntensors):
                setattr(entry, f"original{i}", getattr(source, f"original{i}"))
    return to_module
