"""ReLU behind batch normalisation goes backward in one pass, and nobody can tell but by the time it takes."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight import nn
from rushlight.autograd import profiler

GATES = [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.ReLU6(inplace=True), nn.Hardtanh(-0.5, 0.25)]


def network(gate, dtype=rushlight.float32):
    rushlight.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), gate).to(dtype)


def kernels(work):
    with profiler.profile() as seen:
        result = work()
    return result, {event.key for event in seen.key_averages()}


def gradients(net, x, forward=None, **how):
    x = x.detach().clone().requires_grad_()
    net.zero_grad()
    out = net(x) if forward is None else forward(x)
    (out * out).sum().backward(**how)
    return [x.grad.numpy().copy()] + [p.grad.numpy().copy() for p in net.parameters()]


def is_one_pass(names):
    return not names & {"threshold_backward", "hardtanh_backward"}


@pytest.mark.parametrize("dtype", [rushlight.float32, rushlight.float64], ids=str)
@pytest.mark.parametrize("gate", GATES, ids=str)
def test_one_pass_gives_what_two_give(gate, dtype):
    net, x = network(gate, dtype), rushlight.randn(4, 3, 7, 7, dtype=dtype) * 4
    found, names = kernels(lambda: gradients(net, x))
    assert is_one_pass(names)

    def seen(x):
        h = net[1](net[0](x))
        h.register_hook(lambda g: None)
        return net[2](h)

    expected, names = kernels(lambda: gradients(net, x, seen))
    assert not is_one_pass(names)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_passes_between_is_shown_to_those_who_ask():
    net, x = network(nn.ReLU()), rushlight.randn(4, 3, 7, 7)
    arrived = []

    def hooked(x):
        h = net[1](net[0](x))
        h.register_hook(lambda g: arrived.append(g.clone()))
        return net[2](h)

    gradients(net, x, hooked)
    assert len(arrived) == 1 and bool((arrived[0] == 0).any())

    def retained(x):
        h = net[1](net[0](x))
        h.retain_grad()
        arrived.append(h)
        return net[2](h)

    gradients(net, x, retained)
    np.testing.assert_array_equal(arrived[1].grad.numpy(), arrived[0].numpy())

    def node_hook(x):
        h = net[1](net[0](x))
        h.grad_fn.register_prehook(lambda grads: arrived.append(grads[0].clone()))
        return net[2](h)

    gradients(net, x, node_hook)
    np.testing.assert_array_equal(arrived[2].numpy(), arrived[0].numpy())


def test_a_result_that_is_used_twice_gets_both_cotangents():
    net, x = network(nn.ReLU(), rushlight.float64), rushlight.randn(4, 3, 7, 7, dtype=rushlight.float64)

    def twice(x):
        h = net[1](net[0](x))
        return net[2](h) * h

    def apart(x):
        h = net[1](net[0](x))
        return rushlight.where(h > 0, h, rushlight.zeros_like(h)) * h

    for a, b in zip(gradients(net, x, twice), gradients(net, x, apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gate", GATES[:3], ids=str)
def test_other_ways_of_going_backward(gate):
    """Twice over a retained graph, towards inputs only, and recorded for a second derivative."""
    net, x = network(gate, rushlight.float64), rushlight.randn(4, 3, 7, 7, dtype=rushlight.float64)
    once = gradients(net, x)
    for given, wanted in zip(gradients(net, x, retain_graph=True), once, strict=True):
        np.testing.assert_array_equal(given, wanted)
    given = x.clone().requires_grad_()
    out = net(given)
    loss = (out * out).sum()
    (first,) = rushlight.autograd.grad(loss, given, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), once[0], rtol=1e-12)
    assert first.requires_grad
    (second,) = rushlight.autograd.grad(first.sum(), given)
    assert bool(second.isfinite().all())
    net.zero_grad()
    loss = (net(given) * 1.0).sum()
    loss.backward(retain_graph=True)
    kept = given.grad.clone()
    loss.backward()
    np.testing.assert_allclose(given.grad.numpy(), 2 * kept.numpy(), rtol=1e-12)


def test_recorded_backward_keeps_both_nodes():
    net, x = network(nn.ReLU(), rushlight.float64), rushlight.randn(4, 3, 7, 7, dtype=rushlight.float64)
    once = gradients(net, x)
    net.zero_grad()
    x = x.clone().requires_grad_()
    out = net(x)
    with pytest.warns(UserWarning, match="create_graph=True"):
        (out * out).sum().backward(create_graph=True)
    assert x.grad.grad_fn is not None
    for p, wanted in zip(net.parameters(), once[1:], strict=True):
        np.testing.assert_allclose(p.grad.detach().numpy(), wanted, rtol=1e-12)
        assert p.grad.requires_grad


def test_the_gradient_in_between_can_be_asked_for():
    net, x = network(nn.ReLU()), rushlight.randn(4, 3, 7, 7)
    h = net[1](net[0](x))
    out = net[2](h)
    (found,) = rushlight.autograd.grad((out * out).sum(), h)
    np.testing.assert_array_equal(found.numpy(), np.where(h.detach().numpy() > 0, 2 * out.detach().numpy(), 0))


def test_both_nodes_are_freed():
    net, x = network(nn.ReLU()), rushlight.randn(4, 3, 7, 7)
    h = net[1](net[0](x))
    net[2](h).sum().backward()
    with pytest.raises(RuntimeError, match="NativeBatchNormBackward0 has already been differentiated"):
        h.sum().backward()


def test_a_gate_that_was_overwritten_is_an_error():
    net, x = network(nn.ReLU()), rushlight.randn(2, 3, 5, 5)
    y = net(x)
    loss = (y * 1.0).sum()
    with rushlight.no_grad():
        y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*ReluBackward0"):
        loss.backward()
