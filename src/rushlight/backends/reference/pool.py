"""Max and average pooling over one to three spatial dimensions, fixed and adaptive, with their gradients.

Arrays are `[N, C, *spatial]`. Max pooling returns int64 indices as torch does: the position of the maximum in the
flattened map of its own image and channel. They are all its gradient, unpooling and their own gradients need.

Ties go to the first position of the window, NaN beats every number and the last NaN wins, a window of nothing but -inf
points at its first position inside the map.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.scratch import scratch

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = tuple[int, ...]

# Maps pooled together: they and their maxima are passed over once per tap and should stay in cache.
BLOCK_BYTES = 1 << 19


def pool_output_sizes(
    spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """Output sizes; with `ceil_mode` a last window that starts inside the map or its left padding counts."""
    sizes = []
    for size, k, s, p, d in zip(spatial, kernel, stride, padding, dilation, strict=True):
        out = (size + 2 * p - d * (k - 1) - 1 + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (out - 1) * s >= size + p:
            out -= 1
        sizes.append(out)
    return tuple(sizes)


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return dtype.type(-np.inf)


def _windows_of_tap(tap: Sizes, out_sizes: Sizes, stride: Sizes, dilation: Sizes) -> tuple[slice, ...]:
    """Where in the padded map a tap of the window lies for every output position."""
    return tuple(
        slice(t * d, t * d + (size - 1) * s + 1, s)
        for t, size, s, d in zip(tap, out_sizes, stride, dilation, strict=True)
    )


def _map_blocks(maps: int, map_bytes: int) -> Iterator[slice]:
    depth = max(1, BLOCK_BYTES // max(map_bytes, 1))
    return (slice(m, min(m + depth, maps)) for m in range(0, maps, depth))


@quiet
def max_pool(
    x: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> tuple[Array, Array]:
    """Maximum of every window of `x` `[N, C, *spatial]`: `(values, indices)`."""
    spatial = x.shape[2:]
    out_sizes = pool_output_sizes(spatial, kernel, stride, padding, dilation, ceil_mode)
    values, indices = np.empty((*x.shape[:2], *out_sizes), x.dtype), np.empty((*x.shape[:2], *out_sizes), np.int64)
    if values.size == 0:
        return values, indices
    maps = x.reshape(-1, *spatial)
    # Comparisons of half types are exact in float32, and NumPy has them vectorised there.
    dtype = np.dtype(np.float32) if _is_half(x.dtype) else x.dtype
    sizes = tuple(
        max(size + 2 * p, (out - 1) * s + d * (k - 1) + 1)
        for size, p, out, s, d, k in zip(spatial, padding, out_sizes, stride, dilation, kernel, strict=True)
    )
    inner = tuple(slice(p, p + size) for p, size in zip(padding, spatial, strict=True))
    exact = sizes == spatial
    for block in _map_blocks(maps.shape[0], prod(sizes) * dtype.itemsize):
        source = maps[block]
        if not exact or source.dtype != dtype:
            padded = scratch("pool.padded", (source.shape[0], *sizes), dtype)
            padded.fill(_lowest(dtype))
            padded[(slice(None), *inner)] = source
            source = padded
        taps = [source[(slice(None), *_windows_of_tap(t, out_sizes, stride, dilation))] for t in np.ndindex(*kernel)]
        best = scratch("pool.best", taps[0].shape, dtype)
        code = _maxima(taps, best)
        values.reshape(-1, *out_sizes)[block] = best
        places = indices.reshape(-1, *out_sizes)[block]
        np.add(_first_positions(spatial, out_sizes, stride, padding), _tap_offsets(spatial, kernel, dilation)[code],
               out=places)
        if not exact and (empty := best == _lowest(dtype)).any():
            inside = _first_positions(spatial, out_sizes, stride, padding, dilation)
            np.copyto(places, inside, where=empty)
    return values, indices


def _maxima(taps: list[Array], best: Array) -> Array:
    """Fill `best` with the maxima over taps; return which tap each comes from."""
    np.copyto(best, taps[0])
    for tap in taps[1:]:
        np.maximum(best, tap, out=best)
    # The first equal tap wins: it has the largest code of those that are equal. All in small unsigned integers.
    code_type = np.dtype(np.uint8 if len(taps) < 256 else np.uint32)
    code = np.zeros(best.shape, code_type)
    equal = np.empty(best.shape, np.bool_)
    for i, tap in enumerate(taps):
        np.equal(tap, best, out=equal)
        np.maximum(code, np.multiply(equal, code_type.type(len(taps) - i), dtype=code_type), out=code)
    np.subtract(code_type.type(len(taps)), code, out=code)
    if best.dtype.kind == "f" and (code == len(taps)).any():
        for i, tap in enumerate(taps):
            code[tap != tap] = i
    return code


def _first_positions(
    spatial: Sizes, out_sizes: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes | None = None
) -> Array:
    """Flat position of the first tap of each window; with `dilation`, of the first tap inside the map."""
    nd, total = len(spatial), np.zeros((), np.int64)
    for i, (size, out, s, p) in enumerate(zip(spatial, out_sizes, stride, padding, strict=True)):
        at = np.arange(out, dtype=np.int64) * s - p
        if dilation is not None:
            at += np.maximum(-(at // dilation[i]), 0) * dilation[i]
        total = total * size + at.reshape(*(out if j == i else 1 for j in range(nd)))
    return np.asarray(total)


def _tap_offsets(spatial: Sizes, kernel: Sizes, dilation: Sizes) -> Array:
    """Flat distance of every tap from the first one."""
    return _first_positions(spatial, kernel, dilation, (0,) * len(spatial)).reshape(-1)


def _flat_targets(indices: Array, size: int) -> Array:
    """Indices into the whole flattened `[N, C, *spatial]` from those into each map of `size` elements."""
    maps = prod(indices.shape[:2])
    return (indices.reshape(maps, -1) + np.arange(maps, dtype=np.int64)[:, None] * size).reshape(-1)


@quiet
def max_pool_backward(g: Array, indices: Array, input_shape: Sizes) -> Array:
    """Gradient of `max_pool` (and of `adaptive_max_pool`): every cotangent added where its maximum was."""
    dtype = np.dtype(np.float32) if _is_half(g.dtype) else g.dtype
    result = np.zeros(prod(input_shape), dtype)
    if g.size:
        np.add.at(result, _flat_targets(indices, prod(input_shape[2:])), g.reshape(-1).astype(dtype, copy=False))
    return result.reshape(input_shape).astype(g.dtype, copy=False)


def gather_at_indices(x: Array, indices: Array) -> Array:
    """Values of `x` `[N, C, *spatial]` at the flat `indices` of each map: the adjoint of `max_pool_backward`."""
    if indices.size == 0:
        return np.empty(indices.shape, x.dtype)
    flat = np.take(x.reshape(-1), _flat_targets(indices, prod(x.shape[2:])))
    return flat.reshape(indices.shape)


def max_unpool(x: Array, indices: Array, output_shape: Sizes) -> Array:
    """Zeros of `output_shape` with the values of `x` put at `indices`; for a repeated index the last value stays."""
    result = np.zeros(output_shape, x.dtype)
    size = prod(output_shape[2:])
    wrong = (indices < 0) | (indices >= size)
    if wrong.any():
        first = int(indices[wrong][0])
        extent = "x".join(map(str, output_shape[2:]))
        raise RuntimeError(
            f"Found an invalid max index: {first} (output volumes are of size {extent}); "
            "pass the output_size the pooling had as input"
        )
    result.reshape(-1)[_flat_targets(indices, size)] = x.reshape(-1)
    return result


def _window_counts(
    spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, out_sizes: Sizes, count_include_pad: bool
) -> Array:
    """`[*out_sizes]`: how many numbers each average is over; padding on the far side counts only up to its width."""
    nd, total = len(spatial), np.ones((), np.int64)
    for i, (size, k, s, p, out) in enumerate(zip(spatial, kernel, stride, padding, out_sizes, strict=True)):
        start = np.arange(out, dtype=np.int64) * s - p
        stop = np.minimum(start + k, size + p)
        if not count_include_pad:
            start, stop = np.maximum(start, 0), np.minimum(stop, size)
        total = total * (stop - start).reshape(*(out if j == i else 1 for j in range(nd)))
    return np.maximum(total, 1)


def _divisor(dtype: np.dtype[Any], counts: Array, divisor_override: int | None) -> Array:
    return np.asarray(counts if divisor_override is None else divisor_override).astype(dtype)


@quiet
def avg_pool(
    x: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Average of every window of `x` `[N, C, *spatial]`, one dimension after the other."""
    spatial, dtype = x.shape[2:], np.dtype(np.float32) if _is_half(x.dtype) else x.dtype
    out_sizes = pool_output_sizes(spatial, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    sums = x.astype(dtype, copy=False)
    for axis, (k, s, p, out) in enumerate(zip(kernel, stride, padding, out_sizes, strict=True), 2):
        sums = _window_sums(sums, axis, k, s, p, out)
    counts = _window_counts(spatial, kernel, stride, padding, out_sizes, count_include_pad)
    return np.divide(sums, _divisor(dtype, counts, divisor_override)).astype(x.dtype, copy=False)


def _at(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)


def _window_sums(x: Array, axis: int, k: int, s: int, p: int, out: int) -> Array:
    """Sums of windows of `k` along one axis."""
    size, reach = x.shape[axis], max((out - 1) * s + k, x.shape[axis] + p)
    if p or reach > size:
        shape = (*x.shape[:axis], p + max(reach - p, size), *x.shape[axis + 1 :])
        padded = np.zeros(shape, x.dtype)
        padded[_at(axis, slice(p, p + size))] = x
        x = padded
    sums = np.zeros((*x.shape[:axis], out, *x.shape[axis + 1 :]), x.dtype)
    for t in range(k):
        np.add(sums, x[_at(axis, slice(t, t + (out - 1) * s + 1, s))], out=sums)
    return sums


@quiet
def avg_pool_backward(
    g: Array,
    input_shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Gradient of `avg_pool`: every cotangent spread evenly over its window."""
    dtype, out_sizes = np.dtype(np.float32) if _is_half(g.dtype) else g.dtype, g.shape[2:]
    counts = _window_counts(input_shape[2:], kernel, stride, padding, out_sizes, count_include_pad)
    spread = np.divide(g.astype(dtype, copy=False), _divisor(dtype, counts, divisor_override))
    for axis, (size, k, s, p) in enumerate(zip(input_shape[2:], kernel, stride, padding, strict=True), 2):
        out = spread.shape[axis]
        reach = max((out - 1) * s + k, size + p)
        wide = np.zeros((*spread.shape[:axis], reach, *spread.shape[axis + 1 :]), dtype)
        if out:
            for t in range(k):
                target = wide[_at(axis, slice(t, t + (out - 1) * s + 1, s))]
                np.add(target, spread, out=target)
        spread = wide[_at(axis, slice(p, p + size))]
    return np.ascontiguousarray(spread).astype(g.dtype, copy=False)


def _adaptive_bounds(size: int, out: int) -> list[tuple[int, int]]:
    """Start and end of the window of every output: they cover the map, and overlap where `out` does not divide it."""
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


@quiet
def adaptive_avg_pool(x: Array, out_sizes: Sizes) -> Array:
    """Average of `x` `[N, C, *spatial]` over windows that divide each map into `out_sizes` parts."""
    dtype = np.dtype(np.float32) if _is_half(x.dtype) else x.dtype
    if all(out == 1 for out in out_sizes) and x.size:
        flat = x.reshape(*x.shape[:2], -1).astype(dtype, copy=False)
        sums = np.add.reduce(flat, axis=2) / dtype.type(flat.shape[2])
        return sums.reshape(*x.shape[:2], *out_sizes).astype(x.dtype, copy=False)
    sums = x.astype(dtype, copy=True)
    for axis, out in enumerate(out_sizes, 2):
        bounds = _adaptive_bounds(sums.shape[axis], out)
        means = np.empty((*sums.shape[:axis], out, *sums.shape[axis + 1 :]), dtype)
        for i, (start, stop) in enumerate(bounds):
            part = np.add.reduce(sums[_at(axis, slice(start, stop))], axis=axis, keepdims=True)
            means[_at(axis, slice(i, i + 1))] = part / dtype.type(stop - start)
        sums = means
    return sums.astype(x.dtype, copy=False)


@quiet
def adaptive_avg_pool_backward(g: Array, input_shape: Sizes) -> Array:
    """Gradient of `adaptive_avg_pool` with respect to an input of `input_shape`."""
    dtype = np.dtype(np.float32) if _is_half(g.dtype) else g.dtype
    spread = g.astype(dtype, copy=True)
    for axis, size in enumerate(input_shape[2:], 2):
        wide = np.zeros((*spread.shape[:axis], size, *spread.shape[axis + 1 :]), dtype)
        for i, (start, stop) in enumerate(_adaptive_bounds(size, spread.shape[axis])):
            wide[_at(axis, slice(start, stop))] += spread[_at(axis, slice(i, i + 1))] / dtype.type(stop - start)
        spread = wide
    return spread.astype(g.dtype, copy=False)


@quiet
def adaptive_max_pool(x: Array, out_sizes: Sizes) -> tuple[Array, Array]:
    """Maximum of `x` `[N, C, *spatial]` over windows that divide each map into `out_sizes` parts.

    Returns `(values, indices)`.
    """
    spatial, nd = x.shape[2:], len(out_sizes)
    if all(out and size and size % out == 0 for size, out in zip(spatial, out_sizes, strict=True)):
        kernel = tuple(size // out for size, out in zip(spatial, out_sizes, strict=True))
        return max_pool(x, kernel, kernel, (0,) * nd, (1,) * nd, False)
    shape = (*x.shape[:2], *out_sizes)
    values, indices = np.empty(shape, x.dtype), np.empty(shape, np.int64)
    if values.size == 0:
        return values, indices
    bounds = [_adaptive_bounds(size, out) for size, out in zip(spatial, out_sizes, strict=True)]
    flat_positions = np.arange(prod(spatial), dtype=np.int64).reshape(spatial)
    ordered = x.astype(np.float32) if _is_half(x.dtype) else x
    for cell in np.ndindex(*out_sizes):
        window = tuple(slice(*bounds[i][c]) for i, c in enumerate(cell))
        everywhere: tuple[Any, ...] = (..., *window)
        part = ordered[everywhere].reshape(*x.shape[:2], -1)
        at = part.argmax(axis=2)
        if ordered.dtype.kind == "f" and (missing := part != part).any():
            last = part.shape[2] - 1 - missing[:, :, ::-1].argmax(axis=2)
            at = np.where(missing.any(axis=2), last, at)
        places = flat_positions[window].reshape(-1)[at]
        indices[(..., *cell)] = places
    values[...] = gather_at_indices(x, indices)
    return values, indices


KERNELS = {
    "max_pool": max_pool,
    "max_pool_backward": max_pool_backward,
    "max_unpool": max_unpool,
    "gather_at_indices": gather_at_indices,
    "avg_pool": avg_pool,
    "avg_pool_backward": avg_pool_backward,
    "adaptive_avg_pool": adaptive_avg_pool,
    "adaptive_avg_pool_backward": adaptive_avg_pool_backward,
    "adaptive_max_pool": adaptive_max_pool,
}
