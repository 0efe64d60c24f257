"""Every environment variable rushlight reads, with its legal values; a wrong value is an error that lists them.

docs/env_vars.md is made from this table by tools/make_env_docs.py.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple


class Variable(NamedTuple):
    """One setting: its name, the legal values (empty: any text), its default and what it does."""

    name: str
    choices: tuple[str, ...]
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("RUSHLIGHT_STRICT_DEVICE", ("0", "1"), "0", "1: a device that is not there is an error, never emulated"),
    Variable("RUSHLIGHT_ENGINE", ("auto", "python"), "auto", "python: run the engine's .py files although compiled modules are there"),
    Variable("RUSHLIGHT_KERNELS", ("auto", "reference", "native"), "auto", "which CPU kernels run; native: an error where there are none"),
    Variable("RUSHLIGHT_ISA", ("auto", "baseline", "avx2", "avx512", "neon"), "auto", "which build of the native kernels runs"),
    Variable("RUSHLIGHT_WINOGRAD", ("0", "1"), "1", "0: 3 x 3 convolutions never use Winograd's method, which rounds more"),
    Variable("TORCH_HOME", (), "", "folder that holds hub/checkpoints (default: torch in XDG_CACHE_HOME), shared with torch"),
    Variable("XDG_CACHE_HOME", (), "~/.cache", "folder of caches, for where TORCH_HOME is not set"),
    Variable("OMP_NUM_THREADS", (), "", "how many threads kernels may use (default: one for each available processor)"),
)
_BY_NAME: Final = {variable.name: variable for variable in VARIABLES}


def setting(name: str) -> str:
    """The value of the variable `name` now, checked against its legal values (`ValueError` names them)."""
    variable = _BY_NAME[name]
    value = os.environ.get(name, variable.default)
    if variable.choices and value not in variable.choices:
        raise ValueError(
            f"environment variable {name}={value!r} is not one of {', '.join(variable.choices)}: {variable.meaning}"
        )
    return value
