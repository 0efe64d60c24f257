"""Parity by program: the same line of Python, run with rushlight and with torch as `torch`."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import rushlight


def outcome(library: ModuleType, program: str) -> tuple[str, str]:
    """What the program (statements, then an expression, separated by "; ") gives: its value as text, or its error's type."""
    names: dict[str, Any] = {"torch": library, "np": np, "copy": copy, "pickle": pickle}
    *statements, expression = program.split("; ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for statement in statements:
                exec(statement, names)
            return "value", repr(eval(expression, names))
        except Exception as error:
            return "error", type(error).__name__


@pytest.fixture(scope="session")
def same_program() -> Callable[[str], None]:
    """Asserts that a program has the same outcome with both libraries, `same_program("torch.ones(2) + 1")`."""
    torch = pytest.importorskip("torch", reason="parity tests need torch")

    def check(program: str) -> None:
        assert outcome(rushlight, program) == outcome(torch, program)

    return check
