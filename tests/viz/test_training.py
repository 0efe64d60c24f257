"""plot_history: what it draws, what it refuses, and that it leaves matplotlib's global state alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rushlight.viz.training import curves_by_metric, plot_history

HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "valid_loss": 1.8, "train_accuracy": 0.4, "valid_accuracy": 0.5},
    {"epoch": 2, "train_loss": 1.0, "valid_loss": 1.1, "train_accuracy": 0.7, "valid_accuracy": 0.65},
]


def test_curves_are_sorted_by_metric_and_split():
    horizontal, panels = curves_by_metric(HISTORY)
    assert horizontal == "epoch"
    assert list(panels) == ["loss", "accuracy"]
    assert panels["loss"] == {"train": ([1.0, 2.0], [2.0, 1.0]), "valid": ([1.0, 2.0], [1.8, 1.1])}


def test_other_spellings_missing_keys_and_values_that_are_no_numbers():
    rows = [{"loss": np.float32(2), "val/top1_acc": 0.5, "note": "warm-up"}, {"loss": 1, "weights": np.ones(3)}]
    horizontal, panels = curves_by_metric(rows)
    assert horizontal == "epoch"
    assert panels == {"loss": {"train": ([1.0, 2.0], [2.0, 1.0])}, "top1 acc": {"valid": ([1.0], [0.5])}}


def test_png_has_the_promised_size(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="reads the PNG back")
    path = plot_history(HISTORY, tmp_path / "new" / "curves.png", title="Digits")
    with image.open(path) as picture:
        assert picture.size == (900, 400)
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20)) > 20


def test_svg_is_svg_and_one_epoch_is_enough(tmp_path):
    text = plot_history(HISTORY[:1], str(tmp_path / "curves.svg")).read_text(encoding="utf-8")
    assert "<svg" in text and text.rstrip().endswith("</svg>")


def test_values_that_cannot_be_drawn_are_counted(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    kept = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *args, **kwargs: kept.append(figure))
    plot_history([{"loss": 1.0}, {"loss": float("nan")}, {"loss": float("inf")}], tmp_path / "curves.png")
    texts = [text.get_text() for text in kept[0].axes[0].texts]
    assert "2 values infinite or NaN, not drawn" in texts
    assert "1" in texts  # the last value that could be drawn


@pytest.mark.parametrize(
    ("history", "name", "message"),
    [
        ([], "a.png", "at least one epoch"),
        ([{"epoch": 1, "note": "x"}], "a.png", "got keys: epoch, note"),
        (HISTORY, "a.bmp", r"must end in \.png"),
    ],
)
def test_bad_input_is_refused(tmp_path, history, name, message):
    with pytest.raises(ValueError, match=message):
        plot_history(history, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_without_matplotlib_the_error_names_the_extra(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"rushlight\[viz\]"):
        plot_history(HISTORY, tmp_path / "curves.png")


def test_pyplot_is_not_imported(tmp_path):
    code = (
        "import sys; from rushlight.viz.training import plot_history; assert 'matplotlib' not in sys.modules\n"
        f"plot_history([{{'loss': 1.0}}], {str(tmp_path / 'curves.png')!r})\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
