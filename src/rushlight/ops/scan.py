"""Running sums, products, extremes and log-sums along a dimension; differences and trapezoids."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, FLOATING, dtype
from rushlight.base.return_types import cummax as cummax_result
from rushlight.base.return_types import cummin as cummin_result
from rushlight.base.shape import normalize_dim
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import Primitive, apply1, apply2, apply_multi
from rushlight.ops.checks import need_real, need_tensor, not_implemented, numpy_names, refuse
from rushlight.ops.common import methods, serve
from rushlight.ops.extremes import named
from rushlight.ops.reduce import delivered, without_each
from rushlight.ops.shape import cat

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid", "trapz",
]  # fmt: skip


class Cumsum(Primitive):
    """The running sum along a dimension; with `reverse` from its end."""

    __slots__ = ("dim", "dtype", "reverse")
    name = "cumsum"
    linear = True

    def __init__(self, dim: int, dtype: dtype | None = None, reverse: bool = False) -> None:
        self.dim = dim
        self.dtype = dtype
        self.reverse = reverse

    def forward(self, k: Any, *arrays: Any) -> Any:
        of = None if self.dtype is None else self.dtype.np
        if not self.reverse or not arrays[0].ndim:
            return k.cumsum(arrays[0], self.dim, of)
        return k.flip(k.cumsum(k.flip(arrays[0], (self.dim,)), self.dim, of), (self.dim,))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(Cumsum(self.dim, None, not self.reverse), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return None if self.reverse else (cumsum, (tensors[0], self.dim), {"dtype": self.dtype})


class Cumprod(Primitive):
    """The running product along a dimension."""

    __slots__ = ("dim", "dtype")
    name = "cumprod"

    def __init__(self, dim: int, dtype: dtype | None = None) -> None:
        self.dim = dim
        self.dtype = dtype

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cumprod(arrays[0], self.dim, None if self.dtype is None else self.dtype.np)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0] if saved[0]._dtype is g._dtype else saved[0].to(g._dtype)
        return apply2(CumprodBackward(self.dim), g, x.conj())


class CumprodBackward(Primitive):
    """Element j: the sum over i >= j of g[i] and all factors up to i but the j-th; `cumprod_backward(g, x)`."""

    __slots__ = ("dim",)
    name = "cumprod_backward"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.cumprod_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        """Row j of a square holds the factors without the j-th, and the terms from j on."""
        first, x = saved
        if not x._shape:
            return g, g.new_zeros(()) if needs[1] else None
        rows, own = without_each(x, self.dim)
        columns = g.movedim(self.dim, -1).unsqueeze(-1)
        gf = gx = None
        if needs[0]:
            products = rows.cumprod(-1).triu().conj()
            gf = (columns * products).sum(-2).movedim(-1, self.dim)
        if needs[1]:
            weights = (columns * first.movedim(self.dim, -1).unsqueeze(-2).conj()).triu()
            pulled = apply2(CumprodBackward(len(rows._shape) - 1), weights, rows.conj())
            gx = pulled.masked_fill(own, 0).sum(-2).movedim(-1, self.dim)
        return gf, gx


class Logcumsumexp(Primitive):
    """log(cumsum(exp(x))) along a dimension."""

    __slots__ = ("dim",)
    name = "logcumsumexp"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.logcumsumexp(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0]
        if x._dtype.category == FLOATING:
            return apply2(LogcumsumexpBackward(self.dim), g, x)
        if not x._shape:
            return g
        moved = x.movedim(self.dim, -1)
        total = apply1(Logcumsumexp(len(moved._shape) - 1), moved)
        shares = (moved.unsqueeze(-1) - total.unsqueeze(-2)).exp().triu().conj()
        return (g.movedim(self.dim, -1).unsqueeze(-2) * shares).sum(-1).movedim(-1, self.dim)


class LogcumsumexpBackward(Primitive):
    """Element j: the sum over i >= j of g[i] * exp(x[j] - logcumsumexp(x)[i]); `logcumsumexp_backward(g, x)`."""

    __slots__ = ("dim",)
    name = "logcumsumexp_backward"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.logcumsumexp_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        first, x = saved
        if not x._shape:
            return g, g.new_zeros(())
        moved = x.movedim(self.dim, -1)
        total = apply1(Logcumsumexp(len(moved._shape) - 1), moved)
        # shares[j, i]: the share of x[j] in the running sum at i.
        shares = (moved.unsqueeze(-1) - total.unsqueeze(-2)).exp().triu()
        reach = (g.movedim(self.dim, -1).unsqueeze(-1) * shares).sum(-2).movedim(-1, self.dim)
        if not needs[1]:
            return reach, None
        direct = g * apply2(self, first, x)
        return reach, direct - apply2(self, first * reach, x)


class Cummax(Primitive):
    """The largest element so far along a dimension, and where it last was."""

    __slots__ = ("dim",)
    name = "cummax"
    outputs = 2

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape, output[1].detach_alias())

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape, index = saved
        if g[0] is None or not shape:
            return g[0]
        return g[0].new_zeros(shape).scatter_add(self.dim, index, g[0])


class Cummin(Cummax):
    """The smallest element so far along a dimension, and where it last was."""

    __slots__ = ()
    name = "cummin"


def cumsum(input: Any, dim: Any = None, *, dtype: dtype | None = None, out: Any = None, **names: Any) -> Any:
    """The running sum along `dim`. Integers and bool give int64."""
    return delivered(apply1(Cumsum(_dim("cumsum", input, dim, names), dtype), input), out, "cumsum")


def cumprod(input: Any, dim: Any = None, *, dtype: dtype | None = None, out: Any = None, **names: Any) -> Any:
    """The running product along `dim`. Integers and bool give int64."""
    return delivered(apply1(Cumprod(_dim("cumprod", input, dim, names), dtype), input), out, "cumprod")


def logcumsumexp(input: Any, dim: Any = None, *, out: Any = None, **names: Any) -> Any:
    """`log(cumsum(exp(input)))` along `dim`, without overflow."""
    d = _dim("logcumsumexp", input, dim, names)
    if input._dtype.category < FLOATING:
        raise not_implemented("logcumsumexp_out_cpu", input._dtype)
    return delivered(apply1(Logcumsumexp(d), input), out, "logcumsumexp")


def cummax(input: Any, dim: Any = None, *, out: Any = None, **names: Any) -> Any:
    """The largest element so far along `dim` and its latest index, as a named tuple."""
    d = _dim("cummax", input, dim, names)
    need_real("cummax_cummin_cpu", input)
    return named(cummax_result, apply_multi(Cummax(d), (input,)), out, "cummax")


def cummin(input: Any, dim: Any = None, *, out: Any = None, **names: Any) -> Any:
    """The smallest element so far along `dim` and its latest index, as a named tuple."""
    d = _dim("cummin", input, dim, names)
    need_real("cummax_cummin_cpu", input)
    return named(cummin_result, apply_multi(Cummin(d), (input,)), out, "cummin")


def _dim(operation: str, input: Any, dim: Any, names: dict[str, Any]) -> int:
    need_tensor(operation, input)
    if names:
        dim, _ = numpy_names(operation, names, dim)
    if dim is None:
        raise TypeError(f"{operation}() missing 1 required positional arguments: \"dim\"")
    return normalize_dim(dim, len(input._shape), operation)


def _check_scan_in_place(operation: str, self: Any, wanted: dtype | None) -> None:
    refuse(operation, self, "bool")
    if wanted is not None and wanted is not self._dtype:
        raise RuntimeError(f"Bad in-place call: input tensor dtype {self._dtype!r} and output tensor dtype {wanted!r} should match")


def cumsum_(self: Any, dim: int, *, dtype: dtype | None = None) -> Any:
    """`cumsum` in place."""
    _check_scan_in_place("cumsum_out_cpu", self, dtype)
    return apply_inplace(Cumsum(_dim("cumsum_", self, dim, {}), dtype or self._dtype), self)


def cumprod_(self: Any, dim: int, *, dtype: dtype | None = None) -> Any:
    """`cumprod` in place."""
    _check_scan_in_place("cumprod_out_cpu", self, dtype)
    return apply_inplace(Cumprod(_dim("cumprod_", self, dim, {}), dtype or self._dtype), self)


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None, *, out: Any = None) -> Any:
    """The n-th differences of neighbours along `dim`, with `prepend` and `append` joined on first; of bool, where they differ."""
    need_tensor("diff", input)
    if not input._shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    d = normalize_dim(dim, len(input._shape), "diff")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    parts = [t for t in (prepend, input, append) if t is not None]
    if n and len(parts) > 1:
        input = cat(parts, d)
    for _ in range(min(n, input._shape[d])):
        size = input._shape[d]
        later, earlier = input.narrow(d, 1, size - 1), input.narrow(d, 0, size - 1)
        input = later.logical_xor(earlier) if input._dtype.category == BOOL else later - earlier
    return delivered(input if n else input.clone(), out, "diff")


def _strips(operation: str, y: Any, x: Any, dim: int) -> tuple[Any, int]:
    """The sums of neighbours along `dim`, times their distance where `x` has the points; and that dimension."""
    need_tensor(operation, y, "y")
    d = normalize_dim(dim, len(y._shape), operation)
    for name, t in (("y", y), ("x", x)):
        if t is not None and t._dtype.category == BOOL:
            raise RuntimeError(f"{operation}: received a bool input for `{name}`, but bool is not supported")
    if not y._shape:
        raise IndexError(f"{operation}: Dimension specified as {dim} but tensor has no dimensions")
    size = max(y._shape[d], 1)
    heights = y.narrow(d, 1, size - 1) + y.narrow(d, 0, size - 1) if y._shape[d] else y
    if x is None or not y._shape[d]:
        return heights, d
    if len(x._shape) == 1 and len(y._shape) > 1:
        return heights * x.reshape((-1,) + (1,) * (len(y._shape) - d - 1)).diff(dim=0), d
    return heights * x.diff(dim=d - len(y._shape)), d


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral of `y` along `dim` by the trapezoidal rule, its points at `x` or `dx` (1) apart."""
    if x is not None and dx is not None:
        raise TypeError("trapezoid() takes the points x or their distance dx, not both")
    strips, d = _strips("trapezoid", y, x, dim)
    if x is not None:
        return strips.sum(d) / 2
    return strips.sum(d) * ((1 if dx is None else dx) / 2)


def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The same as `trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The running integral of `y` along `dim` by the trapezoidal rule; one element fewer than `y`."""
    if x is not None and dx is not None:
        raise TypeError("cumulative_trapezoid() takes the points x or their distance dx, not both")
    strips, d = _strips("cumulative_trapezoid", y, x, dim)
    if x is not None:
        return strips.cumsum(d) / 2
    return (strips * ((1 if dx is None else dx) / 2)).cumsum(d)


serve(Cumprod, cumprod)
serve(Logcumsumexp, logcumsumexp)
serve(Cummax, cummax)
serve(Cummin, cummin)
methods(cumsum, cumprod, logcumsumexp, cummax, cummin, cumsum_, cumprod_, diff)
