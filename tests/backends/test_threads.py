"""How many threads kernels use by default: the environment's word, else the processors granted, within control groups' quotas."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from rushlight.backends import threads

linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's processor affinity")


def default_in_a_process(*, prefix=(), first="", omp=None):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if omp is not None:
        environment["OMP_NUM_THREADS"] = omp
    code = f"import os; {first}\nimport rushlight as rl\nfrom rushlight.backends.registry import kernels_for\n"
    code += "module = getattr(kernels_for(rl.device('cpu')), '_module', rl)\n"
    code += "print(rl.get_num_threads(), module.get_num_threads())"
    done = subprocess.run([*prefix, sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said, used = done.stdout.split()
    assert said == used, "what is said is not what kernels use"
    return int(said)


def test_the_environment_decides():
    assert default_in_a_process(omp="3") == 3
    assert default_in_a_process(omp="5,2,1") == 5
    assert default_in_a_process(omp="nonsense") == default_in_a_process() == threads_here()


def threads_here():
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = threads._quota()
    return count if quota is None else min(count, quota)


@linux
def test_affinity_decides():
    one = min(os.sched_getaffinity(0))
    assert default_in_a_process(first=f"os.sched_setaffinity(0, {{{one}}})") == 1
    assert default_in_a_process(first=f"os.sched_setaffinity(0, {{{one}}})", omp="4") == 4
    if shutil.which("taskset"):
        assert default_in_a_process(prefix=("taskset", "-c", str(one))) == 1


def files(root, texts):
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "12:cpuset:/\n4:cpu,cpuacct:/docker/abc\n0::/\n"
QUOTAS = {
    "no files at all": ({}, None),
    "a container, version 2": ({"sys/fs/cgroup/cpu.max": "200000 100000\n", "proc/self/cgroup": "0::/\n"}, 2),
    "half a processor is one": ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "one and a half are two": ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
    "another period": ({"sys/fs/cgroup/cpu.max": "60000 20000\n"}, 3),
    "no limit": ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "a service": ({"proc/self/cgroup": "0::/system.slice/a.service\n", "sys/fs/cgroup/system.slice/a.service/cpu.max": "3000 1000\n"}, 3),
    "the narrowest counts": (
        {
            "proc/self/cgroup": "0::/user.slice/a.scope\n",
            "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/user.slice/a.scope/cpu.max": "max 100000\n",
        },
        2,
    ),
    "others' groups do not count": ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/b/cpu.max": "100000 100000\n"}, None),
    "a place that cannot be seen": ({"proc/self/cgroup": "0::/kubepods/x\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
    "version 1": ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 3),
    "version 1 without a limit": ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
    "version 1, its own group": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "broken": ({"sys/fs/cgroup/cpu.max": "", "proc/self/cgroup": "nonsense\n"}, None),
    "a period of zero": ({"sys/fs/cgroup/cpu.max": "3 0\n"}, 3),
}  # fmt: skip


@pytest.mark.parametrize("case", QUOTAS)
def test_quotas_of_control_groups(case, tmp_path):
    texts, expected = QUOTAS[case]
    assert threads._quota(files(tmp_path, texts)) == expected


def test_the_quota_bounds_the_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "_quota", lambda: 1)
    assert threads.available() == 1
    monkeypatch.setattr(threads, "_quota", lambda: 10_000)
    assert threads.available() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads.available() == 7
