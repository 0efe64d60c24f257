"""Reading and writing `.ipynb` files: nbformat 4, which is JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rushlight.compat.display import overwrite_lines
from rushlight.serialization.atomic import atomic_write

_CELL_TYPES = ("code", "markdown", "raw")


class NotebookError(ValueError):
    """The file is not a notebook that can be run; the text says what is wrong and where."""


def read_notebook(path: Path) -> dict[str, Any]:
    """The notebook at `path`, checked as far as running it needs; every cell's `source` is one string.

    Raises `FileNotFoundError`, or `NotebookError` for text that is no nbformat 4 notebook in Python.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        what = f"is not JSON: {place}: {error.msg}" if path.stat().st_size else "is empty"
        raise NotebookError(f"{path}: not a notebook, the file {what}.") from error
    except UnicodeDecodeError as error:
        raise NotebookError(f"{path}: not a notebook, the file is not UTF-8 text (byte {error.start}).") from error
    _check_format(path, document)
    for number, cell in enumerate(document["cells"], start=1):
        _check_cell(path, number, cell)
        cell["source"] = "".join(cell["source"])
    return document


def _check_format(path: Path, document: Any) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("nbformat"), int):
        raise NotebookError(f"{path}: not a notebook, the JSON has no integer `nbformat` at its top.")
    if document["nbformat"] != 4:
        raise NotebookError(
            f"{path}: notebook format {document['nbformat']} was found, and format 4 is needed. Open the file in "
            "Jupyter and save it, or convert it: `jupyter nbconvert --to notebook --nbformat 4`.")
    if not isinstance(document.get("cells"), list):
        raise NotebookError(f"{path}: not a notebook, `cells` is {_kind(document.get('cells'))} and not a list.")
    metadata = document.get("metadata", {})
    if not isinstance(metadata, dict):
        raise NotebookError(f"{path}: `metadata` is {_kind(metadata)} and not an object.")
    for place, key in (("language_info", "name"), ("kernelspec", "language")):
        about = metadata.get(place)
        language = about.get(key, "python") if isinstance(about, dict) else "python"
        if not str(language).lower().startswith(("python", "ipython")):
            raise NotebookError(f"{path}: the notebook is written in {language}; only Python notebooks can be run.")


def _check_cell(path: Path, number: int, cell: Any) -> None:
    where = f"{path}: cell {number}"
    if not isinstance(cell, dict):
        raise NotebookError(f"{where} is {_kind(cell)} and not an object.")
    if cell.get("cell_type") not in _CELL_TYPES:
        expected = ", ".join(_CELL_TYPES)
        raise NotebookError(f"{where} has cell_type {cell.get('cell_type')!r}; expected one of {expected}.")
    if not isinstance(cell.get("metadata", {}), dict):
        raise NotebookError(f"{where}: `metadata` is {_kind(cell['metadata'])} and not an object.")
    source = cell.get("source")
    if not isinstance(source, str) and not (isinstance(source, list) and all(isinstance(line, str) for line in source)):
        raise NotebookError(f"{where}: `source` is {_kind(source)}; expected a string or a list of strings.")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", int: "a number", type(None): "missing"}
    return names.get(type(value), f"a {type(value).__name__}")


def write_notebook(path: Path, document: dict[str, Any]) -> None:
    """Write `document` to `path` in one step: a reader, or a crash, never meets half a file."""
    stored = {**document, "cells": [_stored_cell(cell) for cell in document["cells"]]}
    text = json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False, default=repr) + "\n"
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))  # a lone surrogate as JSON's own escape


def _stored_cell(cell: dict[str, Any]) -> dict[str, Any]:
    stored = {**cell, "source": cell["source"].splitlines(keepends=True)}
    if cell["cell_type"] == "code":
        stored["outputs"] = [_stored_output(output) for output in cell["outputs"]]
    return stored


def _stored_output(output: dict[str, Any]) -> dict[str, Any]:
    if output["output_type"] == "stream":
        return {**output, "text": overwrite_lines("".join(output["text"])).splitlines(keepends=True)}
    if "data" in output:
        return {**output, "data": {mime: _stored_form(mime, form) for mime, form in output["data"].items()}}
    return output


def _stored_form(mime: str, form: Any) -> Any:
    # Text is kept line by line, so that a version-control diff of a notebook can be read; pictures are one string.
    is_text = mime.startswith("text/") or mime in ("image/svg+xml", "application/javascript")
    return form.splitlines(keepends=True) if is_text and isinstance(form, str) else form
