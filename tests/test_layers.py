"""The order of the code base: layers, no rings, no imports hidden in functions, files of readable length.

The rules are read from the source with `ast`; nothing is imported. Each check is a function of a source tree, so the
tests at the end can show, on small trees with one fault each, that it finds what it is there to find.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "rushlight"
PACKAGE = "rushlight"
# What warns users on behalf of all others, and what silences warnings of code that is not ours.
OWN_WARNINGS = {"rushlight.base.warn", "rushlight.compat.notebook"}
LONGEST = 550

# The first part of a module's name after `rushlight.`, and its layer. A module imports from its own layer or lower.
LAYERS = {
    "base": 0,
    "backends": 1,
    "core": 2,
    "ops": 3,
    "return_types": 2,
    "autograd": 4,
    "overrides": 4,
    # tools that stand on tensors and gradients, and thin public namespaces that gather operations under torch's names
    **dict.fromkeys(["serialization", "compile", "distributed", "viz", "hub"], 5),
    **dict.fromkeys(["accelerator", "cpu", "cuda", "fft", "jit", "linalg", "mps", "profiler", "special", "types", "xpu"], 5),
    **dict.fromkeys(["_C", "__config__", "compiler", "random", "settings", "version"], 5),
    **dict.fromkeys(["nn", "optim", "utils", "amp", "func"], 6),
    "vision": 7,
    # "" is rushlight/__init__.py, which re-exports; those beside it use the public surface, and it may not import them
    **dict.fromkeys(["testing", "compat", "__main__", ""], 8),
}

# What every installation has. Anything else is an extra and is imported inside the function that needs it.
DEPENDENCIES = {"numpy", "ml_dtypes"}
# Modules that derive classes from an extra's, so import it at the top, and are imported late themselves.
PLUG_INS = {
    "rushlight.compat.figures": {"matplotlib"},
    "rushlight.compat.ipython_shell": {"IPython", "traitlets"},
}


# Late imports that save time or memory, not a ring: they count as imports where rings are looked for.
LATE_ON_PURPOSE = {
    ("rushlight.backends.registry", "rushlight.backends.meta"),  # a backend is loaded when its device is first used
    ("rushlight.backends.registry", "rushlight.backends.reference"),
    ("rushlight.backends.registry", "rushlight.backends.native"),
    ("rushlight.__main__", "rushlight.compat.notebook"),  # a script does not wait for what only notebooks need
    ("rushlight.compat.alias", "rushlight.compat.distribution"),  # needs importlib.metadata, which is slow to import
}


@dataclass
class Import:
    """One imported module, named absolutely, and where it is imported."""

    line: int
    target: str
    late: bool


@dataclass
class Module:
    name: str
    path: Path
    length: int
    imports: list[Import] = field(default_factory=list)

    def where(self, line: int) -> str:
        return f"{self.path.as_posix()}:{line}"


# ---------------------------------------------------------------- reading


def read_tree(source: Path) -> dict[str, Module]:
    """Every module under `source`, by its full name."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join((PACKAGE, *(parts[:-1] if is_package else parts)))
        text = path.read_text(encoding="utf-8")
        module = Module(name, path.relative_to(source.parent), len(text.splitlines()))
        package = name if is_package else name.rpartition(".")[0]
        module.imports = list(imports_of(ast.parse(text, str(path)), package, is_package))
        modules[name] = module
    for module in modules.values():
        for item in module.imports:
            item.target = resolve(item.target, modules)
    return modules


def imports_of(tree: ast.Module, package: str, is_package: bool) -> Iterator[Import]:
    """The imports of a module, with `from a import b` given as `a.b`. What only type checkers see is left out."""

    def visit(node: ast.AST, late: bool, outermost: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, late) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, package)
            yield from (Import(node.lineno, f"{base}.{alias.name}", late) for alias in node.names)
        elif late and isinstance(node, ast.Call) and (name := imported_by_call(node)):
            yield Import(node.lineno, name, late)
        if isinstance(node, ast.If) and is_type_checking(node.test):
            children: list[ast.AST] = list(node.orelse)
        else:
            children = list(ast.iter_child_nodes(node))
        for child in children:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            # PEP 562: a package may load its parts on first use.
            lazy = is_package and outermost and isinstance(child, ast.FunctionDef) and child.name == "__getattr__"
            if not lazy:
                yield from visit(child, late or is_function, False)

    yield from visit(tree, False, True)


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ...x import y` names."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def imported_by_call(node: ast.Call) -> str:
    """The module of `import_module("rushlight.x")` or `__import__("rushlight.x")`, where it is written out."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
        return str(node.args[0].value)
    return ""


def is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def resolve(target: str, modules: dict[str, Module]) -> str:
    """Of `rushlight.core.tensor.Tensor`, the part that is a module: `rushlight.core.tensor`."""
    if target.split(".")[0] != PACKAGE:
        return target
    while target not in modules and "." in target:
        target = target.rpartition(".")[0]
    return target


def family(name: str) -> str:
    """The first part of a module's name after the package; '' for the package itself."""
    return name.split(".")[1] if "." in name else ""


# ---------------------------------------------------------------- the checks: each returns its findings, one a line


def check_layers(modules: dict[str, Module]) -> list[str]:
    unlisted = sorted({family(name) for name in modules} - LAYERS.keys())
    found = [f"rushlight.{name} has no layer: enter it in LAYERS of tests/test_layers.py" for name in unlisted]
    for module in modules.values():
        own = LAYERS.get(family(module.name))
        for item in module.imports:
            if item.target.split(".")[0] != PACKAGE or item.late or own is None:
                continue
            other = LAYERS.get(family(item.target))
            if other is not None and other > own:
                found.append(f"{module.where(item.line)}: layer {own} imports {item.target} of layer {other}")
    return found


def check_rings(modules: dict[str, Module]) -> list[str]:
    """Rings in the graph of module-level imports, each as the chain of modules that closes it."""
    graph = {
        name: sorted({i.target for i in m.imports if counts(name, i) and i.target in modules and i.target != name})
        for name, m in modules.items()
    }
    found: list[str] = []
    done: set[str] = set()
    for start in graph:
        chain: list[str] = []
        pending = [(start, iter(graph[start]))] if start not in done else []
        if pending:
            chain.append(start)
        while pending:
            name, targets = pending[-1]
            target = next(targets, None)
            if target is None:
                pending.pop()
                done.add(chain.pop())
            elif target in chain:
                found.append(" -> ".join([*chain[chain.index(target) :], target]))
            elif target not in done:
                chain.append(target)
                pending.append((target, iter(graph[target])))
    return found


def counts(name: str, item: Import) -> bool:
    """Whether an import may close a ring: all but late ones, and late ones that are allowed."""
    return not item.late or (name, item.target) in LATE_ON_PURPOSE or item.target in PLUG_INS


def check_late_imports(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.where(item.line)}: imports {item.target} inside a function; move it to the top of the file"
        for module in modules.values()
        for item in module.imports
        if not counts(module.name, item) and item.target.split(".")[0] == PACKAGE
    ]


def check_dependencies(modules: dict[str, Module]) -> list[str]:
    allowed = DEPENDENCIES | {PACKAGE} | set(sys.stdlib_module_names)
    return [
        f"{module.where(item.line)}: imports {item.target} when the module is loaded; import an extra where it is used"
        for module in modules.values()
        for item in module.imports
        if not item.late
        and (item.target in PLUG_INS or item.target.split(".")[0] not in allowed | PLUG_INS.get(module.name, set()))
    ]


def check_lengths(modules: dict[str, Module]) -> list[str]:
    return [f"{m.path.as_posix()}: {m.length} lines" for m in modules.values() if m.length > LONGEST]


def check_warnings(modules: dict[str, Module]) -> list[str]:
    return [
        f"{module.where(item.line)}: imports warnings; warn with rushlight.base.warn.warn_user, which finds the user's line"
        for module in modules.values()
        for item in module.imports
        if item.target.split(".")[0] == "warnings" and module.name not in OWN_WARNINGS
    ]


CHECKS = {
    "layers": check_layers,
    "rings": check_rings,
    "late imports": check_late_imports,
    "dependencies": check_dependencies,
    "lengths": check_lengths,
    "warnings": check_warnings,
}


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    return read_tree(SOURCE)


@pytest.mark.parametrize("name", CHECKS)
def test_source_tree(modules, name):
    found = CHECKS[name](modules)
    assert not found, f"{len(found)} finding(s):\n" + "\n".join(sorted(found))


# ---------------------------------------------------------------- the checks can fail


def findings(tmp_path: Path, name: str, files: dict[str, str]) -> list[str]:
    source = tmp_path / PACKAGE
    for path, text in {"__init__.py": "", "base/__init__.py": "", "nn/__init__.py": "", **files}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    return CHECKS[name](read_tree(source))


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("layers", {"base/a.py": "from rushlight.nn import Linear"}, "base/a.py:1: layer 0 imports rushlight.nn of"),
        ("layers", {"base/a.py": "\nimport rushlight.nn"}, "base/a.py:2: layer 0 imports rushlight.nn of layer 6"),
        ("layers", {"base/a.py": "from rushlight import tensor"}, "imports rushlight of layer 8"),
        ("layers", {"base/a.py": "from .. import nn"}, "imports rushlight.nn of layer 6"),
        ("layers", {"base/a.py": "try:\n    from ..nn import x\nexcept ImportError: pass"}, "base/a.py:2"),
        ("layers", {"base/__init__.py": "from . import a", "base/a.py": "class A:\n    from ..nn import x"}, "a.py:2"),
        ("layers", {"novelty.py": ""}, "rushlight.novelty has no layer"),
        (
            "rings",
            {"base/a.py": "from rushlight.base.b import x", "base/b.py": "import rushlight.base.a"},
            "rushlight.base.a -> rushlight.base.b -> rushlight.base.a",
        ),
        (
            "rings",
            {"base/__init__.py": "from .a import x", "base/a.py": "from rushlight.base import y"},
            "rushlight.base -> rushlight.base.a -> rushlight.base",
        ),
        (
            "rings",  # a late import on purpose does not dodge one
            {
                "backends/registry.py": "def f():\n    import rushlight.backends.meta",
                "backends/meta.py": "from rushlight.backends import registry",
            },
            "rushlight.backends.meta -> rushlight.backends.registry -> rushlight.backends.meta",
        ),
        ("late imports", {"nn/a.py": "def f():\n    from rushlight.base import x"}, "a.py:2: imports rushlight.base"),
        ("late imports", {"nn/a.py": "class A:\n    def f(self):\n        if 1:\n            from . import b"}, ":4"),
        ("late imports", {"nn/a.py": "import importlib\nf = lambda: importlib.import_module('rushlight.base')"}, ":2"),
        ("late imports", {"nn/a.py": "def __getattr__(n):\n    import rushlight.base"}, "a.py:2"),
        ("dependencies", {"nn/a.py": "import tqdm"}, "imports tqdm"),
        ("dependencies", {"nn/a.py": "try:\n    from PIL import Image\nexcept ImportError: pass"}, "imports PIL.Image"),
        ("dependencies", {"compat/figures.py": "import tqdm, matplotlib.pyplot"}, "figures.py:1: imports tqdm"),
        (
            "dependencies",
            {"compat/a.py": "from rushlight.compat import figures", "compat/figures.py": "import matplotlib"},
            "a.py:1: imports rushlight.compat.figures",
        ),
        ("lengths", {"nn/a.py": "x = 1\n" * (LONGEST + 1)}, f"nn/a.py: {LONGEST + 1} lines"),
        ("warnings", {"nn/a.py": "def f():\n    import warnings"}, "nn/a.py:2: imports warnings"),
        ("warnings", {"nn/a.py": "from warnings import warn"}, "nn/a.py:1: imports warnings"),
    ],
)
def test_a_fault_is_found(tmp_path, name, files, expected):
    found = findings(tmp_path, name, files)
    assert len(found) == 1 and expected in found[0], found


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_allowed_passes(tmp_path, name):
    files = {
        "__init__.py": "from rushlight.nn import a\nfrom rushlight.base import b",
        "base/b.py": (
            "from typing import TYPE_CHECKING\nimport numpy as np\nimport ml_dtypes\n"
            "if TYPE_CHECKING:\n    from rushlight.nn.a import f\n    import matplotlib\n"
        ),
        "nn/__init__.py": "def __getattr__(name):\n    from rushlight.nn import a\n    return a\n",
        "nn/a.py": "from rushlight.base.b import np\ndef f():\n    import tqdm\n    return tqdm\n",
        "compat/a.py": "def f():\n    from rushlight.compat.figures import show\n    return show\n",
        "compat/figures.py": "import matplotlib\n",
        "nn/long.py": "x = 1\n" * LONGEST,
    }
    assert findings(tmp_path, name, files) == []
