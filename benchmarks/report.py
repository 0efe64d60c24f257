"""Rows of figures, and how they are printed and written."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import IDLE_SHARE

OURS, EAGER, JAX = "rushlight", "torch", "jax"


@dataclass
class Row:
    """All rounds of one case with one number of threads.

    A side is "rushlight", "torch", "torch VARIANT" or "jax"; `unit` is s or B; `others` holds, for each measurement,
    the share of a core that other processes used meanwhile.
    """

    case: str
    threads: int
    unit: str = "s"
    bytes: int = 0
    rounds: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    others: list[float] = field(default_factory=list)

    def add(self, side: str, answer: dict[str, Any]) -> None:
        """Note a worker's answer: a figure, or why there is none."""
        for reason in ("missing", "failed"):
            if reason in answer:
                self.notes[side] = f"{reason}: {answer[reason]}"
        if "remark" in answer:
            self.notes[side] = answer["remark"]
        value = answer.get("seconds", answer.get("value"))
        if value is not None:
            self.rounds.setdefault(side, []).append(value)
        self.others.append(answer.get("others", 0.0))

    def median(self, side: str) -> float | None:
        found = self.rounds.get(side)
        return statistics.median(found) if found else None

    def ratio(self, side: str = EAGER) -> float | None:
        """rushlight / the other side; below 1 rushlight is the faster or smaller one."""
        ours, theirs = self.median(OURS), self.median(side)
        return ours / theirs if ours is not None and theirs else None

    def best(self) -> str:
        """Torch's best side: eager or one of its variants."""
        sides = [side for side in self.rounds if side.partition(" ")[0] == EAGER]
        return min(sides, key=lambda side: self.median(side) or float("inf"), default=EAGER)

    def speed(self, side: str) -> float | None:
        """Bytes a second, where the case says how many it moves."""
        seconds = self.median(side)
        return self.bytes / seconds if self.bytes and seconds else None

    @property
    def marked(self) -> bool:
        """Whether other processes were busy in half of the measurements or more."""
        return bool(self.others) and statistics.median(self.others) > IDLE_SHARE

    @property
    def note(self) -> str:
        found = [text if side == OURS else f"{side} {text}" for side, text in self.notes.items() if side != JAX]
        if self.marked:
            found.append(f"others {statistics.median(self.others):.0%}")
        return "; ".join(found)

    def as_json(self) -> dict[str, Any]:
        sides = {side: {"median": self.median(side), "rounds": values} for side, values in self.rounds.items()}
        return {
            "case": self.case, "threads": self.threads, "unit": self.unit, "bytes": self.bytes, "sides": sides,
            "ratio": self.ratio(), "best": self.best(), "ratio_best": self.ratio(self.best()),
            "ratio_jax": self.ratio(JAX), "notes": self.notes, "others": self.others, "marked": self.marked,
        }  # fmt: skip


def shown(value: float | None, unit: str) -> str:
    """A figure with its unit: 12.3 µs, 4.56 ms, 1.23 s, 45.6 MB."""
    if value is None:
        return "-"
    if unit == "B":
        return f"{value / 1e6:.1f} MB"
    for factor, name in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{value * factor:.3g} {name}"
    return f"{value:.2f} s"


def ratio_text(ratio: float | None) -> str:
    """Two decimals, three below 0.1, none from 100 on."""
    if ratio is None:
        return "-"
    return f"{ratio:.3f}" if ratio < 0.0995 else f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def speed_text(row: Row) -> str:
    """GB/s of rushlight / torch, for large tensors only: smaller ones live in caches."""
    if "/large/" not in row.case:
        return ""
    speeds = [row.speed(side) for side in (OURS, EAGER)]
    return " / ".join("-" if s is None else f"{s / 1e9:.1f}" for s in speeds) if any(speeds) else ""


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines under each other: first and last column to the left, figures to the right; trailing blanks cut off."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    last = len(widths) - 1

    def padded(text: str, i: int) -> str:
        return text.ljust(widths[i]) if i in (0, last) else text.rjust(widths[i])

    return "\n".join("  ".join(padded(text, i) for i, text in enumerate(line)).rstrip() for line in lines)


def table(rows: Iterable[Row]) -> str:
    """One line a row; the JAX column only where JAX was measured, GB/s (rushlight / torch) only for large tensors."""
    rows = list(rows)
    jax = any(JAX in row.rounds for row in rows)
    head = ["case", "rushlight", "torch", "ratio", "best", "ratio", *(["jax", "ratio"] if jax else []), "GB/s", ""]
    lines = [head]
    for row in rows:
        best = row.best()
        variant = best.removeprefix(EAGER).strip() or ("eager" if EAGER in row.rounds else "-")
        line = [row.case, *(shown(row.median(side), row.unit) for side in (OURS, EAGER)), ratio_text(row.ratio())]
        line += [variant, ratio_text(row.ratio(best))]
        line += [shown(row.median(JAX), row.unit), ratio_text(row.ratio(JAX))] if jax else []
        line += [speed_text(row), row.note]
        lines.append(line)
    return columns(lines)


def write_json(path: Path, about: dict[str, Any], rows: Iterable[Row], **more: Any) -> None:
    """The machine, the options and every row with all its rounds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**about, "rows": [row.as_json() for row in rows], **more}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
