"""Parameter, Buffer and their uninitialised forms."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

import rushlight
from rushlight import nn
from rushlight.nn.parameter import UninitializedBuffer, is_lazy


def test_shares_memory_without_history() -> None:
    data = rushlight.ones(2, 3)
    param = nn.Parameter(data)
    data[0, 0] = 5
    assert param[0, 0].item() == 5 and param.requires_grad and param.is_leaf
    made = nn.Parameter(rushlight.ones(2, requires_grad=True) * 2)
    assert made.grad_fn is None and made.is_leaf
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)
    again = nn.Parameter(param)
    assert again is not param and again.data_ptr() == param.data_ptr()


def test_results_are_tensors() -> None:
    param = nn.Parameter(rushlight.ones(2))
    for result in (
        param + 1,
        param * param,
        param.detach(),
        param.data,
        param.clone(),
        param[0],
        param.view(2, 1),
        -param,
    ):
        assert type(result) is rushlight.Tensor
    assert type(param) is nn.Parameter and isinstance(param, rushlight.Tensor)
    (param * 3).sum().backward()
    assert type(param.grad) is rushlight.Tensor and param.grad.tolist() == [3, 3]


def test_names() -> None:
    assert nn.Parameter.__module__ == "torch.nn.parameter"
    assert repr(nn.Parameter(rushlight.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert repr(nn.Parameter(rushlight.ones(2), False)) == "Parameter containing:\ntensor([1., 1.])"

    class Mine(nn.Parameter):
        pass

    assert repr(Mine(rushlight.ones(2))) == "Parameter containing:\nParameter(Mine([1., 1.], requires_grad=True))"
    assert type(Mine(rushlight.ones(2)) + 1) is not nn.Parameter


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="requires_grad=False"):
        nn.Parameter(rushlight.ones(2, dtype=rushlight.int64))
    assert not nn.Parameter(rushlight.ones(2, dtype=rushlight.int64), requires_grad=False).requires_grad
    with pytest.raises(AttributeError, match=r"torch\.tensor\(data\)"):
        nn.Parameter([1.0])


def test_tensor_subclass_becomes_a_parameter() -> None:
    class Mine(rushlight.Tensor):
        pass

    data = rushlight.ones(2).as_subclass(Mine)
    param = nn.Parameter(data)
    assert type(param) is Mine and isinstance(param, nn.Parameter) and param.requires_grad
    module = nn.Module()
    module.p = param
    assert list(module.parameters()) == [param] or [id(p) for p in module.parameters()] == [id(param)]


def test_copies() -> None:
    param = nn.Parameter(rushlight.ones(2))
    param.grad = rushlight.ones(2)
    both = copy.deepcopy([param, param])
    assert both[0] is both[1] and type(both[0]) is nn.Parameter and both[0].grad is None
    both[0].data[0] = 7
    assert param.tolist() == [1, 1]
    param.note = "kept"
    again = pickle.loads(pickle.dumps(param))
    assert type(again) is nn.Parameter and again.requires_grad and again.note == "kept" and again.tolist() == [1, 1]
    frozen = pickle.loads(pickle.dumps(nn.Parameter(rushlight.ones(1), False)))
    assert not frozen.requires_grad


def test_buffer() -> None:
    data = rushlight.zeros(2)
    buffer = nn.Buffer(data, persistent=False)
    assert type(buffer) is rushlight.Tensor and isinstance(buffer, nn.Buffer) and not isinstance(data, nn.Buffer)
    assert buffer.persistent is False and buffer.data_ptr() == data.data_ptr()
    assert not isinstance(buffer, nn.Parameter) and nn.Buffer().shape == (0,)


def test_uninitialized() -> None:
    param = nn.UninitializedParameter(dtype=rushlight.float64)
    assert is_lazy(param) and isinstance(param, nn.Parameter) and repr(param) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        param.shape  # noqa: B018
    with pytest.raises(ValueError, match="uninitialized parameter"):
        param + 1
    assert is_lazy(copy.deepcopy(param)) and is_lazy(pickle.loads(pickle.dumps(param)))
    same = param
    param.materialize((2, 3))
    assert same is param and type(param) is nn.Parameter and param.shape == (2, 3) and param.dtype is rushlight.float64
    assert param.requires_grad and not is_lazy(param)
    buffer = UninitializedBuffer()
    buffer.materialize(4)
    assert type(buffer) is rushlight.Tensor and buffer.shape == (4,) and not buffer.requires_grad


def test_a_process_that_has_not_imported_nn_can_unpickle_one():
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).requires_grad)"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(nn.Parameter(rushlight.ones(1))), capture_output=True)
    assert done.stdout == b"True\n", done.stderr
