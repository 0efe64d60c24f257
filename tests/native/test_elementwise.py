"""Elementwise native kernels against NumPy: shapes, strides, alignments, tails, NaN and infinities, empties."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

BINARY = ["add", "sub", "mul", "div"]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype(np.float16), BFLOAT16]
FLOATS = [np.dtype(np.float32), np.dtype(np.float64), *HALVES]
INTEGERS = [np.dtype(t) for t in (np.int64, np.int32, np.uint8)]
SPECIAL = [
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    -1.0,
    3.0,
    -3.0,
    6.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    1e-7,
    20.0,
    20.5,
    -30.0,
    1e30,
    -1e30,
]
# How far the two may differ where both round on the way.
CLOSE = {2: 1e-2, 4: 2e-6, 8: 1e-14}


def numbers(*shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).normal(size=shape) * 3 + 0.5
    return np.asarray(values, dtype=dtype)


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 7, 15, 16, 17, 63, 64, 65, 1000, 16385, 70001])
def test_lengths(compare, name, dtype, length):
    compare(name, numbers(length, dtype=dtype), numbers(length, dtype=dtype, seed=1))


@pytest.mark.parametrize("name", BINARY)
def test_special_values(compare, name):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3e38, -1.0], np.float32)
    a, b = (np.ascontiguousarray(m.ravel()) for m in np.meshgrid(special, special))
    compare(name, a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4, 5, 6), (6,)),
        ((4, 5, 6), (5, 1)),
        ((4, 1, 6), (1, 5, 1)),
        ((), (7,)),
        ((3, 1), (1, 300)),
        ((200, 300), ()),
        ((0, 3), (3,)),
        ((2, 70000), (2, 1)),
    ],
)
def test_broadcasting(compare, a, b):
    compare("sub", numbers(*a), numbers(*b, seed=1))
    compare("sub", numbers(*b), numbers(*a, seed=1))


def test_strides(compare):
    x = numbers(8, 9, 10)
    compare("mul", x.transpose(2, 0, 1), x.transpose(2, 0, 1))
    compare("mul", x[:, ::2], x[:, ::2])
    compare("mul", x[1:, 2:, 3:], x[:-1, 2:, :-3])
    compare("mul", x[:, :, 3], x[0, :8, :1])
    compare("mul", np.broadcast_to(x[:, :1], x.shape), x)
    compare("mul", x.transpose(1, 0, 2)[::2], x.transpose(1, 0, 2)[::2], served=False)
    compare("mul", x[:, ::2], x[:, :1, :].transpose(0, 1, 2))
    compare("mul", np.broadcast_to(x[0, 0], x.shape), x)
    compare("mul", np.broadcast_to(x[:, :, :1], x.shape), np.broadcast_to(x[:1], x.shape))
    compare("mul", x.transpose(0, 2, 1), x.reshape(8, 10, 9))  # row-major wins
    compare("where", x.transpose(0, 2, 1) > 0, x.reshape(8, 10, 9), x.transpose(0, 2, 1))
    compare("where", x.transpose(0, 2, 1) > 0, x.transpose(0, 2, 1), x.transpose(0, 2, 1) * 2)
    compare(
        "mul", x.transpose(0, 2, 1), numbers(10, 9, 8).transpose(2, 0, 1), served=False
    )  # two layouts: NumPy's choice
    compare("mul", x.transpose(0, 2, 1), np.broadcast_to(x[:, :1, :9], (8, 10, 9)), served=False)
    compare("mul", x[:, :, ::-1], x, served=False)
    unaligned = np.zeros(4 * 30 + 1, np.uint8)[1:].view(np.float32)
    compare("mul", unaligned, unaligned, served=False)


def test_out(compare, native):
    a, b = numbers(5, 40), numbers(40, seed=1)
    out = np.empty_like(a)
    assert native.add(a, b, out) is out and np.array_equal(out, a + b)
    expected = a * b
    assert native.mul(a, b, out=a) is a and np.array_equal(a, expected)  # in place
    shifted = numbers(50)
    wanted = shifted[:-1] + shifted[1:]
    before = native.add.declined
    native.add(shifted[:-1], shifted[1:], out=shifted[1:])  # overlaps: NumPy's business
    assert native.add.declined == before + 1 and np.array_equal(shifted[1:], wanted)


def test_hidden_arrays(native):
    x, y = numbers(2, 5, 3, 4), numbers(2, 5, 3, 4, seed=1)
    hidden = HiddenArray(channels_last(x))
    for other in (y, HiddenArray(channels_last(y)), numbers(5, 1, 1, seed=2)):
        found = native.add(hidden, other)
        assert type(found) is HiddenArray and found.array.strides == hidden.array.strides
        assert np.array_equal(found.default(), x + (other.default() if type(other) is HiddenArray else other))
    # A layout that the user chose is the user's: nothing is hidden beside it.
    assert type(native.add(channels_last(x), channels_last(y))) is np.ndarray
    assert type(native.add(hidden, channels_last(y))) is np.ndarray


def test_large_results_come_from_the_pool(native):
    stats = native._module.memory_stats
    a = numbers(300, 300)
    native._module.empty_cache()
    before = stats()
    first = native.add(a, a)
    assert type(first.base).__name__ == "Block" and first.ctypes.data % 64 == 0
    assert stats()["used_bytes"] > before["used_bytes"]
    view = first[1:]
    del first
    assert stats()["idle_bytes"] == 0  # the view holds it
    del view
    assert stats()["idle_bytes"] > 0
    second = native.add(a, a)
    assert stats()["reused"] == before["reused"] + 1 and np.array_equal(second, a + a)


UNARY = {  # name -> whether both must agree to the bit
    "neg": True, "abs": True, "sign": True, "square": True, "sqrt": True, "rsqrt": True, "reciprocal": True, "floor": True, "ceil": True,
    "trunc": True, "round": True, "frac": True, "relu": True, "hardsigmoid": True, "hardswish": True, "isnan": True, "isinf": True,
    "isfinite": True, "logical_not": True, "exp": False, "exp2": False, "expm1": False, "log": False, "log2": False, "log10": False,
    "log1p": False, "tanh": False, "sigmoid": False, "erf": False, "silu": False, "log_sigmoid": False, "mish": False, "softplus": False,
    "elu": False, "gelu": False,
}  # fmt: skip


def special(dtype):
    with np.errstate(all="ignore"):
        return np.array(SPECIAL * 4).astype(dtype)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_unary(compare, name, dtype):
    close = 0.0 if UNARY[name] else CLOSE[dtype.itemsize]
    for x in (special(dtype), numbers(5, 777, dtype=dtype), numbers(40_000, dtype=dtype), numbers(6, 7, 8, dtype=dtype).transpose(2, 0, 1),
              numbers(30, 40, dtype=dtype)[:, ::3], np.empty((3, 0), dtype), numbers(dtype=dtype)):  # fmt: skip
        compare(name, x, rtol=close, atol=close / 10)


@pytest.mark.parametrize("name", ["hypot", "logaddexp"])
@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_hypot_and_logaddexp(compare, name, dtype):
    a, b = (m.ravel() for m in np.meshgrid(special(dtype), special(dtype)))
    compare(name, a, b, rtol=CLOSE[dtype.itemsize], atol=1e-7)
    compare(name, numbers(70_000, dtype=dtype), numbers(70_000, dtype=dtype, seed=1), rtol=CLOSE[dtype.itemsize], atol=1e-6)


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("dtype", [np.dtype(np.float32), *HALVES], ids=str)
def test_sine_and_cosine(compare, name, dtype):
    for x in (special(dtype), numbers(70_000, dtype=dtype) * dtype.type(50)):
        compare(name, x, rtol=CLOSE[dtype.itemsize], atol=1e-6)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "minimum", "fmax", "fmin", "copysign"])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_binary_floats(compare, name, dtype):
    values = special(dtype)[: len(SPECIAL)]
    a, b = (np.ascontiguousarray(m.ravel()) for m in np.meshgrid(values, values))
    if name in ("maximum", "minimum", "fmax", "fmin"):  # of two zeros either may be the larger
        keep = (a != 0) | (b != 0)
        a, b = a[keep], b[keep]
    compare(name, a, b)
    compare(name, numbers(300, 300, dtype=dtype), numbers(300, dtype=dtype, seed=1))
    compare(name, numbers(300, 300, dtype=dtype), numbers(dtype=dtype, seed=1))
    compare(name, numbers(7, 1, 50, dtype=dtype), numbers(3, 1, dtype=dtype, seed=1))


COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]
BITWISE = ["bitwise_and", "bitwise_or", "bitwise_xor"]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum", *COMPARISONS, *BITWISE])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(compare, name, dtype):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(info.min, info.max, (70, 301), dtype=dtype, endpoint=True) for _ in range(2))
    a[::3] = b[::3]
    compare(name, a, b)
    compare(name, a, b[0])
    compare(name, a[:, 1:], np.array(3, dtype))


@pytest.mark.parametrize("name", ["neg", "abs", "sign", "square", "relu", "bitwise_not", "logical_not"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_unary_integers(compare, name, dtype):
    info = np.iinfo(dtype)
    compare(name, np.random.default_rng(0).integers(info.min, info.max, (7, 301), dtype=dtype, endpoint=True))


@pytest.mark.parametrize("name", [*COMPARISONS, "logical_and", "logical_or", "logical_xor"])
@pytest.mark.parametrize("dtype", [*FLOATS, np.dtype(bool)], ids=str)
def test_comparisons(compare, name, dtype):
    values = special(dtype)[: len(SPECIAL)]
    a, b = (np.ascontiguousarray(m.ravel()) for m in np.meshgrid(values, values))
    compare(name, a, b)
    compare(name, numbers(201, 200, dtype=dtype), numbers(200, dtype=dtype, seed=1))
    compare(name, numbers(33, 20, dtype=dtype).T, numbers(33, 20, dtype=dtype, seed=1).T)


@pytest.mark.parametrize("name", BITWISE)
def test_masks(compare, name):
    a, b = np.random.default_rng(0).integers(0, 2, (2, 999)).astype(bool)
    compare(name, a, b)
    compare("bitwise_not", a)


BACKWARD = {
    "threshold_backward": (0,), "leaky_relu_backward": (0.01,), "hardtanh_backward": (-1.0, 1.0), "hardsigmoid_backward": (),
    "hardswish_backward": (), "shrink_backward": (0.5,), "prelu": (), "tanh_backward": (), "sigmoid_backward": (),
    "log_sigmoid_backward": (), "silu_backward": (), "softplus_backward": (2.0, 10.0), "elu_backward": (1.5, 1.1, 0.7),
    "gelu_backward": ("tanh",), "mish_backward": (), "pow_backward": (3,),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKWARD)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradient_kernels(compare, name, dtype):
    # The tails of gelu's gradient are differences of numbers near 1.
    close = {"rtol": CLOSE[dtype.itemsize] * 5, "atol": CLOSE[dtype.itemsize] * (20 if "gelu" in name else 1)}
    finite = np.array([v for v in SPECIAL if abs(v) < 100]).astype(dtype)
    compare(name, numbers(finite.size, dtype=dtype), finite, *BACKWARD[name], **close)
    compare(name, numbers(41_000, dtype=dtype), numbers(41_000, dtype=dtype, seed=1), *BACKWARD[name], **close)
    if name == "gelu_backward":
        compare(name, numbers(410, dtype=dtype), numbers(410, dtype=dtype, seed=1), **close)


PIECES = {
    "threshold": (0.5, 7.0), "leaky_relu": (0.02,), "hardshrink": (0.5,), "softshrink": (0.5,), "elu": (1.5, 1.1, 0.7), "gelu": ("tanh",),
    "softplus": (2.0, 10.0),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_activations_with_parameters(compare, name, dtype):
    close = {"rtol": CLOSE[dtype.itemsize], "atol": CLOSE[dtype.itemsize] / 5}
    compare(name, special(dtype), *PIECES[name], **close)
    compare(name, numbers(41_000, dtype=dtype), *PIECES[name], **close)


def test_gelu_refuses_other_approximations(native):
    with pytest.raises(RuntimeError, match="approximate argument"):
        native.gelu(numbers(3), "sigmoid")


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, np.dtype(bool), np.dtype(np.complex64)], ids=str)
def test_where(compare, dtype):
    a, b = numbers(90, 500, dtype=dtype), numbers(90, 500, dtype=dtype, seed=1)
    mask = numbers(90, 500, seed=2) > 0
    compare("where", mask, a, b)
    compare("where", mask[0], a, b[:, :1])
    compare("where", mask[:, :1], a[0], np.array(1, dtype))
    compare("masked_fill", a, mask, np.array(1, dtype))
    compare("masked_fill", a[3], mask, np.array(1, dtype))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_ternary(compare, dtype):
    a, b, c = (numbers(60, 700, dtype=dtype, seed=i) for i in range(3))
    # A fused multiply-add rounds once where NumPy rounds twice.
    close = {"rtol": CLOSE[dtype.itemsize] * 10, "atol": CLOSE[dtype.itemsize]}
    compare("clamp", a, -0.5, 1)
    compare("clamp", a, None, 1.0)
    compare("clamp_min", a, b)
    compare("clamp_max", a, np.array(0.5, dtype))
    compare("clamp", a, b[0], np.array(2, dtype))
    compare("clamp", special(dtype), -1.0, 3.0)
    compare("lerp", a, b, 0.25, **close)
    compare("lerp", a, b, c, **close)
    compare("addcmul", a, b, c, 0.5, **close)
    compare("addcdiv", a, b, np.abs(c) + dtype.type(1), **close)
    compare("nan_to_num", special(dtype))
    compare("nan_to_num", special(dtype), 1.0, 2.0, -3.0)
    compare("clamp", np.arange(9), 2, 5, served=False)  # integers saturate the bounds


@pytest.mark.parametrize("name", ["mul", "where", "lt", "tanh"])
def test_hidden_operands(native, name):
    """Hidden, hidden and row-major, hidden and a value per channel."""
    x, y = numbers(3, 40, 11, 12), numbers(3, 40, 11, 12, seed=1)
    hidden = HiddenArray(channels_last(x))
    kernel = getattr(native, name)
    for other in (y, HiddenArray(channels_last(y)), numbers(40, 1, 1, seed=2), np.array(0.5, np.float32)):
        shown = other.default() if type(other) is HiddenArray else other
        before = kernel.calls
        if name == "tanh":
            found, wanted = kernel(hidden), kernel(x)
        elif name == "where":
            mask = numbers(40, 1, 1, seed=3) > 0
            found, wanted = kernel(mask, hidden, other), kernel(mask, x, shown)
        else:
            found, wanted = kernel(hidden, other), kernel(x, shown)
        assert kernel.calls == before + 2
        assert type(found) is HiddenArray and np.array_equal(found.default(), wanted)


def test_in_place(native):
    for dtype in FLOATS:
        x, y = numbers(200, 300, dtype=dtype), numbers(200, 300, dtype=dtype, seed=1)
        for name, args in (("add", (y,)), ("mul", (np.array(2, dtype),)), ("relu", ()), ("tanh", ())):
            kernel = getattr(native, name)
            wanted, before = kernel(x, *args), kernel.calls
            assert kernel(x, *args, out=x) is x and np.array_equal(x, wanted)
            assert kernel.calls == before + 1
        part = x[:, 5:9]
        wanted = native.neg(part)
        assert native.neg(part, out=part) is part and np.array_equal(x[:, 5:9], wanted)
