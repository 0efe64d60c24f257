"""Write the list of PyTorch's public names that rushlight's error messages consult.

    python tools/list_torch_names.py            # rewrites src/rushlight/compat/torch_names.txt
    python tools/list_torch_names.py --check    # exit status 1 when the file differs from the installed torch

Run it in an environment that has the torch and torchvision releases rushlight follows. One line a module: its path, a
colon, and its public names separated by blanks. A path that ends in `/` lists the public modules below that package.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys
import types
import warnings
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "src" / "rushlight" / "compat" / "torch_names.txt"

MODULES = """
torch torch.accelerator torch.amp torch.autograd torch.autograd.forward_ad torch.autograd.function
torch.autograd.functional torch.autograd.graph torch.autograd.profiler torch.backends torch.backends.cuda
torch.backends.cudnn torch.backends.mkl torch.backends.mkldnn torch.backends.mps torch.backends.openmp torch.compiler
torch.cuda torch.cuda.amp torch.distributed torch.distributions torch.export torch.fft torch.func torch.futures torch.fx
torch.hub torch.jit torch.library torch.linalg torch.masked torch.mps torch.multiprocessing torch.nested torch.nn
torch.nn.attention torch.nn.functional torch.nn.init torch.nn.parallel torch.nn.parameter torch.nn.utils
torch.nn.utils.parametrizations torch.nn.utils.parametrize torch.nn.utils.prune torch.nn.utils.rnn
torch.nn.utils.stateless torch.onnx torch.optim torch.optim.lr_scheduler torch.optim.swa_utils torch.overrides
torch.profiler torch.random torch.serialization torch.signal.windows torch.sparse torch.special
torch.testing torch.utils torch.utils.checkpoint torch.utils.data torch.utils.dlpack torch.utils.hooks
torchvision torchvision.datasets torchvision.io torchvision.models torchvision.ops torchvision.transforms
torchvision.transforms.functional torchvision.transforms.v2 torchvision.tv_tensors
torchvision.utils
""".split()

CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.optim.Optimizer")

# Internal trees that nobody imports from in a training program; listing them would double the file.
SKIPPED_TREES = (
    "torch.ao", "torch.distributed", "torch.export", "torch.fx", "torch.jit", "torch.onnx", "torch.testing")


def public_names(module: types.ModuleType) -> list[str]:
    """The names a user of `module` may rely on: `__all__` and what the module and its own package define."""
    package = module.__name__.split(".")[0]
    names = set(getattr(module, "__all__", ()))
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        if inspect.ismodule(value):
            if value.__name__.split(".")[0] == package and value.__name__.rpartition(".")[0] == module.__name__:
                names.add(name)
            continue
        home = getattr(value, "__module__", None) or ""
        if home.split(".")[0] in ("", package, "builtins"):
            names.add(name)
    return sorted(name for name in names if not name.startswith("_"))


def submodules(package: types.ModuleType) -> dict[str, list[str]]:
    """Public module names below `package`, by parent path, found without importing them."""
    found: dict[str, list[str]] = {}

    def visit(path: list[str], prefix: str) -> None:
        for info in pkgutil.iter_modules(path):
            if info.name.startswith("_"):
                continue
            found.setdefault(prefix, []).append(info.name)
            name = f"{prefix}.{info.name}"
            if info.ispkg and name not in SKIPPED_TREES:
                visit([str(Path(entry) / info.name) for entry in path], name)

    visit(list(package.__path__), package.__name__)
    return found


def listing() -> str:
    """The text of torch_names.txt for the installed torch and torchvision."""
    torch = importlib.import_module("torch")
    # Names need no compiled operators; without this, a torchvision built for another torch could not be imported.
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    torchvision = importlib.import_module("torchvision")
    versions = f"torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}"
    lines = [f"# Public names of {versions}; written by tools/list_torch_names.py."]
    for name in MODULES:
        lines.append(f"{name}: {' '.join(public_names(importlib.import_module(name)))}")
    for name in CLASSES:
        home, _, class_name = name.rpartition(".")
        owner = getattr(importlib.import_module(home), class_name)
        lines.append(f"{name}: {' '.join(entry for entry in sorted(dir(owner)) if not entry.startswith('_'))}")
    for package in (torch, torchvision):
        for parent, children in sorted(submodules(package).items()):
            lines.append(f"{parent}/: {' '.join(sorted(children))}")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = listing()
    if arguments.check:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(text)} bytes, {text.count(chr(10)) - 1} modules and classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
