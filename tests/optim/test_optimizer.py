"""What all optimizers share: groups, checks, hooks, state dicts, printed form."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from rushlight.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


def leaf(*values):
    return rl.tensor(values or (1.0, 2.0), requires_grad=True)


def with_grad(*values):
    p = leaf(*values)
    p.grad = rl.ones(*p.shape)
    return p


# ---------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(leaf(), lr=0.1), TypeError, "should be an iterable of Tensors or dicts, but got Tensor"),
        (lambda: SGD(3, lr=0.1), TypeError, "but got int"),
        (lambda: SGD([], lr=0.1), ValueError, "empty parameter list"),
        (lambda: SGD([1.0], lr=0.1), TypeError, "only optimize Tensors, but one of the params is float"),
        (lambda: SGD([leaf() * 2], lr=0.1), ValueError, "can't optimize a non-leaf Tensor.*MulBackward0"),
        (lambda: SGD([{"params": {leaf()}}], lr=0.1), TypeError, "ordered collections"),
        (lambda: SGD([{"lr": 1.0}]), KeyError, "no key 'params'"),
        (lambda: SGD([leaf()], lr=-1), ValueError, "Invalid learning rate: -1"),
        (lambda: SGD([leaf()], lr=float("nan")), ValueError, "Invalid learning rate"),
        (lambda: SGD([leaf()], momentum=-1), ValueError, "Invalid momentum value: -1"),
        (lambda: SGD([leaf()], weight_decay=-1), ValueError, "Invalid weight_decay value: -1"),
        (lambda: SGD([leaf()], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda: SGD([leaf()], lr=rl.tensor([0.1, 0.2])), ValueError, "Tensor lr must be 1-element"),
        (lambda: SGD([leaf()], fused=True, foreach=True), RuntimeError, "cannot be `True` together"),
        (lambda: Adam([leaf()], fused=True, differentiable=True), RuntimeError, "does not support `differentiable`"),
        (lambda: Adam([leaf()], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda: Adam([leaf()], betas=(0.9, -1)), ValueError, "Invalid beta parameter at index 1: -1"),
        (lambda: Adam([leaf()], betas=(rl.tensor(0.9), 0.9)), ValueError, "either both floats or both Tensors"),
        (lambda: Adam([leaf()], eps=-1), ValueError, "Invalid epsilon value: -1"),
        (lambda: RMSprop([leaf()], alpha=-1), ValueError, "Invalid alpha value: -1"),
        (lambda: Adagrad([leaf()], lr_decay=-1), ValueError, "Invalid lr_decay value: -1"),
        (lambda: rl.optim.Adadelta([leaf()], rho=2), ValueError, "Invalid rho value: 2"),
        (lambda: rl.optim.Rprop([leaf()], etas=(1, 2)), ValueError, "Invalid eta values: 1, 2"),
        (lambda: rl.optim.LBFGS([{"params": leaf()}, {"params": leaf()}]), ValueError, "doesn't support per-parameter"),
        (lambda: SGD([("w", leaf()), leaf()]), ValueError, "Some param names are missing"),
        (lambda: SGD([leaf()]).add_param_group([leaf()]), TypeError, "param_group must be a dict"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_parameter_belongs_to_one_group():
    p = leaf()
    optimizer = SGD([p])
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optimizer.add_param_group({"params": [p]})
    assert len(optimizer.param_groups) == 1
    with pytest.warns(UserWarning, match="duplicate parameters"):
        SGD([leaf_ := leaf(), leaf_])


def test_groups_and_defaults():
    a, b = leaf(), leaf()
    optimizer = SGD([{"params": a, "lr": 1.0}, {"params": [b]}], lr=0.5, momentum=0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.5]
    assert optimizer.param_groups[0]["params"] == [a] or optimizer.param_groups[0]["params"][0] is a
    optimizer.add_param_group({"params": iter([leaf()]), "momentum": 0})
    assert optimizer.param_groups[2]["momentum"] == 0 and optimizer.param_groups[2]["lr"] == 0.5
    a.grad = b.grad = rl.ones(2)
    optimizer.step()
    np.testing.assert_allclose(a.detach().numpy(), [0, 1])
    np.testing.assert_allclose(b.detach().numpy(), [0.5, 1.5])


def test_named_parameters():
    named = {"w": leaf(), "b": leaf()}
    optimizer = SGD(named.items(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": [leaf()]})
    unnamed = SGD([leaf(), leaf()], lr=1.0)
    unnamed.load_state_dict(optimizer.state_dict())
    assert unnamed.param_groups[0]["param_names"] == ["w", "b"] and unnamed.param_groups[0]["lr"] == 0.1


def test_required_option():
    class Plain(Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": rl.optim.optimizer.required})

    Plain([{"params": [leaf()], "lr": 1}])
    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Plain([leaf()])


# ---------------------------------------------------------------- steps


def test_parameters_without_gradient_are_left_alone():
    p, q = with_grad(), leaf()
    optimizer = Adam([p, q], weight_decay=0.5)
    optimizer.step()
    assert q.tolist() == [1.0, 2.0] and q not in optimizer.state and p.tolist() != [1.0, 2.0]
    optimizer.zero_grad()
    before = p.tolist()
    optimizer.step()
    assert p.tolist() == before and optimizer.state[p]["step"].item() == 1


def test_zero_grad():
    p = with_grad()
    grad = p.grad
    optimizer = SGD([p])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad and grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert p.grad is None
    x = leaf()
    (g,) = rl.autograd.grad((x * x).sum(), x, create_graph=True)
    x.grad = g
    SGD([x]).zero_grad(set_to_none=False)
    assert not x.grad.requires_grad and x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("make", [SGD, Adam, AdamW, RMSprop, Adagrad, rl.optim.Adamax, rl.optim.NAdam])
def test_closure_runs_with_gradients_and_its_loss_is_returned(make):
    p = leaf(3.0)
    optimizer = make([p], lr=0.1)

    def closure():
        assert rl.is_grad_enabled()
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with rl.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() < 3.0 and p.requires_grad and p.grad_fn is None and rl.is_grad_enabled()
    assert optimizer.step() is None


def test_a_step_between_forward_and_backward_is_noticed():
    w = leaf()
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_gradients_are_only_read():
    p = with_grad()
    grad = p.grad
    for make in (SGD, Adam, RMSprop, Adagrad):
        make([p], weight_decay=0.1, maximize=True).step()
    assert grad.tolist() == [1.0, 1.0] and p.grad is grad and grad._version == 0


def test_momentum_buffer_is_not_the_gradient():
    p = with_grad()
    optimizer = SGD([p], lr=0.0, momentum=0.5)
    optimizer.step()
    buffer = optimizer.state[p]["momentum_buffer"]
    p.grad.zero_()
    assert buffer.tolist() == [1.0, 1.0]
    optimizer.step()
    assert optimizer.state[p]["momentum_buffer"] is buffer and buffer.tolist() == [0.5, 0.5]


def test_fused_needs_floating_point():
    p = rl.tensor([1 + 1j], requires_grad=True)
    p.grad = rl.ones(1, dtype=rl.complex64)
    with pytest.raises(RuntimeError, match="requires all the params to be floating point"):
        SGD([p], fused=True).step()


def test_parameters_on_several_devices(capsys):
    a = with_grad()
    b = rl.ones(2, device="mps").requires_grad_()
    b.grad = rl.ones(2, device="mps")
    optimizer = Adam([a, b], lr=0.1)
    optimizer.step()
    np.testing.assert_allclose(b.detach().cpu().numpy(), [0.9, 0.9], rtol=1e-6)
    assert optimizer.state[b]["exp_avg"].device.type == "mps" and optimizer.state[b]["step"].device.type == "cpu"


def test_counters_stay_on_the_cpu_under_a_default_device(capsys):
    rl.set_default_device("mps")
    try:
        p = rl.ones(2, requires_grad=True)
        p.sum().backward()
        for make in (SGD, Adam, RMSprop, Adagrad, rl.optim.NAdam):
            optimizer = make([p], lr=0.1)
            optimizer.step()
            if "step" in optimizer.state[p]:
                assert optimizer.state[p]["step"].device.type == "cpu"
        assert p.device.type == "mps"
    finally:
        rl.set_default_device("cpu")


def test_dtype_of_counters_follows_the_default_dtype():
    rl.set_default_dtype(rl.float64)
    try:
        p = with_grad()
        optimizer = Adam([p])
        optimizer.step()
        assert optimizer.state[p]["step"].dtype == rl.float64
        fused = Adam([p], fused=True)
        fused.step()
        assert fused.state[p]["step"].dtype == rl.float32
    finally:
        rl.set_default_dtype(rl.float32)


# ---------------------------------------------------------------- hooks


def test_step_hooks_in_order():
    calls = []
    p = with_grad()
    optimizer = SGD([p], lr=0.1)
    handles = [
        register_optimizer_step_pre_hook(lambda *a: calls.append("global pre")),
        register_optimizer_step_post_hook(lambda *a: calls.append("global post")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append(("pre", o is optimizer, len(args)))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", o is optimizer))),
    ]
    optimizer.step()
    assert calls == ["global pre", ("pre", True, 1), ("post", True), "global post"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4


def test_pre_hook_changes_arguments():
    optimizer = SGD([with_grad()], lr=0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 7}))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


def test_hooks_run_once_for_an_overridden_step():
    calls = []

    class Twice(SGD):
        def step(self, closure=None):
            super().step()
            return super().step(closure)

    p = with_grad()
    optimizer = Twice([p], lr=0.5)
    optimizer.register_step_post_hook(lambda *a: calls.append(1))
    optimizer.step()
    assert p.tolist() == [0.0, 1.0] and calls == [1]


def test_state_dict_hooks():
    optimizer = SGD([leaf()], lr=0.1)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, s: {**s, "extra": 1})
    optimizer.register_state_dict_post_hook(lambda o, s: seen.append("first"), prepend=True)
    saved = optimizer.state_dict()
    assert saved["extra"] == 1 and seen == ["pre", "first"]
    optimizer.register_load_state_dict_pre_hook(lambda o, s: s["param_groups"][0].update(lr=0.7))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert seen[-1] == 0.7


# ---------------------------------------------------------------- state dicts


def test_training_continues_from_a_state_dict():
    def run(optimizer, p, steps):
        for i in steps:
            p.grad = rl.tensor([float(i), 1.0])
            optimizer.step()

    for make in (lambda ps: SGD(ps, lr=0.1, momentum=0.9), lambda ps: Adam(ps, amsgrad=True), RMSprop, Adagrad,
                 rl.optim.ASGD, rl.optim.Rprop, rl.optim.NAdam):
        whole, half = leaf(), leaf()
        run(make([whole]), whole, range(6))
        first = make([half])
        run(first, half, range(3))
        saved = copy.deepcopy(first.state_dict())
        again = rl.tensor(half.tolist(), requires_grad=True)
        second = make([again])
        second.load_state_dict(saved)
        run(second, again, range(3, 6))
        assert again.tolist() == whole.tolist()


def test_loading_casts_state_but_not_counters():
    p = with_grad()
    optimizer = Adam([p])
    optimizer.step()
    half = rl.tensor([1.0, 2.0]).to(rl.bfloat16).requires_grad_()
    other = Adam([half])
    other.load_state_dict(optimizer.state_dict())
    state = other.state[half]
    assert state["exp_avg"].dtype == rl.bfloat16 and state["step"].dtype == rl.float32
    assert other.param_groups[0]["params"][0] is half and optimizer.param_groups[0]["params"][0] is p
    double = rl.tensor([1.0, 2.0], dtype=rl.float64, requires_grad=True)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 5.0
    third = Adam([double])
    third.load_state_dict(saved)
    assert third.state[double]["step"].dtype == rl.float32 and third.param_groups[0]["lr"] == 5.0


def test_loading_old_checkpoints():
    p = leaf()
    optimizer = Adam([p])
    saved = optimizer.state_dict()
    for name in ("fused", "capturable", "decoupled_weight_decay"):
        del saved["param_groups"][0][name]
    saved["state"] = {0: {"step": 3, "exp_avg": rl.zeros(2), "exp_avg_sq": rl.zeros(2)}}
    optimizer.load_state_dict(saved)
    assert optimizer.state[p]["step"].item() == 3.0 and optimizer.param_groups[0]["capturable"] is False
    p.grad = rl.ones(2)
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 4.0
    decayed = AdamW([p])
    decayed.load_state_dict(saved)
    assert decayed.param_groups[0]["decoupled_weight_decay"] is True


def test_loading_what_does_not_fit():
    optimizer = SGD([leaf(), leaf()])
    with pytest.raises(ValueError, match="different number of parameter groups: 2, the optimizer has 1"):
        optimizer.load_state_dict(SGD([{"params": leaf()}, {"params": leaf()}]).state_dict())
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group: group 0 has 1 parameters"):
        optimizer.load_state_dict(SGD([leaf()]).state_dict())


def test_pickle_and_deepcopy():
    p = with_grad()
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    optimizer.register_step_post_hook(lambda *a: None)
    optimizer.step()
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        (q,) = other.param_groups[0]["params"]
        assert q is not p and q.tolist() == p.tolist()
        assert other.state[q]["momentum_buffer"].tolist() == [1.0, 1.0]
        q.grad = rl.ones(2)
        other.step()
        assert q.tolist() != p.tolist()


def test_printed_form():
    optimizer = SGD([{"params": leaf(), "lr": 0.5}, {"params": leaf()}], lr=0.1, momentum=0.9)
    options = (
        "    dampening: 0\n    differentiable: False\n    foreach: None\n    fused: None\n    lr: {}\n    maximize: False\n"
        "    momentum: 0.9\n    nesterov: False\n    weight_decay: 0\n"
    )
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n" + options.format(0.5) + "\nParameter Group 1\n" + options.format(0.1) + ")"
    )


def test_state_dicts_cross_to_torch_and_back():
    torch = pytest.importorskip("torch", reason="parity tests need torch")

    def carried(value, library):
        if hasattr(value, "numpy"):
            return library.tensor(value.detach().numpy())
        if isinstance(value, dict):
            return {k: carried(v, library) for k, v in value.items()}
        return [carried(v, library) for v in value] if isinstance(value, list) else value

    for name in ("SGD", "Adam", "RMSprop", "Adagrad"):
        settings = {"lr": 0.1, **({"momentum": 0.9} if name == "SGD" else {})}
        p, q = leaf(), torch.tensor([1.0, 2.0], requires_grad=True)
        a, b = getattr(rl.optim, name)([p], **settings), getattr(torch.optim, name)([q], **settings)
        for _ in range(3):
            p.grad, q.grad = rl.tensor([0.5, -1.0]), torch.tensor([0.5, -1.0])
            a.step()
            b.step()
        saved = carried(a.state_dict(), torch)
        a.load_state_dict(carried(b.state_dict(), rl))
        b.load_state_dict(saved)
        p.grad, q.grad = rl.tensor([2.0, -1.0]), torch.tensor([2.0, -1.0])
        a.step()
        b.step()
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=2e-6)
