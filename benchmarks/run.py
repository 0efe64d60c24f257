"""Compare rushlight with an installed torch: a table of ratios, and a JSON file. `make bench`, or

    python benchmarks/run.py [CASE ...] [--threads 2] [--rounds 5] [--seconds 2] [--json FILE]

Both sides run in processes of their own, in alternating rounds; the figures are medians over rounds. Only ratios within
one run mean anything: machines are noisy. Without torch only rushlight's own times are printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import CASES

HERE = Path(__file__).parent


def measure(library: str, case: str, threads: int, seconds: float) -> dict[str, Any]:
    """One round of one case in a fresh process."""
    count = str(threads)
    environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    command = [sys.executable, str(HERE / "worker.py"), library, case, str(seconds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, )
    if done.returncode:
        raise SystemExit(f"{library} failed in {case}:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def shown(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=["import", *CASES, []], help="cases to run (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on a case in each round")
    parser.add_argument("--json", type=Path, default=None, help="write all figures to this file")
    options = parser.parse_args()
    libraries = ["rushlight"] + (["torch"] if importlib.util.find_spec("torch") else [])
    print(f"{processor()}, {os.cpu_count()} cores, {options.threads} threads, Python {platform.python_version()}, {options.rounds} rounds")
    print(f"{'case':24} {'rushlight':>12} {'torch':>12} {'ratio':>7}")
    report: dict[str, Any] = {}
    for case in options.cases or ["import", *CASES]:
        rounds: dict[str, list[dict[str, Any]]] = {library: [] for library in libraries}
        for i in range(options.rounds):
            for library in libraries if i % 2 == 0 else libraries[::-1]:
                rounds[library].append(measure(library, case, options.threads, options.seconds))
        medians = {library: statistics.median(r["seconds"] for r in found) for library, found in rounds.items()}
        ours, theirs = medians["rushlight"], medians.get("torch")
        ratio = f"{ours / theirs:.2f}" if theirs else "-"
        print(f"{case:24} {shown(ours):>12} {shown(theirs) if theirs else '-':>12} {ratio:>7}", flush=True)
        report[case] = {"median_seconds": medians, "ratio": ours / theirs if theirs else None, "rounds": rounds}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
