"""Pooling over one to three spatial dimensions: the functions, and the checks of their arguments.

As in torch the one-dimensional forms are the two-dimensional ones over a map of height 1. The operations and their derivatives are in
`ops/pooling.py`.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64
from rushlight.base.shape import Shape, per_dimension
from rushlight.core.modes import local
from rushlight.core.primitive import apply1, apply2, apply_multi, wants_grad
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import refuse
from rushlight.ops.common import serve
from rushlight.ops.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    AvgPool,
    AvgPool2d,
    AvgPool3d,
    MaxPool2d,
    MaxPool3d,
    MaxPoolValues2d,
    MaxPoolValues3d,
    MaxUnpool2d,
    MaxUnpool3d,
)
from rushlight.ops.view import squeeze, unsqueeze

__all__ = [
    "adaptive_avg_pool1d", "adaptive_max_pool1d", "avg_pool1d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d",
    "max_pool3d",
]  # fmt: skip


# Arguments.


def sizes(value: Any, nd: int, argument: str, operation: str) -> Shape:
    """An int or a sequence of `nd` ints (or one) as `nd` ints."""
    found = per_dimension(value, nd, argument, operation)
    if len(found) != nd:
        raise RuntimeError(
            f"{operation}: {argument} must either be a single int, or a tuple of {('one int', 'two ints', 'three ints')[nd - 1]}; got "
            f"{value!r}"
        )
    return found


def _check_map(input: Any, nd: int, operation: str) -> None:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    shape = input._shape
    if len(shape) not in (nd + 1, nd + 2) or 0 in shape[len(shape) - nd - 1 :]:
        raise RuntimeError(
            f"{operation}: Expected {nd + 1}D or {nd + 2}D (batch mode) tensor with optional 0 dim batch size for input, but got:"
            f"{list(shape)}"
        )
    refuse(operation, input, "bool complex")


def _windows(
    input: Any, nd: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, operation: str
) -> tuple[Shape, Shape, Shape, Shape]:
    """The checked window parameters, one number per dimension each."""
    _check_map(input, nd, operation)
    kernel = sizes(kernel_size, nd, "kernel_size", operation)
    steps = kernel if stride is None or stride == [] or stride == () else sizes(stride, nd, "stride", operation)
    pads = sizes(padding, nd, "padding", operation)
    gaps = sizes(dilation, nd, "dilation", operation)
    if min(steps) == 0:
        raise RuntimeError(f"stride should not be zero: {operation} got stride={stride}, kernel_size={kernel_size}")
    if min(kernel) <= 0 or min(steps) < 0 or min(gaps) <= 0:
        raise RuntimeError(
            f"{operation}: kernel size, stride and dilation should be greater than zero, but got kernel_size={kernel_size}, "
            f"stride={stride}, dilation={dilation}"
        )
    for p, n, d in zip(pads, kernel, gaps, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (n - 1) + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={n} and dilation={d}"
            )
    spatial = input._shape[-nd:]
    for size, n, s, p, d in zip(spatial, kernel, steps, pads, gaps, strict=True):
        if size + 2 * p - d * (n - 1) - 1 + (s - 1 if ceil_mode else 0) < 0:
            outs = [
                (a + 2 * q - e * (m - 1) - 1) // t + 1
                for a, m, t, q, e in zip(spatial, kernel, steps, pads, gaps, strict=True)
            ]
            channels = input._shape[-nd - 1]
            raise RuntimeError(
                f"Given input size: ({'x'.join(map(str, (channels, *spatial)))}). Calculated output size: "
                f"({'x'.join(map(str, (channels, *outs)))}). Output size is too small: {operation} needs a larger input or a "
                "smaller kernel"
            )
    return kernel, steps, pads, gaps


def _flat(values: Any, extra: int) -> tuple[int, int]:
    """A size along the only dimension as one over a map of height 1."""
    return (extra, values[0])


# Functions.


def _max_pool(
    input: Any, nd: int, windows: tuple[Shape, Shape, Shape, Shape], ceil_mode: bool, return_indices: bool
) -> Any:
    if not return_indices and not (local.modes.grad and wants_grad(input)):
        return apply1((MaxPoolValues2d if nd == 2 else MaxPoolValues3d)(*windows, ceil_mode=bool(ceil_mode)), input)
    found = apply_multi((MaxPool2d if nd == 2 else MaxPool3d)(*windows, ceil_mode=bool(ceil_mode)), (input,))
    return found if return_indices else found[0]


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum over windows of the last dimension of `input` [N, C, L] or [C, L]; see `max_pool2d`."""
    kernel, steps, pads, gaps = _windows(input, 1, kernel_size, stride, padding, dilation, ceil_mode, "max_pool1d")
    windows = (_flat(kernel, 1), _flat(steps, 1), _flat(pads, 0), _flat(gaps, 1))
    if not return_indices:
        refuse("max_pool1d_impl", input, "integer")
    found = _max_pool(unsqueeze(input, -2), 2, windows, ceil_mode, return_indices)
    return (squeeze(found[0], -2), squeeze(found[1], -2)) if return_indices else squeeze(found, -2)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum over windows of the last two dimensions of `input` [N, C, H, W] or [C, H, W].

    stride: the step between windows, `kernel_size` when not given.
    padding: how far windows may reach over the border (at most half a window); nothing out there is ever the maximum.
    ceil_mode: let a last window start inside the map even where it does not fit.
    return_indices: also return, in int64, the position of each maximum in its flattened map (for `max_unpool2d`).

    >>> max_pool2d(tensor([[[1., 2.], [3., 4.]]]), 2)
    tensor([[[4.]]])
    """
    windows = _windows(input, 2, kernel_size, stride, padding, dilation, ceil_mode, "max_pool2d")
    return _max_pool(input, 2, windows, ceil_mode, return_indices)


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum over windows of the last three dimensions of `input` [N, C, D, H, W] or [C, D, H, W]; see `max_pool2d`."""
    windows = _windows(input, 3, kernel_size, stride, padding, dilation, ceil_mode, "max_pool3d")
    return _max_pool(input, 3, windows, ceil_mode, return_indices)


def max_pool1d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Any, Any]:
    """`max_pool1d` with the positions of the maxima."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[no-any-return]


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The average over windows of the last dimension of `input` [N, C, L] or [C, L]; see `avg_pool2d`."""
    kernel, steps, pads, _ = _windows(input, 1, kernel_size, stride, padding, 1, ceil_mode, "avg_pool1d")
    _no_small_integers("avg_pool2d", input)
    op = AvgPool2d(_flat(kernel, 1), _flat(steps, 1), _flat(pads, 0), bool(ceil_mode), bool(count_include_pad), None)
    return squeeze(apply1(op, unsqueeze(input, -2)), -2)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The average over windows of the last two dimensions of `input` [N, C, H, W] or [C, H, W].

    count_include_pad: count the zeros of the padding. divisor_override: divide by this instead of the number of elements.
    """
    return _avg_pool(input, 2, AvgPool2d, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The average over windows of the last three dimensions of `input` [N, C, D, H, W] or [C, D, H, W]; see `avg_pool2d`."""
    return _avg_pool(input, 3, AvgPool3d, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    input: Any,
    nd: int,
    cls: type[AvgPool],
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    with_pad: bool,
    divisor: Any,
) -> Any:
    operation = f"avg_pool{nd}d"
    kernel, steps, pads, _ = _windows(input, nd, kernel_size, stride, padding, 1, ceil_mode, operation)
    if divisor == 0:
        raise RuntimeError(f"divisor must be not zero: {operation} got divisor_override=0")
    _no_small_integers(operation, input)
    return apply1(cls(kernel, steps, pads, bool(ceil_mode), bool(with_pad), divisor), input)


def _no_small_integers(operation: str, input: Any) -> None:
    """Refuse integers but int64, as torch's averages do."""
    if input._dtype is not int64:
        refuse(operation, input, "integer")


def _wanted(input: Any, nd: int, output_size: Any, operation: str) -> Shape:
    """The sizes to make; None keeps the input's."""
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    shape = input._shape
    if len(shape) not in (nd + 1, nd + 2):
        raise RuntimeError(f"{operation}(): Expected {nd + 1}D or {nd + 2}D tensor, but got {list(shape)}")
    if 0 in shape[-nd - 1 :]:
        raise RuntimeError(
            f"{operation}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(shape)}"
        )
    if isinstance(output_size, (tuple, list)) and None in output_size:
        if len(output_size) != nd:
            raise ValueError(f"{operation}(): output_size {output_size} must have {nd} entries")
        output_size = tuple(have if want is None else want for have, want in zip(shape[-nd:], output_size, strict=True))
    elif output_size is None:
        output_size = shape[-nd:]
    found = sizes(output_size, nd, "output_size", operation)
    if min(found) < 0:
        raise RuntimeError(
            f"{operation}(): elements of output_size must be greater than or equal to 0, but got {output_size}"
        )
    return found


def _adaptive_avg(input: Any, wanted: Shape) -> Any:
    if all(size == 1 for size in wanted):
        return input.mean(tuple(range(-1, -len(wanted) - 1, -1)), True)
    refuse(f"adaptive_avg_pool{len(wanted)}d", input, "bool integer complex")
    return apply1((AdaptiveAvgPool2d if len(wanted) == 2 else AdaptiveAvgPool3d)(wanted), input)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Averages of the last dimension of `input` [N, C, L] or [C, L] over `output_size` windows that cover it."""
    wanted = _wanted(input, 1, output_size, "adaptive_avg_pool1d")
    return squeeze(_adaptive_avg(unsqueeze(input, -2), _flat(wanted, 1)), -2)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Averages of `input` [N, C, H, W] or [C, H, W] over windows that divide each map into `output_size` parts; None keeps a size."""
    return _adaptive_avg(input, _wanted(input, 2, output_size, "adaptive_avg_pool2d"))


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Averages of `input` [N, C, D, H, W] or [C, D, H, W] over windows that divide each map into `output_size` parts."""
    return _adaptive_avg(input, _wanted(input, 3, output_size, "adaptive_avg_pool3d"))


def adaptive_max_pool1d(input: Any, output_size: Any) -> tuple[Any, Any]:
    """Maxima of the last dimension of `input` over `output_size` windows that cover it, and their positions."""
    wanted = _wanted(input, 1, output_size, "adaptive_max_pool1d")
    refuse("adaptive_max_pool2d", input, "bool integer complex")
    values, at = apply_multi(AdaptiveMaxPool2d(_flat(wanted, 1)), (unsqueeze(input, -2),))
    return squeeze(values, -2), squeeze(at, -2)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of `input` [N, C, H, W] or [C, H, W] over windows that divide each map into `output_size` parts."""
    refuse("adaptive_max_pool2d", input, "bool integer complex")
    found = apply_multi(AdaptiveMaxPool2d(_wanted(input, 2, output_size, "adaptive_max_pool2d")), (input,))
    return found if return_indices else found[0]


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of `input` [N, C, D, H, W] or [C, D, H, W] over windows that divide each map into `output_size` parts."""
    refuse("adaptive_max_pool3d", input, "bool integer complex")
    found = apply_multi(AdaptiveMaxPool3d(_wanted(input, 3, output_size, "adaptive_max_pool3d")), (input,))
    return found if return_indices else found[0]


def max_unpool(input: Any, indices: Any, spatial: Shape) -> Any:
    """Maps of size `spatial` (one to three numbers), zero but for the values of `input` at `indices`."""
    if indices._dtype.name != "int64":
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices._dtype!r}")
    if indices._shape != input._shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input._shape)}) but got indices tensor with "
            f"shape: {list(indices._shape)}"
        )
    if len(spatial) == 1:
        return squeeze(apply2(MaxUnpool2d(_flat(spatial, 1)), unsqueeze(input, -2), unsqueeze(indices, -2)), -2)
    return apply2((MaxUnpool2d if len(spatial) == 2 else MaxUnpool3d)(spatial), input, indices)


serve(MaxPool2d, max_pool2d)
serve(MaxPool3d, max_pool3d)
serve(MaxPoolValues2d, max_pool2d)
serve(MaxPoolValues3d, max_pool3d)
serve(AdaptiveMaxPool2d, adaptive_max_pool2d)
serve(AdaptiveMaxPool3d, adaptive_max_pool3d)
serve(AvgPool2d, avg_pool2d)
serve(AvgPool3d, avg_pool3d)
serve(AdaptiveAvgPool2d, adaptive_avg_pool2d)
serve(AdaptiveAvgPool3d, adaptive_avg_pool3d)
