"""Figures of a whole process, each from a fresh one: import time, memory, installed size, the peak of a training step.

    python -m benchmarks.process FIGURE rushlight|torch THREADS

Nothing but the standard library is imported before the measured library. Sizes are in bytes, times in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def memory(field: str = "VmRSS") -> int:
    """Resident bytes now (VmRSS) or at their highest (VmHWM); without /proc the highest either way."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) * 1024
    import resource

    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def import_time(library: str, threads: int) -> float:
    start = time.perf_counter()
    import_module(library)
    return time.perf_counter() - start


def import_memory(library: str, threads: int) -> float:
    """Resident memory of the process after `import`, the interpreter and NumPy included."""
    import_module(library)
    return memory()


def installed_size(library: str, threads: int) -> float:
    """The package's directory without byte code; NumPy is not counted."""
    spec = find_spec(library)
    assert spec is not None and spec.submodule_search_locations
    files = (path for path in Path(spec.submodule_search_locations[0]).rglob("*") if path.suffix != ".pyc")
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())


def resnet18_peak(library: str, threads: int) -> float:
    """How far resident memory rises above that after import in a ResNet-18 step (32x3x64x64), after one warm-up."""
    torch: Any = import_module(library)
    torch.set_num_threads(threads)
    imported = memory()
    training = import_module("benchmarks.cases.training")
    network = next(network for network in training.NETWORKS if network.name == "resnet18_32x64")
    step = training.training_step(network, "sgd", torch)
    step()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    except OSError:
        pass  # the peak of the warm-up counts, too
    step()
    return memory("VmHWM") - imported


def from_source_tree() -> bool:
    spec = find_spec("rushlight")
    return spec is not None and spec.origin is not None and Path(spec.origin).parts[-3] == "src"


FIGURES: dict[str, Callable[[str, int], float]] = {
    "import_time": import_time,
    "import_memory": import_memory,
    "installed_size": installed_size,
    "resnet18_peak": resnet18_peak,
}
NAMES = [f"process/{figure}" for figure in FIGURES]
UNITS = {f"process/{figure}": "s" if figure == "import_time" else "B" for figure in FIGURES}


def measure(name: str, library: str, threads: int) -> dict[str, Any]:
    """The figure, or why there is none, in the form in which workers answer."""
    import subprocess

    from benchmarks.machine import Watch
    from benchmarks.side import ROOT, environment

    command = [sys.executable, "-m", "benchmarks.process", name.removeprefix("process/"), library, str(threads)]
    watch = Watch([os.getpid()])
    done = subprocess.run(command, cwd=ROOT, env=environment(threads), capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().rpartition("\n")[2]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if name == "process/installed_size" and library == "rushlight" and from_source_tree():
        answer["remark"] = "src/rushlight of the source tree"
    return {**answer, "others": watch.others()}


if __name__ == "__main__":
    print(json.dumps({"value": FIGURES[sys.argv[1]](sys.argv[2], int(sys.argv[3]))}))
