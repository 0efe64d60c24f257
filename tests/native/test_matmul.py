"""Matrix products of the native kernels against NumPy: every way a product is computed, strides, tails, threads, special values."""

from __future__ import annotations

import numpy as np
import pytest

SIZES = [
    (1, 1, 1), (2, 2, 2), (1, 5, 3), (5, 1, 3), (3, 4, 1), (6, 64, 20), (7, 65, 33), (13, 100, 70), (16, 17, 129),
    (32, 10, 64), (32, 64, 64),
    (1, 300, 200), (1, 1000, 50), (4, 513, 130), (12, 70, 600), (40, 3, 50), (200, 4, 90), (300, 1, 100), (130, 260, 520), (100, 90, 1100),
    (250, 700, 1300), (1030, 260, 1100),
]  # fmt: skip


def numbers(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def operand(rows, columns, form, dtype=np.float32, seed=0):
    """A matrix whose rows are contiguous ("N"), whose columns are ("T"), or neither ("S")."""
    if form == "N":
        return numbers(rows, columns, dtype=dtype, seed=seed)
    if form == "T":
        return numbers(columns, rows, dtype=dtype, seed=seed).T
    return numbers(2 * rows, 3 * columns, dtype=dtype, seed=seed)[::2, ::-3]


def tolerance(dtype, depth):
    return {"rtol": 0.0, "atol": (2e-6 if dtype == np.float32 else 4e-15) * (depth + 1) ** 0.5 * 12}


@pytest.mark.parametrize("forms", ["NN", "NT", "TN", "TT", "SN", "NS", "SS"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_mm(compare, size, forms):
    m, n, k = size
    for dtype in (np.float32, np.float64):
        compare("mm", operand(m, k, forms[0], dtype), operand(k, n, forms[1], dtype, seed=1), **tolerance(dtype, k))


def test_a_large_column_major_matrix_becomes_rows_in_parts(compare):
    a, b = operand(4100, 2100, "T"), operand(2100, 257, "N", seed=1)
    compare("mm", a, b, **tolerance(np.float32, 2100))
    bias = numbers(257, seed=2)
    compare("addmm", bias, a, b, **tolerance(np.float32, 2100))


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 3, 0), (0, 0, 0), (1, 1, 0)], ids=str)
def test_empty(compare, shape):
    m, n, k = shape
    compare("mm", numbers(m, k), numbers(k, n))
    compare("addmm", numbers(n), numbers(m, k), numbers(k, n))
    compare("addmm", numbers(m, n), numbers(m, k), numbers(k, n), 2.0, 3.0, rtol=1e-6)
    compare("bmm", numbers(3, m, k), numbers(3, k, n))
    compare("bmm", numbers(0, m, k), numbers(0, k, n))


def test_a_long_sum_over_a_small_result(compare):
    for form in ("NN", "TN", "NT"):
        a, b = operand(20, 20000, form[0]), operand(20000, 33, form[1], seed=1)
        found = compare("mm", a, b, atol=4e-3)
        exact = a.astype(np.float64) @ b.astype(np.float64)
        assert np.sqrt(np.mean((found - exact) ** 2)) < 1.2e-4  # one sum after the other would be at 3e-4
    compare("mv", operand(9000, 3, "T").T, numbers(9000), atol=2e-3)
    compare("addmm", numbers(7), operand(5, 9000, "T"), numbers(9000, 7, seed=1), 0.5, 2.0, atol=4e-3)


@pytest.mark.parametrize("count", [0, 1, 5, 127, 128, 1000, 16384, 100003])
def test_dot(compare, count):
    for dtype in (np.float32, np.float64):
        a, b = numbers(2 * count, dtype=dtype), numbers(count, dtype=dtype, seed=1)
        compare("dot", a[:count], b, **tolerance(dtype, count))
        compare("dot", a[::2], b[::-1], **tolerance(dtype, count))


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (70, 3), (513, 129), (0, 5), (5, 0)], ids=str)
def test_outer(compare, size):
    n, m = size
    compare("outer", numbers(n), numbers(m, seed=1))
    compare("outer", numbers(2 * n)[::-2], numbers(3 * m, seed=1)[::3])
    compare("outer", numbers(n, dtype=np.float64), numbers(m, dtype=np.float64))


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (129, 65), (64, 2048), (2000, 40)], ids=str)
def test_mv(compare, size):
    n, k = size
    for form in "NTS":
        compare("mv", operand(n, k, form), numbers(k, seed=1), **tolerance(np.float32, k))
    compare("mv", numbers(n, k), numbers(3 * k, seed=1)[::3], **tolerance(np.float32, k))


@pytest.mark.parametrize("shapes", [
    ((5, 7, 9), (5, 9, 4)), ((64, 4, 4), (64, 4, 4)), ((40, 30, 20), (40, 20, 30)), ((3, 1, 50), (3, 50, 70)),
    ((16, 100, 64), (16, 64, 100)),
], ids=str)  # fmt: skip
def test_bmm(compare, shapes):
    left, right = shapes
    limits = tolerance(np.float32, left[-1])
    compare("bmm", numbers(*left), numbers(*right, seed=1), **limits)
    compare(
        "bmm",
        numbers(*left).swapaxes(1, 2).copy().swapaxes(1, 2),
        numbers(*right, seed=1).swapaxes(1, 2).copy().swapaxes(1, 2),
        **limits,
    )
    compare("bmm", np.broadcast_to(numbers(*left[1:]), left), numbers(*right, seed=1), **limits)
    heads = numbers(left[1], left[0], left[2]).transpose(
        1, 0, 2
    )  # [sequence, heads, features] seen as a batch of heads
    compare("bmm", heads, numbers(*right, seed=1), **limits)
    for c in ((right[2],), left[:1] + (1, right[2]), left[:2] + (right[2],), ()):
        compare("baddbmm", numbers(*c, seed=2), numbers(*left), numbers(*right, seed=1), 0.5, -2.0, **limits)


@pytest.mark.parametrize("shapes", [
    ((3,), (3,)), ((3,), (3, 5)), ((4, 3), (3,)), ((2, 4, 3), (3,)), ((3,), (2, 3, 5)), ((2, 4, 3), (3, 5)), ((4, 3), (2, 3, 5)),
    ((2, 1, 4, 3), (6, 3, 5)), ((1, 6, 1, 3), (2, 1, 3, 5)), ((7, 1, 8), (8, 6)), ((0, 4, 3), (3, 5)), ((2, 0, 3), (1, 3, 5)),
    ((6, 7, 20, 30), (30, 90)),
], ids=str)  # fmt: skip
def test_matmul(compare, shapes):
    for dtype in (np.float32, np.float64):
        a, b = numbers(*shapes[0], dtype=dtype), numbers(*shapes[1], dtype=dtype, seed=1)
        compare("matmul", a, b, **tolerance(dtype, shapes[0][-1]))
        if a.ndim > 2:
            compare(
                "matmul",
                np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
                b,
                same_strides=False,
                **tolerance(dtype, shapes[0][-1]),
            )


@pytest.mark.parametrize("size", [(1, 6, 4), (8, 40, 33), (32, 10, 64), (70, 200, 600), (50, 3, 40)], ids=str)
@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
def test_addmm(compare, size, form):
    m, n, k = size
    a, b = operand(m, k, form[0]), operand(k, n, form[1], seed=1)
    for c in (numbers(n), numbers(m, n), numbers(m, 1), numbers(1, n), numbers(), numbers(n, m).T, numbers(2 * n)[::2]):
        for beta, alpha in ((1, 1), (0.5, 2), (0, -1.5), (1, 3.0)):
            compare("addmm", c, a, b, beta, alpha, **tolerance(np.float32, k))
    nan = np.full((m, n), np.nan, np.float32)
    compare("addmm", nan, a, b, 0, 1, **tolerance(np.float32, k))  # beta 0: what the addend holds does not matter
    compare("addmm", nan, a, b, beta=2, **tolerance(np.float32, k))


@pytest.mark.parametrize("size", [(3, 5, 4), (2, 40, 100), (40, 40, 40), (40, 2, 50), (1, 70, 90)], ids=str)
def test_infinities_and_nan_stay_in_their_rows_and_columns(compare, size):
    m, n, k = size
    for form in ("NN", "NT", "TN"):
        a, b = np.array(operand(m, k, form[0])), np.array(operand(k, n, form[1], seed=1))
        a[0, 0], b[k - 1, n - 1], a[m - 1, 1] = np.inf, np.nan, 0.0
        with np.errstate(invalid="ignore"):
            compare("mm", a, b, **tolerance(np.float32, k))


def test_expanded_operands(compare):
    one = np.broadcast_to(np.float32(1.5), (30, 40))  # the gradient of a sum
    compare("mm", one, numbers(40, 50), atol=1e-4)
    compare("mm", numbers(50, 30), one, atol=1e-4)
    compare("mm", np.broadcast_to(numbers(30, 1), (30, 40)), np.broadcast_to(numbers(1, 20), (40, 20)), atol=1e-4)


def test_what_is_left_to_the_reference(compare, native):
    compare("mm", np.ones((2, 3), np.int64), np.ones((3, 2), np.int64), served=False)
    compare("mm", np.ones((2, 3), np.complex64), np.ones((3, 2), np.complex64), served=False)
    for name, a, b in (
        ("mm", (2, 3), (4, 2)),
        ("mm", (2,), (2, 2)),
        ("bmm", (2, 3, 4), (3, 4, 5)),
        ("mv", (2, 3), (2,)),
        ("dot", (2,), (3,)),
    ):
        with pytest.raises(RuntimeError):
            getattr(native, name)(numbers(*a), numbers(*b))


@pytest.mark.parametrize("size", [(64, 64, 1000), (1, 200, 4000), (500, 40, 3000), (8, 100, 2000)], ids=str)
@pytest.mark.parametrize("form", ["NN", "NT", "TN"])
def test_rounding_errors_stay_small(native, size, form):
    m, n, k = size
    a, b = operand(m, k, form[0]), operand(k, n, form[1], seed=1)
    exact = a.astype(np.float64) @ b.astype(np.float64)
    error = np.sqrt(np.mean((native.mm(a, b) - exact) ** 2)) / np.sqrt(np.mean(exact**2))
    assert error < 6e-7
