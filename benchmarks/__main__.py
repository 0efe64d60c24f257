"""Measure rushlight beside an installed torch (and JAX): a table, and a JSON file. `make bench`, or

    python -m benchmarks [GLOB ...] [--threads 1,2] [--must] [--accuracy] [--quick] [--list]

Each library runs in a process of its own; they take turns case by case, and figures are medians over rounds. Only
ratios within one run mean anything: machines are noisy.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import accuracy, machine, must, process, report
from benchmarks.cases import CASES, select
from benchmarks.report import EAGER, JAX, OURS, Row
from benchmarks.side import Worker

JSON = Path("build/benchmarks.json")
NAMES = [*CASES, *process.NAMES]


@dataclass(frozen=True)
class Plan:
    """What is run: `fresh` starts a process for every measurement, `variants` asks torch for its own fast paths, too."""

    names: Sequence[str]
    libraries: Sequence[str]
    rounds: int
    seconds: float
    fresh: bool
    variants: bool


def libraries() -> list[str]:
    return [OURS, *(name for name in (EAGER, JAX) if find_spec(name))]


def measure_case(row: Row, plan: Plan, workers: dict[str, Worker], turn: int) -> None:
    """One round of a case: each library in turn, the order reversed in every other round."""
    for library in plan.libraries if turn % 2 == 0 else plan.libraries[::-1]:
        variants = ["", *(CASES[row.case].variants if library == EAGER and plan.variants else ())]
        for variant in variants:
            side = f"{library} {variant}".strip()
            if side not in row.notes:
                row.add(side, workers[library].ask({"case": row.case, "variant": variant, "seconds": plan.seconds}))


def measure(plan: Plan, threads: int, rows: list[Row]) -> None:
    """Fill in rows, one for each name, round after round; on an interrupt the rows hold what there is."""
    rows += [
        Row(name, threads, process.UNITS.get(name, "s"), CASES[name].bytes if name in CASES else 0)
        for name in plan.names
    ]
    for turn in range(plan.rounds):
        workers = {library: Worker(library, threads, fresh=plan.fresh) for library in plan.libraries}
        try:
            for i, row in enumerate(rows):
                progress(f"round {turn + 1}/{plan.rounds}, {i + 1}/{len(rows)} {row.case}")
                if row.case in CASES:
                    measure_case(row, plan, workers, turn)
                    continue
                for library in plan.libraries:
                    if library != JAX:
                        row.add(library, process.measure(row.case, library, threads))
        finally:
            for worker in workers.values():
                worker.close()
            progress("")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)


def builds(plan: Plan, threads: int) -> dict[str, dict[str, Any]]:
    """What each library's worker says about itself: version, and for rushlight which build and kernels run."""
    found = {}
    for library in plan.libraries:
        worker = Worker(library, threads)
        worker.start()
        found[library] = worker.ready
        worker.close()
    return found


def print_head(plan: Plan, about: dict[str, Any], threads: int) -> None:
    print(f"{about['processor']}, {about['cores']} cores, {threads} threads, Python {platform.python_version()}")
    print(machine.described(about["machine"][str(threads)]))
    for library, ready in about["libraries"].items():
        print(f"{library} {ready.get('ready', ready.get('failed'))}")
        for line in ready.get("config", "").splitlines()[1:]:
            print(line)
    how = f"medians of {plan.rounds} rounds of {plan.seconds:g} s"
    print(f"{len(plan.names)} cases, {how}; ratios are rushlight / the other\n", flush=True)


def threads_list(text: str) -> list[int]:
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise ValueError(text)
    return found


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("globs", nargs="*", metavar="GLOB", help="cases such as 'ops/conv*' or train (default: all)")
    parser.add_argument("--threads", type=threads_list, default=[2], metavar="N[,N]", help="default: 2")
    parser.add_argument("--rounds", type=int, help="default: 5")
    parser.add_argument("--seconds", type=float, help="time for a case in each round (default: 0.3)")
    parser.add_argument("--json", type=Path, default=JSON, help=f"default: {JSON}")
    parser.add_argument("--quick", action="store_true", help="one short round, no large tensors, no variants")
    parser.add_argument("--must", action="store_true", help="the rows with limits, and whether they are kept")
    parser.add_argument("--accuracy", action="store_true", help="errors against float64 instead of times")
    parser.add_argument("--fresh", action="store_true", help="a new process for every measurement")
    parser.add_argument("--no-variants", action="store_true", help="torch eager only, without fused and channels_last")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    return parser


def chosen(options: argparse.Namespace) -> list[str]:
    """The names to run; --quick leaves out large tensors unless a glob names them."""
    wanted = options.globs or (must.globs() if options.must else ["*"])
    names = select(wanted, NAMES)
    if options.quick and not any("large" in glob for glob in options.globs):
        names = [name for name in names if "/large/" not in name]
    return names


def run_times(options: argparse.Namespace, plan: Plan) -> None:
    about: dict[str, Any] = {
        "processor": machine.processor(), "cores": machine.cores(), "rounds": plan.rounds, "seconds": plan.seconds,
        "libraries": builds(plan, options.threads[0]), "machine": {},
    }  # fmt: skip
    done: list[Row] = []
    for threads in options.threads:
        about["machine"][str(threads)] = found = machine.state(threads)
        print_head(plan, about, threads)
        rows: list[Row] = []
        try:
            measure(plan, threads, rows)
        except KeyboardInterrupt:
            print("interrupted; medians of what was measured:")
        rows = [row for row in rows if row.rounds or row.notes]
        print(must.table(rows, found["read_bytes_per_second"]) if options.must else report.table(rows))
        done += rows
        after = machine.state(threads)
        print(f"\nafterwards: {machine.described(after)}\n", flush=True)
        about["machine"][f"{threads} afterwards"] = after
        report.write_json(options.json, about, done)
    print(f"all rounds: {options.json}")


def main() -> None:
    parser = arguments()
    options = parser.parse_args()
    try:
        names = chosen(options)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        print("\n".join(names))
        return
    if options.accuracy:
        compared = [name for name in names if name in CASES and CASES[name].values is not None]
        found = accuracy.compare(compared, [side for side in libraries() if side != JAX], options.threads[0], progress)
        print(
            "rms error of float32 against float64, relative (networks: over 9 to 64 draws); a ratio above 3 is a miss\n"
        )
        print(accuracy.table(found))
        report.write_json(options.json, {"accuracy": found}, [])
        return
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (0.05 if options.quick else 0.3)
    variants = not (options.quick or options.must or options.no_variants)
    run_times(options, Plan(names, libraries(), rounds, seconds, options.fresh, variants))


if __name__ == "__main__":
    main()
