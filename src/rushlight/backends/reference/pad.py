"""Padding and its gradients. `pads` is torch's: (left, right) of the last dim first, then of the one before, ...

Negative pads crop. The gathering modes are one index map per dim; their gradients add back along the same maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import Array, finish, scalar, widen
from rushlight.backends.reference.quiet import quiet

Pads = tuple[int, ...]
IndexMap = Callable[[int, int, int], Array]


def _by_dim(pads: Pads, ndim: int) -> list[tuple[int, int, int]]:
    """`pads` as (dim, before, after)."""
    return [(ndim - 1 - i, pads[2 * i], pads[2 * i + 1]) for i in range(len(pads) // 2)]


def constant_pad(x: Array, pads: Pads, value: Any = 0) -> Array:
    """`x` in a frame of `value`."""
    shape, source, target = list(x.shape), [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for dim, before, after in _by_dim(pads, x.ndim):
        n = x.shape[dim]
        shape[dim] = n + before + after
        if shape[dim] < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {before} and {after} resulted in a negative output size, "
                f"which is invalid. Check dimension {dim} of your input."
            )
        source[dim] = slice(max(0, -before), max(0, min(n, n + after)))
        target[dim] = slice(max(0, before), max(0, shape[dim] - max(0, after)))
    result = np.full(shape, scalar(value, x.dtype), x.dtype)
    result[tuple(target)] = x[tuple(source)]
    return result


def constant_pad_backward(grad: Array, pads: Pads) -> Array:
    """The inner part of `grad`; zero for elements that were cropped."""
    return constant_pad(grad, tuple(-p for p in pads))


def _reflect(n: int, before: int, after: int) -> Array:
    if before >= n or after >= n:
        raise RuntimeError(
            "Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({before}, {after}) for a dimension of size {n}"
        )
    position = np.absolute(np.arange(-before, n + after))
    return (n - 1) - np.absolute((n - 1) - position)


def _replicate(n: int, before: int, after: int) -> Array:
    if n == 0:
        raise RuntimeError("replication padding expects non-zero dimensions, but a padded dimension has size 0")
    return np.clip(np.arange(-before, n + after), 0, n - 1)


def _wrap(n: int, before: int, after: int) -> Array:
    if before > n or after > n:
        raise RuntimeError(
            f"Padding value causes wrapping around more than once: padding ({before}, {after}) for size {n}."
        )
    return np.arange(-before, n + after) % max(n, 1)


def _gather_pad(x: Array, pads: Pads, index_map: IndexMap) -> Array:
    result = x
    for dim, before, after in _by_dim(pads, x.ndim):
        result = np.take(result, index_map(x.shape[dim], before, after), axis=dim)
    return result.copy() if result is x else result


@quiet
def _gather_pad_backward(grad: Array, input_shape: tuple[int, ...], pads: Pads, index_map: IndexMap) -> Array:
    result = widen(grad)
    for dim, before, after in _by_dim(pads, grad.ndim):
        n = input_shape[dim]
        index = index_map(n, before, after)
        moved = np.moveaxis(result, dim, 0)
        folded = np.zeros((n, *moved.shape[1:]), result.dtype)
        # Inside, the map is one to one; only the two short borders can meet an index again.
        first, last = max(0, before), len(index) - max(0, after)
        folded[index[first:last]] = moved[first:last]
        for border in (slice(0, first), slice(max(first, last), None)):
            np.add.at(folded, index[border], moved[border])
        result = np.moveaxis(folded, 0, dim)
    return finish(np.array(result, order="C"), grad.dtype)


def reflection_pad(x: Array, pads: Pads) -> Array:
    """`x` mirrored at its borders, the border element not repeated."""
    return _gather_pad(x, pads, _reflect)


def replication_pad(x: Array, pads: Pads) -> Array:
    """`x` continued by its border elements."""
    return _gather_pad(x, pads, _replicate)


def circular_pad(x: Array, pads: Pads) -> Array:
    """`x` continued periodically."""
    return _gather_pad(x, pads, _wrap)


def reflection_pad_backward(grad: Array, input_shape: tuple[int, ...], pads: Pads) -> Array:
    """Gradient of `reflection_pad` for an input of `input_shape`."""
    return _gather_pad_backward(grad, input_shape, pads, _reflect)


def replication_pad_backward(grad: Array, input_shape: tuple[int, ...], pads: Pads) -> Array:
    """Gradient of `replication_pad` for an input of `input_shape`."""
    return _gather_pad_backward(grad, input_shape, pads, _replicate)


def circular_pad_backward(grad: Array, input_shape: tuple[int, ...], pads: Pads) -> Array:
    """Gradient of `circular_pad` for an input of `input_shape`."""
    return _gather_pad_backward(grad, input_shape, pads, _wrap)


KERNELS: dict[str, Callable[..., Array]] = {
    kernel.__name__: kernel
    for kernel in (
        constant_pad,
        constant_pad_backward,
        reflection_pad,
        reflection_pad_backward,
        replication_pad,
        replication_pad_backward,
        circular_pad,
        circular_pad_backward,
    )
}
