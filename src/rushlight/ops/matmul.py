"""Matrix products: mm, bmm, mv, dot, their sums with a third tensor, and `matmul`, which picks among them."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.layout import contiguous_format
from rushlight.base.shape import Shape, broadcast_shapes
from rushlight.core.inplace import apply_inplace
from rushlight.core.modes import STATE
from rushlight.core.primitive import PLAIN, Primitive, apply1, apply2, applyn, intercepted
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase
from rushlight.ops.common import methods, operand, serve, write_out
from rushlight.ops.matmul_rules import (
    ADDMM,
    BMM,
    DOT,
    MM,
    MV,
    Addbmm,
    Addmm,
    Addmv,
    Addr,
    Baddbmm,
    Bmm,
    Dot,
    Mm,
    Mv,
    Vdot,
)
from rushlight.ops.view import expand, reshape, transpose, unsqueeze
from rushlight.ops.view_rules import SqueezeLast, UnsafeView

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "bmm",
    "dot",
    "ger",
    "matmul",
    "mm",
    "mv",
    "outer",
    "vdot",
]


def _check_tensors(operation: str, **tensors: Any) -> None:
    for name, value in tensors.items():
        if not isinstance(value, TensorBase):
            raise TypeError(f"{operation}(): argument '{name}' must be Tensor, not {type(value).__name__}")


def _check_dims(operation: str, ranks: tuple[int, ...], **tensors: Any) -> None:
    _check_tensors(operation, **tensors)
    for rank, (name, value) in zip(ranks, tensors.items(), strict=True):
        if len(value._shape) != rank:
            raise RuntimeError(
                f"{operation}(): {name} must be a {_KINDS[rank]} ({rank}-D), got {len(value._shape)}-D of shape {list(value._shape)}; "
                "matmul() (or @) takes tensors of any rank"
            )


_KINDS = {1: "vector", 2: "matrix", 3: "batch of matrices"}


def _check_matrices(operation: str, a: Any, b: Any) -> None:
    _check_sizes(operation, a._shape, b._shape)
    _check_same(operation, a, b)


def _check_sizes(operation: str, left: Shape, right: Shape) -> None:
    if left[-1] != right[-2]:
        which = "first" if len(right) == 2 else "second to last"
        raise RuntimeError(
            f"{operation}(): mat1 and mat2 shapes cannot be multiplied ({_by(left)} and {_by(right)}): the last size of the first "
            f"({left[-1]}) must equal the {which} of the second ({right[-2]})"
        )


def _check_same(operation: str, a: Any, b: Any) -> None:
    if a._dtype is not b._dtype:
        raise RuntimeError(
            f"{operation}(): expected m1 and m2 to have the same dtype, but got: {a._dtype!r} != {b._dtype!r}; convert one of them, "
            "for example with x.to(y.dtype)"
        )


def _by(shape: Shape) -> str:
    return "x".join(map(str, shape))


def mm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """The product of two matrices, (n, m) and (m, p); no broadcasting."""
    _check_dims("mm", (2, 2), input=input, mat2=mat2)
    _check_matrices("mm", input, mat2)
    result = apply2(MM, input, mat2)
    return result if out is None else write_out(out, result, "mm")


def bmm(input: Any, mat2: Any, *, out: Any = None) -> Any:
    """The products of two batches of matrices, (b, n, m) and (b, m, p); no broadcasting."""
    _check_dims("bmm", (3, 3), input=input, mat2=mat2)
    if input._shape[0] != mat2._shape[0]:
        raise RuntimeError(
            f"bmm(): batch sizes differ: {list(input._shape)} and {list(mat2._shape)}; matmul() broadcasts a batch of size 1"
        )
    _check_matrices("bmm", input, mat2)
    result = apply2(BMM, input, mat2)
    return result if out is None else write_out(out, result, "bmm")


def mv(input: Any, vec: Any, *, out: Any = None) -> Any:
    """A matrix (n, m) times a vector (m,)."""
    _check_dims("mv", (2, 1), input=input, vec=vec)
    if input._shape[1] != vec._shape[0]:
        raise RuntimeError(f"mv(): size mismatch, got input ({_by(input._shape)}), vec ({vec._shape[0]})")
    _check_same("mv", input, vec)
    result = apply2(MV, input, vec)
    return result if out is None else write_out(out, result, "mv")


def dot(input: Any, tensor: Any, *, out: Any = None) -> Any:
    """The sum of the products of two vectors' elements (nothing is conjugated)."""
    _check_dims("dot", (1, 1), input=input, tensor=tensor)
    if input._shape != tensor._shape:
        raise RuntimeError(
            f"dot(): inconsistent tensor size, expected tensor {list(input._shape)} and src {list(tensor._shape)} to have "
            f"the same number of elements, but got {input._shape[0]} and {tensor._shape[0]} elements respectively"
        )
    _check_same("dot", input, tensor)
    result = apply2(DOT, input, tensor)
    return result if out is None else write_out(out, result, "dot")


def vdot(input: Any, other: Any, *, out: Any = None) -> Any:
    """`dot` with the first vector conjugated."""
    _check_dims("vdot", (1, 1), input=input, other=other)
    if input._shape != other._shape:
        raise RuntimeError(f"vdot(): inconsistent tensor size, got {input._shape[0]} and {other._shape[0]} elements")
    _check_same("vdot", input, other)
    result = apply2(Vdot(), input, other)
    return result if out is None else write_out(out, result, "vdot")


def outer(input: Any, vec2: Any, *, out: Any = None) -> Any:
    """The products of all pairs of elements of two vectors, (n, m)."""
    _check_dims("outer", (1, 1), input=input, vec2=vec2)
    result = unsqueeze(input, 1) * vec2
    return result if out is None else write_out(out, result, "outer")


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The matrix product: vectors are dotted, leading dimensions are batches and broadcast.

    Raises `RuntimeError` for zero-dim tensors, sizes that do not fit, or different dtypes.
    """
    _check_tensors("matmul", input=input, other=other)
    result = _matmul(input, other)
    return result if out is None else write_out(out, result, "matmul")


def _matmul(a: Any, b: Any) -> Any:
    if STATE.busy or type(a) not in PLAIN or type(b) not in PLAIN:
        handled, found = intercepted(matmul, (a, b), (a, b))
        if handled:
            return found
    m, n = len(a._shape), len(b._shape)
    if m == 0 or n == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {m}D and {n}D")
    if m == 1 and n == 1:
        return dot(a, b)
    if m == 2 and n == 1:
        return mv(a, b)
    if m == 2 and n == 2:
        _check_matrices("matmul", a, b)
        return apply2(MM, a, b)
    if m == 1 and n == 2:
        return apply1(SqueezeLast((0,)), _matmul(unsqueeze(a, 0), b))
    left, right = a._shape if m > 1 else (1, *a._shape), b._shape if n > 1 else (*b._shape, 1)
    _check_sizes("matmul", left, right)
    _check_same("matmul", a, b)
    if m == n == 3 and (left[0] == 1) != (right[0] == 1):  # a batch of one is no batch
        if right[0] == 1 and b.requires_grad:
            return _fold(a, reshape(b, right[1:]))
        if left[0] == 1 and a.requires_grad:
            return _fold_right(reshape(a, left[1:]), b)
    if n <= 2:
        return _fold(a, b)
    if m <= 2 and a.requires_grad:
        return _fold_right(a, b)
    return _batched(a, b, left, right)


def _fold(a: Any, b: Any) -> Any:
    """A batch of matrices times one matrix or vector: one large product."""
    rows = reshape(a, (prod(a._shape[:-1]), a._shape[-1]))
    return apply1(UnsafeView((*a._shape[:-1], *b._shape[1:])), apply2(MM if len(b._shape) == 2 else MV, rows, b))


def _fold_right(a: Any, b: Any) -> Any:
    """One matrix or vector times a batch: the transposed product."""
    folded = _fold(transpose(b, -2, -1), a if len(a._shape) == 1 else transpose(a, 0, 1))
    return folded if len(a._shape) == 1 else transpose(folded, -2, -1).clone(memory_format=contiguous_format)


def _batched(a: Any, b: Any, left: Shape, right: Shape) -> Any:
    """Batches of matrices of shapes `left` and `right`; missing dimensions were added to a vector."""
    try:
        batch = broadcast_shapes(left[:-2], right[:-2])
    except RuntimeError:
        raise RuntimeError(
            f"matmul(): the batch dimensions of {list(a._shape)} and {list(b._shape)} can't be broadcast together"
        ) from None
    size = prod(batch)
    x = reshape(expand(a if len(a._shape) > 1 else unsqueeze(a, 0), (*batch, *left[-2:])), (size, *left[-2:]))
    y = reshape(expand(b, (*batch, *right[-2:])), (size, *right[-2:]))
    rows = left[-2:-1] if len(a._shape) > 1 else ()
    return apply1(UnsafeView((*batch, *rows, right[-1])), apply2(BMM, x, y))


def _add_product(op: Primitive, c: Any, a: Any, b: Any, shape: Shape, out: Any) -> Any:
    _check_tensors(op.name, input=c)
    if broadcastable(c._shape, shape):
        result = applyn(op, (c, a, b))
        return result if out is None else write_out(out, result, op.name)
    raise RuntimeError(
        f"{op.name}(): input of shape {list(c._shape)} can't be broadcast to the product's shape {list(shape)}"
    )


def broadcastable(shape: Shape, to: Shape) -> bool:
    """Whether `shape` broadcasts to `to` without changing it."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)` for matrices; `input` is broadcast, and ignored (NaN too) for beta 0."""
    _check_dims("addmm", (2, 2), mat1=mat1, mat2=mat2)
    _check_matrices("addmm", mat1, mat2)
    op = ADDMM if beta == 1 and alpha == 1 else Addmm(beta, alpha)
    return _add_product(op, input, mat1, mat2, (mat1._shape[0], mat2._shape[1]), out)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """`beta * input + alpha * (batch1 @ batch2)` for batches of matrices."""
    _check_dims("baddbmm", (3, 3), batch1=batch1, batch2=batch2)
    _check_matrices("baddbmm", batch1, batch2)
    return _add_product(Baddbmm(beta, alpha), input, batch1, batch2, (*batch1._shape[:2], batch2._shape[2]), out)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """`beta * input + alpha * (mat @ vec)`."""
    _check_dims("addmv", (2, 1), mat=mat, vec=vec)
    if mat._shape[1] != vec._shape[0]:
        raise RuntimeError(f"addmv(): size mismatch, got mat ({_by(mat._shape)}), vec ({vec._shape[0]})")
    return _add_product(Addmv(beta, alpha), input, mat, vec, mat._shape[:1], out)


def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    _check_dims("addr", (1, 1), vec1=vec1, vec2=vec2)
    return _add_product(Addr(beta, alpha), input, vec1, vec2, (vec1._shape[0], vec2._shape[0]), out)


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
    """`beta * input + alpha * (batch1 @ batch2).sum(0)`."""
    _check_dims("addbmm", (3, 3), batch1=batch1, batch2=batch2)
    _check_matrices("addbmm", batch1, batch2)
    return _add_product(Addbmm(beta, alpha), input, batch1, batch2, (batch1._shape[1], batch2._shape[2]), out)


def addr_(self: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`addr` in place."""
    _check_dims("addr_", (1, 1), vec1=vec1, vec2=vec2)
    if self._shape != (vec1._shape[0], vec2._shape[0]):
        raise RuntimeError(
            f"addr_(): size mismatch, input: {list(self._shape)}, v1: {list(vec1._shape)}, v2: {list(vec2._shape)}"
        )
    return apply_inplace(Addr(beta, alpha), self, (vec1, vec2))


def addbmm_(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`addbmm` in place."""
    _check_dims("addbmm_", (3, 3), batch1=batch1, batch2=batch2)
    _check_matrices("addbmm_", batch1, batch2)
    return apply_inplace(Addbmm(beta, alpha), self, (batch1, batch2))


def addmm_(self: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`addmm` in place."""
    _check_dims("addmm_", (2, 2), mat1=mat1, mat2=mat2)
    _check_matrices("addmm_", mat1, mat2)
    return apply_inplace(Addmm(beta, alpha), self, (mat1, mat2))


def baddbmm_(self: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`baddbmm` in place."""
    _check_dims("baddbmm_", (3, 3), batch1=batch1, batch2=batch2)
    _check_matrices("baddbmm_", batch1, batch2)
    return apply_inplace(Baddbmm(beta, alpha), self, (batch1, batch2))


def addmv_(self: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`addmv` in place."""
    _check_dims("addmv_", (2, 1), mat=mat, vec=vec)
    return apply_inplace(Addmv(beta, alpha), self, (mat, vec))


def _operator(a: Any, other: Any) -> Any:
    return _matmul(a, other) if isinstance(other, TensorBase) else NotImplemented


def _reflected(b: Any, other: Any) -> Any:
    a = operand(other, b) if not isinstance(other, (int, float, complex)) else NotImplemented
    return NotImplemented if a is NotImplemented else _matmul(a, b)


ger = outer
for _primitive, _function in (
    (Mm, mm), (Bmm, bmm), (Mv, mv), (Dot, dot), (Vdot, vdot), (Addr, addr), (Addbmm, addbmm), (Addmm, addmm),
    (Baddbmm, baddbmm), (Addmv, addmv),
):  # fmt: skip
    serve(_primitive, _function)
methods(
    mm,
    bmm,
    mv,
    dot,
    vdot,
    outer,
    matmul,
    addmm,
    addmm_,
    baddbmm,
    baddbmm_,
    addmv,
    addmv_,
    addr,
    addr_,
    addbmm,
    addbmm_,
    ger=outer,
)
fill(matmul=_operator, rmatmul=_reflected)
