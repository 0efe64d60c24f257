"""What a program is told when it asks for a part of torch that rushlight has not got.

The errors are subclasses of the ones Python raises, so `hasattr(torch, name)` and `try: import torch.x` in other
people's code keep working; their text says whether PyTorch has the name and which of ours comes nearest.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any


class MissingNameError(AttributeError):
    """`torch.name` does not exist. The text is worked out when it is read: `hasattr` asks often and never reads it."""

    def __init__(self, message: str = "", *, name: str | None = None, obj: object = None, shown: str = "") -> None:
        super().__init__(*([message] if message else []), name=name, obj=obj)
        self.shown = shown

    def __str__(self) -> str:
        if not self.args:
            self.args = (explain_name(self.shown, self.name or "", public_names(self.obj)),)
        return str(self.args[0])

    def __reduce__(self) -> tuple[type[MissingNameError], tuple[str]]:
        # A module cannot be pickled, and errors of worker processes are.
        return type(self), (str(self),)


class MissingModuleError(ModuleNotFoundError):
    """`import torch.name`: there is no such module."""


class MissingImportError(ImportError):
    """`from torch.package import name`: the package is there, the name is not."""


@cache
def torch_names() -> dict[str, frozenset[str]]:
    """PyTorch's public names by module path; a key that ends in `/` holds the modules below that package."""
    entries = (line.split(":", 1) for line in _listing().splitlines() if not line.startswith("#"))
    return {path: frozenset(names.split()) for path, names in entries}


@cache
def torch_versions() -> dict[str, str]:
    """The releases `torch_names` was taken from: `{"torch": "2.13", "torchvision": ...}`."""
    return dict(re.findall(r"(torch|torchvision) (\d+\.\d+)", _listing().split("\n", 1)[0]))


def _listing() -> str:
    return Path(__file__).with_name("torch_names.txt").read_text(encoding="utf-8")


def public_names(module: object) -> list[str]:
    """The names of `module` that do not start with an underscore, lazily loaded ones included."""
    return [name for name in dir(module) if not name.startswith("_")]


def explain_name(shown: str, name: str, names: Iterable[str]) -> str:
    """The text for a missing attribute `name` of the module people know as `shown`, which has `names`."""
    return f"module '{shown}' has no attribute '{name}'{_hint(shown, name, names)}"


def explain_module(shown: str, siblings: Iterable[str]) -> str:
    """The text for a missing module `shown`; `siblings` are the modules rushlight has beside it."""
    parent, _, child = shown.rpartition(".")
    return f"No module named '{shown}'{_hint(parent, child, siblings)}"


def explain_import(shown: str, name: str, names: Iterable[str]) -> str:
    """The text for `from shown import name` when `shown` has `names` only."""
    return f"cannot import name '{name}' from '{shown}'{_hint(shown, name, names)}"


def _hint(shown: str, name: str, names: Iterable[str]) -> str:
    sentences = []
    if name in torch_names().get(shown, ()) or name in torch_names().get(f"{shown}/", ()):
        root = shown.split(".")[0]
        product = f"{'PyTorch' if root == 'torch' else root} {torch_versions()[root]}"
        sentences.append(f"{product} has it; rushlight has not got it yet")
    if elsewhere := _same_name_elsewhere(shown, name):
        sentences.append(f"There is {_enumerate(elsewhere)}")
    elif near := _nearest(name, names):
        sentences.append(f"The nearest rushlight has: {_enumerate([f'{shown}.{other}' for other in near])}")
    return "".join(f". {sentence}" for sentence in sentences)


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three of `names` that are spelled most like `name`, whatever the case of the letters."""
    by_lower: dict[str, list[str]] = {}
    for other in names:
        by_lower.setdefault(other.lower(), []).append(other)
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.7)
    return [other for lower in close for other in sorted(by_lower[lower])][:3]


def _same_name_elsewhere(shown: str, name: str) -> list[str]:
    """`torch.Conv2d` -> `["torch.nn.Conv2d"]`: loaded modules of ours where that very name is, at torch's path."""
    found = []
    for path, names in torch_names().items():
        module = sys.modules.get(path)
        if path != shown and name in names and module is not None and name in vars(module):
            found.append(f"{path}.{name}")
    return found[:3]


def _enumerate(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


class NameGuard:
    """A module's `__getattr__` (PEP 562) under the alias: submodules on first touch, else `MissingNameError`.

    `import torch` makes torch's submodules attributes at once; ours are loaded when they are first touched.
    """

    def __init__(self, module: ModuleType, shown: str, submodule: Callable[[str], ModuleType | None]) -> None:
        self.module = module
        self.shown = shown
        self.submodule = submodule
        self.previous: Callable[[str], Any] | None = vars(module).get("__getattr__")

    def __call__(self, name: str) -> Any:
        if self.previous is not None:
            try:
                value = self.previous(name)
                if isinstance(value, ModuleType):
                    self.submodule(f"{self.shown}.{name}")  # a lazily loaded package: it answers for its names as well
                return value
            except AttributeError as error:
                if not _raised_directly(error.__traceback__):
                    raise  # a lazily loaded module failed inside; that is another error than a missing name
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(f"module '{self.shown}' has no attribute '{name}'", name=name, obj=self.module)
        found = self.submodule(f"{self.shown}.{name}")
        if found is None:
            raise MissingNameError(name=name, obj=self.module, shown=self.shown)
        return found


def _raised_directly(traceback: TracebackType | None) -> bool:
    """Whether the function called from the first frame raised itself, not something that it called."""
    return traceback is None or traceback.tb_next is None or traceback.tb_next.tb_next is None


def attach(module: ModuleType, shown: str, submodule: Callable[[str], ModuleType | None]) -> None:
    """Let `module` answer for missing names as `shown`; `submodule(path)` gives the module at a torch path or None."""
    if not isinstance(vars(module).get("__getattr__"), NameGuard):
        module.__getattr__ = NameGuard(module, shown, submodule)  # type: ignore[method-assign]


def detach(module: ModuleType) -> None:
    """Undo `attach`."""
    guard = vars(module).get("__getattr__")
    if isinstance(guard, NameGuard):
        if guard.previous is None:
            del module.__getattr__
        else:
            module.__getattr__ = guard.previous  # type: ignore[method-assign]


def add_hint(error: BaseException | None) -> None:
    """Add to a plain "cannot import name" error about a module of ours, as a note, what rushlight knows about it."""
    if type(error) is not ImportError or error.name not in sys.modules:
        return
    guard = vars(sys.modules[error.name]).get("__getattr__")
    wanted = re.match(r"cannot import name '(\w+)'", error.msg or "")
    if isinstance(guard, NameGuard) and wanted:
        error.add_note(explain_import(guard.shown, wanted[1], public_names(guard.module)))
