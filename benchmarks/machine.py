"""The state of the machine: what else runs on it, how fast its cores talk to each other and read memory."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

IDLE_SHARE = 0.10  # of one core: what other processes may use before a row is marked
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PROBE = Path(__file__).with_name("probe.cpp")


def processor() -> str:
    path = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", path.read_text(), re.MULTILINE) if path.exists() else []
    return names[0] if names else platform.processor()


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float | None:
    """Processor time that all processes, the kernel and other guests used since boot; None where /proc/stat is absent."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(n) for n in path.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_seconds(pid: int) -> float:
    """Processor time of a process and its children that have ended; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(n) for n in fields[11:15]) / TICKS


class Watch:
    """Counts, from its making on, the processor time of all processes but the given ones."""

    def __init__(self, own: Sequence[int]) -> None:
        self.own = own
        self.start, self.busy, self.used = time.monotonic(), busy_seconds(), self._used()

    def _used(self) -> float:
        return sum(process_seconds(pid) for pid in self.own)

    def others(self) -> float:
        """The others' share of one core (2.0: two cores); a clock tick or two in a short time count as none."""
        now = busy_seconds()
        if now is None or self.busy is None:
            return 0.0
        seconds = now - self.busy - (self._used() - self.used)
        elapsed = time.monotonic() - self.start
        return seconds / elapsed if seconds > 3 / TICKS and elapsed > 0 else 0.0


def probe(threads: int) -> dict[str, float]:
    """Core-to-core latency in ns (needs a C++ compiler and two cores) and read bandwidth in bytes a second."""
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    if compiler is not None:
        with tempfile.TemporaryDirectory() as directory:
            program = str(Path(directory) / "probe")
            command = [compiler, "-std=c++17", "-O3", "-pthread", str(PROBE), "-o", program]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=60)
                done = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True, timeout=60)
            except (OSError, subprocess.SubprocessError):
                return {"read_bytes_per_second": numpy_bandwidth(threads)}
        return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    return {"read_bytes_per_second": numpy_bandwidth(threads)}


def numpy_bandwidth(threads: int, size: int = 1 << 28) -> float:
    """Best of five sums over `size` bytes, shared out to threads; NumPy lets go of the interpreter's lock meanwhile."""
    parts = np.array_split(np.ones(size // 8), threads)
    best = float("inf")
    for _ in range(5):
        team = [threading.Thread(target=part.sum) for part in parts]
        start = time.perf_counter()
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()
        best = min(best, time.perf_counter() - start)
    return size / best


def state(threads: int) -> dict[str, Any]:
    """What is printed above the table; takes about two seconds."""
    watch = Watch([os.getpid()])
    time.sleep(1.0)
    return {"others": watch.others(), **probe(threads)}


def described(found: dict[str, Any]) -> str:
    others = f"others use {found['others']:.0%} of a core"
    quiet = "idle" if found["others"] <= IDLE_SHARE else "NOT IDLE, figures are noisy"
    latency = f"{found['core_to_core_ns']:.0f} ns" if "core_to_core_ns" in found else "not measured"
    return f"{quiet} ({others}); core to core {latency}; reads {found['read_bytes_per_second'] / 1e9:.1f} GB/s"
