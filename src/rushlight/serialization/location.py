"""`map_location`: on which device the storages of a checkpoint end up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.device import as_device, concrete, device
from rushlight.serialization.pickle_vm import shorten
from rushlight.serialization.storage_types import CheckpointStorage


class CallerError(Exception):
    """Carries an error of the caller's own function past the code that takes errors for signs of a damaged file."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


Restore = Callable[[CheckpointStorage, str], CheckpointStorage]


def device_of_location(location: Any) -> device:
    """The device a location tag such as `"cuda:0"` means; `RuntimeError` when it cannot be understood."""
    text = location.decode("ascii", "replace") if isinstance(location, bytes) else str(location)
    try:
        return concrete(as_device(text))
    except RuntimeError:
        raise RuntimeError(
            f"don't know how to restore data location of a storage (tagged with {shorten(text)!r}): it names no "
            "device; pass map_location='cpu' to load everything on the CPU"
        ) from None


def restore_function(map_location: Any) -> Restore:
    """How storages are placed, for each form `map_location` can take: None, a device, its name, a dict from location
    tags to device names, or a function of (storage, location tag) that returns a storage, or None for the default."""
    if map_location is None:
        return lambda storage, location: storage.to(device_of_location(location))
    if isinstance(map_location, (str, bytes, device)):
        where = device_of_location(map_location)
        return lambda storage, location: storage.to(where)
    if isinstance(map_location, dict):
        return lambda storage, location: storage.to(device_of_location(map_location.get(location, location)))
    if not callable(map_location):
        raise TypeError(
            "load(): argument 'map_location' must be None, a device, its name, a dict of names or a function, got "
            f"{type(map_location).__name__}"
        )

    def restore(storage: CheckpointStorage, location: str) -> CheckpointStorage:
        try:
            placed = map_location(storage, location)
        except Exception as error:
            raise CallerError(error) from error
        if placed is None:
            return storage.to(device_of_location(location))
        if not isinstance(placed, CheckpointStorage):
            problem = TypeError(
                f"load(): the function given as map_location returned a {type(placed).__name__}; it must return the "
                "storage it was given (perhaps moved, as in storage.cpu()) or None"
            )
            raise CallerError(problem)
        return placed

    return restore
