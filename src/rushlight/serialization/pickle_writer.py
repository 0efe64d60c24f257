"""Writes pickles in which everything bears torch's names, so that torch reads what we save.

A subclass of Python's own pickler in its pure form: globals are written by name from the closed table instead of being
looked up in modules (there need be no torch to import), tensors become calls of torch's rebuild functions, and storages
become persistent ids.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import IO, Any, Final

import numpy as np

from rushlight.base.device import CPU, as_device, device
from rushlight.core.generator import Generator
from rushlight.core.public import Tensor
from rushlight.ops.storage import UntypedStorage
from rushlight.serialization import bridge, rebuild
from rushlight.serialization.globals import Placeholder, written_path
from rushlight.serialization.storage_types import TYPED, UNTYPED, CheckpointStorage, StorageType

_Pickler: Any = pickle._Pickler  # type: ignore[attr-defined]


class SavedStorage:
    """One storage to be written: its bytes, element type and location; stands in the object graph as a persistent
    id."""

    __slots__ = ("key", "memory", "kind", "itemsize", "location")

    def __init__(self, key: str, memory: np.ndarray[Any, Any], kind: StorageType, location: str) -> None:
        self.key = key
        self.kind = kind
        self.itemsize = kind.itemsize
        # Whole elements only: a float view of a byte buffer need not use its last bytes.
        self.memory = memory[: len(memory) - len(memory) % self.itemsize]
        self.location = location

    @property
    def count(self) -> int:
        return len(self.memory) // self.itemsize


class StorageTable:
    """The storages met while pickling, each once, numbered in order."""

    def __init__(self) -> None:
        self.saved: dict[Any, SavedStorage] = {}
        # The parts keep temporary arrays alive, so that no address is met twice.
        self.held: list[Any] = []

    def add(self, key: Any, memory: np.ndarray[Any, Any], kind: StorageType, where: device) -> SavedStorage:
        known = self.saved.get(key)
        if known is None:
            known = self.saved[key] = SavedStorage(str(len(self.saved)), memory, kind, str(where))
            self.held.append(memory)
        elif known.kind is not kind:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different types "
                f"({known.kind} and {kind}): save a .clone() of one of them"
            )
        return known


class CheckpointPickler(_Pickler):  # type: ignore[misc]
    """Pickles one object to `file`; the storages it met are in `storages` afterwards.

    legacy: persistent ids in the form of the old format.
    """

    def __init__(self, file: IO[bytes], protocol: int, storages: StorageTable, legacy: bool = False) -> None:
        super().__init__(file, protocol=protocol)
        self.storages = storages
        self.legacy = legacy

    def persistent_id(self, obj: Any) -> Any:
        """Storages are written beside the pickle."""
        if isinstance(obj, UntypedStorage):
            obj = self._storage(obj)
        if type(obj) is not SavedStorage:
            return None
        described = ("storage", obj.kind, obj.key, obj.location, obj.count)
        return (*described, None) if self.legacy else described

    def _storage(self, storage: UntypedStorage) -> SavedStorage:
        """A storage that stands in the object by itself."""
        if storage.memory is None:
            raise pickle.PicklingError("cannot save the storage of a meta tensor: it has no memory")
        element = storage.dtype if isinstance(storage, CheckpointStorage) else None
        key = ("memory", storage.data_ptr()) if storage.memory.size else ("empty", id(storage.record))
        kind = UNTYPED if element is None else TYPED[element.name]
        return self.storages.add(key, storage.memory, kind, storage.device)

    def reducer_override(self, obj: Any) -> Any:
        """Tensors and everything with a torch name; the rest is pickled as Python does."""
        kind = type(obj)
        if kind in _PLAIN:
            return NotImplemented
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj)
        if kind is device:
            return (device, (obj.type,) if obj.index is None else (obj.type, obj.index))
        if isinstance(obj, Generator):
            state = bridge.tensor_from_array(obj.get_state_bytes(), CPU)
            return Generator, (as_device(obj.device),), (obj.initial_seed(), None, state)
        if kind is Placeholder:
            raise pickle.PicklingError(
                f"cannot save {obj!r}: it only stands for an object whose class was unknown when it was loaded. Save "
                "its tensors instead"
            )
        path = written_path(obj)
        if path is not None:
            return path[1]
        # Protocol 2 is how files hold objects of our classes, whatever the protocol of the rest.
        return NotImplemented if written_path(kind) is None else obj.__reduce_ex__(2)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a global, by torch's name when it has one."""
        path = written_path(obj)
        if path is None:
            super().save_global(obj, name)
            return
        module, name = path
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    def _reduce_tensor(self, tensor: Any) -> Any:
        function, args = self._reduce_data(tensor)
        attributes = dict(getattr(tensor, "__dict__", {}))
        if written_path(type(tensor)) == ("torch.nn.parameter", "Parameter"):
            data = _Rebuild(function, args)
            hooks: OrderedDict[Any, Any] = OrderedDict()
            if attributes:
                return rebuild.rebuild_parameter_with_state, (data, tensor.requires_grad, hooks, attributes)
            return rebuild.rebuild_parameter, (data, tensor.requires_grad, hooks)
        if attributes or type(tensor) is not Tensor:
            return rebuild.rebuild_from_type, (function, type(tensor), args, attributes)
        return function, args

    def _reduce_data(self, tensor: Any) -> tuple[Any, tuple[Any, ...]]:
        """The rebuild function and its arguments."""
        parts = bridge.tensor_parts(tensor)
        is_parameter = written_path(type(tensor)) == ("torch.nn.parameter", "Parameter")
        requires_grad = tensor.requires_grad and not is_parameter
        if parts.memory is None:
            return rebuild.rebuild_meta_tensor, (parts.dtype, parts.size, parts.stride, requires_grad)
        kind = TYPED.get(parts.dtype.name, UNTYPED)
        storage = self.storages.add(parts.key, parts.memory, kind, tensor.device)
        args: tuple[Any, ...] = (storage, parts.offset, parts.size, parts.stride, requires_grad, OrderedDict())
        if kind is UNTYPED:
            return rebuild.rebuild_tensor_v3, (*args, parts.dtype)
        return rebuild.rebuild_tensor_v2, args


class _Rebuild:
    """The tensor inside a parameter: a call of a rebuild function that has no object of ours."""

    __slots__ = ("function", "args")

    def __init__(self, function: Any, args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args

    def __reduce__(self) -> Any:
        return self.function, self.args


_PLAIN: Final = frozenset(
    {str, int, float, bool, type(None), bytes, tuple, list, dict, OrderedDict, SavedStorage, _Rebuild, np.ndarray}
)
