"""Variances, medians, quantiles, norms, histograms and distinct elements against torch."""

import warnings

import numpy as np
import pytest

import rushlight as rl

SETUP = (
    "x = torch.tensor([[.3, .7, .35], [.2, .9, .95], [1.5, -2., .1]], requires_grad=True); f = x.detach(); i = torch.tensor([3, 1, 2, 3]); "
    "n = torch.tensor([[1., float('nan'), 4.], [2., 3., 0.]]); e = torch.empty(0, 3); z = torch.tensor([1+2j, -1j, 2.]); "
)


@pytest.mark.parametrize(
    "program",
    [
        "x.var()", "x.var(0)", "x.var((0, 1), keepdim=True)", "x.std()", "x.std(0, unbiased=False)", "torch.var_mean(x)",
        "torch.std_mean(x, 0)", "torch.var(f, 0, True)", "f.std(True)", "f.std(False)", "f.var(correction=0)", "f.var(1, correction=2)",
        "f.std(axis=0)", "z.var()", "z.std()", "i.std()", "f.std(0, unbiased=True, correction=1)", "f[:1].var(0)", "e.var()",
        "f.half().std()",
        "torch.std(f, dim=1, keepdim=True)", "torch.var_mean(f, dim=1, keepdim=True)", "torch.std_mean(z)",
        "x.median()", "x.median(0)", "x.nanmedian()", "x.nanmedian(1)", "n.median()", "n.nanmedian()", "n.median(1)", "n.nanmedian(1)",
        "e.median()", "e.median(0)", "x.mode()", "i.mode()", "i.mode(0, True)", "x.kthvalue(2)", "f.kthvalue(5)", "f.kthvalue(1, 0, True)",
        "f.quantile(.4)", "f.quantile(.4, 1)", "f.quantile(torch.tensor([.2, .4]), dim=0, keepdim=True)", "f.quantile(torch.tensor([.2]))",
        "f.quantile(2.)", "f.quantile(torch.tensor([.5]).double())", "i.quantile(.5)", "f.quantile(.5, interpolation='lower')",
        "f.quantile(.3, interpolation='nearest')", "f.quantile(.3, interpolation='foo')", "n.quantile(.5, 1)", "n.nanquantile(.5, 1)",
        "n.nanquantile(torch.tensor([.1, .8]))", "e.quantile(.5)", "torch.tensor(3.).quantile(.5)", "torch.quantile(f, .5, keepdim=True)",
        "torch.cov(x)", "torch.corrcoef(x)", "torch.cov(f[0])", "torch.corrcoef(f[0])", "torch.cov(z)", "f.cov(correction=0)",
        "torch.cov(f, fweights=torch.tensor([1, 2, 3]))", "torch.cov(f, aweights=torch.tensor([.1, .2, .3]))",
        "torch.cov(f, fweights=torch.tensor([1, 2, 3]), aweights=torch.tensor([.1, .2, .4]))", "torch.cov(torch.ones(2, 2, 2))",
        "torch.cov(f, fweights=torch.tensor([1, 2]))",
    ],
)  # fmt: skip
def test_statistics(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize(
    "program",
    [
        "torch.norm(x)", "torch.norm(x, 1)", "torch.norm(x, 2, 0)", "torch.norm(x, 'fro')", "torch.norm(x, 'fro', dim=(0, 1))", "x.norm()",
        "x.norm(3)", "x.norm(2, 0)", "f.norm(0)", "f.norm(float('inf'))", "f.norm(-1, 1)", "f.norm(p=2, dim=-1, keepdim=True)", "z.norm()",
        "i.norm()", "torch.norm(f, dtype=torch.double)", "f.norm('foo')", "e.norm()", "e.norm(float('inf'))", "torch.dist(x, x * 2)",
        "torch.dist(x, x, 1)", "f.dist(f * 3, float('inf'))", "torch.dist(i, i)", "x.renorm(2, 0, .5)", "f.renorm(1, 1, .5)",
        "i.renorm(2, 0, 1.)", "torch.renorm(f, 0, 0, 1.)", "f.clone().renorm_(2, 0, .1)", "f.renorm(float('inf'), 1, 1.)",
    ],
)  # fmt: skip
def test_norms(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, float("inf"), 0.0])
def test_norm_gradient_at_zero_as_torch(p, oracle):
    found = []
    for library in (rl, oracle.torch):
        for rows in ([0.0, 0.0], [0.0, 2.0], [2.0, -2.0]):
            x = library.tensor(rows, requires_grad=True)
            x.norm(p).backward()
            found.append(None if x.grad is None else (x.grad + 0).tolist())
    np.testing.assert_allclose(np.array(found[:3], dtype=float), np.array(found[3:], dtype=float), rtol=1e-6)


def test_std_gradient_of_equal_numbers_is_zero():
    x = rl.ones(3, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_no_degrees_of_freedom_warns():
    with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
        assert np.isnan(rl.ones(1).std().item())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rl.ones(2).std()


def test_corrcoef_gradient(oracle):
    data = np.random.default_rng(0).standard_normal((3, 6))
    found = []
    for library in (rl, oracle.torch):
        x = library.tensor(data, requires_grad=True)
        library.corrcoef(x)[0, 1:].sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_nuclear_norm(oracle):
    if not hasattr(rl.Tensor, "svd"):
        pytest.skip("needs Tensor.svd")
    data = np.random.default_rng(0).standard_normal((2, 3, 4))
    for dim, keepdim in ((None, False), ((0, 2), False), ((2, 1), True)):
        ours = rl.tensor(data).norm("nuc", dim=dim, keepdim=keepdim) if dim else rl.tensor(data[0]).norm("nuc")
        theirs = oracle.torch.tensor(data).norm("nuc", dim=dim, keepdim=keepdim) if dim else oracle.torch.tensor(data[0]).norm("nuc")
        oracle.assert_same(ours, theirs)


@pytest.mark.parametrize(
    "program",
    [
        "f.histc(4)", "f.histc(3, min=0, max=1)", "f.histc(0)", "torch.histc(i.float(), bins=2)", "torch.histogram(f, 3)",
        "torch.histogram(f, 4, range=(0., 1.))", "torch.histogram(f, torch.tensor([0., .3, 1.]))", "torch.histogram(f, 3, density=True)",
        "torch.histogram(f, 2, weight=f.abs())", "f.histogram(2)", "torch.histogram(torch.ones(3), 2)", "torch.histogram(i, 2)",
        "torch.histogram(f, 0)", "torch.histogramdd(f[:, :2], [2, 3])", "torch.histogramdd(f[:, :2], 2, range=[0., 1., -1., 1.])",
        "torch.histogramdd(f[:, :2], [2, 3], density=True)", "i.bincount()", "i.bincount(minlength=6)",
        "i.bincount(weights=torch.tensor([.5, 1., 2., 4.]))", "f.bincount()", "torch.bincount(-i)",
        "torch.empty(0, dtype=torch.int64).bincount()",
        "i.unique()", "i.unique(return_counts=True)", "i.unique(return_inverse=True, return_counts=True)", "f.unique()", "n.unique()",
        "torch.tensor([[1, 2], [0, 5], [1, 2]]).unique(dim=0, return_inverse=True, return_counts=True)", "torch.tensor(4).unique()",
        "torch.tensor(4).unique(dim=0)", "torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))",
        "torch.unique_consecutive(torch.tensor([1, 1, 2, 1]), return_inverse=True, return_counts=True)",
        "torch.unique_consecutive(torch.tensor([[1, 1, 2], [3, 3, 4]]), dim=1)", "torch.tensor([True, False, True]).unique()",
    ],
)  # fmt: skip
def test_counting(program, same_program):
    same_program(SETUP + program)
