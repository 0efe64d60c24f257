"""Anomaly detection: NaN in the backward pass, and where the forward call was."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.core.modes import STATE, local

pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")


@pytest.fixture(autouse=True)
def modes_are_left():
    yield
    assert len(STATE.busy) == 0 and not local.modes.anomaly and not local.modes.listeners


def nan_in_backward():
    x = rl.tensor([-1.0], requires_grad=True)
    return x.sqrt()  # the faulty call


def test_the_error_and_the_forward_call():
    with rl.autograd.detect_anomaly():
        y = nan_in_backward()
        with pytest.warns(UserWarning, match="Error detected in SqrtBackward0") as shown:
            with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output"):
                y.backward()
    text = str(shown[0].message)
    assert "the faulty call" in text and "test_anomaly.py" in text
    assert "rushlight/core" not in text


def test_entering_warns():
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"), rl.autograd.detect_anomaly():
        assert rl.is_anomaly_enabled() and rl.is_anomaly_check_nan_enabled()
    assert not rl.is_anomaly_enabled()


def test_without_checking_for_nan():
    with rl.autograd.detect_anomaly(check_nan=False):
        assert not rl.is_anomaly_check_nan_enabled()
        nan_in_backward().backward()


def test_other_errors_show_the_forward_call_too():
    class Bad(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            raise ValueError("hm")

    with rl.autograd.detect_anomaly():
        y = Bad.apply(rl.ones(1, requires_grad=True))  # the custom call
        with pytest.warns(UserWarning, match="(?s)Error detected in BadBackward.*the custom call"):
            with pytest.raises(ValueError, match="hm"):
                y.backward()


def test_nodes_made_by_a_backward_pass_name_the_node_they_belong_to():
    with rl.autograd.detect_anomaly():
        x = rl.tensor([0.0], requires_grad=True)
        y = x.pow(1.5)  # its second derivative at 0 is infinite, times 0
        (g,) = rl.autograd.grad(y, x, create_graph=True)
        with pytest.warns(UserWarning, match="(?s)Error detected in .*Previous calculation was induced by PowBackward0"):
            with pytest.raises(RuntimeError, match="returned nan"):
                (g * 0).sum().backward()


def test_a_forward_pass_outside_the_mode():
    y = nan_in_backward()
    with rl.autograd.detect_anomaly():
        with pytest.warns(UserWarning, match="outside anomaly mode"), pytest.raises(RuntimeError, match="nan values"):
            y.backward()


def test_set_detect_anomaly():
    rl.autograd.set_detect_anomaly(True)
    try:
        assert rl.is_anomaly_enabled()
        with rl.autograd.set_detect_anomaly(False):
            nan_in_backward().backward()
        assert rl.is_anomaly_enabled()
    finally:
        rl.autograd.set_detect_anomaly(False)
    with rl.autograd.set_detect_anomaly(True, check_nan=False):
        nan_in_backward().backward()


def test_nested_modes_note_once():
    with rl.autograd.detect_anomaly(), rl.autograd.detect_anomaly():
        y = nan_in_backward()
        assert len(y.grad_fn.metadata["traceback_"]) > 0
        assert len(local.modes.listeners) == 1
