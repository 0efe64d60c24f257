"""Parameter and Buffer: tensors that a Module registers when they are assigned to it, and their not yet sized forms."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from rushlight.autograd.grad_mode import no_grad
from rushlight.core.primitive import PLAIN, disabled_torch_function
from rushlight.core.printing import parameter_repr
from rushlight.core.public import Tensor
from rushlight.core.tensor import TensorBase, make_alias
from rushlight.ops.creation import empty
from rushlight.serialization.rebuild import rebuild_parameter, rebuild_parameter_with_state

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _ParameterMeta(type):
    """Tensors of the user's own classes that were made parameters count as instances of Parameter."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Parameter and isinstance(instance, TensorBase) and getattr(instance, "_is_param", False):
            return True
        return super().__instancecheck__(instance)


class _BufferMeta(type):
    """A buffer is a tensor with a mark; there are no instances of the class itself."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if cls is Buffer and isinstance(instance, TensorBase) and getattr(instance, "_is_buffer", False):
            return True
        return super().__instancecheck__(instance)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor to be learned: assigned to a Module's attribute it appears in `Module.parameters()`.

    data: the values; the parameter shares their memory and has no history. None makes an empty one.
    requires_grad: whether gradients are wanted (only floating point and complex dtypes can).

    Results of operations on parameters are plain tensors. Raises `RuntimeError` for an integer dtype with
    `requires_grad=True`, `AttributeError` when `data` is no tensor.

    >>> p = Parameter(empty(2, 3))
    >>> p.requires_grad, type(p * 2).__name__
    (True, 'Tensor')
    """

    __torch_function__ = staticmethod(disabled_torch_function)

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        if not isinstance(data, TensorBase):
            raise AttributeError(
                f"{cls.__name__}(): argument 'data' must be Tensor, got {type(data).__name__}; make one with "
                "torch.tensor(data)"
            )
        if type(data) is Tensor or type(data) is Parameter:
            return _alias_as(cls, data, requires_grad)
        given: Any = data
        own: Any = given.detach().requires_grad_(requires_grad)
        if type(own) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an "
                f"instance of the same type, but return type {type(own).__name__} was found instead. To use the type as "
                "a Parameter, please correct the detach() semantics defined by its __torch_function__() implementation."
            )
        own._is_param = True  # type: ignore[attr-defined]
        return own

    # Tensor's own __init__ has nothing to do with these arguments.
    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            with no_grad():
                copied = make_alias(self).clone()
            found = memo[id(self)] = type(self)(copied, self.requires_grad)
        return found

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        plain = make_alias(self)
        plain._requires_grad = self._requires_grad
        text = plain.__repr__()
        if type(self) is Parameter:
            return parameter_repr(text)
        return parameter_repr(text.replace("tensor(", f"{type(self).__name__}(", 1), subclass=True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        args: tuple[Any, ...] = (make_alias(self), self.requires_grad, OrderedDict())
        state = dict(self.__dict__)
        # Python's own pickle, which sends it to another process, must import this module there; files (protocol 2) need not.
        if protocol != 2:
            return _unpickled, (*args, state)
        return (rebuild_parameter_with_state, (*args, state)) if state else (rebuild_parameter, args)


def _unpickled(data: Any, requires_grad: bool, hooks: Any, state: dict[str, Any]) -> Any:
    """The parameter that `Parameter.__reduce_ex__` took apart."""
    if state:
        return rebuild_parameter_with_state(data, requires_grad, hooks, state)
    return rebuild_parameter(data, requires_grad, hooks)


def _alias_as(cls: type, data: Any, requires_grad: bool) -> Any:
    """A leaf of class `cls` on the memory of `data`."""
    if requires_grad and not (data.is_floating_point() or data.is_complex()):
        raise RuntimeError(
            f"{cls.__name__}(): Only Tensors of floating point and complex dtype can require gradients, got "
            f"{data.dtype!r}; pass requires_grad=False, or convert the data, for example with data.float()"
        )
    alias = make_alias(data)
    alias.__class__ = cls
    alias._requires_grad = bool(requires_grad)
    return alias


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is part of a module's state and not learned, such as a running mean.

    Assigned to a Module's attribute it appears in `Module.buffers()`, and in the state_dict if `persistent`. What the
    constructor returns is `data` detached, of its own type, with a mark; it shares the memory.
    """

    __torch_function__ = staticmethod(disabled_torch_function)

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = empty(0)
        if not isinstance(data, TensorBase):
            raise AttributeError(
                f"{cls.__name__}(): argument 'data' must be Tensor, got {type(data).__name__}; make one with "
                "torch.tensor(data)"
            )
        given: Any = data
        marked = given.detach().requires_grad_(given.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked


# What may be called on a parameter that has no shape yet: moves, casts and questions that need none.
_ALLOWED: Final = frozenset(
    "__hash__ size copy_ detach clone is_complex is_floating_point half float double char short int long bfloat16 cuda cpu "
    "to to_copy get_device requires_grad_ is_meta _has_compatible_shallow_copy_type".split()
)


class UninitializedTensorMixin:
    """What UninitializedParameter and UninitializedBuffer share: everything that needs a shape is an error."""

    cls_to_become: Any = None

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor its shape; values are arbitrary. It becomes a Parameter (or Tensor), the same object.

        device, dtype: default to those given when it was made.
        """
        plain = self.data
        self.data = empty(
            shape, device=plain.device if device is None else device, dtype=plain.dtype if dtype is None else dtype
        )
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` to "
            "initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        own: Any = self
        return _make_uninitialized, (isinstance(self, Parameter), own.requires_grad, own.device, own.dtype)

    @staticmethod
    def __torch_function__(function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in _ALLOWED:
            return disabled_torch_function(function, types, args, kwargs)
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {name or function}. This error happens when you are using a "
            "`LazyModule` or explicitly manipulating `torch.nn.parameter.UninitializedParameter` objects. When using "
            "LazyModules call `forward` with a dummy batch to initialize the parameters before calling torch functions."
        )


def is_lazy(param: Any) -> bool:
    """Whether `param` still has no shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A parameter whose shape is not known yet; `materialize(shape)` makes it a Parameter. Used by lazy modules."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _alias_as(cls, empty(0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype)
        return found


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet; `materialize(shape)` makes it a plain Tensor."""

    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> Any:
        buffer = _alias_as(cls, empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def _make_uninitialized(is_parameter: bool, requires_grad: bool, where: Any, kind: Any) -> Any:
    return (UninitializedParameter if is_parameter else UninitializedBuffer)(requires_grad, where, kind)


PLAIN.add(Parameter)
for _cls in (Parameter, Buffer, UninitializedTensorMixin, UninitializedParameter, UninitializedBuffer):
    _cls.__module__ = "torch.nn.parameter"
