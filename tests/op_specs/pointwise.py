"""Elementwise operations: arithmetic, elementary and special functions, choices, activations."""

import numpy as np

import rushlight as rl
import rushlight.special
from rushlight.ops import activate
from rushlight.testing.op_spec import Spec


def _torch():
    import torch

    return torch


def library_of(t):
    """rushlight or torch, whichever the tensor belongs to."""
    return rl if isinstance(t, rl.Tensor) else _torch()


def case(name, call, *inputs, **settings):
    """An operation written with operators or methods that both libraries have."""
    return Spec(name, call, list(inputs), torch_function=call, **settings)


def function(name, *shapes, **settings):
    """A function of the same name in both libraries."""
    return Spec(name, getattr(rl, name.partition("-")[0]), list(shapes), **settings)


def special(name, *shapes, **settings):
    short = name.partition("-")[0]
    return Spec(
        f"special-{name}", getattr(rl.special, short), list(shapes),
        torch_function=lambda *ts, **names: getattr(_torch().special, short)(*ts, **names), **settings,
    )  # fmt: skip


def activation(name, *shapes, **settings):
    short = name.partition("-")[0]
    return Spec(name, getattr(activate, short), list(shapes), torch_function=f"nn.functional.{short}", **settings)


def mask(*shape):
    return lambda rng: rng.random(shape) < 0.5


def whole(low, high, *shape):
    return lambda rng: rng.integers(low, high, shape)


def with_zeros(*shape):
    """Numbers some of which are exactly 0."""

    def draw(rng):
        found = rng.uniform(-2, 2, shape)
        found.reshape(-1)[::3] = 0.0
        return found

    return draw


def apart(*shape):
    """Numbers with distances that finite differences do not cross."""

    def draw(rng):
        count = int(np.prod(shape))
        return (rng.permutation(count) * 0.3 - 0.15 * count + 0.07).reshape(shape)

    return draw


POSITIVE = (0.2, 2.0)

ARITHMETIC = [
    function("add", (2, 3), (3,), complex=True),
    function("add-alpha", (2, 3), (2, 1), kwargs={"alpha": 2.5}),
    function("sub", (2, 3), (3,), complex=True),
    function("sub-alpha", (2, 3), (3,), kwargs={"alpha": -1.5}),
    function("rsub", (2, 3), (3,), kwargs={"alpha": 2.0}),
    function("mul", (2, 3), (3,), complex=True),
    function("div", (2, 3), (3,), domain=POSITIVE, complex=True),
    function("div-floor", (2, 3), (3,), domain=POSITIVE, kwargs={"rounding_mode": "floor"}, order=1),
    function("div-trunc", (2, 3), (3,), domain=POSITIVE, kwargs={"rounding_mode": "trunc"}, order=1),
    case("operator-rdiv", lambda x: 2 / x, (2, 3), domain=POSITIVE, complex=True),
    case("operator-rsub", lambda x: 2 - x, (2, 3), complex=True),
    case("operator-neg", lambda x: -x, (2, 3), complex=True),
    function("remainder", (2, 3), (3,), domain=POSITIVE),
    case("operator-mod-number", lambda x: x % 0.7, (2, 3), domain=POSITIVE),
    function("fmod", (2, 3), (3,), domain=POSITIVE),
    case("fmod-number", lambda x: x.fmod(0.7), (2, 3)),
    function("pow", (2, 3), (3,), domain=POSITIVE, complex=True),
    case("pow-square", lambda x: x**2, (2, 3), complex=True),
    case("pow-cube", lambda x: x**3, (2, 3), complex=True),
    case("pow-one", lambda x: x**1, (2, 3)),
    case("pow-zero", lambda x: x**0, (2, 3)),
    case("pow-fraction", lambda x: x**1.7, (2, 3), domain=POSITIVE, complex=True),
    case("pow-negative", lambda x: x**-2, (2, 3), domain=POSITIVE, complex=True),
    case("pow-of-number", lambda x: 1.7**x, (2, 3), complex=True),
    function("float_power", (2, 3), (3,), domain=POSITIVE),
    function("square", (2, 3), complex=True),
    function("sqrt", (2, 3), domain=POSITIVE, complex=True),
    function("rsqrt", (2, 3), domain=POSITIVE, complex=True),
    function("reciprocal", (2, 3), domain=POSITIVE, complex=True),
    function("addcmul", (2, 3), (3,), (2, 1), kwargs={"value": 1.5}, complex=True),
    function("addcdiv", (2, 3), (3,), (2, 1), kwargs={"value": 1.5}, domain=POSITIVE, complex=True),
    function("lerp-number", (2, 3), (2, 3), args=(0.3,)),
    function("lerp", (2, 3), (2, 3), (3,), complex=True),
]  # fmt: skip

ELEMENTARY = [
    *[function(name, (2, 3), complex=True) for name in ("exp", "exp2", "expm1", "sin", "cos", "sinh", "cosh", "tanh", "sigmoid")],
    *[function(name, (2, 3), domain=POSITIVE, complex=True) for name in ("log", "log2", "log10", "log1p")],
    *[function(name, (2, 3), domain=(-0.9, 0.9), complex=True) for name in ("tan", "asin", "acos", "atan", "asinh", "atanh")],
    function("acosh", (2, 3), domain=(1.2, 3.0), complex=True),
    function("atan2", (2, 3), (3,), domain=POSITIVE),
    function("hypot", (2, 3), (3,), domain=POSITIVE),
    function("logaddexp", (2, 3), (3,)),
    function("logaddexp2", (2, 3), (3,)),
    function("sinc", (2, 3), domain=(0.1, 2.0)),
    function("deg2rad", (2, 3)),
    function("rad2deg", (2, 3)),
]

ROUNDING = [
    *[function(name, (2, 3), domain=(0.1, 0.4), order=1) for name in ("floor", "ceil", "trunc", "round", "sign")],
    function("round-decimals", (2, 3), domain=(0.11, 0.14), kwargs={"decimals": 1}, order=1),
    function("frac", (2, 3), domain=(0.1, 0.9)),
    function("abs", apart(2, 3), complex=True),
    Spec("sgn", rl.sgn, [(2, 3)], domain=POSITIVE, complex=True, torch_function="sign"),
    function("angle", (2, 3), domain=POSITIVE, complex=True),
    case("conj", lambda x: x.conj() * 1.0, (2, 3), complex=True),
    case("conj_physical", lambda x: x.conj_physical() * 1.0, (2, 3), complex=True),
    function("nan_to_num", (2, 3)),
    function("copysign", apart(2, 3), apart(3), order=1),
    case("copysign-number", lambda x: x.copysign(-1.0), apart(2, 3), order=1),
    function("ldexp", (2, 3), (3,)),
    case("frexp", lambda x: x.frexp()[0], (2, 3), domain=(0.6, 0.9)),
]

SPECIAL = [
    function("erf", (2, 3)),
    function("erfc", (2, 3)),
    function("erfinv", (2, 3), domain=(-0.9, 0.9)),
    function("lgamma", (2, 3), domain=(0.5, 4.0)),
    function("digamma", (2, 3), domain=(0.5, 4.0)),
    Spec("polygamma", lambda x: rl.polygamma(2, x), [(2, 3)], torch_function=lambda x: _torch().polygamma(2, x), domain=(0.5, 4.0)),
    function("mvlgamma", (2, 3), domain=(2.0, 4.0), args=(3,)),
    function("i0", (2, 3)),
    function("logit", (2, 3), domain=(0.1, 0.9)),
    function("logit-eps", (2, 3), domain=(0.2, 0.8), kwargs={"eps": 0.1}),
    function("xlogy", (2, 3), (3,), domain=POSITIVE),
    special("erfcx", (2, 3)),
    special("entr", (2, 3), domain=POSITIVE),
    special("i0e", (2, 3), domain=POSITIVE),
    special("i1", (2, 3), domain=POSITIVE),
    special("i1e", (2, 3), domain=POSITIVE),
    special("ndtr", (2, 3)),
    special("ndtri", (2, 3), domain=(0.1, 0.9)),
    special("log_ndtr", (2, 3)),
    special("xlog1py", (2, 3), (3,), domain=POSITIVE),
    case("special-zeta", lambda q: library_of(q).special.zeta(2.5, q), (2, 3), domain=POSITIVE),
    case("igamma", lambda x: library_of(x).igamma(x.new_tensor([0.7, 1.5, 3.0]), x), (2, 3), domain=POSITIVE),
    case("igammac", lambda x: library_of(x).igammac(x.new_tensor([0.7, 1.5, 3.0]), x), (2, 3), domain=POSITIVE),
]  # fmt: skip

CHOICES = [
    case("where", lambda c, a, b: library_of(c).where(c, a, b), mask(2, 3), (2, 3), (3,), complex=True),
    case("where-number", lambda c, a: library_of(c).where(c, a, 1.5), mask(2, 3), (2, 3)),
    case("where-number-first", lambda c, a: library_of(c).where(c, 1.5, a), mask(2, 3), (2, 3)),
    case("masked_fill", lambda x, m: x.masked_fill(m, 1.5), (2, 3), mask(2, 3), complex=True),
    case("masked_fill-tensor", lambda x, m, v: x.masked_fill(m, v), (2, 3), mask(3), ()),
    function("clamp", apart(2, 3), args=(-0.5, 0.5)),
    function("clamp-min", apart(2, 3), kwargs={"min": -0.5}),
    function("clamp-max", apart(2, 3), kwargs={"max": 0.5}),
    case("clamp-tensors", lambda x, low, high: x.clamp(low, high), apart(2, 3), (3,), (2, 1), domain=(-0.4, 0.4)),
    case("clamp_min-tensor", lambda x, low: x.clamp_min(low), apart(2, 3), (3,), domain=(-0.05, 0.05)),
    case("clamp_max-tensor", lambda x, high: x.clamp_max(high), apart(2, 3), (3,), domain=(-0.05, 0.05)),
    function("clamp_min", apart(2, 3), args=(0.1,)),
    function("clamp_max", apart(2, 3), args=(0.1,)),
    *[function(name, apart(2, 3), lambda rng: np.full(3, 0.02)) for name in ("maximum", "minimum", "fmax", "fmin")],
]

PIECES = [
    activation("relu", apart(2, 3)),
    activation("relu6", apart(2, 3)),
    activation("hardtanh", apart(2, 3)),
    activation("leaky_relu", apart(2, 3), args=(0.1,)),
    activation("leaky_relu-negative", apart(2, 3), args=(-0.1,)),
    activation("threshold", apart(2, 3), args=(0.1, 2.0)),
    # torch's own gradient has 1/6 in single precision only.
    Spec("hardsigmoid", activate.hardsigmoid, [apart(2, 3)], torch_function=lambda x: (x + 3).clamp(0, 6) / 6),
    activation("hardswish", (2, 3)),
    activation("hardshrink", apart(2, 3)),
    activation("softshrink", apart(2, 3)),
    Spec("prelu", activate.prelu, [apart(2, 3, 2), (3,)], torch_function="nn.functional.prelu"),
    Spec("prelu-one", activate.prelu, [apart(4), (1,)], torch_function="nn.functional.prelu"),
]  # fmt: skip

SMOOTH = [
    activation("elu", apart(2, 3), args=(1.3,)),
    activation("selu", apart(2, 3)),
    activation("celu", apart(2, 3), args=(0.7,)),
    activation("gelu", (2, 3)),
    activation("gelu-tanh", (2, 3), kwargs={"approximate": "tanh"}),
    activation("silu", (2, 3)),
    activation("mish", (2, 3)),
    activation("softplus", (2, 3)),
    activation("softplus-beta", (2, 3), args=(2.0, 1.0)),
    activation("softsign", apart(2, 3)),
    activation("tanhshrink", (2, 3)),
    activation("logsigmoid", (2, 3)),
    activation("glu", (2, 4)),
    activation("glu-first", (4, 3), args=(0,)),
]

SPECS = [*ARITHMETIC, *ELEMENTARY, *ROUNDING, *SPECIAL, *CHOICES, *PIECES, *SMOOTH]
