"""Bitwise operations on integers and bool, and logical operations on every dtype (result bool)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.backends.reference.precision import Array, widen

Kernel = Callable[..., Array]


def _bitwise(ufunc: Callable[..., Array], name: str) -> Kernel:
    def kernel(a: Array, b: Array, out: Array | None = None) -> Array:
        return ufunc(a, b, out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _logical(ufunc: Callable[..., Array], name: str) -> Kernel:
    def kernel(a: Array, b: Array, out: Array | None = None) -> Array:
        return ufunc(widen(a), widen(b), out=... if out is None else out)

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


bitwise_and = _bitwise(np.bitwise_and, "bitwise_and")
bitwise_or = _bitwise(np.bitwise_or, "bitwise_or")
bitwise_xor = _bitwise(np.bitwise_xor, "bitwise_xor")
# NumPy, like torch, defines shifts by the full width and more, and by negative counts (everything is shifted out).
bitwise_left_shift = _bitwise(np.left_shift, "bitwise_left_shift")
bitwise_right_shift = _bitwise(np.right_shift, "bitwise_right_shift")
logical_and = _logical(np.logical_and, "logical_and")
logical_or = _logical(np.logical_or, "logical_or")
logical_xor = _logical(np.logical_xor, "logical_xor")


def bitwise_not(x: Array, out: Array | None = None) -> Array:
    """Every bit flipped; of bool the negation."""
    return np.bitwise_not(x, out=... if out is None else out)


def logical_not(x: Array, out: Array | None = None) -> Array:
    """True where `x` is zero."""
    return np.logical_not(widen(x), out=... if out is None else out)


KERNELS: dict[str, Kernel] = {
    kernel.__name__: kernel
    for kernel in (
        bitwise_and,
        bitwise_or,
        bitwise_xor,
        bitwise_not,
        bitwise_left_shift,
        bitwise_right_shift,
        logical_and,
        logical_or,
        logical_xor,
        logical_not,
    )
}
