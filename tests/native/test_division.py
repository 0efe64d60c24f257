"""Remainders and whole quotients in C++ against NumPy: signs, zeros, infinities, far quotients, and integers' edges."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

KERNELS = [("fmod",), ("remainder",), ("floor_divide",), ("div_mode", "floor"), ("div_mode", "trunc")]
SPECIAL = [0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.1, -0.3, 0.7, 1.5, 5.5, -7.25, 1e-30, 1e30, -3e38, np.inf, -np.inf, np.nan, 1e-45, 16777217]
WHOLE = [1, -1, 2, -2, 3, 7, -7, 10, 100, -1000, 12345, 2**31 - 1, -(2**31)]


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats(compare, kernel, dtype):
    name, *mode = kernel
    rng = np.random.default_rng(0)
    a, b = (m.ravel().astype(dtype) for m in np.meshgrid(SPECIAL, SPECIAL))
    compare(name, a, b, *mode)
    compare(name, (rng.normal(size=70_001) * 40).astype(dtype), rng.normal(size=70_001).astype(dtype), *mode)
    whole = rng.integers(-50, 50, size=3_001).astype(dtype), rng.integers(-7, 7, size=3_001).astype(dtype)
    compare(name, *whole, *mode)
    word = np.uint32 if dtype is np.float32 else np.uint64
    bits = [rng.integers(0, np.iinfo(word).max, 5_000, dtype=word).view(dtype) for _ in range(2)]
    compare(name, *bits, *mode)
    # Quotients next to whole numbers.
    b = (rng.normal(size=5_000) * 3).astype(dtype)
    a = b * rng.integers(-(2**20), 2**20, size=5_000).astype(dtype)
    for shifted in (a, np.nextafter(a, dtype(np.inf)), np.nextafter(a, dtype(-np.inf))):
        compare(name, shifted, b, *mode)
    compare(name, rng.normal(size=(20, 30)).astype(dtype), np.array(0.25, dtype), *mode)


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
@pytest.mark.parametrize("dtype", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)])
def test_half_types(compare, kernel, dtype):
    rng = np.random.default_rng(0)
    compare(kernel[0], (rng.normal(size=1_001) * 9).astype(dtype), rng.normal(size=1_001).astype(dtype), *kernel[1:])


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers(compare, kernel, dtype):
    name, *mode = kernel
    rng = np.random.default_rng(0)
    whole = WHOLE if dtype is np.int32 else [*WHOLE, 2**63 - 1, -(2**63), 2**51, 2**51 - 1, -(2**51), 2**53 + 1]
    with np.errstate(over="ignore"):
        compare(name, *(m.ravel().astype(dtype) for m in np.meshgrid(whole, whole)), *mode)
        compare(name, *(m.ravel().astype(dtype) for m in np.meshgrid([0, *whole], whole)), *mode)
    a = rng.integers(-1000, 1000, size=70_001).astype(dtype)
    b = rng.integers(1, 30, size=70_001).astype(dtype) * rng.choice([-1, 1], size=70_001).astype(dtype)
    compare(name, a, b, *mode)
    compare(name, a, np.array(7, dtype), *mode)
    info = np.iinfo(dtype)
    a = rng.integers(info.min, info.max, size=5_000, dtype=dtype)
    compare(name, a, np.where(rng.integers(0, 2, size=5_000) == 1, b[:5_000], a[::-1] | 1), *mode)
    out = np.empty_like(b)
    compare(name, b, b[::-1].copy(), *mode, out=out)


@pytest.mark.parametrize("kernel", KERNELS, ids="-".join)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_zero_divisor_is_an_error_and_nothing_is_written(native, kernel, dtype):
    name, *mode = kernel
    a = np.arange(100, dtype=dtype)
    before = a.copy()
    for divisor in (np.array(0, dtype), np.where(a == 57, 0, 3).astype(dtype)):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            getattr(native, name)(a, divisor, *mode)
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            getattr(native, name)(a, divisor, *mode, out=a)
        assert np.array_equal(a, before)
