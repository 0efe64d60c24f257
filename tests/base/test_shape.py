"""`Size` and the pure integer shape maths."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rushlight as rl
from rushlight.base.shape import (
    broadcast_shapes,
    check_sizes,
    contiguous_strides,
    infer_size,
    normalize_dim,
    normalize_dims,
    shape_argument,
)
from rushlight.base.size import Size

torch = pytest.importorskip("torch", reason="parity tests need torch")

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])
def test_size(lib):
    s = lib.Size([2, 3, 4])
    assert repr(s) == str(s) == "torch.Size([2, 3, 4])" and repr(lib.Size([])) == "torch.Size([])"
    assert s == (2, 3, 4) and (2, 3, 4) == s and hash(s) == hash((2, 3, 4))
    assert s[0] == 2 and s[-1] == 4 and isinstance(s[1:], lib.Size) and s[1:] == (3, 4)
    assert isinstance(s + (5,), lib.Size) and s + (5,) == (2, 3, 4, 5)
    assert isinstance(s * 2, lib.Size) and len(s * 2) == 6
    assert s.numel() == 24 and lib.Size([]).numel() == 1
    assert isinstance(lib.ones(2, 3).shape, lib.Size)
    first, *rest = s
    assert first == 2 and rest == [3, 4] and 3 in s and s.index(4) == 2
    assert isinstance(pickle.loads(pickle.dumps(s)), lib.Size)


@given(shapes, shapes)
def test_broadcasting_agrees_with_numpy(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match="must match"):
            broadcast_shapes(a, b)
    else:
        assert broadcast_shapes(a, b) == expected


def test_broadcasting_names_the_dimension():
    with pytest.raises(RuntimeError, match=r"tensor a \(3\) must match the size of tensor b \(4\) at non-singleton dimension 1"):
        broadcast_shapes((2, 3), (2, 4))
    assert broadcast_shapes() == () and broadcast_shapes((1,), (0,)) == (0,)


@given(shapes)
def test_contiguous_strides(shape):
    assert contiguous_strides(shape) == torch.empty(shape).stride()


@pytest.mark.parametrize("rank", [0, 1, 3])
@pytest.mark.parametrize("dim", [-4, -3, -1, 0, 2, 3])
def test_normalize_dim(rank, dim):
    span = max(rank, 1)
    if -span <= dim < span:
        assert normalize_dim(dim, rank) == dim % span
    else:
        with pytest.raises(IndexError, match=rf"f\(\): Dimension out of range.*\[{-span}, {span - 1}\], but got {dim}"):
            normalize_dim(dim, rank, "f")


def test_normalize_dims():
    assert normalize_dims(None, 3) == (0, 1, 2)
    assert normalize_dims((-1, 0), 3) == (2, 0)
    assert normalize_dims(1, 3) == (1,)
    assert normalize_dims(0, 0) == () and normalize_dims((), 0) == ()
    with pytest.raises(RuntimeError, match="dim 2 appears multiple times"):
        normalize_dims((2, -1), 3)
    with pytest.raises(TypeError, match="must be int, not str"):
        normalize_dim("a", 3)


def test_shape_argument():
    assert shape_argument((2, 3), "f") == (2, 3)
    assert shape_argument(((2, 3),), "f") == (2, 3)
    assert shape_argument(([2, np.int64(3)],), "f") == (2, 3)
    assert shape_argument((rl.Size([2]),), "f") == (2,)
    assert shape_argument((rl.tensor(2), 3), "f") == (2, 3)
    assert shape_argument((), "f") == ()
    with pytest.raises(TypeError, match=r"f\(\): argument 'size'"):
        shape_argument((2.5,), "f")
    for options in [(True,), ([False, 2],)]:  # as torch: only the first one
        with pytest.raises(TypeError, match=r"f\(\): argument 'size' must be a tuple of ints, got [(\[](True|False)"):
            shape_argument(options, "f")
    assert shape_argument((2, True), "f") == (2, 1)


def test_check_sizes():
    check_sizes((0, 3), "f")
    with pytest.raises(RuntimeError, match="negative dimension -1"):
        check_sizes((2, -1), "f")


@pytest.mark.parametrize("shape", [(4, 3), (-1, 3), (2, -1), (5,), (-1, -1), (-2, 6), (-1, 5), (12, 1, -1), (0, -1)], ids=str)
@pytest.mark.parametrize("numel", [12, 0])
def test_infer_size(shape, numel):
    x = torch.empty(numel)
    try:
        expected = tuple(x.view(shape).shape)
    except RuntimeError:
        with pytest.raises(RuntimeError):
            infer_size(shape, numel)
    else:
        assert infer_size(shape, numel) == expected


def test_size_is_a_tuple():
    assert issubclass(Size, tuple)
