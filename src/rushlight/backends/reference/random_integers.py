"""Random integers and permutations: what they take from the generator's stream of 32-bit words, and what they make of it.

As in `rushlight.backends.reference.random`, which holds the other distributions, every function follows torch 2.13 on
the CPU draw for draw, takes the generator first, and fills `out=` in memory order where it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.backends.reference.draws import BF16, F32, F64, FLOATS, Bits, deliver, size_of
from rushlight.backends.reference.quiet import quiet
from rushlight.base.warn import warn_user

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
WIDE_RANGE = 2**28  # from here on an integer takes 64 bits, so that `%` stays nearly fair
PERM_LIMIT = (2**32 - 1) // 20  # below it randperm takes one word an element


def random_full(gen: Bits, shape: Sequence[int], dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
    """Return integers over the natural range of `dtype`, as `Tensor.random_()` without bounds.

    That is [0, max] for integers (two words for int64, else one), [0, 2**digits] for floating point (two words for
    float64), and 0 or 1 for bool. Raises NotImplementedError for complex and wide unsigned dtypes.
    """
    n = size_of(shape)
    if dtype in FLOATS:
        words = gen.raw64(n) if dtype == F64 else gen.raw32(n)
        values = words % words.dtype.type(2 ** FLOATS[dtype] + 1)
    elif dtype == np.bool_:
        values = gen.raw32(n) & np.uint32(1)
    elif dtype.kind == "i" or dtype == np.uint8:
        words = gen.raw64(n) if dtype.itemsize == 8 else gen.raw32(n)
        values = words & words.dtype.type(np.iinfo(dtype).max)
    else:
        raise NotImplementedError(f'"random_" not implemented for {dtype}: give it bounds, as in random_(0, 10)')
    return deliver(values, shape, dtype, out)


def randint(
    gen: Bits, shape: Sequence[int], low: int, high: int | None, dtype: np.dtype, out: np.ndarray | None = None
) -> np.ndarray:
    """Return integers in [low, high); with `high=None` up to and including the largest that `dtype` counts to.

    An element takes one word, or two when the range is 2**28 or wider (always two over all of int64, asked for with
    `low=-2**63, high=None`). Raises RuntimeError for an empty range or bounds that `dtype` cannot hold; warns where a
    floating-point dtype would skip integers.
    """
    if dtype not in FLOATS and dtype.kind not in "iub":
        raise RuntimeError(f"random_ handles only integral, floating-point and boolean types, got {dtype}")
    n = size_of(shape)
    if high is None and low == INT64_MIN:
        if dtype != np.int64 and dtype not in (F64, F32, BF16):
            raise RuntimeError(f"random_ over all of int64 handles only int64, float64, float32, bfloat16; got {dtype}")
        return deliver(gen.raw64(n).view(np.int64), shape, dtype, out)
    low, last = _integer_bounds(low, high, dtype)
    width = last - low + 1
    if width >= WIDE_RANGE:
        values = (gen.raw64(n) % np.uint64(width)).view(np.int64)
    else:
        values = (gen.raw32(n) % np.uint32(width)).astype(np.int64)
    values += np.int64(low)  # modulo 2**64, as torch adds
    return deliver(values, shape, dtype, out)


def _integer_bounds(low: int, high: int | None, dtype: np.dtype) -> tuple[int, int]:
    """Return the first and last integer to draw, checked and, for floating point, moved to numbers `dtype` holds."""
    is_float = dtype in FLOATS
    if high is None:
        last = 2 ** FLOATS[dtype] if is_float else 1 if dtype == np.bool_ else min(int(np.iinfo(dtype).max), INT64_MAX)
        low = _shift_inside(low, dtype, 1) if is_float else low
        high = last + 1
        wanted = f"random_ expects 'from' to be at most {last} for {dtype}"
    else:
        wanted = "random_ expects 'from' to be less than 'to'"
        if low < high and is_float:
            low, high = _shift_inside(low, dtype, 1), _shift_inside(high, dtype, -1)
            wanted = f"random_ expects 'from' casted to {dtype} to be less than 'to' casted to it"
    if low >= high:
        raise RuntimeError(f"{wanted}, but got from={low} >= to={high}")
    if is_float:
        floor, ceiling = -float(ml_dtypes.finfo(dtype).max), float(ml_dtypes.finfo(dtype).max)
    elif dtype == np.bool_:
        floor, ceiling = 0, 1
    else:
        floor, ceiling = int(np.iinfo(dtype).min), min(int(np.iinfo(dtype).max), INT64_MAX)
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if not floor <= bound <= ceiling:
            raise RuntimeError(f"random_: {name} is out of bounds for {dtype}: {bound} is not in [{floor}, {ceiling}]")
        if is_float and abs(bound) > 2 ** FLOATS[dtype]:
            warn_user(
                f"random_: {name} is out of bounds [-(2^{FLOATS[dtype]}), 2^{FLOATS[dtype]}]: {dtype} does not hold "
                f"every integer up to {bound}, so some will not be drawn. Use an integer dtype.",
            )
    return low, high - 1


@quiet
def _shift_inside(bound: int, dtype: np.dtype, step: int) -> int:
    """Move `bound` (`from` with step 1, `to` with step -1) off integers that would round out of the range."""
    rounded = float(dtype.type(float(bound + step)))
    if not math.isfinite(rounded):
        return bound
    if (step == 1 and int(rounded) < bound) or (step == -1 and int(rounded) >= bound):
        return int(rounded) + step * 2 ** (abs(bound + step).bit_length() - FLOATS[dtype])
    return bound


def randperm(gen: Bits, n: int, dtype: np.dtype, out: np.ndarray | None = None) -> np.ndarray:
    """Return the integers 0 .. n - 1 in random order, shape (n,): Fisher and Yates' shuffle.

    It takes n - 1 words. From 2**32 // 20 elements on, where a word modulo n is no longer fair, it builds the order
    from the inside out with two words an element. Raises RuntimeError for a negative `n` or one that `dtype` cannot
    count to.
    """
    if n < 0:
        raise RuntimeError(f"randperm: Trying to create tensor with negative dimension {n}; n must be at least 0")
    if dtype not in FLOATS and dtype.kind not in "iu":
        raise NotImplementedError(f'"randperm" not implemented for {dtype}: use an integer or floating-point dtype')
    limit = 2 ** FLOATS[dtype] + 1 if dtype in FLOATS else int(np.iinfo(dtype).max)
    if n > limit and dtype != BF16:  # torch lets bfloat16 pass and round
        raise RuntimeError(f"randperm: n cannot be greater than {limit} for {dtype}, but got n={n}; use dtype=int64")
    if n >= PERM_LIMIT:
        return deliver(_inside_out(gen, n), (n,), dtype, out)
    order = np.arange(n, dtype=np.int64)
    cells: Any = order.data  # item access without making NumPy scalars; each swap needs the one before
    with gen.lock:
        for start in range(0, n - 1, 2**20):
            rows = np.arange(start, min(start + 2**20, n - 1), dtype=np.uint32)
            partners = gen.raw32(len(rows)) % (np.uint32(n) - rows) + rows
            for i, j in enumerate(partners.tolist(), start):
                cells[i], cells[j] = cells[j], cells[i]
    return deliver(order, (n,), dtype, out)


def _inside_out(gen: Bits, n: int) -> np.ndarray:
    """Return a random order of n elements: each takes a random place so far, and the one it finds there moves last."""
    order = np.zeros(n, np.int64)
    cells: Any = order.data
    with gen.lock:
        for start in range(0, n, 2**20):
            rows = np.arange(start, min(start + 2**20, n), dtype=np.uint64)
            places = gen.raw64(len(rows)) % (rows + np.uint64(1))
            for i, place in enumerate(places.tolist(), start):
                cells[i] = cells[place]
                cells[place] = i
    return order


KERNELS: dict[str, Callable[..., Any]] = {
    "random_full": random_full,
    "randint": randint,
    "randperm": randperm,
}
