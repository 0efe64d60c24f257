"""Samples become batches as they do in torch."""

from __future__ import annotations

from collections import OrderedDict, UserDict, namedtuple
from types import MappingProxyType

import numpy as np
import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader, default_collate, default_collate_fn_map, default_convert

torch = pytest.importorskip("torch", reason="parity tests need torch")

Point = namedtuple("Point", "x y")


class Items(list):
    """A list of the user's own."""


SAMPLES = {
    "tensors": lambda t: [t([1, 2]), t([3, 4])],
    "zero-dim": lambda t: [t(1.5), t(2.5)],
    "pairs": lambda t: [(t([1.0]), 3), (t([2.0]), 4)],
    "lists": lambda t: [[t(1), 2.5], [t(2), 3.5]],
    "dicts": lambda t: [{"a": t(1), "b": "x"}, {"a": t(2), "b": "y"}],
    "ordered": lambda t: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "user-dict": lambda t: [UserDict(b=1), UserDict(b=3)],
    "proxy": lambda t: [MappingProxyType({"a": 1}), MappingProxyType({"a": 2})],
    "named": lambda t: [Point(t(1), "a"), Point(t(2), "b")],
    "own-list": lambda t: [Items([1, 2]), Items([3, 4])],
    "range": lambda t: [range(2), range(2)],
    "nested": lambda t: [{"p": [Point(1, (t(0), 2.0))]}, {"p": [Point(5, (t(1), 3.0))]}],
    "ints": lambda t: [1, 2, 3],
    "floats": lambda t: [1.0, 2.5],
    "bools": lambda t: [True, False],
    "texts": lambda t: ["a", "b"],
    "bytes": lambda t: [b"a", b"b"],
    "arrays": lambda t: [np.arange(3, dtype=np.int16), np.arange(3, dtype=np.int16)],
    "zero-dim-arrays": lambda t: [np.array(1.0), np.array(2.0)],
    "numpy-numbers": lambda t: [np.float32(1), np.float32(2)],
    "numpy-doubles": lambda t: [np.float64(1), np.float64(2)],
    "numpy-bools": lambda t: [np.bool_(True), np.bool_(False)],
    "empty": lambda t: [t([]), t([])],
}


def described(value):
    if hasattr(value, "dtype") and hasattr(value, "tolist") and not isinstance(value, np.ndarray):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, (dict, UserDict, MappingProxyType)):
        return type(value), {k: described(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [described(v) for v in value]
    return value


@pytest.mark.parametrize("name", SAMPLES)
def test_collate_and_convert_equal_torchs(name):
    make = SAMPLES[name]
    assert described(default_collate(make(rl.tensor))) == described(torch.utils.data.default_collate(make(torch.tensor)))
    assert described(default_convert(make(rl.tensor))) == described(torch.utils.data.default_convert(make(torch.tensor)))


def test_convert_leaves_what_it_does_not_know():
    texts, thing = np.array(["a", "b"]), object()
    assert default_convert(texts) is texts and default_convert(thing) is thing
    assert default_convert(np.str_("a")) == "a"
    with pytest.raises(TypeError, match="must contain tensors"):
        default_collate([texts, texts])


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([object()], TypeError, "default_collate: batch must contain tensors.*found <class 'object'>.*collate_fn"),
        ([None], TypeError, "NoneType"),
        ([[1, 2], [3]], RuntimeError, r"should be of equal size, but the samples have \[1, 2\]"),
        ([{"a": 1}, {"b": 1}], KeyError, "sample 1 of the batch has no key 'a'"),
    ],
)
def test_what_cannot_be_collated(samples, error, message):
    with pytest.raises(error, match=message):
        default_collate(samples)


def test_tensors_of_different_sizes():
    with pytest.raises(RuntimeError, match=r"equal size, but got \[3\] at entry 0 and \[4\] at entry 1.*resize"):
        default_collate([rl.zeros(3), rl.zeros(4)])


def test_types_of_ones_own():
    class Image:
        def __init__(self, value):
            self.value = value

    default_collate_fn_map[Image] = lambda batch, *, collate_fn_map: [image.value for image in batch]
    try:
        assert default_collate([(Image(1), 2), (Image(3), 4)])[0] == [1, 3]
    finally:
        del default_collate_fn_map[Image]


def test_collate_fn_of_a_loader():
    assert list(DataLoader([1, 2, 3], 2, collate_fn=sum)) == [3, 3]
    assert list(DataLoader([np.int64(1), "a"], None)) == [rl.tensor(1), "a"]
