"""Sequences of different lengths in one batch: padded to the longest, or packed without padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from rushlight.base.dtypes import dtype as dtype_class
from rushlight.base.dtypes import float16, float32, float64, int8, int16, int32, int64, uint8
from rushlight.core.tensor import TensorBase
from rushlight.ops import cast
from rushlight.ops.creation import empty_like
from rushlight.ops.from_data import tensor
from rushlight.ops.packing import _pack_padded_sequence, _pad_packed_sequence, pad_sequences
from rushlight.ops.ranges import arange
from rushlight.ops.sort import sort

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """A batch of sequences without padding, as the recurrent layers take it; made by `pack_sequence` and `pack_padded_sequence`.

    data: the elements [N, *], first all first elements, the longest sequence's first, then all second ones...
    batch_sizes: how many sequences have a first, a second... element; an int64 tensor on the CPU.
    sorted_indices: the order in which the sequences were taken, or None for their own order; on the device of data.
    unsorted_indices: its inverse.

    The sequences "abc" and "x" give the data "axbc" and the batch sizes [2, 1, 1].
    """

    __slots__ = ()

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError(
                    f"PackedSequence needs batch_sizes, or a pair (data, batch_sizes) in place of data, but got {type(data).__name__}"
                )
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                f"batch_sizes should always be on CPU, but is on {batch_sizes.device}. Let pack_sequence or pack_padded_sequence make the "
                "PackedSequence"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With `data.to(...)`, and the indices on its device; itself when data is as asked for already."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [None if t is None else t.to(data.device) for t in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On the CPU."""
        return self.to(*args, **{"device": "cpu", **kwargs}) if not args else self.to("cpu").to(*args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """On a CUDA device."""
        return self.to(*args, **kwargs) if args or "device" in kwargs else self.to(device="cuda", **kwargs)

    def pin_memory(self) -> PackedSequence:
        """With pinned memory."""
        pinned = [None if t is None else t.pin_memory() for t in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(self.data.pin_memory(), self.batch_sizes, *pinned)

    def double(self) -> PackedSequence:
        """With float64 data."""
        return self._as(float64)

    def float(self) -> PackedSequence:
        """With float32 data."""
        return self._as(float32)

    def half(self) -> PackedSequence:
        """With float16 data."""
        return self._as(float16)

    def long(self) -> PackedSequence:
        """With int64 data."""
        return self._as(int64)

    def int(self) -> PackedSequence:
        """With int32 data."""
        return self._as(int32)

    def short(self) -> PackedSequence:
        """With int16 data."""
        return self._as(int16)

    def char(self) -> PackedSequence:
        """With int8 data."""
        return self._as(int8)

    def byte(self) -> PackedSequence:
        """With uint8 data."""
        return self._as(uint8)

    def _as(self, dtype: dtype_class) -> PackedSequence:
        return self.to(dtype=dtype)

    @property
    def is_cuda(self) -> bool:
        """Whether data is on a CUDA device."""
        return self.data.is_cuda  # type: ignore[no-any-return]

    def is_pinned(self) -> bool:
        """Whether data is in pinned memory."""
        return self.data.is_pinned()  # type: ignore[no-any-return]


def invert_permutation(permutation: Any) -> Any:
    """The inverse of a permutation [n], None for None: `x[permutation][inverse]` is x."""
    if permutation is None:
        return None
    places = arange(0, permutation.numel(), device=permutation.device)
    return empty_like(permutation).scatter_(0, permutation, places)


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch [T, B, *], with `batch_first` [B, T, *], of sequences of the given lengths (a list or a CPU tensor).

    With `enforce_sorted` the longest must come first; without, they are sorted and the order is kept in the result.
    Raises `RuntimeError` for lengths that are not sorted, not positive, longer than the input, or not one for each sequence.

    >>> pack_padded_sequence(rushlight.tensor([[1, 4], [2, 5], [3, 0]]), [3, 2]).data
    tensor([1, 4, 2, 5, 3])
    """
    if not isinstance(lengths, TensorBase):
        lengths = tensor(lengths, dtype=int64, device="cpu")
    lengths = cast.to(lengths, dtype=int64)
    order = None
    if not enforce_sorted:
        lengths, order = sort(lengths, descending=True)
        order = order.to(input.device)
        input = input.index_select(0 if batch_first else 1, order)
    data, batch_sizes = _pack_padded_sequence(input, lengths, batch_first)
    return PackedSequence(data, batch_sizes, order, None)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """The padded batch [T, B, *], with `batch_first` [B, T, *], and the lengths [B], of a packed one; in the original order.

    `total_length` asks for as many steps; it is a `ValueError` if the longest sequence is longer.
    """
    steps = sequence.batch_sizes.size(0)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    padded, lengths = _pad_packed_sequence(sequence.data, sequence.batch_sizes, batch_first, padding_value, steps)
    back = sequence.unsorted_indices
    if back is None:
        return padded, lengths
    return padded.index_select(0 if batch_first else 1, back), lengths[back.cpu()]


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Sequences [L_i, *] as one batch [T, B, *], with `batch_first` [B, T, *], filled up with `padding_value` at `padding_side`.

    >>> pad_sequence([rushlight.ones(3), rushlight.ones(1)], batch_first=True)
    tensor([[1., 1., 1.],
            [1., 0., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    return pad_sequences(tuple(sequences), batch_first, padding_value, padding_side)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch [T, B, *], with `batch_first` [B, T, *], each cut to its length."""
    batch = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    places = arange(batch.shape[1], device=lengths.device)
    return [row[places < length] for row, length in zip(batch, lengths, strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences [L_i, *]; with `enforce_sorted` the longest must come first. See `pack_padded_sequence`.

    >>> pack_sequence([rushlight.tensor([1, 2, 3]), rushlight.tensor([4])]).batch_sizes
    tensor([2, 1, 1])
    """
    given = tuple(sequences)
    padded = pad_sequence(given)
    return pack_padded_sequence(padded, [t.size(0) for t in given], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a packed batch, in their original order."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
