"""Images: resampling, sampling at points, padding, and pixels made of channels."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import FLOATING, uint8
from rushlight.base.warn import warn_user
from rushlight.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from rushlight.ops import interpolate as _ops
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.common import serve
from rushlight.ops.fold import channel_shuffle, native_channel_shuffle, pixel_shuffle, pixel_unshuffle
from rushlight.ops.pad import pad

__all__ = [
    "affine_grid", "channel_shuffle", "grid_sample", "interpolate", "native_channel_shuffle", "pad", "pixel_shuffle", "pixel_unshuffle",
    "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

_MODES = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact")
_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Any:  # fmt: skip
    """`input` [N, C, *spatial] (one to three spatial dimensions) resampled to `size` or by `scale_factor`.

    size, scale_factor: one of them, a number or one per dimension.
    mode: "nearest" (torch's, slightly off), "nearest-exact", "linear" (3-d input), "bilinear", "bicubic" (4-d), "trilinear" (5-d) or
        "area" (averages).
    align_corners: whether the centres of the corner pixels stay in place; for the linear and cubic modes.
    recompute_scale_factor: derive positions from the rounded size instead of the given factor.
    antialias: average instead of picking neighbours when shrinking; "bilinear" and "bicubic" only.
    Raises `ValueError` or `NotImplementedError` for combinations that make no sense.

    >>> interpolate(tensor([[[1., 2.]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    need_tensor("interpolate", input)
    rank, nd = len(input._shape), len(input._shape) - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
            )
    if not 3 <= rank <= 5 or mode not in _MODES:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank}D) for the modes: {' | '.join(_MODES)} (got {mode})"
        )
    spatial = input._shape[2:]
    sizes, scales = _output_sizes(spatial, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic") and rank == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    if mode in _RANKS and _RANKS[mode] != nd:
        raise NotImplementedError(f"Got {rank}D input, but {mode} mode needs {_RANKS[mode] + 2}D input")
    if min(spatial) <= 0 or min(sizes) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(spatial)} output {list(sizes)}"
        )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[nd - 1](input, sizes)
    if input._dtype.category < FLOATING:
        if input._dtype is not uint8:
            raise NotImplementedError(
                f'"upsample_{mode}{nd}d" not implemented for {kind_name(input._dtype)}: use x.float()'
            )
        if mode in _RANKS:
            found = _ops.upsample(input.float(), sizes, mode, bool(align_corners), scales, antialias)
            return found.round().clamp(0, 255).to(uint8)
    return _ops.upsample(input, sizes, mode, bool(align_corners), scales, antialias)


def _output_sizes(
    spatial: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The sizes to make, and the factors that positions are to follow (None: the ratio of the sizes)."""
    nd = len(spatial)
    if size is not None and scale_factor is not None:
        raise ValueError("interpolate(): only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        if isinstance(size, (list, tuple)):
            if len(size) != nd:
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of "
                    f"{list(spatial)} and output size of {size}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and output "
                    "size in (o1, o2, ...,oK) format."
                )
            return tuple(int(n) for n in size), (None,) * nd
        return (int(size),) * nd, (None,) * nd
    if scale_factor is None:
        raise ValueError("interpolate(): either size or scale_factor should be defined")
    if isinstance(scale_factor, (list, tuple)):
        if len(scale_factor) != nd:
            raise ValueError(
                "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial dimensions of "
                f"{list(spatial)} and scale_factor of shape {scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format "
                "and scale_factor in (s1, s2, ...,sK) format."
            )
        factors = tuple(float(f) for f in scale_factor)
    else:
        factors = (float(scale_factor),) * nd
    sizes = tuple(math.floor(n * f) for n, f in zip(spatial, factors, strict=True))
    return sizes, (None,) * nd if recompute else factors


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """Deprecated name of `interpolate`."""
    warn_user("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Deprecated: `interpolate(mode="nearest")`."""
    warn_user("`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Deprecated: `interpolate(mode="bilinear", align_corners=True)`."""
    warn_user("`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _warn_align_corners() -> None:
    warn_user(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
        "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
    )


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """`input` [N, C, H, W] (or [N, C, D, H, W]) at the points of `grid` [N, *out, 2] (or 3), (x, y[, z]) in [-1, 1]: [N, C, *out].

    mode: "bilinear", "nearest" or "bicubic" (4-d input only). padding_mode: what lies outside: "zeros", the "border", or the map's
    "reflection". align_corners: whether -1 and 1 are the centres of the corner pixels, not their outer edges.
    """
    need_tensor("grid_sample", input)
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if align_corners is None:
        _warn_align_corners()
        align_corners = False
    nd = len(input._shape) - 2
    sizes = f"but got input with sizes {list(input._shape)} and grid with sizes {list(grid._shape)}"
    if nd not in (2, 3) or len(grid._shape) != nd + 2:
        raise RuntimeError(f"grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, {sizes}")
    if grid._shape[0] != input._shape[0]:
        raise RuntimeError(f"grid_sampler(): expected grid and input to have same batch size, {sizes}")
    if grid._shape[-1] != nd:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {nd} in last dimension, {sizes}")
    if grid._dtype is not input._dtype:
        raise RuntimeError(
            f"grid_sampler(): expected input and grid to have same dtype, but input has {input._dtype!r} and grid has {grid._dtype!r}"
        )
    if mode == "bicubic" and nd == 3:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return _ops.grid_sample(input, grid, mode, padding_mode, align_corners)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The points of `grid_sample` for affine maps `theta` [N, 2, 3] (or [N, 3, 4]) and an output of `size` (N, C, H, W) (or 5-d)."""
    if align_corners is None:
        _warn_align_corners()
        align_corners = False
    if theta._dtype.category < FLOATING:
        raise ValueError(f"Expected theta to have floating point type, but got {theta._dtype!r}")
    nd = len(size) - 2
    if nd not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. "
            f"Got size {tuple(size)}"
        )
    if len(theta._shape) != 3 or theta._shape[1:] != (nd, nd + 1):
        raise ValueError(
            f"Expected a batch of {nd}D affine matrices of shape Nx{nd}x{nd + 1} for size {tuple(size)}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    return _ops.affine_grid(theta, tuple(size), align_corners)


serve(_ops.Upsample, interpolate)
