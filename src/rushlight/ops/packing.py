"""Batches of sequences of different lengths: padded to the longest, or packed without padding."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import Number
from rushlight.ops.from_data import tensor
from rushlight.ops.view import transpose

__all__ = ["_pack_padded_sequence", "_pad_packed_sequence"]


class PackPadded(Primitive):
    """[T, B, *] -> [N, *]: of step t the first `batch_sizes[t]` rows."""

    __slots__ = ("batch_sizes",)
    name = "_pack_padded_sequence"
    node_name = "PackPaddedSequenceBackward0"
    linear = True

    def __init__(self, batch_sizes: Shape) -> None:
        self.batch_sizes = batch_sizes

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.pack_padded(arrays[0], self.batch_sizes)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PadPacked(self.batch_sizes, saved[0][0], saved[0][1], 0), g)


class PadPacked(Primitive):
    """[N, *] -> [length, batch, *], the other places holding `value`. In torch the rows are copied into it one step after the other."""

    __slots__ = ("batch_sizes", "length", "batch", "value")
    name = "_pad_packed_sequence"
    node_name = "CopySlices"

    def __init__(self, batch_sizes: Shape, length: int, batch: int, value: Any) -> None:
        self.batch_sizes = batch_sizes
        self.length = length
        self.batch = batch
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.pad_packed(arrays[0], self.batch_sizes, self.length, self.batch, self.value)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PackPadded(self.batch_sizes), g)


class PadSequences(Primitive):
    """Tensors [L_i, *] side by side, filled up with `value` to `length`; in the dtype of the first."""

    __slots__ = ("length", "batch_first", "left", "value")
    name = "pad_sequence"
    node_name = "CopySlices"

    def __init__(self, length: int, batch_first: bool, left: bool, value: Any) -> None:
        self.length = length
        self.batch_first = batch_first
        self.left = left
        self.value = value

    def forward(self, k: Any, *arrays: Any) -> Any:
        dtype = arrays[0].dtype
        same = [a if a.dtype == dtype else k.cast(a, dtype) for a in arrays]
        return k.pad_sequences(same, self.length, self.batch_first, self.left, self.value)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return tuple([t._shape[0] for t in inputs])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        found = []
        for i, (size, wanted) in enumerate(zip(saved, needs, strict=True)):
            row = (g[i] if self.batch_first else g[:, i]) if wanted else None
            found.append(None if row is None else row[self.length - size :] if self.left else row[:size])
        return tuple(found)


def _pack_padded_sequence(input: Any, lengths: Any, batch_first: bool) -> tuple[Any, Any]:
    """`(data, batch_sizes)` of a padded batch and the lengths of its sequences, the longest first, a CPU int64 tensor.

    Raises `RuntimeError` for lengths that are not sorted, not positive, longer than `input`, or not one for each sequence.
    """
    if not isinstance(input, TensorBase):
        raise TypeError(
            f"_pack_padded_sequence(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    if len(lengths._shape) != 1 or lengths._device.type != "cpu":
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {len(lengths._shape)}D {lengths._device} tensor"
        )
    if 0 in input._shape:
        raise RuntimeError(f"Cannot pack empty tensors: the input has shape {list(input._shape)}")
    if len(input._shape) < 2:
        raise IndexError(
            f"pack_padded_sequence expects an input of shape [T, B, *] or [B, T, *], but got {list(input._shape)}"
        )
    x = transpose(input, 0, 1) if batch_first else input
    longest, batch = x._shape[:2]
    sizes = lengths.tolist()
    if len(sizes) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={batch})"
        )
    if min(sizes) <= 0:
        raise RuntimeError(f"Length of all samples has to be greater than 0, but found {min(sizes)} in 'lengths'")
    if any(after > before for before, after in pairwise(sizes)):
        raise RuntimeError(
            f"`lengths` array must be sorted in decreasing order when `enforce_sorted` is True, but is {sizes}. Pass "
            "`enforce_sorted=False` to pack_padded_sequence or pack_sequence and it is sorted for you."
        )
    if sizes[0] > longest:
        raise RuntimeError(
            f"'lengths' holds {sizes[0]}, but the input has {longest} steps only (shape {list(input._shape)})"
        )
    batch_sizes = tuple([sum(1 for size in sizes if size > step) for step in range(sizes[0])])
    return apply1(PackPadded(batch_sizes), x), tensor(batch_sizes, device="cpu")


def _pad_packed_sequence(
    data: Any, batch_sizes: Any, batch_first: bool, padding_value: Any, total_length: int
) -> tuple[Any, Any]:
    """`(padded, lengths)`: the inverse of `_pack_padded_sequence`, with `total_length` steps at least."""
    if not isinstance(padding_value, Number):
        raise TypeError(f"pad_packed_sequence(): padding_value must be a number, not {type(padding_value).__name__}")
    sizes = tuple(batch_sizes.tolist())
    if sum(sizes) != data._shape[0]:
        raise RuntimeError(f"batch_sizes add up to {sum(sizes)}, but the packed data has {data._shape[0]} rows")
    padded = apply1(PadPacked(sizes, max(total_length, len(sizes)), sizes[0], padding_value), data)
    lengths = [sum(1 for size in sizes if size > place) for place in range(sizes[0])]
    return transpose(padded, 0, 1) if batch_first else padded, tensor(lengths, device="cpu")


def pad_sequences(sequences: tuple[Any, ...], batch_first: bool, padding_value: Any, padding_side: str) -> Any:
    """Tensors [L_i, *] as one padded batch. See `nn.utils.rnn.pad_sequence`."""
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    if not sequences:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    for place, t in enumerate(sequences):
        if not isinstance(t, TensorBase):
            raise TypeError(
                f"pad_sequence: expected Tensor as element {place} in argument 0, but got {type(t).__name__}"
            )
        if not t._shape or t._shape[1:] != sequences[0]._shape[1:]:
            raise RuntimeError(
                f"pad_sequence: sequences must have shape [L, *] and may differ in L only, but element 0 has shape "
                f"{list(sequences[0]._shape)} and element {place} {list(t._shape)}"
            )
    length = max(t._shape[0] for t in sequences)
    return applyn(PadSequences(length, batch_first, padding_side == "left", padding_value), sequences)
