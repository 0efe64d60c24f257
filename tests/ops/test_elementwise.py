"""Elementary functions, rounding, signs and complex numbers against torch, over dtypes and special values."""

import itertools

import numpy as np
import pytest

import rushlight as rl

FLOATS = [0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 0.3, -1.7, 3.0, 10.0, -10.0, float("nan"), float("inf"), -float("inf"), 0.99, 1e-3]
DTYPES = ["float64", "float32", "float16", "bfloat16", "int8", "int64", "uint8", "bool", "complex64"]
UNARY = """abs acos acosh asin asinh atan atanh ceil cos cosh deg2rad exp exp2 expm1 floor frac log log10 log1p log2 nan_to_num neg
positive rad2deg reciprocal round rsqrt sgn sigmoid sign sin sinc sinh sqrt square tan tanh trunc angle conj_physical isnan isinf isfinite
isposinf isneginf isreal logical_not bitwise_not""".split()
BINARY = "atan2 hypot copysign nextafter logaddexp logaddexp2 gcd lcm maximum minimum fmax fmin".split()


def values(dtype):
    if dtype == "bool":
        return [True, False]
    if dtype == "complex64":
        return [0j, 1 + 2j, -1.5 - 0.3j, 0.3 + 0.2j, -2j, 0.5 + 0j]
    if dtype == "uint8":
        return [0, 1, 2, 7, 100]
    return [0, 1, -1, 2, -7, 100] if dtype.startswith("int") else FLOATS


def check(oracle, call, **tolerance):
    ours, theirs = [], []
    for library, found in ((rl, ours), (oracle.torch, theirs)):
        try:
            found.append(call(library))
        except Exception as error:
            found.append(error)
    if isinstance(theirs[0], Exception):
        assert isinstance(ours[0], (type(theirs[0]), NotImplementedError)), f"torch raises {theirs[0]!r}, here: {ours[0]!r}"
    else:
        assert not isinstance(ours[0], Exception), f"{ours[0]!r}, torch gives {theirs[0]}"
        result = theirs[0].resolve_conj() if theirs[0].is_complex() else theirs[0]
        oracle.assert_same(ours[0], result, **tolerance)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name, oracle):
    for dtype in DTYPES:
        check(oracle, lambda library, dtype=dtype: getattr(library, name)(library.tensor(values(dtype), dtype=getattr(library, dtype))))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name, oracle):
    for first, second in itertools.product(("float64", "float32", "bfloat16", "int8", "int64"), repeat=2):
        a, b = zip(*itertools.product(values(first), values(second)), strict=True)

        def call(library, first=first, second=second, a=a, b=b):
            x, y = library.tensor(a, dtype=getattr(library, first)), library.tensor(b, dtype=getattr(library, second))
            return getattr(library, name)(x, y)

        check(oracle, call)


SETUP = (
    "f = torch.tensor([1.25, -2.5, 3.75]); i = torch.tensor([4, 6, 9]); c = torch.tensor([1+2j, -1j]); b = torch.tensor([True, False]); "
    "x = torch.tensor([[.3, .7], [.2, .9]], requires_grad=True); y = torch.tensor([[.4, .6], [.5, .1]], requires_grad=True); "
    "z = torch.tensor([1+2j, .5j], requires_grad=True); "
)
SAME_NAMES = """abs sign sgn exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh atanh sigmoid sinc
deg2rad rad2deg frac trunc fix floor ceil round nan_to_num angle sqrt""".split()


@pytest.mark.parametrize("name", SAME_NAMES)
def test_methods_in_place_forms_and_recorded_names(name, same_program):
    same_program(SETUP + f"x.{name}()")
    if name != "angle":
        same_program(SETUP + f"g = y.detach(); g.{name}_() is g, g")
        same_program(SETUP + f"g = y.detach(); torch.{name}(g, out=torch.empty(0))") if name not in ("fix",) else None


@pytest.mark.parametrize(
    "program",
    [
        "(x + 1).acosh()", "torch.atan2(x, y)", "torch.hypot(x, y)", "torch.logaddexp(x, y)", "torch.logaddexp2(x, y)",
        "x.round(decimals=1)", "f.round(decimals=-1)", "i.round(decimals=1)", "torch.copysign(x, y)", "torch.copysign(x, -2.)",
        "torch.copysign(i, -1)", "torch.ldexp(x, torch.tensor(2))", "torch.frexp(x)", "torch.frexp(f)", "torch.frexp(i)",
        "torch.frexp(f).exponent", "torch.nextafter(x, y)", "torch.heaviside(x, y)", "torch.heaviside(f, i)", "torch.gcd(i, i + 2)",
        "torch.gcd(f, f)", "torch.gcd(i, 2)", "z.conj()", "z.abs()", "z.angle()", "z.sgn()", "z.conj_physical()", "x.conj() is x",
        "x.resolve_conj() is x", "c.sign()", "b.sign()", "b.abs()", "abs(f)", "f.absolute()", "torch.arcsin(x)", "x.arctan2(y)",
        "torch.exp(1.)", "f.exp(1)", "torch.sin(i)", "i.sin_()", "f.nan_to_num(nan=1., posinf=2.)", "torch.tensor(-0.).signbit()",
        "torch.polar(x, y)", "c.isreal()", "f.signbit()", "f.arcsin_()", "f.isfinite()", "torch.tensor(5).sqrt()", "torch.empty(0).exp()",
        "torch.exp(f, out=torch.empty(3, dtype=torch.int64))", "torch.hypot(f, 1)", "f.half().tanh()", "f.bfloat16().exp()",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("name", ["abs", "sgn", "angle", "exp", "log", "sqrt", "tanh", "acosh", "asin"])
def test_complex_gradients_agree(name, oracle):
    found = []
    for library in (rl, oracle.torch):
        z = library.tensor([1 + 2j, -0.5 + 0.3j, 2 - 1j], requires_grad=True)
        out = getattr(z, name)()
        (out.real * 1.5 + (out.imag * 0.7 if out.is_complex() else 0)).sum().backward()
        found.append(z.grad.resolve_conj().numpy())
    np.testing.assert_allclose(*found, rtol=1e-4)


def test_gradients_at_special_points(oracle):
    programs = [
        ("sinc", [0.0]), ("abs", [0.0, -0.0]), ("sgn", [0.0]), ("sqrt", [0.0]), ("nan_to_num", [float("nan"), float("inf"), 1.0]),
        ("log", [0.0]), ("tanh", [50.0]), ("sigmoid", [-200.0]),
    ]  # fmt: skip
    for name, points in programs:
        found = []
        for library in (rl, oracle.torch):
            x = library.tensor(points, requires_grad=True)
            getattr(x, name)().sum().backward()
            found.append(np.array((x.grad + 0).tolist()))
        np.testing.assert_array_equal(*found, err_msg=name)


def test_zero_dim_results_are_arrays():
    for name in SAME_NAMES:
        assert isinstance(getattr(rl, name)(rl.tensor(0.5)).numpy(), np.ndarray), name


def test_functions_in_place():
    from rushlight.ops import inplace_functions

    for name in inplace_functions.__all__:
        assert getattr(inplace_functions, name) is getattr(rl.Tensor, name)
    x = rl.tensor([0.5])
    assert inplace_functions.sin_(x) is x
    assert x.item() == pytest.approx(np.sin(0.5))
