"""`__torch_function__` on subclasses and function modes."""

from __future__ import annotations

import threading

import pytest

import rushlight as rl
from rushlight.core.modes import STATE
from rushlight.overrides import (
    BaseTorchFunctionMode,
    DisableTorchFunction,
    DisableTorchFunctionSubclass,
    TorchFunctionMode,
    handle_torch_function,
    has_torch_function,
    is_tensor_like,
    resolve_name,
)

F = rl.nn.functional

# Calls of many kinds on x (3, 3); `y` is (3, 3), `i` an index vector. Each must reach the overrides.
CALLS = {
    "add": lambda x, y, i: x + y,
    "add-number": lambda x, y, i: x + 2,
    "radd": lambda x, y, i: 2 + x,
    "rsub": lambda x, y, i: 1 - x,
    "function-add": lambda x, y, i: rl.add(x, y, alpha=2),
    "mul": lambda x, y, i: x * y,
    "div": lambda x, y, i: x / y,
    "pow": lambda x, y, i: x**2,
    "neg": lambda x, y, i: -x,
    "abs": lambda x, y, i: abs(x),
    "compare": lambda x, y, i: x > y,
    "equal": lambda x, y, i: x == 1,
    "matmul": lambda x, y, i: x @ y,
    "function-matmul": lambda x, y, i: rl.matmul(x, y),
    "matvec": lambda x, y, i: x @ y[0],
    "bmm": lambda x, y, i: rl.bmm(x.unsqueeze(0), y.unsqueeze(0)),
    "addmm": lambda x, y, i: rl.addmm(x, y, y, beta=2),
    "einsum": lambda x, y, i: rl.einsum("ij,jk->ik", x, y),
    "exp": lambda x, y, i: x.exp(),
    "sqrt": lambda x, y, i: rl.sqrt(x),
    "relu": lambda x, y, i: rl.relu(x),
    "clamp": lambda x, y, i: x.clamp(0, 1),
    "sum": lambda x, y, i: x.sum(),
    "sum-dim": lambda x, y, i: x.sum(1, keepdim=True),
    "sum-dims": lambda x, y, i: x.sum((0, 1)),
    "mean": lambda x, y, i: rl.mean(x, dim=0),
    "max": lambda x, y, i: x.max(),
    "max-dim": lambda x, y, i: x.max(1),
    "argmax": lambda x, y, i: x.argmax(1),
    "sort": lambda x, y, i: x.sort(0),
    "softmax": lambda x, y, i: x.softmax(-1),
    "log_softmax": lambda x, y, i: F.log_softmax(x, dim=1),
    "cat": lambda x, y, i: rl.cat([x, y], 1),
    "stack": lambda x, y, i: rl.stack((x, y)),
    "split": lambda x, y, i: x.split(2),
    "unbind": lambda x, y, i: x.unbind(1),
    "chunk": lambda x, y, i: x.chunk(2, 1),
    "row": lambda x, y, i: x[0],
    "slice": lambda x, y, i: x[1:, ::2],
    "ellipsis": lambda x, y, i: x[..., None],
    "index": lambda x, y, i: x[i],
    "index-two": lambda x, y, i: x[i, i],
    "mask": lambda x, y, i: x[y > 1],
    "view": lambda x, y, i: x.view(9),
    "reshape": lambda x, y, i: x.reshape(1, 9),
    "flatten": lambda x, y, i: x.flatten(),
    "permute": lambda x, y, i: x.permute(1, 0),
    "transpose": lambda x, y, i: x.transpose(0, 1),
    "T": lambda x, y, i: x.T,
    "t": lambda x, y, i: x.t(),
    "squeeze": lambda x, y, i: x.squeeze(),
    "unsqueeze": lambda x, y, i: x.unsqueeze(1),
    "expand": lambda x, y, i: x.expand(2, 3, 3),
    "narrow": lambda x, y, i: x.narrow(0, 0, 2),
    "select": lambda x, y, i: x.select(0, 1),
    "diagonal": lambda x, y, i: x.diagonal(),
    "flip": lambda x, y, i: x.flip(0),
    "roll": lambda x, y, i: x.roll(1, 0),
    "repeat": lambda x, y, i: x.repeat(2, 1),
    "tril": lambda x, y, i: x.tril(),
    "gather": lambda x, y, i: x.gather(1, i.unsqueeze(0)),
    "scatter": lambda x, y, i: x.scatter(1, i.unsqueeze(0), 1.0),
    "scatter_add": lambda x, y, i: x.scatter_add(1, i.unsqueeze(0), y),
    "index_select": lambda x, y, i: x.index_select(0, i),
    "masked_fill": lambda x, y, i: x.masked_fill(y > 1, 0),
    "masked_select": lambda x, y, i: x.masked_select(y > 1),
    "where": lambda x, y, i: rl.where(y > 1, x, y),
    "cumsum": lambda x, y, i: x.cumsum(0),
    "prod": lambda x, y, i: x.prod(1),
    "norm": lambda x, y, i: x.norm(),
    "std": lambda x, y, i: x.std(0),
    "clone": lambda x, y, i: x.clone(),
    "detach": lambda x, y, i: x.detach(),
    "to": lambda x, y, i: x.to(rl.float64),
    "contiguous": lambda x, y, i: x.t().contiguous(),
    "unfold": lambda x, y, i: x.unfold(0, 2, 1),
    "as_strided": lambda x, y, i: x.as_strided((2, 2), (1, 2)),
    "outer": lambda x, y, i: rl.outer(x[0], y[0]),
    "linear": lambda x, y, i: F.linear(x, y),
    "conv1d": lambda x, y, i: F.conv1d(x.unsqueeze(0), y.unsqueeze(-1)),
    "conv2d": lambda x, y, i: F.conv2d(x[None, None], y[None, None], padding=1),
    "max_pool2d": lambda x, y, i: F.max_pool2d(x[None], 2),
    "layer_norm": lambda x, y, i: F.layer_norm(x, (3,)),
    "mse_loss": lambda x, y, i: F.mse_loss(x, y),
    "gelu": lambda x, y, i: F.gelu(x),
    "add_": lambda x, y, i: x.add_(y),
    "iadd": lambda x, y, i: x.__iadd__(1),
    "mul_": lambda x, y, i: x.mul_(2),
    "exp_": lambda x, y, i: x.exp_(),
    "zero_": lambda x, y, i: x.zero_(),
    "fill_": lambda x, y, i: x.fill_(3.0),
    "copy_": lambda x, y, i: x.copy_(y),
    "clamp_": lambda x, y, i: x.clamp_(0, 1),
    "index_put_": lambda x, y, i: x.index_put_((i,), y),
    "masked_fill_": lambda x, y, i: x.masked_fill_(y > 1, 0),
}


def inputs():
    rl.manual_seed(0)
    return rl.rand(3, 3) + 0.5, rl.rand(3, 3) + 0.5, rl.tensor([2, 0, 1])


class Plain(rl.Tensor):
    """A subclass that overrides nothing."""


class Logged(rl.Tensor):
    """A subclass that notes the functions it sees."""

    seen: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append((func, types))
        return super().__torch_function__(func, types, args, kwargs or {})


class Log(TorchFunctionMode):
    """A mode that notes the functions it sees and repeats them from what it was given."""

    def __init__(self):
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


def tensors_in(value):
    found = value if isinstance(value, (tuple, list)) else (value,)
    return [t for t in found if isinstance(t, rl.Tensor)]


def assert_equal(a, b):
    assert len(tensors_in(a)) == len(tensors_in(b)) > 0
    for one, other in zip(tensors_in(a), tensors_in(b), strict=True):
        with DisableTorchFunction():
            assert rl.equal(one.as_subclass(rl.Tensor), other.as_subclass(rl.Tensor))


@pytest.mark.parametrize("name", CALLS)
def test_a_mode_sees_the_call_and_can_repeat_it(name):
    x, y, i = inputs()
    expected = CALLS[name](x.clone(), y, i)
    x = x.clone()
    with Log() as log:
        found = CALLS[name](x, y, i)
    assert log.seen, "the mode saw nothing"
    assert all(callable(f) and f.__name__ for f in log.seen)
    assert_equal(found, expected)


@pytest.mark.parametrize("name", CALLS)
def test_results_keep_a_subclass(name):
    x, y, i = inputs()
    expected = CALLS[name](x.clone(), y, i)
    found = CALLS[name](x.clone().as_subclass(Plain), y, i)
    assert all(type(t) is Plain for t in tensors_in(found))
    assert isinstance(found, type(expected)) or isinstance(found, Plain)
    assert_equal(found, expected)


@pytest.mark.parametrize("name", CALLS)
def test_an_overriding_subclass_sees_the_call(name):
    x, y, i = inputs()
    Logged.seen = []
    found = CALLS[name](x.clone().as_subclass(Logged), y, i)
    assert Logged.seen
    assert all(Logged in types for _, types in Logged.seen)
    assert all(type(t) is Logged for t in tensors_in(found))


def test_setitem_reaches_the_mode_and_writes():
    x = rl.zeros(3, 3)
    with Log() as log:
        x[0] = 1.0
        x[rl.tensor([1])] = 2.0
    assert log.seen
    assert x.tolist() == [[1.0] * 3, [2.0] * 3, [0.0] * 3]


def test_in_place_calls_of_a_subclass_write_and_return_it():
    x = rl.ones(2).as_subclass(Plain)
    y = x.add_(1)
    assert y is x
    assert x.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("name", "function"),
    [("add-number", "add"), ("matmul", "matmul"), ("function-matmul", "matmul"), ("sum-dim", "sum"), ("cat", "cat"), ("row", "__getitem__"),
     ("index-two", "__getitem__"), ("mul_", "mul_"), ("exp", "exp"), ("einsum", "einsum"), ("linear", "linear")],
)  # fmt: skip
def test_the_function_is_the_one_of_the_public_surface(name, function):
    x, y, i = inputs()
    with Log() as log:
        CALLS[name](x, y, i)
    assert log.seen[0].__name__ == function
    assert len(log.seen) == 1


def test_numbers_are_shown_as_numbers():
    shown = []

    class Show(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            shown.append(args)
            return func(*args, **(kwargs or {}))

    x = rl.ones(2)
    with Show():
        x + 2
    assert shown[0][0] is x
    assert shown[0][1] == 2 and isinstance(shown[0][1], int)


def test_an_override_may_return_anything():
    class Shape(rl.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return f"{func.__name__}!"

    x = rl.ones(2).as_subclass(Shape)
    assert x.exp() == "exp!"
    assert rl.add(rl.ones(2), x) == "add!"


def test_functions_can_be_overridden_by_identity():
    class Twice(rl.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is rl.mean:
                return "my mean"
            return super().__torch_function__(func, types, args, kwargs)

    assert rl.mean(rl.ones(2).as_subclass(Twice)) == "my mean"
    assert type(rl.ones(2).as_subclass(Twice).sum()) is Twice


def test_the_most_derived_class_is_asked_first():
    asked = []

    def watcher(cls):
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(cls.__name__)
            return NotImplemented

        cls.__torch_function__ = classmethod(__torch_function__)
        return cls

    @watcher
    class A(rl.Tensor):
        pass

    @watcher
    class B(A):
        pass

    @watcher
    class C(rl.Tensor):
        pass

    a, b, c = (rl.ones(2).as_subclass(cls) for cls in (A, B, C))
    with pytest.raises(TypeError, match="no implementation found for 'cat'"):
        rl.cat([a, c, b])
    assert asked == ["B", "A", "C"]


def test_unrelated_subclasses_refuse_each_other():
    class Other(rl.Tensor):
        pass

    with pytest.raises(TypeError, match="no implementation found"):
        rl.ones(2).as_subclass(Plain) + rl.ones(2).as_subclass(Other)


def test_disabled_torch_function_gives_plain_tensors():
    class Quiet(rl.Tensor):
        __torch_function__ = rl._C._disabled_torch_function_impl

    assert type(rl.ones(2).as_subclass(Quiet) + 1) is rl.Tensor
    with Log() as log:
        rl.ones(2).as_subclass(Quiet) + 1
    assert "add" in [f.__name__ for f in log.seen]


def test_disable_torch_function_subclass_leaves_modes_alone():
    x = rl.ones(2).as_subclass(Logged)
    Logged.seen = []
    with DisableTorchFunctionSubclass(), Log() as log:
        assert type(x + 1) is rl.Tensor
    assert not Logged.seen and [f.__name__ for f in log.seen] == ["add"]
    with Log() as log, DisableTorchFunction():
        x + 1
    assert not Logged.seen and not log.seen


def test_modes_nest_innermost_first_and_are_off_inside_themselves():
    order = []

    class Named(TorchFunctionMode):
        def __init__(self, name):
            self.name = name

        def __torch_function__(self, func, types, args=(), kwargs=None):
            order.append(self.name)
            rl.ones(1) * 1  # seen by outer modes only
            return func(*args, **(kwargs or {}))

    with Named("outer"), Named("inner"):
        rl.tensor([1.0]).exp()
    assert order[-3:] == ["inner", "outer", "outer"] or order.count("inner") == 2
    assert len(STATE.busy) == 0


def test_one_mode_object_can_be_entered_twice():
    log = Log()
    x = rl.ones(1)
    with log, log:
        x + 1
    assert len(log.seen) == 2
    x + 1
    assert len(log.seen) == 2


def test_a_mode_is_left_when_the_block_raises():
    log = Log()
    with pytest.raises(ZeroDivisionError), log:
        raise ZeroDivisionError
    rl.ones(1) + 1
    assert not log.seen and len(STATE.busy) == 0


def test_creation_functions_reach_modes():
    with Log() as log:
        rl.zeros(2)
        rl.tensor([1.0])
    assert {"zeros", "tensor"} <= {f.__name__ for f in log.seen}


def test_base_mode_passes_everything_on():
    with BaseTorchFunctionMode():
        assert (rl.ones(2) + 1).tolist() == [2.0, 2.0]


def test_a_mode_is_seen_by_its_own_thread_only():
    results = []
    with Log() as log:
        thread = threading.Thread(target=lambda: results.append((rl.ones(2) + 1).tolist()))
        thread.start()
        thread.join()
    assert results == [[2.0, 2.0]] and not log.seen


def test_subclasses_take_part_in_autograd():
    x = rl.ones(3).as_subclass(Plain).requires_grad_()
    y = (x * 2).exp().sum()
    assert type(y) is Plain and type(y.grad_fn).__name__ == "SumBackward0"
    y.backward()
    assert x.grad.tolist() == pytest.approx([14.7781, 14.7781, 14.7781], rel=1e-4)


def test_attributes_of_a_subclass_stay_with_the_object():
    x = rl.ones(2).as_subclass(Plain)
    x.note = "mine"
    assert not hasattr(x + 1, "note") and x.note == "mine"


def test_as_subclass_shares_memory_and_history():
    x = rl.ones(2, requires_grad=True)
    y = (x * 2).as_subclass(Plain)
    assert type(y.grad_fn).__name__ in ("AliasBackward0", "MulBackward0")
    z = rl.zeros(2)
    z.as_subclass(Plain).add_(1)
    assert z.tolist() == [1.0, 1.0]
    with pytest.raises(TypeError, match="must be a type that inherits from Tensor"):
        z.as_subclass(int)


def test_parameters_stay_plain():
    p = rl.nn.Parameter(rl.ones(2))
    assert type(p + 1) is rl.Tensor


def test_functions_of_the_users_own():
    def double(t):
        if has_torch_function((t,)):
            return handle_torch_function(double, (t,), t)
        return t * 2

    Logged.seen = []
    assert type(double(rl.ones(2).as_subclass(Logged))) is Logged
    assert Logged.seen[0][0] is double
    assert not has_torch_function((rl.ones(2), 3))
    assert is_tensor_like(rl.ones(1)) and not is_tensor_like(3)
    assert resolve_name(rl.add) == "torch.add"
