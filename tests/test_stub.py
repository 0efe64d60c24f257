"""The stub of the attached Tensor methods is complete, up to date and valid."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import rushlight as rl

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "make_tensor_stub.py"
STUB = ROOT / "src" / "rushlight" / "core" / "public.pyi"


def load_tool():
    spec = importlib.util.spec_from_file_location("make_tensor_stub", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def methods_in(text: str) -> dict[str, ast.FunctionDef]:
    (cls,) = (node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    return {node.name: node for node in cls.body if isinstance(node, ast.FunctionDef)}


def test_the_stub_is_up_to_date():
    # A fresh process: what other tests attach or import does not count.
    done = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_attached_method_is_there():
    found = methods_in(STUB.read_text(encoding="utf-8"))
    inherited = vars(rl.Tensor.__base__)  # a test may have put one of those on the subclass for a while
    wanted = {name for name, value in vars(rl.Tensor).items() if callable(value) and not name.startswith("__")} - inherited.keys()
    assert wanted <= found.keys()
    assert [a.arg for a in found["norm"].args.args] == ["self", "p", "dim", "keepdim", "out", "dtype"]


def test_methods_stand_under_their_files():
    section, places = "", {}
    for line in STUB.read_text(encoding="utf-8").splitlines():
        if line.startswith("    # "):
            section = line[6:]
        elif line.startswith("    def "):
            places[line[8:].partition("(")[0]] = section
    assert places["mul"] == places["mul_"] == "ops/arithmetic.py" and places["norm"] == "ops/vector_norm.py"
    assert all((ROOT / "src" / "rushlight" / file).exists() for file in places.values())
    assert not {"ops/common.py", "ops/checks.py"} & set(places.values())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(input, dim: int | None = None, *, out=None): ...", "def f(self, dim: _int | None = None, *, out: Any = None) -> Any: ..."),
        ("def f(self, *size, x: float = float('inf')): ...", "def f(self, *size: Any, x: _float = ...) -> Any: ..."),
        ("def f(*args, **kwargs) -> bool: ...", "def f(self, *args: Any, **kwargs: Any) -> _bool: ..."),
    ],
)
def test_signatures(source, expected):
    scope: dict = {"__name__": "somewhere"}
    exec(compile("from __future__ import annotations\n" + source, "<source>", "exec"), scope)
    assert load_tool().method("f", scope["f"], set()).strip() == expected
