"""Programs written for torch, run by rushlight: the `torch` / `torchvision` alias and `python -m rushlight run`."""

from rushlight.compat.alias import AlreadyImportedError, aliased, install, is_installed, uninstall
from rushlight.compat.missing import MissingImportError, MissingModuleError, MissingNameError

__all__ = [
    "AlreadyImportedError",
    "MissingImportError",
    "MissingModuleError",
    "MissingNameError",
    "aliased",
    "install",
    "is_installed",
    "uninstall",
]
