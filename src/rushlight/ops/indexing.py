"""`x[...]` and `x[...] = v` in every form torch knows.

Integers, slices, None and Ellipsis are taken one after the other as views (select, slice, unsqueeze); index tensors and
masks are then served together by one operation, as in torch and with NumPy's rules for where the result's dimensions go.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from rushlight.base.dtypes import BOOL, FLOATING, uint8
from rushlight.base.shape import Shape
from rushlight.core.inplace import apply_inplace
from rushlight.core.modes import STATE
from rushlight.core.primitive import PLAIN, Primitive, apply_view, applyn, intercepted
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.cast import to
from rushlight.ops.common import Number, methods, serve
from rushlight.ops.from_data import as_tensor
from rushlight.ops.gather import gather
from rushlight.ops.index_rules import basic_item, take_integer, take_slice
from rushlight.ops.view import expand, reshape
from rushlight.ops.view_rules import Alias, Unsqueeze

__all__ = ["index_put", "take_along_dim"]

_EVERYTHING: Final = slice(None)
# Which dimensions index tensors stand at: True for a tensor, False for a dimension taken whole.
Pattern = tuple[bool, ...]


def _key(pattern: Pattern, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The NumPy index of a pattern and its index arrays."""
    given = iter(arrays)
    return tuple(_index_array(next(given)) if taken else _EVERYTHING for taken in pattern)


def _index_array(array: Any) -> Any:
    return array.astype(np.bool_) if array.dtype == np.uint8 else array


class Index(Primitive):
    """x at index tensors: `index(x, indices...)`."""

    __slots__ = ("pattern",)
    name = "index"
    mixed_devices = True

    def __init__(self, pattern: Pattern) -> None:
        self.pattern = pattern

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.index_get(arrays[0], _key(self.pattern, arrays[1:]))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, *inputs[1:])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return applyn(AddAtIndex(self.pattern, saved[0]), (g, *saved[1:])), *(None for _ in saved[1:])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return applyn(self, (tangents[0], *saved[1:]))

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        given = iter(tensors[1:])
        return TensorBase.__getitem__, (tensors[0], tuple(next(given) if t else _EVERYTHING for t in self.pattern)), {}


class AddAtIndex(Primitive):
    """The transpose of `index`: zeros of `shape` with the input added at the index tensors."""

    __slots__ = ("pattern", "shape")
    name = "add_at_index"
    mixed_devices = True

    def __init__(self, pattern: Pattern, shape: Shape) -> None:
        self.pattern = pattern
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.index_put(k.zeros(self.shape, arrays[0].dtype), _key(self.pattern, arrays[1:]), arrays[0], True)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[1:]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return applyn(Index(self.pattern), (g, *saved)), *(None for _ in saved)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return applyn(self, (tangents[0], *saved))


class IndexPut(Primitive):
    """x with values written (or added) at index tensors: `index_put(x, values, indices...)`."""

    __slots__ = ("pattern", "accumulate")
    name = "index_put"
    mixed_devices = True

    def __init__(self, pattern: Pattern, accumulate: bool) -> None:
        self.pattern = pattern
        self.accumulate = accumulate

    def forward(self, k: Any, *arrays: Any) -> Any:
        return self.forward_into(k, k.contiguous(arrays[0]), *arrays)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        try:
            return k.index_put(out, _key(self.pattern, arrays[2:]), arrays[1], self.accumulate)
        except ValueError:
            shape = out[_key(self.pattern, arrays[2:])].shape
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(arrays[1].shape)} cannot be broadcast to indexing result of shape "
                f"{list(shape)}"
            ) from None

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs[2:]

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        gx = None
        if needs[0]:
            gx = g if self.accumulate else applyn(IndexPut(self.pattern, False), (g, g.new_zeros(()), *saved))
        gv = applyn(Index(self.pattern), (g, *saved)) if needs[1] else None
        return gx, gv, *(None for _ in saved)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        given = iter(tensors[2:])
        indices = tuple(next(given) if t else None for t in self.pattern)
        return index_put, (tensors[0], indices, tensors[1]), {"accumulate": self.accumulate}


def _as_items(key: Any) -> list[Any]:
    """The entries of an index expression; a list of slices, tensors or sequences is a tuple in torch's eyes."""
    if isinstance(key, tuple):
        return list(key)
    if isinstance(key, list) and len(key) < 32 and any(_makes_tuple(entry) for entry in key):
        return key
    return [key]


def _makes_tuple(entry: Any) -> bool:
    """Whether a list with this entry is meant as a tuple, `x[[slice(1), 0]]` (NumPy's old rule, and torch's)."""
    return entry is None or entry is Ellipsis or isinstance(entry, (slice, list, tuple, TensorBase))


def _index_tensor(entry: Any, like: Any) -> Any:
    """A list, a range or an ndarray in an index as a tensor."""
    if not isinstance(entry, (TensorBase, Sequence)) and not hasattr(entry, "__array__") or isinstance(entry, (str, bytes)):
        kind = TypeError if isinstance(entry, (str, bytes)) else IndexError
        raise kind(
            "only integers, slices (`:`), ellipsis (`...`), None and tensors or lists of integers or bools are valid indices, got "
            f"{entry!r} ({type(entry).__name__})"
        )
    found: Any = entry if isinstance(entry, TensorBase) else as_tensor(entry, device=like._device)
    if found._dtype.category >= FLOATING:
        if found.numel() == 0 and not isinstance(entry, TensorBase):
            return found.long()
        raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {found._dtype!r}")
    return found


def _consumed(entry: Any) -> int:
    """How many dimensions of the tensor an entry uses up."""
    if entry is None or entry is Ellipsis or isinstance(entry, bool):
        return 0
    if isinstance(entry, TensorBase) and _is_mask(entry):
        return len(entry._shape)
    return 1


def resolve(x: Any, key: Any) -> tuple[Any, Pattern, list[Any]]:
    """Take the basic part of `key` as views of `x`; return the view and what is left for index tensors."""
    items = [
        entry if entry is None or entry is Ellipsis or isinstance(entry, (bool, slice)) or _is_integer(entry) else _index_tensor(entry, x)
        for entry in _as_items(key)
    ]
    rank, used = len(x._shape), sum(_consumed(entry) for entry in items)
    if used > rank:
        raise IndexError(f"too many indices for tensor of dimension {rank}: the index uses {used}")
    pattern: list[bool] = []
    tensors: list[Any] = []
    dim = 0
    for entry in items:
        if entry is Ellipsis:
            skipped, used = rank - used, rank  # as in torch, a further ellipsis stands for nothing
            pattern += [False] * skipped
            dim += skipped
        elif entry is None:
            x = apply_view(Unsqueeze(dim), x)
            pattern.append(False)
            dim += 1
        elif isinstance(entry, bool):
            x = apply_view(Unsqueeze(dim), x)
            pattern.append(True)
            tensors.append(as_tensor([0] if entry else [], device=x._device).long())
            dim += 1
        elif isinstance(entry, slice):
            x = take_slice(x, dim, entry)
            pattern.append(False)
            dim += 1
        elif _is_integer(entry):
            x = take_integer(x, dim, operator.index(entry))
        else:
            width = _check_index_tensor(x, dim, entry)
            if width == 0:  # a zero-dim mask adds a dimension
                x = apply_view(Unsqueeze(dim), x)
                entry, width = reshape(entry, (1,)).nonzero().detach()[:, 0], 1
            pattern.append(True)
            tensors.append(entry)
            dim += width
    return x, tuple(pattern), tensors


def _is_integer(entry: Any) -> bool:
    if isinstance(entry, TensorBase):
        return not entry._shape and entry._dtype.category == 1 and entry._dtype is not uint8
    return isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)


def _check_index_tensor(x: Any, dim: int, entry: Any) -> int:
    """The number of dimensions an index tensor covers; the shape of a mask must be that of what it covers."""
    if not _is_mask(entry):
        return 1
    width = len(entry._shape)
    covered = x._shape[dim : dim + width]
    for i, (have, want) in enumerate(zip(entry._shape, covered, strict=True)):
        if have != want:
            raise IndexError(
                f"The shape of the mask {list(entry._shape)} at index {i} does not match the shape of the indexed tensor "
                f"{list(x._shape)} at index {dim + i}"
            )
    return width


def _masks_to_integers(pattern: Pattern, tensors: list[Any]) -> tuple[Pattern, list[Any]]:
    """Masks written as the index tensors of their true elements, so that every tensor stands at one dimension."""
    out_pattern: list[bool] = []
    out_tensors: list[Any] = []
    given = iter(tensors)
    for taken in pattern:
        if not taken:
            out_pattern.append(False)
            continue
        entry = next(given)
        if _is_mask(entry):
            found = entry.nonzero()
            for column in range(len(entry._shape)):
                out_pattern.append(True)
                out_tensors.append(found.detach()[:, column])
        else:
            out_pattern.append(True)
            out_tensors.append(entry)
    shapes = [t._shape for t in out_tensors]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {', '.join(str(list(s)) for s in shapes)}"
        ) from None
    return tuple(out_pattern), out_tensors


def _is_mask(entry: Any) -> bool:
    return entry._dtype.category == BOOL or entry._dtype is uint8


def _tensors_in(value: Any) -> tuple[Any, ...]:
    return tuple([x for x in (value if isinstance(value, (tuple, list)) else (value,)) if isinstance(x, TensorBase)])


def getitem(self: Any, key: Any) -> Any:
    """`self[key]`: a view where the key has no index tensors, else a copy."""
    if STATE.busy or type(self) not in PLAIN:
        handled, found = intercepted(TensorBase.__getitem__, (self, key), (self, *_tensors_in(key)))
        if handled:
            return found
    found = basic_item(self, key)
    if found is not None:
        return found
    if type(key) is int:
        raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` to convert a 0-dim tensor to a Python number")
    view, pattern, tensors = resolve(self, key)
    if not tensors:
        return apply_view(Alias(), self) if view is self else view
    pattern, tensors = _masks_to_integers(pattern, tensors)
    return applyn(Index(pattern), (view, *tensors))


def setitem(self: Any, key: Any, value: Any) -> None:
    """`self[key] = value`, in place; `value` is broadcast and cast."""
    if STATE.busy or type(self) not in PLAIN:
        handled, _ = intercepted(TensorBase.__setitem__, (self, key, value), (self, *_tensors_in(key), *_tensors_in(value)))
        if handled:
            return
    if value is None or isinstance(value, (str, bytes, dict)):
        raise TypeError(f"can't assign a {type(value).__name__} to a tensor of {self._dtype!r}; assign a number or a tensor")
    if not isinstance(value, (TensorBase, *Number)):
        value = as_tensor(value, dtype=self._dtype, device=self._device)
    if isinstance(key, bool):
        if not key:
            return
        key = None
    view, pattern, tensors = resolve(self, key)
    if not tensors:
        if isinstance(value, TensorBase):
            view.copy_(_without_leading_ones(value, len(view._shape)))
        else:
            view.fill_(value)
        return
    if not is_tensor(value):
        value = as_tensor(value, dtype=self._dtype, device=self._device)
    elif len(tensors) == 1 and _is_mask(tensors[0]) and value.numel() == 1:  # torch fills under the mask, casting
        value = to(value, dtype=self._dtype)
    pattern, tensors = _masks_to_integers(pattern, tensors)
    _check_values(self, value, "index_put_")
    _put(view, pattern, tensors, value.to(device=self._device), False)


def _without_leading_ones(value: Any, rank: int) -> Any:
    shape = value._shape
    while len(shape) > rank and shape[0] == 1:
        shape = shape[1:]
    return value if shape == value._shape else reshape(value, shape)


def _put(target: Any, pattern: Pattern, tensors: list[Any], values: Any, accumulate: bool) -> Any:
    return apply_inplace(IndexPut(pattern, accumulate), target, (values, *tensors))


def _check_values(self: Any, values: Any, operation: str) -> None:
    if values._dtype is not self._dtype:
        raise RuntimeError(
            f"{operation}(): Index put requires the source and destination dtypes match, got {self._dtype!r} for the destination and "
            f"{values._dtype!r} for the source; convert with values.to({self._dtype!r})"
        )


def _put_arguments(self: Any, indices: Any, values: Any, operation: str) -> tuple[Pattern, list[Any]]:
    if len(indices) > len(self._shape):
        raise IndexError(f"too many indices for tensor of dimension {len(self._shape)} (got {len(indices)})")
    _check_values(self, values, operation)
    pattern = tuple(entry is not None for entry in indices)
    return _masks_to_integers(pattern, [_index_tensor(entry, self) for entry in indices if entry is not None])


def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Write `values` at a tuple of index tensors (None: the whole dimension), in place; `accumulate` adds instead."""
    pattern, tensors = _put_arguments(self, indices, values, "index_put_")
    return _put(self, pattern, tensors, values, accumulate)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of `input` with `values` written (or added) at a tuple of index tensors."""
    pattern, tensors = _put_arguments(input, indices, values, "index_put")
    return applyn(IndexPut(pattern, accumulate), (input, values, *tensors))


def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """`gather` with broadcasting: values of `input` at `indices` along `dim` (None: of the flattened input)."""
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)), out=out)
    rank = len(input._shape)
    d = dim + rank if dim < 0 else dim
    if len(indices._shape) != rank:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {rank} dimensions for "
            f"input, and {len(indices._shape)} dimensions for indices"
        )
    common = np.broadcast_shapes(
        tuple(1 if i == d else n for i, n in enumerate(input._shape)), tuple(1 if i == d else n for i, n in enumerate(indices._shape))
    )
    wide = expand(input, tuple(input._shape[d] if i == d else n for i, n in enumerate(common)))
    places = expand(indices, tuple(indices._shape[d] if i == d else n for i, n in enumerate(common)))
    return gather(wide, d, places, out=out)


serve(IndexPut, index_put)
methods(index_put, index_put_, take_along_dim)
fill(getitem=getitem, setitem=setitem)
