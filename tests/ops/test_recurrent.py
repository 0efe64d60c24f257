"""Recurrent kernels against the same formulas in tensor operations, the graph they leave, and torch.lstm and kin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.backends.meta import meta
from rushlight.backends.reference import reference
from rushlight.core.primitive import apply_multi
from rushlight.ops import recurrent
from rushlight.ops.recurrent_steps import GruStep, LstmStep, ReluStep, TanhStep, Unrolled

STEPS = {"lstm": (LstmStep, 4, 2), "gru": (GruStep, 3, 1), "rnn_tanh": (TanhStep, 1, 1), "rnn_relu": (ReluStep, 1, 1)}
BATCHES = {"dense": None, "packed": (3, 3, 2, 1), "equal": (3, 3), "one step": (3,)}


def tensors_for(operation, batch_sizes, bias, proj, dtype, rng):
    """x, the states and the five weights of a layer with 3 sequences, 5 inputs and 6 units."""
    _, gates, states = STEPS[operation]
    units, out = 6, proj or 6
    x = (4, 3, 5) if batch_sizes is None else (sum(batch_sizes), 5)
    shapes = [x, (3, out), *([(3, units)] if states == 2 else []), (gates * units, 5), (gates * units, out)]
    shapes += [(gates * units,)] * 2 if bias else [None, None]
    shapes += [(proj, units)] if proj else [None]
    return [
        None if s is None else rl.tensor(rng.uniform(-1, 1, s), dtype=dtype, requires_grad=True) for s in shapes
    ]


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("batch", list(BATCHES))
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "plain"])
@pytest.mark.parametrize("operation", [*STEPS, "projected lstm"])
def test_kernel_agrees_with_the_steps(operation, bias, batch, reverse):
    proj = 4 if operation == "projected lstm" else 0
    operation = operation.split()[-1]
    step, _, states = STEPS[operation]
    given = tensors_for(operation, BATCHES[batch], bias, proj, rl.float64, np.random.default_rng(0))
    x, hx, weights = given[0], tuple(given[1 : 1 + states]), given[1 + states :]
    unrolled = Unrolled(step, x, hx, tuple(weights), BATCHES[batch], reverse).results()
    found = recurrent._layer(operation, x, hx, weights, BATCHES[batch], reverse)
    cotangents = [rl.randn_like(t) for t in found]
    # All outputs used, only the first, only the last state: each leaves other cotangents out.
    for used in (slice(None), slice(1), slice(-1, None)):
        inputs = [t for t in given if t is not None]
        ours = rl.autograd.grad(found[used], inputs, cotangents[used], retain_graph=True)
        theirs = rl.autograd.grad(unrolled[used], inputs, cotangents[used], retain_graph=True, allow_unused=True, materialize_grads=True)
        both = rl.autograd.grad(found[used], inputs, cotangents[used], create_graph=True)
        for a, b, c in zip(ours, theirs, both, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(a.numpy(), c.detach().numpy(), rtol=1e-9, atol=1e-12)
    for a, b in zip(found, unrolled, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wanted", [0, 1, 2, 3, 4, 5, 6])
def test_only_the_gradients_that_are_wanted(wanted):
    given = tensors_for("lstm", None, True, 0, rl.float64, np.random.default_rng(1))[:-1]
    y, *_ = recurrent._layer("lstm", given[0], tuple(given[1:3]), [*given[3:], None], None, False)
    expected = rl.autograd.grad(y.sum(), given)[wanted]
    one = [t.detach().requires_grad_(i == wanted) for i, t in enumerate(given)]
    y, *_ = recurrent._layer("lstm", one[0], tuple(one[1:3]), [*one[3:], None], None, False)
    y.sum().backward()
    assert [t.grad is not None for t in one] == [i == wanted for i in range(7)]
    np.testing.assert_array_equal(one[wanted].grad.numpy(), expected.numpy())


def test_the_biases_do_not_share_a_gradient():
    lstm = nn.LSTM(2, 3)
    lstm(rl.randn(4, 2, 2))[0].sum().backward()
    lstm.bias_ih_l0.grad.zero_()
    assert lstm.bias_hh_l0.grad.abs().sum() > 0


def test_the_graph_does_not_grow_with_the_sequence():
    def nodes(steps):
        seen, waiting = set(), [nn.LSTM(2, 3)(rl.randn(steps, 2, 2))[0].grad_fn]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in seen:
                seen.add(node)
                waiting += [following for following, _ in node.next_functions]
        return len(seen)

    assert nodes(3) == nodes(50)


def test_a_changed_output_is_noticed():
    y, _ = nn.GRU(2, 3)(rl.randn(4, 2, 2))
    with rl.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_half_types_compute_in_float32():
    rng = np.random.default_rng(2)
    for operation, dtype in itertools.product(("lstm", "gru", "rnn_tanh"), (rl.float16, rl.bfloat16)):
        states = STEPS[operation][2]
        low = [t for t in tensors_for(operation, None, True, 0, dtype, rng) if t is not None]
        high = [t.detach().float().requires_grad_() for t in low]
        outs = [recurrent._layer(operation, g[0], tuple(g[1 : 1 + states]), [*g[1 + states :], None], None, False) for g in (low, high)]
        assert all(t.dtype is dtype for t in outs[0])
        for a, b in zip(*outs, strict=True):
            np.testing.assert_array_equal(a.float().detach().numpy(), b.detach().to(dtype).float().numpy())
        grads = [rl.autograd.grad(o[0].sum(), g) for o, g in zip(outs, (low, high), strict=True)]
        for a, b in zip(*grads, strict=True):
            assert a.dtype is dtype
            np.testing.assert_allclose(a.float().numpy(), b.numpy(), rtol=0.02, atol=0.03)


def test_large_arguments_saturate():
    x = rl.full((2, 1, 1), 1e4)
    weights = [rl.ones(16, 1), rl.zeros(16, 4)]
    y, h, c = rl.lstm(x, (rl.zeros(1, 1, 4), rl.zeros(1, 1, 4)), weights, False, 1, 0.0, False, False, False)
    np.testing.assert_array_equal(c.numpy(), np.full((1, 1, 4), 2.0, np.float32))
    y, h, c = rl.lstm(-x, (rl.zeros(1, 1, 4), rl.ones(1, 1, 4)), weights, False, 1, 0.0, False, False, False)
    assert y.abs().sum() == 0 and c.abs().sum() == 0


@pytest.mark.parametrize("operation", list(STEPS))
@pytest.mark.parametrize("batch", ["dense", "packed"])
def test_meta_rules(operation, batch):
    """Shapes and dtypes that the rules say are those the kernels give, gradients included."""
    states = STEPS[operation][2]
    for proj, dtype in ((0, rl.float32), (4 if operation == "lstm" else 0, rl.bfloat16)):
        given = tensors_for(operation, BATCHES[batch], True, proj, dtype, np.random.default_rng(3))
        shaped = [None if t is None else t.detach().to("meta").requires_grad_() for t in given]
        results = []
        for tensors in (given, shaped):
            op = recurrent._LAYERS[operation][1](tuple(t is not None for t in tensors[1 + states :] + [None] * 5)[:5], BATCHES[batch], True)
            outs = apply_multi(op, tuple(t for t in tensors if t is not None))
            grads = rl.autograd.grad(outs[0].sum(), [t for t in tensors if t is not None])
            results.append([(tuple(t.shape), t.dtype) for t in (*outs, *grads)])
        assert results[0] == results[1]


def test_meta_rules_of_padding():
    x, lengths = np.zeros((4, 3, 2)), (3, 2, 2, 1)
    for name, args in (
        ("pack_padded", (x, lengths)),
        ("pad_packed", (x.reshape(12, 2)[:8], lengths, 6, 3, 0)),
        ("pad_sequences", ([x, x[:2]], 4, False, True, 1)),
        ("pad_sequences", ([x, x[:2]], 4, True, True, 1)),
    ):
        ours, expected = getattr(meta, name)(*args), getattr(reference, name)(*args)
        assert ours.shape == expected.shape and ours.dtype == expected.dtype


def test_function_modes_see_one_call():
    seen = []

    class Watch(rl.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    gru = nn.GRU(2, 3, 2)
    with Watch():
        gru(rl.ones(4, 2, 2))
    assert seen.count(rl.gru) == 1


def test_keywords_and_wrong_arguments():
    gru, x, h = nn.GRU(2, 3), rl.randn(4, 1, 2), rl.zeros(1, 1, 3)
    params = gru.all_weights[0]
    named = {"has_biases": True, "num_layers": 1, "dropout": 0.0, "train": False, "bidirectional": False}
    expected = gru(x)[0]
    assert rl.equal(rl.gru(input=x, hx=h, params=params, batch_first=False, **named)[0], expected)
    sizes = rl.tensor([1, 1, 1, 1])
    assert rl.equal(rl.gru(data=x[:, 0], batch_sizes=sizes, hx=h, params=params, **named)[0], expected[:, 0])
    with pytest.raises(TypeError, match="unexpected reverse"):
        rl.gru(x, h, params, batch_first=False, reverse=True, **named)
    with pytest.raises(TypeError, match="missing batch_first"):
        rl.gru(x, h, params, **named)
    with pytest.raises(RuntimeError, match="w_hh of a layer should have shape"):
        rl.gru(x, h, [params[0], rl.zeros(9, 4), *params[2:]], batch_first=False, **named)
    with pytest.raises(RuntimeError, match="must have the same dtype"):
        rl.gru(x, h.double(), params, batch_first=False, **named)
    with pytest.raises(RuntimeError, match="never grow"):
        rl.gru(x[:3, 0], rl.tensor([1, 2]), h, params, **named)
    with pytest.raises(RuntimeError, match="add up to 3"):
        rl.gru(x[:, 0], rl.tensor([1, 1, 1]), h, params, **named)
