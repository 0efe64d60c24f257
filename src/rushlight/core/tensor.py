"""`TensorBase`: a NumPy array with a history. The public `Tensor` is its empty subclass (core/public.py).

The array is reached through `array_of` (to read) and `alias_array` (to share memory or write) only, never through
`_array`, which is empty while the storage keeps a layout of its own. Shape, dtype and device are the tensor's own.
Operators call the table `T`, which ops/ fills; every other method is attached by ops/ with `attach`.
"""

from __future__ import annotations

from math import prod
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rushlight.base.compiled import mypyc_attr
from rushlight.base.device import device
from rushlight.base.dtypes import BOOL, COMPLEX, FLOATING, dtype
from rushlight.base.kinds import FROM_NUMPY, Device, Dtype
from rushlight.base.shape import Shape
from rushlight.base.size import Size
from rushlight.base.warn import warn_user
from rushlight.core.binding import BoundFunction
from rushlight.core.modes import local
from rushlight.core.storage import Array, AutogradMeta, Storage, View
from rushlight.core.table import T

if TYPE_CHECKING:
    from rushlight.core.node import Node


SLOTS: Final = (
    "_array", "_shape", "_dtype", "_device", "_storage", "_requires_grad", "_grad_fn", "_output_nr", "_meta", "_view",
)  # fmt: skip


@mypyc_attr(allow_interpreted_subclasses=True)
class TensorBase:
    """See `rushlight.Tensor`."""

    __slots__ = SLOTS
    # NumPy leaves `ndarray * tensor` to the tensor.
    __array_priority__: ClassVar[int] = 1000

    _array: Array | None
    _shape: Shape
    _dtype: Dtype
    _device: Device
    _storage: Storage
    _requires_grad: bool
    _grad_fn: Node | None
    _output_nr: int
    _meta: AutogradMeta | None
    _view: View | None

    def __new__(cls) -> TensorBase:
        """An instance of `cls` whose slots are still empty; `Tensor.__new__` is the constructor of users."""
        return super().__new__(cls)

    # What a tensor is.

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return Size(self._shape)

    @property
    def dtype(self) -> dtype:
        return self._dtype  # type: ignore[return-value]  # no check in compiled code

    @property
    def device(self) -> device:
        return self._device  # type: ignore[return-value]

    @property
    def ndim(self) -> int:
        return len(self._shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    def ndimension(self) -> int:
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements."""
        return prod(self._shape)

    def nelement(self) -> int:
        return prod(self._shape)

    def size(self, dim: Any = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return Size(self._shape)
        rank = len(self._shape)
        if not -rank <= dim < rank:
            raise IndexError(
                f"size(): Dimension out of range (expected to be in range of [{-max(rank, 1)}, {max(rank, 1) - 1}], "
                f"but got {dim})"
            )
        return self._shape[dim]

    def element_size(self) -> int:
        """Bytes per element."""
        return self._dtype.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self._dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.numel() * self._dtype.itemsize

    def is_floating_point(self) -> bool:
        return self._dtype.category == FLOATING

    def is_complex(self) -> bool:
        return self._dtype.is_complex

    def is_signed(self) -> bool:
        return self._dtype.is_signed

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode (a view of another tensor is what that one is)."""
        return self._view is not None and self._view.base is None

    @property
    def is_cpu(self) -> bool:
        return self._device.type == "cpu"

    @property
    def is_cuda(self) -> bool:
        return self._device.type == "cuda"

    @property
    def is_mps(self) -> bool:
        return self._device.type == "mps"

    @property
    def is_meta(self) -> bool:
        return self._device.type == "meta"

    is_sparse: ClassVar[bool] = False
    is_quantized: ClassVar[bool] = False
    is_nested: ClassVar[bool] = False
    is_mkldnn: ClassVar[bool] = False

    def get_device(self) -> int:
        """The index of an accelerator; -1 on the CPU."""
        return -1 if self._device.index is None else self._device.index

    # History.

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        view = self._view
        if self._requires_grad or view is None or view.base is None:
            return self._requires_grad
        return bool(view.base._requires_grad) and self._dtype.category >= FLOATING

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise RuntimeError(f"requires_grad must be a bool, got {type(value).__name__}")
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: Any = True) -> Any:
        """Start (or, on a leaf, stop) recording operations on this tensor, in place. Returns the tensor.

        Raises `RuntimeError` for an integer or bool tensor, for False on a tensor that was computed, and for a tensor
        made in inference mode.
        """
        if requires_grad and self._dtype.category < FLOATING:
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients, got "
                f"{self._dtype!r}. Convert it first, for example with x.float()"
            )
        if requires_grad and self.is_inference() and not local.modes.inference:
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed: clone() it to get a "
                "normal tensor"
            )
        if not requires_grad and self.grad_fn is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                "in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """True for tensors that no recorded operation made."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The node of the operation that made this tensor, None for a leaf."""
        view = self._view
        if view is not None and view.version != self._storage.version:
            T.refresh_view(self)
        return self._grad_fn

    @property
    def output_nr(self) -> int:
        return self._output_nr

    @property
    def _version(self) -> int:
        """How often the memory was changed in place; `RuntimeError` for inference tensors."""
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._storage.version

    @property
    def _base(self) -> Any:
        """The tensor this one is a view of, or None."""
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None and self._view.base is not None

    def autograd_meta(self) -> AutogradMeta:
        """The tensor's AutogradMeta, made when first asked for."""
        if self._meta is None:
            self._meta = AutogradMeta()
        return self._meta

    @property
    def name(self) -> str | None:
        return None if self._meta is None else self._meta.name

    # Aliases without recording; the recorded `detach` is an operation.

    def detach_alias(self) -> Any:
        """A tensor on the same storage without history."""
        return make_alias(self)

    def with_history(self, node: Node | None, output_nr: int) -> Any:
        """A tensor on the same storage whose history is `node`."""
        alias = make_alias(self)
        alias._grad_fn = node
        alias._output_nr = output_nr
        alias._requires_grad = node is not None
        return alias

    def conj(self) -> Any:
        """The complex conjugate; a real tensor is returned as it is."""
        return T.conj(self) if self._dtype.category == COMPLEX else self

    # Operators.

    def __add__(self, other: Any) -> Any:
        return T.add.run(self, other)

    def __radd__(self, other: Any) -> Any:
        return T.add.run(self, other)

    def __sub__(self, other: Any) -> Any:
        return T.sub.run(self, other)

    def __rsub__(self, other: Any) -> Any:
        return T.rsub.run(self, other)

    def __mul__(self, other: Any) -> Any:
        return T.mul.run(self, other)

    def __rmul__(self, other: Any) -> Any:
        return T.mul.run(self, other)

    def __truediv__(self, other: Any) -> Any:
        return T.div.run(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return T.rdiv.run(self, other)

    def __floordiv__(self, other: Any) -> Any:
        return T.floor_divide.run(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return T.rfloor_divide.run(self, other)

    def __mod__(self, other: Any) -> Any:
        return T.remainder.run(self, other)

    def __rmod__(self, other: Any) -> Any:
        return T.rremainder.run(self, other)

    def __pow__(self, other: Any) -> Any:
        return T.pow.run(self, other)

    def __rpow__(self, other: Any) -> Any:
        return T.rpow.run(self, other)

    def __matmul__(self, other: Any) -> Any:
        return T.matmul.run(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return T.rmatmul.run(self, other)

    def __neg__(self) -> Any:
        return T.neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return T.abs(self)

    def __eq__(self, other: Any) -> Any:
        return T.eq.run(self, other)

    def __ne__(self, other: Any) -> Any:
        return T.ne.run(self, other)

    def __lt__(self, other: Any) -> Any:
        return T.lt.run(self, other)

    def __le__(self, other: Any) -> Any:
        return T.le.run(self, other)

    def __gt__(self, other: Any) -> Any:
        return T.gt.run(self, other)

    def __ge__(self, other: Any) -> Any:
        return T.ge.run(self, other)

    def __and__(self, other: Any) -> Any:
        return T.and_.run(self, other)

    def __rand__(self, other: Any) -> Any:
        return T.and_.run(self, other)

    def __or__(self, other: Any) -> Any:
        return T.or_.run(self, other)

    def __ror__(self, other: Any) -> Any:
        return T.or_.run(self, other)

    def __xor__(self, other: Any) -> Any:
        return T.xor.run(self, other)

    def __rxor__(self, other: Any) -> Any:
        return T.xor.run(self, other)

    def __invert__(self) -> Any:
        return T.invert(self)

    def __lshift__(self, other: Any) -> Any:
        return T.lshift.run(self, other)

    def __rshift__(self, other: Any) -> Any:
        return T.rshift.run(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return T.rlshift.run(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return T.rrshift.run(self, other)

    def __iadd__(self, other: Any) -> Any:
        return T.iadd.run(self, other)

    def __isub__(self, other: Any) -> Any:
        return T.isub.run(self, other)

    def __imul__(self, other: Any) -> Any:
        return T.imul.run(self, other)

    def __itruediv__(self, other: Any) -> Any:
        return T.idiv.run(self, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return T.ifloor_divide.run(self, other)

    def __imod__(self, other: Any) -> Any:
        return T.iremainder.run(self, other)

    def __ipow__(self, other: Any) -> Any:
        return T.ipow.run(self, other)

    def __iand__(self, other: Any) -> Any:
        return T.iand.run(self, other)

    def __ior__(self, other: Any) -> Any:
        return T.ior.run(self, other)

    def __ixor__(self, other: Any) -> Any:
        return T.ixor.run(self, other)

    def __ilshift__(self, other: Any) -> Any:
        return T.ilshift.run(self, other)

    def __irshift__(self, other: Any) -> Any:
        return T.irshift.run(self, other)

    def __getitem__(self, key: Any) -> Any:
        return T.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        T.setitem(self, key, value)

    def __hash__(self) -> int:
        return id(self)

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of a 0-d tensor")
        return self._shape[0]

    def __bool__(self) -> bool:
        return bool(self._only_element("bool"))

    def __float__(self) -> float:
        self._warn_of_lost_history()
        return float(self._only_element("float"))

    def __int__(self) -> int:
        return int(self._only_element("int"))

    def __complex__(self) -> complex:
        self._warn_of_lost_history()
        return complex(self._only_element("complex"))

    def __index__(self) -> int:
        if self._dtype.category > 1 or prod(self._shape) != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def _warn_of_lost_history(self) -> None:
        if local.modes.grad and self.requires_grad:
            warn_user(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior: no gradient flows "
                "through a number. Use tensor.detach() or tensor.item() to say that this is meant.",
            )

    def _only_element(self, kind: str) -> Any:
        numel = prod(self._shape)
        if numel != 1:
            if kind == "bool":
                amount = "no values" if numel == 0 else "more than one value"
                raise RuntimeError(
                    f"Boolean value of Tensor with {amount} is ambiguous; use x.any(), x.all() or x.numel()"
                )
            shape = list(self._shape)
            raise ValueError(f"only one element tensors can be converted to Python scalars: {kind}() got {shape}; use x.tolist()")
        value = self.item()
        if type(value) is complex and kind in ("float", "int"):
            if value.imag:
                raise RuntimeError(f"{kind}(): a complex value cannot be converted to type {kind} without overflow; use x.real")
            return value.real
        return value

    def item(self) -> Any:
        """The only element as a Python number; `RuntimeError` when there are several or none."""
        if prod(self._shape) != 1:
            raise RuntimeError(f"a Tensor with {prod(self._shape)} elements cannot be converted to Scalar; use x.tolist()")
        if self._device.type == "meta":
            raise RuntimeError("Tensor.item() cannot be called on meta tensors: they have a shape but no values")
        value, category = array_of(self).item(), self._dtype.category
        return float(value) if category == FLOATING else bool(value) if category == BOOL else value


class _Public:
    """The public class, which results are made of; core/public.py sets it."""

    __slots__ = ("cls",)

    def __init__(self) -> None:
        self.cls: Any = TensorBase


PUBLIC: Final = _Public()

def new_tensor(array: Any, shape: Shape, of: Dtype, where: Device, storage: Storage) -> Any:
    """A tensor of the public class without history."""
    t: TensorBase = TensorBase.__new__(PUBLIC.cls)
    t._array = array
    t._shape = shape
    t._dtype = of
    t._device = where
    t._storage = storage
    t._requires_grad = False
    t._grad_fn = None
    t._output_nr = 0
    t._meta = None
    t._view = None
    return t


def wrap(array: Any, where: Device) -> Any:
    """A new tensor without history on `array`, which the tensor owns from now on."""
    return new_tensor(array, array.shape, FROM_NUMPY[array.dtype], where, Storage())


def wrap_like(array: Any, like: TensorBase) -> Any:
    """`wrap` for an array known to have the shape, dtype and device of the tensor `like`."""
    return new_tensor(array, like._shape, like._dtype, like._device, Storage())


def wrap_view(array: Any, of: TensorBase) -> Any:
    """A new tensor without history on `array`, which lies in the memory of the tensor `of`."""
    return new_tensor(array, array.shape, FROM_NUMPY[array.dtype], of._device, of._storage)


def wrap_hidden(hidden: Any, where: Device) -> Any:
    """A new tensor whose storage keeps `hidden` (a HiddenArray) in its own layout."""
    storage = Storage()
    storage.hidden = hidden
    return new_tensor(None, hidden.shape, FROM_NUMPY[hidden.dtype], where, storage)


def make_alias(source: TensorBase) -> Any:
    """A tensor without history on the storage of `source`, hidden layout included."""
    return new_tensor(source._array, source._shape, source._dtype, source._device, source._storage)


def array_of(t: TensorBase) -> Array:
    """The value to read, in the default format; of a hidden storage a temporary copy."""
    array = t._array
    if array is None:
        hidden = t._storage.hidden
        if hidden is not None:
            return hidden.default()
        t._array = array = t._storage.relay()
    return array


def alias_array(t: TensorBase) -> Array:
    """The array itself, to write to or to make a view of: ends a hidden layout for good."""
    array = t._array
    if array is None:
        t._array = array = t._storage.relay()
    return array


def attach(name: str, value: Any) -> None:
    """Give every tensor the method or property `name`."""
    setattr(PUBLIC.cls, name, BoundFunction(value) if isinstance(value, BuiltinFunctionType) else value)


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor."""
    return isinstance(value, TensorBase)
