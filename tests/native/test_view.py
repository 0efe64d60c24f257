"""Views against NumPy's: values, strides, whose memory they lie in, and whether they may be written."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.reference import view

BASE = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
ARRAYS = {
    "dense": BASE,
    "turned": BASE.transpose(2, 0, 3, 1),
    "stepped": BASE[:, ::2, 1:],
    "backwards": BASE[::-1],
    "ones": BASE[:1, :, :1],
    "empty": BASE[:, :0],
    "vector": BASE[0, 0, 0],
    "scalar": BASE[0, 0, 0, 0, ...],
    "bfloat16": BASE.astype(ml_dtypes.bfloat16),
    "complex": BASE[:, 1].astype(np.complex64),
    "bool": BASE > 7,
}


@pytest.fixture
def same(native):
    def check(name, x, *args):
        kernel = getattr(native, name)
        before = kernel.calls
        found, wanted = kernel(x, *args), view.KERNELS[name](x, *args)
        assert kernel.calls == before + 1, f"{name}: the native kernel declined this call"
        assert type(found) is np.ndarray and found.dtype == wanted.dtype and found.shape == wanted.shape
        assert found.size == 0 or found.strides == wanted.strides
        assert found.flags.writeable == x.flags.writeable and found.flags.c_contiguous == wanted.flags.c_contiguous
        assert np.array_equal(found, wanted)
        assert found.size == 0 or np.shares_memory(found, x)

    return check


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_view(same, kind):
    x = ARRAYS[kind]
    for dims in itertools.permutations(range(x.ndim)):
        same("permute", x, dims)
    if x.flags.c_contiguous and x.size:
        for shape in ((x.size,), (1, x.size, 1), x.shape[::-1], (*x.shape, 1)):
            same("reshape_view", x, shape)
    same("expand", x, (3, *x.shape))
    same("expand", x, tuple(4 if size == 1 else size for size in x.shape))
    same("squeeze", x, tuple(i for i, size in enumerate(x.shape) if size == 1))
    same("squeeze", x, ())
    for dim in range(x.ndim + 1):
        same("unsqueeze", x, dim)
    for dim, size in enumerate(x.shape):
        for start, stop, step in ((0, size, 1), (1, size, 2), (1, 1, 1), (0, 2, 3), (size, size, 1)):
            same("slice", x, dim, min(start, size), min(stop, size), step)
        if size:
            same("select", x, dim, 0)
            same("select", x, dim, size - 1)


def test_they_keep_the_memory_and_its_permission(same, native):
    locked = BASE.copy()
    locked.flags.writeable = False
    same("expand", locked, (2, *locked.shape))
    row = native.select(BASE.copy(), 0, 1)
    assert np.array_equal(row, BASE[1])  # nobody else holds the copy
    row[...] = 0
    assert row.sum() == 0


def test_what_numpy_refuses_is_left_to_it(native):
    with pytest.raises(IndexError):
        native.select(BASE, 0, 2)
    with pytest.raises(IndexError):
        native.select(BASE, 4, 0)
    before = native.expand.calls
    with pytest.raises(ValueError, match="zip"):
        native.expand(BASE, (5,))
    assert native.expand.calls == before
