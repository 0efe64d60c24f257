"""Box and Muller's transform of uniform into normal numbers, to the last bit as torch's CPU kernels compute it.

Torch's kernels are compiled with fused multiply-add (AVX2 and newer, Arm), which shows in the last bit wherever a
product and a sum follow one another; `fma` does the same here. The float32 kernel uses the Cephes library's logarithm,
sine and cosine, whose last bits are their own; `log32` and `sincos32` are these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
BLOCK = 16  # normal numbers are made sixteen at a time, eight cosines and eight sines
CHUNK = 16384  # pairs transformed at a time, so that the temporaries stay in the cache

# Polynomials of the single-precision logarithm, sine and cosine, highest power first.
LOG_COEFFICIENTS = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
SIN_COEFFICIENTS = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS_COEFFICIENTS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
QUARTER_PI_PARTS = (np.float32(0.78515625), np.float32(2.4187564849853515625e-4), np.float32(3.77489497744594108e-8))


def fma(x: np.ndarray, scale: Any, shift: Any) -> np.ndarray:
    """Return `x * scale + shift` in the dtype of `x` (float32 or float64), rounded once."""
    if x.dtype == F32:  # the product of two float32 is exact in float64
        wide = x.astype(F64)
        wide *= scale
        wide += shift
        return wide.astype(F32)
    product = x * scale
    total = product + shift
    # What the two roundings lost: Dekker's product error and Knuth's sum error.
    x_high, scale_high = _high(x), _high(np.asarray(scale, F64))
    x_low, scale_low = x - x_high, scale - scale_high
    lost = x_low * scale_low - (((product - x_high * scale_high) - x_low * scale_high) - x_high * scale_low)
    back = total - product
    lost += (product - (total - back)) + (shift - back)
    return np.where(np.isfinite(lost), total + lost, total)


def _high(x: np.ndarray) -> np.ndarray:
    """Return the upper half of the significand of float64 `x` (Veltkamp's splitting)."""
    scaled = x * 134217729.0  # 2**27 + 1
    return scaled - (scaled - x)


def scale_shift(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """Return `x * scale + shift` rounded once; cheap in the common cases where one rounding is all there is."""
    if shift == 0.0:
        return x if scale == 1.0 else x * x.dtype.type(scale)
    return fma(x, x.dtype.type(scale), x.dtype.type(shift))


def polar(u1: np.ndarray, u2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Box and Muller's two normal numbers of each pair of float64 uniforms."""
    radius, angle = np.sqrt(-2.0 * np.log1p(-u2)), 2.0 * math.pi * u1
    cosines, sines = radius * np.cos(angle), radius * np.sin(angle)
    # NumPy's vector functions may differ from the C library's in the last bit. The last pair can be saved in the
    # generator's state, and short arrays cost no more this way: these come from the C library, as torch's do.
    exact = range(len(u1)) if len(u1) <= BLOCK else (len(u1) - 1,)
    for i in exact:
        r, theta = math.sqrt(-2.0 * math.log1p(-u2[i])), 2.0 * math.pi * float(u1[i])
        cosines[i], sines[i] = r * math.cos(theta), r * math.sin(theta)
    return cosines, sines


def box_muller(values: np.ndarray, mean: float, std: float) -> None:
    """Turn contiguous uniforms into normal numbers in place: element j of each 16 with element j + 8."""
    blocks = values.reshape(-1, 2, BLOCK // 2)
    rows = CHUNK // (BLOCK // 2)
    for start in range(0, len(blocks), rows):
        block = blocks[start : start + rows]
        u1, u2 = 1 - block[:, 0], block[:, 1]
        if values.dtype == F32:
            radius = np.sqrt(np.float32(-2.0) * log32(u1))
            sines, cosines = sincos32(np.float32(2.0 * math.pi) * u2)
        else:
            radius, angle = np.sqrt(-2.0 * np.log(u1)), 2.0 * math.pi * u2
            sines, cosines = np.sin(angle), np.cos(angle)
        block[:, 0] = scale_shift(radius * cosines, std, mean) + 0  # a negative zero becomes zero, as by torch's fma
        block[:, 1] = scale_shift(radius * sines, std, mean) + 0


def _polynomial(x: np.ndarray, coefficients: Sequence[float]) -> np.ndarray:
    """Evaluate a polynomial in float32 by Horner's rule, each step rounded once (see `fma`)."""
    wide = x.astype(F64)
    y = wide * np.float32(coefficients[0])
    for coefficient in coefficients[1:-1]:
        y += np.float32(coefficient)
        y = y.astype(F32).astype(F64)
        y *= wide
    y += np.float32(coefficients[-1])
    return y.astype(F32)


def log32(x: np.ndarray) -> np.ndarray:
    """Return log(x) of positive, normal float32 numbers, to the last bit as torch's normal kernel computes it."""
    mantissa, exponent = np.frexp(x)
    small = (mantissa < np.float32(math.sqrt(0.5))).astype(np.int32)
    e = (exponent - small).astype(F32)
    x = mantissa * (1 + small).astype(F32) - np.float32(1.0)
    z = x * x
    y = fma(_polynomial(x, LOG_COEFFICIENTS) * x, z, e * LN2_LOW) - np.float32(0.5) * z
    return (x + y) + e * LN2_HIGH


def sincos32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sin(x), cos(x) of float32 numbers in [0, 2 pi], to the last bit as torch's normal kernel computes them."""
    octant = ((x * np.float32(4.0 / math.pi)).astype(np.int32) + 1) & ~1  # even: of the nearest multiple of pi / 2
    turns = octant.astype(F32)
    x = x - turns * QUARTER_PI_PARTS[0] - turns * QUARTER_PI_PARTS[1]  # few bits each: these products are exact
    x = fma(turns, -QUARTER_PI_PARTS[2], x)
    z = x * x
    cosine = fma(_polynomial(z, COS_COEFFICIENTS) * z, z, np.float32(-0.5) * z) + np.float32(1.0)
    sine = fma(_polynomial(z, SIN_COEFFICIENTS) * z, x, x)
    # Swapping and changing signs on the bits: random masks would cost more than the polynomials.
    sine_bits, cosine_bits = sine.view(np.int32), cosine.view(np.int32)
    difference = (sine_bits ^ cosine_bits) & -((octant >> 1) & 1)
    sine_bits ^= difference ^ ((octant & 4) << 29)
    cosine_bits ^= difference ^ (((octant + 2) & 4) << 29)
    return sine, cosine
