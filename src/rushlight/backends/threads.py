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


def _quota(root: Path = Path("/")) -> int | None:
    """The processors that the Linux control groups of this process grant, rounded up; None without a limit.

    Its own group counts and every one above it. In a container the outermost that can be seen is usually the container's.
    """
    granted = []
    for top, inner in _groups(root):
        group = top / inner.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                granted.append(_granted(folder))
    limits = [n for n in granted if n is not None]
    return min(limits) if limits else None


def _groups(root: Path) -> list[tuple[Path, str]]:
    """Where control groups that limit processors are mounted, and this process's place below: of version 2 and of version 1."""
    mounted = root / "sys/fs/cgroup"
    found = {mounted: "", mounted / "cpu": ""}
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        controllers, _, inner = line.partition(":")[2].partition(":")
        if not controllers:
            found[mounted] = inner
        elif "cpu" in controllers.split(","):
            found[mounted / "cpu"] = inner
    return list(found.items())


def _granted(folder: Path) -> int | None:
    """The processors that one control group grants: `cpu.max`, or version 1's pair of files."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()[:2]
        else:
            quota, period = [(folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period")]
    except (OSError, ValueError):
        return None
    if not (quota.isdecimal() and period.isdecimal()):  # "max" or -1: no limit
        return None
    return max(1, -(-int(quota) // max(1, int(period))))


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
