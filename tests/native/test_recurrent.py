"""Recurrent kernels against the reference: widths with tails, packed batches, both directions, one and several threads."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import reference

GATES = {"lstm": 4, "gru": 3, "tanh": 1, "relu": 1}
BATCHES = {
    "one": (1, 1, 1),
    "few": (3, 3),
    "packed": (7, 5, 5, 2, 1),
    "tiles": (14,) * 4,
    "many": (31, 31, 30, 7, 6, 1),
}  # fmt: skip


def numbers(rng, *shape, dtype=np.float32):
    return rng.uniform(-1, 1, shape).astype(dtype)


def run(table, threads, name, arguments):
    """The results of a call on copies of its arrays: some are written over."""
    before = table._module.get_num_threads()
    table._module.set_num_threads(threads)
    try:
        return getattr(table, name)(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    finally:
        table._module.set_num_threads(before)


def check(native, name, arguments, tolerance, served=True):
    """Native against reference; the same bits on one and on three threads."""
    kernel = getattr(native, name)
    before = kernel.calls
    found = run(native, 1, name, arguments)
    assert (kernel.calls > before) is served
    again = run(native, 3, name, arguments)
    expected = getattr(reference, name)(*[a.copy() if isinstance(a, np.ndarray) else a for a in arguments])
    assert len(found) == len(expected)
    for a, b, wanted in zip(found, again, expected, strict=True):
        assert (a is None) == (wanted is None)
        if wanted is None:
            continue
        assert a.tobytes() == b.tobytes(), f"{name} depends on the number of threads"
        assert a.dtype == wanted.dtype and a.shape == wanted.shape and a.flags.c_contiguous
        np.testing.assert_allclose(a, wanted, rtol=tolerance, atol=tolerance)
    return expected


def forward(mode, rng, sizes, units, dtype, reverse, bias=True):
    """The name and the arguments of a forward call."""
    batch, gates = max(sizes), GATES[mode]
    sums, h0 = numbers(rng, sum(sizes), gates * units, dtype=dtype), numbers(rng, batch, units, dtype=dtype)
    w = numbers(rng, gates * units, units, dtype=dtype) / np.sqrt(units).astype(dtype)
    if mode == "lstm":
        return "lstm_steps", [sums, h0, numbers(rng, batch, units, dtype=dtype), w, None, sizes, reverse]
    if mode == "gru":
        return "gru_steps", [sums, h0, w, numbers(rng, 3 * units, dtype=dtype) if bias else None, sizes, reverse]
    return "rnn_steps", [sums, h0, w, mode == "relu", sizes, reverse]


def backward(mode, rng, given, results, cotangents):
    """The name and the arguments of the backward call that belongs to a forward one."""
    dtype = given[0].dtype
    shapes = [results[0].shape] + [given[1].shape] * (2 if mode == "lstm" else 1)
    arrived = [numbers(rng, *s, dtype=dtype) if there else None for s, there in zip(shapes, cotangents, strict=False)]
    sizes, reverse = given[-2:]
    if mode == "lstm":
        return "lstm_steps_backward", [*arrived, results[3], results[4], given[2], given[3], None, sizes, reverse]
    if mode == "gru":
        before = reference.states_before(results[0], given[1], sizes, reverse)
        return "gru_steps_backward", [*arrived, results[2], before, given[2], sizes, reverse]
    return "rnn_steps_backward", [*arrived, results[0], given[2], mode == "relu", sizes, reverse]


@pytest.mark.parametrize("mode", list(GATES))
@pytest.mark.parametrize("batch", list(BATCHES))
@pytest.mark.parametrize("units", [1, 5, 16, 33, 64, 100])
def test_agrees_with_the_reference(native, mode, batch, units):
    for dtype, tolerance in ((np.float32, 2e-5), (np.float64, 1e-12)):
        for reverse in (False, True):
            rng = np.random.default_rng(units)
            name, given = forward(mode, rng, BATCHES[batch], units, dtype, reverse)
            results = check(native, name, given, tolerance)
            check(native, "states_before", [results[0], given[1], *given[-2:]], 0.0)
            for cotangents in ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
                check(native, *backward(mode, rng, given, results, cotangents), tolerance)


@pytest.mark.parametrize("mode", list(GATES))
def test_few_sequences_with_many_units_share_the_units(native, mode):
    """A step of one to six sequences is divided among threads by its units."""
    rng = np.random.default_rng(0)
    name, given = forward(mode, rng, (4, 4, 1), 400, np.float32, False, bias=False)
    results = check(native, name, given, 2e-5)
    check(native, *backward(mode, rng, given, results, (1, 1, 1)), 5e-5)


def test_gates_saturate_and_nan_stays_in_its_sequence(native):
    rng = np.random.default_rng(0)
    for mode in GATES:
        name, given = forward(mode, rng, (3, 3), 20, np.float32, False)
        given[0][0] = 1e30
        given[0][1] = -np.inf if mode != "gru" else -1e30
        given[0][2] = np.nan
        found, expected = run(native, 1, name, given), run(native, 1, name, given)
        wanted = getattr(reference, name)(*[a.copy() if isinstance(a, np.ndarray) else a for a in given])
        for a, b, c in zip(found, expected, wanted, strict=True):
            assert a.tobytes() == b.tobytes()
            np.testing.assert_allclose(a, c, rtol=2e-5, atol=2e-6)


def test_accuracy(native):
    """The rms error of float32 against float64 is no larger than that of the reference."""
    rng = np.random.default_rng(0)
    name, wide = forward("lstm", rng, (8,) * 40, 96, np.float64, False)
    narrow = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in wide]
    exact = run(native, 1, name, [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in narrow])
    plain = reference.lstm_steps(*[a.copy() if isinstance(a, np.ndarray) else a for a in narrow])
    for ours, theirs, truth in zip(run(native, 1, name, narrow), plain, exact, strict=True):
        assert np.sqrt(np.mean((ours - truth) ** 2)) <= 1.5 * np.sqrt(np.mean((theirs - truth) ** 2)) + 1e-8


def test_what_is_declined(native):
    rng = np.random.default_rng(0)
    name, given = forward("lstm", rng, (3, 2), 8, np.float32, False)
    projected = [*given]
    projected[1], projected[3], projected[4] = numbers(rng, 3, 4), numbers(rng, 32, 4), numbers(rng, 4, 8)
    check(native, name, projected, 0, served=False)
    strided = [*given]
    strided[1] = np.asfortranarray(given[1])  # a copy of it is row-major again, so it is called directly
    before = native.lstm_steps.declined
    native.lstm_steps(strided[0].copy(), *strided[1:])
    assert native.lstm_steps.declined == before + 1
    name, given = forward("gru", rng, (0,), 8, np.float32, False)
    check(native, name, given, 0, served=True)
