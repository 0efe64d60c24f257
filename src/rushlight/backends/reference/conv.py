"""Convolution over one to three spatial dimensions, and its two gradients, as matrix products of columns.

Layout is channels first: `x` is `[N, C, *spatial]`, `w` is `[O, C / groups, *kernel]`. The forward pass gathers
the window under every output position into a column and multiplies by the weight as it is stored::

    out[O, P] = w[O, K] @ columns[K, P]          K = C * prod(kernel), P = output positions

and the gradients are the other two products of the same three matrices::

    grad_w[O, K] = g[O, P] @ columns[K, P].T
    grad_columns[K, P] = w[O, K].T @ g[O, P]     then every column is added back where it was gathered from

BLAS takes the transposed operands as flags, so the weight is never copied: at batch 1 the deep layers of a network
are bound by one reading of it.

Columns are copied in runs along the innermost dimension, and a short run costs as much as a long one. Small maps of a
batch are therefore taken many images at a time with the images innermost, `[C, *spatial, n]`; large maps are taken one
image at a time, which is the same layout with n = 1. Columns are made for a few rows of the output at a time, so that
they are still in cache when BLAS reads them.

Three shapes have a way of their own: kernels of size one are plain products of the input, one input channel a
group (depthwise) goes tap by tap, and the input gradient of a stride-1 convolution over many positions is a
convolution with the flipped kernel.

None of the kernels conjugates: the rules above decide what a complex gradient is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from rushlight.backends.reference.quiet import quiet
from rushlight.backends.reference.scratch import scratch

Array = np.ndarray[Any, np.dtype[Any]]
Sizes = tuple[int, ...]

# Columns of one block: within the second and third level of cache, yet enough of them for BLAS to reach its speed.
BLOCK_BYTES = 1 << 21
# A block of the weight's gradient has at least this many positions: each adds one pass over the whole gradient.
GRAD_WEIGHT_POSITIONS = 256
# Images are taken together, at most this many, when a map has at most SMALL_MAP positions for each image of the batch.
IMAGES_TOGETHER = 32
SMALL_MAP = 8
# Runs of up to this many numbers are gathered through an index instead of copied.
SHORT_RUN = 8
# One image of at most this many positions has the gradient of its columns laid out channels last.
CHANNELS_LAST_POSITIONS = 64
# From this many positions an image, one product per image of a kernel of size one is as fast as one over all.
POINTWISE_POSITIONS = 192
# Turning the weight around is repaid from this many positions for each input channel.
FLIP_RATIO = 1
# Tap by tap (depthwise): the channels of one block are read and written once per tap and must stay in cache.
TAP_BLOCK_BYTES = 1 << 18


class Geometry(NamedTuple):
    """How the windows of a convolution lie on its input; one number per spatial dimension in every tuple."""

    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    padding: Sizes
    dilation: Sizes
    groups: int

    @property
    def out_sizes(self) -> Sizes:
        return tuple(
            max((size + 2 * p - d * (k - 1) - 1) // s + 1, 0)
            for size, k, s, p, d in zip(
                self.spatial, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    @property
    def is_pointwise(self) -> bool:
        return prod(self.kernel) == 1 and prod(self.stride) == 1 and not any(self.padding)


def _computed(a: Array) -> Array:
    """Half types are computed in float32; every other dtype in itself."""
    return a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind not in "iu" else a


def _image_chunks(images: int, positions: int) -> Iterator[slice]:
    """Images taken together: many when their maps are small, else one by one."""
    together = IMAGES_TOGETHER if positions <= SMALL_MAP * images else 1
    return (slice(n, min(n + together, images)) for n in range(0, images, together))


def _row_blocks(rows: int, row_bytes: int, limit: int) -> Iterator[slice]:
    """Rows of the output whose columns take about `limit` bytes, in blocks of nearly equal height."""
    height = -(-rows // -(-rows * row_bytes // limit))
    return (slice(top, min(top + height, rows)) for top in range(0, rows, height))


def _images_last(x: Array) -> Array:
    """View of `[n, C, *spatial]` as `[C, *spatial, n]`."""
    return x.transpose(*range(1, x.ndim), 0)


def _padded(x: Array, padding: Sizes) -> Array:
    """The images of `x` `[n, C, *spatial]` as contiguous `[C, *spatial, n]` with zeros around (borrowed memory)."""
    sizes = tuple(size + 2 * p for size, p in zip(x.shape[2:], padding, strict=True))
    result = scratch("conv.padded", (x.shape[1], *sizes, x.shape[0]), x.dtype)
    if any(padding):
        result.fill(0)
    inner = tuple(slice(p, p + size) for p, size in zip(padding, x.shape[2:], strict=True))
    result[(slice(None), *inner)] = _images_last(x)
    return result


def _windows(x: Array, geometry: Geometry) -> Array:
    """View of a padded `[C, *spatial, n]` as `[C, *kernel, *out_sizes, n]`, without copying."""
    step = x.strides[1:-1]
    strides = (
        x.strides[0],
        *(t * d for t, d in zip(step, geometry.dilation, strict=True)),
        *(t * s for t, s in zip(step, geometry.stride, strict=True)),
        x.itemsize,
    )
    return np.ndarray((x.shape[0], *geometry.kernel, *geometry.out_sizes, x.shape[-1]), x.dtype, x, 0, strides)


@lru_cache(maxsize=256)
def _gather_index(geometry: Geometry) -> Array:
    """`[K * P]`: where in the flat map a column takes each number from; `prod(spatial)` stands for padding."""
    nd = len(geometry.kernel)
    index: Array = np.zeros((), np.intp)
    inside: Array = np.ones((), np.bool_)
    for i, (size, k, s, p, d, out) in enumerate(zip(*geometry[:5], geometry.out_sizes, strict=True)):
        at = np.arange(k)[:, None] * d + np.arange(out) * s - p
        at = at.reshape(*(k if j == i else out if j == nd + i else 1 for j in range(2 * nd)))
        index, inside = index * size + at, inside & (at >= 0) & (at < size)
    index = np.where(inside, index, prod(geometry.spatial)).reshape(-1)
    index.flags.writeable = False
    return index


def _gathered(x: Array, geometry: Geometry) -> Array:
    """Columns `[C, K / C * P, n]` of small maps, one number at a time: a run of a few costs more (borrowed memory)."""
    images, channels, size = x.shape[0], x.shape[1], prod(x.shape[2:])
    flat = scratch("conv.padded", (channels, size + 1, images), x.dtype)
    flat[:, :-1] = x.reshape(images, channels, size).transpose(1, 2, 0)
    flat[:, -1] = 0
    index = _gather_index(geometry)
    columns = scratch("conv.columns", (channels, index.size, images), x.dtype)
    return np.take(flat, index, axis=1, out=columns, mode="wrap")


def _column_blocks(x: Array, geometry: Geometry, limit: int) -> Iterator[tuple[slice, Array]]:
    """Rows of the output and their columns `[groups, K, positions]` for the images `x` (borrowed memory)."""
    out_sizes, images = geometry.out_sizes, x.shape[0]
    depth = x.shape[1] // geometry.groups * prod(geometry.kernel)
    row_bytes = geometry.groups * depth * prod(out_sizes[1:]) * images * x.itemsize
    if images * out_sizes[-1] <= SHORT_RUN and row_bytes * out_sizes[0] <= limit:
        yield slice(0, out_sizes[0]), _gathered(x, geometry).reshape(geometry.groups, depth, -1)
        return
    windows = _windows(_padded(x, geometry.padding), geometry)
    to_rows = (slice(None),) * (1 + len(out_sizes))
    for rows in _row_blocks(out_sizes[0], row_bytes, limit):
        block = windows[(*to_rows, rows)]
        columns = scratch("conv.columns", block.shape, block.dtype)
        np.copyto(columns, block)
        yield rows, columns.reshape(geometry.groups, depth, -1)


@quiet
def convolution(
    x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Cross-correlation of `x` `[N, C, *spatial]` with `w` `[O, C / groups, *kernel]`, plus `bias` `[O]`."""
    geometry = Geometry(x.shape[2:], w.shape[2:], stride, padding, dilation, groups)
    out = _forward(_computed(x), _computed(w), geometry)
    if bias is not None:
        out += _computed(bias).reshape(-1, *(1,) * (x.ndim - 2))
    return out.astype(x.dtype, copy=False)


def _forward(x: Array, w: Array, geometry: Geometry) -> Array:
    images, groups, out_sizes = x.shape[0], geometry.groups, geometry.out_sizes
    out = np.empty((images, w.shape[0], *out_sizes), x.dtype)
    if out.size == 0 or w.size == 0:
        out.fill(0)
        return out
    per_group, positions, rest = w.shape[0] // groups, prod(out_sizes), prod(out_sizes[1:])
    weight = w.reshape(groups, per_group, -1)
    flat = out.reshape(images, groups, per_group, positions)
    if geometry.is_pointwise and (images == 1 or positions >= POINTWISE_POSITIONS):
        np.matmul(weight, x.reshape(images, groups, -1, positions), out=flat)
        return out
    for chunk in _image_chunks(images, positions):
        count = chunk.stop - chunk.start
        if w.shape[1] == 1 and groups > 1:
            padded = _padded(x[chunk], geometry.padding)
            _images_last(out[chunk])[...] = _depthwise(padded, w, out_sizes, geometry.stride, geometry.dilation)
            continue
        for rows, columns in _column_blocks(x[chunk], geometry, BLOCK_BYTES):
            target = flat[chunk, :, :, rows.start * rest : rows.stop * rest]
            if count == 1:
                np.matmul(weight, columns, out=target[0])
            else:
                sums = scratch("conv.sums", (groups, per_group, columns.shape[2]), x.dtype)
                np.matmul(weight, columns, out=sums)
                np.copyto(_images_last(target), sums.reshape(groups, per_group, -1, count))
    return out


def _tap_slices(tap: Sizes, sizes: Sizes, stride: Sizes, dilation: Sizes) -> tuple[slice, ...]:
    """Where in the padded input a tap of the kernel meets the output positions."""
    return tuple(
        slice(t * d, t * d + (size - 1) * s + 1, s) for t, size, s, d in zip(tap, sizes, stride, dilation, strict=True)
    )


def _channel_blocks(channels: int, channel_bytes: int) -> Iterator[slice]:
    depth = max(1, TAP_BLOCK_BYTES // channel_bytes)
    return (slice(c, min(c + depth, channels)) for c in range(0, channels, depth))


def _depthwise(padded: Array, w: Array, out_sizes: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """`[O, *out_sizes, n]` of one input channel a group: a product and a sum per tap (borrowed memory)."""
    channels, images, kernel = padded.shape[0], padded.shape[-1], w.shape[2:]
    multiplier = w.shape[0] // channels
    result = scratch("conv.sums", (channels, multiplier, *out_sizes, images), padded.dtype)
    factors = w.reshape(channels, multiplier, *kernel, *(1,) * (len(kernel) + 1))
    for block in _channel_blocks(channels, result.nbytes // channels):
        sums = result[block]
        term = scratch("conv.term", sums.shape, sums.dtype)
        for i, tap in enumerate(np.ndindex(*kernel)):
            source = padded[(block, None, *_tap_slices(tap, out_sizes, stride, dilation))]
            np.multiply(source, factors[(block, slice(None), *tap)], out=term if i else sums)
            if i:
                np.add(sums, term, out=sums)
    return result.reshape(w.shape[0], *out_sizes, images)


@quiet
def conv_grad_weight(
    g: Array, x: Array, weight_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Gradient of `convolution` with respect to `w`, from the output's cotangent `g` and the input `x`."""
    dtype, g, x = g.dtype, _computed(g), _computed(x)
    if g.size == 0 or x.size == 0 or prod(weight_shape) == 0:
        return np.zeros(weight_shape, dtype)
    geometry = Geometry(x.shape[2:], weight_shape[2:], stride, padding, dilation, groups)
    out_sizes, images, per_group = g.shape[2:], x.shape[0], weight_shape[0] // groups
    positions, rest = prod(out_sizes), prod(out_sizes[1:])
    cotangent = g.reshape(images, groups, per_group, positions)
    total = np.empty((groups, per_group, prod(weight_shape[1:])), x.dtype)
    limit = max(BLOCK_BYTES, GRAD_WEIGHT_POSITIONS * groups * total.shape[2] * x.itemsize)
    first = True
    for chunk in _image_chunks(images, positions):
        for rows, columns in _column_blocks(x[chunk], geometry, limit):
            part = _images_last(cotangent[chunk, :, :, rows.start * rest : rows.stop * rest])
            part = part.reshape(groups, per_group, -1)
            transposed = columns.swapaxes(1, 2)
            if first:
                np.matmul(part, transposed, out=total)
            else:
                total += np.matmul(part, transposed, out=scratch("conv.sums", total.shape, x.dtype))
            first = False
    return total.reshape(weight_shape).astype(dtype, copy=False)


@quiet
def conv_grad_input(
    g: Array, w: Array, input_shape: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Gradient of `convolution` with respect to `x`; also the forward pass of a transposed convolution.

    `input_shape` is that of the result. It may be larger than the windows reach (a floor in the forward's output size,
    `output_padding` of a transposed convolution): what no window covers is zero.
    """
    dtype, g, w = g.dtype, _computed(g), _computed(w)
    if g.size == 0 or w.size == 0 or prod(input_shape) == 0:
        return np.zeros(input_shape, dtype)
    geometry = Geometry(input_shape[2:], w.shape[2:], stride, padding, dilation, groups)
    images, positions = g.shape[0], prod(g.shape[2:])
    if (
        geometry.is_pointwise
        and g.shape[2:] == input_shape[2:]
        and (images == 1 or positions >= POINTWISE_POSITIONS)
    ):
        weight = w.reshape(groups, w.shape[0] // groups, -1)
        result = np.matmul(weight.swapaxes(1, 2), g.reshape(images, groups, -1, positions)).reshape(input_shape)
    elif _flipping_pays(g, w, geometry):
        turned = np.ascontiguousarray(np.flip(w, tuple(range(2, w.ndim))).swapaxes(0, 1))
        reach = tuple(d * (k - 1) - p for k, d, p in zip(w.shape[2:], dilation, padding, strict=True))
        result = _forward(g, turned, Geometry(g.shape[2:], w.shape[2:], stride, reach, dilation, 1))
    else:
        result = _scatter(g, w, input_shape, geometry)
    return result.astype(dtype, copy=False)


def _flipping_pays(g: Array, w: Array, geometry: Geometry) -> bool:
    """Whether the gradient is a plain convolution with the flipped kernel, and one that repays turning the weight."""
    if geometry.groups != 1 or prod(geometry.stride) != 1 or w.shape[0] > 2 * w.shape[1]:
        return False
    if geometry.out_sizes != g.shape[2:]:
        return False
    if any(p > d * (k - 1) for k, p, d in zip(w.shape[2:], geometry.padding, geometry.dilation, strict=True)):
        return False
    return g.size // w.shape[0] >= FLIP_RATIO * w.shape[1]


def _scatter(g: Array, w: Array, input_shape: Sizes, geometry: Geometry) -> Array:
    """Columns of the gradient, added tap by tap to where the forward pass gathered them.

    With a stride the targets of a tap lie apart in memory. The sum is therefore kept by phases,
    `[*stride, C, *(size / stride), n]`, in which every tap is a dense slice, and interleaved once at the end.
    """
    stride, dilation, out_sizes, nd = geometry.stride, geometry.dilation, g.shape[2:], g.ndim - 2
    channels, images, positions = input_shape[1], g.shape[0], prod(out_sizes)
    reached = tuple(
        -(-max(size + 2 * p, (out - 1) * s + d * (k - 1) + 1) // s)
        for size, k, s, p, d, out in zip(*geometry[:5], out_sizes, strict=True)
    )
    result = np.empty(input_shape, g.dtype)
    for chunk in _image_chunks(images, positions):
        count = chunk.stop - chunk.start
        channels_last = count == 1 and positions <= CHANNELS_LAST_POSITIONS
        if channels_last:
            phases = scratch("conv.padded", (*stride, *reached, channels, 1), g.dtype)
            phases.fill(0)
            phases = phases.transpose(*range(nd), 2 * nd, *range(nd, 2 * nd), 2 * nd + 1)
        else:
            phases = scratch("conv.padded", (*stride, channels, *reached, count), g.dtype)
            phases.fill(0)
        if w.shape[1] == 1 and geometry.groups > 1:
            _scatter_depthwise(_images_last(g[chunk]), w, phases, stride, dilation)
        else:
            for rows, columns in _grad_columns(g[chunk], w, geometry.groups, channels_last):
                for tap in np.ndindex(*geometry.kernel):
                    part = columns[(slice(None), *tap)]
                    target = _phase(phases, tap, slice(None), rows.start, part.shape[1:-1], stride, dilation)
                    np.add(target, part, out=target)
        _interleave(phases, geometry.padding, _images_last(result[chunk]))
    return result


def _grad_columns(g: Array, w: Array, groups: int, channels_last: bool) -> Iterator[tuple[slice, Array]]:
    """Rows of the output and their columns' gradient `[C, *kernel, *sizes, n]` for some images (borrowed memory).

    One image with a small map gets its columns channels last, `g.T @ w` instead of `w.T @ g`: BLAS streams a large
    weight faster that way, and the sums over taps run along the channels.
    """
    nd, images, per_group, out_sizes = g.ndim - 2, g.shape[0], w.shape[0] // groups, g.shape[2:]
    kernel, channels = w.shape[2:], groups * w.shape[1]
    weight = w.reshape(groups, per_group, -1)
    if channels_last:
        rows_of = scratch("conv.columns", (prod(out_sizes), groups, weight.shape[2]), g.dtype)
        np.matmul(g.reshape(groups, per_group, -1).swapaxes(1, 2), weight, out=rows_of.swapaxes(0, 1))
        columns = rows_of.reshape(*out_sizes, channels, *kernel, 1)
        yield slice(0, out_sizes[0]), columns.transpose(*range(nd, 2 * nd + 1), *range(nd), 2 * nd + 1)
        return
    row_bytes = groups * weight.shape[2] * prod(out_sizes[1:]) * images * g.itemsize
    for rows in _row_blocks(out_sizes[0], row_bytes, BLOCK_BYTES):
        block = _images_last(g[:, :, rows]).reshape(groups, per_group, -1)
        columns = scratch("conv.columns", (groups, weight.shape[2], block.shape[2]), g.dtype)
        np.matmul(weight.swapaxes(1, 2), block, out=columns)
        yield rows, columns.reshape(channels, *kernel, rows.stop - rows.start, *out_sizes[1:], images)


def _phase(
    phases: Array, tap: Sizes, channels: slice, top: int, sizes: Sizes, stride: Sizes, dilation: Sizes
) -> Array:
    """The dense slice of the phases that a tap meets when it passes over `sizes` output positions from row `top` on."""
    phase, inner = [], []
    for i, (t, size, s, d) in enumerate(zip(tap, sizes, stride, dilation, strict=True)):
        start, remainder = divmod(t * d, s)
        start += top if i == 0 else 0
        phase.append(remainder)
        inner.append(slice(start, start + size))
    where: tuple[Any, ...] = (*phase, channels, *inner)
    return phases[where]


def _scatter_depthwise(g: Array, w: Array, phases: Array, stride: Sizes, dilation: Sizes) -> None:
    """Add to the phases the gradient of one input channel a group; `g` is `[O, *out_sizes, n]`."""
    kernel = w.shape[2:]
    channels, out_sizes = phases.shape[len(kernel)], g.shape[1:-1]
    multiplier = w.shape[0] // channels
    factors = w.reshape(channels, multiplier, *kernel, *(1,) * (len(kernel) + 1))
    cotangent = g.reshape(channels, multiplier, *g.shape[1:])
    for block in _channel_blocks(channels, cotangent.nbytes // channels):
        for m in range(multiplier):
            part = np.ascontiguousarray(cotangent[block, m])
            term = scratch("conv.term", part.shape, part.dtype)
            for tap in np.ndindex(*kernel):
                target = _phase(phases, tap, block, 0, out_sizes, stride, dilation)
                np.add(target, np.multiply(part, factors[(block, m, *tap)], out=term), out=target)


def _interleave(phases: Array, padding: Sizes, result: Array) -> None:
    """Fill `result` `[C, *spatial, n]` from phases `[*stride, C, *reached, n]`, leaving the padding out."""
    stride, spatial = phases.shape[: len(padding)], result.shape[1:-1]
    for phase in np.ndindex(*stride):
        target, source = [], []
        for size, s, p, remainder in zip(spatial, stride, padding, phase, strict=True):
            first = (remainder - p) % s
            start = (first + p) // s
            target.append(slice(first, size, s))
            source.append(slice(start, start + len(range(first, size, s))))
        result[(slice(None), *target)] = phases[(*phase, slice(None), *source)]


KERNELS = {
    "convolution": convolution,
    "conv_grad_input": conv_grad_input,
    "conv_grad_weight": conv_grad_weight,
}
