"""Comparisons, logic, choices and their gradients, and the dtype functions, against torch."""

import itertools

import numpy as np
import pytest

import rushlight as rl

SETUP = (
    "i = torch.tensor([1, 2, 3]); f = torch.tensor([1., -2., float('nan')]); c = torch.tensor([1+2j, 0j]); "
    "b = torch.tensor([True, False, True]); u = torch.tensor([1, 0, 3], dtype=torch.uint8); m = torch.tensor([[1, 0], [0, 1]]).bool(); "
    "x = torch.tensor([[.3, .7], [.2, .9]], requires_grad=True); y = torch.tensor([[.4, .6], [.5, .9]], requires_grad=True); "
)


@pytest.mark.parametrize("symbol", ["==", "!=", "<", "<=", ">", ">=", "&", "|", "^", "<<", ">>"])
def test_operators(symbol, same_program):
    numbers = ["2", "True"] + ([] if symbol in ("<<", ">>") else ["0.5", "-1"])
    for name, other in itertools.product("ifbuc", [*numbers, "i", "b", "u", "f"]):
        if other == name == "c" or (name == "c" and len(other) == 1 and other in "ibuf"):
            continue
        same_program(SETUP + f"{name} {symbol} {other}")
        if other in numbers:
            same_program(SETUP + f"{other} {symbol} {name}")


@pytest.mark.parametrize(
    "program",
    [
        "f == None", "f != None", "f == 'a'", "f < None", "f.eq(None)", "torch.eq(f, 1)", "torch.not_equal(i, 2)", "i.less(2)",
        "i.greater_equal(2)", "c < c", "c == c", "~b", "~i", "~f", "b.logical_not()", "torch.logical_and(f, i)", "f.logical_xor(b)",
        "torch.logical_or(f, u)", "torch.logical_not(i, out=torch.empty(3))", "torch.bitwise_and(1, i)", "i.bitwise_or(4)",
        "b.bitwise_xor(True)", "i.bitwise_left_shift(1)", "f & 1", "f << 1", "b << 1", "i.clone().eq_(2)", "i.clone().lt_(2)",
        "b.clone().logical_not_()", "g = i.clone(); g &= 1; g", "g = b.clone(); g |= True; g", "g = i.clone(); g <<= 2; g",
        "g = b.clone(); g ^= b; g", "torch.isclose(i, i + 1)", "torch.isclose(f, f)", "torch.isclose(f, f, equal_nan=True)",
        "torch.isclose(f, i)", "torch.isclose(f, f, rtol=-1)", "torch.allclose(f[:2], f[:2] + 1e-9)", "f.equal(f)", "i.equal(i)",
        "i.equal(i.float())", "torch.equal(i, i[:2])", "torch.isin(f, 1.)", "torch.isin(1., f)", "torch.isin(1, 2)",
        "torch.isin(i, torch.tensor([3, 1]), invert=True)", "f.is_nonzero()", "i[0].is_nonzero()", "torch.is_complex(c)",
        "torch.is_floating_point(i)", "torch.numel(x)", "torch.is_tensor(x), torch.is_tensor(3)", "torch.result_type(i, 2.)",
        "torch.result_type(f, torch.tensor(1.).double())", "torch.result_type(i, torch.tensor(1.))", "torch.result_type(1, 2.)",
        "torch.can_cast(torch.double, torch.int)", "torch.promote_types(torch.uint8, torch.int8)", "1 in i", "bool(i)",
        "f.isposinf()", "c.isposinf()", "torch.eq(i, i, out=torch.empty(0, dtype=torch.bool))", "i.signbit()",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize(
    "program",
    [
        "torch.where(m, x, y)", "torch.where(m, x, 2.)", "torch.where(m, 2., x)", "torch.where(b, 1, 2)", "torch.where(b, 1, 2.)",
        "torch.where(b, i, 2.)", "torch.where(b, f, i)", "torch.where(u, i, i)", "torch.where(i, f, i)", "torch.where(b)",
        "x.where(m, y)", "f.where(b, 1)", "torch.where(b, torch.ones(2, 1), 0.)", "torch.where(b, 'a', 1)",
        "torch.where(torch.ones(2).bool(), i, i)", "x.masked_fill(m, 1.)", "x.masked_fill(m, torch.tensor(1.))", "f.masked_fill(i, 1)",
        "f.masked_fill(b, torch.tensor([1.]))", "i.masked_fill(b, 1.5)", "f.masked_fill(b, 1j)", "f.masked_fill_(b, 7)",
        "i.masked_fill_(b, torch.tensor(2.7))", "x.clamp(0, 1)", "x.clamp(min=.5)", "x.clamp(max=.5)", "x.clamp(y, None)",
        "x.clamp(x, y)", "x.clamp_min(.5)", "x.clamp_min(y)", "x.clamp_max(.5)", "x.clamp_max(y)", "f.clamp()", "i.clamp(1.5)",
        "i.clamp(1, 2.5)", "b.clamp(0, 1)", "c.clamp(0, 1)", "torch.clamp(f, f, 2)", "f.clamp_(max=.5)", "f.clip(0, 1)", "i.clamp_(1.5)",
        "torch.maximum(x, y)", "torch.minimum(x, y)", "torch.fmax(x, y)", "torch.fmin(x, y)", "torch.max(x, y)",
        "torch.min(x, other=y)", "torch.maximum(i, f)", "torch.maximum(c, c)", "torch.fmax(f, torch.zeros(3))",
    ],
)  # fmt: skip
def test_choices(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin"])
def test_ties_and_nan_share_the_gradient_as_torch(name, oracle):
    found = []
    for library in (rl, oracle.torch):
        a = library.tensor([1.0, 2.0, 3.0, float("nan"), 1.0], requires_grad=True)
        b = library.tensor([1.0, 3.0, 2.0, 1.0, float("nan")], requires_grad=True)
        getattr(library, name)(a, b).backward(library.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
        found.append(np.array([a.grad.tolist(), b.grad.tolist()]))
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, None), (None, 1.0), (1.0, 0.0)])
def test_clamp_gradient_at_the_bounds(bounds, oracle):
    found = []
    for library in (rl, oracle.torch):
        for wrapped in (lambda v: v, lambda v, library=library: None if v is None else library.tensor(v, requires_grad=True)):
            low, high = map(wrapped, bounds)
            x = library.tensor([-1.0, 0.0, 0.5, 1.0, 2.0, float("nan")], requires_grad=True)
            x.clamp(low, high).backward(library.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
            found += [x.grad.tolist()] + [b.grad.item() for b in (low, high) if getattr(b, "grad", None) is not None]
    half = len(found) // 2
    assert found[:half] == found[half:]


def test_masked_branch_keeps_infinity_out():
    """The branch that was not taken gets 0, not 0 * inf."""
    x = rl.tensor([0.0, 4.0], requires_grad=True)
    rl.where(x > 0, x, rl.zeros(2)).sqrt()[1:].sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]
    g = rl.tensor([float("inf"), 1.0])
    y = rl.tensor([-1.0, 1.0], requires_grad=True)
    rl.where(y > 0, y, 0.0).backward(g)
    assert y.grad.tolist() == [0.0, 1.0]
