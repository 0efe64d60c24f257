"""What pyproject.toml cannot say: the C++ kernels and the engine, compiled where a compiler is at hand and left out where none is.

RUSHLIGHT_BUILD picks what is compiled: `pure` (nothing), `kernels` (the C++ ones; the default, except for editable
installs, which are pure unless the variable is set) or `full` (the engine too).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import build_engine  # noqa: E402  (tools/ is no package)
import build_kernels  # noqa: E402

CHOICES = ("pure", "kernels", "full")


def wanted(editable: bool) -> str:
    choice = os.environ.get("RUSHLIGHT_BUILD") or ("pure" if editable else "kernels")
    if choice not in CHOICES:
        raise SystemExit(f"RUSHLIGHT_BUILD={choice!r} is not one of {', '.join(CHOICES)}")
    return choice


class Build(build_py):
    """Copies the Python files, then compiles."""

    def run(self) -> None:
        super().run()
        if wanted(self.editable_mode) == "pure":
            return
        target = ROOT / "src" if self.editable_mode else Path(self.build_lib)
        try:
            build_kernels.build(
                list(build_kernels.INSTRUCTION_SETS), ROOT / "build" / "kernels", target / "rushlight" / "backends" / "native"
            )
        except build_kernels.BuildError as error:
            print(f"rushlight: the native kernels were not built, NumPy will compute instead: {error}", file=sys.stderr)
        if wanted(self.editable_mode) == "kernels":
            return
        try:
            build_engine.build(ROOT / "build" / "engine", target)
        except build_engine.BuildError as error:
            print(f"rushlight: the engine was not compiled and runs as Python: {error}", file=sys.stderr)


class CompiledDistribution(Distribution):
    """Its wheel is for one platform, unless nothing is compiled."""

    def has_ext_modules(self) -> bool:
        return wanted(editable=False) != "pure"


setup(cmdclass={"build_py": Build}, distclass=CompiledDistribution)
