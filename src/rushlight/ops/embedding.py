"""Look-up of rows by index: embedding, sums and means of rows (bags), one-hot encoding."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int32, int64
from rushlight.core.inplace import apply_update
from rushlight.core.modes import Override
from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name, need_tensor, refuse

__all__ = ["embedding", "embedding_renorm_"]


class Embedding(Primitive):
    """Rows of a table: `embedding(weight, indices)`, [*indices.shape, features]."""

    __slots__ = ("padding_idx", "scale_grad_by_freq")
    name = "embedding"

    def __init__(self, padding_idx: int, scale_grad_by_freq: bool) -> None:
        self.padding_idx = padding_idx
        self.scale_grad_by_freq = scale_grad_by_freq

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.embedding(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1], inputs[0]._shape[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        indices, rows = saved
        return apply2(EmbeddingGrad(rows, self.padding_idx, self.scale_grad_by_freq), g, indices), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return embedding, (*tensors, self.padding_idx, self.scale_grad_by_freq), {}


class EmbeddingGrad(Primitive):
    """The table's gradient: cotangents of equal rows summed, none for `padding_idx`: `grad(g, indices)`."""

    __slots__ = ("rows", "padding_idx", "scale_grad_by_freq")
    name = "embedding_dense_backward"

    def __init__(self, rows: int, padding_idx: int, scale_grad_by_freq: bool) -> None:
        self.rows = rows
        self.padding_idx = padding_idx
        self.scale_grad_by_freq = scale_grad_by_freq

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.embedding_backward(arrays[0], arrays[1], self.rows, self.padding_idx, self.scale_grad_by_freq)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        indices = saved[0]
        found = apply2(Embedding(self.padding_idx, self.scale_grad_by_freq), g, indices)
        if self.padding_idx >= 0:
            found = found * (indices != self.padding_idx).to(g._dtype).unsqueeze(-1)
        if self.scale_grad_by_freq:
            flat = indices.reshape(-1)
            counts = g.detach().new_zeros(self.rows).index_add(0, flat, g.detach().new_ones(flat._shape[0]))
            found = found / counts[indices].unsqueeze(-1)
        return found, None


class EmbeddingRenorm(Primitive):
    """Scale down, in place, the rows of a table that are looked up and longer than `max_norm`: `renorm(weight, indices)`."""

    __slots__ = ("max_norm", "norm_type")
    name = "embedding_renorm"
    differentiable = False

    def __init__(self, max_norm: float, norm_type: float) -> None:
        self.max_norm = max_norm
        self.norm_type = norm_type

    def forward(self, k: Any, *arrays: Any) -> Any:
        weight, indices = arrays
        flat = k.cast(k.reshape_view(k.contiguous(indices), (-1,)), int64.np)
        rows = k.embedding(weight, flat)
        length = k.norm(rows, self.norm_type, (1,), True)
        limit = k.scalar(self.max_norm, length.dtype)
        scale = k.div(limit, k.add(length, k.scalar(1e-7, length.dtype)))
        scaled = k.mul(rows, k.where(k.gt(length, limit), scale, k.scalar(1, length.dtype)))
        k.copy_into(weight, k.index_put(weight, (flat,), scaled))


class OneHot(Primitive):
    """int64 vectors with a 1 at each index."""

    __slots__ = ("num_classes",)
    name = "one_hot"
    differentiable = False

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.one_hot(arrays[0], self.num_classes)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return one_hot, (tensors[0], self.num_classes), {}


def _check_indices(indices: Any, operation: str) -> None:
    if not isinstance(indices, TensorBase):
        raise TypeError(f"{operation}(): argument 'indices' must be Tensor, not {type(indices).__name__}")
    if indices._dtype is not int64 and indices._dtype is not int32:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{kind_name(indices._dtype)} instead (while checking arguments for {operation}); convert it with x.long()"
        )


def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Rows of `weight` [rows, features] at `indices` (int64 or int32, any shape); the row `padding_idx` gets no gradient.

    `sparse=True` is accepted; the gradient is dense all the same.
    """
    if not isinstance(weight, TensorBase):
        raise TypeError(f"embedding(): argument 'weight' must be Tensor, not {type(weight).__name__}")
    _check_indices(indices, "embedding")
    if len(weight._shape) != 2:
        raise RuntimeError(
            f"'weight' must be 2-D: embedding got shape {list(weight._shape)}, expected [rows, features]"
        )
    return apply2(Embedding(padding_idx, bool(scale_grad_by_freq)), weight, indices)


def embedding_renorm_(weight: Any, indices: Any, max_norm: float, norm_type: float = 2.0) -> Any:
    """Scale down, in place and unrecorded, the rows at `indices` whose `norm_type`-norm exceeds `max_norm`; returns `weight`."""
    refuse("embedding_renorm_", weight, "bool integer")
    if len(weight._shape) != 2:
        raise RuntimeError(f"embedding_renorm_(): expected a 2-dimensional weight, got shape {list(weight._shape)}")
    with Override(grad=False):
        apply_update(EmbeddingRenorm(float(max_norm), float(norm_type)), (weight, indices), 1)
    return weight


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """int64 [*tensor.shape, num_classes] with a 1 at each index; -1 means the largest index plus one.

    >>> one_hot(tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    need_tensor("one_hot", tensor, "tensor")
    if tensor._dtype is not int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensor of type LongTensor, but got {kind_name(tensor._dtype)}: use tensor.long()"
        )
    return apply1(OneHot(num_classes), tensor)


def embedding_bag(
    weight: Any, indices: Any, offsets: Any, scale_grad_by_freq: bool, mode: str, per_sample_weights: Any,
    include_last_offset: bool, padding_idx: int | None,
) -> Any:  # fmt: skip
    """Sums, means or maxima of the rows of each bag, [bags, features]: bag i is `indices[offsets[i]:offsets[i + 1]]`."""
    _check_indices(indices, "embedding_bag")
    total = indices._shape[0]
    if offsets.numel() and int(offsets[0]) != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got "
            f"{int(offsets[0])}"
        )
    bags = offsets._shape[0] - bool(include_last_offset)
    starts = offsets[:bags].long()
    if bags and int(starts[-1]) > total:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length({total}) but got offsets[-1] of {int(starts[-1])}"
        )
    marks = starts.new_zeros(total + 1).index_add(0, starts, starts.new_ones(bags))
    bag = marks.cumsum(0)[:total] - 1
    rows = embedding(weight, indices, -1 if padding_idx is None else padding_idx, scale_grad_by_freq)
    counted = rows.detach().new_ones(total)
    if padding_idx is not None:
        kept = indices != padding_idx
        counted = kept.to(rows._dtype)
        if mode == "max":
            rows, bag, counted = rows[kept], bag[kept], counted[kept]
        else:
            rows = rows * counted.unsqueeze(1)
    features = weight._shape[1]
    zeros = rows.detach().new_zeros(bags, features)
    if mode == "max":
        return zeros.scatter_reduce(0, bag.unsqueeze(1).expand(-1, features), rows, "amax", include_self=False)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    found = zeros.index_add(0, bag, rows)
    if mode == "mean":
        counts = counted.new_zeros(bags).index_add(0, bag, counted)
        found = found / counts.clamp_min(1).unsqueeze(1)
    return found
