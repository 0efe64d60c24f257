"""Resampling of maps: nearest, linear and cubic interpolation in one to three dimensions, and sampling at given points."""

from __future__ import annotations

from math import prod
from typing import Any, Final

from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1
from rushlight.ops.formats import in_format_of

__all__: list[str] = []


class Upsample(Primitive):
    """x [N, C, *spatial] resampled to the spatial `sizes`. Linear."""

    __slots__ = ("sizes", "mode", "align_corners", "scales", "antialias")
    keeps_layout = True
    name = "upsample"
    linear = True

    def __init__(
        self, sizes: Shape, mode: str, align_corners: bool, scales: tuple[float | None, ...], antialias: bool
    ) -> None:
        self.sizes = sizes
        self.mode = mode
        self.align_corners = align_corners
        self.scales = scales
        self.antialias = antialias

    def forward(self, k: Any, *arrays: Any) -> Any:
        y = k.upsample(arrays[0], self.sizes, self.mode, self.align_corners, self.scales, self.antialias)
        return in_format_of(k, arrays[0], y)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(UpsampleGrad(self, saved[0]), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        wanted: dict[str, Any] = {"mode": self.mode, "antialias": self.antialias}
        if None in self.scales:
            wanted["size"] = self.sizes
        else:
            wanted["scale_factor"] = self.scales
        if not self.mode.startswith("nearest"):
            wanted["align_corners"] = self.align_corners
        return type(self).public, tensors, wanted


class UpsampleGrad(Primitive):
    """The transpose of a resampling of maps of `shape`."""

    __slots__ = ("upsample", "shape")
    keeps_layout = True
    name = "upsample_backward"
    linear = True

    def __init__(self, upsample: Upsample, shape: Shape) -> None:
        self.upsample = upsample
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        up = self.upsample
        return k.upsample_backward(arrays[0], self.shape, up.mode, up.align_corners, up.scales, up.antialias)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self.upsample, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


# torch has an operation for every mode and rank; they differ in the name of their node only.


class UpsampleNearest1d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearest1DBackward0"


class UpsampleNearest2d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearest2DBackward0"


class UpsampleNearest3d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearest3DBackward0"


class UpsampleNearestExact1d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearestExact1DBackward0"


class UpsampleNearestExact2d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearestExact2DBackward0"


class UpsampleNearestExact3d(Upsample):
    __slots__ = ()
    node_name = "UpsampleNearestExact3DBackward0"


class UpsampleLinear1d(Upsample):
    __slots__ = ()
    node_name = "UpsampleLinear1DBackward0"


class UpsampleBilinear2d(Upsample):
    __slots__ = ()
    node_name = "UpsampleBilinear2DBackward0"


class UpsampleTrilinear3d(Upsample):
    __slots__ = ()
    node_name = "UpsampleTrilinear3DBackward0"


class UpsampleBicubic2d(Upsample):
    __slots__ = ()
    node_name = "UpsampleBicubic2DBackward0"


class UpsampleBilinear2dAntialiased(Upsample):
    __slots__ = ()
    node_name = "UpsampleBilinear2DAaBackward0"


class UpsampleBicubic2dAntialiased(Upsample):
    __slots__ = ()
    node_name = "UpsampleBicubic2DAaBackward0"


_CLASSES: Final[dict[tuple[str, int], type[Upsample]]] = {
    ("nearest", 1): UpsampleNearest1d,
    ("nearest", 2): UpsampleNearest2d,
    ("nearest", 3): UpsampleNearest3d,
    ("nearest-exact", 1): UpsampleNearestExact1d,
    ("nearest-exact", 2): UpsampleNearestExact2d,
    ("nearest-exact", 3): UpsampleNearestExact3d,
    ("linear", 1): UpsampleLinear1d,
    ("bilinear", 2): UpsampleBilinear2d,
    ("trilinear", 3): UpsampleTrilinear3d,
    ("bicubic", 2): UpsampleBicubic2d,
}


def upsample(
    input: Any, sizes: Shape, mode: str, align_corners: bool, scales: tuple[float | None, ...], antialias: bool = False
) -> Any:
    """`input` [N, C, *spatial] resampled to `sizes`; `scales` are the factors that were asked for, which positions follow, or None."""
    cls = _CLASSES[mode, len(sizes)]
    if antialias:
        cls = UpsampleBilinear2dAntialiased if mode == "bilinear" else UpsampleBicubic2dAntialiased
    return apply1(cls(sizes, mode, align_corners, scales, antialias), input)


# Sampling at points.


def grid_sample(input: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """`input` [N, C, *spatial] at the points of `grid` [N, *out, nd], whose last dimension is (x, y[, z]) in [-1, 1].

    A sum over the neighbours of each point, written in tensor operations, so that it has every derivative.
    """
    spatial = input._shape[2:]
    nd = len(spatial)
    at = [_pixel(grid[..., i], spatial[nd - 1 - i], padding_mode, align_corners, mode != "bicubic") for i in range(nd)]
    flat = input.reshape(*input._shape[:2], -1)
    if mode == "nearest":
        return _read(flat, spatial, [p.round() for p in at], padding_mode)
    taps = [_cubic_taps(p) if mode == "bicubic" else _linear_taps(p) for p in at]
    if mode == "bicubic":  # the border rule holds for each neighbour
        taps = [
            [(_bordered(q, n, padding_mode, align_corners), w) for q, w in axis]
            for axis, n in zip(taps, reversed(spatial), strict=True)
        ]
    total: Any = None
    for chosen in _combinations(taps):
        weight = chosen[0][1]
        for _, w in chosen[1:]:
            weight = weight * w
        term = _read(flat, spatial, [q for q, _ in chosen], padding_mode) * weight.unsqueeze(1)
        total = term if total is None else total + term
    return total


def _combinations(taps: list[list[Any]]) -> list[list[Any]]:
    """One tap of each dimension, in every way."""
    found: list[list[Any]] = [[]]
    for axis in taps:
        found = [[*chosen, tap] for chosen in found for tap in axis]
    return found


def _pixel(x: Any, size: int, padding_mode: str, align_corners: bool, bordered: bool) -> Any:
    """Coordinates in [-1, 1] as positions in pixels."""
    at = (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) / 2
    return _bordered(at, size, padding_mode, align_corners) if bordered else at


def _bordered(at: Any, size: int, padding_mode: str, align_corners: bool) -> Any:
    """Positions outside brought in by the padding mode ("zeros" leaves them)."""
    if padding_mode == "border":
        return at.clamp(0, size - 1)
    if padding_mode == "reflection":
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        if high <= low:
            return at * 0
        span = high - low
        distance = (at - low).abs()
        flips = (distance / span).detach().floor()
        rest = distance - flips * span
        at = rest.where(flips % 2 == 0, span - rest) + low
        return at.clamp(0, size - 1)
    return at


def _linear_taps(at: Any) -> list[tuple[Any, Any]]:
    """The two neighbours of each position and their weights."""
    left = at.detach().floor()
    return [(left, left + 1 - at), (left + 1, at - left)]


def _cubic_taps(at: Any) -> list[tuple[Any, Any]]:
    """The four neighbours of each position and the weights of cubic convolution (A = -0.75)."""
    left = at.detach().floor()
    t, a = at - left, -0.75

    def near(d: Any) -> Any:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Any) -> Any:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(left - 1, far(t + 1)), (left, near(t)), (left + 1, near(1 - t)), (left + 2, far(2 - t))]


def _read(flat: Any, spatial: Shape, at: list[Any], padding_mode: str) -> Any:
    """Values at whole positions `at` (x first), [N, C, *out]; zero outside the map."""
    index: Any = None
    inside: Any = None
    for q, size in zip(reversed(at), spatial, strict=True):
        within = (q >= 0) & (q <= size - 1)
        whole = q.detach().clamp(0, size - 1).nan_to_num(0.0).long()
        index = whole if index is None else index * size + whole
        inside = within if inside is None else inside & within
    out = index._shape[1:]
    rows = index.reshape(index._shape[0], 1, prod(out)).expand(-1, flat._shape[1], -1)
    values = flat.gather(2, rows).reshape(flat._shape[0], flat._shape[1], *out)
    return values * inside.unsqueeze(1).to(flat._dtype)


def affine_grid(theta: Any, size: Shape, align_corners: bool) -> Any:
    """The points that affine maps `theta` [N, nd, nd + 1] send the pixels of maps of `size` (N, C, *spatial) to, [N, *spatial, nd]."""
    spatial = size[2:]
    nd = len(spatial)
    base = theta.new_ones(*spatial, nd + 1)
    for i, n in enumerate(reversed(spatial)):
        line = theta.new_tensor([0.0] if n <= 1 else [2.0 * j / (n - 1) - 1.0 for j in range(n)])
        if not align_corners:
            line = line * ((n - 1) / n)
        base[..., i] = line.reshape(-1, *(1,) * i)
    rows = base.reshape(1, -1, nd + 1).expand(size[0], -1, -1)
    return rows.bmm(theta.transpose(1, 2)).view(size[0], *spatial, nd)
