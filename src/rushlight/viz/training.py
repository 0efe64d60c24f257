"""Pictures of a training run: loss and accuracy over the epochs, as PNG or SVG."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COUNTERS = ("epoch", "step", "iteration")
"""Keys that give the horizontal axis instead of a curve; the first that is present wins."""

SPLITS = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test",
}  # fmt: skip
COLOURS = {"train": "#0b63a5", "valid": "#d1580f", "test": "#1a7f5a"}  # tell apart with any colour vision
STYLES = {"train": "-", "valid": "-", "test": "--"}
INK, QUIET, GRID = "#22272e", "#66707c", "#e4e8ec"
SUFFIXES = (".png", ".svg", ".pdf")
PANEL_WIDTH, HEIGHT, DPI = 4.5, 4.0, 100  # two panels are 900 x 400 pixels

Curve = tuple[list[float], list[float]]


def plot_history(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], title: str = "") -> Path:
    """Draw the curves of a training run and write them to `path` (`.png`, `.svg` or `.pdf`).

    Args:
        history: one mapping per epoch. A key is a split and a metric, joined by `_` or `/`: `train_loss`,
            `valid_accuracy`, `val/loss`; a key without a split (`loss`) is drawn as `train`. The numbers may be Python
            numbers or tensors of one element. `epoch`, `step` or `iteration` gives the horizontal axis, otherwise
            the rows are counted from 1. A row may lack a key; what is not a number (a note, say) is left out.
        path: the file to write. Missing folders are made; an existing file is replaced.
        title: a heading over the whole picture.

    Each metric has a panel of its own, two side by side make 900 x 400 pixels. Accuracies between 0 and 1 are shown
    in percent. Infinite and NaN values cannot be drawn; the panel says how many were left out.

    Returns the path written. Raises ValueError for a history without a number in it or an unknown kind of file, and
    ModuleNotFoundError where matplotlib (the extra `viz`) is not installed.

    >>> history = [{"train_loss": 2.1, "valid_loss": 2.0}, {"train_loss": 1.2, "valid_loss": 1.3}]
    >>> plot_history(history, "curves.png").name
    'curves.png'
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"plot_history(): argument 'path' must end in {', '.join(SUFFIXES)}, got {str(path)!r}")
    horizontal, panels = curves_by_metric(history)
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plot_history() draws with matplotlib, which is not installed. "
            'Install the extra that brings it: pip install "rushlight[viz]"',
            name=error.name,
        ) from error
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.03)
    figure = Figure(figsize=(PANEL_WIDTH * max(len(panels), 2), HEIGHT), dpi=DPI, facecolor="white", layout=layout)
    for axes, (metric, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        draw_panel(axes, horizontal, metric, curves)
    if title:
        figure.suptitle(title, fontsize=13, color=INK, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    return path


def curves_by_metric(history: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, dict[str, Curve]]]:
    """Sort a history into {metric: {split: (x, y)}}, in order of first appearance, and name the x axis."""
    rows = list(history)
    if not rows:
        raise ValueError("plot_history(): argument 'history' must hold at least one epoch, got an empty sequence")
    horizontal = next((key for key in COUNTERS if all(key in row for row in rows)), "")
    panels: dict[str, dict[str, Curve]] = {}
    for index, row in enumerate(rows, start=1):
        x = float(row[horizontal]) if horizontal else float(index)
        for key, value in row.items():
            y = number_in(value)
            if key in COUNTERS or y is None:
                continue
            split, metric = split_and_metric(key)
            xs, ys = panels.setdefault(metric, {}).setdefault(split, ([], []))
            xs.append(x)
            ys.append(y)
    if not panels:
        keys = ", ".join(sorted({str(key) for row in rows for key in row})) or "none"
        raise ValueError(
            "plot_history(): argument 'history' must hold numbers such as 'train_loss' or 'valid_accuracy', "
            f"got keys: {keys}"
        )
    return horizontal or "epoch", panels


def number_in(value: object) -> float | None:
    """The number that a float, an integer, a NumPy scalar or a one-element tensor holds; None for anything else."""
    if isinstance(value, (str, bytes)) or not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):  # several elements
        return None


def split_and_metric(key: str) -> tuple[str, str]:
    """'val/top1_accuracy' is ('valid', 'top1 accuracy'); 'loss' is ('train', 'loss')."""
    words = key.replace("/", "_").split("_")
    if len(words) > 1 and words[0].lower() in SPLITS:
        return SPLITS[words[0].lower()], " ".join(words[1:])
    if len(words) > 1 and words[-1].lower() in SPLITS:
        return SPLITS[words[-1].lower()], " ".join(words[:-1])
    return "train", " ".join(words)


def is_accuracy(metric: str) -> bool:
    return any(word in ("acc", "accuracy") for word in metric.lower().split())


def draw_panel(axes: Axes, horizontal: str, metric: str, curves: dict[str, Curve]) -> None:
    """One metric: a curve per split, its last value written at its end."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    finite = [y for _, ys in curves.values() for y in ys if math.isfinite(y)]
    percent = is_accuracy(metric) and bool(finite) and 0 <= min(finite) and max(finite) <= 1
    ends: list[tuple[float, float, str]] = []
    lost = 0
    for split, (xs, ys) in curves.items():
        drawn = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        lost += len(ys) - len(drawn)
        if not drawn:
            continue
        gapped = [y if math.isfinite(y) else math.nan for y in ys]
        (line,) = axes.plot(xs, gapped, STYLES[split], color=COLOURS[split], linewidth=2, label=split)
        if len(ys) <= 25:
            line.set(marker="o", markersize=4.5)
        ends.append((*drawn[-1], split))

    axes.set_title(metric[:1].upper() + metric[1:], loc="left", fontsize=13, color=INK, fontweight="bold", pad=10)
    axes.set_xlabel(horizontal, fontsize=11, color=QUIET)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.grid(axis="y", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=10, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#b9c0c8")
    axes.margins(x=0.03, y=0.1)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if ends:
        axes.legend(
            loc="lower right" if is_accuracy(metric) else "upper right", frameon=False, fontsize=11, labelcolor=INK
        )
        label_ends(axes, ends, percent)
    if lost:
        note = f"{lost} value{'s' if lost > 1 else ''} infinite or NaN, not drawn"
        axes.text(0.02, 0.03, note, transform=axes.transAxes, fontsize=10, color="#b3261e")


def label_ends(axes: Axes, ends: list[tuple[float, float, str]], percent: bool) -> None:
    """Write each curve's last value to the right of it, far enough apart to be read."""
    low, high = axes.get_ylim()
    apart = 0.06 * (high - low)
    previous = -math.inf
    for x, y, split in sorted(ends, key=lambda end: end[1]):
        height = max(y, previous + apart)
        previous = height
        text = f"{100 * y:.1f}%" if percent else f"{y:.3g}"
        axes.annotate(
            text, (x, height), xytext=(8, 0), textcoords="offset points", va="center", fontsize=11,
            color=COLOURS[split], annotation_clip=False,
        )  # fmt: skip
