"""The parent's end of a worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Watch

ROOT = Path(__file__).resolve().parents[1]
SETTLE_SECONDS = 0.05  # OpenMP threads spin for some milliseconds after a library's last parallel region


def environment(threads: int) -> dict[str, str]:
    """The variables every measured process gets: its number of threads, and leave to keep byte code."""
    count = str(threads)
    flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(str(ROOT / p) if p else str(ROOT) for p in kept.get("PYTHONPATH", "").split(os.pathsep))
    return {**kept, **dict.fromkeys(names, count), "XLA_FLAGS": flags, "PYTHONPATH": path}


class Worker:
    """A library in a process of its own, started when it is first asked, and again after it died."""

    def __init__(self, library: str, threads: int, *, timeout: float = 300.0, fresh: bool = False) -> None:
        self.library, self.threads, self.timeout, self.fresh = library, threads, timeout, fresh
        self.process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", self.library, str(self.threads)],
            cwd=ROOT, env=environment(self.threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.ready = self._read()

    def _read(self) -> dict[str, Any]:
        """The next answer; a worker that takes too long is killed, one that died is said to have failed."""
        assert self.process is not None and self.process.stdout is not None
        timer = threading.Timer(self.timeout, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        started = bool(self.ready)
        code = self.process.wait()
        self.close()
        return {"failed": f"the process ended with {code}" if started else f"import {self.library} failed"}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer, with the share of a core that other processes used meanwhile as "others"."""
        if self.process is None:
            self.start()
        if self.process is None or self.process.stdin is None:
            return dict(self.ready)
        time.sleep(SETTLE_SECONDS)
        watch = Watch([os.getpid(), self.process.pid])
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # reading finds the end, too
        answer = self._read()
        if self.process is not None:
            answer["others"] = watch.others()
        if self.fresh:
            self.close()
        return answer

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None
