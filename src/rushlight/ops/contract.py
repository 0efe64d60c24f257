"""Products over chosen dimensions, made of the matrix product: tensordot, inner, kron, chain_matmul."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.shape import normalize_dim
from rushlight.core.primitive import apply1
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import methods, write_out
from rushlight.ops.matmul import mm
from rushlight.ops.view import reshape
from rushlight.ops.view_rules import UnsafeView

__all__ = ["chain_matmul", "inner", "kron", "tensordot"]


def inner(input: Any, other: Any, *, out: Any = None) -> Any:
    """Products summed over the last dimension of both."""
    need_tensor("inner", input)
    need_tensor("inner", other, "other")
    if not input._shape or not other._shape:
        result = input * other
        return result if out is None else write_out(out, result, "inner")
    if input._shape[-1] != other._shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input._shape)} and {list(other._shape)}"
        )
    result = tensordot(input, other, ([-1], [-1]))
    return result if out is None else write_out(out, result, "inner")


def tensordot(a: Any, b: Any, dims: Any = 2, out: Any = None) -> Any:
    """Products of `a` and `b` summed over pairs of dimensions: the last and first `dims`, or two lists of dimensions."""
    if is_tensor(dims):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(len(a._shape), len(b._shape)):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(len(a._shape) - dims, len(a._shape))), list(range(dims))
    else:
        left, right = (list(d) if hasattr(d, "__iter__") else [d] for d in dims)
    m, n = len(a._shape), len(b._shape)
    left, right = [normalize_dim(d, m, "tensordot") for d in left], [normalize_dim(d, n, "tensordot") for d in right]
    for x, y in zip(left, right, strict=True):
        if a._shape[x] != b._shape[y]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._shape[x]} in dim {x} and second has size "
                f"{b._shape[y]} in dim {y}"
            )
    free_a, free_b = [d for d in range(m) if d not in left], [d for d in range(n) if d not in right]
    common = prod(a._shape[d] for d in left)
    rows = reshape(a.permute(free_a + left), (prod(a._shape[d] for d in free_a), common))
    columns = reshape(b.permute(right + free_b), (common, prod(b._shape[d] for d in free_b)))
    result = reshape(mm(rows, columns), tuple(a._shape[d] for d in free_a) + tuple(b._shape[d] for d in free_b))
    return result if out is None else write_out(out, result, "tensordot")


def kron(input: Any, other: Any, *, out: Any = None) -> Any:
    """The Kronecker product."""
    rank = max(len(input._shape), len(other._shape))
    x = reshape(input, (1,) * (rank - len(input._shape)) + input._shape)
    y = reshape(other, (1,) * (rank - len(other._shape)) + other._shape)
    wide_x = reshape(x, tuple(n for size in x._shape for n in (size, 1)))
    wide_y = reshape(y, tuple(n for size in y._shape for n in (1, size)))
    product = (wide_x * wide_y).contiguous()
    result = apply1(UnsafeView(tuple(p * q for p, q in zip(x._shape, y._shape, strict=True))), product)
    return result if out is None else write_out(out, result, "kron")


def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """The product of several matrices, from left to right."""
    given = tuple(matrices[0]) if len(matrices) == 1 and not isinstance(matrices[0], TensorBase) else matrices
    result = given[0]
    for matrix in given[1:]:
        result = mm(result, matrix)
    return result if out is None else write_out(out, result, "chain_matmul")


methods(inner, kron)
