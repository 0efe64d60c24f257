"""gradcheck and gradgradcheck: what they accept, what they find, and what they say."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck

torch = pytest.importorskip("torch", reason="parity tests need torch")

modes = pytest.mark.parametrize("fast", [False, True], ids=["slow", "fast"])


def wrong(lib, factor):
    """An identity whose gradient is off by a factor."""

    class Wrong(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * factor

    return Wrong.apply


def doubles(lib, *shape, complex_=False):
    lib.manual_seed(0)
    t = lib.rand(*shape, dtype=lib.float64) + 0.5
    return (t * (1 + 0.5j) if complex_ else t).detach().requires_grad_()


FUNCTIONS = {
    "product": lambda x, y: x * y,
    "several": lambda x, y: (x.exp() * y, x.sum() + y.mean()),
    "with integers": lambda x, y: (x * y, (x > 0)),
    "matmul": lambda x, y: x @ y,
    "views": lambda x, y: x.t()[1:] * y[:, 0],
    "in place": lambda x, y: (x * 1).mul_(y),
    "unused": lambda x, y: x * 2,
    "constant part": lambda x, y: (x * 1, y.detach()),
}


@modes
@pytest.mark.parametrize(
    ("name", "complex_"),  # complex numbers have no order
    [(name, complex_) for name in FUNCTIONS for complex_ in (False, True) if not (complex_ and name == "with integers")],
)
def test_right_derivatives_pass(name, complex_, fast):
    inputs = (doubles(rl, 3, 3, complex_=complex_), doubles(rl, 3, 3, complex_=complex_))
    function = FUNCTIONS[name]
    if name == "constant part":
        inputs = (inputs[0], inputs[1].detach())
    assert gradcheck(function, inputs, fast_mode=fast)
    assert gradgradcheck(function, inputs, fast_mode=fast)


@modes
def test_a_wrong_derivative_is_found_and_located(fast):
    x = doubles(rl, 2, 3)
    with pytest.raises(GradcheckError, match="(?s)Jacobian mismatch for output 0 with respect to input 0.*numerical"):
        gradcheck(wrong(rl, 1.1), x, fast_mode=fast)
    assert gradcheck(wrong(rl, 1.1), x, raise_exception=False, fast_mode=fast) is False
    assert gradcheck(wrong(rl, 1.0), x, fast_mode=fast)


def test_the_worst_entry_is_named():
    class One(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            out = g.clone()
            out[1, 2] *= 3
            return out

    with pytest.raises(GradcheckError, match=r"output\[1, 2\] wrt input\[1, 2\]: analytical 3, numerical 1"):
        gradcheck(One.apply, doubles(rl, 2, 3))


@modes
def test_a_wrong_second_derivative_is_found(fast):
    class Square(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0].detach()

    x = doubles(rl, 3)
    assert gradcheck(Square.apply, x, fast_mode=fast)
    with pytest.raises(GradcheckError):
        gradgradcheck(Square.apply, x, fast_mode=fast)


def test_conjugates_matter():
    class Forgot(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    with pytest.raises(GradcheckError):
        gradcheck(Forgot.apply, doubles(rl, 3, complex_=True))


def test_real_and_complex_together():
    x, z = doubles(rl, 3), doubles(rl, 3, complex_=True)
    assert gradcheck(lambda x, z: x * z, (x, z))
    assert gradcheck(lambda z: z.abs(), (z,))
    assert gradcheck(lambda x: x * (1 + 2j), (x,))


def test_an_unrecorded_dependence_is_found():
    x = doubles(rl, 2)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, x)
    assert gradcheck(lambda x: rl.ones(2, dtype=rl.float64), x)


def test_nondeterminism_is_found():
    calls = []

    class Noisy(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            calls.append(1)
            return g + 1e-9 * len(calls)

    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(Noisy.apply, doubles(rl, 2))
    assert gradcheck(Noisy.apply, doubles(rl, 2), nondet_tol=1e-3)


@pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])
def test_inputs_are_checked(lib):
    check = lib.autograd.gradcheck
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        check(lambda x: x, lib.ones(2, dtype=lib.float64))
    with pytest.warns(UserWarning, match="not a double precision"), pytest.raises(RuntimeError, match="Jacobian mismatch"):
        check(lambda x: x**3, lib.rand(3).add(1).requires_grad_(), eps=1e-6)


def test_cotangents_of_ones_own():
    x = doubles(rl, 3)
    g = doubles(rl, 3)
    assert gradgradcheck(lambda x: x**3, (x,), (g,))


def test_no_gradients_are_left_behind():
    x = doubles(rl, 3)
    gradcheck(lambda x: x**2, x)
    assert x.grad is None
