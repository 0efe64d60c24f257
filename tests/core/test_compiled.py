"""The engine, compiled by mypyc or not, keeps what Python classes have: attributes, weak references, subclasses, pickling.

Every test runs against the engine that is there; those that compare the two builds need a compiled one.
"""

from __future__ import annotations

import ast
import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import source_hash
from pathlib import Path
from types import BuiltinFunctionType, FunctionType

import pytest

import rushlight as rl
from rushlight.base.build import MANIFEST, PACKAGE, PythonFinder, check_sources, compiled_modules
from rushlight.core.binding import BoundFunction
from rushlight.core.modes import engine_build
from rushlight.core.node import Node
from rushlight.core.tensor import TensorBase, attach

COMPILED = engine_build() == "compiled"
needs_compiled = pytest.mark.skipif(
    not COMPILED, reason="the engine is not compiled here: python tools/build_engine.py --inplace"
)


def test_tensors_take_attributes_and_weak_references():
    x = rl.ones(2)
    x.note = "mine"
    reference = weakref.ref(x)
    assert x.note == "mine" and reference() is x and x.__dict__ == {"note": "mine"}
    del x
    gc.collect()
    assert reference() is None
    with pytest.raises(AttributeError):
        _ = rl.ones(2).nothing


def test_subclasses_of_tensor_are_kept_by_results():
    class Mine(rl.Tensor):
        def twice(self):
            return self * 2

    x = rl.ones(3).as_subclass(Mine)
    y = x.twice()
    assert type(y) is Mine and type(x + 1) is Mine and isinstance(y, rl.Tensor) and isinstance(y, TensorBase)
    assert type(rl.nn.Parameter(rl.ones(2)) + 1) is rl.Tensor


def test_results_are_of_the_public_class():
    x = rl.ones(2, requires_grad=True)
    for found in (x, x + 1, x.sum(), x[0], x.detach(), x.view(1, 2), rl.empty(0)):
        assert type(found) is rl.Tensor


def test_a_tensor_survives_copy_and_pickle():
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(twin) is rl.Tensor and twin.tolist() == [1.0, 2.0] and twin.requires_grad
    assert copy.deepcopy(x)._storage is not x._storage


def test_tensors_deep_inside_other_objects_are_let_go():
    # CPython frees deep nests in two steps; each object must be made as it is freed. The debug allocator looks.
    program = (
        "import rushlight as rl\n"
        "for make in (rl.ones, lambda n: rl.ones(n, requires_grad=True) * 2, lambda n: rl.ones(n, n)[0]):\n"
        "    nest = make(3)\n"
        "    for _ in range(400):\n"
        "        nest = (nest, make(3))\n"
        "    del nest\n"
        "print('freed')\n"
    )
    environment = os.environ | {"PYTHONMALLOC": "debug"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout == "freed\n", run.stderr


def test_nodes_have_torchs_names_hold_attributes_and_weak_references():
    x = rl.ones(2, requires_grad=True)
    node = (x * 2).grad_fn
    node.note = 1
    assert type(node).__name__ == "MulBackward0" and type(node).__module__ == "builtins" and isinstance(node, Node)
    assert weakref.ref(node)() is node and node.note == 1 and "MulBackward0 object at 0x" in repr(node)
    assert type(node.next_functions[0][0]).__name__ == "AccumulateGrad"


def test_a_function_of_the_users_own_runs():
    class Square(rl.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g * ctx.saved_tensors[0]

    x = rl.tensor([3.0], requires_grad=True)
    Square.apply(x).backward()
    assert x.grad.tolist() == [6.0]


def test_a_graph_with_its_own_gradient_in_it_is_freed():
    x = rl.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="reference cycle"):
        (x * x).sum().backward(create_graph=True)
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None


def attached():
    """Every function attached to Tensor, by name."""
    found = {}
    for name, value in vars(rl.Tensor).items():
        if isinstance(value, (FunctionType, BoundFunction)):
            found[name] = value
    return found


@pytest.mark.parametrize("name", sorted(attached()))
def test_attached_methods_bind_their_tensor(name):
    x = rl.ones(2)
    method = getattr(x, name)
    assert method.__self__ is x
    assert getattr(rl.Tensor, name) is not method and callable(getattr(rl.Tensor, name))


def test_no_method_is_attached_that_would_not_bind():
    assert [name for name, value in vars(rl.Tensor).items() if isinstance(value, BuiltinFunctionType)] == []


def test_a_compiled_function_binds_when_attached():
    attach("_length_for_test", len)  # compiled functions are of len's type
    try:
        assert rl.ones(3)._length_for_test() == 3 and rl.Tensor._length_for_test is len
    finally:
        del rl.Tensor._length_for_test


# Which engine runs.


def made(folder: Path, text: str = "x = 1\n") -> dict[str, str]:
    """A package with one compiled module and its manifest."""
    (folder / "core").mkdir()
    source = folder / "core" / "part.py"
    source.write_text(text)
    source.with_suffix(EXTENSION_SUFFIXES[0]).write_bytes(b"")
    (folder / MANIFEST).write_text(f"rushlight.core.part {source_hash(source.read_bytes()).hex()}\n")
    return compiled_modules(folder)


def test_fresh_modules_are_accepted(tmp_path):
    modules = made(tmp_path)
    assert list(modules) == ["rushlight.core.part"]
    check_sources(tmp_path, modules)


def test_a_stale_module_is_refused_by_name(tmp_path):
    modules = made(tmp_path)
    (tmp_path / "core" / "part.py").write_text("x = 2\n")
    with pytest.raises(ImportError, match=r"older than its source: .*part\.py.*--inplace.*--clean"):
        check_sources(tmp_path, modules)


def test_a_missing_module_is_refused(tmp_path):
    modules = made(tmp_path)
    with pytest.raises(ImportError, match="not complete"):
        check_sources(tmp_path, {**modules, "rushlight.core.other": "0"})


def test_modules_of_another_python_do_not_count(tmp_path):
    made(tmp_path)
    (tmp_path / "core" / "part").with_suffix(EXTENSION_SUFFIXES[0]).unlink()
    assert compiled_modules(tmp_path) == {} and compiled_modules(tmp_path / "core") == {}


def test_the_finder_leads_past_compiled_modules(tmp_path):
    made(tmp_path)
    finder = PythonFinder(tmp_path, frozenset(["rushlight.core.part"]))
    spec = finder.find_spec("rushlight.core.part", None)
    assert spec is not None and spec.origin == str(tmp_path / "core" / "part.py") and finder.find_spec("os", None) is None


def run(code: str, **environment: str) -> str:
    """What a fresh Python prints."""
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Printed by both builds: results, gradients, names, errors.
PROGRAM = """
import rushlight as torch
from rushlight.core.modes import engine_build
def error(f):
    try: f()
    except Exception as e: return type(e).__name__, str(e)
torch.manual_seed(0)
a = torch.tensor([2.0, 3.0], requires_grad=True); b = torch.tensor([6.0, 4.0], requires_grad=True)
q = 3 * a**3 - b**2
print(q, q.grad_fn.next_functions[0][0].name())
q.backward(torch.ones(2)); print(a.grad, b.grad)
x = torch.randn(4, 3, requires_grad=True)
(first,) = torch.autograd.grad((x.exp() * x.t().mm(x).sum()).sum(), x, create_graph=True)
(second,) = torch.autograd.grad((first * first).sum(), x); print(first, second)
nn = torch.nn
for make in (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), torch.optim.Adam):
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)); optimizer = make(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x.detach()), torch.tensor([0, 1, 1, 0])); loss.backward(); optimizer.step()
    print(loss, *model.parameters())
y = x * 2; y[0] = 0; y.sum().backward(); print(x.grad)
print(error(lambda: q.backward(torch.ones(2))), error(lambda: x + torch.ones(5)), error(lambda: x.requires_grad_(False).mm(a)))
z = torch.ones(2, requires_grad=True); w = z.exp(); w.add_(1); print(error(lambda: w.sum().backward()))
"""


@needs_compiled
def test_both_builds_say_the_same():
    compiled, python = run(PROGRAM, RUSHLIGHT_ENGINE="auto"), run(PROGRAM, RUSHLIGHT_ENGINE="python")
    assert compiled == python and len(python) > 1000


def test_the_variable_picks_the_python_files():
    code = "import rushlight; from rushlight.core import modes; print(modes.engine_build(), modes.__file__)"
    said, path = run(code, RUSHLIGHT_ENGINE="python").split()
    assert said == "python" and path.endswith("modes.py")
    if COMPILED and os.environ.get("RUSHLIGHT_ENGINE", "auto") == "auto":
        assert run(code).split()[0] == "compiled"


# What only the compiler would say, and only when a class is first used.


def compiled_files() -> dict[str, str]:
    """The modules that tools/build_engine.py compiles, with their files."""
    tool = ast.parse((PACKAGE.parents[1] / "tools" / "build_engine.py").read_text(encoding="utf-8"))
    (names,) = [
        node.value for node in tool.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    ]
    return {name: str(PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py")) for name in ast.literal_eval(names)}


def closed_classes(text: str) -> set[str]:
    """The classes of a file that interpreted classes may not derive from once it is compiled."""
    return {
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and not any("mypyc_attr" in ast.unparse(d) for d in node.decorator_list)
    }


def derived(text: str, closed: dict[str, set[str]]) -> list[str]:
    """The classes of a file that is not compiled which derive from closed ones."""
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in closed
        for alias in node.names
        if alias.name in closed[node.module]
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found += [f"{node.name} of {b.id}" for b in node.bases if isinstance(b, ast.Name) and b.id in imported]
    return found


@pytest.mark.skipif(not (PACKAGE.parents[1] / "tools").exists(), reason="an installed package has no tools/")
def test_classes_that_interpreted_ones_derive_from_are_open():
    files = compiled_files()
    closed = {name: closed_classes(Path(path).read_text(encoding="utf-8")) for name, path in files.items()}
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if str(path) not in files.values() and (wrong := derived(path.read_text(encoding="utf-8"), closed)):
            found[path.relative_to(PACKAGE).as_posix()] = wrong
    assert not found, "add @mypyc_attr(allow_interpreted_subclasses=True) to the bases"


def test_a_closed_base_is_found():
    closed = {"rushlight.core.node": closed_classes("class A: ...\n@mypyc_attr(allow_interpreted_subclasses=True)\nclass B: ...")}
    assert closed == {"rushlight.core.node": {"A"}}
    assert derived("from rushlight.core.node import A, B\nclass C(A): ...\nclass D(B): ...", closed) == ["C of A"]
