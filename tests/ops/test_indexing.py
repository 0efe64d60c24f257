"""`x[...]` and `x[...] = v` against torch: every kind of index, alone and combined; values, views, gradients, errors."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def start(lib, *shape, dtype="float64"):
    count = int(np.prod(shape)) if shape else 1
    return lib.arange(count, dtype=getattr(lib, dtype)).reshape(shape).clone()


def outcome(action):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "ok", action()
        except Exception as error:  # noqa: BLE001
            return type(error).__name__, str(error)


# Keys as text, so that they can be made for either library (`t` is the library).
KEYS = [
    "0", "-1", "3", "-4", "True", "False", "None", "...", ":", "1:", ":-1", "::2", "5:", "-9:9", "2:1", "::-1", "::0",
    "0, 1", "0, 1, 2", "0, 1, 2, 3", "-1, -1, -1", "1, ..., 2", "..., 0", "0, ...", "..., ...", "..., None", "None, 0", "0, None",
    ":, 1", ":, :, 1", "1:, ::2, -1", "None, None", ":, None", "1, :, None, 2", "True, 0", "0, True", "False, ...", "()", "(0,)",
    "[0]", "[0, 2]", "[[0, 1], [2, 0]]", "[0, 2], [1, 3]", "[0, 2], 1", "1, [0, 2]", ":, [0, 2]", "[0, 1], :, [2, 3]", "[0], [0], [0]",
    "[1], ..., [1]", "[0, 1], None, [1, 2]", "[0, 5]", "[-1, -3]", "[-4]", "[]", "[True, False, True]", "[True, False]",
    "t.tensor(1)", "t.tensor([2, 0])", "t.tensor([[2, 0]])", "t.tensor([], dtype=t.int64)", "t.tensor([0, 1]), t.tensor([1, 2])",
    "t.tensor([0, 1]), t.tensor([1, 2, 3])", "t.tensor([[0], [1]]), t.tensor([1, 2])", ":, t.tensor([0, 1]), 1", "1:, t.tensor([0])",
    "t.tensor(1), 2", "t.tensor([0, 1]), 1:, t.tensor([0, 3])", "t.tensor(1), t.tensor([0, 1])", "None, t.tensor([0, 1])",
    "t.tensor([0, 1], dtype=t.int32)", "t.tensor([0, 1], dtype=t.uint8)", "t.tensor([1, 0, 1], dtype=t.uint8)",
    "t.tensor([0.0, 1.0])",
    "t.tensor([0, 9])", "t.tensor([-1, -3])", "t.tensor([True, False, True])", "t.tensor([True, False])",
    "t.tensor(True)", "t.tensor(False)",
    ":, t.tensor([True, False, True, True])", "t.tensor([True, False, True]), 1", "t.tensor([True, False, True]), [0, 1]",
    "t.ones(3, 4, dtype=t.bool)", "t.eye(3, 4, dtype=t.bool)", "t.eye(3, 4, dtype=t.bool), 0", "t.zeros(3, 4, 5, dtype=t.bool)",
    "t.arange(60).reshape(3, 4, 5) % 2 == 0", "..., t.tensor([True, False, True, False, True])", "t.eye(4, 5, dtype=t.bool)",
    "np.array([0, 2])", "np.array([True, False, True])", "np.int64(1)", "np.array(1)", "range(2)", "slice(1, None)", "(1, slice(None), 2)",
    "'a'", "1.5", "{}", "0, 'a'", "[[0, 1]], [[1], [2]]", "[0, 1], [True, False, True, False]", "t.tensor(0):2", "t.tensor([1]).item()",
    "[slice(0, 1)]", "[0, slice(0, 1)]", "[None, 0]", "(None, ..., None)",
]  # fmt: skip


def key_of(text, lib):
    class Grab:
        def __getitem__(self, key):
            return key

    return eval(f"grab[{text}]", {"grab": Grab(), "t": lib, "np": np})


def read(text, lib, shape):
    x = start(lib, *shape).requires_grad_()
    y = (x * 1)[key_of(text, lib)]
    facts = [tuple(y.shape), y.tolist(), y._is_view(), type(y.grad_fn).__name__, str(y.dtype)]
    (y * y).sum().backward()
    return *facts, x.grad.tolist()


@pytest.mark.parametrize("text", KEYS)
def test_reading(text):
    (kind, ours), (expected, theirs) = (outcome(lambda lib=lib: read(text, lib, (3, 4, 5))) for lib in (rl, torch))
    assert kind == expected, f"{ours}\ntorch: {theirs}"
    if kind == "ok":
        assert ours == theirs


@pytest.mark.parametrize(
    "text", ["0", "...", "None", "()", "True", "False", "t.tensor(True)", "t.tensor(False)", ":", "[0]", "t.tensor([0])"]
)
def test_reading_a_zero_dim_tensor(text):
    (kind, ours), (expected, theirs) = (outcome(lambda lib=lib: read(text, lib, ())) for lib in (rl, torch))
    assert kind == expected, f"{ours}\ntorch: {theirs}"
    if kind == "ok":
        assert ours == theirs


@pytest.mark.parametrize(
    "text", ["0", ":", "[]", "[0]", "t.tensor([], dtype=t.int64)", "t.zeros(0, 4, dtype=t.bool)", "..., 1", "0:0", "None"]
)
def test_reading_an_empty_tensor(text):
    (kind, ours), (expected, theirs) = (outcome(lambda lib=lib: read(text, lib, (0, 4))) for lib in (rl, torch))
    assert kind == expected, f"{ours}\ntorch: {theirs}"
    if kind == "ok":
        assert ours == theirs


def write(text, lib, shape, value, dtype="float64"):
    x = start(lib, *shape, dtype=dtype)
    v = value(lib)
    if isinstance(v, lib.Tensor) and v.is_floating_point() and x.is_floating_point():
        v.requires_grad_()
    x[key_of(text, lib)] = v
    facts = [x.tolist(), x.requires_grad, x._version]
    if x.requires_grad:
        (x * start(lib, *shape)).sum().backward()
        facts.append(v.grad.tolist())
    return facts


VALUES = {
    "number": lambda lib: 7.5,
    "tensor": lambda lib: lib.tensor(7.5, dtype=lib.float64),
    "row": lambda lib: lib.arange(5, dtype=lib.float64) + 100,
    "int": lambda lib: lib.tensor(3),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("text", [k for k in KEYS if "uint8" not in k])  # torch no longer writes through masks of uint8
def test_writing(text, value):
    (kind, ours), (expected, theirs) = (outcome(lambda lib=lib: write(text, lib, (3, 4, 5), VALUES[value])) for lib in (rl, torch))
    assert kind == expected, f"{ours}\ntorch: {theirs}"
    if kind == "ok":
        assert ours == theirs


WRITES = {
    "broadcast rows": (":, 0", lambda lib: lib.arange(3, dtype=lib.float64)[:, None], (3, 4, 5)),
    "leading ones": ("0", lambda lib: lib.ones(1, 1, 4, 5, dtype=lib.float64), (3, 4, 5)),
    "too large": ("0", lambda lib: lib.ones(2, 4, 5, dtype=lib.float64), (3, 4, 5)),
    "wrong size": ("0", lambda lib: lib.ones(3, dtype=lib.float64), (3, 4, 5)),
    "mask of values": ("t.eye(3, dtype=t.bool)", lambda lib: lib.tensor([7.0, 8.0, 9.0], dtype=lib.float64), (3, 3)),
    "mask too few": ("t.eye(3, dtype=t.bool)", lambda lib: lib.tensor([7.0, 8.0], dtype=lib.float64), (3, 3)),
    "float32 into float64": ("0", lambda lib: lib.ones(3), (3, 3)),
    "float32 into float64 by index": ("[0]", lambda lib: lib.ones(3), (3, 3)),
    "bool": ("0", lambda lib: True, (3, 3)),
    "nothing": ("0", lambda lib: None, (3, 3)),
    "text": ("0", lambda lib: "a", (3, 3)),
    "repeated": ("[0, 0]", lambda lib: lib.ones(3, dtype=lib.float64), (3, 3)),
}


@pytest.mark.parametrize("name", WRITES)
def test_values_to_write(name):
    text, value, shape = WRITES[name]
    (kind, ours), (expected, theirs) = (outcome(lambda lib=lib: write(text, lib, shape, value)) for lib in (rl, torch))
    assert kind == expected, f"{ours}\ntorch: {theirs}"
    if kind == "ok":
        assert ours == theirs


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("text", ["0", "[0]", "1:, 0", "t.tensor([True, False, True])"])
def test_dtypes(dtype, text):
    for value in (1, 2.0, True):
        ours, theirs = (
            outcome(lambda lib=lib, v=value: write(text, lib, (3, 4), lambda _: v, dtype)) for lib in (rl, torch)
        )
        assert ours[0] == theirs[0] and (ours[0] != "ok" or ours[1] == theirs[1])


def test_many_random_keys():
    rng = random.Random(0)
    parts = ["0", "-1", ":", "1:", "::2", "None", "...", "[0, 1]", "[1]", "t.tensor([1, 0])", "t.tensor(1)", "True",
             "t.tensor([True, False])", "t.tensor([[0, 1], [1, 1]])"]  # fmt: skip
    agreed = 0
    for _ in range(1_500):
        text = ", ".join(rng.choice(parts) for _ in range(rng.randint(1, 5)))
        if text.count("...") > 1:
            continue  # torch lets a second ellipsis run past the end
        (kind, ours), (expected, theirs) = (outcome(lambda lib=lib, text=text: read(text, lib, (2, 2, 2))) for lib in (rl, torch))
        assert kind == expected, f"x[{text}]: {ours}\ntorch: {theirs}"
        if kind == "ok":
            assert ours == theirs, f"x[{text}]"
            agreed += 1
    assert agreed > 500


def test_basic_keys_are_views_and_writes_reach_the_base():
    x = rl.zeros(3, 4)
    for key in (0, slice(1, None), (..., 0), (None, 1), (slice(None), 2)):
        v = x[key]
        assert v._base is x
        v += 1
    assert x.sum().item() == 4 + 8 + 3 + 4 + 3


def test_lists_and_arrays_can_be_assigned():
    """torch wants a tensor; NumPy's users are used to this."""
    x = rl.zeros(2, 3)
    x[0] = [1.0, 2.0, 3.0]
    x[1] = np.array([4, 5, 6])
    assert x.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_index_keys_are_copies():
    x = rl.zeros(3, 4)
    x[[0, 1]].add_(1)
    x[x == 0].add_(1)
    assert not x.any()


def test_errors_say_what_fits():
    x = rl.zeros(3, 4)
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 3"):
        x[5]
    with pytest.raises(IndexError, match="too many indices for tensor of dimension 2"):
        x[0, 0, 0]
    with pytest.raises(IndexError, match="item"):
        rl.tensor(1.0)[0]
    with pytest.raises(ValueError, match="flip"):
        x[::-1]
    with pytest.raises(IndexError, match=r"mask \[2\].*\[3, 4\]"):
        x[rl.tensor([True, False])]
    with pytest.raises(IndexError, match="float"):
        x[1.5]


INDEX_PUT = {
    "one": lambda lib, x: x.index_put((lib.tensor([0, 2]),), lib.tensor(5.0, dtype=lib.float64)),
    "two": lambda lib, x: lib.index_put(x, [lib.tensor([0, 1]), lib.tensor([1, 2])], lib.tensor([5.0, 6.0], dtype=lib.float64)),
    "accumulate": lambda lib, x: x.index_put((lib.tensor([0, 0]),), lib.tensor(5.0, dtype=lib.float64), accumulate=True),
    "mask": lambda lib, x: x.index_put((lib.eye(3, 4, dtype=lib.bool),), lib.tensor(5.0, dtype=lib.float64)),
    "in place": lambda lib, x: (x * 1).index_put_((lib.tensor([0]),), lib.tensor(5.0, dtype=lib.float64)),
    "dtype": lambda lib, x: x.index_put((lib.tensor([0]),), lib.tensor(5.0)),
    "too many": lambda lib, x: x.index_put((lib.tensor([0]),) * 3, lib.tensor(5.0, dtype=lib.float64)),
    "outside": lambda lib, x: x.index_put((lib.tensor([7]),), lib.tensor(5.0, dtype=lib.float64)),
    "take_along_dim": lambda lib, x: lib.take_along_dim(x, x.argsort(1), 1),
    "take_along_dim flat": lambda lib, x: lib.take_along_dim(x, lib.tensor([5, 0])),
    "take_along_dim rank": lambda lib, x: lib.take_along_dim(x, lib.tensor([5, 0]), 0),
}


@pytest.mark.parametrize("name", INDEX_PUT)
def test_index_put(name):
    def run(lib):
        x = start(lib, 3, 4).requires_grad_()
        y = INDEX_PUT[name](lib, x)
        (y * y).sum().backward()
        return y.tolist(), x.grad.tolist(), type(y.grad_fn).__name__

    ours, theirs = outcome(lambda: run(rl)), outcome(lambda: run(torch))
    assert ours[0] == theirs[0], (ours, theirs)
    if ours[0] == "ok":
        assert ours[1] == theirs[1]
