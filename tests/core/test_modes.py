"""The thread-local modes and the one set that keeps them off the fast path."""

from __future__ import annotations

import threading

import pytest

import rushlight as rl
from rushlight.core.modes import STATE, Override, local, set_grad


@pytest.fixture(autouse=True)
def modes_are_left():
    assert len(STATE.busy) == 0
    yield
    assert len(STATE.busy) == 0 and local.modes.plain and local.modes.counted is None


MODES = {
    "grad": dict(grad=False),
    "inference": dict(inference=True, grad=False),
    "torch_function": dict(torch_function=False),
    "function_modes": dict(function_modes=(object(),)),
    "saved_hooks": dict(saved_hooks=((id, id),)),
    "disabled": dict(saved_hooks_disabled="no"),
    "anomaly": dict(anomaly=True),
    "listeners": dict(listeners=(lambda *a: None,)),
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_is_counted_once_and_put_back(name):
    values = MODES[name]
    before = {key: getattr(local.modes, key) for key in values}
    with Override(**values):
        assert len(STATE.busy) == 1 and all(getattr(local.modes, key) == value for key, value in values.items())
        assert local.modes.plain == (name == "grad")
        with Override(**values):
            assert len(STATE.busy) == 1
        assert len(STATE.busy) == 1
    assert {key: getattr(local.modes, key) for key in values} == before


def test_an_override_can_be_entered_again_inside_itself():
    quiet = Override(grad=False)
    with quiet:
        with quiet:
            pass
        assert not local.modes.grad
    assert local.modes.grad


def test_put_back_when_the_block_raises():
    with pytest.raises(KeyError), Override(grad=False, anomaly=True):
        raise KeyError
    assert local.modes.grad and not local.modes.anomaly


def test_set_grad_returns_what_was():
    assert set_grad(False) is True
    assert set_grad(False) is False
    assert set_grad(True) is False


def test_each_thread_counts_for_itself():
    ready, leave = threading.Barrier(4), threading.Event()
    plain = []

    def work():
        with Override(anomaly=True):
            ready.wait(10)
            leave.wait(10)
            plain.append(local.modes.plain)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait(10)
    assert len(STATE.busy) == 3 and local.modes.plain
    leave.set()
    for thread in threads:
        thread.join()
    assert plain == [False] * 3


def test_listeners_see_operations_of_their_thread_in_order():
    seen = []

    def listen(op, inputs, outputs):
        seen.append((op.name, len(inputs)))

    x = rl.ones(2, 2)
    with Override(listeners=(listen,)):
        y = x + 1
        y.mul_(2)
        y[0]
        y.max(0)
        thread = threading.Thread(target=lambda: x - 1)
        thread.start()
        thread.join()
    x + 1
    assert [name for name, _ in seen] == ["add", "mul", "select", "max_dim"]
