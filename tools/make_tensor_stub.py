"""Write the stub that shows type checkers and editors the Tensor methods which the families of operations attach.

    python tools/make_tensor_stub.py            # rewrites src/rushlight/core/public.pyi
    python tools/make_tensor_stub.py --check    # exit status 1 when the file is not up to date

The methods stand in sections, one for each file that defines them. Methods of `TensorBase` are not repeated.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CellType
from typing import Any

os.environ["RUSHLIGHT_ENGINE"] = "python"  # compiled functions have no signatures

SOURCE = Path(__file__).resolve().parents[1] / "src"
TARGET = SOURCE / "rushlight" / "core" / "public.pyi"
# Files whose functions make other functions: their work is listed under the family that asked for it.
MAKERS = ("rushlight.ops.common", "rushlight.ops.checks")
# Subclasses override these with signatures of their own.
NOT_SHOWN = ("__hash__", "__repr__", "__format__", "__torch_function__")
WIDTH = 120
HEADER = '''"""The public `Tensor` with the methods that the families of operations attach to it, each under its file.

Written by tools/make_tensor_stub.py; do not edit. The methods of `TensorBase` stand in core/tensor.py.
"""

{imports}

class Tensor(TensorBase):
'''


class Names(ast.NodeTransformer):
    """Rename the names of an annotation to `_name`, which no method of the class hides, and note where they come from."""

    def __init__(self, scope: dict[str, Any], imports: set[str]) -> None:
        self.scope = scope
        self.imports = imports

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self.scope.get(node.id)
        if node.id == "Any":
            self.imports.add("from typing import Any")
            return node
        if value is None and hasattr(builtins, node.id):
            module = "builtins"
        elif isinstance(value, type) and value.__module__ not in ("builtins", "types"):
            # public classes call their module torch: then it is the one that uses them
            module = self.scope["__name__"] if value.__module__.startswith("torch") else value.__module__
        else:  # aliases such as Shape
            self.imports.add("from typing import Any")
            return ast.Name("Any")
        self.imports.add(f"from {module} import {node.id} as _{node.id}")
        return ast.Name("_" + node.id)


def annotation(text: Any, scope: dict[str, Any], imports: set[str]) -> str:
    """An annotation as the stub writes it."""
    if text is inspect.Signature.empty:
        text = "Any"
    elif not isinstance(text, str):
        text = getattr(text, "__name__", None) or str(text)
    return ast.unparse(Names(scope, imports).visit(ast.parse(text, mode="eval")))


def default(value: Any) -> str:
    """A default value: a constant as it is, anything else as `...`."""
    plain = isinstance(value, (int, float, str, type(None))) and value == value and value not in (float("inf"), -float("inf"))
    return repr(value) if plain or value == () else "..."


def parameters(function: Callable[..., Any], imports: set[str], first: str) -> tuple[list[str], str]:
    """The parameters, the first of them called `first` ("" keeps all as they are), and the type of the result."""
    signature = inspect.signature(function)
    scope = getattr(function, "__globals__", {})
    found = [first] if first else []
    starred = False
    given = list(signature.parameters.values())
    for p in given[1:] if first and given and given[0].kind is not inspect.Parameter.VAR_POSITIONAL else given:
        kind = annotation(p.annotation, scope, imports)
        if p.kind is inspect.Parameter.VAR_POSITIONAL:
            starred = True
            found.append(f"*{p.name}: {kind}")
            continue
        if p.kind is inspect.Parameter.VAR_KEYWORD:
            found.append(f"**{p.name}: {kind}")
            continue
        if p.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            found.append("*")
        found.append(f"{p.name}: {kind}" + ("" if p.default is p.empty else f" = {default(p.default)}"))
    return found, annotation(signature.return_annotation, scope, imports)


def method(name: str, function: Callable[..., Any], imports: set[str], decorator: str = "", first: str = "self") -> str:
    """One method's lines."""
    found, result = parameters(function, imports, first)
    line = f"    def {name}({', '.join(found)}) -> {result}: ..."
    if len(line) > WIDTH:
        inner = "".join(f"        {p},\n" for p in found)
        line = f"    def {name}(\n{inner}    ) -> {result}: ..."
    return (f"    {decorator}\n" if decorator else "") + line + "\n"


def home(value: Any) -> str:
    """The module that stands behind an attached function, looking through those that make functions."""
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    module = getattr(function, "__module__", "") or ""
    if module not in MAKERS:
        return module
    for cell in getattr(function, "__closure__", None) or ():
        held = cell_contents(cell)
        owner = type(held).__module__ if hasattr(type(held), "forward") else getattr(held, "__module__", None)
        if isinstance(owner, str) and owner.startswith("rushlight") and owner not in MAKERS:
            return owner
    return module


def cell_contents(cell: CellType) -> Any:
    """What a closure holds, None where it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def attached(cls: type) -> Iterator[tuple[str, str, Any]]:
    """(file, name, value) of everything attached to the class."""
    for name, value in vars(cls).items():
        if name.startswith("__") and not inspect.isfunction(value) and not isinstance(value, (classmethod, staticmethod, property)):
            continue  # what Python itself puts into a class
        if name in NOT_SHOWN:
            continue
        module = home(value)
        yield (module.removeprefix("rushlight.").replace(".", "/") + ".py" if module.startswith("rushlight") else "", name, value)


def render() -> str:
    """The text of the stub."""
    import rushlight

    imports = {"from rushlight.core.tensor import TensorBase"}
    sections: dict[str, list[str]] = {}
    for file, name, value in sorted(attached(rushlight.Tensor), key=lambda row: row[:2]):
        lines = sections.setdefault(file, [])
        if isinstance(value, property):
            assert value.fget is not None
            lines.append(method(name, value.fget, imports, "@property"))
            if value.fset is not None:
                lines.append(method(name, value.fset, imports, f"@{name}.setter").replace("-> Any:", "-> None:"))
        elif isinstance(value, (classmethod, staticmethod)):
            kind = type(value).__name__
            lines.append(method(name, value.__func__, imports, f"@{kind}", "cls" if kind == "classmethod" else ""))
        elif callable(value) and not isinstance(value, type):
            lines.append(method(name, value, imports))
        else:
            imports.add("from typing import Any")
            lines.append(f"    {name}: Any\n")
    body = "\n".join(f"    # {file or 'rushlight'}\n\n" + "".join(lines) for file, lines in sections.items())
    return HEADER.format(imports="\n".join(sorted_imports(imports))) + body


def sorted_imports(imports: set[str]) -> list[str]:
    """The import lines, the standard library's first."""
    own = sorted(line for line in imports if line.startswith("from rushlight"))
    return [*sorted(imports - set(own)), "", *own]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit status 1 when the file is not up to date")
    arguments = parser.parse_args()
    sys.path.insert(0, str(SOURCE))
    text = render()
    if arguments.check:
        same = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        print("up to date" if same else f"{TARGET.name} is not up to date: run python tools/make_tensor_stub.py")
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
