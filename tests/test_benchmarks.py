"""The benchmark suite selects, runs and reports; what it measures is not a matter for tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from benchmarks import must, report  # noqa: E402
from benchmarks.accuracy import table as accuracy_table  # noqa: E402
from benchmarks.cases import ALL, CASES, select  # noqa: E402
from benchmarks.cases.jax_counterparts import CASES as JAX_CASES  # noqa: E402
from benchmarks.report import Row  # noqa: E402
from benchmarks.side import Worker  # noqa: E402


def row(case, ours=None, theirs=None, **more):
    found = Row(case, 2, **more)
    for side, seconds in (("rushlight", ours), ("torch", theirs)):
        if seconds is not None:
            found.add(side, {"seconds": seconds, "others": 0.0})
    return found


def test_cases_have_names_of_their_own():
    assert len(CASES) == len(ALL)
    assert set(JAX_CASES) <= set(CASES)


def test_globs_select():
    names = list(CASES)
    assert select(["train/lenet"], names) == ["train/lenet/sgd", "train/lenet/adam"]
    assert select(["eval/resnet18_1x64"], names) == ["eval/resnet18_1x64"]
    convolutions = select(["ops/conv*/large/fwd"], names)
    assert "ops/conv_3x3/large/fwd" in convolutions and all("/large/fwd" in name for name in convolutions)
    with pytest.raises(ValueError, match="no case matches 'ops/nothing'"):
        select(["train", "ops/nothing"], names)


def test_every_goal_has_cases():
    for goal in must.GOALS:
        for glob in goal.globs:
            assert glob.startswith("process/") or select([glob], list(CASES))


def test_the_table_shows_missing_and_marked_rows():
    missing = row("train/lstm/sgd", theirs=0.02)
    missing.add("rushlight", {"missing": "no LSTM"})
    noisy = row("ops/add/large/fwd", 0.010, 0.020, bytes=200_000_000)
    noisy.others = [0.5, 0.4]
    noisy.add("torch channels_last", {"seconds": 0.005})
    noisy.others = [0.5, 0.4, 0.6]
    lines = report.table([missing, noisy, row("process/import_memory", 3e7, 2e8, unit="B")]).splitlines()
    assert lines[1].split() == ["train/lstm/sgd", "-", "20", "ms", "-", "eager", "-", "missing:", "no", "LSTM"]
    for text in ("0.50", "channels_last", "2.00", "20.0 / 10.0", "others 50%"):
        assert text in lines[2]
    assert "30.0 MB" in lines[3] and "0.15" in lines[3] and "others" not in lines[3]


def test_medians_of_rounds():
    found = row("overhead/add_small", 3.0, 2.0)
    for seconds in (1.0, 1.0):
        found.add("rushlight", {"seconds": seconds})
    assert found.median("rushlight") == 1.0 and found.ratio() == 0.5 and found.ratio("jax") is None


def test_json_holds_every_round(tmp_path):
    missing = row("train/lstm/sgd")
    missing.add("rushlight", {"failed": "ValueError: x"})
    report.write_json(tmp_path / "deep" / "figures.json", {"cores": 2}, [row("overhead/item", 1.0, 4.0), missing])
    found = json.loads((tmp_path / "deep" / "figures.json").read_text())
    assert found["cores"] == 2 and found["rows"][0]["ratio"] == 0.25
    assert found["rows"][0]["sides"]["torch"] == {"median": 4.0, "rounds": [4.0]}
    assert found["rows"][1]["notes"] == {"rushlight": "failed: ValueError: x"}


def test_goals_pass_and_miss():
    slow = row("ops/add/large/fwd+bwd", 0.0104, 0.010, bytes=400_000_000)
    rows = [row("overhead/q_backward", 0.2, 1.0), row("train/lenet/sgd", 0.95, 1.0), slow]
    at_memory_speed = must.table(rows, bandwidth=40e9)
    assert at_memory_speed == must.table(rows[::-1], bandwidth=40e9)
    verdicts = {line.split("  ")[0]: line.split()[-1] for line in at_memory_speed.splitlines()}
    assert verdicts["Q = 3a³ - b² with backward"] == "pass" and verdicts["LeNet training step"] == "MISS"
    assert verdicts["any single operation, medium or large"] == "pass"
    assert verdicts["import time"] == "run"
    rows[0].others = [1.0, 1.0]
    assert "pass, but not on an idle machine" in must.table(rows, bandwidth=40e9)
    assert must.table(rows, bandwidth=400e9).splitlines()[-1].split()[:2] == ["ops/add/large/fwd+bwd", "1.04"]


def test_accuracy_is_counted_in_torchs_errors():
    errors = {"rushlight": {"output": 4e-7, "gradients": 4e-8}, "torch": {"output": 1e-7, "gradients": 1e-12}}
    line = accuracy_table({"ops/exp/medium/fwd+bwd": errors}).splitlines()[1]
    assert "4.00" in line and "1.34" in line and line.endswith("MISS")


def test_a_worker_times_says_what_is_missing_and_survives():
    worker = Worker("rushlight", 1, timeout=60)
    try:
        answer = worker.ask({"case": "overhead/item", "variant": "", "seconds": 0.01})
        assert 0 < answer["best"] <= answer["seconds"] < 0.01 and "rushlight" in worker.ready["ready"]
        assert "KeyError" in worker.ask({"case": "overhead/no_such_case", "variant": "", "seconds": 0.01})["failed"]
        exact = worker.ask({"case": "ops/exp/medium/fwd+bwd", "accuracy": True})
        assert 0 < exact["output"] < 1e-6 and 0 < exact["gradients"] < 1e-6
        worker.process.kill()
        assert "ended" in worker.ask({"case": "overhead/item", "variant": "", "seconds": 0.01})["failed"]
        assert worker.ask({"case": "overhead/add_small", "variant": "", "seconds": 0.01})["seconds"] > 0
    finally:
        worker.close()


def test_a_library_that_cannot_be_imported_has_failed():
    worker = Worker("no_such_library", 1, timeout=60)
    assert worker.ask({"case": "overhead/item", "variant": "", "seconds": 0.01}) == {
        "failed": "import no_such_library failed"
    }
