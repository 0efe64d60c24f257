"""Arithmetic, powers and fused sums against torch: values, dtypes, errors, names of the recorded operations, in-place forms."""

import itertools

import numpy as np
import pytest

import rushlight as rl

DTYPES = ["float64", "float32", "float16", "bfloat16", "int8", "int64", "uint8", "bool", "complex64"]
FUNCTIONS = ["add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow"]

SETUP = (
    "i = torch.tensor([1, 2, 3]); f = torch.tensor([1., -2., 3.5]); c = torch.tensor([1+2j, -1j]); "
    "b = torch.tensor([True, False, True]); u = torch.tensor([1, 2, 250], dtype=torch.uint8); h = torch.tensor([1., 2.]).half(); "
    "x = torch.tensor([[.3, .7], [.2, .9]], requires_grad=True); y = torch.tensor([[.4, .6], [.5, .1]], requires_grad=True); "
)


def values(dtype):
    if dtype == "bool":
        return [True, False, True]
    if dtype == "complex64":
        return [1 + 2j, -1.5 - 0.5j, 2 - 1j]
    if dtype == "uint8":
        return [1, 7, 3]
    return [1, -7, 3] if dtype.startswith("int") else [0.5, -2.5, 3.0]


def both(oracle, call):
    """The call's result with each library, or the type of its error."""
    found = []
    for library in (rl, oracle.torch):
        try:
            found.append(call(library))
        except Exception as error:
            found.append(error)
    return found


def check(oracle, call):
    ours, theirs = both(oracle, call)
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), f"torch raises {theirs!r}, here: {ours!r}"
    else:
        assert not isinstance(ours, Exception), f"{ours!r}, torch gives {theirs}"
        oracle.assert_same(ours, theirs)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_promotion(name, oracle):
    for first, second in itertools.product(DTYPES, DTYPES):
        powers = [0, 1, 2] if name == "pow" and second not in ("bool", "complex64") else values(second)

        def call(library, first=first, second=second, powers=powers):
            a = library.tensor(values(first), dtype=getattr(library, first))
            return getattr(library, name)(a, library.tensor(powers, dtype=getattr(library, second)))

        check(oracle, call)


@pytest.mark.parametrize("symbol", ["+", "-", "*", "/", "//", "%", "**"])
def test_operators_with_numbers(symbol, oracle):
    for dtype, number in itertools.product(DTYPES, ("2", "0.5", "True", "-3", "2j")):
        if number == "2j" and dtype in ("float16", "bfloat16"):
            continue  # complex32 does not exist here
        for text in (f"t {symbol} {number}", f"{number} {symbol} t"):
            def call(library, text=text, dtype=dtype):
                return eval(text, {"t": library.tensor(values(dtype), dtype=getattr(library, dtype))})

            check(oracle, call)


@pytest.mark.parametrize(
    "program",
    [
        "x / 2", "2 / x", "x / y", "torch.div(x, y, rounding_mode='floor')", "x // y", "x % y", "x % 2", "torch.fmod(x, y)",
        "torch.fmod(x, 2)", "x ** 2", "x ** y", "2 ** x", "torch.pow(2, x)", "x.square()", "x.sqrt()", "x.rsqrt()", "x.reciprocal()",
        "torch.addcmul(x, x, y, value=.5)", "torch.addcdiv(x, x, y, value=.5)", "torch.lerp(x, y, .3)", "torch.lerp(x, y, y)", "-x",
        "1 - x", "x - 1", "x + y", "x * 3", "torch.add(x, y, alpha=2)", "torch.sub(x, y, alpha=2)", "torch.rsub(x, 3)",
        "i.div(2, rounding_mode='floor')", "i.div(2.5, rounding_mode='trunc')", "f.div_(2, rounding_mode='foo')", "i.div_(2)",
        "i.add_(1.5)", "i // 0", "i % 0", "f // 0", "i ** -1", "b ** b", "-b", "b - b", "1 - b", "i - b", "b + b", "b / b", "b // b",
        "u - 255", "u * 2", "i.float_power(2)", "h.float_power(2)", "torch.float_power(2, i)", "f.float_power_(2)",
        "f + None", "f + 'a'", "torch.add(f, 'a')", "torch.add(None, f)", "torch.add(f, torch.ones(2))",
        "torch.addcmul(i, i, i, value=2)", "torch.addcdiv(i, i, i)", "torch.addcmul(f, i, i)", "torch.lerp(i, i, .5)",
        "torch.lerp(f, f.double(), .5)", "f.addcmul_(f, f, value=2)", "f.addcdiv_(f, f)", "f.lerp_(f * 2, .25)", "f.pow_(2)",
        "i.pow_(2)", "f.mul_(2).add_(1, alpha=1).sub_(f, alpha=.5)", "f.neg_()", "f.reciprocal_()", "f.square_()", "i.floor_divide_(2)",
        "f.remainder_(2)", "f.fmod_(2)", "f.true_divide(2)", "torch.divide(f, 2)", "torch.multiply(f, 2)", "torch.subtract(f, 2)",
        "torch.negative(f)", "torch.positive(f) is f", "torch.positive(b)", "torch.add(f, 1, out=torch.empty(3))",
        "torch.add(x, 1, out=torch.empty(2, 2))", "torch.mul(f, f, out=torch.empty(3, dtype=torch.int64))", "f.add(c[0])",
        "torch.empty(0) + 1", "torch.tensor(2.) * torch.tensor([1, 2])", "torch.tensor(2.) ** i", "torch.ones(2, 1) - torch.ones(3)",
        "np.float64(2) * f", "f * np.float32(2)",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("statement", ["f += 1", "f -= 2", "f *= 3", "f /= 4", "f //= 2", "f %= 2", "f **= 2"])
def test_augmented_assignment_writes_in_place(statement, same_program):
    same_program(SETUP + f"g = f; {statement}; (g is f, f)")


@pytest.mark.parametrize(
    "program",
    ["x.add_(1)", "v = x * 1; v.add_(y); v.sum().backward(); x.grad", "v = x * 1; v.neg_(); v.sum().backward(); x.grad",
     "v = x * 1; v.mul_(y); v.sum().backward(); x.grad, y.grad", "v = x * 1; v.div_(y); v.sum().backward(); x.grad, y.grad",
     "v = x * 1; v.sin_(); v.sum().backward(); x.grad", "v = x * 1; v.pow_(3); v.sum().backward(); x.grad",
     "v = x * 1; v.clamp_(max=.5); v.sum().backward(); x.grad", "v = x * 1; v.nan_to_num_(); v.sum().backward(); x.grad",
     "v = x * 1; v.sqrt_(); v.sum().backward(); x.grad", "v = x * 1; v.reciprocal_(); v.sum().backward(); x.grad"],
)  # fmt: skip
def test_in_place_history(program, same_program):
    same_program(SETUP + program)


def test_derivative_of_floor_divide_is_an_error():
    x = rl.tensor([3.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="floor_divide is not implemented"):
        (x // 2).sum().backward()


def test_power_of_zero_has_no_nan_gradient(oracle):
    for library in (rl, oracle.torch):
        base = library.tensor([0.0, 0.0, 2.0], requires_grad=True)
        exponent = library.tensor([2.0, 0.0, 0.0], requires_grad=True)
        (base**exponent).sum().backward()
        np.testing.assert_allclose(base.grad.numpy(), [0, 0, 0])
        np.testing.assert_allclose(exponent.grad.numpy(), [0, 0, np.log(2)], rtol=1e-6)


def test_constants_are_never_handed_out():
    """`x + 2` keeps its 2 for the next call: writing into a result must not change it."""
    (rl.zeros(()) + 2).mul_(5)
    assert (rl.zeros(()) + 2).item() == 2
    rl.where(rl.tensor(True), 2.0, 3.0).mul_(5)
    assert rl.where(rl.tensor(True), 2.0, 3.0).item() == 2
