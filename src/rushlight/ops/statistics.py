"""Variances, medians, quantiles and covariances."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import FLOATING, float32, float64, int64
from rushlight.base.return_types import median as median_result
from rushlight.base.return_types import mode as mode_result
from rushlight.base.return_types import nanmedian as nanmedian_result
from rushlight.base.shape import Shape, normalize_dim
from rushlight.base.warn import warn_user
from rushlight.core.primitive import Primitive, apply1, apply_multi
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_tensor, numpy_names, refuse
from rushlight.ops.common import methods, serve
from rushlight.ops.extremes import PickAlong, pick, shared
from rushlight.ops.fused import lerp
from rushlight.ops.reduce import delivered, dims_of
from rushlight.ops.reduce_rules import keep_reduced
from rushlight.ops.view import expand
from rushlight.ops.view_rules import SqueezeLast

__all__ = [
    "corrcoef", "cov", "median", "mode", "nanmedian", "nanquantile", "quantile", "std", "std_mean", "var", "var_mean",
]  # fmt: skip


class Var(Primitive):
    """The variance over some dimensions, divided by the count minus `correction`."""

    __slots__ = ("dim", "correction", "keepdim")
    name = "var"

    def __init__(self, dim: Shape, correction: float, keepdim: bool) -> None:
        self.dim = dim
        self.correction = correction
        self.keepdim = keepdim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.dim, self.correction, self.keepdim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return self.of_variance(saved[0], g)

    def of_variance(self, x: Any, g: Any) -> Any:
        """The cotangent of x from that of its variance."""
        freedom = prod([x._shape[d] for d in self.dim]) - self.correction
        scale = 2 / freedom if freedom > 0 else float("inf")
        return self.spread(g * scale, x) * (x - x.mean(self.dim, keepdim=True))

    def spread(self, t: Any, x: Any) -> Any:
        """A tensor of the result's shape with the reduced dimensions of x back, at size 1."""
        return keep_reduced(t, x._shape, self.dim, self.keepdim)


class Std(Var):
    """The square root of the variance; where it is 0, so is the derivative, as in torch."""

    __slots__ = ()
    name = "std"

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, deviation = saved
        return self.of_variance(x, of_root(g, deviation))


def of_root(g: Any, root: Any) -> Any:
    """The cotangent of a variance from that of its square root."""
    return (g / (root * 2)).masked_fill(root == 0, 0)


class VarMean(Var):
    """The variance and the mean."""

    __slots__ = ()
    name = "var_mean"
    outputs = 2

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        return k.var(x, self.dim, self.correction, self.keepdim), k.mean(x, self.dim, self.keepdim)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return self.join(saved[0], g[0], g[1])

    def join(self, x: Any, g_variance: Any, g_mean: Any) -> Any:
        """The sum of what comes from the variance and from the mean."""
        found = None if g_variance is None else self.of_variance(x, g_variance)
        if g_mean is None:
            return found
        count = prod([x._shape[d] for d in self.dim])
        part = expand(self.spread(g_mean / count, x), x._shape)
        return part if found is None else found + part


class StdMean(VarMean):
    """The standard deviation and the mean."""

    __slots__ = ()
    name = "std_mean"

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        return k.std(x, self.dim, self.correction, self.keepdim), k.mean(x, self.dim, self.keepdim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, deviation = saved
        return self.join(x, None if g[0] is None else of_root(g[0], deviation), g[1])


class MedianAll(Primitive):
    """The lower median of all elements; equal ones share the cotangent."""

    __slots__ = ()
    name = "median"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0], output)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, middle = saved
        return shared(g, (x == middle) | (x.isnan() & middle.isnan()), tuple(range(len(x._shape))))


class NanmedianAll(MedianAll):
    """The lower median of the elements that are not NaN."""

    __slots__ = ()
    name = "nanmedian"


class MedianDim(PickAlong):
    __slots__ = ()
    name = "median"
    node_name = "MedianBackward1"


class NanmedianDim(PickAlong):
    __slots__ = ()
    name = "nanmedian"
    node_name = "NanmedianBackward1"


class Mode(PickAlong):
    """The most frequent element along a dimension."""

    __slots__ = ()
    name = "mode"


def _variance(
    cls: type[Var], input: Any, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any, names: dict[str, Any]
) -> tuple[Primitive, Any]:
    """The operation that the arguments of var, std, var_mean and std_mean ask for."""
    operation = cls.name
    need_tensor(operation, input)
    if names:
        dim, keepdim = numpy_names(operation, names, dim, keepdim)
    if isinstance(dim, bool):  # the form var(x, unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{operation}() takes unbiased or correction, not both: unbiased=True is correction=1")
    if input._dtype.category < FLOATING:
        raise RuntimeError(f"std and var only support floating point and complex dtypes, got {input._dtype!r}; use x.float()")
    dims = dims_of(operation, input, dim)
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    count = prod([input._shape[d] for d in dims])
    if count - correction <= 0 and prod(input._shape):
        warn_user(
            f"{operation}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input "
            f"numel divided by output numel): {count} elements, correction {correction}.",
        )
    return cls(dims, correction, keepdim), input


def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None,
        out: Any = None, **names: Any) -> Any:  # fmt: skip
    """The variance over `dim` (None: all), divided by the count minus `correction` (1, as `unbiased=True`)."""
    op, x = _variance(Var, input, dim, unbiased, keepdim, correction, names)
    return delivered(apply1(op, x), out, "var")


def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None,
        out: Any = None, **names: Any) -> Any:  # fmt: skip
    """The standard deviation over `dim` (None: all), the square root of `var`."""
    op, x = _variance(Std, input, dim, unbiased, keepdim, correction, names)
    return delivered(apply1(op, x), out, "std")


def var_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
             correction: float | None = None, **names: Any) -> tuple[Any, Any]:  # fmt: skip
    """Variance and mean over `dim`, as a tuple."""
    op, x = _variance(VarMean, input, dim, unbiased, keepdim, correction, names)
    return apply_multi(op, (x,))  # type: ignore[return-value]


def std_mean(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
             correction: float | None = None, **names: Any) -> tuple[Any, Any]:  # fmt: skip
    """Standard deviation and mean over `dim`, as a tuple."""
    op, x = _variance(StdMean, input, dim, unbiased, keepdim, correction, names)
    return apply_multi(op, (x,))  # type: ignore[return-value]


def median(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The lower median of all elements, or along `dim` with its index, as a named tuple. NaN if there is one."""
    if names:
        dim, keepdim = numpy_names("median", names, dim, keepdim)
    if dim is not None:
        need_tensor("median", input)
        refuse("median_out", input, "bool complex")
        return pick(MedianDim, median_result, "median", input, dim, keepdim, out)
    need_tensor("median", input)
    refuse("median_cpu", input, "bool complex")
    if out is not None:
        raise TypeError("median() with out= needs dim")
    return apply1(MEDIAN, input)


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """`median` of the elements that are not NaN."""
    if names:
        dim, keepdim = numpy_names("nanmedian", names, dim, keepdim)
    if dim is not None:
        need_tensor("nanmedian", input)
        refuse("nanmedian_out", input, "bool complex")
        return pick(NanmedianDim, nanmedian_result, "nanmedian", input, dim, keepdim, out)
    need_tensor("nanmedian", input)
    refuse("nanmedian_cpu", input, "bool complex")
    if out is not None:
        raise TypeError("nanmedian() with out= needs dim")
    return apply1(NANMEDIAN, input)


def mode(input: Any, dim: int = -1, keepdim: bool = False, *, out: Any = None, **names: Any) -> Any:
    """The most frequent element along `dim` (the smallest of several) and the index of its last occurrence."""
    if names:
        dim, keepdim = numpy_names("mode", names, dim, keepdim)
    return pick(Mode, mode_result, "mode", input, dim, keepdim, out)


def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
             out: Any = None) -> Any:  # fmt: skip
    """The quantiles `q` (a number, or a tensor whose dimension comes first in the result) along `dim`, or of all.

    interpolation: "linear", "lower", "higher", "midpoint" or "nearest". A row with NaN gives NaN.
    """
    return delivered(_quantile("quantile", input, q, dim, keepdim, interpolation, False), out, "quantile")


def nanquantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
                out: Any = None) -> Any:  # fmt: skip
    """`quantile` of the elements that are not NaN."""
    return delivered(_quantile("nanquantile", input, q, dim, keepdim, interpolation, True), out, "nanquantile")


def _levels(operation: str, input: Any, q: Any, interpolation: str) -> Any:
    """`q` as a tensor, after the checks of the arguments."""
    need_tensor(operation, input)
    if input._dtype not in (float32, float64):
        raise RuntimeError(f"{operation}() input tensor must be either float or double dtype, got {input._dtype!r}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{operation}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if prod(input._shape) == 0:
        raise RuntimeError(f"{operation}() input tensor must be non-empty")
    if not isinstance(q, TensorBase):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{operation}() q must be in the range [0, 1] but got {q}")
        return input.new_full((), q)
    if len(q._shape) > 1:
        raise RuntimeError(f"{operation}() q must be a scalar or 1D tensor, but got a {len(q._shape)}-D tensor")
    if q._dtype is not input._dtype:
        raise RuntimeError(f"{operation}() q tensor must be same dtype as the input tensor, got {q._dtype!r} and {input._dtype!r}")
    if q._device.type != "meta" and not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{operation}() q values must be in the range [0, 1]")
    return q


def _quantile(operation: str, input: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool) -> Any:
    levels = _levels(operation, input, q, interpolation)
    rank = len(input._shape)
    d = None if dim is None else normalize_dim(dim, rank, operation)
    rows = input.reshape(-1) if d is None or not rank else input.movedim(d, -1)
    ordered = rows.sort(-1)[0]
    last = rows._shape[-1] - 1
    missing = ordered.detach().isnan()
    if ignore_nan:
        most = ((~missing).sum(-1, keepdim=True) - 1).clamp(min=0).to(input._dtype)
        ranks = levels.reshape(-1) * most
    else:
        # NaN stands at the end of a row: taking the last element makes the whole row NaN.
        ranks = (levels.reshape(-1) * last).expand(*rows._shape[:-1], levels.numel()).masked_fill(missing.any(-1, keepdim=True), last)
    found = _interpolated(ordered, ranks, interpolation).movedim(-1, 0)
    if keepdim and rank:
        shape = tuple(1 if d is None or i == d else n for i, n in enumerate(input._shape))
        found = found.reshape((levels.numel(), *shape))
    return apply1(SqueezeLast(() if levels._shape else (0,)), found)


def _interpolated(ordered: Any, ranks: Any, interpolation: str) -> Any:
    """The elements of sorted rows at `ranks` (floating), rounded or interpolated between neighbours."""
    if interpolation in ("lower", "higher", "nearest"):
        rounded = {"lower": ranks.floor, "higher": ranks.ceil, "nearest": ranks.round}[interpolation]()
        return ordered.gather(-1, rounded.to(int64))
    below = ranks.detach().floor()
    weight = ranks.new_full((), 0.5).expand(ranks._shape) if interpolation == "midpoint" else ranks - below
    lower, upper = ordered.gather(-1, below.to(int64)), ordered.gather(-1, ranks.detach().ceil().to(int64))
    return lerp(lower, upper, weight)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables in rows and observations in columns.

    correction: subtracted from the number of observations. fweights: how often each observation counts (integers);
    aweights: its importance.
    """
    need_tensor("cov", input)
    if len(input._shape) > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {len(input._shape)} dimensions")
    refuse("cov", input, "bool")
    x = input.reshape(1, -1) if len(input._shape) < 2 else input
    if x._dtype.category < FLOATING:
        x = x.float()
    weights = _observation_weights(x, fweights, aweights)
    if weights is None:
        count = x._shape[1]
        centre = x.sum(1) / count
        if count <= correction:
            warn_user("cov(): degrees of freedom is <= 0")
        factor: Any = max(count - correction, 0)
    else:
        total = weights.sum()
        centre = (x * weights).sum(1) / total
        lost = correction if aweights is None else correction * (weights * aweights).sum() / total
        factor = (total - lost).clamp(min=0)
    centred = x - centre.unsqueeze(1)
    weighted = centred if weights is None else centred * weights
    return (centred @ weighted.t().conj() / factor).squeeze()


def _observation_weights(x: Any, fweights: Any, aweights: Any) -> Any:
    """The product of the weights given, or None."""
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if len(w._shape) > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with {len(w._shape)} dimensions")
        if w.numel() != x._shape[1]:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got {w.numel()} != "
                f"{x._shape[1]}"
            )
        if bool((w < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
    if fweights is not None and aweights is not None:
        return (fweights * aweights).reshape(-1)
    return None if fweights is None and aweights is None else (aweights if fweights is None else fweights).reshape(-1)


def corrcoef(input: Any) -> Any:
    """The matrix of Pearson's correlation coefficients of variables in rows and observations in columns."""
    need_tensor("corrcoef", input)
    if len(input._shape) > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {len(input._shape)} dimensions"
        )
    covariance = cov(input)
    if not covariance._shape:
        return covariance / covariance  # 1, or NaN for a constant
    deviation = covariance.diagonal().real.sqrt()
    found = covariance / deviation.unsqueeze(1) / deviation
    return found if found.is_complex() else found.clamp(-1, 1)


MEDIAN = MedianAll()
NANMEDIAN = NanmedianAll()
serve(Var, var)
serve(Std, std)
serve(VarMean, var_mean)
serve(StdMean, std_mean)
serve(MedianAll, median)
serve(NanmedianAll, nanmedian)
serve(MedianDim, median)
serve(NanmedianDim, nanmedian)
serve(Mode, mode)
methods(var, std, median, nanmedian, mode, quantile, nanquantile, cov, corrcoef)
