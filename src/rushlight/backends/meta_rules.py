"""What each kernel returns on meta tensors: the shape by a rule of its own, without computing.

Kernels whose rule is that of a whole family (elementwise, reductions) are served in meta.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.backends.reference import reference
from rushlight.backends.reference.creation import arange_size

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
DType = np.dtype[Any]
Rule = Callable[..., Any]

_CELL = np.zeros(16, np.uint8)  # the one element, long enough for complex128
_INT64 = np.dtype(np.int64)
_BOOL = np.dtype(np.bool_)


def empty(shape: Sequence[int], dtype: DType) -> Array:
    """An array of `shape` without memory."""
    return np.ndarray(tuple(shape), dtype, _CELL, 0, (0,) * len(shape))


def stripped(found: Any) -> Any:
    """A kernel's result with its values forgotten."""
    if isinstance(found, np.ndarray):
        return empty(found.shape, found.dtype)
    return tuple(stripped(part) for part in found) if isinstance(found, tuple) else found


def tiny(value: Any) -> Any:
    """An array of the same rank and dtype with one element, 1."""
    return np.ones((1,) * value.ndim, value.dtype) if isinstance(value, np.ndarray) else value


def arrays_in(values: Sequence[Any]) -> list[Array]:
    return [value for value in values if isinstance(value, np.ndarray)]


# Memory and creation.


def copy(x: Array) -> Array:
    return empty(x.shape, x.dtype)


def cast(x: Array, dtype: DType) -> Array:
    return empty(x.shape, dtype)


def copy_into(target: Array, x: Array) -> None:
    """Nothing is copied; the shapes must broadcast as they would have to elsewhere."""
    np.broadcast_shapes(target.shape, x.shape)


def full(shape: Shape, value: Any, dtype: DType) -> Array:
    return empty(shape, dtype)


def repeat(x: Array, repeats: Shape) -> Array:
    padded = (1,) * (len(repeats) - x.ndim) + x.shape
    return empty(tuple(n * r for n, r in zip(padded, repeats, strict=True)), x.dtype)


def arange(start: Any, end: Any, step: Any, dtype: DType) -> Array:
    return empty((arange_size(start, end, step),), dtype)


def linspace(start: Any, end: Any, steps: int, dtype: DType) -> Array:
    return empty((steps,), dtype)


def logspace(start: Any, end: Any, steps: int, base: float, dtype: DType) -> Array:
    return empty((steps,), dtype)


def eye(rows: int, cols: int, dtype: DType) -> Array:
    return empty((rows, cols), dtype)


def as_strided(x: Array, shape: Shape, strides: Shape, offset: int) -> Array:
    return empty(shape, x.dtype)


def view_dtype(x: Array, dtype: DType) -> Array:
    if x.ndim == 0 or dtype.itemsize == x.itemsize:
        return empty(x.shape, dtype)
    return empty((*x.shape[:-1], x.shape[-1] * x.itemsize // dtype.itemsize), dtype)


def view_as_real(x: Array) -> Array:
    return empty((*x.shape, 2), np.dtype(np.float32 if x.dtype == np.complex64 else np.float64))


def view_as_complex(x: Array) -> Array:
    return empty(x.shape[:-1], np.dtype(np.complex64 if x.dtype == np.float32 else np.complex128))


# Joining and indexing.


def cat(arrays: Sequence[Array], dim: int) -> Array:
    filled = [a for a in arrays if a.shape != (0,)] or list(arrays[:1])
    first = filled[0]
    length = sum(a.shape[dim] for a in filled)
    return empty((*first.shape[:dim], length, *first.shape[dim + 1 :]), first.dtype)


def stack(arrays: Sequence[Array], dim: int) -> Array:
    first = arrays[0]
    return empty((*first.shape[:dim], len(arrays), *first.shape[dim:]), first.dtype)


def index_select(x: Array, dim: int, index: Array) -> Array:
    return empty((*x.shape[:dim], index.size, *x.shape[dim + 1 :]) if x.ndim else (), x.dtype)


def gather(x: Array, dim: int, index: Array) -> Array:
    return empty(index.shape, x.dtype)


def take(x: Array, index: Array) -> Array:
    return empty(index.shape, x.dtype)


def embedding(weight: Array, indices: Array) -> Array:
    return empty((*indices.shape, weight.shape[1]), weight.dtype)


def embedding_backward(g: Array, indices: Array, num_weights: int, *args: Any) -> Array:
    return empty((num_weights, g.shape[-1]), g.dtype)


def topk(x: Array, k: int, dim: int, *args: Any, **kwargs: Any) -> tuple[Array, Array]:
    shape = (*x.shape[:dim], k, *x.shape[dim + 1 :]) if x.ndim else ()
    return empty(shape, x.dtype), empty(shape, _INT64)


# Matrix products.


def matmul(a: Array, b: Array) -> Array:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return empty((*batch, *(a.shape[-2:-1] if a.ndim > 1 else ()), *(b.shape[-1:] if b.ndim > 1 else ())), a.dtype)


def outer(a: Array, b: Array) -> Array:
    return empty((a.size, b.size), a.dtype)


def addmm(c: Array, a: Array, b: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    return matmul(a, b)


# Convolution, pooling, resizing.


def convolution(
    x: Array, w: Array, bias: Array | None, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Array:
    spatial = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    ]
    return empty((x.shape[0], w.shape[0], *spatial), x.dtype)


def conv_grad_input(g: Array, w: Array, input_shape: Shape, *args: Any) -> Array:
    return empty(input_shape, g.dtype)


def conv_grad_weight(g: Array, x: Array, weight_shape: Shape, *args: Any) -> Array:
    return empty(weight_shape, g.dtype)


def _pooled(x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool) -> Shape:
    """The output shape of pooling; with `ceil_mode` a last window must start inside the input or its left padding."""
    sizes = []
    for n, k, s, p, d in zip(x.shape[-len(kernel) :], kernel, stride, padding, dilation, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        count = (span + (s - 1 if ceil_mode else 0)) // s + 1
        sizes.append(count - 1 if ceil_mode and (count - 1) * s >= n + p else count)
    return (*x.shape[: x.ndim - len(kernel)], *sizes)


def max_pool(
    x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool
) -> tuple[Array, Array]:
    shape = _pooled(x, kernel, stride, padding, dilation, ceil_mode)
    return empty(shape, x.dtype), empty(shape, _INT64)


def avg_pool(x: Array, kernel: Shape, stride: Shape, padding: Shape, ceil_mode: bool, *args: Any) -> Array:
    return empty(_pooled(x, kernel, stride, padding, (1,) * len(kernel), ceil_mode), x.dtype)


def _resized(x: Array, sizes: Shape) -> Shape:
    return (*x.shape[: x.ndim - len(sizes)], *sizes)


def adaptive_avg_pool(x: Array, out_sizes: Shape) -> Array:
    return empty(_resized(x, out_sizes), x.dtype)


def adaptive_max_pool(x: Array, out_sizes: Shape) -> tuple[Array, Array]:
    shape = _resized(x, out_sizes)
    return empty(shape, x.dtype), empty(shape, _INT64)


def upsample(x: Array, sizes: Shape, *args: Any) -> Array:
    return empty(_resized(x, sizes), x.dtype)


def to_input_shape(g: Array, input_shape: Shape, *args: Any) -> Array:
    """A gradient in the shape of the input: pooling, resizing."""
    return empty(input_shape, g.dtype)


def max_pool_backward(g: Array, indices: Array, input_shape: Shape) -> Array:
    return empty(input_shape, g.dtype)


def gather_at_indices(x: Array, indices: Array) -> Array:
    return empty(indices.shape, x.dtype)


# Normalisation.


def _first_rows(x: Array, dims: Sequence[int]) -> Array:
    """`x` with the dimensions `dims` cut to size 1, as an array with memory."""
    return np.ones(tuple(min(n, 1) if d in dims else n for d, n in enumerate(x.shape)), x.dtype)


def _with_memory(value: Any) -> Any:
    return np.ones(value.shape, value.dtype) if isinstance(value, np.ndarray) else value


def batch_norm_forward(x: Array, *args: Any) -> tuple[Any, ...]:
    sample = _first_rows(x, [d for d in range(x.ndim) if d != 1])
    found = reference.batch_norm_forward(sample, *[_with_memory(a) for a in args])
    return (empty(x.shape, found[0].dtype), *stripped(found[1:]))


def layer_norm_forward(x: Array, normalized_ndim: int, *args: Any) -> tuple[Any, ...]:
    lead = x.ndim - normalized_ndim
    found = reference.layer_norm_forward(_first_rows(x, range(lead)), normalized_ndim, *[_with_memory(a) for a in args])
    return (
        empty(x.shape, found[0].dtype),
        *[empty((*x.shape[:lead], *part.shape[lead:]), part.dtype) for part in found[1:]],
    )


def group_norm_forward(x: Array, groups: int, *args: Any) -> tuple[Any, ...]:
    found = reference.group_norm_forward(_first_rows(x, range(2, x.ndim)), groups, *[_with_memory(a) for a in args])
    return (empty(x.shape, found[0].dtype), *stripped(found[1:]))


def batch_norm_backward(
    g: Array, x: Array, weight: Array | None, mean: Array, invstd: Array, training: bool, mask: Any, *gate: Any
) -> Any:
    per_channel = empty(x.shape[1:2], x.dtype if weight is None else weight.dtype)
    return (
        empty(x.shape, g.dtype) if mask[0] else None,
        per_channel if mask[1] else None,
        per_channel if mask[2] else None,
    )


def layer_norm_backward(
    g: Array, x: Array, normalized_ndim: int, mean: Array, rstd: Array, weight: Array | None, mask: Any
) -> Any:
    each = empty(x.shape[x.ndim - normalized_ndim :], x.dtype if weight is None else weight.dtype)
    return empty(x.shape, g.dtype) if mask[0] else None, each if mask[1] else None, each if mask[2] else None


def group_norm_backward(
    g: Array, x: Array, groups: int, mean: Array, rstd: Array, weight: Array | None, mask: Any
) -> Any:
    return batch_norm_backward(g, x, weight, mean, rstd, True, mask)


# Recurrent layers.


def states_before(y: Array, *args: Any) -> Array:
    return empty(y.shape, y.dtype)


def lstm_steps(sums: Array, h0: Array, c0: Array, *args: Any) -> tuple[Array, ...]:
    y, cells = (empty((sums.shape[0], state.shape[1]), sums.dtype) for state in (h0, c0))
    return y, copy(h0), copy(c0), sums, cells


def lstm_steps_backward(
    gy: Any, gh: Any, gc: Any, gates: Array, cells: Array, c0: Array, w_hh: Array, w_hr: Array | None, *args: Any
) -> tuple[Array | None, ...]:
    h0 = empty((c0.shape[0], w_hh.shape[1]), gates.dtype)
    return copy(gates), h0, copy(c0), None if w_hr is None else copy(w_hr)


def gru_steps(given: Array, h0: Array, *args: Any) -> tuple[Array, ...]:
    rows, units = given.shape[0], h0.shape[1]
    return empty((rows, units), given.dtype), copy(h0), empty((rows, 4 * units), given.dtype)


def gru_steps_backward(
    gy: Any, gh: Any, gates: Array, before: Array, w_hh: Array, batch_sizes: Shape, reverse: bool
) -> tuple[Array, ...]:
    sums = empty((gates.shape[0], w_hh.shape[0]), gates.dtype)
    return sums, sums, empty((max(batch_sizes, default=0), before.shape[1]), gates.dtype)


def rnn_steps(sums: Array, h0: Array, *args: Any) -> tuple[Array, ...]:
    return sums, copy(h0)


def rnn_steps_backward(
    gy: Any, gh: Any, y: Array, w_hh: Array, relu: bool, batch_sizes: Shape, reverse: bool
) -> tuple[Array, ...]:
    return copy(y), empty((max(batch_sizes, default=0), y.shape[1]), y.dtype)


def pack_padded(x: Array, batch_sizes: Shape) -> Array:
    return empty((sum(batch_sizes), *x.shape[2:]), x.dtype)


def pad_packed(data: Array, batch_sizes: Shape, length: int, batch: int, value: Any) -> Array:
    return empty((length, batch, *data.shape[1:]), data.dtype)


def pad_sequences(arrays: Sequence[Array], length: int, batch_first: bool, *args: Any) -> Array:
    lead = (len(arrays), length) if batch_first else (length, len(arrays))
    return empty((*lead, *arrays[0].shape[1:]), arrays[0].dtype)


# Attention.


def attention_forward(q: Array, k: Array, v: Array, *args: Any) -> tuple[Array, Array]:
    computed = np.dtype(np.float32) if q.dtype.itemsize == 2 else q.dtype
    return empty((*q.shape[:-1], v.shape[-1]), q.dtype), empty(q.shape[:-1], computed)


def attention_backward(
    g: Array, q: Array, k: Array, v: Array, out: Array, logsumexp: Array, mask: Array | None, *args: Any
) -> tuple[Array | None, ...]:
    return tuple(
        empty(x.shape, x.dtype) if wanted and x is not None else None
        for x, wanted in zip((q, k, v, mask), args[-1], strict=True)
    )


# Random numbers: nothing is drawn, the generator stays as it is.


def draw(gen: Any, shape: Any = None, dtype: Any = None, out: Any = None, **parameters: Any) -> Array:
    return out if out is not None else empty(shape, dtype)


def randperm(gen: Any, n: int, dtype: DType, out: Any = None) -> Array:
    return out if out is not None else empty((n,), dtype)


def bernoulli_tensor(gen: Any, p: Array, dtype: DType | None = None, out: Any = None) -> Array:
    return out if out is not None else empty(p.shape, p.dtype if dtype is None else dtype)


def poisson(gen: Any, rate: Array) -> Array:
    return empty(rate.shape, rate.dtype)


def normal_tensor(gen: Any, mean: Any, std: Any) -> Array:
    arrays = arrays_in([mean, std])
    return empty(np.broadcast_shapes(*[a.shape for a in arrays]), arrays[0].dtype)


def multinomial(gen: Any, p: Array, num_samples: int, replacement: bool = False) -> Array:
    return empty((*p.shape[:-1], num_samples), _INT64)


def dropout_noise(gen: Any, shape: Shape, dtype: DType, p: float, out: Any = None) -> Array:
    return out if out is not None else empty(shape, dtype)


def dropout(gen: Any, x: Array, p: float, mask: Any = None) -> tuple[Array, Array]:
    return empty(x.shape, x.dtype), mask if mask is not None else empty(x.shape, _BOOL)


def native_dropout(gen: Any, x: Array, p: float) -> tuple[Array, Array]:
    return empty(x.shape, x.dtype), empty(x.shape, _BOOL)


# Optimizers write into arrays that hold nothing.


def sgd_step(
    params: Sequence[Array], grads: Sequence[Array], momentum_buffers: list[Array | None], **settings: Any
) -> None:
    if settings.get("momentum"):
        momentum_buffers[:] = [
            empty(p.shape, p.dtype) if b is None else b for p, b in zip(params, momentum_buffers, strict=True)
        ]


def nothing(*args: Any, **settings: Any) -> None:
    """A step that only writes."""


def count_up(counters: Sequence[Array]) -> list[float]:
    return [1.0] * len(counters)


def total_norm(arrays: Sequence[Array], p: float) -> Array:
    return empty((), arrays[0].real.dtype)


RULES: dict[str, Rule] = {
    "empty": empty,
    "zeros": empty,
    "full": full,
    "scalar": reference.scalar,
    "copy": copy,
    "contiguous": copy,
    "cast": cast,
    "copy_into": copy_into,
    "repeat": repeat,
    "arange": arange,
    "linspace": linspace,
    "logspace": logspace,
    "eye": eye,
    "as_strided": as_strided,
    "view_dtype": view_dtype,
    "view_as_real": view_as_real,
    "view_as_complex": view_as_complex,
    "cat": cat,
    "stack": stack,
    "index_select": index_select,
    "gather": gather,
    "take": take,
    "embedding": embedding,
    "embedding_backward": embedding_backward,
    "topk": topk,
    "matmul": matmul,
    "mm": matmul,
    "bmm": matmul,
    "mv": matmul,
    "dot": matmul,
    "outer": outer,
    "addmm": addmm,
    "baddbmm": addmm,
    "convolution": convolution,
    "conv_grad_input": conv_grad_input,
    "conv_grad_weight": conv_grad_weight,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "adaptive_avg_pool": adaptive_avg_pool,
    "adaptive_max_pool": adaptive_max_pool,
    "upsample": upsample,
    "upsample_backward": to_input_shape,
    "avg_pool_backward": to_input_shape,
    "adaptive_avg_pool_backward": to_input_shape,
    "max_pool_backward": max_pool_backward,
    "max_unpool": max_pool_backward,
    "gather_at_indices": gather_at_indices,
    "batch_norm_forward": batch_norm_forward,
    "layer_norm_forward": layer_norm_forward,
    "group_norm_forward": group_norm_forward,
    "batch_norm_backward": batch_norm_backward,
    "layer_norm_backward": layer_norm_backward,
    "group_norm_backward": group_norm_backward,
    "states_before": states_before,
    "lstm_steps": lstm_steps,
    "lstm_steps_backward": lstm_steps_backward,
    "gru_steps": gru_steps,
    "gru_steps_backward": gru_steps_backward,
    "rnn_steps": rnn_steps,
    "rnn_steps_backward": rnn_steps_backward,
    "pack_padded": pack_padded,
    "pad_packed": pad_packed,
    "pad_sequences": pad_sequences,
    "attention_forward": attention_forward,
    "attention_backward": attention_backward,
    "uniform": draw,
    "normal": draw,
    "random_full": draw,
    "randint": draw,
    "bernoulli_scalar": draw,
    "exponential": draw,
    "geometric": draw,
    "cauchy": draw,
    "log_normal": draw,
    "randperm": randperm,
    "bernoulli_tensor": bernoulli_tensor,
    "poisson": poisson,
    "normal_tensor": normal_tensor,
    "multinomial": multinomial,
    "dropout_noise": dropout_noise,
    "dropout": dropout,
    "native_dropout": native_dropout,
    "sgd_step": sgd_step,
    "adam_step": nothing,
    "rmsprop_step": nothing,
    "adagrad_step": nothing,
    "count_up": count_up,
    "total_norm": total_norm,
    "scale_all": nothing,
    "clamp_all": nothing,
}
