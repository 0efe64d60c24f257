"""nn.utils: clipping, vectors, fusion, normalised weights, parametrizations. Programs run on torch too and must agree."""

from __future__ import annotations

import textwrap
import warnings
from typing import Any

import pytest

import rushlight

torch = pytest.importorskip("torch", reason="parity tests need torch")


def run(program: str, library: Any) -> Any:
    library.manual_seed(5)
    space: dict[str, Any] = {"torch": library, "nn": library.nn, "utils": library.nn.utils, "warnings": warnings}
    try:
        exec(textwrap.dedent(program), space)
    except Exception as error:
        return type(error)
    return numbers(space["found"])


def numbers(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [numbers(v) for v in value]
    if hasattr(value, "detach"):
        return torch.tensor(value.detach().double().tolist(), dtype=torch.float64)
    return value


def same(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif isinstance(ours, torch.Tensor):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    else:
        assert ours == theirs


GRADS = """
ps = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(1))]
ps[0].grad = torch.tensor([1.0, -2.0, 3.0])
ps[1].grad = torch.tensor([[4.0, -5.0], [6.0, 0.5]])
grads = lambda: [p.grad for p in ps[:2]]
"""
CLIPPING = [
    "found = [utils.clip_grad_norm_(ps, 1.0), *grads()]",
    "found = [utils.clip_grad_norm_(ps, 100.0), *grads()]",
    "found = [utils.clip_grad_norm_(ps, 2, norm_type=float('inf')), *grads()]",
    "found = [utils.clip_grad_norm_(ps, 2, norm_type=1), *grads()]",
    "found = [utils.clip_grad_norm_(ps[0], 1.0), *grads()]",
    "found = [utils.clip_grad_norm_((p for p in ps), 1.0), *grads()]",
    "found = [utils.clip_grad_norm_([], 1.0)]",
    "found = [utils.clip_grad_norm_(iter([]), 1.0)]",
    "found = [utils.clip_grad_norm_((p for p in []), 1.0)]",
    "utils.clip_grad_value_(ps, 2.5); found = grads()",
    "utils.clip_grad_value_(ps[0], 1); found = grads()",
    "found = [utils.get_total_norm(grads()), utils.get_total_norm(grads(), 3)]",
    "ps[0].grad[0] = float('nan'); found = utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)",
    "utils.clip_grads_with_norm_(ps, 1.0, torch.tensor(4.0)); found = grads()",
    "found = utils.clip_grad_norm(ps, 1.0)",
    "found = [utils.parameters_to_vector(ps), utils.parameters_to_vector(ps).requires_grad]",
    "v = torch.arange(8.0); utils.vector_to_parameters(v, ps); v[0] = 9; found = [*ps, type(ps[0]).__name__]",
    "utils.vector_to_parameters([1.0], ps)",
]


@pytest.mark.parametrize("program", CLIPPING)
def test_gradients_and_vectors(program: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if "in []" in program else "error")
        same(run(GRADS + program, rushlight), run(GRADS + program, torch))


PROGRAMS = [
    """
    conv, bn = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    bn(torch.randn(3, 4, 2, 2)); bn.weight.data.uniform_(); bn.bias.data.uniform_()
    conv.eval(); bn.eval()
    x = torch.randn(2, 2, 5, 5)
    fused = utils.fuse_conv_bn_eval(conv, bn)
    found = [fused.weight, fused.bias, fused(x), bn(conv(x)), fused.weight.requires_grad]
    """,
    """
    conv, bn = nn.ConvTranspose2d(2, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)
    bn(torch.randn(3, 4, 2, 2))
    conv.eval(); bn.eval()
    fused = utils.fuse_conv_bn_eval(conv, bn, transpose=True)
    found = [fused.weight, fused.bias, fused(torch.ones(1, 2, 3, 3))]
    """,
    "found = utils.fuse_conv_bn_eval(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))",
    """
    linear, bn = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval()
    bn.running_mean.uniform_()
    fused = utils.fuse_linear_bn_eval(linear, bn)
    found = [fused.weight, fused.bias, fused(torch.ones(2, 3))]
    """,
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = utils.weight_norm(nn.Linear(3, 4))
        k = utils.weight_norm(nn.Conv2d(2, 3, 2), dim=None)
    out = m(torch.ones(2, 3))
    out.sum().backward()
    before = list(m.state_dict())
    g = m.weight_g.grad
    utils.remove_weight_norm(m)
    found = [out, before, g, list(m.state_dict()), m.weight, k.weight_g, k.weight, k(torch.ones(1, 2, 3, 3))]
    """,
    "found = utils.weight_norm(nn.Linear(3, 4))",
    "found = utils.remove_weight_norm(nn.Linear(3, 4))",
    """
    m = utils.spectral_norm(nn.Linear(3, 4))
    outs = [m(torch.ones(2, 3)), m(torch.ones(2, 3)), m.eval()(torch.ones(2, 3))]
    outs[0].sum().backward()
    found = [*outs, m.weight_u, m.weight_v, m.weight_orig.grad, list(m.state_dict()), m.state_dict()._metadata[""]["spectral_norm"]]
    utils.remove_spectral_norm(m)
    found += [list(m.state_dict()), m.weight]
    """,
    "m = utils.spectral_norm(nn.ConvTranspose2d(2, 3, 3), n_power_iterations=2); "
    "found = [m(torch.ones(1, 2, 4, 4)), m.weight_u]",
    "utils.spectral_norm(utils.spectral_norm(nn.Linear(2, 2)))",
    "utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)",
    "utils.remove_spectral_norm(nn.Linear(2, 2))",
    "found = [tuple(utils.skip_init(nn.Linear, 3, 4).weight.shape), str(utils.skip_init(nn.Linear, 3, "
    "4).weight.device)]",
    "utils.skip_init(nn.ReLU)",
    "utils.skip_init(int)",
    """
    m = utils.parametrizations.weight_norm(nn.Linear(3, 4))
    out = m(torch.ones(2, 3))
    out.sum().backward()
    found = [out, list(m.state_dict()), m.parametrizations.weight.original0.grad, m.parametrizations.weight.original1, repr(m)]
    """,
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = utils.weight_norm(nn.Linear(3, 4))
    m = utils.parametrizations.weight_norm(nn.Linear(3, 4))
    m.load_state_dict(old.state_dict())
    found = [m.weight, old.weight]
    """,
    """
    m = utils.parametrizations.spectral_norm(nn.Linear(3, 4))
    outs = [m(torch.ones(2, 3)), m(torch.ones(2, 3)), m.eval()(torch.ones(2, 3))]
    found = [*outs, list(m.state_dict()), m.parametrizations.weight[0]._u, repr(m)]
    """,
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_normalised_weights_and_fusion(program: str) -> None:
    same(run(program, rushlight), run(program, torch))


PARAMETRIZE = """
parametrize = utils.parametrize
class Double(nn.Module):
    def forward(self, x):
        return x * 2
    def right_inverse(self, y):
        return y / 2
class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(1).transpose(-1, -2)
class Split(nn.Module):
    def forward(self, a, b):
        return a + b
    def right_inverse(self, y):
        return y / 4, y * 3 / 4
m = nn.Linear(3, 3)
"""
PARAMETRIZED = [
    "p = m.weight; parametrize.register_parametrization(m, 'weight', Symmetric()); "
    "found = [m.weight, m.parametrizations.weight.original is p, "
    "repr(m), list(m.state_dict()), type(m).__name__, parametrize.is_parametrized(m), "
    "parametrize.is_parametrized(m, 'bias')]",
    "parametrize.register_parametrization(m, 'weight', Double()); w = m.weight; m.weight = torch.ones(3, 3); "
    "found = [w, m.weight, "
    "m.parametrizations.weight.original, m(torch.ones(1, 3))]",
    "parametrize.register_parametrization(m, 'weight', Symmetric()); "
    "parametrize.register_parametrization(m, 'weight', Double()); "
    "found = [m.weight, len(m.parametrizations.weight)]",
    "parametrize.register_parametrization(m, 'weight', Split()); "
    "found = [m.weight, list(m.state_dict()), m.parametrizations.weight.original1]",
    "parametrize.register_parametrization(m, 'weight', Double()); parametrize.remove_parametrizations(m, 'weight'); "
    "found = [m.weight, type(m).__name__, list(m.state_dict()), type(m.weight).__name__]",
    "parametrize.register_parametrization(m, 'weight', Double()); "
    "parametrize.remove_parametrizations(m, 'weight', leave_parametrized=False); "
    "found = [m.weight]",
    "parametrize.register_parametrization(m, 'weight', Split()); parametrize.remove_parametrizations(m, 'weight'); "
    "found = [m.weight]",
    "parametrize.register_parametrization(m, 'weight', Split()); "
    "parametrize.remove_parametrizations(m, 'weight', leave_parametrized=False)",
    "parametrize.register_parametrization(m, 'nothing', Double())",
    "parametrize.remove_parametrizations(m, 'weight')",
    "parametrize.register_parametrization(m, 'weight', nn.Flatten(0)); found = 1",
    "parametrize.register_parametrization(m, 'weight', Symmetric()); m.weight = torch.ones(3, 3)",
    "import copy; parametrize.register_parametrization(m, 'weight', Double()); k = copy.deepcopy(m); "
    "k.parametrizations.weight.original.data.zero_(); "
    "found = [k.weight, m.weight, type(k).__name__]",
    "import pickle; parametrize.register_parametrization(m, 'weight', Double()); pickle.dumps(m)",
    "parametrize.register_parametrization(m, 'weight', "
    "Double())\nwith parametrize.cached():\n    same = m.weight is m.weight\n"
    "found = [same, m.weight is m.weight, parametrize.type_before_parametrizations(m).__name__]",
    "b = nn.BatchNorm1d(2); parametrize.register_parametrization(b, 'running_var', Double()); "
    "found = [list(b.state_dict()), b.running_var]",
    "parametrize.register_parametrization(m, 'weight', Double()); m.weight.sum().backward(); "
    "found = m.parametrizations.weight.original.grad",
]


@pytest.mark.parametrize("program", PARAMETRIZED)
def test_parametrize(program: str) -> None:
    same(run(PARAMETRIZE + program, rushlight), run(PARAMETRIZE + program, torch))
