"""Atomic files: a reader sees the old file or the whole new one, also after a crash or a full disk."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Write the file at `path` in one step: the body writes a temporary file in the same folder, which takes the place
    of the old one when the body ends well. When it raises, the old file is untouched and nothing is left behind.

    A symbolic link keeps pointing where it points; a device or pipe (`/dev/null`) is written straight.
    Raises `RuntimeError` when the folder does not exist, `OSError` when it cannot be written.
    """
    target = os.path.realpath(os.fspath(path))
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(
            f"Parent directory {folder} does not exist: make it first (os.makedirs), or save somewhere else"
        )
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(f"{target} is a folder: give the name of a file in it")
        with open(target, "wb") as file:
            yield file
        return
    temporary = os.path.join(folder, f".{os.path.basename(target)[:100]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(folder)


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def sync_folder(folder: str) -> None:
    """Make a rename in `folder` survive a power cut, where folders can be synchronised at all (not on Windows)."""
    flag: Any = getattr(os, "O_DIRECTORY", None)
    if flag is None:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | flag)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
