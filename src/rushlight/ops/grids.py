"""Index grids and combinations: meshgrid, cartesian_prod, combinations, tril_indices, triu_indices; complex and polar."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import INTEGER, dtype, float16, float32, float64, int64
from rushlight.base.layout import strided
from rushlight.base.shape import broadcast_shapes as common_shape
from rushlight.base.size import Size
from rushlight.base.warn import warn_user
from rushlight.core.primitive import Primitive, apply2
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import refuse
from rushlight.ops.common import check_broadcast, serve
from rushlight.ops.factory import Fill, deliver, finished, placement, upload
from rushlight.ops.offered import offered
from rushlight.ops.shape import stack

__all__ = ["broadcast_shapes", "cartesian_prod", "combinations", "complex", "meshgrid", "polar", "tril_indices", "triu_indices"]


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes (or, for one dimension, sizes) broadcast to; RuntimeError where they do not fit.

    >>> broadcast_shapes((3, 1), 4)
    torch.Size([3, 4])
    """
    return Size(common_shape(*[(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]))


class Complex(Primitive):
    """real + i * imag."""

    __slots__ = ()
    name = "complex"
    linear = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        real, imag = arrays
        shape = np.broadcast_shapes(real.shape, imag.shape)
        out = k.empty(shape, np.dtype(np.complex128 if real.dtype == np.float64 else np.complex64))
        k.copy_into(k.real_view(out), k.cast(real, k.real_view(out).dtype))
        k.copy_into(k.imag_view(out), k.cast(imag, k.imag_view(out).dtype))
        return out

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.real if needs[0] else None, g.imag if needs[1] else None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, *tangents)


class Polar(Primitive):
    """abs * (cos(angle) + i * sin(angle))."""

    __slots__ = ()
    name = "polar"

    def forward(self, k: Any, *arrays: Any) -> Any:
        size, angle = arrays
        return Complex().forward(k, k.mul(size, k.cos(angle)), k.mul(size, k.sin(angle)))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        size, angle = saved
        cos, sin = angle.cos(), angle.sin()
        return (
            g.real * cos + g.imag * sin if needs[0] else None,
            (g.imag * cos - g.real * sin) * size if needs[1] else None,
        )


def _parts(operation: str, a: Any, b: Any) -> None:
    for t in (a, b):
        if not isinstance(t, TensorBase):
            raise TypeError(f"{operation}(): expected two tensors, got {type(t).__name__}")
    if a._dtype not in (float16, float32, float64) or b._dtype not in (float16, float32, float64):
        raise RuntimeError(
            f"{operation}(): Expected both inputs to be Half, Float or Double tensors but got {a._dtype!r} and {b._dtype!r}; "
            "convert them with x.float()"
        )
    if a._dtype is not b._dtype:
        raise RuntimeError(
            f"{operation}(): Expected both parts to be of one dtype but got {a._dtype!r} and {b._dtype!r}"
        )
    check_broadcast(a, b)


def complex(real: Any, imag: Any, *, out: Any = None) -> Any:
    """The complex tensor `real + imag * 1j`; both of one floating dtype. complex64 of float32 (and float16), complex128 of float64."""
    _parts("complex", real, imag)
    return deliver(apply2(Complex(), real, imag), out, "complex")


def polar(abs: Any, angle: Any, *, out: Any = None) -> Any:
    """The complex tensor of absolute value `abs` and angle `angle` in radians."""
    _parts("polar", abs, angle)
    refuse("polar_cpu", abs, "half")
    return deliver(apply2(Polar(), abs, angle), out, "polar")


serve(Complex, complex)
serve(Polar, polar)


def _listed(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Coordinate grids: one view per vector, expanded to the shape of all. `indexing` is "ij" (matrix, default) or "xy"."""
    vectors = _listed(tensors)
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing is None:
        warn_user("meshgrid: pass indexing='ij' (what happens now) or indexing='xy'; it will be required")
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for v in vectors:
        if len(v._shape) > 1:
            raise RuntimeError(
                f"meshgrid(): Expected 0D or 1D tensor in the tensor list but got shape {list(v._shape)}"
            )
        if v._dtype is not vectors[0]._dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if v._device is not vectors[0]._device:
            raise RuntimeError("meshgrid expects all tensors to have the same device")
    swap = indexing == "xy" and len(vectors) > 1
    if swap:
        vectors = (vectors[1], vectors[0], *vectors[2:])
    shape = tuple(v.numel() for v in vectors)
    grids = [
        v.view((1,) * i + (n,) + (1,) * (len(vectors) - i - 1)).expand(shape)
        for i, (v, n) in enumerate(zip(vectors, shape, strict=True))
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Any) -> Any:
    """All tuples with one element of every vector, shape (product of lengths, number of vectors)."""
    vectors = _listed(tensors)
    for v in vectors:
        if len(v._shape) != 1:
            raise RuntimeError(f"cartesian_prod(): Expect a 1D vector, but got shape {list(v._shape)}")
    if len(vectors) == 1:
        return vectors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*vectors, indexing="ij")], dim=1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All combinations of `r` elements of a vector, in order, shape (count, r)."""
    if len(input._shape) != 1:
        raise RuntimeError(f"combinations(): Expect a 1D vector, but got shape {list(input._shape)}")
    if r < 0:
        raise RuntimeError(f"combinations(): Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    n = input._shape[0]
    grid = np.indices((n,) * r).reshape(r, -1)
    kept = np.ones(grid.shape[1], np.bool_)
    for i in range(r - 1):
        kept &= grid[i] <= grid[i + 1] if with_replacement else grid[i] < grid[i + 1]
    rows = np.ascontiguousarray(grid[:, kept].T)
    return input.index_select(0, upload(rows.reshape(-1), input._device)).reshape(-1, r)


def _triangle(operation: str, row: int, col: int, offset: int, of: Any, device: Any, layout: Any, upper: bool) -> Any:
    if row < 0:
        raise RuntimeError(f"{operation}(): row must be non-negative, got {row}")
    if col < 0:
        raise RuntimeError(f"{operation}(): col must be non-negative, got {col}")
    wanted, where = placement(of, device, layout, None, operation)
    if wanted.category != INTEGER:
        raise RuntimeError(f'"{operation}" not implemented for {wanted!r}: indices are integers')
    found = np.triu_indices(row, offset, col) if upper else np.tril_indices(row, offset, col)
    result = upload(np.stack(found).astype(wanted.np), where)
    return finished(Fill(result._shape, wanted), result)


@offered
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: dtype = int64,
    device: Any = None,
    layout: Any = strided,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Row and column indices of the lower triangle of a `row` by `col` matrix, shape (2, count)."""
    return _triangle("tril_indices", row, col, offset, dtype, device, layout, upper=False)


@offered
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: dtype = int64,
    device: Any = None,
    layout: Any = strided,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Row and column indices of the upper triangle of a `row` by `col` matrix, shape (2, count)."""
    return _triangle("triu_indices", row, col, offset, dtype, device, layout, upper=True)
