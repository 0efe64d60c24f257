"""Layouts nobody sees: arrays in an order of the backend's own, as long as no one can tell.

The operations here exist for the test: one makes a hidden array (axes reversed in memory), one keeps it hidden, and both
check that nobody else ever hands them one by accident.
"""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight.backends.hidden import HiddenArray
from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU
from rushlight.core.modes import Override
from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.core.strides import numpy_strides
from rushlight.core.tensor import alias_array, array_of

# Operations are handed hidden arrays only beside kernels that take them.
keeps = pytest.mark.skipif(not kernels_for(CPU).takes_hidden, reason="the NumPy kernels keep no layouts of their own")


def hide(array):
    """The same values with the last axis outermost in memory."""
    rank = array.ndim
    axes = tuple(reversed(range(rank)))
    return HiddenArray(np.ascontiguousarray(array.transpose(axes)).transpose(axes))


class Triple(Primitive):
    """3 x in a layout of its own; takes both kinds of array."""

    __slots__ = ()
    name = "triple"
    keeps_layout = True
    given: list = []

    def forward(self, k, *arrays):
        x = arrays[0]
        Triple.given.append(type(x))
        if type(x) is HiddenArray:
            return HiddenArray(x.array * 3)
        return hide(x * 3)

    def vjp(self, saved, g, needs):
        return apply1(self, g)


class Square(Primitive):
    """x² kept hidden, saving its input and its output."""

    __slots__ = ()
    name = "hidden_square"
    keeps_layout = True

    def forward(self, k, *arrays):
        x = arrays[0]
        return HiddenArray(x.array**2) if type(x) is HiddenArray else hide(x**2)

    def save(self, inputs, output, needs):
        return (inputs[0], output)

    def vjp(self, saved, g, needs):
        x, y = saved
        return 2 * g * y / x


class Plain(Primitive):
    """An operation that knows nothing of layouts."""

    __slots__ = ()
    name = "plain"
    given: list = []

    def forward(self, k, *arrays):
        Plain.given += [type(a) for a in arrays]
        return arrays[0] + arrays[-1]

    def vjp(self, saved, g, needs):
        return (g,) * len(needs)


TRIPLE, SQUARE, PLAIN = Triple(), Square(), Plain()


def hidden(requires_grad=False):
    """A hidden (2, 3, 4) tensor and the values it has."""
    x = rl.arange(24, dtype=rl.float64).reshape(2, 3, 4) + 1
    x = x.detach().clone().requires_grad_(requires_grad)
    y = apply1(TRIPLE, x)
    Triple.given = []
    assert is_hidden(y)
    return x, y, 3 * x.detach().numpy()


def is_hidden(t):
    return t._array is None and t._storage.hidden is not None


# ---------------------------------------------------------------- nobody can tell


def test_shape_dtype_strides_are_the_reported_ones():
    _, y, values = hidden()
    assert y.shape == (2, 3, 4) and y.dtype is rl.float64 and y.device.type == "cpu"
    assert y.stride() == (12, 4, 1) and y.stride(0) == 12 and numpy_strides(y) == (12, 4, 1)
    assert y.is_contiguous() and y.storage_offset() == 0 and y.numel() == 24 and y.nbytes == 24 * 8
    assert y.contiguous() is y
    assert is_hidden(y)
    assert y._storage.hidden.default().tolist() == values.tolist()


READS = {
    "tolist": lambda y: y.tolist(),
    "item": lambda y: apply1(TRIPLE, rl.ones(1, 1)).item(),
    "print": lambda y: repr(y),
    "str": lambda y: str(y),
    "add": lambda y: y + 1,
    "sum": lambda y: y.sum(),
    "clone": lambda y: y.clone(),
    "compare": lambda y: y == y,
    "equal": lambda y: rl.equal(y, y),
    "to": lambda y: y.to(rl.float32),
    "index": lambda y: y[rl.tensor([0, 1])],
    "bool": lambda y: bool((y > 0).all()),
    "as operand": lambda y: rl.ones(2, 3, 4, dtype=rl.float64) * y,
    "copied from": lambda y: rl.zeros(2, 3, 4, dtype=rl.float64).copy_(y),
}


@pytest.mark.parametrize("name", READS)
def test_reading_leaves_it_hidden(name):
    _, y, values = hidden()
    plain = rl.tensor(values)
    found, expected = READS[name](y), READS[name](plain)
    if isinstance(found, rl.Tensor):
        found, expected = found.tolist(), expected.tolist()
    assert found == expected
    assert is_hidden(y)


ALIASES = {
    "view": lambda y: y.view(-1),
    "reshape": lambda y: y.reshape(6, 4),
    "row": lambda y: y[0],
    "slice": lambda y: y[:, 1:],
    "transpose": lambda y: y.transpose(0, 2),
    "expand": lambda y: y.expand(2, 2, 3, 4),
    "as_strided": lambda y: y.as_strided((2, 2), (1, 2)),
    "numpy": lambda y: y.numpy(),
    "data": lambda y: y.data,
}


@pytest.mark.parametrize("name", ALIASES)
def test_aliasing_relays_for_good_and_shares_memory(name):
    _, y, values = hidden()
    before = y.detach()
    other = ALIASES[name](y)
    assert not is_hidden(y) and not is_hidden(before)
    y.zero_()
    assert not np.asarray(other).any()
    assert not np.asarray(before).any() and before.data_ptr() == y.data_ptr()
    assert y.stride() == (12, 4, 1)


@pytest.mark.parametrize(
    "ask", [lambda y: y.data_ptr(), lambda y: y.untyped_storage(), lambda y: np.from_dlpack(y)], ids=["data_ptr", "storage", "dlpack"]
)
def test_asking_for_memory_relays(ask):
    _, y, values = hidden()
    ask(y)
    assert not is_hidden(y)
    assert y.tolist() == values.tolist()


def test_data_ptr_stays_the_same():
    _, y, _ = hidden()
    first = y.data_ptr()
    y + 1
    apply1(TRIPLE, y)
    assert y.data_ptr() == first


WRITES = {
    "add_": lambda y: y.add_(1),
    "mul_": lambda y: y.mul_(y),
    "setitem": lambda y: y.__setitem__(0, 5.0),
    "masked": lambda y: y.__setitem__(y > 10, 0.0),
    "copy_": lambda y: y.copy_(rl.ones(4, dtype=rl.float64)),
    "out": lambda y: rl.add(y, 1, out=y),
}


@pytest.mark.parametrize("name", WRITES)
def test_in_place_writes_reach_every_alias(name):
    _, y, values = hidden()
    detached = y.detach()
    expected = rl.tensor(values)
    WRITES[name](y)
    WRITES[name](expected)
    assert y.tolist() == expected.tolist() == detached.tolist()
    assert y._version == detached._version > 0
    detached.zero_()
    assert not y.any()


def test_writing_through_the_detached_one():
    _, y, _ = hidden()
    d = y.detach()
    assert is_hidden(d) and d._storage is y._storage
    d.fill_(2)
    assert y.tolist() == np.full((2, 3, 4), 2.0).tolist()


def test_array_functions():
    _, y, values = hidden()
    temporary = array_of(y)
    temporary[...] = 0
    assert y.tolist() == values.tolist() and is_hidden(y)
    kept = alias_array(y)
    kept[0, 0, 0] = -1
    assert y[0, 0, 0].item() == -1 and array_of(y) is kept and alias_array(y) is kept


# ---------------------------------------------------------------- who is handed what


def test_only_operations_that_ask_get_hidden_arrays():
    _, y, values = hidden()
    Plain.given = []
    z = apply1(PLAIN, y)
    apply2(PLAIN, y, rl.ones(4, dtype=rl.float64))
    apply2(PLAIN, rl.ones(4, dtype=rl.float64), y)
    assert Plain.given == [np.ndarray] * 5
    assert z.tolist() == (2 * values).tolist() and is_hidden(y)


@keeps
def test_operations_that_ask_pass_it_on():
    _, y, values = hidden()
    z = apply1(SQUARE, apply1(TRIPLE, y))
    assert Triple.given == [HiddenArray] and is_hidden(z)
    assert z.tolist() == ((3 * values) ** 2).tolist()


def test_after_relaying_they_get_the_default_again():
    _, y, _ = hidden()
    y.view(-1)
    apply1(TRIPLE, y)
    assert Triple.given == [np.ndarray]


@keeps
def test_promotion_hands_out_the_default():
    class Promoting(Plain):
        __slots__ = ()
        name = "promoting"
        promotion = 1
        keeps_layout = True

        def forward(self, k, *arrays):
            Plain.given += [type(a) for a in arrays]
            return arrays[0] + arrays[1].default()

    _, y, values = hidden()
    Plain.given = []
    z = apply2(Promoting(), apply1(TRIPLE, rl.ones(2, 3, 4)), y)
    assert z.dtype is rl.float64 and z.tolist() == (3 + values).tolist()
    assert Plain.given == [np.ndarray, HiddenArray]


# ---------------------------------------------------------------- gradients


def test_gradients_flow_and_take_the_reported_strides():
    x, y, _ = hidden(requires_grad=True)
    (y * y).sum().backward()
    assert x.grad.tolist() == (18 * x.detach()).tolist()
    assert x.grad.stride() == x.stride() and x.grad.is_contiguous()


def test_saved_tensors_share_the_storage():
    x, y, _ = hidden(requires_grad=True)
    z = apply1(SQUARE, y)
    assert is_hidden(y) and is_hidden(z)
    kept, alias = z.grad_fn.saved
    assert kept is y and alias.alias._storage is z._storage
    z.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 18 * x.detach().numpy())
    assert is_hidden(y)


def test_a_saved_hidden_tensor_that_is_written_is_an_error():
    _, y, _ = hidden(requires_grad=True)
    z = apply1(SQUARE, y)
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_a_leaf_may_be_hidden():
    _, y, values = hidden()
    leaf = y.detach().requires_grad_()
    assert is_hidden(leaf)
    (leaf * 2).sum().backward()
    assert leaf.grad.stride() == (12, 4, 1) and is_hidden(leaf)
    apply1(SQUARE, leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 2 + 2 * values)


def test_a_hidden_gradient_of_a_leaf_in_another_order_takes_the_leafs_strides():
    x = rl.ones(4, 3, 2, dtype=rl.float64).permute(2, 1, 0).detach().requires_grad_()
    apply1(TRIPLE, x).sum().backward()
    assert x.grad.stride() == x.stride() == (1, 2, 6)


def test_a_view_of_it_after_the_fact_writes_history():
    x, y, _ = hidden(requires_grad=True)
    flat = y.view(y.size(0), -1)
    flat[:, 0].mul_(10)
    assert type(y.grad_fn).__name__ == "CopySlices"
    y.sum().backward()
    expected = np.full((2, 12), 3.0)
    expected[:, 0] = 30
    assert x.grad.view(2, 12).tolist() == expected.tolist()


def test_double_backward():
    x = rl.rand(2, 3, dtype=rl.float64).requires_grad_()
    assert rl.autograd.gradcheck(lambda t: apply1(SQUARE, apply1(TRIPLE, t)) + 1, x)
    assert rl.autograd.gradgradcheck(lambda t: apply1(SQUARE, apply1(TRIPLE, t)) + 1, x)


# ---------------------------------------------------------------- the rest of Python


def test_copies_and_pickles_have_the_values():
    _, y, values = hidden()
    for other in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert other.tolist() == values.tolist() and other.stride() == (12, 4, 1)
    file = io.BytesIO()
    rl.save(y, file)
    file.seek(0)
    assert rl.load(file).tolist() == values.tolist()


def test_listeners_and_inference_mode():
    seen = []
    x = rl.ones(2, 3)
    with Override(listeners=(lambda op, inputs, out: seen.append(op.name),)):
        y = apply1(TRIPLE, x)
    assert seen == ["triple"] and is_hidden(y)
    with rl.inference_mode():
        z = apply1(TRIPLE, x)
    assert is_hidden(z) and z.is_inference() and (z + 1).tolist() == [[4.0] * 3] * 2


def test_subclasses():
    class Mine(rl.Tensor):
        pass

    y = apply1(TRIPLE, rl.ones(2, 3)).as_subclass(Mine)
    assert (y + 1).tolist() == [[4.0] * 3] * 2 and type(y + 1) is Mine
