"""Pooling kernels against torch, and gradients against the adjoint identity."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import pool

torch = pytest.importorskip("torch", reason="parity tests need torch")
F = torch.nn.functional

# spatial, kernel, stride, padding, dilation
CASES = [
    ((9,), (3,), (2,), (1,), (1,)),
    ((10,), (4,), (3,), (2,), (2,)),
    ((7, 8), (3, 2), (2, 2), (1, 1), (1, 1)),
    ((8, 8), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((11, 9), (3, 3), (3, 1), (1, 0), (2, 3)),
    ((5, 6, 4), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 2)),
]


def sample(shape, dtype=np.float64, seed=0):
    # Few different values: ties are part of the definition.
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_max_pool(monkeypatch, case, ceil_mode, dtype):
    monkeypatch.setattr(pool, "BLOCK_BYTES", 1000)
    spatial, *window = case
    if dtype is np.int64 and len(spatial) != 2:
        pytest.skip("torch pools integers in two dimensions only")
    x = sample((2, 3, *spatial), dtype)
    values, indices = pool.max_pool(x, *window, ceil_mode)
    function = getattr(F, f"max_pool{len(spatial)}d")
    expected, at = function(torch.from_numpy(x), *window, ceil_mode=ceil_mode, return_indices=True)
    np.testing.assert_array_equal(values, expected.numpy())
    np.testing.assert_array_equal(indices, at.numpy())
    assert values.dtype == dtype and indices.dtype == np.int64
    g = sample(values.shape, np.float64, 1)
    gx = pool.max_pool_backward(g, indices, x.shape)
    other = sample(x.shape, np.float64, 2)
    assert np.vdot(gx, other) == np.vdot(g, pool.gather_at_indices(other, indices))


@pytest.mark.parametrize("values", [(np.nan,), (-np.inf,), (np.nan, -np.inf, 1.0)])
@pytest.mark.parametrize("padding", [0, 1])
def test_max_pool_orders_nan_and_infinity_as_torch(values, padding):
    x = np.random.default_rng(0).choice(values, (1, 2, 7, 7)).astype(np.float32)
    y, indices = pool.max_pool(x, (3, 3), (2, 2), (padding,) * 2, (1, 1), False)
    expected, at = F.max_pool2d(torch.from_numpy(x), 3, 2, padding, return_indices=True)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, at.numpy())


def test_max_pool_of_a_window_larger_than_a_byte_counts():
    x = np.random.default_rng(0).standard_normal((1, 2, 40, 40))
    y, indices = pool.max_pool(x, (20, 20), (20, 20), (0, 0), (1, 1), False)
    expected, at = F.max_pool2d(torch.from_numpy(x), 20, return_indices=True)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, at.numpy())


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_types(name):
    import ml_dtypes

    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(dtype)
    y, indices = pool.max_pool(x, (3, 3), (2, 2), (1, 1), (1, 1), False)
    wide, at = pool.max_pool(x.astype(np.float32), (3, 3), (2, 2), (1, 1), (1, 1), False)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.astype(np.float32), wide)
    np.testing.assert_array_equal(indices, at)
    mean = pool.avg_pool(x, (3, 3), (2, 2), (1, 1), False, True, None)
    wide = pool.avg_pool(x.astype(np.float32), (3, 3), (2, 2), (1, 1), False, True, None)
    np.testing.assert_array_equal(mean, wide.astype(dtype))
    assert pool.adaptive_avg_pool(x, (1, 1)).dtype == pool.max_pool_backward(y, indices, x.shape).dtype == dtype


def test_max_unpool_inverts_and_names_a_wrong_index():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 8))
    y, indices = pool.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1), False)
    expected = F.max_unpool2d(torch.from_numpy(y), torch.from_numpy(indices), 2)
    np.testing.assert_array_equal(pool.max_unpool(y, indices, x.shape), expected.numpy())
    indices[0, 0, 0, 0] = 48
    with pytest.raises(RuntimeError, match="invalid max index: 48"):
        pool.max_unpool(y, indices, x.shape)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("divisor", [None, 5])
def test_avg_pool(case, ceil_mode, count_include_pad, divisor):
    spatial, kernel, stride, padding, _ = case
    x = np.random.default_rng(0).standard_normal((2, 3, *spatial))
    if len(spatial) == 1 and divisor:
        pytest.skip("avg_pool1d has no divisor_override")
    extra = {} if len(spatial) == 1 else {"divisor_override": divisor}
    tensor = torch.from_numpy(x).requires_grad_()
    expected = getattr(F, f"avg_pool{len(spatial)}d")(
        tensor, kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=count_include_pad, **extra
    )
    y = pool.avg_pool(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-14)
    g = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.from_numpy(g))
    gx = pool.avg_pool_backward(g, x.shape, kernel, stride, padding, count_include_pad, divisor)
    np.testing.assert_allclose(gx, tensor.grad.numpy(), atol=1e-14)


@pytest.mark.parametrize("spatial, out", [((7,), (3,)), ((7, 8), (3, 4)), ((8, 6), (4, 2)), ((2, 3), (5, 3)),
                                          ((5, 5), (1, 1)), ((4, 5, 6), (2, 3, 4))])
def test_adaptive_pools(spatial, out):
    x = np.random.default_rng(0).standard_normal((2, 3, *spatial))
    tensor = torch.from_numpy(x).requires_grad_()
    expected = getattr(F, f"adaptive_avg_pool{len(out)}d")(tensor, out)
    y = pool.adaptive_avg_pool(x, out)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-14)
    g = np.random.default_rng(1).standard_normal(y.shape)
    expected.backward(torch.from_numpy(g))
    np.testing.assert_allclose(pool.adaptive_avg_pool_backward(g, x.shape), tensor.grad.numpy(), atol=1e-14)
    x.reshape(-1)[::5] = np.nan
    values, indices = pool.adaptive_max_pool(x, out)
    expected, at = getattr(F, f"adaptive_max_pool{len(out)}d")(torch.from_numpy(x), out, return_indices=True)
    np.testing.assert_array_equal(values, expected.numpy())
    np.testing.assert_array_equal(indices, at.numpy())


def test_empty_batches_and_strided_inputs():
    empty = np.ones((0, 3, 4, 4))
    values, indices = pool.max_pool(empty, (2, 2), (2, 2), (0, 0), (1, 1), False)
    assert values.shape == indices.shape == (0, 3, 2, 2)
    assert pool.max_pool_backward(values, indices, empty.shape).shape == empty.shape
    assert pool.avg_pool(empty, (2, 2), (2, 2), (0, 0), False, True, None).shape == (0, 3, 2, 2)
    assert pool.adaptive_avg_pool(empty, (1, 1)).shape == (0, 3, 1, 1)
    x = np.random.default_rng(0).standard_normal((6, 8, 3, 2)).transpose(3, 2, 0, 1)[:, ::-1]
    dense = x.copy()
    for kernel in (pool.max_pool, pool.adaptive_max_pool):
        arguments = ((3, 3), (2, 2), (1, 1), (1, 1), True) if kernel is pool.max_pool else ((4, 5),)
        for a, b in zip(kernel(x, *arguments), kernel(dense, *arguments), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        pool.avg_pool(x, (3, 3), (2, 2), (1, 1), True, False, None),
        pool.avg_pool(dense, (3, 3), (2, 2), (1, 1), True, False, None),
    )
