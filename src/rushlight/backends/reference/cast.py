"""Conversion between dtypes with torch's rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.backends.reference.precision import (
    FLOAT32,
    FLOAT64,
    INT64,
    LOW_PRECISION,
    Array,
    DType,
)
from rushlight.backends.reference.quiet import quiet


@quiet
def cast(x: Array, dtype: DType) -> Array:
    """A copy of `x` in `dtype`.

    Float to integer truncates; what does not fit, NaN and inf follow x86's conversion, as in torch. Complex to real
    drops the imaginary part. To bool is `!= 0`. float64 reaches the half types through float32, two roundings, as in
    torch.
    """
    if x.dtype == dtype:
        return x.copy()
    if dtype.kind == "b":
        wide = x.astype(FLOAT32) if x.dtype in LOW_PRECISION else x
        return np.not_equal(wide, 0, out=...)
    if x.dtype.kind == "c" and dtype.kind != "c":
        x = x.real
    if x.dtype in LOW_PRECISION:
        x = x.astype(FLOAT32)
    if dtype in LOW_PRECISION and x.dtype == FLOAT64:
        x = x.astype(FLOAT32)
    elif dtype in LOW_PRECISION and x.dtype.kind in "iub":
        x = x.astype(FLOAT32)
    if dtype.kind in "iu" and x.dtype.kind == "f" and dtype.itemsize == 1 and dtype.kind == "u":
        x = x.astype(INT64)  # negative numbers wrap around instead of being undefined
    return x.astype(dtype)


KERNELS: dict[str, Callable[..., Array]] = {"cast": cast}
