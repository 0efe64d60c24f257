"""`assert_close` says what `torch.testing.assert_close` says, word for word."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
import rushlight.testing

torch = pytest.importorskip("torch", reason="parity tests need torch")
NAN, INF = float("nan"), float("inf")


def verdict(library, case, options):
    """None, or the type and the text of the error."""
    actual, expected = case(library)
    try:
        library.testing.assert_close(actual, expected, **options)
    except (AssertionError, ValueError, TypeError) as error:
        return type(error), str(error)
    return None


def pair(a, b, dtype=None):
    def case(m):
        kind = None if dtype is None else getattr(m, dtype)
        return m.tensor(a, dtype=kind), m.tensor(b, dtype=kind)

    return case


CASES = {
    "equal": pair([1.0, 2.0], [1.0, 2.0]),
    "close": pair([1.0, 2.0], [1.0, 2.0 + 1e-6]),
    "one off": pair([1.0, 2.0, 3.0], [1.0, 2.5, 3.0]),
    "matrix": pair([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 5.0]]),
    "all off": pair([[1.0] * 3] * 2, [[2.0] * 3] * 2),
    "zero-dim": pair(1.0, 2.0),
    "zero-dim integers": pair(1, 2),
    "integers": pair([1, 2], [1, 3]),
    "large integers": pair([1, 2**62], [1, 2**62 + 1]),
    "uint8": pair([1, 2], [1, 255], "uint8"),
    "bool": pair([True], [False]),
    "complex": pair([1 + 1j], [1 + 2j]),
    "half": pair([1.0], [1.5], "float16"),
    "half close": pair([1.0], [1.0009765625], "float16"),
    "bfloat16": pair([1.0], [1.5], "bfloat16"),
    "bfloat16 close": pair([1.0], [1.0078125], "bfloat16"),
    "double": pair([1.0], [1.0 + 1e-6], "float64"),
    "large": pair([1e10], [1.0]),
    "near zero": pair([0.0], [1e-9]),
    "expected zero": pair([1.0], [0.0]),
    "nan": pair([NAN], [NAN]),
    "inf": pair([INF, 1.0], [INF, 2.0]),
    "inf against number": pair([INF, 1.0], [1.0, 1.0]),
    "empty": pair([], []),
    "shape": pair([1.0], [[1.0]]),
    "dtype": lambda m: (m.tensor([1.0]), m.tensor([1.0]).double()),
    "device": lambda m: (m.tensor([1.0]), m.ones(1, device="meta")),
    "meta": lambda m: (m.ones(1, device="meta"), m.ones(1, device="meta")),
    "requires grad": lambda m: (m.ones(2, requires_grad=True), m.zeros(2, requires_grad=True)),
    "strides": lambda m: (m.ones(2, 3), m.ones(3, 2).t()),
    "number and number": lambda m: (1, 2),
    "numbers close": lambda m: (1.0, 1.0 + 1e-9),
    "floats": lambda m: (1.0, 2.0),
    "number types": lambda m: (1, 1.0),
    "complex numbers": lambda m: (1j, 2j),
    "nan numbers": lambda m: (NAN, NAN),
    "number and nan": lambda m: (1.0, NAN),
    "bools": lambda m: (True, False),
    "none": lambda m: (None, None),
    "none and number": lambda m: (None, 1),
    "numpy numbers": lambda m: (np.float64(1), np.float64(2)),
    "arrays": lambda m: (np.array([1, 2]), np.array([1, 3])),
    "equal arrays": lambda m: (np.array([1.0]), np.array([1.0])),
    "lists": lambda m: ([1, 2], [1, 3]),
    "lengths": lambda m: ([1], [1, 2]),
    "empty lists": lambda m: ([], []),
    "list and tuple": lambda m: ((1,), [1]),
    "mappings": lambda m: ({"a": 1}, {"a": 2}),
    "keys": lambda m: ({"a": 1, "c": 1}, {"b": 1, "c": 1}),
    "nested": lambda m: ([1, [m.tensor([1.0]), m.tensor([2.0])]], [1, [m.tensor([1.0]), m.tensor([3.0])]]),
    "nested mappings": lambda m: ({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 3.0}]}),
    "nested dtype": lambda m: ([m.tensor([1.0])], [m.tensor([1.0]).double()]),
    "nested lengths": lambda m: ({"a": [1]}, {"a": [1, 2]}),
    "state": lambda m: ({"w": m.ones(2), "b": m.zeros(1)}, {"w": m.ones(2), "b": m.ones(1)}),
}
OPTIONS = {
    "defaults": {},
    "tolerances": {"rtol": 0.1, "atol": 0.25},
    "exact": {"rtol": 0, "atol": 0},
    "loose": {"check_dtype": False, "check_device": False, "equal_nan": True},
    "strict": {"check_stride": True},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", CASES)
def test_same_words(name, options):
    assert verdict(rl, CASES[name], OPTIONS[options]) == verdict(torch, CASES[name], OPTIONS[options])


@pytest.mark.parametrize(
    "case",
    [
        lambda m: ("a", "a"),
        lambda m: (object(), object()),
        lambda m: ({1}, {1}),
        lambda m: (m.tensor([1.0]), "a"),
        lambda m: (1, m.tensor(1)),
    ],
)
def test_types_it_does_not_know(case):
    kind, text = verdict(rl, case, {})
    assert kind is TypeError and "No comparison pair was able to handle inputs of type" in text


def test_one_tolerance_is_an_error():
    for options in ({"rtol": 0.1}, {"atol": 0.1}):
        assert verdict(rl, CASES["equal"], options) == verdict(torch, CASES["equal"], options)


def test_message():
    assert verdict(rl, CASES["one off"], {"msg": "mine"}) == (AssertionError, "mine")
    options = {"msg": lambda text: "Before.\n" + text}
    assert verdict(rl, CASES["nested"], options) == verdict(torch, CASES["nested"], options)


def test_subclasses():
    class Other(rl.Tensor):
        pass

    t = rl.ones(2).as_subclass(Other)
    rl.testing.assert_close(t, rl.ones(2))
    with pytest.raises(TypeError, match="No comparison pair"):
        rl.testing.assert_close(t, rl.ones(2), allow_subclasses=False)


def test_it_works_under_grad_and_leaves_no_trace():
    t = rl.ones(2, requires_grad=True)
    before = t._version
    rl.testing.assert_close(t, rl.ones(2))
    assert t._version == before and t.grad is None


DRAWS = [
    ("float32", {}), ("float64", {"low": -1, "high": 1}), ("int64", {}), ("uint8", {}), ("int8", {"low": 0.5, "high": 4.5}), ("bool", {}),
    ("complex64", {}), ("float16", {}), ("bfloat16", {"low": 0}), ("int32", {"noncontiguous": True}), ("float32", {"noncontiguous": True}),
    ("int64", {"low": -1, "high": 2, "exclude_zero": True}), ("float32", {"low": -3e38, "high": 3e38}),
]  # fmt: skip


@pytest.mark.parametrize("dtype, options", DRAWS)
def test_make_tensor_draws_torchs_numbers(dtype, options):
    found = []
    for m in (rl, torch):
        m.manual_seed(7)
        found.append(m.testing.make_tensor((3, 4), dtype=getattr(m, dtype), device="cpu", **options))
    ours, theirs = found
    assert str(ours.dtype) == str(theirs.dtype) and ours.is_contiguous() == theirs.is_contiguous()
    if dtype == "bfloat16":
        ours, theirs = ours.float(), theirs.float()
    assert ours.tolist() == theirs.tolist()


def test_make_tensor_options():
    t = rl.testing.make_tensor(2, 3, dtype=rl.float32, device="cpu", requires_grad=True)
    assert t.shape == (2, 3) and t.requires_grad and t.is_leaf
    zeros = rl.testing.make_tensor((8,), dtype=rl.bool, device="cpu", exclude_zero=True)
    assert bool(zeros.all())
    image = rl.testing.make_tensor((1, 2, 3, 4), dtype=rl.float32, device="cpu", memory_format=rl.channels_last)
    assert image.is_contiguous(memory_format=rl.channels_last)


@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "int64", "requires_grad": True},
        {"dtype": "float32", "low": 1, "high": 0},
        {"dtype": "float32", "low": NAN},
        {"dtype": "int64", "low": 2, "high": 2},
        {"dtype": "uint8", "low": 300, "high": 400},
        {"dtype": "float32", "noncontiguous": True, "memory_format": "contiguous_format"},
    ],
)
def test_make_tensor_errors(options):
    for m in (rl, torch):
        given = {k: getattr(m, v) if isinstance(v, str) else v for k, v in options.items()}
        with pytest.raises(ValueError):
            m.testing.make_tensor((2,), device="cpu", **given)
