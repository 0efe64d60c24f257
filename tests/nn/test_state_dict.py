"""state_dict and load_state_dict: what is saved, what loads, and what the errors say."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import rushlight
from rushlight import nn

try:
    import torch
except ImportError:
    torch = None


def message(library: Any, model: Any, state: Any, **settings: Any) -> str:
    with pytest.raises(RuntimeError) as error:
        model.load_state_dict(state, **settings)
    return str(error.value)


def net(library: Any) -> Any:
    return library.nn.Sequential(library.nn.Linear(2, 3), library.nn.BatchNorm1d(3))


def test_shares_memory_and_order() -> None:
    model = nn.Linear(2, 3)
    state = model.state_dict()
    assert type(state) is OrderedDict and list(state) == ["weight", "bias"]
    assert type(state["weight"]) is rushlight.Tensor and not state["weight"].requires_grad
    state["bias"].zero_()
    assert model.bias.tolist() == [0, 0, 0]
    kept = model.state_dict(keep_vars=True)
    assert kept["weight"] is model.weight
    with pytest.warns(FutureWarning, match="Positional args"):
        model.state_dict(OrderedDict())


def test_load_copies_into_the_same_parameters() -> None:
    model, other = net(rushlight), net(rushlight)
    params = list(model.parameters())
    result = model.load_state_dict(other.state_dict())
    assert repr(result) == "<All keys matched successfully>" and result.missing_keys == []
    assert all(a is b for a, b in zip(model.parameters(), params, strict=True))
    assert all(a.tolist() == b.tolist() for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert model[0].weight.requires_grad and model[0].weight.grad_fn is None


@pytest.mark.skipif(torch is None, reason="parity tests need torch")
def test_messages_are_torchs() -> None:
    for change in (
        lambda s: s.pop("0.weight"),
        lambda s: s.update(extra=s["0.bias"]),
        lambda s: (s.pop("0.bias"), s.pop("1.running_var"), s.update({"0.foo": s["0.weight"], "2.x": s["0.weight"]})),
        lambda s: s.update({"0.weight": s["0.weight"][:1]}),
        lambda s: s.update({"0.weight": 3}),
        lambda s: (s.update({"0.weight": s["0.weight"][0], "1.weight": s["0.weight"]}), s.pop("1.bias")),
    ):
        found = []
        for library in (rushlight, torch):
            state = net(library).state_dict()
            change(state)
            found.append(message(library, net(library), state))
        assert found[0] == found[1]


def test_not_strict() -> None:
    model = nn.Linear(2, 3)
    state = model.state_dict()
    state["more"] = state.pop("bias")
    result = model.load_state_dict(state, strict=False)
    assert (
        result == (["bias"], ["more"])
        and repr(result) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['more'])"
    )
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        nn.Linear(3, 3).load_state_dict(nn.Linear(2, 3).state_dict(), strict=False)


def test_hints() -> None:
    model = net(rushlight)
    state = model.state_dict()
    wrapped = {"module." + k: v for k, v in state.items()}
    text = message(rushlight, net(rushlight), wrapped)
    assert 'start with "module." (added by DataParallel)' in text and 'k.removeprefix("module.")' in text
    assert "torch.compile" in message(rushlight, net(rushlight), {"_orig_mod." + k: v for k, v in state.items()})
    assert 'load_state_dict(checkpoint["model_state_dict"])' in message(
        rushlight, net(rushlight), {"model_state_dict": state, "epoch": 3}
    )
    outer = nn.ModuleDict({"body": net(rushlight)})
    assert 'The model\'s keys start with "body."' in message(rushlight, outer, state)
    with pytest.raises(TypeError, match=r"value\.state_dict\(\)"):
        model.load_state_dict(net(rushlight))
    with pytest.raises(TypeError, match=r"torch\.load\(path\)"):
        model.load_state_dict("model.pth")
    model.load_state_dict({k.removeprefix("module."): v for k, v in wrapped.items()})


def test_assign() -> None:
    model = nn.Linear(2, 3, device="meta")
    other = nn.Linear(2, 3)
    with pytest.warns(UserWarning, match="assign=True"):
        model.load_state_dict(other.state_dict())
    assert model.weight.is_meta
    model.load_state_dict(other.state_dict(), assign=True)
    assert type(model.weight) is nn.Parameter and model.weight.requires_grad and not model.weight.is_meta
    other.state_dict()["weight"].fill_(5)
    assert model.weight.tolist() == other.weight.tolist()
    double = OrderedDict((k, v.double()) for k, v in other.state_dict().items())
    model.load_state_dict(double)
    assert model.weight.dtype is rushlight.float32
    model.load_state_dict(double, assign=True)
    assert model.weight.dtype is rushlight.float64


def test_batchnorm_before_version_2() -> None:
    layer = nn.BatchNorm1d(2)
    layer.num_batches_tracked.fill_(7)
    state = OrderedDict((k, v.clone()) for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked")
    assert repr(layer.load_state_dict(state)) == "<All keys matched successfully>"
    assert layer.num_batches_tracked.item() == 7
    full = nn.BatchNorm1d(2).state_dict()
    assert full._metadata[""]["version"] == 2
    del full["num_batches_tracked"]
    assert 'Missing key(s) in state_dict: "num_batches_tracked"' in message(rushlight, layer, full)


def test_instancenorm_from_before_running_stats_became_optional() -> None:
    layer = nn.InstanceNorm1d(2)
    state = {"running_mean": rushlight.zeros(2), "running_var": rushlight.ones(2)}
    assert "Unexpected running stats buffer(s)" in message(rushlight, layer, state)


def test_zero_dim_from_one_element() -> None:
    model = nn.Module()
    model.scale = nn.Parameter(rushlight.tensor(1.0))
    model.load_state_dict({"scale": rushlight.tensor([3.0])})
    assert model.scale.item() == 3 and model.scale.shape == ()


def test_extra_state() -> None:
    class Extra(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.note: Any = "a"

        def get_extra_state(self) -> Any:
            return {"note": self.note}

        def set_extra_state(self, state: Any) -> None:
            self.note = state["note"]

    model = nn.Sequential(Extra(), nn.Linear(1, 1))
    state = model.state_dict()
    assert list(state) == ["0._extra_state", "1.weight", "1.bias"]
    state["0._extra_state"] = {"note": "b"}
    model.load_state_dict(state)
    assert model[0].note == "b"
    del state["0._extra_state"]
    assert 'Missing key(s) in state_dict: "0._extra_state"' in message(rushlight, model, state)
    assert 'Unexpected key(s) in state_dict: "_extra_state"' in message(
        rushlight, nn.Linear(1, 1), {**nn.Linear(1, 1).state_dict(), "_extra_state": 1}
    )
    with pytest.raises(RuntimeError, match="get_extra_state"):
        nn.Linear(1, 1).get_extra_state()


def test_hooks() -> None:
    model = nn.Linear(1, 2)
    log: list[Any] = []

    def drop_bias(module: Any, state: Any, prefix: str, metadata: Any) -> None:
        del state[prefix + "bias"]

    handles = [
        model.register_state_dict_pre_hook(lambda module, prefix, keep: log.append(("pre", prefix, keep))),
        model.register_state_dict_post_hook(drop_bias),
        model.register_load_state_dict_pre_hook(
            lambda module, state, prefix, *rest: state.setdefault(prefix + "bias", module.bias)
        ),
        model.register_load_state_dict_post_hook(lambda module, keys: log.append(keys.unexpected_keys.clear())),
    ]
    state = nn.Sequential(model).state_dict(prefix="p.")
    assert list(state) == ["p.0.weight"] and log == [("pre", "p.0.", False)]
    state = model.state_dict()
    state["junk"] = state["weight"]
    model.load_state_dict(state)
    for handle in handles:
        handle.remove()
    assert "Missing key(s)" in message(rushlight, model, state)
    model.register_state_dict_post_hook(lambda *_: {})
    with pytest.raises(RuntimeError, match="must return None"):
        model.state_dict()
    other = nn.Linear(1, 2)
    other._register_state_dict_hook(lambda module, state, prefix, meta: {"other": 1})
    assert other.state_dict() == {"other": 1}


def test_lazy_modules_load() -> None:
    lazy = nn.LazyLinear(3)
    assert nn.parameter.is_lazy(lazy.state_dict()["weight"])
    full = nn.Linear(2, 3)
    lazy.load_state_dict(full.state_dict())
    assert lazy.weight.tolist() == full.weight.tolist() and not lazy.has_uninitialized_params()
    with pytest.raises(RuntimeError, match="uninitialized parameter"):
        full.load_state_dict(nn.LazyLinear(3).state_dict())


def test_shared_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    assert list(model.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert len(list(model.parameters())) == 3
    model.load_state_dict(net_of_two().state_dict())
    assert model[1].weight is model[0].weight


def net_of_two() -> Any:
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))


@pytest.mark.parametrize("protocol", [2, 4])
def test_whole_modules_in_files(tmp_path: Any, protocol: int) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
    rushlight.save(model, tmp_path / "model.pt", pickle_protocol=protocol)
    again = rushlight.load(tmp_path / "model.pt")
    assert repr(again) == repr(model) and type(again[0].weight) is nn.Parameter
    assert again[0].weight.tolist() == model[0].weight.tolist()


@pytest.mark.skipif(torch is None, reason="parity tests need torch")
def test_files_go_to_and_from_torch(tmp_path: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.GELU())
    rushlight.save(model, tmp_path / "ours.pt")
    theirs = torch.load(tmp_path / "ours.pt", weights_only=False)
    assert repr(theirs) == repr(model) and theirs[0].weight.tolist() == model[0].weight.tolist()
    torch.save(theirs, tmp_path / "theirs.pt")
    back = rushlight.load(tmp_path / "theirs.pt")
    assert repr(back) == repr(model) and back[1].bias.tolist() == model[1].bias.tolist()
    back.register_forward_hook(lambda *_: None)
    torch.save(model_state := theirs.state_dict(), tmp_path / "state.pt")
    model.load_state_dict(rushlight.load(tmp_path / "state.pt"))
    assert list(model_state) == list(model.state_dict())
