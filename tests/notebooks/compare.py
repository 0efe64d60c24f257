"""Programs out of notebooks under PyTorch and under rushlight, and where what they print differs.

python tests/notebooks/compare.py [PROGRAM ...]      compare (all programs when none is named) and report

Two outputs are the same when they differ in nothing but addresses, file paths and the noise of float32 arithmetic.
What a program leaves unprinted is compared too: the parameters, buffers and gradients of its ``model``.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cells import Result, read_cells  # noqa: E402  (a sibling, wherever this file is run or imported from)

PROGRAMS = sorted(path for path in (HERE / "programs").iterdir() if path.suffix in (".py", ".ipynb"))

# A float with the blanks before it, so that tokens of one length also mean columns that line up.
_FLOAT = re.compile(r" *(?<![\w.])-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)(?![\w.])")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_PATH = re.compile(r"(?<![\w.:/])~?(?:/[\w.+-]+){2,}|\b[A-Za-z]:\\[^\s'\"]+")

# Sums in another order: what is lost is in proportion to the largest number of the output, not to each of them. Two
# float32 runs of resnet18 on one 64 x 64 image, batch statistics of 4 values included, differ by 2e-5 of it.
_NOISE = 3e-5
_MOST_NOISE = 1e-3

# Norms (relative) and directions (cosines) of parameters and gradients.
_STATE_NOISE = 1e-3


@dataclass
class Run:
    """What each cell of a program showed, and the state in which its ``model`` was left."""

    cells: list[Result]
    state: dict[str, list[float]]


def _environment(torch_home: Path) -> dict[str, str]:
    source = str(HERE.parents[1] / "src")
    search = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH", "")]))
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **threads, "TORCH_HOME": str(torch_home), "PYTHONPATH": search, "PYTHONWARNINGS": ""}


def _call(arguments: list[str], torch_home: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments], env=_environment(torch_home), capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def run(side: str, programs: list[Path], torch_home: Path) -> list[Run]:
    """Run programs, one after the other with seed 0, in one process under ``side``: ``"torch"`` or ``"rushlight"``.

    The torch side comes first: it writes the checkpoint that the programs load from ``torch_home``.
    """
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        _call([str(HERE / f"{side}_runner.py"), folder, *map(str, programs)], torch_home)
        for program in programs:
            written = json.loads(Path(folder, f"{program.stem}.json").read_text(encoding="utf-8"))
            runs.append(Run([Result(**result) for result in written["cells"]], written["state"]))
    return runs


def run_as_command(program: Path, torch_home: Path) -> str:
    """What ``python -m rushlight run PROGRAM`` prints to its standard output."""
    return _call(["-m", "rushlight", "run", str(program)], torch_home).stdout


def _unit(number: str) -> float:
    """The value of one step in the last printed digit."""
    digits, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def difference(expected: str, actual: str) -> str:
    """Where two outputs differ beyond addresses, paths and float32 noise; empty when they do not."""
    expected, actual = (_PATH.sub("<path>", _ADDRESS.sub("0x...", text)) for text in (expected, actual))
    frames = zip_longest(_FLOAT.split(expected), _FLOAT.split(actual))
    for place, (theirs, ours) in enumerate(frames):
        if theirs != ours:
            return f"text part {place}: expected {theirs!r}, got {ours!r}"
    their_numbers, our_numbers = _FLOAT.findall(expected), _FLOAT.findall(actual)
    noise = min(_NOISE * max((abs(float(number)) for number in their_numbers), default=0.0), _MOST_NOISE)
    for place, (theirs, ours) in enumerate(zip(their_numbers, our_numbers, strict=True)):
        close = abs(float(theirs) - float(ours)) <= 1.5 * _unit(theirs.strip()) + noise
        if not close or len(theirs) != len(ours):
            return f"number {place}: expected {theirs!r}, got {ours!r}"
    return ""


def expected_run(program: Path, under_torch: Run) -> Run:
    """What rushlight has to show: what torch shows, or the author's notebook where this torch cannot run a cell.

    A torch for CPUs cannot run what follows ``set_default_device("mps")``; rushlight takes the device for a label and
    goes on. What the model comes to after that has nothing to be compared with.
    """
    if not any(result.error for result in under_torch.cells):
        return under_torch
    cells = [
        Result(cell.number, cell.author_output) if result.error else result
        for cell, result in zip(read_cells(program), under_torch.cells, strict=True)
    ]
    return Run(cells, {})


def differences(expected: Run, actual: Run) -> list[str]:
    """One line for each cell that errs, prints or warns otherwise than expected, and for each tensor that is off."""
    found = []
    for theirs, ours in zip(expected.cells, actual.cells, strict=True):
        if ours.error:
            found.append(f"cell [{ours.number}] fails: {ours.error}")
        if where := difference(theirs.output, ours.output):
            found.append(f"cell [{ours.number}] prints: {where}")
        if theirs.warnings != ours.warnings:
            found.append(f"cell [{ours.number}] warns: expected {theirs.warnings}, got {ours.warnings}")
    if expected.state and expected.state.keys() != actual.state.keys():
        found.append(f"the model's tensors: {sorted(expected.state.keys() ^ actual.state.keys())} on one side only")
    for name in expected.state.keys() & actual.state.keys():
        (norm, direction), (our_norm, our_direction) = expected.state[name], actual.state[name]
        if abs(our_norm - norm) > _STATE_NOISE * norm or abs(our_direction - direction) > _STATE_NOISE:
            found.append(f"{name}: expected {expected.state[name]}, got {actual.state[name]}")
    return found


def main() -> int:
    programs = [Path(name).resolve() for name in sys.argv[1:]] or PROGRAMS
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        runs = zip(programs, *(run(side, programs, Path(folder)) for side in ("torch", "rushlight")), strict=True)
        for program, under_torch, under_rushlight in runs:
            found = differences(expected_run(program, under_torch), under_rushlight)
            print(f"{program.name}: " + ("the same" if not found else "\n  ".join(["differs", *found])))
            failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
