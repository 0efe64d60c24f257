"""From a list of samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from rushlight.base.dtypes import float64
from rushlight.core.tensor import TensorBase
from rushlight.ops.from_data import as_tensor, tensor
from rushlight.ops.shape import stack

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[Any, Callable[..., Any]]


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers, also inside containers, as tensors; everything else as it is.

    >>> default_convert({"a": numpy.array([1, 2]), "b": "text"})
    {'a': tensor([1, 2]), 'b': 'text'}
    """
    if isinstance(data, TensorBase):
        return data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in "SUO" else as_tensor(data)
    if isinstance(data, np.generic) and not isinstance(data, (np.str_, np.bytes_)):
        return as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple):
        converted = [default_convert(d) for d in data]
        return type(data)(*converted) if hasattr(data, "_fields") else converted
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(d) for d in data])
    return data


def _like_mapping(template: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """`values` in a mapping of the template's type, where that can be made; its other attributes are kept."""
    try:
        if isinstance(template, MutableMapping):
            clone = copy.copy(template)
            clone.update(values)
            return clone
        return type(template)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _like_sequence(template: Sequence[Any], values: list[Any]) -> Any:
    """The same for sequences."""
    try:
        if isinstance(template, MutableSequence):
            clone = copy.copy(template)
            for i, value in enumerate(values):
                clone[i] = value
            return clone
        return type(template)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Samples as one batch: by the function that the map has for their type, or member by member for containers.

    collate_fn_map: type, or tuple of types, -> function(batch, *, collate_fn_map). The exact type goes before base classes.
    """
    first = batch[0]
    functions = collate_fn_map or {}
    found = functions.get(type(first))
    if found is None:
        found = next((function for kind, function in functions.items() if isinstance(first, kind)), None)
    if found is not None:
        return found(batch, collate_fn_map=collate_fn_map)

    def together(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like_mapping(first, {key: together(_values(batch, key)) for key in first})
    if isinstance(first, Sequence):
        sizes = {len(sample) for sample in batch}
        if len(sizes) > 1:
            raise RuntimeError(
                f"each element in list of batch should be of equal size, but the samples have {sorted(sizes)} members; pass a "
                "collate_fn that brings them to one size"
            )
        members = [together(samples) for samples in zip(*batch, strict=True)]
        if isinstance(first, tuple):
            return type(first)(*members) if hasattr(first, "_fields") else members
        return _like_sequence(first, members)
    raise TypeError(_refusal(type(first)))


def _refusal(found: Any) -> str:
    return (
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {found}. Convert it in the "
        "dataset, or pass a collate_fn"
    )


def _values(batch: Sequence[Mapping[Any, Any]], key: Any) -> list[Any]:
    try:
        return [sample[key] for sample in batch]
    except KeyError:
        i = next(i for i, sample in enumerate(batch) if key not in sample)
        raise KeyError(f"sample {i} of the batch has no key {key!r}, the first one has") from None


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Tensors of one shape, stacked along a new first dimension."""
    shape = batch[0].shape
    for i, t in enumerate(batch):
        if t.shape != shape:
            raise RuntimeError(
                f"default_collate: stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(t.shape)} at entry {i}. Bring the samples to one size (crop, resize, pad) in the dataset, or pass a "
                "collate_fn"
            )
    return stack(batch)


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Arrays, as tensors, stacked. `TypeError` for strings and objects."""
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_refusal(batch[0].dtype))
    return collate([as_tensor(b) for b in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """NumPy numbers as a one-dimensional tensor of their dtype."""
    return as_tensor(batch)


def collate_float_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Python floats as a one-dimensional float64 tensor."""
    return tensor(batch, dtype=float64)


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Python integers (or bools) as a one-dimensional tensor."""
    return tensor(batch)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Texts stay what they are, a list or a tuple."""
    return batch


default_collate_fn_map: CollateMap = {
    TensorBase: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Sequence[Any]) -> Any:
    """A list of samples as a batch with one more dimension in front.

    Tensors, arrays and numbers become tensors; texts stay a list or tuple; dicts, lists and tuples are kept, with each
    member collated (a tuple becomes a list, a namedtuple stays one). Add types of your own to `default_collate_fn_map`.

    Raises `RuntimeError` for samples of different sizes and `TypeError` for a type it does not know.

    >>> default_collate([(tensor([1, 2]), 0), (tensor([3, 4]), 1)])
    [tensor([[1, 2],
            [3, 4]]), tensor([0, 1])]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
