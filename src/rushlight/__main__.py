"""The command line: `python -m rushlight run`, `python -m rushlight info`."""

from __future__ import annotations

import argparse
import platform
import sys

import ml_dtypes
import numpy as np

import rushlight
from rushlight.backends.registry import kernels_for
from rushlight.base.device import device
from rushlight.compat import install, script

_DESCRIPTION = "Run programs written for PyTorch with rushlight, and show what is installed."

_RUN_HELP = """\
Runs a program that says `import torch` / `import torchvision` unmodified; both mean rushlight while it runs, also in
the processes it starts.

  python -m rushlight run train.py --lr 0.1             a script; what follows its name is the script's own
  python -m rushlight run -m package.train --lr 0.1     a module, as with `python -m`
  python -m rushlight run lesson.ipynb                  a notebook: its code cells from top to bottom
  python -m rushlight run lesson.ipynb --output done.ipynb
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line `arguments` (default: `sys.argv[1:]`) and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    own, theirs = _split(given) if given[:1] == ["run"] else (given, [])
    parser = _parser()
    options = parser.parse_args(own)
    if options.command is None:
        parser.print_help()
        return 0
    if options.command == "info":
        print(describe_installation())
        return 0
    return _run(parser, options, theirs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rushlight", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"rushlight {rushlight.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    run = commands.add_parser(
        "run", help="run a script, module or notebook that imports torch", description=_RUN_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python -m rushlight run [-h] (program.py | notebook.ipynb | -m module) [arguments ...]")
    run.add_argument("target", nargs="?", metavar="program.py | notebook.ipynb", help="the file to run")
    run.add_argument("-m", dest="module", metavar="module", help="run a module or a package's __main__, not a file")
    group = run.add_argument_group("options for notebooks (before or after its name)")
    group.add_argument(
        "-o", "--output", metavar="FILE",
        help="write the executed notebook, outputs included, to FILE; kept up to the failing cell when one fails")
    group.add_argument(
        "--allow-errors", action="store_true", help="go on after a failing cell; the error is kept in the outputs")
    commands.add_parser("info", help="show versions, the kernels in use and the number of threads")
    return parser


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Divide `run ...` into our arguments and the program's own, which follow its name; a notebook has none."""
    position = 1
    while position < len(arguments):
        word = arguments[position]
        if word == "-m":
            return arguments[: position + 2], arguments[position + 2 :]
        if word in ("-o", "--output"):
            position += 1
        elif not word.startswith("-"):
            is_notebook = word.lower().endswith(".ipynb")
            return (arguments, []) if is_notebook else (arguments[: position + 1], arguments[position + 1 :])
        position += 1
    return arguments, []


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace, theirs: list[str]) -> int:
    is_notebook = options.module is None and (options.target or "").lower().endswith(".ipynb")
    if options.target is None and options.module is None:
        parser.error("run: name a script, a notebook, or a module with -m (see `python -m rushlight run --help`)")
    if not is_notebook and (options.output or options.allow_errors):
        parser.error("run: --output and --allow-errors are for notebooks (.ipynb)")
    install()
    try:
        if is_notebook:
            return _run_notebook(options)
        if options.module is not None:
            return script.run_module(options.module, theirs)
        return script.run_script(options.target, theirs)
    except (OSError, ModuleNotFoundError) as error:
        # Nothing of the user's has run when these arrive here: a program's own errors end inside the calls above.
        print(f"rushlight: {error}", file=sys.stderr)
        return 2


def _run_notebook(options: argparse.Namespace) -> int:
    # Imported here: a script should not wait for what only notebooks need.
    from rushlight.compat.notebook import NotebookError, run_notebook

    try:
        return run_notebook(options.target, output=options.output, allow_errors=options.allow_errors)
    except NotebookError as error:
        print(f"rushlight: {error}", file=sys.stderr)
        return 2


def describe_installation() -> str:
    """One line each: version, Python, NumPy, kernels, threads, and what `import torch` would report."""
    lines = {
        "rushlight": rushlight.__version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "numpy": np.__version__,
        "ml_dtypes": ml_dtypes.__version__,
        "kernels": _kernels(),
        "threads": str(rushlight.get_num_threads()),
        "folder": str(rushlight.__path__[0]),
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def _kernels() -> str:
    kernels_for(device("cpu"))  # loads the ones in use
    return "native" if "rushlight.backends.native" in sys.modules else "reference"


if __name__ == "__main__":
    sys.exit(main())
