"""Look-up tables."""

from __future__ import annotations

from typing import Any

from rushlight.ops import embedding as _ops
from rushlight.ops.embedding import one_hot

__all__ = ["embedding", "embedding_bag", "one_hot"]


def _row_index(padding_idx: int | None, rows: int) -> int | None:
    """`padding_idx` counted from the front."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError(
            f"Padding_idx must be within num_embeddings: got {padding_idx} for a table of {rows} rows (valid: {-rows} to {rows - 1})"
        )
    return padding_idx + rows if padding_idx < 0 else padding_idx


def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """Rows of `weight` [rows, features] at the indices `input` (int64 or int32, any shape): [*input.shape, features].

    padding_idx: this row gets no gradient.
    max_norm: rows that are looked up and whose `norm_type`-norm is larger are first scaled down, in place.
    scale_grad_by_freq: divide a row's gradient by how often it was looked up.
    sparse: accepted; the gradient is dense all the same.
    Raises `IndexError` for an index outside the table and `RuntimeError` for a dtype that is no index.
    """
    pad = _row_index(padding_idx, weight._shape[0] if weight._shape else 0)
    if max_norm is not None:
        _ops.embedding_renorm_(weight, input, max_norm, norm_type)
    return _ops.embedding(weight, input, -1 if pad is None else pad, scale_grad_by_freq, sparse)


def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """Sums, means or maxima ("sum", "mean", "max") of rows of `weight` over bags of indices: [bags, features].

    input: [bags, size], or one-dimensional with `offsets` saying where each bag starts (with `include_last_offset` also where the
        last one ends). per_sample_weights: factors of the rows, shaped as `input`, for "sum". padding_idx: entries to leave out.
    """
    if per_sample_weights is not None and input._shape != per_sample_weights._shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights._shape)}) is not None, then it must have the same shape as "
            f"the input ({list(input._shape)})"
        )
    if len(weight._shape) != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {len(weight._shape)}")
    if len(input._shape) == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length sequences. However, "
                f"found offsets of type {type(offsets)}"
            )
        bags, size = input._shape
        offsets = input.new_zeros(bags, dtype=input.dtype) + size * input.new_ones(bags).cumsum(0) - size
        offsets, input, include_last_offset = offsets.to(input._dtype), input.reshape(-1), False
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif len(input._shape) == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None: pass where each bag starts, or a 2D input")
        if len(offsets._shape) != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {len(input._shape)}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"mode has to be one of sum, mean or max, but got {mode!r}")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}'). Please open a feature request on GitHub."
        )
    if max_norm is not None:
        _ops.embedding_renorm_(weight, input, max_norm, norm_type)
    pad = _row_index(padding_idx, weight._shape[0])
    return _ops.embedding_bag(
        weight, input, offsets, scale_grad_by_freq, mode, per_sample_weights, include_last_offset, pad
    )
