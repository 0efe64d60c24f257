"""How many threads kernels may use: what was set, else what the environment and the machine grant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_set: int | None = None
# Called with the number whenever it changes; native kernels put themselves here.
_listeners: list[Callable[[int], None]] = []


def available() -> int:
    """OMP_NUM_THREADS, else the processors this process may run on, within the quota of its control group."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return count if quota is None else max(1, min(count, quota))


def _quota() -> int | None:
    """The processors a Linux control group grants (`cpu.max`, or version 1's pair of files), rounded up; None without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not (quota.isdecimal() and period.isdecimal()):  # "max" or -1: no limit
        return None
    return -(-int(quota) // max(1, int(period)))


def get() -> int:
    """The number of threads kernels may use now."""
    return available() if _set is None else _set


def set_count(count: int) -> None:
    """Set it (at least 1)."""
    global _set
    _set = count
    for tell in _listeners:
        tell(count)


def listen(tell: Callable[[int], None]) -> None:
    """Have `tell` called with the number now and whenever it changes."""
    _listeners.append(tell)
    tell(get())
