"""Number ranges to the bit as torch makes them."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import reference

torch = pytest.importorskip("torch", reason="parity tests need torch")
BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = [np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), BF16]
INTS = [np.dtype(c) for c in ("i8", "i4", "i2", "u1")]


def ranges(count=60):
    rng = np.random.default_rng(0)
    for _ in range(count):
        start, step = (float(v) for v in rng.normal(size=2) * (10, 1))
        yield start, step, int(rng.integers(1, 300))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_linspace_of_floats(parity, dtype):
    for start, step, n in ranges():
        end = start + 3 * step
        wanted = torch.linspace(start, end, n, dtype=parity.dtype(dtype))
        parity.check(reference.linspace(start, end, n, dtype), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", FLOATS[:2], ids=str)
def test_arange_of_floats(parity, dtype):
    for start, step, n in ranges():
        end = start + n * step
        wanted = torch.arange(start, end, step, dtype=parity.dtype(dtype))
        parity.check(reference.arange(start, end, step, dtype), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_arange_of_whole_numbers_in_floats(parity, dtype):
    for arguments in ((0, 17, 1), (5, -30, -3), (2, 2, 1), (0, 100, 7), (0.5, 9, 0.5)):
        wanted = torch.arange(*arguments, dtype=parity.dtype(dtype))
        parity.check(reference.arange(*arguments, dtype), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", INTS, ids=str)
def test_integers(parity, dtype):
    for arguments in ((0, 17, 1), (90, 3, -4), (2, 2, 1)):
        parity.check(reference.arange(*arguments, dtype), torch.arange(*arguments, dtype=parity.dtype(dtype)))
    for start, end, n in ((0, 10, 4), (3, 100, 7), (100, 3, 6), (5, 5, 3), (2, 9, 1), (2, 9, 0)):
        parity.check(reference.linspace(start, end, n, dtype), torch.linspace(start, end, n, dtype=parity.dtype(dtype)))
    for base in (10.0, 2.5):
        wanted = torch.logspace(0, 2, 6, base=base, dtype=parity.dtype(dtype))
        parity.check(reference.logspace(0, 2, 6, base, dtype), wanted)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_logspace(parity, dtype):
    for start, step, n in ranges(30):
        low, high = start / 10, start / 10 + step
        wanted = torch.logspace(low, high, n, base=2.5, dtype=parity.dtype(dtype))
        # the C library's pow in float64 is not quite always the nearest number
        parity.check(reference.logspace(low, high, n, 2.5, dtype), wanted, rtol=2.3e-16 if dtype == "f8" else 0, atol=0)


def test_complex_and_eye(parity):
    parity.check(reference.linspace(0, 1 + 2j, 5, np.dtype("c8")), torch.linspace(0, 1 + 2j, 5, dtype=torch.complex64))
    for shape in ((3, 3), (2, 4), (4, 2), (0, 2)):
        parity.check(reference.eye(*shape, np.dtype("f4")), torch.eye(*shape))


def test_errors(parity):
    f = np.dtype("f4")
    parity.same_error(lambda: reference.arange(0, 5, -1, f), lambda: torch.arange(0, 5, -1), "step sign")
    parity.same_error(lambda: reference.arange(0, 5, 0, f), lambda: torch.arange(0, 5, 0), "nonzero")
    parity.same_error(lambda: reference.arange(0, np.inf, 1, f), lambda: torch.arange(0, np.inf), "unsupported range")
    parity.same_error(lambda: reference.linspace(0, 1, -1, f), lambda: torch.linspace(0, 1, -1), "non-negative")
