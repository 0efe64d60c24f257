"""Running sums and their like, differences and trapezoids against torch."""

import numpy as np
import pytest

import rushlight as rl

SETUP = (
    "x = torch.tensor([[.3, .7, .3], [.2, .9, -.9]], requires_grad=True); f = x.detach(); i = torch.tensor([3, 1, 2, 3]); "
    "b = torch.tensor([True, False, True]); n = torch.tensor([1., 3., float('nan'), 2.]); "
)


@pytest.mark.parametrize(
    "program",
    [
        "x.cumsum(0)", "x.cumsum(-1)", "x.cumprod(1)", "x.cummax(1)", "x.cummin(0)", "x.logcumsumexp(1)", "i.cumsum(0)",
        "i.cumsum(0, dtype=torch.float)", "b.cumsum(0)", "b.cumprod(0)", "i.cummax(0)", "n.cummax(0)", "n.cummin(0)", "n.cumsum(0)",
        "n.logcumsumexp(0)", "i.logcumsumexp(0)", "f.cumsum(axis=1)", "f.cumsum(3)", "f.cumsum()", "torch.tensor(2.).cumsum(0)",
        "torch.tensor(2.).cummax(0)", "torch.empty(0, 3).cumsum(0)", "f.clone().cumsum_(1)", "i.to(torch.int32).cumsum_(0)",
        "f.clone().cumprod_(0)", "torch.cumsum(f, 0, out=torch.empty(0))", "torch.cummax(f, 0).values", "f.t().cumsum(1)",
        "torch.logcumsumexp(torch.tensor([-float('inf'), -float('inf'), 1.]), 0)", "f.bfloat16().cumsum(1)",
        "x.diff()", "x.diff(dim=0)", "f.diff(n=2)", "f.diff(n=0)", "f.diff(n=5)", "b.diff()", "i.diff(prepend=torch.tensor([0]))",
        "i.diff(append=torch.tensor([9, 9]))", "torch.tensor(1.).diff()", "torch.diff(f, n=-1)",
        "torch.trapezoid(f)", "torch.trapz(f, dim=0)", "torch.trapezoid(f, dx=2.)", "torch.trapezoid(f, torch.tensor([0., 1., 3.]))",
        "torch.trapezoid(f, f)", "torch.cumulative_trapezoid(f)", "torch.cumulative_trapezoid(f, torch.tensor([0., 2.]), dim=0)",
        "torch.trapezoid(b)", "torch.trapezoid(i)", "torch.trapezoid(torch.tensor(1.))",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("zeros", [[], [1], [0], [0, 2], [1, 3], [0, 1, 2, 3]])
def test_cumprod_gradients_are_exact_at_zeros(zeros, oracle):
    """First and second order, against torch in float64 and against the definition."""
    numbers = np.array([2.0, -3.0, 5.0, 0.5])
    numbers[zeros] = 0.0
    weights = np.array([1.0, 2.0, -1.0, 3.0])
    x = rl.tensor(numbers, requires_grad=True)
    (g,) = rl.autograd.grad((x.cumprod(0) * rl.tensor(weights)).sum(), x, create_graph=True)
    expected = [
        sum(weights[i] * np.prod([numbers[k] for k in range(i + 1) if k != j]) for i in range(j, 4)) for j in range(4)
    ]
    np.testing.assert_allclose(g.detach().numpy(), expected)
    (second,) = rl.autograd.grad(g[1], x)
    pairs = [
        0.0 if j == 1 else sum(weights[i] * np.prod([numbers[k] for k in range(i + 1) if k not in (1, j)]) for i in range(max(j, 1), 4))
        for j in range(4)
    ]
    np.testing.assert_allclose(second.numpy(), pairs)


def test_logcumsumexp_gradient_survives_large_numbers(oracle):
    found = []
    for library in (rl, oracle.torch):
        x = library.tensor([-1000.0, 900.0, -float("inf"), 901.0, 3.0], dtype=library.float64, requires_grad=True)
        x.logcumsumexp(0).backward(library.tensor([1.0, -2.0, 0.0, 3.0, 0.5], dtype=library.float64))
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-12)


def test_cummax_gradient_goes_to_the_latest_of_equals(oracle):
    found = []
    for library in (rl, oracle.torch):
        x = library.tensor([1.0, 3.0, 2.0, 3.0, 3.0], requires_grad=True)
        x.cummax(0).values.backward(library.tensor([1.0, 2.0, 4.0, 8.0, 16.0]))
        found.append(x.grad.tolist())
    assert found[0] == found[1]
