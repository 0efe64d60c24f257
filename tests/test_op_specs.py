"""Every operation, from the one line about it in tests/op_specs/: gradients to second order, forward rules, torch.

The derivatives are compared with central differences in float64 along random directions; the oracle (the function itself
at shifted inputs) never uses a derivative rule.
"""

from __future__ import annotations

import importlib.util
import zlib
from pathlib import Path

import numpy as np
import pytest

import rushlight as rl
from rushlight.core.modes import Override
from rushlight.testing.op_spec import Spec

STEP = 1e-5


def _load() -> list[Spec]:
    found: list[Spec] = []
    for path in sorted((Path(__file__).parent / "op_specs").glob("*.py")):
        module_spec = importlib.util.spec_from_file_location(f"op_specs_{path.stem}", path)
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
        found += module.SPECS
    return found


SPECS = _load()
BY_NAME = {spec.name: spec for spec in SPECS}


def each(condition=lambda spec: True):
    return pytest.mark.parametrize("name", [spec.name for spec in SPECS if condition(spec)])


def rng_for(spec):
    return np.random.default_rng(zlib.crc32(spec.name.encode()))


def draw(spec, rng, complex_=False):
    arrays = spec.draw(rng)
    if complex_:
        arrays = [a + 1j * rng.uniform(-1, 1, a.shape) if a.dtype == np.float64 else a for a in arrays]
    return arrays


def outputs_of(value):
    """The differentiable outputs."""
    found = value if isinstance(value, (tuple, list)) else (value,)
    return [t for t in found if isinstance(t, rl.Tensor) and (t.is_floating_point() or t.is_complex())]


def call(spec, tensors):
    return outputs_of(spec.function(*tensors, *spec.args, **spec.kwargs))


def differentiable(array):
    return array.dtype.kind in "fc"


def tensors_of(arrays, requires_grad):
    return [rl.tensor(a, requires_grad=requires_grad and differentiable(a)) for a in arrays]


def scalar(spec, arrays, weights):
    """Re sum conj(w) * output, in float64: what the gradient is the gradient of."""
    with rl.no_grad():
        outs = call(spec, tensors_of(arrays, False))
    return sum(float(np.sum(np.conj(w) * o.numpy()).real) for w, o in zip(weights, outs, strict=True))


def weights_for(outs, rng):
    return [_direction(rng, o.detach().numpy()) for o in outs]


def _direction(rng, like):
    found = rng.standard_normal(like.shape)
    return found + 1j * rng.standard_normal(like.shape) if np.iscomplexobj(like) else np.asarray(found)


def moved(arrays, directions, step):
    return [a + step * d if d is not None else a for a, d in zip(arrays, directions, strict=True)]


def gradients(spec, arrays, weights, create_graph=False):
    xs = tensors_of(arrays, True)
    outs = call(spec, xs)
    wanted = [x for x in xs if x.requires_grad]
    live = [(o, rl.tensor(w)) for o, w in zip(outs, weights, strict=True) if o.requires_grad]
    found = rl.autograd.grad(
        [o for o, _ in live], wanted, [w for _, w in live], create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
    return xs, found


def close(numeric, analytic, scale, tolerance):
    return abs(numeric - analytic) <= tolerance * (abs(numeric) + abs(analytic)) + 50 * tolerance * 1e-2 * max(scale, 1e-3)


def check_first_order(spec, arrays, rng):
    outs = call(spec, tensors_of(arrays, False))
    assert outs, f"{spec.name} returned nothing differentiable"
    weights = weights_for(outs, rng)
    _, found = gradients(spec, arrays, weights)
    directions = [_direction(rng, a) if differentiable(a) else None for a in arrays]
    live = [d for d in directions if d is not None]
    up, down = (scalar(spec, moved(arrays, directions, s * STEP), weights) for s in (1, -1))
    numeric = (up - down) / (2 * STEP)
    analytic = sum(float(np.sum(np.conj(g.detach().numpy()) * d).real) for g, d in zip(found, live, strict=True))
    assert close(numeric, analytic, abs(up), spec.tolerance), f"{spec.name}: central difference {numeric}, derivative rule {analytic}"


@each()
def test_gradient(name):
    spec = BY_NAME[name]
    rng = rng_for(spec)
    check_first_order(spec, draw(spec, rng), rng)


@each(lambda spec: spec.complex)
def test_complex_gradient(name):
    spec = BY_NAME[name]
    rng = rng_for(spec)
    check_first_order(spec, draw(spec, rng, complex_=True), rng)


@each(lambda spec: spec.order >= 2)
def test_second_order(name):
    spec = BY_NAME[name]
    rng = rng_for(spec)
    arrays = draw(spec, rng)
    weights = weights_for(call(spec, tensors_of(arrays, False)), rng)

    def first(at):
        return gradients(spec, at, weights, create_graph=True)

    xs, found = first(arrays)
    wanted = [x for x in xs if x.requires_grad]
    second_weights = [_direction(rng, g.detach().numpy()) for g in found]
    total = sum((g * rl.tensor(w)).sum() for g, w in zip(found, second_weights, strict=True))
    if total.requires_grad:
        second = rl.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    else:
        second = [rl.zeros_like(x) for x in wanted]
    directions = [_direction(rng, a) if differentiable(a) else None for a in arrays]
    live = [d for d in directions if d is not None]

    def dotted(step):
        return sum(
            float(np.sum(g.detach().numpy() * w)) for g, w in zip(first(moved(arrays, directions, step))[1], second_weights, strict=True)
        )

    up, down = dotted(STEP), dotted(-STEP)
    numeric = (up - down) / (2 * STEP)
    analytic = sum(float(np.sum(g.detach().numpy() * d)) for g, d in zip(second, live, strict=True))
    assert close(numeric, analytic, abs(up), 10 * spec.tolerance), f"{name}: central difference {numeric}, derivative rules {analytic}"


@each()
def test_forward_rules(name):
    """The tangent that each recorded operation's own jvp gives, against central differences of its kernel."""
    spec = BY_NAME[name]
    rng = rng_for(spec)
    seen = []
    with Override(listeners=(lambda op, inputs, out: seen.append((op, inputs, out)),)):
        call(spec, tensors_of(draw(spec, rng), True))
    for op, inputs, out in seen:
        if op.jvp is None or op.outputs != 1 or not isinstance(out, rl.Tensor) or not out.requires_grad or len(inputs) > 3:
            continue
        arrays = [t.detach().numpy() for t in inputs]
        if any(a.dtype not in (np.float64, np.int64, np.bool_) for a in arrays) or not differentiable(arrays[0]):
            continue
        directions = [_direction(rng, a) if differentiable(a) else None for a in arrays]
        with rl.no_grad():
            plain = [t.detach() for t in inputs]
            saved = op.save(tuple(plain), run(op, plain), tuple(d is not None for d in directions))
            tangents = tuple(rl.tensor(d) if d is not None else rl.zeros(()) for d in directions)
            tangent = op.jvp(saved, tangents).numpy()
            up, down = (run(op, [rl.tensor(a) for a in moved(arrays, directions, s * STEP)]).numpy() for s in (1, -1))
        np.testing.assert_allclose(tangent, (up - down) / (2 * STEP), rtol=1e-4, atol=1e-5, err_msg=repr(op))


def run(op, tensors):
    from rushlight.core.primitive import applyn

    return applyn(op, tuple(tensors))


def torch_function(spec, torch):
    if callable(spec.torch_function):
        return spec.torch_function
    path = (spec.torch_function or spec.name.partition("-")[0]).split(".")
    found = torch
    for part in path:
        found = getattr(found, part, None)
        if found is None:
            break
    if found is None and len(path) == 1:
        found = getattr(torch.nn.functional, path[0], None) or getattr(torch.Tensor, path[0], None)
    assert found is not None, f"{spec.name}: torch has no {'.'.join(path)}; give the Spec a torch_function"
    return found


@each()
@pytest.mark.parametrize("layout", ["dense", "strided"])
def test_agrees_with_torch(name, layout, oracle):
    torch = oracle.torch
    spec = BY_NAME[name]
    rng = rng_for(spec)
    arrays = draw(spec, rng)
    ours = tensors_of(arrays, False)
    theirs = [torch.tensor(a) for a in arrays]
    if layout == "strided":
        ours = [t.mT.contiguous().mT if t.ndim > 1 else t for t in ours]
        theirs = [t.mT.contiguous().mT if t.ndim > 1 else t for t in theirs]
    for group in (ours, theirs):
        for t, a in zip(group, arrays, strict=True):
            t.requires_grad_(differentiable(a))
    outs = call(spec, ours)
    expected = torch_function(spec, torch)(*theirs, *spec.args, **spec.kwargs)
    expected = expected if isinstance(expected, (tuple, list)) else (expected,)
    expected = [e for e in expected if isinstance(e, torch.Tensor) and (e.is_floating_point() or e.is_complex())]
    assert len(outs) == len(expected)
    weights = [rng.standard_normal(o.shape) for o in outs]
    for o, e in zip(outs, expected, strict=True):
        assert tuple(o.shape) == tuple(e.shape)
        np.testing.assert_allclose(o.detach().numpy(), e.detach().numpy(), rtol=1e-9, atol=1e-10)
    ours_live = [(o, rl.tensor(w)) for o, w in zip(outs, weights, strict=True) if o.requires_grad]
    theirs_live = [(e, torch.tensor(w)) for e, w in zip(expected, weights, strict=True) if e.requires_grad]
    assert len(ours_live) == len(theirs_live), "requires_grad of the outputs differs from torch's"
    mine = rl.autograd.grad(
        [o for o, _ in ours_live], [t for t in ours if t.requires_grad], [w for _, w in ours_live], allow_unused=True
    )
    reference = torch.autograd.grad(
        [e for e, _ in theirs_live], [t for t in theirs if t.requires_grad], [w for _, w in theirs_live], allow_unused=True
    )
    for g, r in zip(mine, reference, strict=True):
        assert (g is None) == (r is None)
        if g is not None:
            np.testing.assert_allclose(g.numpy(), r.numpy(), rtol=1e-8, atol=1e-9)


def test_names_are_unique():
    assert len(BY_NAME) == len(SPECS)
