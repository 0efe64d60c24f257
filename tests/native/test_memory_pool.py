"""The pool of large results: its counters, its limit, what it does when the system has no memory left."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading

import pytest

import rushlight as rl
from rushlight.backends.native import load

pytestmark = pytest.mark.skipif(load() is None, reason="no native kernels were built (python tools/build_kernels.py)")

cpu = rl.cpu
KIB = 1 << 10


@pytest.fixture(autouse=True)
def limit():
    cpu.empty_cache()
    before = cpu.memory_stats()["limit_bytes"]
    yield before
    cpu.set_memory_limit(before)
    cpu.empty_cache()


def bytes_of(kib):
    return rl.empty(kib * KIB // 4)


def blocks(stats):
    """Blocks that came from the system and are not there any more, or still are."""
    return stats["from_system"] - stats["returned"]


def test_counters_of_one_block():
    start = cpu.memory_stats()
    t = bytes_of(1024)
    held = cpu.memory_stats()
    assert held["used_bytes"] - start["used_bytes"] == 1024 * KIB and held["requests"] == start["requests"] + 1
    view = t[5:]
    del t
    assert cpu.memory_stats()["used_bytes"] == held["used_bytes"], "a view holds its block"
    del view
    freed = cpu.memory_stats()
    assert freed["used_bytes"] == start["used_bytes"] and freed["idle_bytes"] == start["idle_bytes"] + 1024 * KIB
    t = bytes_of(1020)  # of the same class of sizes
    again = cpu.memory_stats()
    assert again["reused"] == freed["reused"] + 1 and again["from_system"] == freed["from_system"] and again["idle_bytes"] == 0
    del t
    assert cpu.empty_cache() == 1024 * KIB and cpu.memory_stats()["idle_bytes"] == 0 and cpu.empty_cache() == 0


def test_small_results_are_not_its_business():
    before = cpu.memory_stats()
    small = rl.empty(1000) + 1
    assert cpu.memory_stats() == before and small.numel() == 1000


def test_the_limit_bounds_what_lies_idle():
    cpu.set_memory_limit(4096 * KIB)
    kept = [bytes_of(1024) for _ in range(8)]
    used = cpu.memory_stats()["used_bytes"]
    assert used >= 8 * 1024 * KIB, "the limit is one of idle memory"
    while kept:
        kept.pop()
        assert cpu.memory_stats()["idle_bytes"] <= 4096 * KIB
    assert cpu.memory_stats()["idle_bytes"] == 4096 * KIB
    cpu.set_memory_limit(1500 * KIB)
    assert cpu.memory_stats()["idle_bytes"] == 1024 * KIB, "lowering the limit gives back at once"
    bytes_of(8192)
    assert cpu.memory_stats()["idle_bytes"] == 1024 * KIB, "what is larger than the limit never lies idle"
    cpu.set_memory_limit(0)
    bytes_of(64)
    assert cpu.memory_stats()["idle_bytes"] == 0


@pytest.mark.parametrize("count", [1, 4])
def test_counters_after_many_allocations(count):
    """By several threads, freed by others than made them, with the limit and the cache changed meanwhile."""
    start = cpu.memory_stats()
    shelf, lock = [], threading.Lock()

    def work(seed):
        draw = random.Random(seed)
        for step in range(250):
            t = bytes_of(draw.choice([64, 65, 70, 100, 129, 500, 1000, 2048, 3000]))
            t[-1] = seed
            with lock:
                shelf.append((t, seed))
                got = [shelf.pop(draw.randrange(len(shelf))) for _ in range(draw.randint(0, 2)) if shelf]
            for other, value in got:
                assert other[-1].item() == value, "two tensors share a block"
            del t, got
            if step % 50 == 49:
                draw.choice([cpu.empty_cache, lambda: cpu.set_memory_limit(draw.choice([0, 1 << 20, 1 << 28]))])()

    errors = []

    def guarded(seed):
        try:
            work(seed)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(seed,)) for seed in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[0]
    now = cpu.memory_stats()
    # Classes of sizes are at most an eighth apart.
    held = sum(t.nbytes for t, _ in shelf)
    assert held <= now["used_bytes"] - start["used_bytes"] <= held * 9 / 8 + 64
    assert now["requests"] - start["requests"] == now["reused"] - start["reused"] + now["from_system"] - start["from_system"]
    assert now["most_used_bytes"] >= now["used_bytes"]
    shelf.clear()
    cpu.empty_cache()
    end = cpu.memory_stats()
    assert end["used_bytes"] == start["used_bytes"] and end["idle_bytes"] == 0 and blocks(end) == blocks(start)


def test_misuse():
    for wrong, error in ((-1, ValueError), (1.5, TypeError), (True, TypeError), ("1", TypeError)):
        with pytest.raises(error, match="set_memory_limit"):
            cpu.set_memory_limit(wrong)


# ---------------------------------------------------------------- no memory left

LIMITED = """
import resource
import numpy as np
import rushlight as rl
F = rl.nn.functional
rl.set_num_threads(1)  # glibc ends the process when a new thread finds no memory for its own variables

def leave(extra):
    "From now on this process may take that many bytes more from the system."
    taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + extra, resource.RLIM_INFINITY))

def refused(call):
    try:
        call()
    except MemoryError as error:
        return str(error)
    raise AssertionError("there was memory")
MIB = 1 << 20
kept = rl.arange(1_000_000.0)
x, w = rl.randn(2, 16, 40, 40), rl.randn(16, 16, 3, 3)
expected = F.conv2d(x, w, padding=1)
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and RLIMIT_AS")


def run(program):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LIMITED + program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@linux
def test_no_memory_is_an_error_and_nothing_is_lost():
    run("""
before, copy = rl.cpu.memory_stats()["used_bytes"], kept.numpy().copy()
leave(64 * MIB)
calls = [
    lambda: rl.zeros(10**9), lambda: rl.empty(10**14), lambda: rl.randn(10**9), lambda: kept.expand(1000, -1).clone(),
    lambda: kept.view(-1, 1) * kept[:1000], lambda: kept.view(-1, 1) @ kept.view(1, -1)[:, :1000],
    lambda: F.conv2d(x[:1, :, :1, :1].expand(100, 16, 300, 300), w), lambda: kept.expand(100, -1).double(),
    lambda: kept.expand(100, -1).softmax(1), lambda: rl.cat([kept] * 100), lambda: kept.repeat(100),
    lambda: F.interpolate(x, scale_factor=40), lambda: kept.expand(100, -1).sort(1), lambda: rl.arange(10**9),
]
for call in calls:
    text = refused(call)
    assert "not enough memory for a result of" in text or "Unable to allocate" in text, text
    assert rl.cpu.memory_stats()["used_bytes"] == before
weight = kept.clone().requires_grad_()
loss = (weight * 2).sum()
refused(lambda: (weight.view(-1, 1) * kept[:1000]).sum())
loss.backward()
assert (weight.grad.numpy() == 2).all() and np.array_equal(kept.numpy(), copy) and rl.equal(F.conv2d(x, w, padding=1), expected)
""")


@linux
def test_idle_memory_is_given_back_before_anyone_is_refused():
    run("""
rl.empty(40 * MIB)  # 160 MiB, idle from now on
assert rl.cpu.memory_stats()["idle_bytes"] >= 160 * MIB
leave(30 * MIB)
large = rl.ones(33 * MIB)  # of another class of sizes
assert rl.cpu.memory_stats()["idle_bytes"] == 0 and large.sum().item() == 33 * MIB
""")


@linux
def test_no_memory_in_the_midst_of_threads():
    """The threads of a product find none for what they pack: an error here, and the next product is whole."""
    run("""
rl.set_num_threads(2)
a, b, large = rl.randn(400, 600), rl.randn(1000, 600), rl.ones(400, 1000)
assert (large + 1).sum().item() == 800_000  # the team is there, and memory for the result
leave(MIB // 4)
text = refused(lambda: a @ b.t())
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert text, "the reason stands in the error"
exact = a.double().numpy() @ b.double().numpy().T
for _ in range(3):
    np.testing.assert_allclose((a @ b.t()).numpy(), exact, rtol=1e-4, atol=1e-3)
""")
