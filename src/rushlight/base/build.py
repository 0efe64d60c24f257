"""Which engine runs: the modules that mypyc compiled, if they are there and were made from the sources beside them, or Python.

`RUSHLIGHT_ENGINE=python` runs the .py files although compiled modules are there: for debuggers, coverage, tracebacks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import source_hash, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from rushlight.base.env import setting

PACKAGE: Final = Path(__file__).parent.parent
# What tools/build_engine.py leaves beside the compiled modules: a line for each, its name and the hash of its source.
MANIFEST: Final = "_engine.txt"


class PythonFinder:
    """Finds the given modules as their .py files, past compiled ones."""

    def __init__(self, package: Path, modules: frozenset[str]) -> None:
        self.package = package
        self.modules = modules

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_file_location(name, str(source_of(self.package, name))) if name in self.modules else None


def source_of(package: Path, module: str) -> Path:
    """The .py file of a module of the package that lies in the folder `package`."""
    return package.joinpath(*module.split(".")[1:]).with_suffix(".py")


def compiled_modules(package: Path) -> dict[str, str]:
    """The engine's compiled modules with the hashes of the sources they were made from; empty where none were made."""
    try:
        text = (package / MANIFEST).read_text(encoding="utf-8")
    except OSError:
        return {}
    found = dict(line.split() for line in text.splitlines())
    # Compiled for another version of Python only: nothing that this one would load.
    suffix = EXTENSION_SUFFIXES[0]
    return found if any(source_of(package, module).with_suffix(suffix).exists() for module in found) else {}


def check_sources(package: Path, modules: dict[str, str]) -> None:
    """Raise ImportError when a compiled module is missing or its source has changed since."""
    for module, made_from in modules.items():
        source = source_of(package, module)
        missing = not source.with_suffix(EXTENSION_SUFFIXES[0]).exists()
        if missing or source_hash(source.read_bytes()).hex() != made_from:
            raise ImportError(
                f"the compiled engine is {'not complete' if missing else 'older than its source'}: {source}. Compile it again "
                "(python tools/build_engine.py --inplace, or install rushlight anew), remove it (python tools/build_engine.py "
                "--clean), or set RUSHLIGHT_ENGINE=python to run the .py files"
            )


def choose_engine() -> None:
    """Called once, before any engine module is imported."""
    modules = compiled_modules(PACKAGE)
    if not modules:
        return
    if setting("RUSHLIGHT_ENGINE") == "python":
        sys.meta_path.insert(0, PythonFinder(PACKAGE, frozenset(modules)))
    else:
        check_sources(PACKAGE, modules)


choose_engine()
