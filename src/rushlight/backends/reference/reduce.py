"""Reductions. `dims` is a tuple of distinct non-negative ints, `dim` one of them.

How float32 sums stay accurate: NumPy adds pairwise only along the axis that is innermost in memory; along any other
axis it runs one accumulator over the whole extent, with an error that grows with its length. `float_sum` therefore
reduces the innermost run of axes first and cuts the others into blocks of 16, whose sums it adds in blocks of 16
again: the error then grows with the logarithm of the length, at the same price.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    UINT8,
    Array,
    DType,
    accumulator,
    finish,
    floating_result,
    is_floating,
    real_dtype,
    scalar,
    to_floating,
    widen,
)
from rushlight.backends.reference.quiet import quiet

Dims = tuple[int, ...]

BLOCK = 16  # rows added by one accumulator
SMALL_EXTENT = 64  # up to here one accumulator is accurate enough
SHORT_RUN = 8  # a reduced innermost dim up to this extent is folded slice by slice
MANY = 4096  # ... in arrays of at least this size
ROW = 4096  # elements whose squares one dot product adds
SAFE_SQUARE = 1e-30  # float32 sums of squares above this have lost nothing that matters to underflow
SHORT_ROW = 16  # contiguous rows shorter than this make NumPy's inner loop all overhead


def keep_dims(result: Array, shape: tuple[int, ...], dims: Dims, keepdim: bool) -> Array:
    """Put the reduced dims of `shape` back with extent 1 when `keepdim` is set."""
    if not keepdim:
        return result
    return result.reshape([1 if d in dims else n for d, n in enumerate(shape)])


def require_extent(shape: tuple[int, ...], dims: Dims, name: str) -> None:
    """Raise torch's IndexError for a reduction without identity over a dim of extent 0."""
    for d in dims:
        if d < len(shape) and shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def _sum_blocks(x: Array, axis: int) -> Array:
    """Sum along an axis that is not innermost, block by block."""
    while x.shape[axis] > SMALL_EXTENT:
        count, rest = divmod(x.shape[axis], BLOCK)
        lead = (slice(None),) * axis
        head = x[(*lead, slice(0, count * BLOCK))]
        # Splitting one axis is always possible without a copy.
        blocks = head.reshape(*x.shape[:axis], count, BLOCK, *x.shape[axis + 1 :])
        sums = np.add.reduce(blocks, axis=axis + 1, out=...)
        if rest:
            tail = np.add.reduce(x[(*lead, slice(count * BLOCK, None))], axis=axis, keepdims=True, out=...)
            sums = np.concatenate([sums, tail], axis=axis)
        x = sums
    return np.add.reduce(x, axis=axis, out=...)


def _innermost_run(x: Array, dims: Dims) -> Dims:
    """The reduced axes that lie innermost in memory and follow one another without gaps; () if a kept axis does."""
    order = sorted((d for d in range(x.ndim) if x.shape[d] > 1), key=lambda d: (abs(x.strides[d]), -d))
    run: list[int] = []
    for d in order:
        if d not in dims:
            break
        if run and x.strides[d] != x.strides[run[-1]] * x.shape[run[-1]]:
            break
        run.append(d)
    return tuple(run)


def _is_short_innermost(x: Array, dims: Dims) -> bool:
    """Whether the reduction is over one short dim that lies innermost: NumPy's inner loop is all overhead there."""
    if len(dims) != 1 or x.size < MANY:
        return False
    d = dims[0]
    return 2 <= x.shape[d] <= SHORT_RUN and x.strides[d] == min(x.strides)


def _fold_slices(ufunc: np.ufunc, x: Array, dim: int) -> Array:
    """Reduce a short dim slice by slice, each a whole-array operation."""
    slices = np.moveaxis(x, dim, 0)
    result = ufunc(slices[0], slices[1], out=...)
    for i in range(2, len(slices)):
        ufunc(result, slices[i], out=result)
    return result


def float_sum(x: Array, dims: Dims) -> Array:
    """Sum of a float or complex array (float32 or wider) over `dims`, accurate along every axis; dims are dropped."""
    extent = 1
    for d in dims:
        extent *= x.shape[d]
    if _is_short_innermost(x, dims):
        return _fold_slices(np.add, x, dims[0])
    if extent <= SMALL_EXTENT or x.ndim == 1:
        return np.add.reduce(x, axis=dims, out=...)
    run = _innermost_run(x, dims)
    if run:
        y = np.add.reduce(x, axis=run, out=...)
        rest = tuple(d - sum_below(run, d) for d in dims if d not in run)
        return float_sum(y, rest) if rest else y
    kept = tuple(d for d in range(x.ndim) if d not in dims)
    row = 1
    for d in kept:
        row *= x.shape[d]
    if row < SHORT_ROW:
        packed = np.ascontiguousarray(x.transpose(*kept, *dims)).reshape([x.shape[d] for d in kept] + [extent])
        return np.add.reduce(packed, axis=-1, out=...)
    longest = max(dims, key=lambda d: (x.shape[d], d))
    y = _sum_blocks(x, longest)
    rest = tuple(d - (d > longest) for d in dims if d != longest)
    return float_sum(y, rest) if rest else y


def sum_below(run: Dims, dim: int) -> int:
    """How many axes of `run` stand before `dim`."""
    return len([d for d in run if d < dim])


@quiet
def sum(x: Array, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:  # noqa: A001 - ATen's name
    """Sum over `dims`. Integers and bool give int64; `dtype` asks for another accumulation and result dtype."""
    result_dtype = dtype or (INT64 if x.dtype.kind in "iub" else x.dtype)
    if result_dtype.kind in "iub":
        wide = INT64 if result_dtype.kind == "b" else result_dtype
        return finish(np.add.reduce(x, axis=dims, keepdims=keepdim, dtype=wide, out=...), result_dtype)
    wide_x = widen(x if x.dtype == result_dtype else x.astype(result_dtype))
    return finish(keep_dims(float_sum(wide_x, dims), x.shape, dims, keepdim), result_dtype)


@quiet
def mean(x: Array, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:
    """Arithmetic mean over `dims` of a float or complex array; NaN over nothing."""
    result_dtype = dtype or x.dtype
    wide = widen(x if x.dtype == result_dtype else x.astype(result_dtype))
    count = 1
    for d in dims:
        count *= x.shape[d]
    total = keep_dims(float_sum(wide, dims), x.shape, dims, keepdim)
    return finish(np.true_divide(total, scalar(count, real_dtype(wide.dtype)), out=...), result_dtype)


@quiet
def nansum(x: Array, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:
    """`sum` with NaN counted as 0."""
    if x.dtype.kind in "iub":
        return sum(x, dims, keepdim, dtype)
    wide = widen(x if dtype is None or dtype.itemsize < x.dtype.itemsize else x.astype(dtype))
    kept = np.where(np.isnan(wide), wide.dtype.type(0), wide)
    return finish(sum(kept, dims, keepdim), dtype or x.dtype)


@quiet
def nanmean(x: Array, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:
    """Mean of the elements that are not NaN."""
    wide = widen(x)
    count = np.add.reduce(~np.isnan(wide), axis=dims, keepdims=keepdim, dtype=INT64, out=...)
    total = nansum(wide, dims, keepdim)
    return finish(np.true_divide(total, count.astype(real_dtype(wide.dtype)), out=...), dtype or x.dtype)


@quiet
def prod(x: Array, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:
    """Product over `dims`. Integers and bool give int64."""
    result_dtype = dtype or (INT64 if x.dtype.kind in "iub" else x.dtype)
    wide = widen(x.astype(result_dtype, copy=False))
    return finish(np.multiply.reduce(wide, axis=dims, keepdims=keepdim, out=...), result_dtype)


# ---- extremes -------------------------------------------------------------------------------------------------------


def _extreme(ufunc: np.ufunc, x: Array, dims: Dims, keepdim: bool) -> Array:
    if _is_short_innermost(x, dims):
        return keep_dims(_fold_slices(ufunc, x, dims[0]), x.shape, dims, keepdim)
    return ufunc.reduce(x, axis=dims, keepdims=keepdim, out=...)


@quiet
def amax(x: Array, dims: Dims, keepdim: bool = False) -> Array:
    """Largest element over `dims`; NaN wins. Raises IndexError over an empty dim."""
    require_extent(x.shape, dims, "amax")
    return finish(_extreme(np.maximum, widen(x), dims, keepdim), x.dtype)


@quiet
def amin(x: Array, dims: Dims, keepdim: bool = False) -> Array:
    """Smallest element over `dims`; NaN wins. Raises IndexError over an empty dim."""
    require_extent(x.shape, dims, "amin")
    return finish(_extreme(np.minimum, widen(x), dims, keepdim), x.dtype)


@quiet
def aminmax(x: Array, dim: int | None = None, keepdim: bool = False) -> tuple[Array, Array]:
    """Smallest and largest element, along `dim` or (None) of all."""
    if dim is None and x.size == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    if x.ndim == 0:
        return x.copy(), x.copy()
    dims = tuple(range(x.ndim)) if dim is None else (dim,)
    require_extent(x.shape, dims, "aminmax")
    return amin(x, dims, keepdim), amax(x, dims, keepdim)


def _arg_extreme(x: Array, dim: int, largest: bool, name: str) -> Array:
    """Index of the first extreme element along `dim`, kept with extent 1; NaN is the extreme."""
    require_extent(x.shape, (dim,), name)
    find = np.argmax if largest else np.argmin
    return np.asarray(find(widen(x), axis=dim, keepdims=True))


def _extreme_with_index(x: Array, dim: int, keepdim: bool, largest: bool, name: str) -> tuple[Array, Array]:
    if x.ndim == 0:
        return x.copy(), np.zeros((), INT64)
    index = _arg_extreme(x, dim, largest, name)
    values = np.take_along_axis(x, index, axis=dim)
    if keepdim:
        return values, index
    return values.squeeze(dim), index.squeeze(dim)


def max_dim(x: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """Largest elements along `dim` and the index of their first occurrence; NaN is the greatest."""
    return _extreme_with_index(x, dim, keepdim, True, "max")


def min_dim(x: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
    """Smallest elements along `dim` and the index of their first occurrence; NaN wins."""
    return _extreme_with_index(x, dim, keepdim, False, "min")


def _arg_kernel(x: Array, dim: int | None, keepdim: bool, largest: bool, name: str) -> Array:
    if x.ndim == 0:
        return np.zeros((), INT64)
    if dim is None:
        if x.size == 0:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        index = _arg_extreme(x.reshape(-1), 0, largest, name)
        return index.reshape((1,) * x.ndim if keepdim else ())
    index = _arg_extreme(x, dim, largest, name)
    return index if keepdim else index.squeeze(dim)


def argmax(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index (int64) of the first largest element along `dim`, or (None) in the flattened array."""
    return _arg_kernel(x, dim, keepdim, True, "argmax")


def argmin(x: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index (int64) of the first smallest element along `dim`, or (None) in the flattened array."""
    return _arg_kernel(x, dim, keepdim, False, "argmin")


def all(x: Array, dims: Dims, keepdim: bool = False) -> Array:  # noqa: A001 - ATen's name
    """Whether every element over `dims` is non-zero; bool, but uint8 for uint8 as in torch."""
    result = np.logical_and.reduce(widen(x), axis=dims, keepdims=keepdim, dtype=BOOL, out=...)
    return finish(result, UINT8 if x.dtype == UINT8 else BOOL)


def any(x: Array, dims: Dims, keepdim: bool = False) -> Array:  # noqa: A001 - ATen's name
    """Whether some element over `dims` is non-zero; bool, but uint8 for uint8 as in torch."""
    result = np.logical_or.reduce(widen(x), axis=dims, keepdims=keepdim, dtype=BOOL, out=...)
    return finish(result, UINT8 if x.dtype == UINT8 else BOOL)


def count_nonzero(x: Array, dims: Dims) -> Array:
    """How many elements over `dims` are not zero (int64)."""
    return np.add.reduce(widen(x) != 0, axis=dims, dtype=INT64, out=...)


# ---- moments and norms ----------------------------------------------------------------------------------------------


def _variance(x: Array, dims: Dims, correction: float, keepdim: bool) -> Array:
    """Two-pass variance in float64, as real numbers."""
    count = 1
    for d in dims:
        count *= x.shape[d]
    wide = x.astype(accumulator(accumulator(x.dtype)))
    centre = np.add.reduce(wide, axis=dims, keepdims=True, out=...) / count
    deviation = wide - centre
    squares = np.square(deviation.real) + np.square(deviation.imag) if wide.dtype.kind == "c" else deviation * deviation
    total = np.add.reduce(squares, axis=dims, keepdims=keepdim, out=...)
    return np.true_divide(total, np.float64(max(count - correction, 0)), out=...)


@quiet
def var(x: Array, dims: Dims, correction: float = 1, keepdim: bool = False) -> Array:
    """Variance with divisor `n - correction`; of complex input the real E|x - mean|**2."""
    return finish(_variance(x, dims, correction, keepdim), real_dtype(x.dtype))


@quiet
def std(x: Array, dims: Dims, correction: float = 1, keepdim: bool = False) -> Array:
    """Square root of `var`."""
    return finish(np.sqrt(_variance(x, dims, correction, keepdim), out=...), real_dtype(x.dtype))


def _sum_of_squares(x: Array, dims: Dims) -> Array:
    """Sum of squares over `dims`; float32 squares only while none of the sums has overflowed or come near underflow."""
    if x.dtype == FLOAT32:
        if len(dims) == x.ndim and x.flags.c_contiguous:
            flat = x.reshape(-1)
            whole = flat.size // ROW * ROW
            rows = flat[:whole].reshape(-1, ROW)
            parts = np.vecdot(rows, rows).sum(dtype=FLOAT64)
            total = np.add(parts, np.vecdot(flat[whole:], flat[whole:]), out=...)
        else:
            total = float_sum(x * x, dims)
        if ((total > SAFE_SQUARE) & (total < np.inf)).all():
            return total
    wide = x.astype(FLOAT64, copy=False)
    return np.add.reduce(wide * wide, axis=dims, out=...)


@quiet
def norm(x: Array, p: float, dims: Dims, keepdim: bool = False, dtype: DType | None = None) -> Array:
    """Vector norm `(sum |x|**p)**(1/p)` over `dims`; p = 0 counts, p = ±inf is the largest or smallest modulus.

    Sums are kept in float64, so a norm of float32 numbers overflows only when its value does.
    """
    if dtype is not None:
        x = x.astype(dtype, copy=False)
    result_dtype = real_dtype(floating_result(x.dtype))
    modulus = np.absolute(to_floating(x), out=...)
    if p in (np.inf, -np.inf) or p < 0:
        for d in dims:
            if x.shape[d] == 0:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute the {p:g} norm on the dimension {d} because this dimension is "
                    "empty and the operation does not have an identity"
                )
    if p == np.inf:
        return finish(np.maximum.reduce(modulus, axis=dims, keepdims=keepdim, out=...), result_dtype)
    if p == -np.inf:
        return finish(np.minimum.reduce(modulus, axis=dims, keepdims=keepdim, out=...), result_dtype)
    if p == 0:
        return finish(np.add.reduce(modulus != 0, axis=dims, keepdims=keepdim, dtype=FLOAT64, out=...), result_dtype)
    wide = modulus if p == 2 else modulus.astype(FLOAT64, copy=False)
    if p == 1:
        total = np.add.reduce(wide, axis=dims, keepdims=keepdim, out=...)
    elif p == 2:
        total = np.sqrt(keep_dims(_sum_of_squares(modulus, dims), x.shape, dims, keepdim), out=...)
    else:
        total = np.power(np.add.reduce(np.power(wide, p), axis=dims, keepdims=keepdim, out=...), 1 / p)
    return finish(total, result_dtype)


def is_missing(x: Array) -> Array:
    """Where `x` is NaN; nowhere for integers."""
    return np.isnan(widen(x)) if is_floating(x.dtype) else np.zeros(x.shape, BOOL)


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        sum,
        mean,
        nansum,
        nanmean,
        prod,
        amax,
        amin,
        aminmax,
        max_dim,
        min_dim,
        argmax,
        argmin,
        all,
        any,
        count_nonzero,
        var,
        std,
        norm,
    )
}
