"""Errors of float32 against float64, beside torch's own: the same work computed in both dtypes by each library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.report import EAGER, OURS, columns, ratio_text
from benchmarks.side import Worker

LIMIT = 3.0  # times torch's own error
TIMEOUT = 1800.0  # a network in float64, several times
ROUNDING = 2.0**-25  # relative error of a float32 that is rounded once: a lucky torch is not held to less


def compare(
    cases: Sequence[str], libraries: Sequence[str], threads: int, progress: Callable[[str], None]
) -> dict[str, dict[str, dict[str, Any]]]:
    """case -> library -> {"output": rms relative error, "gradients": the same over all gradients}, or why not."""
    workers = {library: Worker(library, threads, timeout=TIMEOUT) for library in libraries}
    found: dict[str, dict[str, dict[str, Any]]] = {}
    try:
        for i, case in enumerate(cases):
            progress(f"accuracy {i + 1}/{len(cases)} {case}")
            found[case] = {name: worker.ask({"case": case, "accuracy": True}) for name, worker in workers.items()}
        return found
    finally:
        progress("")
        for worker in workers.values():
            worker.close()


def times_torch(ours: float | None, theirs: float | None) -> float | None:
    """rushlight's error in units of torch's."""
    return None if ours is None or theirs is None else ours / max(theirs, ROUNDING)


def table(found: dict[str, dict[str, dict[str, Any]]]) -> str:
    lines = [["case", "output", "torch", "ratio", "gradients", "torch", "ratio", ""]]
    for case, errors in found.items():
        ours, theirs = errors.get(OURS, {}), errors.get(EAGER, {})
        line, ratios = [case], []
        for part in ("output", "gradients"):
            pair = ours.get(part), theirs.get(part)
            ratios.append(times_torch(*pair))
            line += ["-" if error is None else f"{error:.1e}" for error in pair] + [ratio_text(ratios[-1])]
        notes = [f"{reason}: {ours[reason]}" for reason in ("missing", "failed") if reason in ours]
        notes += ["MISS"] if any(ratio is not None and ratio > LIMIT for ratio in ratios) else []
        lines.append([*line, "; ".join(notes)])
    return columns(lines)
