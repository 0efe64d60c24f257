"""Activation functions against torch: values, gradients at the kinks, errors, in-place forms."""

import numpy as np
import pytest

import rushlight as rl
from rushlight.ops import activate

POINTS = [-30.0, -6.0, -3.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.5, 3.0, 6.0, 25.0]
# What torch gives at NaN and the infinities depends on the dtype; float32 is followed, for the functions made of pieces.
NOT_FINITE = [float("nan"), float("inf"), -float("inf")]
PIECES = {"relu", "relu6", "hardtanh", "leaky_relu", "hardsigmoid", "hardshrink", "softshrink", "threshold"}
CASES = [
    ("relu", (), "ReluBackward0"), ("relu6", (), "HardtanhBackward0"), ("hardtanh", (-0.5, 1.0), "HardtanhBackward0"),
    ("leaky_relu", (0.1,), "LeakyReluBackward0"), ("leaky_relu", (-0.5,), "LeakyReluBackward0"), ("elu", (1.5,), "EluBackward0"),
    ("selu", (), "EluBackward0"), ("celu", (0.5,), "CeluBackward0"), ("gelu", (), "GeluBackward0"), ("gelu", ("tanh",), "GeluBackward0"),
    ("silu", (), "SiluBackward0"), ("mish", (), "MishBackward0"), ("softplus", (2.0, 5.0), "SoftplusBackward0"),
    ("softsign", (), "DivBackward0"), ("tanhshrink", (), "SubBackward0"), ("hardsigmoid", (), "HardsigmoidBackward0"),
    ("hardswish", (), "HardswishBackward0"), ("hardshrink", (0.5,), "HardshrinkBackward0"), ("softshrink", (0.5,), "SoftshrinkBackward0"),
    ("threshold", (0.1, 7.0), "ThresholdBackward0"), ("logsigmoid", (), "LogSigmoidBackward0"),
]  # fmt: skip
IN_PLACE = [("relu", ()), ("relu6", ()), ("hardtanh", (-0.5, 1.0)), ("leaky_relu", (0.1,))]


def torch_call(torch, name, x, args):
    keywords = {"approximate": args[0]} if name == "gelu" and args else {}
    return getattr(torch.nn.functional, name)(x, *(() if keywords else args), **keywords)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("name", "args", "node"), CASES)
def test_values_and_gradients(name, args, node, dtype, oracle):
    points = POINTS + NOT_FINITE if dtype == "float32" and name in PIECES else POINTS
    torch = oracle.torch
    x = rl.tensor(points, dtype=getattr(rl, dtype), requires_grad=True)
    t = torch.tensor(points, dtype=getattr(torch, dtype), requires_grad=True)
    out, expected = getattr(activate, name)(x, *args), torch_call(torch, name, t, args)
    assert type(out.grad_fn).__name__ == node == type(expected.grad_fn).__name__
    # torch rounds between the steps of composed functions in the half types.
    loose = {"rtol": 2e-2, "atol": 4e-3} if dtype in ("float16", "bfloat16") else {}
    oracle.assert_same(out, expected, **loose)
    out.backward(rl.ones_like(out))
    expected.backward(torch.ones_like(expected))
    oracle.assert_same(x.grad, t.grad, **loose)


@pytest.mark.parametrize(("name", "args"), IN_PLACE)
def test_in_place(name, args, oracle):
    found = []
    for library, functions in ((rl, activate), (oracle.torch, oracle.torch.nn.functional)):
        x = library.tensor(POINTS, requires_grad=True)
        y = x * 1
        assert getattr(functions, name)(y, *args, inplace=True) is y
        y.backward(library.arange(float(len(POINTS))))
        found.append((y.tolist(), x.grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("shapes", [((2, 3, 2), (3,)), ((2, 3), (1,)), ((4,), (1,)), ((2, 3), (3,)), ((), (1,)), ((2, 3), ())])
def test_prelu(shapes, oracle):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    ours = [rl.tensor(x, requires_grad=True), rl.tensor(w, requires_grad=True)]
    theirs = [oracle.torch.tensor(x, requires_grad=True), oracle.torch.tensor(w, requires_grad=True)]
    out, expected = activate.prelu(*ours), oracle.torch.prelu(*theirs)
    oracle.assert_same(out, expected)
    out.sum().backward()
    expected.sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        oracle.assert_same(a.grad, b.grad)


@pytest.mark.parametrize(
    "program",
    [
        "torch.relu(torch.tensor([-1, 2]))", "torch.relu(torch.tensor([True]))", "torch.relu_(torch.tensor([-1., 2.]))",
        "torch.tensor([-1., 2.]).relu()", "torch.tensor([-1., 2.]).relu_()", "torch.selu(torch.tensor([1]))",
        "torch.celu(torch.tensor([-1.]), alpha=2.)", "torch.celu(torch.tensor([-1.]), alpha=0.)", "torch.tensor([.3, 2.]).hardshrink()",
        "torch.threshold(torch.tensor([1, 5]), 3, 0)", "torch.prelu(torch.ones(2, 3), torch.ones(2))",
        "torch.prelu(torch.ones(2, 3), torch.ones(3).double())", "torch.prelu(torch.ones(2, 3), torch.ones(3, 1))",
        "torch.selu_(torch.tensor([-1.]))", "torch.threshold_(torch.tensor([-1.]), 0, 3)",
    ],
)  # fmt: skip
def test_in_torchs_own_namespace(program, same_program):
    same_program(program)


def test_refusals():
    with pytest.raises(ValueError, match="min_val cannot be greater"):
        activate.hardtanh(rl.ones(2), 1.0, -1.0)
    with pytest.raises(RuntimeError, match="greater or equal to 0"):
        activate.softshrink(rl.ones(2), -1.0)
    with pytest.raises(RuntimeError, match="must be even"):
        activate.glu(rl.ones(3))
    with pytest.raises(RuntimeError, match="0-dimensional"):
        activate.glu(rl.ones(()))
    with pytest.raises(NotImplementedError, match="not implemented for 'Long'"):
        activate.silu(rl.tensor([1]))
    with pytest.raises(RuntimeError, match="approximate"):
        activate.gelu(rl.ones(2), "fast")


def test_glu_and_rrelu_with_given_slopes(oracle):
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    oracle.assert_same(activate.glu(rl.tensor(x), 0), oracle.torch.nn.functional.glu(oracle.torch.tensor(x), 0))
    slope = (1 / 8 + 1 / 3) / 2
    expected = oracle.torch.nn.functional.rrelu(oracle.torch.tensor(x))
    oracle.assert_same(activate.rrelu_with_slopes(rl.tensor(x), rl.tensor(slope)), expected)
