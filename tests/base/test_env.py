"""Environment variables: defaults, legal values, and the page that lists every one that is read."""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from rushlight.base.env import VARIABLES, setting

ROOT = Path(__file__).resolve().parents[2]
NAMES = {variable.name for variable in VARIABLES}
# Written for child processes and put back, or only reported; never a setting.
NOT_SETTINGS = {"PYTHONPATH", "MPLBACKEND", "OPENBLAS_NUM_THREADS"}


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_default_and_legal_values(monkeypatch, variable):
    monkeypatch.delenv(variable.name, raising=False)
    assert setting(variable.name) == variable.default
    assert not variable.choices or variable.default in variable.choices
    for value in variable.choices or ("anything",):
        monkeypatch.setenv(variable.name, value)
        assert setting(variable.name) == value
    if variable.choices:
        monkeypatch.setenv(variable.name, "nonsense")
        with pytest.raises(ValueError, match=f"{variable.name}='nonsense' is not one of {', '.join(variable.choices)}"):
            setting(variable.name)


def test_the_page_is_current():
    command = [sys.executable, str(ROOT / "tools" / "make_env_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def names_read(source: str) -> set[str]:
    """The names that `environ[...]`, `environ.get(...)`, `getenv(...)` and `setting(...)` are asked for in a source."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            key = node.slice
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called.endswith(("environ.get", "environ.pop", "environ.setdefault", "getenv")) or called == "setting":
                key = node.args[0]
        if isinstance(key, ast.Constant):
            found.add(key.value)
    return found


def test_every_variable_that_is_read_is_in_the_table():
    read: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        read |= names_read(path.read_text(encoding="utf-8"))
    assert read - NOT_SETTINGS == NAMES


def test_reads_are_found():
    source = 'os.environ["A"]; os.environ.get("B", ""); getenv("C"); os.getenv("D"); setting("E"); f("F"); os.environ[x]'
    assert names_read(source) == set("ABCDE")


MISSING_ISA = "baseline" if platform.machine() in ("aarch64", "arm64") else "neon"


@pytest.mark.parametrize("wanted", ["auto", "native"])
def test_an_instruction_set_that_is_not_there_is_an_error(wanted):
    """Never another one, nor NumPy, in silence; but who wants NumPy gets it."""
    environment = {**os.environ, "RUSHLIGHT_KERNELS": wanted, "RUSHLIGHT_ISA": MISSING_ISA}
    code = "import rushlight; rushlight.ones(2) + 1"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"RUSHLIGHT_ISA={MISSING_ISA} asks for native kernels that do not run on this processor; there are" in done.stderr
    environment["RUSHLIGHT_KERNELS"] = "reference"
    code = "import rushlight; print(rushlight.__config__.show(), rushlight.cpu.memory_stats())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "CPU kernels: NumPy (RUSHLIGHT_KERNELS=reference)" in done.stdout and "{}" in done.stdout


@pytest.mark.parametrize(("value", "expected"), [("native", "UnsupportedOperationError"), ("fast", "ValueError")])
def test_kernels_that_are_not_there_are_an_error(value, expected):
    environment = {**os.environ, "RUSHLIGHT_KERNELS": value, "RUSHLIGHT_ISA": MISSING_ISA}
    code = "import rushlight; rushlight.ones(2) + 1"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and expected in done.stderr and "RUSHLIGHT_KERNELS" in done.stderr
