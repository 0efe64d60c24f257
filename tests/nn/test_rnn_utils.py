"""nn.utils.rnn: padding and packing, against torch's."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import rushlight
from rushlight.nn.utils import rnn

torch = pytest.importorskip("torch", reason="parity tests need torch")

PROGRAMS = """
R.pack_padded_sequence(X(3, 2, 1), [3, 2])
R.pack_padded_sequence(X(2, 3), T.tensor([3, 1]), batch_first=True)
R.pack_padded_sequence(X(3, 2), [1, 3], enforce_sorted=False)
R.pack_padded_sequence(X(4, 3, 2, 2), T.tensor([2, 4, 2]), enforce_sorted=False)
R.pack_padded_sequence(X(3, 2), T.tensor([3., 2.]))
R.pack_padded_sequence(X(3, 2).long(), [2, 1])
R.pack_sequence([X(3), X(2), X(2)])
R.pack_sequence([X(1, 2), X(3, 2)], enforce_sorted=False)
R.pack_sequence((X(1),))
R.pad_packed_sequence(R.pack_sequence([X(3), X(1)]))
R.pad_packed_sequence(R.pack_sequence([X(3, 2), X(1, 2)]), batch_first=True)
R.pad_packed_sequence(R.pack_sequence([X(1), X(3), X(2)], False), True, -1.5, 5)
R.pad_packed_sequence(R.pack_sequence([X(2).long(), X(1).long()]), padding_value=-1)
R.pad_sequence([X(2), X(3)])
R.pad_sequence([X(2, 2), X(3, 2), X(1, 2)], True, 7)
R.pad_sequence([X(2), X(3)], padding_side='left')
R.pad_sequence([X(2, 2), X(0, 2)], batch_first=True, padding_value=0.5)
R.pad_sequence([X(2), X(3).long()])
R.pad_sequence([X(2).long(), X(3) + 0.5])
R.pad_sequence(X(2, 3))
R.pad_sequence(t for t in [X(1), X(2)])
R.pad_sequence([X(2).bool(), X(1).bool()], padding_value=True)
R.unpad_sequence(X(3, 2), T.tensor([3, 1]))
R.unpad_sequence(X(2, 3, 2), T.tensor([3, 1]), batch_first=True)
R.unpack_sequence(R.pack_sequence([X(1), X(3)], enforce_sorted=False))
R.invert_permutation(T.tensor([2, 0, 1]))
R.invert_permutation(None)
R.PackedSequence(X(3), T.tensor([2, 1]))
R.PackedSequence((X(3), T.tensor([2, 1])))
R.PackedSequence(X(3), T.tensor([2, 1]), T.tensor([1, 0]))
R.PackedSequence(X(3), T.tensor([2, 1])).to(T.float64)
R.PackedSequence(X(3), T.tensor([2, 1])).double()
R.PackedSequence(X(3), T.tensor([2, 1])).int()
R.PackedSequence(X(3), T.tensor([2, 1])).cpu()
R.PackedSequence(X(3), T.tensor([2, 1])).is_cuda
R.PackedSequence(X(3), T.tensor([2, 1])).is_pinned()
R.pack_padded_sequence(X(3, 2, 1), [1, 3])
R.pack_padded_sequence(X(3, 2, 1), [3, 0])
R.pack_padded_sequence(X(3, 2, 1), [3])
R.pack_padded_sequence(X(3, 2, 1), [])
R.pack_padded_sequence(X(3, 2, 1), T.tensor([[3, 2]]))
R.pack_padded_sequence(X(3), [3, 2])
R.pack_padded_sequence(X(0, 2), [3, 2])
R.pack_padded_sequence(3, [2, 1])
R.pad_packed_sequence(R.pack_sequence([X(3), X(1)]), total_length=2)
R.pad_sequence([])
R.pad_sequence(3)
R.pad_sequence([3])
R.pad_sequence([X(2, 3), X(3, 2)])
R.pad_sequence([T.tensor(1.)])
R.pad_sequence([X(2)], padding_side='up')
R.pack_sequence([X(1), X(3)])
R.pack_sequence([])
R.unpad_sequence(X(3, 2), T.tensor([3, 1, 2]))
R.PackedSequence(X(3))
R.PackedSequence(X(3), T.tensor([2, 1], device='meta'))
"""


def outcome(library, program):
    def numbers(*shape):
        return library.arange(1.0, 1 + int(np.prod(shape))).reshape(shape)

    try:
        return repr(eval(program, {"T": library, "R": library.nn.utils.rnn, "X": numbers}))
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("program", PROGRAMS.strip().split("\n"))
def test_program(program):
    assert outcome(rushlight, program) == outcome(torch, program)


def test_names_signatures_and_nodes():
    import inspect

    assert sorted(rnn.__all__) == sorted(torch.nn.utils.rnn.__all__)
    for name in rnn.__all__:
        ours, theirs = getattr(rnn, name), getattr(torch.nn.utils.rnn, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
    assert sorted(n for n in dir(torch.nn.utils.rnn.PackedSequence) if not n.startswith("_")) == sorted(
        n for n in dir(rnn.PackedSequence) if not n.startswith("_")
    )

    def names(library):
        r = library.nn.utils.rnn
        x = library.ones(3, 2, requires_grad=True)
        packed = r.pack_padded_sequence(x, [3, 2])
        mixed = r.pack_padded_sequence(x, [2, 3], enforce_sorted=False)
        found = [
            packed.data, mixed.data, r.pad_packed_sequence(packed)[0], r.pad_packed_sequence(packed, True)[0],
            r.pad_packed_sequence(mixed)[0], r.pad_sequence([x, x]), r.pad_sequence([x, x], True), r.unpack_sequence(packed)[0],
        ]  # fmt: skip
        return [(type(t.grad_fn).__name__, t.stride()) for t in found]

    assert names(rushlight) == names(torch)


def test_gradients_reach_the_sequences():
    found = []
    for library in (rushlight, torch):
        r = library.nn.utils.rnn
        sequences = [library.arange(1.0, n + 1).double().requires_grad_() for n in (2, 4, 1)]
        packed = r.pack_sequence(sequences, enforce_sorted=False)
        padded, _ = r.pad_packed_sequence(packed, batch_first=True, padding_value=3.0)
        (padded**3).sum().backward()
        left = [library.arange(1.0, n + 1).double().requires_grad_() for n in (2, 4, 1)]
        (r.pad_sequence(left, True, 2.0, "left") * library.arange(4).double()).sum().backward()
        found.append([t.grad.numpy() for t in (*sequences, *left)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_dtypes_are_padded():
    mixed = [rushlight.ones(2, requires_grad=True), rushlight.ones(3, dtype=rushlight.float64, requires_grad=True)]
    padded = rnn.pad_sequence(mixed)
    assert padded.dtype is rushlight.float32
    padded.sum().backward()
    assert mixed[1].grad.dtype is rushlight.float64
    half = rnn.pack_sequence([rushlight.ones(3, dtype=rushlight.bfloat16), rushlight.ones(1, dtype=rushlight.bfloat16)])
    assert rnn.pad_packed_sequence(half, padding_value=0.5)[0].dtype is rushlight.bfloat16


def test_lengths_beyond_the_input_are_an_error():
    """torch reads beyond the end of the memory here."""
    with pytest.raises(RuntimeError, match="holds 4, but the input has 3 steps"):
        rnn.pack_padded_sequence(rushlight.ones(3, 2), [4, 2])


def test_unpad_sequence_leaves_its_argument_alone():
    x = rushlight.ones(3, 2)
    rnn.unpad_sequence(x, rushlight.tensor([3, 1]))
    assert tuple(x.shape) == (3, 2)


def test_batch_sizes_stay_on_the_cpu():
    rushlight.set_default_device("meta")
    try:
        packed = rnn.pack_padded_sequence(rushlight.ones(3, 2), [3, 2])
    finally:
        rushlight.set_default_device(None)
    assert packed.data.is_meta and packed.batch_sizes.device.type == "cpu"


def test_copies_and_files():
    packed = rnn.pack_sequence([rushlight.tensor([1.0]), rushlight.tensor([2.0, 3.0])], enforce_sorted=False)
    for made in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed)), copy.copy(packed)):
        assert type(made) is rnn.PackedSequence and repr(made) == repr(packed)
    assert packed.to("cpu") is packed
    assert packed._replace(data=packed.data + 1).data.tolist() == [3.0, 2.0, 4.0]
