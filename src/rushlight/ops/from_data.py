"""Tensors out of data: Python numbers, nested sequences, NumPy arrays, buffers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU
from rushlight.base.dtypes import (
    COMPLEX,
    INTEGER,
    bool_,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    promote_types,
    scalar_dtype,
)
from rushlight.base.layout import strided
from rushlight.base.warn import warn_user
from rushlight.core.modes import local
from rushlight.core.storage import Array
from rushlight.core.tensor import TensorBase, wrap
from rushlight.ops.cast import to
from rushlight.ops.common import methods
from rushlight.ops.factory import (
    Fill,
    as_dtype,
    check_fits,
    chosen_device,
    finished,
    on_device,
    placement,
    upload,
)
from rushlight.ops.history import detach
from rushlight.ops.offered import offered

__all__ = ["as_tensor", "asarray", "from_numpy", "frombuffer", "tensor"]

Shape = tuple[int, ...]


class Foreign:
    """Hands NumPy the memory of an array without being one: the tensor's storage then starts where that array does."""

    __slots__ = ("array", "__array_interface__")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


@offered
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
    """A new tensor with a copy of `data`: a number, nested sequences, a NumPy array or a tensor.

    Without `dtype` it is inferred: bool, int64, the default floating (or complex) dtype for Python numbers, an array's own dtype
    for arrays. Raises `ValueError` for ragged sequences, `RuntimeError` for what is no number.

    >>> tensor([[1, 2], [3, 4.5]])
    tensor([[1.0000, 2.0000],
            [3.0000, 4.5000]])
    """
    wanted = None if dtype is None else as_dtype(dtype, "tensor")
    if isinstance(data, TensorBase):
        warn_user(
            "tensor(): to copy a tensor, x.detach().clone() (or x.detach().clone().requires_grad_(True)) says so more clearly "
            "than tensor(x)",
        )
        result = to(detach(data), dtype=wanted, device=device, copy=True)
        return finished(Fill(result._shape, result._dtype), result, requires_grad)
    return _from_host(copied_array(data, wanted), wanted, device, requires_grad)


def _from_host(array: Array, wanted: dtype | None, where: Any, requires_grad: bool) -> Any:
    """A tensor that owns the host `array`, cast where the device or the caller asks for another dtype."""
    target = chosen_device(where)
    own = from_numpy_dtype(array.dtype)
    held = on_device(own if wanted is None else wanted, target)
    if held is not own:
        array = kernels_for(CPU).cast(array, held.np)
    return finished(Fill(array.shape, held), upload(array, target), requires_grad)


def copied_array(data: Any, wanted: dtype | None) -> Array:
    """A fresh array of the values in `data`, of dtype `wanted` or of the inferred one."""
    kind = type(data)
    if kind is list or kind is tuple:
        return _from_sequence(data, wanted)
    if isinstance(data, np.ndarray):
        own = _checked(data)
        if wanted is None or wanted is own:
            return np.array(data, order="C", subok=False)
        if own.category == COMPLEX and wanted.category < COMPLEX and wanted is not bool_:
            warn_user("Casting complex values to real discards the imaginary part")
        return kernels_for(CPU).cast(data, wanted.np)  # type: ignore[no-any-return]
    if isinstance(data, (bool, int, float, complex, np.generic)):
        of = _leaf_dtype(data) if wanted is None else wanted
        return _fill_leaves([data], of).reshape(())
    if isinstance(data, (str, bytes)):
        raise TypeError(f"tensor(): invalid data type '{type(data).__name__}': a tensor holds numbers")
    if hasattr(data, "__array_interface__") or (hasattr(data, "__array__") and not hasattr(data, "__getitem__")):
        return copied_array(np.asarray(data), wanted)
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not hasattr(data, "keys"):
        return _from_sequence(data, wanted)
    raise RuntimeError(
        f"tensor(): Could not infer dtype of {type(data).__name__}: expected a number, a (nested) sequence of numbers or "
        "a NumPy array"
    )


def _checked(array: Array) -> dtype:
    """The dtype of an array whose memory torch could take over; errors for the others."""
    found = from_numpy_dtype(array.dtype)
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order: convert it, for example with "
            "array.astype(array.dtype.newbyteorder('='))"
        )
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "supported: make a copy of your array with array.copy()"
        )
    return found


def _from_sequence(data: Any, wanted: dtype | None) -> Array:
    if len(data) and all(isinstance(part, np.ndarray) and part.ndim for part in data):
        if len({part.shape for part in data}) == 1:
            warn_user(
                "Creating a tensor from a list of numpy.ndarrays is slow: convert the list to a single numpy.ndarray with "
                "numpy.array() first",
            )
            of = wanted
            if of is None:
                of = _checked(data[0])
                for part in data[1:]:
                    of = promote_types(of, _checked(part))
            cast = kernels_for(CPU).cast
            return np.stack([cast(part, of.np) for part in data])
    shape = _nested_shape(data)
    leaves: list[Any] = []
    _flatten(data, shape, 0, leaves)
    of = wanted if wanted is not None else _common_dtype(leaves)
    return _fill_leaves(leaves, of).reshape(shape)


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return True
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return (
        hasattr(value, "__len__")
        and hasattr(value, "__getitem__")
        and not isinstance(value, (TensorBase, np.generic, dict))
    )


def _nested_shape(data: Any) -> Shape:
    """The shape that the first elements at every depth say."""
    shape: list[int] = []
    while _is_sequence(data):
        if isinstance(data, (str, bytes)):
            raise ValueError(
                f"tensor(): too many dimensions '{type(data).__name__}': a tensor holds numbers, encode the text first"
            )
        shape.append(len(data))
        if len(shape) > 128:
            raise ValueError("tensor(): too many dimensions: a sequence that contains itself?")
        if not shape[-1]:
            break
        data = data[0]
    return tuple(shape)


def _flatten(data: Any, shape: Shape, depth: int, leaves: list[Any]) -> None:
    """Append all numbers in `data` to `leaves`, checking that it is as regular as `shape` says."""
    if not _is_sequence(data):
        raise TypeError(
            f"tensor(): not a sequence: expected one of length {shape[depth]} at dim {depth}, got {type(data).__name__}"
        )
    if len(data) != shape[depth]:
        raise ValueError(
            f"tensor(): expected sequence of length {shape[depth]} at dim {depth} (got {len(data)}): all rows must be equally "
            "long"
        )
    if depth + 1 < len(shape):
        for part in data:
            _flatten(part, shape, depth + 1, leaves)
    else:
        leaves.extend(data)


def _leaf_dtype(value: Any) -> Any:
    """The dtype one element has by itself."""
    if isinstance(value, np.generic):
        return from_numpy_dtype(value.dtype)
    if isinstance(value, TensorBase):
        return value._dtype
    if isinstance(value, np.ndarray):
        return from_numpy_dtype(value.dtype)
    if isinstance(value, (str, bytes)):
        raise TypeError(f"tensor(): invalid data type '{type(value).__name__}': a tensor holds numbers")
    if isinstance(value, Sequence):
        raise TypeError(
            f"tensor(): '{type(value).__name__}' object where a number was expected: all elements must be nested equally deep"
        )
    try:
        return scalar_dtype(value)
    except TypeError:
        raise RuntimeError(f"tensor(): Could not infer dtype of {type(value).__name__}") from None


def _common_dtype(leaves: list[Any]) -> dtype:
    if not leaves:
        return get_default_dtype()
    kinds = set(map(type, leaves))
    if kinds <= {bool, int, float, complex}:
        found = bool_
        for kind in kinds:
            found = promote_types(found, scalar_dtype(kind()))
        return found
    found = _leaf_dtype(leaves[0])
    for value in leaves[1:]:
        found = promote_types(found, _leaf_dtype(value))
    return found


def _fill_leaves(leaves: list[Any], of: dtype) -> Array:
    """A one-dimensional array of Python numbers (or one-element tensors) in dtype `of`."""
    kinds = set(map(type, leaves))
    if not kinds <= {bool, int, float}:
        leaves = [_plain_number(value) for value in leaves]
        if of.category < COMPLEX and any(isinstance(value, complex) for value in leaves):
            raise TypeError(f"tensor(): must be real number, not complex, for dtype {of!r}")
    if of is bool_:
        return np.array([bool(value) for value in leaves], np.bool_)
    if of.category == INTEGER:
        return _fill_integers(leaves, of, kinds)
    if of.category == COMPLEX or of.itemsize > 2:
        with np.errstate(all="ignore"):
            return np.array(leaves, of.np)
    return kernels_for(CPU).cast(np.array(leaves, np.float64), of.np)  # type: ignore[no-any-return]


def _fill_integers(leaves: list[Any], of: dtype, kinds: set[type]) -> Array:
    if kinds <= {bool, int}:
        try:
            if of.itemsize == 8:
                return np.array(leaves, np.int64)
            wide = np.array(leaves, np.int64)
        except OverflowError:
            raise ValueError(
                "tensor(): Overflow when unpacking long long: an integer does not fit into int64; pass "
                "dtype=torch.float64 if you can do with less precision"
            ) from None
        if wide.size:
            check_fits(int(wide.min()), of, "tensor")
            check_fits(int(wide.max()), of, "tensor")
        return wide.astype(of.np)
    for value in leaves:
        check_fits(value, of, "tensor")
    return np.array([int(value) for value in leaves], np.int64).astype(of.np)


def _plain_number(value: Any) -> Any:
    """The Python number in a scalar, a NumPy scalar or a one-element tensor."""
    if isinstance(value, TensorBase):
        if value.numel() != 1:
            raise ValueError(
                f"tensor(): only one element tensors can be converted to Python scalars, got one of shape {list(value._shape)}; "
                "use stack() to join tensors"
            )
        if value.requires_grad:
            warn_user(
                "Converting a tensor with requires_grad=True to a scalar cuts it from its history: use stack() to keep it, or "
                "detach() to say so",
            )
        return value.item()
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        return value
    if isinstance(value, (np.generic, np.ndarray)):
        return value.item() if value.dtype.kind != "V" else float(value)
    _leaf_dtype(value)
    return value


# Sharing memory.


@offered
def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """`data` as a tensor: itself if it is one already, sharing the memory of a NumPy array where dtype and device allow."""
    wanted = None if dtype is None else as_dtype(dtype, "as_tensor")
    if isinstance(data, TensorBase):
        return to(
            data, dtype=data._dtype if wanted is None else wanted, device=data._device if device is None else device
        )
    if isinstance(data, np.ndarray):
        shared = shared_tensor(data)
        where = chosen_device(device)
        return to(shared, dtype=wanted, device=where)
    return _from_host(copied_array(data, wanted), wanted, device, False)


@offered
def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool | None = None
) -> Any:
    """`obj` as a tensor, sharing memory where possible; `copy=True` always copies, `copy=False` raises where it would have to."""
    wanted = None if dtype is None else as_dtype(dtype, "asarray")
    where = None if device is None else chosen_device(device)
    if isinstance(obj, TensorBase):
        result = obj
    elif isinstance(obj, np.ndarray):
        result = shared_tensor(obj, warn=copy is not True)
    elif hasattr(obj, "__dlpack__"):
        result = shared_tensor(np.from_dlpack(obj))
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        result = frombuffer(obj, dtype=wanted or get_default_dtype())
    else:
        if copy is False:
            raise ValueError(
                f"asarray(): can't alias arbitrary sequence into a tensor, got {type(obj).__name__} with copy=False"
            )
        result = _from_host(copied_array(obj, wanted), wanted, device, False)
        copy = None
    different = (wanted is not None and wanted is not result._dtype) or (
        where is not None and where is not result._device
    )
    if different and copy is False:
        raise ValueError(
            f"asarray(): can't alias a {result._dtype!r} tensor on {result._device} as {wanted or result._dtype!r} on "
            f"{where or result._device}; leave out copy=False"
        )
    if different or copy:
        result = to(result, dtype=wanted, device=where, copy=bool(copy))
    if requires_grad is None:
        return result
    if requires_grad == result.requires_grad:
        return result
    if result is obj or not requires_grad:
        result = detach(result)
    return result.requires_grad_(requires_grad)


def from_numpy(ndarray: Any) -> Any:
    """A tensor on the memory of a NumPy array: a change of one is seen in the other.

    Raises `TypeError` for something else and for dtypes without a counterpart; a read-only array gives a warning, and an error
    when the tensor is written to.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__}); use torch.tensor(...) for other data")
    return shared_tensor(ndarray)


def shared_tensor(array: Array, warn: bool = True) -> Any:
    """A tensor on foreign memory, which it can't resize."""
    _checked(array)
    if warn and not array.flags.writeable:
        warn_user(
            "The given NumPy array is not writable: writing into the tensor will be an error. Copy the array first "
            "(array.copy()) if you mean to.",
        )
    if array.dtype.kind != "V":  # NumPy's interface has no name for bfloat16
        array = np.asarray(Foreign(array))
    elif type(array) is not np.ndarray:
        array = array.view(np.ndarray)
    shared = wrap(array, CPU)
    shared._storage.resizable = False
    return finished(Fill(shared._shape, shared._dtype), shared) if local.modes.inference else shared


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """A one-dimensional tensor on the memory of `buffer`, from byte `offset` on, `count` elements (-1: all)."""
    of = as_dtype(dtype, "frombuffer")
    view = memoryview(buffer)
    length = view.nbytes
    if length <= 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({length} bytes) minus 1"
        )
    left = length - offset
    if count < 0:
        if left % of.itemsize:
            raise ValueError(
                f"buffer length ({left} bytes) after offset ({offset} bytes) must be a multiple of element size ({of.itemsize})"
            )
        count = left // of.itemsize
    if count * of.itemsize > left:
        raise ValueError(
            f"requested buffer length ({count} * {of.itemsize} bytes) after offset ({offset} bytes) must not be greater than "
            f"actual buffer length ({length} bytes)"
        )
    array = np.frombuffer(view, of.np, count, offset)
    if not array.flags.writeable:
        warn_user(
            "The given buffer is not writable: writing into the tensor will be an error. Copy it first (bytearray(buffer)) "
            "if you mean to.",
        )
    shared = wrap(array, CPU)
    shared._storage.resizable = False
    return finished(Fill(shared._shape, of), shared, requires_grad)


@offered
def new_tensor(
    self: Any,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = strided,
    pin_memory: bool = False,
) -> Any:
    """`tensor(data)` in this tensor's dtype and on its device."""
    where = self._device if device is None else device
    of, _ = placement(self._dtype if dtype is None else dtype, where, layout, None, "new_tensor")
    if isinstance(data, TensorBase):
        return tensor(data, dtype=of, device=where, requires_grad=requires_grad)
    return _from_host(copied_array(data, of), of, where, requires_grad)


methods(new_tensor)
