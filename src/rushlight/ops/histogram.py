"""Counting: histograms, bin counts, distinct elements. Nothing here has a derivative."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import INTEGER
from rushlight.base.return_types import histogram as histogram_result
from rushlight.base.return_types import histogramdd as histogramdd_result
from rushlight.base.shape import normalize_dim
from rushlight.core.primitive import Primitive, apply1, apply_multi, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_real, need_tensor, no_derivative, not_implemented, refuse
from rushlight.ops.common import methods, serve
from rushlight.ops.creation import linspace
from rushlight.ops.extremes import named
from rushlight.ops.offered import offered
from rushlight.ops.reduce import delivered
from rushlight.ops.sort import searchsorted

__all__ = ["bincount", "histc", "histogram", "histogramdd", "unique", "unique_consecutive"]


class Bincount(Primitive):
    """How often each whole number occurs, or the sum of its weights, the second input if there is one."""

    __slots__ = ("minlength",)
    name = "bincount"
    node_name = "NotImplemented"

    def __init__(self, minlength: int) -> None:
        self.minlength = minlength

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.bincount(arrays[0], arrays[1] if len(arrays) > 1 else None, self.minlength)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise no_derivative("bincount")


class Histc(Primitive):
    """Counts in equal bins."""

    __slots__ = ("bins", "min", "max")
    name = "histc"
    differentiable = False

    def __init__(self, bins: int, low: float, high: float) -> None:
        self.bins = bins
        self.min = low
        self.max = high

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.histc(arrays[0], self.bins, self.min, self.max)


class Unique(Primitive):
    """Distinct elements, and as asked where each element went and how often each occurs."""

    __slots__ = ("sorted", "return_inverse", "return_counts", "dim")
    name = "unique"
    node_name = "Unique2Backward0"
    outputs = 0

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise no_derivative("_unique2")

    def __init__(self, sorted: bool, return_inverse: bool, return_counts: bool, dim: int | None) -> None:
        self.sorted = sorted
        self.return_inverse = return_inverse
        self.return_counts = return_counts
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        found = k.unique(arrays[0], self.sorted, self.return_inverse, self.return_counts, self.dim)
        return tuple(part for part in found if part is not None)


class UniqueDim(Unique):
    """Distinct slices along a dimension."""

    __slots__ = ()
    node_name = "UniqueDimBackward0"


class UniqueConsecutive(Primitive):
    """The same with only equal neighbours merged."""

    __slots__ = ("return_inverse", "return_counts", "dim")
    name = "unique_consecutive"
    outputs = 0

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise no_derivative("unique_consecutive")

    def __init__(self, return_inverse: bool, return_counts: bool, dim: int | None) -> None:
        self.return_inverse = return_inverse
        self.return_counts = return_counts
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        found = k.unique_consecutive(arrays[0], self.return_inverse, self.return_counts, self.dim)
        return tuple(part for part in found if part is not None)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often 0, 1, 2, ... occur in a one-dim tensor of non-negative integers (int64), or the sums of their weights."""
    need_tensor("bincount", input)
    if input._dtype.category != INTEGER:
        raise not_implemented("bincount_cpu", input._dtype)
    return applyn(Bincount(int(minlength)), (input,) if weights is None else (input, weights))


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0, *, out: Any = None) -> Any:
    """Counts in `bins` equal bins from `min` to `max` (both 0: of the data), in the dtype of `input`."""
    need_tensor("histc", input)
    refuse("histogram_cpu", input, "bool integer complex")
    return delivered(apply1(Histc(int(bins), min, max), input), out, "histc")


@offered
def histogram(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False, out: Any = None) -> Any:
    """Counts (or sums of `weight`) in bins: a number of equal ones over `range` (of the data), or a tensor of edges.

    Returns a named tuple `(hist, bin_edges)`; with `density` the integral over the range is 1.
    """
    need_tensor("histogram", input)
    refuse("histogram_cpu", input, "bool integer complex" if isinstance(bins, TensorBase) or range else "bool integer half complex")
    edges = _edges(input, bins, range)
    values = input.reshape(-1)
    counts = _counts(edges, values, None if weight is None else weight.reshape(-1))
    if density:
        counts = counts / (counts.sum() * edges.diff())
    return named(histogram_result, (counts, edges), out, "histogram")


def _edges(x: Any, bins: Any, range: Any) -> Any:
    if isinstance(bins, TensorBase):
        if bins._dtype is not x._dtype:
            raise RuntimeError(
                f"torch.histogram: input tensor and bins tensors should have the same dtype, but got input with {x._dtype!r} and "
                f"bins with {bins._dtype!r}"
            )
        return bins
    if int(bins) <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins}")
    if range is not None:
        low, high = float(range[0]), float(range[1])
    elif prod(x._shape):
        low, high = x.min().item(), x.max().item()
    else:
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    if low > high:
        raise RuntimeError(f"torch.histogram: max must be larger than min, got [{low}, {high}]")
    return linspace(low, high, int(bins) + 1, dtype=x._dtype, device=x._device)


def _positions(edges: Any, values: Any) -> tuple[Any, Any]:
    """The bin of each value, the last one closed on both sides, and which values lie in one."""
    place = searchsorted(edges, values, right=True) - 1
    last = edges.numel() - 2
    place = place.masked_fill(values == edges[-1], last)
    return place, (place >= 0) & (place <= last) & ~values.isnan()


def _counts(edges: Any, values: Any, weight: Any) -> Any:
    place, inside = _positions(edges, values)
    bins = edges.numel() - 1
    counted = bincount(place[inside], None if weight is None else weight[inside], bins)
    return counted.to(values._dtype)


@offered
def histogramdd(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    """Counts of points (rows of the last dimension) in a grid of bins; a named tuple `(hist, bin_edges)`.

    bins: a number, a number for each dimension, or a tensor of edges for each; range: low and high of each, one list.
    """
    need_tensor("histogramdd", input)
    refuse("histogram_cpu", input, "bool integer half complex")
    points = input.reshape(-1, input._shape[-1])
    rank = points._shape[1]
    each = [bins] * rank if isinstance(bins, int) else list(bins)
    if len(each) != rank:
        raise RuntimeError(f"torch.histogramdd(): expected {rank} sequences of bin edges or bin counts, but got {len(each)}")
    if range is not None and len(range) != 2 * rank:
        raise RuntimeError(f"torch.histogramdd(): range should have {2 * rank} elements, but got {len(range)}")
    edges: list[Any] = []
    flat: Any = None
    inside: Any = None
    for i, count in enumerate(each):
        column = points[:, i]
        edge = _edges(column, count, None if range is None else range[2 * i : 2 * i + 2])
        place, within = _positions(edge, column)
        edges.append(edge)
        flat = place if flat is None else flat * (edge.numel() - 1) + place
        inside = within if inside is None else inside & within
    shape = tuple(edge.numel() - 1 for edge in edges)
    chosen = None if weight is None else weight.reshape(-1)[inside]
    hist = bincount(flat[inside], chosen, prod(shape)).reshape(shape).to(input._dtype)
    if density:
        hist = hist / hist.sum()
        for i, edge in enumerate(edges):
            hist = hist / edge.diff().reshape((-1,) + (1,) * (rank - 1 - i))
    return histogramdd_result((hist, tuple(edges)))


def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The distinct elements in ascending order, or with `dim` the distinct slices along it.

    With return_inverse and return_counts a tuple: also the place of every element among them, and how often each occurs.
    """
    need_tensor("unique", input)
    need_real("unique", input)
    d = _slices("unique", input, dim)
    found = apply_multi((Unique if d is None else UniqueDim)(bool(sorted), bool(return_inverse), bool(return_counts), d), (input,))
    return found[0] if len(found) == 1 else tuple(found)


def _slices(operation: str, input: Any, dim: int | None) -> int | None:
    """The dimension whose slices are compared, or None for elements."""
    if dim is None:
        return None
    if not input._shape:
        raise IndexError(f"{operation}(): Dimension specified as {dim} but tensor has no dimensions")
    d = normalize_dim(dim, len(input._shape), operation)
    if prod(input._shape) == 0 and input._shape[d]:
        raise RuntimeError(f"There are 0 sized dimensions, and they aren't selected, so {operation} cannot be applied")
    return d


def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """`unique`, merging only equal neighbours and keeping the order."""
    need_tensor("unique_consecutive", input)
    refuse("unique", input, "complex")
    d = _slices("unique_consecutive", input, dim)
    found = apply_multi(UniqueConsecutive(bool(return_inverse), bool(return_counts), d), (input,))
    return found[0] if len(found) == 1 else tuple(found)


serve(Bincount, bincount)
serve(Histc, histc)
serve(Unique, unique)
serve(UniqueConsecutive, unique_consecutive)
methods(bincount, histc, histogram, unique, unique_consecutive)
