"""Special functions against torch and SciPy."""

import numpy as np
import pytest

import rushlight as rl
import rushlight.special  # noqa: F401

SETUP = "x = torch.tensor([[.3, .7], [.2, .9]], requires_grad=True); y = torch.tensor([[.4, .6], [.5, .1]], requires_grad=True); "
UNARY = {
    "airy_ai": (-20, 5), "bessel_j0": (-40, 40), "bessel_j1": (-40, 40), "bessel_y0": (0.01, 40), "bessel_y1": (0.01, 40),
    "digamma": (-3.3, 20), "entr": (-1, 3), "erf": (-4, 4), "erfc": (-4, 6), "erfcx": (-3, 30), "erfinv": (-1, 1), "exp2": (-5, 5),
    "expit": (-20, 20), "expm1": (-3, 3), "gammaln": (-3.3, 40), "i0": (-10, 10), "i0e": (-50, 50), "i1": (-10, 10), "i1e": (-50, 50),
    "log1p": (-0.9, 9), "log_ndtr": (-30, 9), "logit": (0, 1), "modified_bessel_i0": (-9, 9), "modified_bessel_i1": (-9, 9),
    "modified_bessel_k0": (0.01, 30), "modified_bessel_k1": (0.01, 30), "ndtr": (-5, 5), "ndtri": (0, 1), "psi": (0.1, 9),
    "scaled_modified_bessel_k0": (0.01, 30), "scaled_modified_bessel_k1": (0.01, 30), "sinc": (-3, 3), "spherical_bessel_j0": (-9, 9),
    "round": (-3, 3),
}  # fmt: skip
POLYNOMIALS = [
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w", "hermite_polynomial_h",
    "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p", "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v", "shifted_chebyshev_polynomial_w",
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(UNARY))
def test_unary(name, oracle):
    points = np.linspace(*UNARY[name], 301)
    ours = getattr(rl.special, name)(rl.tensor(points)).numpy()
    theirs = getattr(oracle.torch.special, name)(oracle.torch.tensor(points)).numpy()
    # torch's Bessel functions of the first and second kind and Ai are good to few digits; see the identities below.
    rtol, atol = (1e-4, 3e-6) if name.startswith(("bessel", "airy")) else (1e-9, 1e-11)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    assert getattr(rl.special, name)(rl.tensor(points.astype(np.float32))).dtype is rl.float32
    out = rl.empty(0, dtype=rl.float64)
    assert getattr(rl.special, name)(rl.tensor(points), out=out) is out and out.shape == (301,)


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_orthogonal_polynomials(name, oracle):
    points = np.linspace(0.05, 0.95, 7)
    degrees = np.array([[-1.0], [0], [1], [2], [5], [8]])
    ours = getattr(rl.special, name)(rl.tensor(points), rl.tensor(degrees)).numpy()
    theirs = getattr(oracle.torch.special, name)(oracle.torch.tensor(points), oracle.torch.tensor(degrees)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
    assert getattr(rl.special, name)(rl.tensor(points), 3).shape == (7,)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc", "xlogy", "xlog1py", "zeta"])
def test_binary(name, oracle):
    a, b = (g.ravel() for g in np.meshgrid([0.01, 0.5, 1.0, 3.0, 40.0, 300.0], [0.001, 0.7, 2.0, 35.0, 310.0, 900.0]))
    if name == "zeta":
        a, b = (g.ravel() for g in np.meshgrid([1.0, 1.5, 2.0, 7.0], [0.1, 1.0, 12.5]))
    ours = getattr(rl.special, name)(rl.tensor(a), rl.tensor(b)).numpy()
    theirs = getattr(oracle.torch.special, name)(oracle.torch.tensor(a), oracle.torch.tensor(b)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-14)


def test_bessel_functions_meet_their_wronskians():
    x = rl.tensor(np.geomspace(0.02, 60, 400))
    s = rl.special
    cross = s.bessel_j1(x) * s.bessel_y0(x) - s.bessel_j0(x) * s.bessel_y1(x)
    np.testing.assert_allclose((cross * x * np.pi / 2).numpy(), 1, rtol=1e-12)
    cross = s.i0e(x) * s.scaled_modified_bessel_k1(x) + s.i1e(x) * s.scaled_modified_bessel_k0(x)
    np.testing.assert_allclose((cross * x).numpy(), 1, rtol=1e-12)


def test_airy_function_meets_its_equation():
    """Ai'' = x Ai, by fourth-order differences; the parts it is made of join at -8.5 and 2."""
    step, x = 1e-2, np.linspace(-12, 6, 700)
    shifted = {i: rl.special.airy_ai(rl.tensor(x + i * step)).numpy() for i in range(-3, 4)}
    second = (2 * (shifted[3] + shifted[-3]) - 27 * (shifted[2] + shifted[-2]) + 270 * (shifted[1] + shifted[-1]) - 490 * shifted[0]) / (
        180 * step**2
    )
    np.testing.assert_allclose(second, x * shifted[0], atol=1e-8)


def test_incomplete_gamma_at_the_edges(oracle):
    inf, nan = float("inf"), float("nan")
    a, x = [0, 1, 0, inf, inf, 1, -1, nan, 1, 2], [0, 0, 1, 1, inf, inf, 1, 1, -1, nan]
    for name in ("gammainc", "gammaincc"):
        ours = getattr(rl.special, name)(rl.tensor(a, dtype=rl.float64), rl.tensor(x, dtype=rl.float64)).numpy()
        theirs = getattr(oracle.torch.special, name)(oracle.torch.tensor(a).double(), oracle.torch.tensor(x).double()).numpy()
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "program",
    [
        "x.erf()", "x.erfc()", "x.erfinv()", "x.lgamma()", "x.digamma()", "torch.polygamma(2, x)", "x.polygamma(1)", "x.i0()",
        "torch.polygamma(-1, x)", "x.logit()", "x.logit(.25)", "torch.logit(x.detach(), eps=.25)", "torch.xlogy(x, y)",
        "torch.xlogy(2, y)", "torch.xlogy(x, 2)", "torch.special.entr(x)", "torch.special.erfcx(x)", "torch.special.i0e(x)",
        "torch.special.i1(x)", "torch.special.i1e(x)", "torch.special.log_ndtr(x)", "torch.special.ndtri(x)",
        "torch.special.xlog1py(x, y)", "torch.special.xlog1py(2, y)", "torch.special.xlog1py(x, 2)",
        "torch.special.zeta(x.detach() + 1, y)",
        "torch.mvlgamma(x.detach() + 2, 3)", "torch.mvlgamma(x, 0)", "torch.igamma(x.detach(), y)",
        "torch.erf(torch.tensor([1, 2]))", "torch.lgamma(torch.tensor([1+1j]))",
        "torch.xlogy(torch.tensor([0., 0.]), torch.tensor([0., float('nan')]))",
        "torch.xlogy(torch.tensor([3], dtype=torch.uint8), -3)", "x.detach().erf_()", "x.detach().logit_()", "x.detach().lgamma()",
        "x.detach().polygamma_(1)", "torch.special.softmax(x.detach(), 0)", "torch.special.logsumexp(x.detach(), 0)",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


def test_no_derivative_is_an_error():
    x = rl.tensor([0.5], requires_grad=True)
    with pytest.raises(RuntimeError, match="not implemented"):
        rl.special.legendre_polynomial_p(x, 2).sum().backward()
    assert not rl.special.bessel_j0(x).requires_grad  # no history at all, as in torch


def test_logit_gradient_outside_its_domain(oracle):
    found = []
    for library in (rl, oracle.torch):
        for eps in (None, 0.1):
            x = library.tensor([-0.5, 0.05, 0.5, 0.95, 1.5], requires_grad=True)
            x.logit(eps).sum().backward()
            found.append(x.grad.tolist())
    np.testing.assert_allclose(found[:2], found[2:], rtol=1e-5)
