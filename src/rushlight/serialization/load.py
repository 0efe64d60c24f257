"""`load`: reads what `torch.save` (or ours) wrote, in both its formats, and safetensors files. Runs no code from a
file."""

from __future__ import annotations

import io
import mmap as memory_map
import os
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np

from rushlight.serialization import (
    plain_globals,  # noqa: F401  (fills the table)
    rebuild,  # noqa: F401  (fills the table)
)
from rushlight.serialization.globals import ClosedTable, Placeholder
from rushlight.serialization.legacy import LegacyReader, is_pickle_start
from rushlight.serialization.location import CallerError, Restore, device_of_location, restore_function
from rushlight.serialization.opcodes import unpickle
from rushlight.serialization.pickle_vm import shorten
from rushlight.serialization.safetensors import looks_like_safetensors, read_safetensors
from rushlight.serialization.sniff import HEAD, describe
from rushlight.serialization.storage_types import NATIVE_ORDER, CheckpointStorage, StorageType, empty_bytes, swap_bytes
from rushlight.serialization.zip_reader import STORED, Record, ZipReader


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    unknown: str = "error",
    **pickle_load_args: Any,
) -> Any:
    """Load an object saved with `save` or `torch.save`, or the tensors of a .safetensors file.

    f: a path or a binary file object that can seek. map_location: where storages go: a device, its name, a dict
    `{"cuda:0": "cpu"}`, or a function (storage, location) -> storage or None. mmap: map the storages of the file into
    memory instead of reading them (zip format and safetensors, paths only); changes to the tensors stay in memory.
    unknown: what to do with classes that are not in the closed table, `"error"` or `"placeholder"` (keep name and
    plain state). encoding=... says how to decode the byte strings of Python 2.

    Nothing in a file is ever executed, whatever `weights_only` says; `pickle_module` may only be Python's own and is
    not used.

    Raises `pickle.UnpicklingError` for a class that is not in the table or a damaged pickle, `RuntimeError` for a file
    that is damaged, truncated or no checkpoint, `EOFError` for an empty file, `FileNotFoundError`.

    >>> import io
    >>> from rushlight.serialization import save
    >>> buffer = io.BytesIO()
    >>> save({"epoch": 3}, buffer)
    >>> _ = buffer.seek(0)
    >>> load(buffer)
    {'epoch': 3}
    """
    _check_arguments(pickle_module, weights_only, pickle_load_args)
    job = _Job(f, map_location, bool(mmap), unknown, pickle_load_args)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return job.load(file)
    if not hasattr(f, "read"):
        raise AttributeError(
            "load(): argument 'f' must be a path or a file object with read, readline, seek and tell, got "
            f"{type(f).__name__}"
        )
    _check_seekable(f)
    return job.load(f)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The dotted names a checkpoint uses that `load` would refuse, each once, in the file's order."""
    job = _Job(f, "meta", False, "placeholder", {})
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            job.load(file)
    else:
        job.load(f)
    return list(dict.fromkeys(job.table.unknown_names))


def _check_arguments(pickle_module: Any, weights_only: bool | None, pickle_load_args: dict[str, Any]) -> None:
    if pickle_module is not None and weights_only:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if pickle_module is not None and getattr(pickle_module, "__name__", "") not in ("pickle", "_pickle", "cPickle"):
        raise RuntimeError(
            f"load(): pickle_module={shorten(pickle_module)} is not supported: files are parsed into plain data and "
            "never by a module that runs their code. Use add_safe_globals for your own classes"
        )
    odd = set(pickle_load_args) - {"encoding", "errors", "fix_imports", "buffers"}
    if odd:
        raise TypeError(f"load() got an unexpected keyword argument {sorted(odd)[0]!r}")


def _check_seekable(f: Any) -> None:
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only load from a file that is seekable. Please pre-load the data into a buffer like "
            "io.BytesIO and try to load from it instead."
        ) from None


class _Job:
    """One call of `load`."""

    def __init__(self, f: Any, map_location: Any, mmap: bool, unknown: str, pickle_load_args: dict[str, Any]) -> None:
        self.is_path = isinstance(f, (str, os.PathLike))
        self.label = shorten(os.fspath(f), 300) if self.is_path else shorten(getattr(f, "name", "the file object"), 300)
        self.map_location = map_location
        self.mmap = mmap
        self.table = ClosedTable(unknown)
        self.restore: Restore = restore_function(map_location)
        self.encoding: str = pickle_load_args.get("encoding", "utf-8")
        self.errors: str = pickle_load_args.get("errors", "strict")

    def load(self, file: IO[bytes]) -> Any:
        start = file.tell()
        head = file.read(HEAD)
        size = file.seek(0, 2) - start
        file.seek(start)
        if not head:
            rewind = "" if self.is_path else " (or it stands at its end: call its seek(0) first)"
            raise EOFError(
                f"load(): {self.label} is empty: nothing was saved there, or its download did not start{rewind}"
            )
        if self.mmap and not self.is_path:
            raise ValueError("f must be a file path in order to use the mmap argument")
        if head.startswith(b"PK\x03\x04"):
            return self._named(lambda: _ZipLoad(self, file).load())
        if looks_like_safetensors(head, size):
            return self._load_safetensors(file)
        what = describe(head)
        if what is not None or not is_pickle_start(head):
            raise RuntimeError(
                f"load(): {self.label} is "
                f"{what or 'no checkpoint: it has neither of the formats of torch.save and is no .safetensors file'}"
            )
        if self.mmap:
            raise RuntimeError(
                "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True)`, "
                "please torch.save your checkpoint with this option in order to use mmap."
            )
        reader = LegacyReader(file, self.label, self.table, self.restore, self.encoding, self.errors)
        return self._named(reader.load)

    def _named(self, read: Any) -> Any:
        """Pickle errors are made without knowing the file; name it."""
        try:
            return read()
        except UnpicklingError as error:
            raise UnpicklingError(f"load(): {self.label}: {error}") from error.__cause__
        except CallerError as carrier:
            raise carrier.error from None

    def _load_safetensors(self, file: IO[bytes]) -> Any:
        where = self.map_location
        if isinstance(where, dict) or callable(where):
            raise RuntimeError(
                f"Loading safetensors file with {'dict' if isinstance(where, dict) else 'callable'} map_location is "
                "not supported. Use a device string or torch.device instead."
            )
        target = device_of_location("cpu" if where is None else where)
        return read_safetensors(file, self.label, target, self.mmap)


class _ZipLoad:
    """Reads torch's zip format."""

    def __init__(self, job: _Job, file: IO[bytes]) -> None:
        self.job = job
        self.file = file
        self.zip = ZipReader(file, job.label)
        self.prefix = self._find_prefix()
        self.storages: dict[str, CheckpointStorage] = {}
        self.order = self._byte_order()
        self.map: Any = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY) if job.mmap else None

    def load(self) -> Any:
        data = self.zip.read(f"{self.prefix}data.pkl")
        table, job = self.job.table, self.job
        return unpickle(io.BytesIO(data), table, self._storage, len(data), job.encoding, job.errors)

    def _find_prefix(self) -> str:
        """The folder inside the archive that holds the checkpoint."""
        label, names = self.job.label, list(self.zip.records)
        ends = sorted(
            (name[: -len("data.pkl")] for name in names if name == "data.pkl" or name.endswith("/data.pkl")), key=len
        )
        if any(name.endswith("constants.pkl") for name in names):
            raise RuntimeError(
                f"load(): {label} is a TorchScript archive (torch.jit.save), whose program is not run here. In torch, "
                "save the weights alone: torch.save(torch.jit.load(path).state_dict(), 'weights.pth')"
            )
        if ends:
            return ends[0]
        listed = ", ".join(shorten(name, 40) for name in names[:4]) or "nothing"
        hint = ""
        if names and all(name.endswith(".npy") for name in names):
            hint = " It is a NumPy .npz file: use numpy.load."
        elif any(name.endswith("archive_format") for name in names):
            hint = " It looks like a program of torch.export (.pt2), which is not read."
        elif len(names) == 1:
            hint = " If it is a checkpoint that was zipped, unzip it first."
        raise RuntimeError(
            f"load(): {label} is a zip archive, but no checkpoint: it has no data.pkl (it holds {listed}).{hint}"
        )

    def _byte_order(self) -> str:
        name = f"{self.prefix}byteorder"
        if name not in self.zip.records:
            return "little"
        order = self.zip.read(name)
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {shorten(order.decode('ascii', 'replace'))}")
        return order.decode("ascii")

    def _storage(self, saved_id: Any) -> Any:
        """The storage a persistent id stands for."""
        if type(saved_id) is not tuple or len(saved_id) != 5 or saved_id[0] not in ("storage", b"storage"):
            raise UnpicklingError("a persistent id in the file is no storage: the file is damaged")
        _, storage_type, key, location, count = saved_id
        if isinstance(storage_type, Placeholder):
            return Placeholder(storage_type.name, saved_id)
        key = str(key)[:40] if type(key) in (str, int) else None
        tag = location.decode("ascii", "replace") if isinstance(location, bytes) else location
        if (
            not isinstance(storage_type, StorageType)
            or type(count) is not int
            or count < 0
            or key is None
            or type(tag) is not str
        ):
            raise UnpicklingError("a storage in the file is described in an unknown way: the file is damaged")
        if key not in self.storages:
            self.storages[key] = self._read(storage_type, key, tag, count)
        return self.storages[key]

    def _read(self, storage_type: StorageType, key: str, tag: str, count: int) -> CheckpointStorage:
        nbytes = count * storage_type.itemsize
        record = self.zip.records.get(f"{self.prefix}data/{key}")
        if record is None:
            raise self.zip.error(f"the record of storage {shorten(key)} is missing")
        if record.size != nbytes:
            raise self.zip.error(f"storage {shorten(key)} should have {nbytes} bytes, but its record has {record.size}")
        if self.job.map_location is not None and str(self.job.map_location) == "meta":
            return self.job.restore(CheckpointStorage(empty_bytes(0), element=storage_type.dtype), tag)
        array = self._map(record, storage_type) if self.map is not None else self.zip.read_array(record.name)
        foreign = self.order != NATIVE_ORDER
        if foreign and storage_type.dtype is not None:
            swap_bytes(array, storage_type.dtype)
            foreign = False
        return self.job.restore(CheckpointStorage(array, element=storage_type.dtype, foreign=foreign), tag)

    def _map(self, record: Record, storage_type: StorageType) -> np.ndarray[Any, Any]:
        """The record's place in the mapped file; a private copy when it is compressed or badly aligned."""
        offset = self.zip.start + self.zip.data_offset(record)
        if record.method != STORED or offset % 16:
            return self.zip.read_array(record.name)
        if record.size == 0:
            return empty_bytes(0)
        return np.frombuffer(self.map, np.uint8, record.size, offset)
