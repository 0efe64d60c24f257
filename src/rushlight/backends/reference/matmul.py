"""Matrix products. float32, float64 and complex go to BLAS with their strides (no copies of transposed inputs).

Half types are multiplied in float32 and rounded once. Integer products go through float64 when no partial sum can
reach 2**53, which makes them exact; otherwise through NumPy's integer loop, which wraps around like torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.backends.reference.precision import FLOAT64, INT64, Array, finish, is_low, scalar, widen
from rushlight.backends.reference.quiet import quiet

EXACT_INTEGERS = 2**53


def _refuse_bool(a: Array, name: str) -> None:
    if a.dtype.kind == "b":
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")


def _largest(x: Array) -> int:
    return max(abs(int(x.max())), abs(int(x.min())))


def _product_integers(a: Array, b: Array) -> Array:
    depth = a.shape[-1]
    if depth == 0 or a.size == 0 or b.size == 0:
        return np.matmul(a, b)
    if depth * _largest(a) * _largest(b) < EXACT_INTEGERS:
        return np.matmul(a.astype(FLOAT64), b.astype(FLOAT64)).astype(INT64).astype(a.dtype)
    return np.matmul(a, b)


def _product(a: Array, b: Array) -> Array:
    """`a @ b` in at least float32, for matching inner extents and at least one dim each."""
    if a.dtype.kind in "iu":
        return np.asarray(_product_integers(a, b))
    if is_low(a.dtype):
        a, b = widen(a), widen(b)
    if a.ndim > 2 and b.ndim <= 2 and a.flags.c_contiguous:
        # One tall product instead of one per matrix of the batch.
        folded = np.matmul(a.reshape(-1, a.shape[-1] or 0) if a.size else a, b)
        return folded.reshape(a.shape[:-1] + b.shape[1:])
    return np.asarray(np.matmul(a, b))


def _check_inner(a: Array, b: Array) -> None:
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        if a.ndim == b.ndim == 1:
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have the same "
                "number of elements"
            )
        left = f"{a.shape[-2]}x{a.shape[-1]}" if a.ndim > 1 else f"1x{a.shape[0]}"
        right = f"{b.shape[-2]}x{b.shape[-1]}" if b.ndim > 1 else f"{b.shape[0]}"
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({left} and {right})")


@quiet
def matmul(a: Array, b: Array) -> Array:
    """Matrix product with torch's rules: 1-D operands are vectors, leading dims are batches and broadcast."""
    _refuse_bool(a, "addmm_impl_cpu_")
    _check_inner(a, b)
    return finish(_product(a, b), a.dtype)


def _check_rank(name: str, arrays: tuple[Array, ...], ranks: tuple[int, ...]) -> None:
    for position, (x, rank) in enumerate(zip(arrays, ranks, strict=True)):
        if x.ndim != rank:
            raise RuntimeError(f"{name}: argument {position + 1} must be a {rank}D tensor, got {x.ndim}D")


@quiet
def mm(a: Array, b: Array) -> Array:
    """`(n, k) @ (k, m)`."""
    _refuse_bool(a, "addmm_impl_cpu_")
    _check_rank("mm", (a, b), (2, 2))
    _check_inner(a, b)
    return finish(_product(a, b), a.dtype)


@quiet
def bmm(a: Array, b: Array) -> Array:
    """`(batch, n, k) @ (batch, k, m)`."""
    _refuse_bool(a, "bmm")
    _check_rank("bmm", (a, b), (3, 3))
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: "
            f"[{b.shape[0]}, {b.shape[1]}]."
        )
    return finish(_product(a, b), a.dtype)


@quiet
def mv(a: Array, v: Array) -> Array:
    """`(n, k) @ (k,)`."""
    _refuse_bool(a, "addmv_impl_cpu")
    _check_rank("mv", (a, v), (2, 1))
    if a.shape[1] != v.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec ({v.shape[0]})"
        )
    return finish(_product(a, v), a.dtype)


@quiet
def dot(a: Array, b: Array) -> Array:
    """Scalar product of two vectors, without conjugation."""
    _refuse_bool(a, "dot")
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    _check_inner(a, b)
    return finish(_product(a, b), a.dtype)


@quiet
def outer(a: Array, b: Array) -> Array:
    """All products `a[i] * b[j]`."""
    _check_rank("outer", (a, b), (1, 1))
    return finish(np.multiply.outer(widen(a), widen(b)), a.dtype)


def _add_scaled(c: Array, product: Array, beta: Any, alpha: Any) -> Array:
    """`beta * c + alpha * product`; NaN in `c` does not matter when beta is 0."""
    if alpha != 1:
        product = product * scalar(alpha, product.dtype)
    if beta == 0:
        return product
    wide = widen(c)
    return np.add(product, wide if beta == 1 else wide * scalar(beta, wide.dtype), out=...)


@quiet
def addmm(c: Array, a: Array, b: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    """`beta * c + alpha * (a @ b)` for matrices a and b; c broadcasts and is ignored when beta is 0."""
    _refuse_bool(a, "addmm_impl_cpu_")
    _check_rank("addmm", (a, b), (2, 2))
    _check_inner(a, b)
    return finish(_add_scaled(c, _product(a, b), beta, alpha), a.dtype)


@quiet
def baddbmm(c: Array, a: Array, b: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    """`beta * c + alpha * (a @ b)` for batches of matrices."""
    _refuse_bool(a, "baddbmm")
    _check_rank("baddbmm", (a, b), (3, 3))
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: "
            f"[{b.shape[0]}, {b.shape[1]}]."
        )
    return finish(_add_scaled(c, _product(a, b), beta, alpha), a.dtype)


@quiet
def cross(a: Array, b: Array, dim: int) -> Array:
    """Vector product along `dim`, which has extent 3; the other dims broadcast."""
    if a.shape[dim] != 3 or b.shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[dim]} and {b.shape[dim]}"
        )
    x, y = np.moveaxis(widen(a), dim, 0), np.moveaxis(widen(b), dim, 0)
    parts = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]]
    return finish(np.stack(parts, axis=dim), a.dtype)


KERNELS: dict[str, Callable[..., Array]] = {
    kernel.__name__: kernel for kernel in (matmul, mm, bmm, mv, dot, outer, addmm, baddbmm, cross)
}
