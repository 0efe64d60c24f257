"""Compile the engine with mypyc. `python tools/build_engine.py --inplace`, or `--clean` to take the compiled modules away.

Called by setup.py when the package is built, and by hand while the engine is worked on. The modules of `MODULES` become one
group, so that calls between them are direct: one shared library, `rushlight/_engine__mypyc`, and a small loader beside each
.py file. With them goes `rushlight/_engine.txt`, which says from which sources they were made; rushlight refuses to load
compiled modules whose source has changed since (src/rushlight/base/build.py).

All or nothing: when anything fails, no compiled engine module is left, and the engine runs as Python.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
GROUP = "rushlight._engine"
MANIFEST = "rushlight/_engine.txt"

# What runs for every operation. Public functions stay in files that are not compiled: mypyc drops their docstrings.
MODULES = (
    "rushlight.backends.hidden",
    "rushlight.base.kinds",
    "rushlight.base.shape",
    "rushlight.core.binding",
    "rushlight.core.hooks",
    "rushlight.core.inplace",
    "rushlight.core.kind",
    "rushlight.core.modes",
    "rushlight.core.node",
    "rushlight.core.primitive",
    "rushlight.core.storage",
    "rushlight.core.strides",
    "rushlight.core.table",
    "rushlight.core.tensor",
    "rushlight.autograd.engine",
    "rushlight.autograd.roots",
    "rushlight.ops.activation",
    "rushlight.ops.affine",
    "rushlight.ops.arithmetic_rules",
    "rushlight.ops.common",
    "rushlight.ops.conv_rules",
    "rushlight.ops.cross_entropy",
    "rushlight.ops.factory",
    "rushlight.ops.foreach",
    "rushlight.ops.index_rules",
    "rushlight.ops.matmul_rules",
    "rushlight.ops.nll_loss",
    "rushlight.ops.norm_rules",
    "rushlight.ops.power_rules",
    "rushlight.ops.reduce_rules",
    "rushlight.ops.softmax_rules",
    "rushlight.ops.view_rules",
)


class BuildError(Exception):
    """The engine cannot be compiled here; the text says why."""


def path_of(module: str) -> str:
    """The source file of a module, relative to the folder that holds the package."""
    return module.replace(".", "/") + ".py"


def build(scratch: Path, target: Path, opt_level: str = "2") -> None:
    """Compile the engine into the package folder below `target`.

    scratch: folder for intermediate files. Raises BuildError, and leaves no compiled module, when anything fails.
    """
    clean(target)
    try:
        _compile(scratch, target, opt_level)
    except BuildError:
        clean(target)
        raise
    except (Exception, SystemExit) as error:  # mypyc reports errors in the source as SystemExit
        clean(target)
        raise BuildError(str(error) or type(error).__name__) from error
    lines = [f"{module} {source_hash(SOURCE / path_of(module))}\n" for module in MODULES]
    (target / MANIFEST).write_text("".join(lines), encoding="utf-8")


def source_hash(path: Path) -> str:
    """The hash by which base/build.py knows a source again."""
    return importlib.util.source_hash(path.read_bytes()).hex()


def _compile(scratch: Path, target: Path, opt_level: str) -> None:
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise BuildError("mypyc is not installed (pip install mypy)") from error
    from setuptools import Distribution

    scratch.mkdir(parents=True, exist_ok=True)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(scratch / "mypy")]
    with _inside(ROOT), _quiet():
        extensions: list[Any] = mypycify(
            [*options, *[str(Path("src") / path_of(module)) for module in MODULES]],
            opt_level=opt_level,
            debug_level="0",
            group_name=GROUP,
            target_dir=str(scratch / "c"),
            multi_file=True,
        )
        for extension in extensions:  # where a dotted group name puts its headers
            extension.include_dirs.append(str(scratch / "c" / "rushlight"))
            if sys.platform.startswith("linux"):
                extension.extra_link_args.append("-Wl,-s")  # names that nobody reads
        distribution = Distribution({"name": "rushlight-engine", "ext_modules": extensions})
        command: Any = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp = str(target), str(scratch / "o")
        command.parallel = os.cpu_count()
        command.ensure_finalized()
        command.run()


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in `folder`: mypy names modules by their paths from there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Swallow what mypyc and setuptools print, unless something fails: then it is part of the error."""
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            yield
    except SystemExit as error:
        raise BuildError(said.getvalue().strip() or str(error)) from error


def is_fresh(target: Path) -> bool:
    """Whether the package below `target` has an engine compiled from the sources as they are, for this Python."""
    try:
        lines = (target / MANIFEST).read_text(encoding="utf-8").split("\n")
    except OSError:
        return False
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    there = all((target / path_of(module)).with_suffix(suffix).exists() for module in MODULES)
    return there and lines[:-1] == [f"{module} {source_hash(SOURCE / path_of(module))}" for module in MODULES]


def clean(target: Path) -> None:
    """Take the compiled engine away from the package folder below `target`."""
    for name in (*(module.replace(".", "/") for module in MODULES), GROUP.replace(".", "/") + "__mypyc"):
        path = target / name
        for pattern in (f"{path.name}.*.so", f"{path.name}.so", f"{path.name}.*.pyd", f"{path.name}.pyd"):
            for found in path.parent.glob(pattern):
                found.unlink()
    (target / MANIFEST).unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--inplace", action="store_true", help="compile into src/")
    what.add_argument("--target", type=Path, help="compile into the copy of the package below this folder")
    what.add_argument("--clean", action="store_true", help="remove the compiled modules from src/")
    parser.add_argument("--opt", default="2", choices=tuple("0123"), help="the C compiler's optimisation level (default 2)")
    given = parser.parse_args()
    if given.clean:
        clean(SOURCE)
        return 0
    try:
        build(ROOT / "build" / "engine", given.target or SOURCE, given.opt)
    except BuildError as error:
        print(f"rushlight: the engine was not compiled and runs as Python: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
