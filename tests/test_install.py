"""Installing: without a compiler everything runs on NumPy; wheels hold the package and nothing else; an sdist can be built from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="needs a checkout"),
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """What git would give: no compiled modules, no earlier builds."""
    for name, oldest in (("pip", 22), ("setuptools", 77)):  # asked for, not imported: setuptools puts its distutils over Python's
        try:
            found = int(version(name).split(".")[0])
        except PackageNotFoundError:
            found = 0
        if found < oldest:
            pytest.skip(f"building needs {name} {oldest} or newer, and this environment has {found or 'none'}")
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "*.egg-info", "_engine.txt")
    for name in ("src", "csrc", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def run(*command, cwd, **variables):
    """Run a command with these environment variables besides (None: without them)."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    for name in ("PYTHONPATH", "RUSHLIGHT_BUILD", "RUSHLIGHT_KERNELS", "RUSHLIGHT_ENGINE", "RUSHLIGHT_ISA"):
        if name not in variables:
            environment.pop(name, None)
    return subprocess.run([sys.executable, *map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def build(kind, checkout, target, **variables):
    """The one file that setuptools builds: an sdist or a wheel."""
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = run("-c", code, target, cwd=checkout, **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = target.iterdir()
    return found


PROGRAM = """
import rushlight as rl
print(rl.__file__)
print(rl.__config__.show().split("CPU kernels: ")[1].splitlines()[0])
rl.manual_seed(0)
model = rl.nn.Sequential(rl.nn.Conv2d(1, 4, 3), rl.nn.BatchNorm2d(4), rl.nn.ReLU(), rl.nn.Flatten(), rl.nn.Linear(144, 3))
optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
for _ in range(3):
    optimizer.zero_grad()
    loss = rl.nn.functional.cross_entropy(model(rl.randn(5, 1, 8, 8)), rl.tensor([0, 1, 2, 0, 1]))
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
"""


def test_without_a_compiler(checkout, tmp_path):
    """It installs, says why it is slower, and computes what the NumPy kernels of the checkout compute."""
    target = tmp_path / "site"
    done = run(
        "-m", "pip", "install", "-v", "--no-build-isolation", "--no-deps", "--no-index", "--target", target, checkout,
        cwd=tmp_path, CXX=str(tmp_path / "no-such-compiler"), PATH=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = done.stdout + done.stderr
    assert "the native kernels were not built, NumPy will compute instead: no C++ compiler runs here" in said
    assert not list(target.rglob("*.so")) and not list(target.rglob("*.cpp"))
    installed = run("-c", PROGRAM, cwd=tmp_path, PYTHONPATH=str(target))
    reference = run("-c", PROGRAM, cwd=tmp_path, PYTHONPATH=str(ROOT / "src"), RUSHLIGHT_KERNELS="reference")
    assert installed.returncode == reference.returncode == 0, installed.stderr + reference.stderr
    place, kernels, *losses = installed.stdout.splitlines()
    assert Path(place).is_relative_to(target) and kernels == "NumPy (no native kernels were built)"
    assert losses == reference.stdout.splitlines()[2:] and len(losses) == 3


def test_a_pure_wheel(checkout, tmp_path):
    wheel = build("wheel", checkout, tmp_path, RUSHLIGHT_BUILD="pure")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {"rushlight", wheel.name.split("-py3")[0] + ".dist-info"}
    sources = {str(path.relative_to(checkout / "src")) for path in (checkout / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert {"rushlight/py.typed", "rushlight/core/public.pyi", "rushlight/compat/torch_names.txt"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".cpp", ".h", ".o"))]


def test_an_sdist(checkout, tmp_path):
    with tarfile.open(build("sdist", checkout, tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("csrc", "tools"):
        there = {str(path.relative_to(checkout)) for path in (checkout / folder).rglob("*") if path.suffix in (".cpp", ".h", ".py")}
        assert there and there <= names
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "src/rushlight/__init__.py", "src/rushlight/py.typed"} <= names
    assert not [name for name in names if name.endswith((".so", ".o"))]


def test_an_unknown_kind_of_build(checkout, tmp_path):
    done = run("setup.py", "--version", cwd=checkout, RUSHLIGHT_BUILD="fast")
    wheel = run("-c", "from setuptools import build_meta; build_meta.build_wheel('.')", cwd=checkout, RUSHLIGHT_BUILD="fast")
    assert done.returncode == 0 or "RUSHLIGHT_BUILD='fast' is not one of pure, kernels, full" in done.stderr
    assert wheel.returncode != 0 and "RUSHLIGHT_BUILD='fast' is not one of pure, kernels, full" in wheel.stderr
