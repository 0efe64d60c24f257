"""Pooling."""

from __future__ import annotations

from typing import Any

from rushlight.ops import pool as _ops
from rushlight.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def max_pool1d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """`max_pool1d` with the positions of the maxima."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[no-any-return]


def max_pool2d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """`max_pool2d` with the positions of the maxima."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[no-any-return]


def max_pool3d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Any, Any]:  # fmt: skip
    """`max_pool3d` with the positions of the maxima."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[no-any-return]


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of the last dimension of `input` [N, C, L] or [C, L] over `output_size` windows that cover it."""
    found = _ops.adaptive_max_pool1d(input, output_size)
    return found if return_indices else found[0]


def adaptive_max_pool1d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> tuple[Any, Any]:
    """`adaptive_max_pool1d` with the positions of the maxima."""
    return _ops.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> tuple[Any, Any]:
    """`adaptive_max_pool2d` with the positions of the maxima."""
    return adaptive_max_pool2d(input, output_size, True)  # type: ignore[no-any-return]


def adaptive_max_pool3d_with_indices(input: Any, output_size: Any, return_indices: bool = False) -> tuple[Any, Any]:
    """`adaptive_max_pool3d` with the positions of the maxima."""
    return adaptive_max_pool3d(input, output_size, True)  # type: ignore[no-any-return]


def _unpool(nd: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any) -> Any:
    kernel = _ops.sizes(kernel_size, nd, "kernel_size", f"max_unpool{nd}d")
    steps = kernel if stride is None else _ops.sizes(stride, nd, "stride", f"max_unpool{nd}d")
    pads = _ops.sizes(padding, nd, "padding", f"max_unpool{nd}d")
    have = input._shape[-nd:]
    default = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(have, steps, kernel, pads, strict=True))
    if output_size is None:
        return _ops.max_unpool(input, indices, default)
    wanted = tuple(output_size)
    if len(wanted) == nd + 2:
        wanted = wanted[2:]
    if len(wanted) != nd:
        raise ValueError(
            f"output_size should be a sequence containing {nd} or {nd + 2} elements, but it has a length of '{len(wanted)}'"
        )
    for d, (n, usual, step) in enumerate(zip(wanted, default, steps, strict=True)):
        if not usual - step < n < usual + step:
            raise ValueError(
                f'invalid output_size "{wanted}" (dim {d} must be between {usual - step} and {usual + step})'
            )
    return _ops.max_unpool(input, indices, wanted)


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of `max_pool1d(..., return_indices=True)`: zeros but for the maxima, each where it was."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of `max_pool2d(..., return_indices=True)`: zeros but for the maxima, each where it was.

    `output_size` chooses among the sizes that pool to the same one. Raises `RuntimeError` for an index outside the map.
    """
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The inverse of `max_pool3d(..., return_indices=True)`: zeros but for the maxima, each where it was."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _power_mean(sums: Any, norm_type: float, count: int) -> Any:
    """The p-norm of a window from the average of its powers; windows with a negative sum of powers keep their sign."""
    return (sums.sign() * sums.abs().relu()).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input: Any, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False) -> Any:
    """`sum(x ** p) ** (1 / p)` over windows of the last dimension, with p = `norm_type`."""
    averages = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _power_mean(averages, norm_type, _ops.sizes(kernel_size, 1, "kernel_size", "lp_pool1d")[0])


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """`sum(x ** p) ** (1 / p)` over windows of the last two dimensions, with p = `norm_type`."""
    height, width = _ops.sizes(kernel_size, 2, "kernel_size", "lp_pool2d")
    return _power_mean(avg_pool2d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode), norm_type, height * width)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """`sum(x ** p) ** (1 / p)` over windows of the last three dimensions, with p = `norm_type`."""
    depth, height, width = _ops.sizes(kernel_size, 3, "kernel_size", "lp_pool3d")
    averages = avg_pool3d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _power_mean(averages, norm_type, depth * height * width)
