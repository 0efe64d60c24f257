"""The generator: torch's words, torch's saved state, and safe use from threads and forked processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import sys
import threading

import numpy as np
import pytest

from rushlight.core import generator as generator_module
from rushlight.core.generator import DEFAULT_SEED, STATE, Generator, default_generator

SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -(2**63)]


def test_words_of_seed_5489_are_the_reference_implementation_s():
    words = Generator().manual_seed(5489).raw32(10000)
    assert words[0] == 3499211612
    assert words[9999] == 4123659995  # the value the C++ standard prescribes for mt19937


def test_a_new_generator_has_the_fixed_seed():
    assert Generator().initial_seed() == DEFAULT_SEED
    assert np.array_equal(Generator().raw32(3), Generator().manual_seed(DEFAULT_SEED).raw32(3))


@pytest.mark.parametrize("n", [0, 1, 2, 623, 624, 625, 16383, 16384, 16385, 40000])
def test_words_do_not_depend_on_how_they_are_asked_for(n):
    whole = Generator().manual_seed(7).raw32(2 * n)
    g = Generator().manual_seed(7)
    one_by_one = np.concatenate([g.raw32(n // 3), g.raw32(n - n // 3), g.raw32(n)])
    assert whole.dtype == np.uint32 and np.array_equal(whole, one_by_one)
    pairs = Generator().manual_seed(7).raw64(n)
    assert pairs.dtype == np.uint64 and pairs.shape == (n,)
    assert np.array_equal(pairs, (whole[0::2].astype(np.uint64) << np.uint64(32)) | whole[1::2])


def test_seed_comes_from_the_system_and_is_reported():
    g = Generator()
    first, second = g.seed(), g.seed()
    assert first != second and g.initial_seed() == second and 0 <= second < 2**64
    assert np.array_equal(g.raw32(4), Generator().manual_seed(second).raw32(4))


def test_the_default_generator_is_one_and_starts_from_entropy(monkeypatch):
    assert default_generator() is default_generator()
    monkeypatch.setattr(generator_module, "_default", None)
    first = default_generator().initial_seed()
    monkeypatch.setattr(generator_module, "_default", None)
    assert default_generator().initial_seed() != first


@pytest.mark.parametrize("seed", [1.5, True, "3", None, [1]])
def test_seeds_that_are_no_integers_are_refused(seed):
    with pytest.raises(RuntimeError, match="manual_seed expected a long, but got"):
        Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        Generator().manual_seed(seed)


def test_a_numpy_integer_is_a_seed():
    assert Generator().manual_seed(np.int64(5)).initial_seed() == 5


def draw_some(g: Generator, n: int) -> Generator:
    g.raw32(n)
    return g


@pytest.mark.parametrize("n", [0, 1, 623, 624, 625, 1248, 5000])
def test_a_saved_state_continues_the_stream(n):
    g = draw_some(Generator().manual_seed(11), n)
    g.next_normal = -0.25
    saved = g.get_state_bytes()
    assert saved.dtype == np.uint8 and saved.shape == (5056,) and saved.flags.writeable
    expected = g.raw32(2000)
    other = Generator()
    other.set_state_bytes(saved)
    assert np.array_equal(other.get_state_bytes(), saved)
    assert other.next_normal == -0.25 and other.initial_seed() == 11
    assert np.array_equal(other.raw32(2000), expected)


@pytest.mark.parametrize("copied", [Generator.clone_state, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_copies_are_independent_and_equal(copied):
    g = draw_some(Generator("cuda").manual_seed(3), 10)
    g.next_normal = 1.5
    twin = copied(g)
    assert str(twin.device) == "cuda" and twin.next_normal == 1.5
    expected = g.raw32(5)
    g.raw32(100)
    assert np.array_equal(twin.raw32(5), expected)


def test_states_that_are_no_states_are_refused_and_change_nothing():
    g = draw_some(Generator().manual_seed(3), 10)
    good = g.get_state_bytes()

    def changed(**fields: int) -> np.ndarray:
        record = np.frombuffer(good.tobytes(), STATE).copy()
        for name, value in fields.items():
            record[name] = value
        return np.frombuffer(record.tobytes(), np.uint8)

    with pytest.raises(TypeError, match=r"expected a torch\.ByteTensor, but got NoneType"):
        g.set_state_bytes(None)
    with pytest.raises(TypeError, match=r"RNG state must be a torch\.ByteTensor"):
        g.set_state_bytes(good.astype(np.float32))
    with pytest.raises(RuntimeError, match="size 5056 but found the input RNG state size to be 100"):
        g.set_state_bytes(good[:100])
    for bad in (changed(seeded=0), changed(left=0), changed(left=625), changed(next=625), changed(left=5, next=3)):
        with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
            g.set_state_bytes(bad)
    assert np.array_equal(g.get_state_bytes(), good)


def test_offsets_belong_to_other_generators():
    with pytest.raises(RuntimeError, match="does not use offset"):
        Generator().get_offset()
    with pytest.raises(RuntimeError, match="does not use offset"):
        Generator().set_offset(0)


def test_threads_share_a_generator_without_losing_or_repeating_words():
    g, parts = Generator().manual_seed(1), []

    def work() -> None:
        for _ in range(50):
            parts.append(g.raw64(1000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = Generator().manual_seed(1).raw64(200_000).reshape(200, 1000)
    assert {part.tobytes() for part in parts} == {part.tobytes() for part in expected}


def draw_in_child(pipe: multiprocessing.connection.Connection, g: Generator) -> None:
    pipe.send(g.raw32(3).tolist())


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking with threads alive is what is tested
def test_a_child_forked_while_another_thread_draws_can_draw():
    g = Generator().manual_seed(1)
    busy = threading.Event()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with g.lock:
                busy.set()
                g.raw32(20000)

    thread = threading.Thread(target=work)
    thread.start()
    busy.wait()
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=draw_in_child, args=(send, g))
    try:
        child.start()
        assert receive.poll(20), "the child hangs in the generator's lock"
        assert len(receive.recv()) == 3
    finally:
        stop.set()
        thread.join()
        child.kill()
        child.join()


# --- against torch ---

torch = pytest.importorskip("torch", reason="parity tests need torch")


@pytest.mark.parametrize("seed", SEEDS)
def test_seeding_is_torch_s(seed):
    theirs = torch.Generator().manual_seed(seed)
    ours = Generator().manual_seed(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert np.array_equal(ours.get_state_bytes(), theirs.get_state().numpy())


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 31, 100, 623, 624, 625, 1000, 1248, 4097])
def test_the_saved_state_is_torch_s_to_the_byte(n):
    theirs, ours = torch.Generator().manual_seed(9), Generator().manual_seed(9)
    words = torch.empty(n, dtype=torch.int32).random_(generator=theirs)
    assert np.array_equal(ours.raw32(n) & 0x7FFFFFFF, words.numpy().astype(np.uint32))
    assert np.array_equal(ours.get_state_bytes(), theirs.get_state().numpy())


def test_states_travel_both_ways():
    theirs = torch.Generator().manual_seed(4)
    torch.randn(3, generator=theirs)  # leaves a normal number in the cache
    ours = Generator()
    ours.set_state_bytes(theirs.get_state().numpy())
    assert ours.next_normal is not None and ours.initial_seed() == 4
    ours.raw64(1000)
    back = torch.Generator().set_state(torch.from_numpy(ours.get_state_bytes()))
    assert np.array_equal(back.get_state().numpy(), ours.get_state_bytes())
    torch.randn(1, generator=theirs)  # from the cache: draws nothing
    torch.empty(1000, dtype=torch.int64).random_(generator=theirs)
    torch.randn(1, generator=back)
    assert torch.equal(back.get_state(), theirs.get_state())


def test_the_unused_float_normal_survives():
    saved = Generator().manual_seed(4).get_state_bytes()
    record = np.frombuffer(bytearray(saved.tobytes()), STATE)  # a copy by NumPy leaves the padding as it was
    record["float_normal"], record["float_normal_is_valid"] = 0.5, True
    state = np.frombuffer(record.tobytes(), np.uint8)
    ours = Generator()
    ours.set_state_bytes(state)
    assert np.array_equal(ours.get_state_bytes(), state)
    theirs = torch.Generator().set_state(torch.from_numpy(state.copy()))
    assert np.array_equal(theirs.get_state().numpy(), state)


@pytest.mark.parametrize("seed", [1.5, True, "3", None, 2**64, -(2**63) - 1])
def test_refused_seeds_raise_what_torch_raises(seed):
    with pytest.raises((RuntimeError, ValueError)) as theirs:
        torch.Generator().manual_seed(seed)
    with pytest.raises(theirs.type, match=str(theirs.value)):
        Generator().manual_seed(seed)
