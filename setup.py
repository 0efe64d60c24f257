"""What pyproject.toml cannot say: the C++ kernels and the engine, compiled where a compiler is at hand and left out where none is.

RUSHLIGHT_BUILD picks what is compiled: `pure` (nothing; the default of editable installs, for which there is `make build`),
`kernels` (the C++ ones only) or `full` (the engine too: the default of all others).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import build  # noqa: E402  (tools/ is no package)

CHOICES = ("pure", "kernels", "full")


def wanted(editable: bool) -> str:
    choice = os.environ.get("RUSHLIGHT_BUILD") or ("pure" if editable else "full")
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
        build.build(target, ("kernels", "engine") if wanted(self.editable_mode) == "full" else ("kernels",))


class CompiledDistribution(Distribution):
    """Its wheel is for one platform, unless nothing is compiled."""

    def has_ext_modules(self) -> bool:
        return wanted(editable=False) != "pure"


setup(cmdclass={"build_py": Build}, distclass=CompiledDistribution)
