"""The distributions of real numbers: what they take from the generator's stream of 32-bit words, and what they make of it.

Every function follows torch 2.13 on the CPU: the same draws in the same order, the same dtypes of intermediate
results, the same roundings. Functions take the generator first and return an array of the given shape and dtype; with
`out=` they fill that array and return it. Elements are drawn in memory order: for an `out` with permuted strides the
innermost dimension in memory comes first.

This is torch's portable stream. Its builds with MKL used to draw scalar Bernoulli and exponential numbers from MKL's
own generator on Intel CPUs; 2.13 does not any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.backends.reference.box_muller import BLOCK, box_muller, polar, scale_shift
from rushlight.backends.reference.draws import (
    F32,
    F64,
    FLOATS,
    HALF_TYPES,
    Bits,
    cast,
    complex_parts,
    deliver,
    require_float,
    size_of,
    uniform24,
    uniform53,
)
from rushlight.backends.reference.quiet import quiet

# --- uniform ---


@quiet
def uniform(
    gen: Bits, shape: Sequence[int], dtype: np.dtype, low: float = 0.0, high: float = 1.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Return numbers uniform in [low, high).

    float32 and the half types take one word an element (24 bits), float64 two (53 bits), complex numbers two elements.
    A number that rounds up to `high` becomes `low`. Raises RuntimeError for bounds that are out of order or of range,
    NotImplementedError for integer dtypes.
    """
    if dtype.kind == "c":
        whole, parts = complex_parts(shape, dtype, out)
        uniform(gen, parts.shape, parts.dtype, low, high, parts)
        return whole
    require_float("uniform_", dtype)
    limit = float(ml_dtypes.finfo(dtype).max)
    for name, bound in (("from", low), ("to", high)):
        if not -limit <= bound <= limit:
            raise RuntimeError(f"uniform_: {name} is out of bounds for {dtype}: got {bound}, expected within +-{limit}")
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    if high - low > limit:
        raise RuntimeError(f"uniform_ expects to - from <= {limit} for {dtype}, but found to={high} and from={low}")
    n = size_of(shape)
    values = uniform53(gen, n) if dtype == F64 else uniform24(gen, n)
    start, stop = values.dtype.type(low), values.dtype.type(high)
    values = cast(scale_shift(values, stop - start, start), dtype)
    if (low, high) != (0.0, 1.0) or dtype in HALF_TYPES:
        values[values == dtype.type(high)] = dtype.type(low)
    return deliver(values, shape, dtype, out)


# --- normal ---


@quiet
def normal(
    gen: Bits, shape: Sequence[int], dtype: np.dtype, mean: float = 0.0, std: float = 1.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Return numbers normal with `mean` and `std`; for complex numbers `std**2` is shared by the two parts.

    Sixteen or more contiguous elements are made in blocks: float32 and the half types take one word an element, float64
    two, and a size that is no multiple of 16 redoes the last 16. Fewer, or a non-contiguous `out`, come one by one in
    float64 (`normals_one_by_one`). Raises RuntimeError for a negative `std`, NotImplementedError for integer dtypes.
    """
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    if dtype.kind == "c":
        whole, parts = complex_parts(shape, dtype, out)
        normal(gen, parts.shape, parts.dtype, mean, std / math.sqrt(2.0), parts)
        return whole
    require_float("normal_", dtype)
    n = size_of(shape)
    if n >= BLOCK and (out is None or out.flags.c_contiguous):
        draw = uniform53 if dtype == F64 else uniform24
        ragged = n % BLOCK
        with gen.lock:
            # The half types pass through a buffer of sixteen and draw no uniforms for the ragged end.
            values = draw(gen, n - ragged if dtype in HALF_TYPES else n)
            tail = draw(gen, BLOCK) if ragged else None
        box_muller(values[: n - ragged], mean, std)
        if tail is not None:
            box_muller(tail, mean, std)
            values = np.concatenate([values[: n - BLOCK], tail])
    else:
        values = scale_shift(normals_one_by_one(gen, n), std, mean)
    return deliver(values, shape, dtype, out)


def normals_one_by_one(gen: Bits, n: int) -> np.ndarray:
    """Return `n` standard normal float64 numbers, four words a pair; the odd one out waits in the generator."""
    values = np.empty(n, F64)
    if n == 0:
        return values
    with gen.lock:
        waiting, gen.next_normal = gen.next_normal, None
        first = 0 if waiting is None else 1
        if waiting is not None:
            values[0] = waiting
        pairs = (n - first + 1) // 2
        draws = uniform53(gen, 2 * pairs)
        cosines, sines = polar(draws[0::2], draws[1::2])
        values[first::2] = cosines
        values[first + 1 :: 2] = sines[: (n - first) // 2]
        if (n - first) % 2:
            gen.next_normal = float(sines[-1])
    return values


@quiet
def normal_tensor(gen: Bits, mean: np.ndarray | float, std: np.ndarray | float) -> np.ndarray:
    """Return normal numbers with an array of means, of standard deviations, or of both (broadcast).

    The result has the dtype of `mean` if it is an array, else of `std`. Standard numbers are drawn first (with the
    scalar `std`, if it is one), then scaled and shifted, each rounded to that dtype. Raises RuntimeError for a negative
    standard deviation.
    """
    if isinstance(std, np.ndarray):
        if std.dtype.kind == "c":
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if std.size and not bool(np.all(std >= 0)):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    scale, shift = np.asarray(std), np.asarray(mean)
    dtype = shift.dtype if isinstance(mean, np.ndarray) else scale.dtype
    shape = np.broadcast_shapes(scale.shape, shift.shape)
    if not isinstance(std, np.ndarray):
        result = normal(gen, shape, dtype, 0.0, float(std))
    else:
        result = normal(gen, shape, dtype)
        np.multiply(result, scale.astype(dtype), out=result)
    return np.add(result, shift.astype(dtype), out=result)


# --- Bernoulli and dropout ---


def bernoulli_scalar(
    gen: Bits, shape: Sequence[int], p: float, dtype: np.dtype, out: np.ndarray | None = None
) -> np.ndarray:
    """Return ones with probability `p`, else zeros: two words an element. Raises RuntimeError unless 0 <= p <= 1."""
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    if dtype.kind == "c":
        raise NotImplementedError(f'"bernoulli_" not implemented for {dtype}: use a real or bool dtype')
    return deliver(uniform53(gen, size_of(shape)) < p, shape, dtype, out)


def bernoulli_tensor(
    gen: Bits, p: np.ndarray, dtype: np.dtype | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Return ones with the probabilities in `p`: two words an element where `p` is float64, else one.

    The result has the shape of `p` and its dtype unless another is given; with `out`, `p` is broadcast to it. Raises
    RuntimeError for a probability outside [0, 1] or NaN.
    """
    require_float("bernoulli", p.dtype)
    if not bool(np.all((p >= 0) & (p <= 1))):
        raise RuntimeError("bernoulli expects every probability to be in [0, 1], but found one that is not (or is NaN)")
    result = np.empty(p.shape, p.dtype if dtype is None else dtype) if out is None else out
    n = result.size
    draws = uniform53(gen, n) if p.dtype == F64 else uniform24(gen, n)
    uniforms = np.empty_like(result, draws.dtype)  # laid out as the result is, so that draws meet it in memory order
    deliver(draws, result.shape, draws.dtype, uniforms)
    result[...] = uniforms < p.astype(draws.dtype)
    return result


def dropout_noise(
    gen: Bits, shape: Sequence[int], dtype: np.dtype, p: float, out: np.ndarray | None = None
) -> np.ndarray:
    """Return what `dropout` multiplies its input by: 0 with probability `p`, else 1 / (1 - p) in `dtype`.

    It is `bernoulli_scalar` with 1 - p, divided by 1 - p. With p = 0 or p = 1 nothing is drawn. Raises RuntimeError
    unless 0 <= p <= 1.
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    n = size_of(shape)
    if p in (0.0, 1.0):
        return deliver(np.full(n, 1.0 - p), shape, dtype, out)
    require_float("dropout", dtype)
    work = F64 if dtype == F64 else F32
    kept = work.type(1.0) / work.type(1.0 - p)
    values = (uniform53(gen, n) < 1.0 - p).astype(work)
    return deliver(np.multiply(values, kept, out=values), shape, dtype, out)


def dropout(gen: Bits, x: np.ndarray, p: float, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return `x` times `dropout_noise` of its shape and dtype, and the mask of the elements kept; 0 < p < 1.

    The noise is drawn in the memory order of `mask`, which is filled and returned when it is given, else row-major.
    """
    kept = bernoulli_scalar(gen, x.shape, 1.0 - p, np.dtype(np.bool_), mask)
    return dropout_by_mask(x, kept, p), kept


@quiet
def dropout_by_mask(x: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """Return `x` times the noise of `dropout` with probability `p` that kept what `mask` says: its gradient."""
    work = F64 if x.dtype == F64 else F32
    kept = cast(np.asarray(work.type(1.0) / work.type(1.0 - p)), x.dtype).astype(work, copy=False)
    noise = np.multiply(mask.astype(work), kept)
    return cast(np.multiply(x.astype(work, copy=False), noise), x.dtype)


def native_dropout(gen: Bits, x: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray]:
    """Return `x` with elements zeroed at probability `p` and the rest scaled by 1 / (1 - p), and the mask of the rest.

    It always draws two words an element. The scale is rounded to the dtype of `x`, then the product.
    """
    mask = bernoulli_scalar(gen, x.shape, 1.0 - p, np.dtype(np.bool_), np.empty_like(x, np.bool_))
    work = F64 if x.dtype == F64 else F32
    scale = x.dtype.type(0.0 if p == 1.0 else 1.0 / (1.0 - p))
    return cast((x * mask.astype(x.dtype)).astype(work, copy=False) * work.type(scale), x.dtype), mask


# --- distributions in float64, two words an element (log_normal: as normals one by one) ---


@quiet
def exponential(
    gen: Bits, shape: Sequence[int], dtype: np.dtype, rate: float = 1.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Return exponential numbers, `-log1p(-u) / rate`. Raises RuntimeError for rate <= 0 or an integer dtype."""
    if not rate > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
    require_float("exponential_", dtype, RuntimeError)
    return deliver((-1.0 / rate) * np.log1p(-uniform53(gen, size_of(shape))), shape, dtype, out)


@quiet
def geometric(gen: Bits, shape: Sequence[int], p: float, dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
    """Return the number of trials up to the first success, 1 and more. Raises RuntimeError unless 0 < p < 1."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    if dtype.kind in "cb":
        raise NotImplementedError(f'"geometric_" not implemented for {dtype}: use a real dtype')
    trials = np.ceil(np.log(uniform53(gen, size_of(shape))) / math.log1p(-p))
    return deliver(trials, shape, dtype, out)


@quiet
def cauchy(
    gen: Bits,
    shape: Sequence[int],
    dtype: np.dtype,
    median: float = 0.0,
    sigma: float = 1.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Return Cauchy numbers, `median + sigma * tan(pi * (u - 1/2))`.

    Raises RuntimeError for sigma <= 0 or an integer dtype.
    """
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    require_float("cauchy_", dtype, RuntimeError)
    tangents = np.tan(math.pi * (uniform53(gen, size_of(shape)) - 0.5))
    return deliver(scale_shift(tangents, sigma, median), shape, dtype, out)


@quiet
def log_normal(
    gen: Bits, shape: Sequence[int], dtype: np.dtype, mean: float = 1.0, std: float = 2.0, out: np.ndarray | None = None
) -> np.ndarray:
    """Return exp of normal numbers, made one by one and sharing the generator's spare one.

    Raises RuntimeError for std <= 0.
    """
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
    require_float("log_normal_", dtype)
    return deliver(np.exp(scale_shift(normals_one_by_one(gen, size_of(shape)), std, mean)), shape, dtype, out)


# --- multinomial and Poisson ---


@quiet
def multinomial(gen: Bits, p: np.ndarray, num_samples: int, replacement: bool = False) -> np.ndarray:
    """Return int64 indices drawn by the weights in the rows of `p`, shape (num_samples,) or (rows, num_samples).

    `p` has one or two dimensions and need not add up to 1. With replacement an index takes two words. Without, and for
    a single sample, every category draws an exponential number e, and the indices are those of the largest p / e in
    that order (torch leaves the order of equal quotients open; here the lower index comes first). Raises RuntimeError
    for invalid weights or sizes.
    """
    if not 1 <= p.ndim <= 2:
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, but has {p.ndim} dimensions")
    if p.dtype not in FLOATS:
        raise RuntimeError(f"multinomial only supports floating-point dtypes for input, got: {p.dtype}")
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got num_samples={num_samples}")
    categories = p.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: num_samples={num_samples}, but "
            f"there are {categories} categories; pass replacement=True"
        )
    if categories > 2**24:
        raise RuntimeError(f"number of categories cannot exceed 2^24, got {categories}")
    shape = (*p.shape[:-1], num_samples)
    if size_of(shape) == 0:
        return np.empty(shape, np.int64)
    if not categories or not bool(np.all((p >= 0) & np.isfinite(p))):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0, or has no category")
    if not bool(np.all(np.any(p > 0, axis=-1))):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement and num_samples > 1:
        return _multinomial_with_replacement(gen, p, num_samples).reshape(shape)
    clocks = exponential(gen, p.shape, p.dtype, 1.0, np.empty_like(p))
    quotients = np.divide(p, clocks)
    if num_samples == 1:
        return np.asarray(np.argmax(quotients, axis=-1, keepdims=True))
    return np.argsort(-quotients, axis=-1, kind="stable")[..., :num_samples].copy()


def _multinomial_with_replacement(gen: Bits, p: np.ndarray, num_samples: int) -> np.ndarray:
    """Look `num_samples` uniforms a row up in the row's cumulative distribution, summed in order."""
    work = F64 if p.dtype == F64 else F32
    rows = p.reshape(-1, p.shape[-1]).astype(work)
    totals = np.add.accumulate(rows, axis=-1)
    totals /= totals[:, -1:].copy()
    totals[:, -1] = 1
    draws = uniform53(gen, len(rows) * num_samples).reshape(len(rows), num_samples)
    return np.stack([np.searchsorted(row, draw) for row, draw in zip(totals.astype(F64), draws, strict=True)])


class _Uniforms:
    """float64 uniforms one at a time, drawn ahead in growing batches; `close` gives back those that were not used."""

    def __init__(self, gen: Bits) -> None:
        self.gen, self.start = gen, gen.get_state_bytes()
        self.used, self.batch = 0, 64
        self.ready: list[float] = []

    def __call__(self) -> float:
        if not self.ready:
            self.batch = min(2 * self.batch, 8192)
            self.ready = uniform53(self.gen, self.batch)[::-1].tolist()
        self.used += 1
        return self.ready.pop()

    def close(self) -> None:
        self.gen.set_state_bytes(self.start)
        self.gen.raw64(self.used)


def poisson(gen: Bits, rate: np.ndarray) -> np.ndarray:
    """Return Poisson counts with the rates in `rate`, in its shape and dtype.

    How many words an element takes depends on the numbers drawn, so elements are made one after another. Raises
    RuntimeError for a rate that is negative, infinite or NaN, NotImplementedError for integer dtypes.
    """
    require_float("poisson", rate.dtype)
    if not bool(np.all((rate >= 0) & np.isfinite(rate))):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative and finite")
    if rate.size == 0:
        return np.empty(rate.shape, rate.dtype)
    with gen.lock:
        draw = _Uniforms(gen)
        counts = [
            _poisson_by_rejection(x, draw) if x >= 10 else _poisson_by_product(x, draw)
            for x in rate.astype(F64).ravel().tolist()
        ]
        draw.close()
    return deliver(np.array(counts, np.int64), rate.shape, rate.dtype, None)


def _poisson_by_product(rate: float, draw: _Uniforms) -> int:
    """Count how many uniforms can be multiplied before the product falls to exp(-rate)."""
    if rate == 0:
        return 0
    limit, product, count = math.exp(-rate), 1.0, 0
    while True:
        product *= draw()
        if product <= limit:
            return count
        count += 1


def _poisson_by_rejection(rate: float, draw: _Uniforms) -> int:
    """Draw a count by Hoermann's transformed rejection with squeeze (PTRS, 1993), for rates of 10 and more."""
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = draw() - 0.5, draw()
        margin = 0.5 - abs(u)
        if margin == 0.0:  # u = -1/2 exactly: the quotient below is infinite and the candidate lies below zero
            continue
        count = math.floor((2.0 * a / margin + b) * u + rate + 0.43)
        if margin >= 0.07 and v <= squeeze:
            return count
        if count < 0 or (margin < 0.013 and v > margin):
            continue
        log_v = math.log(v) if v > 0.0 else -math.inf
        accepted = log_v + math.log(inverse_alpha) - math.log(a / (margin * margin) + b)
        if accepted <= -rate + count * log_rate - math.lgamma(count + 1):
            return count


KERNELS: dict[str, Callable[..., Any]] = {
    kernel.__name__: kernel
    for kernel in (
        uniform,
        normal,
        normal_tensor,
        bernoulli_scalar,
        bernoulli_tensor,
        dropout_noise,
        dropout,
        dropout_by_mask,
        native_dropout,
        exponential,
        geometric,
        cauchy,
        log_normal,
        multinomial,
        poisson,
    )
}
