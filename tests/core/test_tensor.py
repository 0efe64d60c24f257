"""What every tensor has: attributes, Python's protocols, conversions; and the functions under them."""

from __future__ import annotations

import warnings
import weakref

import numpy as np
import pytest

import rushlight as rl
from rushlight.base.device import CPU
from rushlight.core.strides import numpy_strides
from rushlight.core.table import FUNCTIONS, OPERATORS, Operator, T, fill
from rushlight.core.tensor import TensorBase, alias_array, array_of, attach, is_tensor, make_alias, wrap

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


def outcome(action, lib):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "ok", action(lib)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__


@both
def test_attributes(lib):
    x = lib.ones(2, 3)
    assert x.shape == x.size() == (2, 3) and x.size(-1) == 3 and x.size(dim=0) == 2
    assert x.ndim == x.dim() == 2 and x.numel() == x.nelement() == 6
    assert x.dtype is lib.float32 and x.element_size() == x.itemsize == 4 and x.nbytes == 24
    assert x.is_floating_point() and not x.is_complex() and x.is_signed()
    assert x.is_cpu and not x.is_cuda and not x.is_meta and not x.is_sparse and not x.is_quantized
    assert x.get_device() == -1 and x.device == lib.device("cpu") and x.layout is lib.strided
    assert not x._is_view() and x._base is None and x._version == 0 and x.output_nr == 0


CASES = {
    "size range": lambda t: t.ones(2).size(1),
    "size zero-dim": lambda t: t.ones(()).size(0),
    "len": lambda t: len(t.ones(3, 2)),
    "len zero-dim": lambda t: len(t.ones(())),
    "bool": lambda t: (bool(t.tensor(1.0)), bool(t.tensor([[0]])), bool(t.tensor(float("nan")))),
    "bool of none": lambda t: bool(t.ones(0)),
    "bool of two": lambda t: bool(t.ones(2)),
    "int": lambda t: (int(t.tensor(2.9)), int(t.tensor([3]))),
    "int of nan": lambda t: int(t.tensor(float("nan"))),
    "float": lambda t: (float(t.tensor(2)), float(t.tensor([[1.5]]))),
    "float of complex": lambda t: float(t.tensor(1j)),
    "complex": lambda t: complex(t.tensor(1.5)),
    "index": lambda t: [10, 20, 30][t.tensor(1)],
    "index of a float": lambda t: [10, 20][t.tensor(1.0)],
    "index of two": lambda t: [10, 20][t.tensor([1, 0])],
    "index of bool": lambda t: [10, 20][t.tensor(True)],
    "range": lambda t: list(range(t.tensor(3))),
    "item": lambda t: (t.tensor(1).item(), t.tensor([True]).item(), t.tensor(1.5, dtype=t.float16).item(), t.tensor(1j).item()),
    "item types": lambda t: [type(x.item()).__name__ for x in (t.tensor(1), t.tensor(True), t.tensor(1.0), t.tensor(1j))],
    "item of none": lambda t: t.ones(0).item(),
    "item of meta": lambda t: t.ones(1, device="meta").item(),
    "contains": lambda t: (1.0 in t.ones(2), 3 in t.ones(2), t.tensor(1.0) in t.ones(2)),
    "contains text": lambda t: "a" in t.ones(2),
    "iter": lambda t: [x.tolist() for x in t.arange(4).reshape(2, 2)],
    "iter zero-dim": lambda t: list(t.ones(())),
    "unpack": lambda t: (lambda a, b: (a.item(), b.item()))(*t.tensor([1, 2])),
    "reversed": lambda t: [x.tolist() for x in reversed(t.arange(3))],
    "hash": lambda t: (lambda x: hash(x) == hash(x) and len({x, x}) == 1)(t.ones(2)),
    "compare with none": lambda t: t.ones(2) == None,  # noqa: E711
    "compare with text": lambda t: t.ones(2) == "a",
    "add text": lambda t: t.ones(2) + "a",
    "add none": lambda t: t.ones(2) + None,
    "format": lambda t: (f"{t.tensor(1.5):.3f}", f"{t.tensor(2)}", f"{t.ones(2)}"),
    "positive": lambda t: (+t.ones(2)).tolist(),
    "invert": lambda t: (~t.tensor([0, 5])).tolist(),
    "invert float": lambda t: ~t.ones(2),
    "abs": lambda t: abs(t.tensor([-1, 2])).tolist(),
    "round": lambda t: t.tensor(1.6).round().item(),
    "shifts": lambda t: ((t.tensor(1) << 3).item(), (t.tensor(8) >> 2).item(), (1 << t.tensor(3)).item()),
    "logic": lambda t: ((t.tensor(6) & 3).item(), (t.tensor(6) | 1).item(), (6 ^ t.tensor(3)).item(), (3 & t.tensor(6)).item()),
    "divmod": lambda t: ((t.tensor(7) // 2).item(), (t.tensor(-7) % 3).item(), (7 // t.tensor(2)).item(), (7 % t.tensor(4)).item()),
    "pow": lambda t: ((t.tensor(2) ** 3).item(), (2 ** t.tensor(3)).item(), (2.0 ** t.tensor([1.0, 2.0])).tolist()),
    "rdiv": lambda t: (1 / t.tensor([2.0, 4.0])).tolist(),
    "chained": lambda t: bool((0 < t.tensor(1)) and (t.tensor(1) <= 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_protocols(name):
    ours, theirs = outcome(CASES[name], rl), outcome(CASES[name], torch)
    assert repr(ours) == repr(theirs)


IN_PLACE = ["+=", "-=", "*=", "/=", "//=", "%=", "**="]


@pytest.mark.parametrize("operator", IN_PLACE)
@pytest.mark.parametrize("other", ["2", "t.tensor([2.0, 4.0])", "t.tensor(2)"])
def test_in_place_operators(operator, other):
    found = []
    for lib in (rl, torch):
        x = y = lib.tensor([7.0, -9.0])
        names = {"x": x, "t": lib}
        exec(f"x {operator} {other}", names)
        assert names["x"] is y
        found.append((y.tolist(), y._version))
    assert found[0] == found[1]


@pytest.mark.parametrize("operator", ["&=", "|=", "^=", "<<=", ">>="])
def test_in_place_integer_operators(operator):
    found = []
    for lib in (rl, torch):
        names = {"x": lib.tensor([6, 3])}
        exec(f"x {operator} 1", names)
        found.append(names["x"].tolist())
    assert found[0] == found[1]


def test_arrays_leave_operators_to_tensors():
    a, t = np.ones(2, np.float32), rl.ones(2)
    for result in (a + t, a * t, t - a, a / t, a == t, a < t, np.float32(2) * t):
        assert isinstance(result, rl.Tensor)


def test_floats_of_recorded_tensors_warn():
    x = rl.ones((), requires_grad=True)
    for convert in (float, complex):
        with pytest.warns(UserWarning, match="may lead to unexpected behavior"):
            convert(x)
    int(x), bool(x), x.item(), float(x.detach())
    with rl.no_grad():
        float(x)


def test_tensors_can_be_weakly_referenced_and_carry_attributes():
    x = rl.ones(1)
    x.note = "mine"
    ref = weakref.ref(x)
    assert ref() is x and x.note == "mine"
    del x
    assert ref() is None


def test_wrap_owns_the_array():
    a = np.ones((2, 3), np.float32)
    t = wrap(a, CPU)
    assert type(t) is rl.Tensor and array_of(t) is a and alias_array(t) is a
    assert not t.requires_grad and t.is_leaf and numpy_strides(t) == (3, 1)


def test_aliases_share_the_storage():
    x = rl.ones(2, requires_grad=True) * 1
    alias = make_alias(x)
    assert alias._storage is x._storage and alias.grad_fn is None and not alias.requires_grad
    again = x.detach_alias().with_history(x.grad_fn, 0)
    assert again.requires_grad and again.grad_fn is x.grad_fn


def test_attach_and_is_tensor():
    attach("_only_for_this_test", lambda self: self.ndim)
    try:
        assert rl.ones(2, 2)._only_for_this_test() == 2
    finally:
        del rl.Tensor._only_for_this_test
    assert is_tensor(rl.ones(1)) and not is_tensor(np.ones(1)) and issubclass(rl.Tensor, TensorBase)


def test_every_operator_is_filled():
    assert [name for name in OPERATORS if not isinstance(getattr(T, name, None), Operator)] == []
    assert [name for name in FUNCTIONS if not callable(getattr(T, name, None))] == []
    with pytest.raises(KeyError, match="no entry 'nonsense'"):
        fill(nonsense=len)


def test_zero_dim_results_are_arrays():
    for t in (rl.tensor(1.0) + 1, rl.ones(3).sum(), rl.ones(2, 2)[0, 0], rl.ones(3) @ rl.ones(3), -rl.tensor(2)):
        assert isinstance(t._array, np.ndarray) and t._array.shape == ()
