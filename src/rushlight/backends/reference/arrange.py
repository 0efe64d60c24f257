"""Joining, repeating and rearranging: cat, stack, flip, roll, triangles, sliding windows and strided gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import INT64, Array, finish, widen
from rushlight.backends.reference.quiet import quiet

Shape = tuple[int, ...]


def cat(arrays: Sequence[Array], dim: int) -> Array:
    """Join arrays of one dtype along `dim`. 1-D arrays of no elements are skipped, as in torch."""
    if not arrays:
        raise ValueError("expected a non-empty list of Tensors")
    kept = [a for a in arrays if a.shape != (0,)]
    if not kept:
        return np.empty((0,), arrays[0].dtype)
    first = kept[0].shape
    for position, a in enumerate(kept):
        if a.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {position}) cannot be concatenated")
        if a.ndim != len(first):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(first)} and {a.ndim}")
        for d in range(a.ndim):
            if d != dim and a.shape[d] != first[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {first[d]} but got size "
                    f"{a.shape[d]} for tensor number {position} in the list."
                )
    shape = list(first)
    shape[dim] = sum(a.shape[dim] for a in kept)
    joined = np.empty(shape, kept[0].dtype)
    if all(_is_channels_last(a) for a in kept):  # as in torch; every other result is row-major
        joined = np.moveaxis(np.empty([shape[0], *shape[2:], shape[1]], kept[0].dtype), -1, 1)
    return np.concatenate(kept, axis=dim, out=joined)


def _is_channels_last(a: Array) -> bool:
    """Whether the user had `a` laid out so, and not row-major as well."""
    return a.ndim in (4, 5) and not a.flags.c_contiguous and np.moveaxis(a, 1, -1).flags.c_contiguous


def stack(arrays: Sequence[Array], dim: int) -> Array:
    """Join arrays of one shape and dtype along a new `dim`."""
    if not arrays:
        raise RuntimeError("stack expects a non-empty TensorList")
    for position, a in enumerate(arrays):
        if a.shape != arrays[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(arrays[0].shape)} at entry 0 and "
                f"{list(a.shape)} at entry {position}"
            )
    shape = arrays[0].shape
    dim %= len(shape) + 1
    if dim < len(shape):
        return cat(arrays, dim).reshape(*shape[:dim], len(arrays), *shape[dim:])
    return np.stack(arrays, axis=dim, out=np.empty((*shape, len(arrays)), arrays[0].dtype))


def repeat_interleave(x: Array, repeats: int | Array, dim: int | None = None) -> Array:
    """Every slice along `dim` (every element with None) repeated `repeats` times, or `repeats[i]` times."""
    source = x.reshape(-1) if dim is None or x.ndim == 0 else x
    axis = 0 if dim is None else dim
    counts = np.asarray(repeats)
    if counts.size and counts.min() < 0:
        raise RuntimeError("repeats can not be negative")
    if counts.ndim and counts.size not in (1, source.shape[axis]):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got "
            f"repeats.size(0) = {counts.size} and input.size({axis}) = {source.shape[axis]}"
        )
    return np.repeat(source, counts, axis=axis)


def flip(x: Array, dims: Shape) -> Array:
    """A copy with the order along `dims` reversed."""
    return np.array(np.flip(x, dims), order="C")


def roll(x: Array, shifts: Shape, dims: Shape) -> Array:
    """A copy rolled by `shifts` along `dims`; with no dims the flattened array is rolled."""
    if not dims:
        return np.roll(x, shifts[0])
    return np.roll(x, shifts, dims)


def tril(x: Array, diagonal: int = 0) -> Array:
    """The lower triangles of the last two dims, zero elsewhere."""
    return np.tril(x, diagonal)


def triu(x: Array, diagonal: int = 0) -> Array:
    """The upper triangles of the last two dims, zero elsewhere."""
    return np.triu(x, diagonal)


def tril_indices(rows: int, cols: int, offset: int = 0) -> Array:
    """Row and column indices (int64, shape `(2, count)`) of a lower triangle, row by row."""
    return np.stack(np.tril_indices(rows, offset, cols)).astype(INT64, copy=False)


def triu_indices(rows: int, cols: int, offset: int = 0) -> Array:
    """Row and column indices (int64, shape `(2, count)`) of an upper triangle, row by row."""
    return np.stack(np.triu_indices(rows, offset, cols)).astype(INT64, copy=False)


# ---- sliding windows ------------------------------------------------------------------------------------------------


def _window_counts(size: Sequence[int], kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> list[int]:
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    ]
    if min(counts) < 1:
        raise RuntimeError(
            f"Given input with spatial size {tuple(size)}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, calculated shape of the array of sliding blocks as {tuple(counts)}, "
            "but its components must be at least one."
        )
    return counts


def unfold(x: Array, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Array:
    """Sliding blocks as columns (im2col): `(N, C, H, W)` to `(N, C * kh * kw, blocks)`."""
    n, c, h, w = x.shape
    rows, cols = _window_counts((h, w), kernel, dilation, padding, stride)
    padded = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), x.dtype)
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = x
    sn, sc, sh, sw = padded.strides
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (n, c, kernel[0], kernel[1], rows, cols),
        (sn, sc, sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1]),
        writeable=False,
    )
    return np.array(windows, order="C").reshape(n, c * kernel[0] * kernel[1], rows * cols)


@quiet
def fold(x: Array, output_size: Shape, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> Array:
    """Columns added back to where `unfold` took them (col2im): `(N, C * kh * kw, blocks)` to `(N, C, H, W)`."""
    n, channels, blocks = x.shape
    c, rest = divmod(channels, kernel[0] * kernel[1])
    if rest:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={channels} and kernel_size={kernel}."
        )
    rows, cols = _window_counts(output_size, kernel, dilation, padding, stride)
    if blocks != rows * cols:
        raise RuntimeError(
            f"Given output_size={output_size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, "
            f"stride={stride}, expected size of input's dimension 2 to match the calculated number of sliding blocks "
            f"{rows} * {cols} = {rows * cols}, but got input.size(2)={blocks}."
        )
    wide = widen(x).reshape(n, c, kernel[0], kernel[1], rows, cols)
    h, w = output_size
    padded = np.zeros((n, c, h + 2 * padding[0], w + 2 * padding[1]), wide.dtype)
    for i in range(kernel[0]):
        top = i * dilation[0]
        for j in range(kernel[1]):
            left = j * dilation[1]
            down = slice(top, top + stride[0] * (rows - 1) + 1, stride[0])
            across = slice(left, left + stride[1] * (cols - 1) + 1, stride[1])
            padded[:, :, down, across] += wide[:, :, i, j]
    result = padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w]
    return finish(np.array(result, order="C"), x.dtype)


@quiet
def tensor_unfold_backward(grad: Array, input_shape: Shape, dim: int, size: int, step: int) -> Array:
    """Gradient of `x.unfold(dim, size, step)`: windows (last dim of `grad`) added back along `dim`."""
    wide = widen(grad)
    result = np.zeros(input_shape, wide.dtype)
    if not input_shape:
        return finish(np.add.reduce(wide, axis=-1, out=...).reshape(()), grad.dtype)
    count = grad.shape[dim]
    lead: tuple[Any, ...] = (slice(None),) * dim
    if size <= count:
        for offset in range(size):
            result[(*lead, slice(offset, offset + step * (count - 1) + 1, step))] += wide[..., offset]
    else:
        for window in range(count):
            start = window * step
            result[(*lead, slice(start, start + size))] += np.moveaxis(wide[(*lead, window)], -1, dim)
    return finish(result, grad.dtype)


# ---- the gradient of as_strided -------------------------------------------------------------------------------------


def _positions(shape: Shape, strides: Shape, offset: int) -> Array:
    """The storage position of every element of a strided view (strides and offset in elements)."""
    positions = np.full(shape, offset, np.intp)
    for d, (n, step) in enumerate(zip(shape, strides, strict=True)):
        line = [1] * len(shape)
        line[d] = n
        positions += np.arange(n).reshape(line) * step
    return positions


@quiet
def as_strided_backward(
    grad: Array,
    input_shape: Shape,
    input_strides: Shape,
    input_offset: int,
    size: Shape,
    stride: Shape,
    offset: int,
) -> Array:
    """Gradient of a strided view for its input, in the input's shape; strides and offsets in elements.

    Output elements that share a storage position add up. Input elements that share one each get an equal part of the
    sum, as in torch.
    """
    wide = widen(grad)
    source = _positions(input_shape, input_strides, input_offset)
    target = _positions(size, stride, offset)
    length = 1 + max(int(source.max(initial=-1)), int(target.max(initial=-1)))
    storage = np.zeros(length, wide.dtype)
    np.add.at(storage, target.reshape(-1), wide.reshape(-1))
    sharers = np.bincount(source.reshape(-1), minlength=length)
    if source.size and sharers.max() > 1:
        storage = storage / np.maximum(sharers, 1).astype(wide.dtype)
    return finish(storage[(source, ...)], grad.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        cat,
        stack,
        repeat_interleave,
        flip,
        roll,
        tril,
        triu,
        tril_indices,
        triu_indices,
        unfold,
        fold,
        tensor_unfold_backward,
        as_strided_backward,
    )
}
