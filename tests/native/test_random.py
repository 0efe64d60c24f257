"""Random numbers from native kernels: bit for bit the reference's, and the generator's state afterwards as well."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rushlight.backends.reference import reference
from rushlight.core.generator import Generator

F32, F64, I32, I64, U8, BOOL = (np.dtype(t) for t in ("f4", "f8", "i4", "i8", "u1", "?"))
# Around a vector, around sixteen, around the 624 words of the state, and around the 39936 of a chunk.
SIZES = [0, 1, 2, 15, 16, 17, 31, 311, 312, 313, 623, 624, 625, 4097, 39935, 39936, 39937, 200_001]


def check(native, name, *args, served=True, exact=True, threads=(1, 4), **kwargs):
    """Three calls in a row, on one thread and on several, against the reference's."""
    kernel = getattr(native, name)
    before = native._module.get_num_threads()
    for count in threads:
        native._module.set_num_threads(count)
        ours, theirs = Generator().manual_seed(7), Generator().manual_seed(7)
        for _ in range(3):
            calls = kernel.calls
            found = kernel(ours, *args, **kwargs)
            assert (kernel.calls > calls) is served
            wanted = getattr(reference, name)(theirs, *args, **kwargs)
            assert found.dtype == wanted.dtype and found.shape == wanted.shape and found.strides == wanted.strides
            if exact:
                assert found.tobytes() == wanted.tobytes()
            else:
                np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-15)
            assert np.array_equal(ours.get_state_bytes(), theirs.get_state_bytes())
    native._module.set_num_threads(before)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_uniform(native, n, dtype):
    check(native, "uniform", (n,), dtype)
    check(native, "uniform", (n,), dtype, -0.3, 0.7)


@pytest.mark.parametrize("bounds", [(2.0, 2.0), (0.0, 1e-3), (-1.0, 0.0), (-5.123, -5.1), (0.0, 1e-45)])
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_uniform_between_bounds(native, bounds, dtype):
    check(native, "uniform", (3, 700), dtype, *bounds)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("mean_std", [(0.0, 1.0), (1.5, 0.3), (0.0, 0.02), (2.0, 0.0)])
def test_normal(native, n, mean_std):
    check(native, "normal", (n,), F32, *mean_std)


@pytest.mark.parametrize("n", SIZES)
def test_normal_in_float64(native, n):
    check(native, "normal", (n,), F64, exact=n < 16)
    check(native, "normal", (n,), F64, -1.5, 0.3, exact=n < 16)


@pytest.mark.parametrize("n", SIZES)
def test_bernoulli(native, n):
    for dtype in (F32, F64, BOOL):
        check(native, "bernoulli_scalar", (n,), 0.3, dtype)
    check(native, "bernoulli_tensor", np.linspace(0, 1, n, dtype=F32))


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0**-53, 1 - 2.0**-53, 5e-324])
def test_bernoulli_at_the_ends(native, p):
    check(native, "bernoulli_scalar", (1000,), p, F32)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_exponential(native, n, dtype):
    check(native, "exponential", (n,), dtype, exact=False)
    if n:
        check(native, "exponential", (n,), dtype, rate=3.5, exact=False)


@pytest.mark.parametrize("n", SIZES)
def test_integers(native, n):
    for dtype in (I64, I32, U8):
        check(native, "randint", (n,), 0, 10, dtype)
        check(native, "randint", (n,), 3, 200, dtype)
    check(native, "randint", (n,), -5, 2**28 - 6, I64)  # the widest range of one word
    check(native, "randint", (n,), -(2**27), 2**27, I32)  # two words
    check(native, "randint", (n,), -(2**62), 2**62, I64)
    check(native, "random_full", (n,), I64)
    check(native, "randperm", n, I64)


@pytest.mark.parametrize("range_", [1, 2, 3, 7, 127, 128, 65537, 2**24 - 3, 2**27 + 1, 2**28 - 1])
def test_remainders(native, range_):
    check(native, "randint", (20000,), -3, range_ - 3, I64, threads=(1,))


def test_out_is_filled_in_memory_order(native):
    def permuted():
        return np.zeros((4, 2, 5, 3), F32).transpose(3, 2, 0, 1)

    for name, settings in (("uniform", {}), ("exponential", {}), ("bernoulli_scalar", {"p": 0.4}), ("dropout_noise", {"p": 0.4})):
        out = permuted()
        calls = getattr(native, name).calls
        assert getattr(native, name)(Generator().manual_seed(1), shape=out.shape, dtype=F32, out=out, **settings) is out
        assert getattr(native, name).calls == calls + 1
        wanted = getattr(reference, name)(Generator().manual_seed(1), shape=out.shape, dtype=F32, out=permuted(), **settings)
        np.testing.assert_allclose(out, wanted, rtol=1e-6)
    out, wanted = permuted(), permuted()
    native.normal(Generator().manual_seed(1), out.shape, F32, out=out)  # one by one: the reference's
    reference.normal(Generator().manual_seed(1), out.shape, F32, out=wanted)
    assert np.array_equal(out, wanted)
    sliced = np.zeros((6, 6), F32)[::2, ::2]
    native.uniform(Generator().manual_seed(1), sliced.shape, F32, out=sliced)
    assert np.array_equal(sliced, reference.uniform(Generator().manual_seed(1), (3, 3), F32))


def test_states_between_words_go_on_alike(native):
    """Draws of all sizes, native and reference by turns, are one stream."""
    ours, theirs = Generator().manual_seed(11), Generator().manual_seed(11)
    for i, n in enumerate([3, 621, 624, 1, 1247, 40000, 5, 624 * 64, 7]):
        one = (native if i % 2 else reference).uniform(ours, (n,), F32)
        assert np.array_equal(one, reference.uniform(theirs, (n,), F32))
        assert np.array_equal(ours.get_state_bytes(), theirs.get_state_bytes())


def test_a_state_at_any_place_is_resumed(native):
    for words in (0, 1, 623, 624, 625):
        generator = Generator().manual_seed(3)
        generator.raw32(words)
        resumed = Generator()
        resumed.set_state_bytes(generator.get_state_bytes())
        assert np.array_equal(native.uniform(resumed, (2000,), F32), reference.uniform(generator, (2000,), F32))


def test_threads_that_share_a_generator_get_different_numbers(native):
    generator, parts = Generator().manual_seed(3), []

    def work():
        for _ in range(20):
            parts.append(native.uniform(generator, (30000,), F64))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wanted = native.uniform(Generator().manual_seed(3), (60 * 30000,), F64)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.sort(wanted))


def test_errors_are_the_references(native):
    g = Generator()
    before = g.get_state_bytes()
    with pytest.raises(RuntimeError, match="range"):
        native.uniform(g, (3,), F32, 2.0, 1.0)
    with pytest.raises(RuntimeError, match="std"):
        native.normal(g, (3,), F32, 0.0, -1.0)
    with pytest.raises(RuntimeError, match="p"):
        native.bernoulli_scalar(g, (3,), 1.5, F32)
    with pytest.raises(RuntimeError, match="lambda"):
        native.exponential(g, (3,), F32, 0.0)
    with pytest.raises(RuntimeError, match="less than"):
        native.randint(g, (3,), 4, 4, I64)
    with pytest.raises(RuntimeError, match="out of bounds"):
        native.randint(g, (3,), 0, 300, U8)
    with pytest.raises(RuntimeError, match="negative"):
        native.randperm(g, -1, I64)
    assert np.array_equal(g.get_state_bytes(), before)
    assert g.lock.acquire(blocking=False)  # and the lock was given back
    g.lock.release()


def test_accuracy_of_normal_moments(native):
    values = native.normal(Generator().manual_seed(0), (1_000_003,), F32).astype(F64)
    assert abs(values.mean()) < 0.004 and abs(values.std() - 1) < 0.003 and abs((values**4).mean() - 3) < 0.05


@pytest.mark.parametrize("n", [3, 100, 100_003])
@pytest.mark.parametrize("dtype", [F32, F64], ids=str)
def test_real_numbers_are_torchs(native, n, dtype):
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    ours, theirs = Generator().manual_seed(3), torch.Generator().manual_seed(3)
    calls = {
        "normal": (lambda: native.normal(ours, (n,), dtype, 1.5, 0.3), lambda x: x.normal_(1.5, 0.3, generator=theirs)),
        "exponential": (lambda: native.exponential(ours, (n,), dtype, 1.7), lambda x: x.exponential_(1.7, generator=theirs)),
        "uniform": (lambda: native.uniform(ours, (n,), dtype, -1.0, 0.2), lambda x: x.uniform_(-1, 0.2, generator=theirs)),
    }
    for one, other in calls.values():
        found, wanted = one(), other(torch.empty(n, dtype=getattr(torch, str(dtype)))).numpy()
        if dtype == F32:
            np.testing.assert_array_equal(found, wanted)
        else:  # the two may have been built with different C libraries
            np.testing.assert_allclose(found, wanted, rtol=1e-15, atol=1e-16)
    assert np.array_equal(ours.get_state_bytes(), theirs.get_state().numpy())
