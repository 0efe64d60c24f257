"""Views: results that share the memory of their input. Shared by every backend whose arrays are NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided as _as_strided

Array = np.ndarray[Any, Any]


def reshape_view(x: Array, shape: tuple[int, ...]) -> Array | None:
    """`x` in another shape without a copy, or None where its strides do not allow that."""
    try:
        return x.reshape(shape, copy=False)
    except ValueError:
        return None


def permute(x: Array, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


def expand(x: Array, shape: tuple[int, ...]) -> Array:
    """`x` broadcast to `shape` with zero strides; new dimensions in front."""
    lead = len(shape) - x.ndim
    strides = (0,) * lead + tuple(
        0 if have == 1 and want != 1 else stride
        for have, want, stride in zip(x.shape, shape[lead:], x.strides, strict=True)
    )
    return _as_strided(x, shape, strides)


def select(x: Array, dim: int, index: int) -> Array:
    """The slice of `x` at `index` of dimension `dim`, which goes away."""
    return x[(slice(None),) * dim + (index, ...)]


def slice_(x: Array, dim: int, start: int, stop: int, step: int) -> Array:
    return x[(slice(None),) * dim + (slice(start, stop, step),)]


def squeeze(x: Array, dims: tuple[int, ...]) -> Array:
    """`x` without the dimensions `dims`, all of size 1."""
    keep = [i for i in range(x.ndim) if i not in dims]
    return _as_strided(x, tuple(x.shape[i] for i in keep), tuple(x.strides[i] for i in keep))


def unsqueeze(x: Array, dim: int) -> Array:
    """`x` with a dimension of size 1 at `dim`; its stride is torch's (size times stride of what follows)."""
    stride = x.strides[dim] * x.shape[dim] if dim < x.ndim else x.itemsize
    return _as_strided(x, x.shape[:dim] + (1,) + x.shape[dim:], x.strides[:dim] + (stride,) + x.strides[dim:])


def diagonal(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    """The diagonal over `dim1` and `dim2`, its dimension last. (`ndarray.diagonal` would be read-only.)"""
    rows, columns = x.shape[dim1], x.shape[dim2]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = [slice(None)] * x.ndim
    start[dim1], start[dim2] = slice(max(-offset, 0), None), slice(max(offset, 0), None)
    corner = x[tuple(start)]
    rest = [i for i in range(x.ndim) if i not in (dim1, dim2)]
    shape = (*(x.shape[i] for i in rest), length)
    return _as_strided(corner, shape, (*(x.strides[i] for i in rest), x.strides[dim1] + x.strides[dim2]))


def unfold_view(x: Array, dim: int, size: int, step: int) -> Array:
    """All windows of `size` along `dim`, one every `step`; the window's dimension is last."""
    count = (x.shape[dim] - size) // step + 1 if x.ndim else 1
    shape = (*x.shape[:dim], count, *x.shape[dim + 1 :], size)
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return _as_strided(x, shape, strides)


def as_strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Array:
    """A view of the memory block under `x` given in elements, offset from the start of the block."""
    root = memory_root(x)
    flat = (
        np.frombuffer(root, np.uint8)
        if not isinstance(root, np.ndarray)
        else root.reshape(-1, copy=False).view(np.uint8)
    )
    start = offset * x.itemsize
    bytes_strides = tuple(s * x.itemsize for s in strides)
    return np.ndarray(shape, x.dtype, flat.data, start, bytes_strides) if flat.size else np.empty(shape, x.dtype)


def memory_root(x: Array) -> Any:
    """The outermost contiguous array that owns the memory of `x`."""
    root: Any = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not root.flags.c_contiguous:
        root = np.lib.stride_tricks.as_strided(root, (root.size,), (root.itemsize,), writeable=root.flags.writeable)
    return root


def real_view(x: Array) -> Array:
    return x.real


def imag_view(x: Array) -> Array:
    return x.imag


def view_as_real(x: Array) -> Array:
    """Complex numbers as a last dimension of (real, imaginary)."""
    part = np.dtype(np.float32 if x.dtype == np.complex64 else np.float64)
    return _as_strided(x.real, (*x.shape, 2), (*x.strides, part.itemsize))


def view_as_complex(x: Array) -> Array:
    """A last dimension of (real, imaginary), dense, as complex numbers."""
    return x.view(np.complex64 if x.dtype == np.float32 else np.complex128)[..., 0]


def view_dtype(x: Array, dtype: np.dtype[Any]) -> Array:
    """The same bytes read as another dtype (the last dimension must be dense when the item size changes)."""
    return x.view(dtype)


KERNELS = {
    "reshape_view": reshape_view,
    "permute": permute,
    "expand": expand,
    "select": select,
    "slice": slice_,
    "squeeze": squeeze,
    "unsqueeze": unsqueeze,
    "diagonal": diagonal,
    "unfold_view": unfold_view,
    "as_strided": as_strided,
    "real_view": real_view,
    "imag_view": imag_view,
    "view_as_real": view_as_real,
    "view_as_complex": view_as_complex,
    "view_dtype": view_dtype,
}
