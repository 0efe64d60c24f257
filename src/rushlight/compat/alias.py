"""`import torch` and `import torchvision` answered by rushlight: one module object under two names.

rushlight's public paths are torch's, so the alias is thin: a finder at the head of `sys.meta_path` answers `torch.a.b`
with the very module `rushlight.a.b` (and `torchvision.x` with `rushlight.vision.x`). No module is executed twice, hence
no class exists twice, and a module keeps its own `__name__` and `__spec__`. Torch's paths that differ from ours are in
`ALIASES`.

**Child processes.** A process started by an aliased one must find the alias before its own `import torch`: children
of `multiprocessing` (spawn, forkserver) import the main module again, and a notebook kernel is a fresh interpreter.
They inherit the environment and, from `multiprocessing`, the parent's `sys.path`. So `install` puts one folder,
`shim/`, on both; its `torch.py` and `torchvision.py` install the alias when they are imported. That folder shadows an
installed torch without touching site-packages, and a child that never imports torch pays nothing. The alternative, a
`sitecustomize` on `PYTHONPATH`, would load rushlight into every Python child (pip included), would hide the user's own
sitecustomize, and could break an interpreter in which rushlight does not work.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from rushlight.compat import missing

ROOTS = {"torch": "rushlight", "torchvision": "rushlight.vision"}

# Parts of the engine that are not torch's module of the same name; they are not offered under its name.
ENGINE = frozenset({"base", "core", "ops", "compile", "compat", "viz", "vision"})

# torch's path -> ours: files of torch that programs import public names from, and where we keep those names. A module
# of our own at torch's path goes first; what lies below an entry follows it.
ALIASES: dict[str, str] = {
    "torch._tensor": "rushlight",
    "torch.functional": "rushlight",
    "torch.autograd.function": "rushlight.autograd",
    "torch.autograd.variable": "rushlight.autograd",
    "torch.nn.parameter": "rushlight.nn",
    "torch.nn.utils.clip_grad": "rushlight.nn.utils",
    "torch.nn.utils.convert_parameters": "rushlight.nn.utils",
    "torch.utils.data._utils.collate": "rushlight.utils.data",
    "torchvision.transforms.transforms": "rushlight.vision.transforms",
    **{f"torch.nn.modules.{file}": "rushlight.nn" for file in (
        "activation", "adaptive", "batchnorm", "container", "conv", "distance", "dropout", "flatten", "fold",
        "instancenorm", "linear", "loss", "module", "normalization", "padding", "pixelshuffle", "pooling", "rnn",
        "sparse", "transformer", "upsampling")},
    **{f"torch.optim.{file}": "rushlight.optim" for file in (
        "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "lbfgs", "nadam", "optimizer", "radam", "rmsprop",
        "rprop", "sgd")},
    **{f"torch.utils.data.{file}": "rushlight.utils.data" for file in (
        "_utils", "dataloader", "dataset", "distributed", "sampler")},
    **{f"torchvision.datasets.{file}": "rushlight.vision.datasets" for file in ("cifar", "fakedata", "folder", "mnist")},
}

SHIM = str(Path(__file__).with_name("shim"))

_lock = threading.RLock()
_served: set[str] = set()  # the names below `torch` and `torchvision` that the alias has entered in sys.modules


class AlreadyImportedError(RuntimeError):
    """Another torch or torchvision is in use in this process; two of them cannot share one name."""


def install(*, children: bool = True) -> None:
    """Let `import torch` and `import torchvision` mean rushlight, in this process and those it starts.

    Call it before the first `import torch`; calling it again does nothing. `children=False` leaves `sys.path` and the
    environment alone, so that processes started from here see the torch they always saw.

    Raises `AlreadyImportedError` when PyTorch itself has been imported already.

    >>> import rushlight.compat
    >>> rushlight.compat.install()
    >>> import torch
    >>> torch.__name__
    'rushlight'
    """
    with _lock:
        if is_installed():
            return
        _refuse_other_torch()
        sys.meta_path.insert(0, FINDER)
        importlib.import_module(ROOTS["torch"])
        _mirror_loaded()
        if children:
            _offer_to_children()


def uninstall() -> None:
    """Undo `install`: `import torch` finds an installed PyTorch again. Objects made meanwhile stay rushlight's."""
    with _lock:
        if not is_installed():
            return
        sys.meta_path.remove(FINDER)
        for name in _served:
            module = sys.modules.pop(name, None)
            if module is not None:
                missing.detach(module)
        _served.clear()
        _withdraw_from_children()


def is_installed() -> bool:
    """Whether the alias is active in this process."""
    return FINDER in sys.meta_path


@contextmanager
def aliased(*, children: bool = True) -> Iterator[None]:
    """`install` for the duration of a `with` block; an alias that was active before stays active after it."""
    before = is_installed()
    install(children=children)
    try:
        yield
    finally:
        if not before:
            uninstall()


def resolve(path: str) -> str | None:
    """The rushlight module that answers for the torch path `path`, or None when there is none."""
    return next((real for real in _candidates(path) if _exists(real)), None)


def submodule(path: str) -> ModuleType | None:
    """The module at the torch path `path`, imported when it has to be, or None when rushlight has none."""
    return importlib.import_module(path) if resolve(path) else None


class AliasFinder(MetaPathFinder):
    """Finds `torch...` and `torchvision...` in rushlight; explains what is not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = fullname.partition(".")[0]
        if root in ROOTS:
            real = resolve(fullname)
            if real is not None:
                return _alias_spec(fullname, real)
            if _purpose() != "ask":
                text = missing.explain_module(fullname, _modules_below(fullname.rpartition(".")[0]))
                raise missing.MissingModuleError(text, name=fullname)
        elif root == ROOTS["torch"] and "." in fullname and _purpose() == "from":
            _refuse_missing_import(fullname, path)
        return None

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """What `importlib.metadata.version("torch")` reads; called by `importlib.metadata` only."""
        name = (context.name or "").lower()
        if name in ROOTS:
            # Imported here because it needs importlib.metadata, which costs more to import than the whole alias.
            from rushlight.compat.distribution import AliasDistribution

            yield AliasDistribution(name, importlib.import_module(ROOTS[name]).__version__)


class AliasLoader(Loader):
    """Hands out a module that exists already, under a second name."""

    def __init__(self, alias: str, real: str) -> None:
        self.alias = alias
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _import_real(self.real)
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the alias's spec into the module; its own one stays the true one.
        module.__spec__ = self.own_spec
        _served.add(self.alias)
        _mirror_loaded()


FINDER = AliasFinder()


def _candidates(path: str) -> Iterator[str]:
    root, _, rest = path.partition(".")
    if root == "torch" and rest.split(".")[0] in ENGINE and path not in ALIASES:
        return
    yield f"{ROOTS[root]}.{rest}" if rest else ROOTS[root]
    prefix = path
    while prefix not in ROOTS:
        if prefix in ALIASES:
            yield ALIASES[prefix] + path.removeprefix(prefix)
        prefix = prefix.rpartition(".")[0]


def _exists(real: str) -> bool:
    if sys.modules.get(real) is not None:
        return True
    try:
        if importlib.util.find_spec(real) is not None:
            return True
    except ModuleNotFoundError as error:
        if error.name is None or not f"{real}.".startswith(f"{error.name}."):
            raise  # something that a parent package needs is not installed
    return _module_attribute(real) is not None


def _module_attribute(real: str) -> ModuleType | None:
    """A module object of ours that lives in its parent without a file of its own."""
    parent, _, child = real.rpartition(".")
    value = vars(sys.modules[parent]).get(child) if parent in sys.modules else None
    is_ours = isinstance(value, ModuleType) and value.__name__.split(".")[0] in ("rushlight", *ROOTS)
    return value if is_ours else None  # not, say, the `os` that a module of ours has imported


def _import_real(real: str) -> ModuleType:
    module = sys.modules.get(real) or _module_attribute(real)
    return module if module is not None else importlib.import_module(real)


def _alias_spec(fullname: str, real: str) -> ModuleSpec:
    module = sys.modules.get(real) or _module_attribute(real)
    own = module.__spec__ if module is not None else importlib.util.find_spec(real)
    spec = ModuleSpec(fullname, AliasLoader(fullname, real), origin=own.origin if own else None)
    if own is not None and own.submodule_search_locations is not None:
        spec.submodule_search_locations = list(own.submodule_search_locations)
    return spec


def _torch_path(real: str) -> str | None:
    """The inverse of the plain rule: `rushlight.nn` -> `torch.nn`; None for the engine's own parts."""
    root, _, rest = real.partition(".")
    if root != ROOTS["torch"]:
        return None
    if rest.split(".")[0] == "vision":
        return "torchvision" + rest.removeprefix("vision")
    if rest.split(".")[0] in ENGINE:
        return None
    return f"torch.{rest}" if rest else "torch"


def _mirror_loaded() -> None:
    """Enter every loaded public module of rushlight in `sys.modules` under its torch path too."""
    for real, module in list(sys.modules.items()):
        path = _torch_path(real)
        if path is None or not isinstance(module, ModuleType):
            continue
        if getattr(module.__spec__, "_initializing", False):
            continue  # half imported: the import system must go on waiting for it
        if path not in sys.modules:
            sys.modules[path] = module
            _served.add(path)
        missing.attach(module, path, submodule)


def _refuse_other_torch() -> None:
    for root in ROOTS:
        module = sys.modules.get(root)
        if module is not None:
            place = getattr(module, "__file__", None) or "an unknown place"
            raise AlreadyImportedError(
                f"rushlight.compat.install(): `{root}` is already imported in this process, from {place}. "
                f"One process has one `{root}`: call install() before anything imports {root}, start the program with "
                "`python -m rushlight run`, or restart the kernel.")
        if root in sys.modules and module is None:
            del sys.modules[root]  # an entry of None blocks an import; the alias is what was asked for now


def _purpose() -> str:
    """Why a finder is being asked: "import" (`import x`), "from" (`from package import x`) or "ask" (`find_spec(x)`).

    A missing module is an error for the first two and None for the third, and the import system tells its finders
    nothing; the frames of its own code above the finder do.
    """
    purpose = "ask"
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib._bootstrap"):
        if frame.f_code.co_name == "_handle_fromlist":
            return "from"
        if frame.f_code.co_name == "_find_and_load_unlocked":
            purpose = "import"
        frame = frame.f_back  # type: ignore[assignment]
    return purpose


def _refuse_missing_import(fullname: str, path: Sequence[str] | None) -> None:
    """Explain `from torch.nn import name`, which finders see as `rushlight.nn.name`, when there is no such thing."""
    parent, _, name = fullname.rpartition(".")
    shown = _torch_path(parent)
    package = sys.modules.get(parent)
    if shown is None or package is None or getattr(package.__spec__, "_initializing", False):
        return
    if PathFinder.find_spec(fullname, path) is None:
        text = missing.explain_import(shown, name, missing.public_names(package))
        raise missing.MissingImportError(text, name=shown)


def _modules_below(path: str) -> list[str]:
    """Names of the modules rushlight has below the torch path `path`, loaded or not."""
    real = resolve(path)
    folders = getattr(sys.modules.get(real or ""), "__path__", ())
    files = {entry.name for folder in folders for entry in os.scandir(folder) if not entry.name.startswith("_")}
    names = {name.partition(".")[0] for name in files if name.endswith(".py") or "." not in name}
    return sorted(names - ENGINE) if path == "torch" else sorted(names)


def _offer_to_children() -> None:
    if SHIM not in sys.path:
        sys.path.insert(min(1, len(sys.path)), SHIM)  # after the script's own folder, as PYTHONPATH is
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if SHIM not in entries:
        os.environ["PYTHONPATH"] = os.pathsep.join([SHIM, *entries])


def _withdraw_from_children() -> None:
    sys.path[:] = [entry for entry in sys.path if entry != SHIM]
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != SHIM]
    if entries:
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        os.environ.pop("PYTHONPATH", None)
