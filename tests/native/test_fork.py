"""After `fork`: kernels, the pool and threads in the child, forked from quiet parents, busy ones, and from children.

Each test runs in a process of its own with four threads, because this one may have been told to use a single one.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rushlight.backends.native import load

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.skipif(load() is None, reason="no native kernels were built (python tools/build_kernels.py)"),
]

COMMON = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads alive is what is tested
import rushlight as rl
F = rl.nn.functional
rl.set_num_threads(4)
rl.manual_seed(0)
X, W, M = rl.randn(4, 16, 24, 24), rl.randn(24, 16, 3, 3), rl.randn(300, 300)

def work():
    "Every family once, large enough to wake threads; the bytes of the results."
    x, w = X.clone().requires_grad_(), W.clone().requires_grad_()
    y = F.batch_norm(F.conv2d(x, w, padding=1), None, None, training=True)
    z = F.max_pool2d(F.gelu(y), 2)
    (z * z).sum().backward()
    results = [z, x.grad, w.grad, M @ M, M.sum(0), M.softmax(1), M.sort(1)[0], rl.cat([X, X]), X.exp()]
    rl.manual_seed(1)
    results.append(rl.randn(100_000))
    return [r.detach().numpy().tobytes() for r in results]

def in_child(check):
    "Fork, run `check` in the child, and wait at most half a minute for it."
    child = os.fork()
    if child == 0:
        try:
            check()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        os._exit(code)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"the child ended with {status}"
            return
        time.sleep(0.002)
    os.kill(child, 9)
    raise AssertionError("the child hangs")

expected = work()
def same():
    assert work() == expected
"""


def run(program: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", COMMON + program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_child_computes_the_same_bits():
    """Also after having changed its number of threads; and the parent goes on as before."""
    run("""
in_child(same)
def changed():
    rl.set_num_threads(3)
    assert rl.get_num_threads() == 3
    same()
    rl.set_num_threads(1)
    same()
in_child(changed)
same()
""")


def test_a_childs_child():
    run("in_child(lambda: (same(), in_child(lambda: (same(), in_child(same), same())), same()))\nsame()")


def test_while_another_thread_computes():
    """The team, the pool's lock and Python's allocator may be in anybody's hands at the moment of the fork."""
    run("""
stop = threading.Event()
def busy():
    while not stop.is_set():
        F.conv2d(X, W, padding=1)
        rl.ones(50_000) * 2
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
try:
    for _ in range(15):
        in_child(same)
finally:
    stop.set()
    for thread in threads: thread.join()
same()
""")


def test_threads_of_the_child():
    """A child may start threads of its own; kernels run in all of them."""
    run("""
def several():
    found = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(3)]
    # the generator is one for all threads, so the numbers that were drawn are left out
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(found) == 3 and all(one[:-1] == expected[:-1] for one in found)
in_child(several)
""")


def test_the_pool_of_a_child():
    """A child has what its tensors hold and nothing idle; what it frees is its own; the parent's counters do not move."""
    run("""
kept = rl.zeros(1_000_000)
rl.ones(2_000_000)  # idle from now on
before = rl.cpu.memory_stats()
assert before["idle_bytes"] >= 8_000_000
def child():
    stats = rl.cpu.memory_stats()
    assert stats["used_bytes"] == before["used_bytes"] and stats["idle_bytes"] == 0 and stats["limit_bytes"] == before["limit_bytes"]
    global kept
    kept += 1
    assert kept.sum().item() == 1_000_000
    del kept
    assert rl.cpu.memory_stats()["used_bytes"] < before["used_bytes"]
    again = rl.zeros(1_000_000)
    assert rl.cpu.memory_stats()["reused"] == 1 and not again.any()
    rl.cpu.set_memory_limit(0)
    rl.ones(3_000_000)
    assert rl.cpu.memory_stats()["idle_bytes"] == 0
in_child(child)
assert rl.cpu.memory_stats() == before and not kept.any()
""")


def test_processes_that_end_the_usual_way():
    """`multiprocessing` children leave through `sys.exit` and all its finalisers, while the parent's team is alive."""
    out = run("""
import multiprocessing
context = multiprocessing.get_context("fork")
def task(queue):
    queue.put(work() == expected)
queue = context.Queue()
children = [context.Process(target=task, args=(queue,)) for _ in range(3)]
for child in children: child.start()
print([queue.get(timeout=60) for _ in children])
for child in children: child.join(60)
print([child.exitcode for child in children])
child = os.fork()
if child == 0:
    same()
    sys.exit(7)
print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
""")
    assert out.split("\n")[:3] == ["[True, True, True]", "[0, 0, 0]", "7"]


def test_workers_of_a_loader():
    """DataLoader's forked workers compute with kernels; the parent trains meanwhile."""
    run("""
class Images(rl.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return F.conv2d(X[:1] + i, W)[0]
for _ in range(2):
    seen = []
    for batch in rl.utils.data.DataLoader(Images(), batch_size=2, num_workers=2, multiprocessing_context="fork"):
        seen.append(batch)
        same()
    assert rl.equal(rl.cat(seen), rl.cat([F.conv2d(X[:1] + i, W) for i in range(8)]))
""")
