"""The format of torch before 1.6: five pickles in a row, then the storages, without any checksum.

magic number, protocol version, system information, the object, the list of storage keys; then for each key the number
of elements (int64) and the raw elements.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any, Final

from rushlight.serialization.globals import ClosedTable, Placeholder
from rushlight.serialization.location import Restore
from rushlight.serialization.opcodes import unpickle
from rushlight.serialization.pickle_vm import shorten
from rushlight.serialization.storage_types import NATIVE_ORDER, CheckpointStorage, StorageType, empty_bytes, swap_bytes

MAGIC_NUMBER: Final = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION: Final = 1001


class LegacyReader:
    """Reads one object from `file`, which is positioned at its magic number; leaves it behind the last storage."""

    def __init__(
        self, file: IO[bytes], label: str, table: ClosedTable, restore: Restore, encoding: str, errors: str
    ) -> None:
        self.file = file
        self.label = label
        self.table = table
        self.restore = restore
        self.encoding = encoding
        self.errors = errors
        start = file.tell()
        self.size = file.seek(0, 2) - start
        file.seek(start)
        self.promised = 0
        self.storages: dict[Any, CheckpointStorage] = {}
        self.views: dict[Any, CheckpointStorage] = {}

    def _unpickle(self, persistent_load: Callable[[Any], Any]) -> Any:
        return unpickle(self.file, self.table, persistent_load, self.size, self.encoding, self.errors)

    def load(self) -> Any:
        """The object in the file."""
        self._read_magic()
        version = self._unpickle(_no_storage)
        if version != PROTOCOL_VERSION or type(version) is not int:
            raise RuntimeError(
                f"load(): {self.label} has an unknown protocol version; torch has only ever written {PROTOCOL_VERSION}"
            )
        system = self._unpickle(_no_storage)
        little = system.get("little_endian", True) if isinstance(system, dict) else True
        result = self._unpickle(self._storage)
        keys = self._unpickle(_no_storage)
        if type(keys) is not list or not all(type(key) in (str, int) for key in keys) or len(set(keys)) != len(keys):
            raise UnpicklingError("the list of storages is no list of keys: the file is damaged")
        for key in keys:
            self._fill(key, "little" if little else "big")
        missing = self.storages.keys() - set(keys)
        if missing:
            raise UnpicklingError(f"the file has no data for {len(missing)} of its storages: it is damaged")
        return result

    def _read_magic(self) -> None:
        try:
            magic = self._unpickle(_no_storage)
        except UnpicklingError as error:
            raise RuntimeError(f"load(): {self.label} is neither torch's zip format nor its old one: {error}") from None
        if type(magic) is int and magic == MAGIC_NUMBER:
            return
        raise RuntimeError(
            f"load(): Invalid magic number; {self.label} is no file of torch.save. It starts with a plain pickle of a "
            f"{shorten(type(magic).__name__)}; files of pickle.dump are read by pickle.load, if you trust where they "
            "come from"
        )

    def _storage(self, saved_id: Any) -> Any:
        """The storage, or the class with its source, that a persistent id stands for."""
        if type(saved_id) is not tuple or len(saved_id) < 2:
            raise UnpicklingError("a persistent id in the file is no tuple: the file is damaged")
        kind = saved_id[0]
        if kind in ("module", b"module"):
            return saved_id[1]
        if kind not in ("storage", b"storage") or len(saved_id) != 6:
            raise UnpicklingError("a persistent id in the file is no storage: the file is damaged")
        _, storage_type, key, location, count, view = saved_id
        if isinstance(storage_type, Placeholder):
            return Placeholder(storage_type.name, saved_id)
        if (
            not isinstance(storage_type, StorageType)
            or type(count) is not int
            or count < 0
            or type(key) not in (str, int)
        ):
            raise UnpicklingError("a storage in the file is described in an unknown way: the file is damaged")
        if key not in self.storages:
            self.storages[key] = self._allocate(storage_type, location, count)
        storage = self.storages[key]
        return storage if view is None else self._view(storage, storage_type, view)

    def _allocate(self, storage_type: StorageType, location: Any, count: int) -> CheckpointStorage:
        nbytes = count * storage_type.itemsize
        self.promised += nbytes
        if self.promised > self.size:
            raise RuntimeError(
                f"load(): {self.label} promises {self.promised} bytes of tensors, but has only {self.size} "
                "altogether: it is truncated or damaged"
            )
        tag = location.decode("ascii", "replace") if isinstance(location, bytes) else location
        if type(tag) is not str:
            raise UnpicklingError("a storage in the file has no location: the file is damaged")
        return self.restore(CheckpointStorage(empty_bytes(nbytes), element=storage_type.dtype), tag)

    def _view(self, storage: CheckpointStorage, storage_type: StorageType, view: Any) -> CheckpointStorage:
        """Part of a storage, as torch before 0.4 described one."""
        if (
            type(view) is not tuple
            or len(view) != 3
            or type(view[0]) not in (str, int)
            or not all(type(n) is int and n >= 0 for n in view[1:])
        ):
            raise UnpicklingError("a storage in the file is part of another in an unknown way: the file is damaged")
        key, offset, count = view
        if key not in self.views:
            start, stop = offset * storage_type.itemsize, (offset + count) * storage_type.itemsize
            if stop > storage.nbytes():
                raise UnpicklingError("a storage in the file reaches past the one it is part of: the file is damaged")
            part = CheckpointStorage(storage.array[start:stop], storage.device, storage_type.dtype)
            part.record = storage.record
            self.views[key] = part
        return self.views[key]

    def _fill(self, key: Any, order: str) -> None:
        """Read one storage's elements into the memory its tensors already have."""
        if key not in self.storages:
            raise UnpicklingError("the file has data for a storage that no tensor uses: the file is damaged")
        storage = self.storages[key]
        head = self.file.read(8)
        if len(head) != 8:
            raise RuntimeError(
                f"load(): {self.label} breaks off before the data of its tensors: the download or copy broke off"
            )
        count = struct.unpack("<q" if order == "little" else ">q", head)[0]
        if count != storage.size():
            raise RuntimeError(
                f"load(): {self.label} is damaged: a storage of {storage.size()} elements is followed by the data of "
                f"{count}"
            )
        view = storage.array.data
        place = 0
        while place < len(view):
            data = self.file.read(min(len(view) - place, 1 << 22))
            if not data:
                raise RuntimeError(
                    f"load(): {self.label} breaks off inside the data of its tensors ({len(view) - place} bytes of "
                    "one are missing): the download or copy broke off"
                )
            view[place : place + len(data)] = data
            place += len(data)
        if order != NATIVE_ORDER and storage.dtype is not None:
            swap_bytes(storage.array, storage.dtype)


def _no_storage(saved_id: Any) -> Any:
    raise UnpicklingError("a persistent id stands where none may: the file is damaged")


def is_pickle_start(head: bytes) -> bool:
    """Whether a file that starts like this may be in the old format (a pickle of protocol 1 or later, or of text)."""
    return head[:1] == pickle.PROTO or head[:1] in (pickle.LONG, pickle.LONG1)
