"""Warnings point at the user's line: from functions, methods, modules and compiled parts alike."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.ops import factory


def _float_of_history():
    return float(rl.ones(1, requires_grad=True))


def _inner_gradient():
    return (2 * rl.ones(1, requires_grad=True)).grad


@pytest.mark.parametrize(
    "act",
    [
        lambda: rl.zeros(2, dtype=rl.float64, device="mps"),
        lambda: rl.zeros(2).new_zeros(2, dtype=rl.float64, device="mps"),
        lambda: rl.tensor(rl.ones(2)),
        lambda: rl.tensor([np.ones(2), np.ones(2)]),
        lambda: rl.std(rl.ones(1)),
        lambda: rl.ones(2, requires_grad=True).sum().backward(create_graph=True),
        lambda: rl.ones(1).var(),
        lambda: nn.functional.softmax(rl.ones(2)),
        lambda: nn.Softmax()(rl.ones(2)),
        lambda: nn.InstanceNorm1d(3)(rl.ones(1, 2, 4)),
        lambda: nn.Sequential(nn.InstanceNorm1d(3))(rl.ones(1, 2, 4)),
        lambda: nn.LSTM(2, 2, dropout=0.5),
        lambda: rl.where(rl.ones(1, dtype=rl.uint8), 1.0, 2.0),
        lambda: rl.meshgrid(rl.ones(2)),
        _float_of_history,
        _inner_gradient,
    ],
)
def test_the_user_s_line(act, monkeypatch):
    monkeypatch.setattr(factory, "_warned_about", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert [w.filename for w in caught] == [__file__]
    assert caught[0].lineno == act.__code__.co_firstlineno + (act.__name__ != "<lambda>")
