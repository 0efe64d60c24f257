"""`save`: writes what `torch.load(weights_only=True)` reads, atomically."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
from typing import IO, Any, Final

from rushlight.serialization.atomic import atomic_write
from rushlight.serialization.legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from rushlight.serialization.pickle_vm import shorten
from rushlight.serialization.pickle_writer import CheckpointPickler, StorageTable
from rushlight.serialization.zip_writer import ALIGNMENT, ZipWriter

DEFAULT_PROTOCOL: Final = 2


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object to a file that `load` and torch's own `torch.load` read.

    f: a path or a binary file object. A path is written in one step: a crash, a full disk or an error leaves the old
    file as it was. Tensors that share memory still share it after loading, and the whole memory behind a view is
    written (save a `.clone()` of a small slice of something big). `_use_new_zipfile_serialization=False` writes the
    format of torch before 1.6.

    Raises `RuntimeError` when the folder does not exist or one memory is viewed as different dtypes, `AttributeError`,
    `TypeError` or `pickle.PicklingError` for objects that cannot be pickled.

    >>> import io
    >>> buffer = io.BytesIO()
    >>> save({"epoch": 3, "name": "tiny"}, buffer)
    >>> buffer.getvalue()[:2]
    b'PK'
    """
    if pickle_module is not None and getattr(pickle_module, "__name__", "") not in ("pickle", "_pickle"):
        raise RuntimeError(
            f"save(): pickle_module={shorten(pickle_module)} is not supported: files must be readable without running "
            "code"
        )
    if not isinstance(pickle_protocol, int) or not 0 <= pickle_protocol <= pickle.HIGHEST_PROTOCOL:
        raise ValueError(
            f"save(): argument 'pickle_protocol' must be 0 to {pickle.HIGHEST_PROTOCOL}, got {pickle_protocol!r}"
        )
    if isinstance(f, (str, os.PathLike)):
        name = _archive_name(f)
        with atomic_write(f) as file:
            _write(obj, file, name, pickle_protocol, _use_new_zipfile_serialization, _disable_byteorder_record)
    elif hasattr(f, "write"):
        _write(obj, f, "archive", pickle_protocol, _use_new_zipfile_serialization, _disable_byteorder_record)
    else:
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute, got {type(f).__name__}"
        )


def _archive_name(path: str | os.PathLike[str]) -> str:
    """The folder inside the archive, as torch names it: the file's name without its last ending."""
    name = os.path.basename(os.fspath(path))
    stem = name.rpartition(".")[0] or name
    plain = stem.isascii() and not any(character in stem for character in "\\:\0") and stem not in (".", "..")
    return stem if plain else "archive"


def _write(obj: Any, file: IO[bytes], name: str, protocol: int, as_zip: bool, no_byteorder: bool) -> None:
    if as_zip:
        _write_zip(obj, file, name, protocol, no_byteorder)
    else:
        _write_legacy(obj, file, protocol)


def _pickled(obj: Any, protocol: int, storages: StorageTable, legacy: bool) -> bytes:
    buffer = io.BytesIO()
    try:
        CheckpointPickler(buffer, protocol, storages, legacy).dump(obj)
    except RecursionError:
        raise RecursionError(
            "save(): the object is nested too deep to be pickled (or refers to itself through __reduce__); save its "
            "state_dict instead"
        ) from None
    return buffer.getvalue()


def _write_zip(obj: Any, file: IO[bytes], name: str, protocol: int, no_byteorder: bool) -> None:
    # Everything that can fail on the object's account is done before the first byte is written.
    storages = StorageTable()
    data = _pickled(obj, protocol, storages, legacy=False)
    archive = ZipWriter(file, name)
    archive.write_record("data.pkl", data)
    archive.write_record(".format_version", b"1")
    archive.write_record(".storage_alignment", str(ALIGNMENT).encode())
    if not no_byteorder:
        archive.write_record("byteorder", sys.byteorder.encode())
    for storage in storages.saved.values():
        archive.write_record(f"data/{storage.key}", storage.memory)
    archive.finish()


def _write_legacy(obj: Any, file: IO[bytes], protocol: int) -> None:
    storages = StorageTable()
    data = _pickled(obj, protocol, storages, legacy=True)
    system = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for header in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        file.write(pickle.dumps(header, protocol))
    file.write(data)
    saved = sorted(storages.saved.values(), key=lambda storage: storage.key)
    file.write(pickle.dumps([storage.key for storage in saved], protocol))
    for storage in saved:
        file.write(struct.pack("=q", storage.count))
        file.write(storage.memory.data)
