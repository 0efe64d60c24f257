"""Programs out of notebooks: reading their cells, and running them one cell at a time.

A program is a notebook (``.ipynb``) or a Python file in which comments mark what the notebook held: ``# In [3]:``
before the code of a cell, ``# Out [3]:`` before what its author saw under it, ``# Markdown:`` before text.
"""

import ast
import contextlib
import io
import json
import math
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_MARKER = re.compile(r"# (?:(?P<kind>In|Out) \[(?P<number>\d+)\]|Markdown):")
_PROBE = np.cos(np.arange(65521.0) ** 2)  # of prime length: repeated, it lines up with no dimension of a tensor


@dataclass
class Cell:
    """A code cell: its number, its code, and the output that stood under it in its author's notebook."""

    number: int
    source: str
    author_output: str = ""
    line: int = 0  # lines of the file above the code


@dataclass
class Result:
    """What running a cell showed."""

    number: int
    output: str = ""
    warnings: list[str] = field(default_factory=list)
    error: str = ""


def read_cells(path: Path) -> list[Cell]:
    """The code cells of a program, in the order they stand in."""
    text = path.read_text(encoding="utf-8")
    return _notebook_cells(json.loads(text)) if path.suffix == ".ipynb" else _program_cells(text.splitlines())


def _program_cells(lines: list[str]) -> list[Cell]:
    cells: list[Cell] = []
    marks = [(index, mark) for index, line in enumerate(lines) if (mark := _MARKER.fullmatch(line))]
    ends = [index for index, _ in marks[1:]] + [len(lines)]
    for (index, mark), end in zip(marks, ends, strict=True):
        body = lines[index + 1 : end]
        if mark["kind"] == "In":
            cells.append(Cell(int(mark["number"]), "\n".join(body), line=index + 1))
        elif mark["kind"] == "Out":
            shown = [line.removeprefix("#").removeprefix(" ") for line in body if line.startswith("#")]
            cells[-1].author_output = "\n".join(shown) + "\n"
    return cells


def _notebook_cells(notebook: dict[str, Any]) -> list[Cell]:
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        shown = ["".join(out.get("text") or [*out["data"]["text/plain"], "\n"]) for out in cell["outputs"]]
        cells.append(Cell(cell["execution_count"], "".join(cell["source"]), "".join(shown)))
    return cells


def _as_jupyter_shows_it() -> Callable[[object], str]:
    """Jupyter's own text of the value of a cell's last expression where it is installed, else ``repr``."""
    try:
        from IPython.lib.pretty import pretty
    except ImportError:
        return repr
    return pretty


def _run_cell(cell: Cell, filename: str, namespace: dict[str, Any], pretty: Callable[[object], str]) -> None:
    tree = ast.parse("\n" * cell.line + cell.source, filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, filename, "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), filename, "eval"), namespace)
        if value is not None:
            print(pretty(value))


def _state(model: Any) -> dict[str, list[float]]:
    """Norm and direction (about its cosine with a fixed vector) of each of a module's tensors and gradients."""
    tensors = dict(model.state_dict())
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[f"{name}.grad"] = parameter.grad
    state = {}
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().numpy().astype(np.float64).ravel()
        norm = float(np.linalg.norm(values))
        probe = np.resize(_PROBE, values.size)
        state[name] = [norm, float(values @ probe) / (norm * math.sqrt(values.size) or 1.0)]
    return state


def run_program(path: Path, folder: Path) -> None:
    """Run a program and write, as ``NAME.json`` in ``folder``, what each cell showed and the state of its ``model``."""
    cells, namespace = run_cells(path)
    state = _state(namespace["model"]) if "model" in namespace else {}
    written = json.dumps({"cells": [asdict(cell) for cell in cells], "state": state})
    (folder / f"{path.stem}.json").write_text(written, encoding="utf-8")


def run_cells(path: Path) -> tuple[list[Result], dict[str, Any]]:
    """Run a program as a notebook is run (an error ends its cell, not the program); also returns its variables."""
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    pretty = _as_jupyter_shows_it()
    results = []
    for cell in read_cells(path):
        result = Result(cell.number)
        printed = io.StringIO()
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            for category in (UserWarning, FutureWarning):
                warnings.simplefilter("default", category)
            try:
                _run_cell(cell, str(path), namespace, pretty)
            except Exception as error:
                result.error = "".join(traceback.format_exception_only(error)).strip()
                traceback.print_exc(file=sys.stderr)
        result.output = printed.getvalue()
        result.warnings = [f"{warning.category.__name__}: {warning.message}" for warning in caught]
        results.append(result)
    return results, namespace
