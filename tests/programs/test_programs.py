"""Programs such as courses and tutorials have print under rushlight what they print under PyTorch, from the same seed.

python tests/programs/test_programs.py [NAME ...]      compare (all programs when none is named) and report

Each side runs all programs in one process (runner.py). What is compared is each ``print``, by the rules of
tests/notebooks/compare.py.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path for path in HERE.glob("*.py") if path.name not in ("runner.py", Path(__file__).name))

# A float that `item()` or `tolist()` gave: its digits beyond float32's are noise, and so is their number.
_ALL_DIGITS = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?(?![\w.])")


def _load_compare():
    """tests/notebooks/compare.py, which pytest's importlib mode does not put on the path."""
    spec = importlib.util.spec_from_file_location("programs_compare", HERE.parent / "notebooks" / "compare.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


compare = _load_compare()


def run(side, programs, folder):
    """What each program printed, and how it failed, under ``side`` ("torch" or "rushlight"), by its name."""
    written = folder / side
    written.mkdir()
    compare._call([str(HERE / "runner.py"), side, str(written), *map(str, programs)], folder)
    return {path.stem: json.loads((written / f"{path.stem}.json").read_text(encoding="utf-8")) for path in programs}


def _rounded(text):
    """`text` with floats of more than 8 significant digits written with 6."""

    def shorten(match):
        digits = re.sub(r"\D", "", match[0].partition("e")[0]).lstrip("0")
        return f"{float(match[0]):.5e}" if len(digits) > 8 else match[0]

    return _ALL_DIGITS.sub(shorten, text)


def differences(expected, actual):
    """One line for each print that differs; a program that failed is a difference, too."""
    found = [f"fails:\n{actual['failure']}"] if actual["failure"] else []
    theirs, ours = expected["prints"], actual["prints"]
    for number, (a, b) in enumerate(zip(theirs, ours, strict=False)):
        if where := compare.difference(_rounded(a), _rounded(b)):
            found.append(f"print {number}: {where}\n  torch:     {a!r}\n  rushlight: {b!r}")
    if len(theirs) != len(ours):
        found.append(f"{len(ours)} prints, torch {len(theirs)}")
    return found


needs_torch = pytest.mark.skipif(
    not (importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision")),
    reason="parity tests need torch and torchvision",
)
each_program = pytest.mark.parametrize("name", [path.stem for path in PROGRAMS])


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    return [run(side, PROGRAMS, folder) for side in ("torch", "rushlight")]


@needs_torch
@each_program
def test_prints_what_torch_prints(name, sides):
    under_torch, under_rushlight = sides
    assert not under_torch[name]["failure"]
    found = differences(under_torch[name], under_rushlight[name])
    assert not found, "\n".join(found)


def test_all_digits_of_a_float_are_rounded():
    assert _rounded("3 61.4567756652832") == _rounded("3 61.45677185058594") == "3 6.14568e+01"
    assert _rounded("0.00001234567891") == "1.23457e-05"
    assert _rounded("[0.25, 1.1754943508222875e-38] v1.22.333333333") == "[0.25, 1.17549e-38] v1.22.333333333"


@pytest.mark.parametrize(
    ("actual", "found"),
    [
        ({"prints": ["a 1.0\n", "b 2.5\n", ""], "failure": ""}, []),
        ({"prints": ["a 1.0\n", "b 2.9\n", ""], "failure": ""}, ["print 1"]),
        ({"prints": ["a 1.0\n", ""], "failure": "Error"}, ["fails", "print 1", "2 prints, torch 3"]),
    ],
)
def test_differences_name_the_print(actual, found):
    lines = differences({"prints": ["a 1.0\n", "b 2.5\n", ""], "failure": ""}, actual)
    assert [line.partition(":")[0] for line in lines] == found


def main():
    import tempfile

    chosen = [path for path in PROGRAMS if path.stem in sys.argv[1:]] or PROGRAMS
    with tempfile.TemporaryDirectory() as folder:
        under_torch, under_rushlight = (run(side, chosen, Path(folder)) for side in ("torch", "rushlight"))
    failed = 0
    for path in chosen:
        found = differences(under_torch[path.stem], under_rushlight[path.stem])
        print(f"{path.stem}: " + ("the same" if not found else "\n  ".join(["differs", *found])))
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
