"""Compile the kernels and the engine side by side. `python tools/build.py` compiles into src/, `--clean` takes it away again.

Only what changed is compiled again. Either may fail, where there is no compiler say: then NumPy computes, or the engine runs
as Python, and the error says which and why.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import build_engine
import build_kernels

ROOT = Path(__file__).resolve().parent.parent


def build(target: Path, parts: Collection[str] = ("kernels", "engine")) -> bool:
    """Compile into the package folder below `target`; False when something that was asked for could not be."""
    engine = None
    if "engine" in parts and not build_engine.is_fresh(target):
        engine = subprocess.Popen([sys.executable, str(ROOT / "tools" / "build_engine.py"), "--target", str(target)])
    done = True
    if "kernels" in parts:
        try:
            build_kernels.build(
                list(build_kernels.INSTRUCTION_SETS), ROOT / "build" / "kernels", target / "rushlight" / "backends" / "native"
            )
        except build_kernels.BuildError as error:
            print(f"rushlight: the native kernels were not built, NumPy will compute instead: {error}", file=sys.stderr)
            done = False
    return (engine is None or engine.wait() == 0) and done


def clean() -> None:
    """Take everything that was compiled away from src/."""
    for isa in build_kernels.INSTRUCTION_SETS:
        build_kernels.module_path(isa, build_kernels.TARGET).unlink(missing_ok=True)
    build_engine.clean(build_engine.SOURCE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", action="store_true", help="remove what was compiled into src/")
    if parser.parse_args().clean:
        clean()
        return 0
    return 0 if build(build_engine.SOURCE) else 1


if __name__ == "__main__":
    raise SystemExit(main())
