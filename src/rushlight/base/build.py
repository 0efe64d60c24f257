"""Which engine runs: the modules that mypyc compiled, if they are there and were made from the sources beside them, or Python.

`RUSHLIGHT_ENGINE=python` runs the .py files although compiled modules are there: for debuggers, coverage, tracebacks.
"""

from __future__ import annotations

from _imp import source_hash
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import MAGIC_NUMBER, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent
MANIFEST: Final = "_engine.json"


class PythonFinder:
    """Finds the given modules as their .py files, past compiled ones."""

    def __init__(self, modules: frozenset[str]) -> None:
        self.modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.modules:
            return None
        return spec_from_file_location(name, str(_source(_PACKAGE, name)))


def _source(package: Path, module: str) -> Path:
    return package.joinpath(*module.split(".")[1:]).with_suffix(".py")


def stale_module(package: Path, made_from: dict[str, str]) -> str | None:
    """The first compiled module that is missing or was not made from the source beside it; None when all is well."""
    key = int.from_bytes(MAGIC_NUMBER[:2], "little") if False else _KEY
    for module, expected in made_from.items():
        source = _source(package, module)
        compiled = source.with_suffix(EXTENSION_SUFFIXES[0])
        if not compiled.exists() or source_hash(key, source.read_bytes()).hex() != expected:
            return module
    return None
