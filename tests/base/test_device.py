"""`device`: parsing, printing, identity, the default device."""

from __future__ import annotations

import pickle
import threading

import pytest

import rushlight as rl
from rushlight.base.device import CPU, as_device, concrete, device

torch = pytest.importorskip("torch", reason="parity tests need torch")


@pytest.fixture(autouse=True)
def default_device():
    yield
    rl.set_default_device(None)


def outcome(lib, *args):
    try:
        d = lib.device(*args)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__
    return repr(d), str(d), d.type, d.index


@pytest.mark.parametrize(
    "args",
    [("cpu",), ("cuda",), ("cuda:0",), ("cuda:1",), ("cuda", 1), ("mps",), ("meta",), ("cpu:0",), ("gpu",), ("cuda:",), ("cuda:x",), ("",),
     ("cuda:-1",), ("cuda:01",), ("CPU",), ("cuda:0", 1), ("cpu", -1), (None,), (1.5,)],
    ids=str,
)  # fmt: skip
def test_parsing(args):
    assert outcome(rl, *args) == outcome(torch, *args)


def test_one_object_stands_for_one_device():
    assert device("cuda:1") is device("cuda", 1) is device(device("cuda:1"))
    assert device("cpu") is CPU is as_device("cpu") and as_device(CPU) is CPU
    assert device("cuda") is not device("cuda:0") and device("cuda") != device("cuda:0")
    assert pickle.loads(pickle.dumps(device("cuda:1"))) is device("cuda:1")
    assert len({device("cpu"), device("cpu")}) == 1


def test_concrete():
    assert concrete(device("cuda")) is device("cuda:0")
    assert concrete(device("cpu:0")) is CPU
    assert concrete(device("cuda:1")) is device("cuda:1")


def test_errors_give_the_cure():
    with pytest.raises(RuntimeError, match="'cuda', an Apple one 'mps'"):
        device("gpu")
    with pytest.raises(RuntimeError, match=r"torch\.float32"):
        device("float32")
    with pytest.raises(RuntimeError, match="cpu, cuda"):
        device("tpu")


def test_the_default_device():
    assert rl.get_default_device() is CPU
    rl.set_default_device("meta")
    assert rl.ones(2).device.type == "meta"
    rl.set_default_device(None)
    assert rl.ones(2).device is CPU


def test_as_a_context_manager():
    with rl.device("meta"):
        assert rl.ones(2).is_meta
        with rl.device("cpu"):
            assert rl.ones(2).is_cpu
        assert rl.ones(2).is_meta
        assert rl.ones(2, device="cpu").is_cpu
    assert rl.ones(2).is_cpu
    with pytest.raises(ZeroDivisionError), rl.device("meta"):
        raise ZeroDivisionError
    assert rl.ones(2).is_cpu


def test_the_default_is_the_threads_own():
    found = []
    with rl.device("meta"):
        thread = threading.Thread(target=lambda: found.append(rl.ones(1).device.type))
        thread.start()
        thread.join()
    assert found == ["cpu"]


def test_mixing_devices_is_an_error():
    a, b = rl.ones(2), rl.ones(2, device="meta")
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device.*cpu and meta"):
        a + b
    assert (b + rl.tensor(1.0)).is_meta and (rl.tensor(1.0) + b).is_meta
    with pytest.raises(RuntimeError, match="written into a tensor on cpu"):
        rl.tensor(1.0).add_(b.sum())
