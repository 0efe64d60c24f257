"""The goals: rows with the highest ratio rushlight / torch eager that is accepted, and the ratio aimed at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benchmarks.cases import CASES
from benchmarks.report import EAGER, OURS, Row, columns, ratio_text, speed_text

MEMORY_LIMIT = 1.05  # where both sides run at memory speed
MEMORY_SHARE = 0.5  # of the read bandwidth just measured: what counts as memory speed


@dataclass(frozen=True)
class Goal:
    """`globs` choose cases; each of them has to stay within the limit."""

    work: str
    globs: tuple[str, ...]
    limit: float
    aim: float | None = None


def single_operations() -> tuple[str, ...]:
    """Every operation at medium and large size: forward + backward, or forward where it has no gradient."""
    names = [name for name in CASES if name.startswith("ops/") and "/small/" not in name]
    return tuple(name for name in names if name.endswith("+bwd") or f"{name}+bwd" not in CASES)


GOALS = (
    Goal("a + b small, no gradient", ("overhead/add_small",), 0.55, 0.35),
    Goal("a + b small, recording", ("overhead/add_small_recording",), 0.35, 0.2),
    Goal("chain of 1000 small operations, forward + backward", ("overhead/chain_1000",), 0.4, 0.25),
    Goal("Q = 3a³ - b² with backward", ("overhead/q_backward",), 0.3, 0.15),
    Goal("MLP 64-64-64-10 batch 32, SGD step", ("train/mlp64/sgd",), 0.4, 0.2),
    Goal("MLP 64-64-64-10 batch 32, Adam step", ("train/mlp64/adam",), 0.4, 0.2),
    Goal("ResNet-18 training step 1×3×64×64", ("train/resnet18_1x64/sgd",), 0.5, 0.35),
    Goal("ResNet-18 training step 32×3×64×64", ("train/resnet18_32x64/sgd",), 0.6, 0.45),
    Goal("ResNet-18 training step 8×3×224×224", ("train/resnet18_8x224/sgd",), 0.65, 0.5),
    Goal("ResNet-18 inference, same sizes", ("eval/resnet18_*",), 0.7, 0.5),
    Goal("MobileNetV2 training step", ("train/mobilenet_v2_8x96/*",), 0.9, 0.6),
    Goal("LSTM training step", ("train/lstm/*",), 0.9, 0.6),
    Goal("GPT block training step", ("train/gpt/*",), 0.9, 0.6),
    Goal("LeNet training step", ("train/lenet/*",), 0.9, 0.6),
    Goal("784-MLP training step", ("train/mlp784/*",), 0.9, 0.6),
    Goal("any single operation, medium or large", single_operations(), 1.0, 0.7),
    Goal("import time", ("process/import_time",), 0.12),
    Goal("installed size without NumPy", ("process/installed_size",), 0.02),
    Goal("memory after import", ("process/import_memory",), 0.2),
    Goal("peak growth over the ResNet-18 step, batch 32", ("process/resnet18_peak",), 0.9, 0.7),
)


def globs() -> list[str]:
    return [glob for goal in GOALS for glob in goal.globs]


def limit_of(goal: Goal, row: Row, bandwidth: float) -> float:
    """The goal's limit; for single operations a little more where both sides run at memory speed."""
    speeds = [row.speed(side) or 0.0 for side in (OURS, EAGER)]
    streams = "/large/" in row.case and min(speeds) >= MEMORY_SHARE * bandwidth
    return max(goal.limit, MEMORY_LIMIT) if streams else goal.limit


def verdict(goal: Goal, rows: Sequence[Row], bandwidth: float) -> tuple[list[str], list[Row]]:
    """A goal's line (work, ratio or the worst of many, limit, aim, verdict) and the rows that miss it."""
    chosen = [row for row in rows if any(fnmatchcase(row.case, glob) for glob in goal.globs)]
    measured = [(ratio, row) for row in chosen if (ratio := row.ratio()) is not None]
    missed = [row for ratio, row in measured if ratio > limit_of(goal, row, bandwidth)]
    missed += [row for row in chosen if row.ratio() is None]
    numbers = [ratio_text(ratio) for ratio, _ in measured]
    if len(numbers) > 3:
        worst, row = max(measured, key=lambda pair: pair[0])
        numbers = [f"worst {ratio_text(worst)} ({row.case})"]
    outcome = "not run" if not chosen else "pass" if not missed else "MISS"
    if missed and len(chosen) > 1:
        outcome = f"MISS {len(missed)} of {len(chosen)}"
    if chosen and not measured:
        outcome = f"MISS ({chosen[0].note or 'torch was not measured'})"
    if any(row.marked for row in chosen):
        outcome += ", but not on an idle machine"
    aim = "" if goal.aim is None else f"{goal.aim:g}"
    return [goal.work, " / ".join(numbers) or "-", f"{goal.limit:g}", aim, outcome], missed


def table(rows: Iterable[Row], bandwidth: float) -> str:
    """Every goal with pass or miss, and below it each single operation that misses."""
    rows = list(rows)
    lines, operations = [["work", "ratio", "at most", "aim", ""]], []
    for goal in GOALS:
        line, missed = verdict(goal, rows, bandwidth)
        lines.append(line)
        operations += [row for row in missed if row.case.startswith("ops/")]
    text = columns(lines)
    if operations:
        operations.sort(key=lambda row: -(row.ratio() or float("inf")))
        details = [[f"  {row.case}", ratio_text(row.ratio()), speed_text(row), row.note] for row in operations]
        text += "\n\nsingle operations that miss, and GB/s (rushlight / torch) of large ones:\n"
        text += columns(details)
    return text
