"""`import rushlight` is quick and brings nothing along: no extras, nothing heavy, little more than NumPy."""

from __future__ import annotations

import os
import subprocess
import sys

HEAVY = (
    "torch torchvision tensorflow jax PIL tqdm matplotlib safetensors IPython scipy pandas ml_collections sklearn "
    "hypothesis pytest setuptools multiprocessing concurrent.futures asyncio unittest doctest pdb sqlite3 http "
    "urllib.request ssl email xml ctypes.util distutils tkinter"
).split()
# 60 ms where NumPy takes 80; the same share on a machine, or at a moment, that is slower.
BUDGET_MS = 60.0
BUDGET_SHARE = 60 / 80
RUNS = 7

# Processor time, not the clock's: the machine is shared with other tests, and waiting for a turn is not rushlight's.
TIMER = "import time; start = time.process_time(); import {module}; print(1e3 * (time.process_time() - start))"


def in_fresh_interpreter(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # PYTHONDONTWRITEBYTECODE: what is measured is an import of compiled files, as every one but the first is
    for name in ("PYTHONSTARTUP", "PYTHONPROFILEIMPORTTIME", "COVERAGE_PROCESS_START", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def loaded_after(statement: str) -> set[str]:
    """The modules that a statement loads into a fresh interpreter."""
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before), sep='\\n')"
    return set(in_fresh_interpreter("-c", code).stdout.split())


def excess_ms(runs: int) -> tuple[float, float]:
    """Processor time of `import rushlight` less that of `import numpy`, measured in turn, and what is allowed.

    The least of each counts: other tests that run at the same time slow the processor down, and only ever add.
    """
    times: dict[str, list[float]] = {"numpy": [], "rushlight": []}
    for turn in range(runs):
        for module in sorted(times, reverse=turn % 2 == 1):
            times[module].append(float(in_fresh_interpreter("-c", TIMER.format(module=module)).stdout))
    numpys = min(times["numpy"])
    return min(times["rushlight"]) - numpys, max(BUDGET_MS, BUDGET_SHARE * numpys)


def slowest_imports() -> str:
    """The dozen modules that cost most in themselves, NumPy's left out; for the failure's message."""
    lines = in_fresh_interpreter("-X", "importtime", "-c", "import rushlight").stderr.splitlines()
    rows = [line.removeprefix("import time:").split("|") for line in lines if line.count("|") == 2]
    costs = sorted(((int(row[0]), row[2].strip()) for row in rows if row[0].strip().isdigit()), reverse=True)
    return "\n".join(f"{cost / 1e3:8.1f} ms  {name}" for cost, name in costs if not name.startswith("numpy"))[:1200]


def test_nothing_heavy_comes_along():
    brought = loaded_after("import rushlight") - loaded_after("import numpy, ml_dtypes")
    heavy = sorted(name for name in brought if any(name == h or name.startswith(h + ".") for h in HEAVY))
    assert not heavy, f"import rushlight also imports {', '.join(heavy)}"


def test_the_search_for_heavy_modules_finds_them():
    assert "multiprocessing" in loaded_after("import multiprocessing.pool")


def test_import_takes_little_more_than_numpys():
    excess, allowed = excess_ms(RUNS)
    if excess > allowed:
        excess, allowed = excess_ms(2 * RUNS)  # once more: machines are noisy
    assert excess <= allowed, f"{excess:.0f} ms over NumPy's own import, allowed {allowed:.0f}:\n{slowest_imports()}"
