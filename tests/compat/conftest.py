"""A small package named rushlight with the real `rushlight.compat` inside, to test the alias apart from the framework.

Programs run in their own interpreter, because the process that runs the tests may have imported PyTorch itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

_FILES = {
    "__init__.py": """
        import importlib
        from rushlight.nn.functional import relu
        __version__ = "2.13.0+rushlight.9.9"
        def get_num_threads(): return 3
        import os, types
        namespace = types.ModuleType("rushlight.namespace")
        namespace.value = 11
        float32 = "float32"
        def tensor(data): return data
        def __getattr__(name):
            if name in ("lazy", "broken", "vision"):
                return importlib.import_module(f"rushlight.{name}")
            raise AttributeError(f"module 'rushlight' has no attribute {name!r}")
        def __dir__(): return [*globals(), "lazy", "vision"]
    """,
    "lazy.py": "value = 42",
    "broken.py": "import rushlight.lazy\nrushlight.lazy.not_there_at_all",
    "core/__init__.py": "",
    "serialization/__init__.py": "",
    "base/device.py": "def device(name): return name",
    "backends/registry.py": "def kernels_for(device): return None",
    "nn/__init__.py": "from rushlight.nn.modules.conv import Conv2d",
    "nn/functional.py": "def relu(x): return x\ndef conv2d(x): return x",
    "nn/modules/__init__.py": "",
    "nn/modules/conv.py": "class Conv2d: pass",
    "nn/utils/__init__.py": "",
    "nn/utils/rnn.py": "def pad_sequence(x): return x",
    "vision/__init__.py": '__version__ = "0.28.0+rushlight.9.9"',
    "vision/models/__init__.py": "def resnet18(): return 'resnet18'",
}


class FakeTree:
    """The folder that holds the package, and ways to run programs that see it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in _FILES.items():
            file = root / "rushlight" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        real = SOURCE / "rushlight"
        shutil.copytree(real / "compat", root / "rushlight" / "compat", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(real / "__main__.py", root / "rushlight")
        shutil.copy(real / "serialization" / "atomic.py", root / "rushlight" / "serialization")

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the interpreter with the package on `PYTHONPATH`."""
        environment = {**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "error", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=cwd)

    def run_code(self, code: str, cwd: Path | None = None) -> str:
        """The output of `python -c code`; fails with its standard error when the code does."""
        done = self.run("-c", textwrap.dedent(code), cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeTree:
    return FakeTree(tmp_path_factory.mktemp("fake"))
