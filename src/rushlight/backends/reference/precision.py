"""In which precision the reference kernels compute, and how they round once at the end.

float16, bfloat16 and the float8 types are storage formats: a kernel widens them to float32, computes, and rounds once.
NumPy and ml_dtypes never choose a result dtype for us, because their promotion is not torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
DType = np.dtype[Any]

BOOL = np.dtype(np.bool_)
UINT8 = np.dtype(np.uint8)
INT64 = np.dtype(np.int64)
FLOAT16 = np.dtype(np.float16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
COMPLEX64 = np.dtype(np.complex64)
COMPLEX128 = np.dtype(np.complex128)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

LOW_PRECISION = frozenset(
    [FLOAT16, BFLOAT16]
    + [
        np.dtype(getattr(ml_dtypes, name))
        for name in ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")
        if hasattr(ml_dtypes, name)
    ]
)


def is_low(dtype: DType) -> bool:
    """Whether `dtype` is a floating-point format narrower than float32."""
    return dtype in LOW_PRECISION


def is_floating(dtype: DType) -> bool:
    """Whether `dtype` is a real floating-point type, the low-precision ones included."""
    return dtype.kind == "f" or dtype in LOW_PRECISION


def widen(x: Array) -> Array:
    """`x` in float32 when its dtype is a low-precision one, `x` itself otherwise."""
    return x.astype(FLOAT32) if x.dtype in LOW_PRECISION else x


def to_floating(x: Array) -> Array:
    """`x` in the dtype a real- or complex-valued function computes in: integers and low precision become float32."""
    return x.astype(FLOAT32) if x.dtype.kind in "iub" or x.dtype in LOW_PRECISION else x


def floating_result(dtype: DType) -> DType:
    """The result dtype of a float-valued function: integers give float32 (torch's default dtype)."""
    return FLOAT32 if dtype.kind in "iub" else dtype


def real_dtype(dtype: DType) -> DType:
    """The dtype of the real part of `dtype`."""
    if dtype == COMPLEX64:
        return FLOAT32
    return FLOAT64 if dtype == COMPLEX128 else dtype


def accumulator(dtype: DType) -> DType:
    """The wider dtype in which long running sums of `dtype` are kept: float64 for float32, complex128 for complex64."""
    if dtype in LOW_PRECISION:
        return FLOAT32
    if dtype == FLOAT32:
        return FLOAT64
    return COMPLEX128 if dtype == COMPLEX64 else dtype


def in_memory_order(function: Callable[[Array], Array], x: Array, dtype: DType) -> Array:
    """`function` of `x` in `dtype`, whose result has the order of dimensions in memory that `x` has, as a ufunc's has."""
    if x.ndim < 2 or x.flags.c_contiguous or 0 in x.strides:
        return function(x.astype(dtype, order="C", copy=False))
    axes = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    back = sorted(range(x.ndim), key=axes.__getitem__)
    return function(x.transpose(axes).astype(dtype, order="C", copy=False)).transpose(back)


def finish(result: Array, dtype: DType, out: Array | None = None) -> Array:
    """Round a fresh `result` (array or NumPy scalar) to an array of `dtype`, into `out` when it is given."""
    if out is not None:
        np.copyto(out, result, casting="unsafe")
        return out
    return np.asarray(result, dtype=dtype)


def scalar(value: Any, dtype: DType) -> Array:
    """A parameter as a zero-dim array of `dtype`, so that NumPy does not promote by its own rules."""
    return value if isinstance(value, np.ndarray) and value.dtype == dtype else np.asarray(value).astype(dtype)
