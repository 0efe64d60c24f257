"""`device` objects and the default device. One object stands for one device, so `is` compares them."""

from __future__ import annotations

import threading
from typing import Any, Final, cast

from rushlight.base.kinds import Device

KNOWN_TYPES: Final = ("cpu", "cuda", "mps", "meta", "xpu")
# What people say instead, and what they mean.
_CURES: Final = {
    "gpu": ". An NVIDIA GPU is 'cuda', an Apple one 'mps'",
    **{
        name: f". A dtype is not a string: torch.{name}"
        for name in ("float", "float16", "float32", "float64", "bfloat16", "half", "double", "int", "int32", "int64", "long", "bool")
    },
}


class device(Device):
    """Where a tensor lives: `device("cuda:1")`, `device("cuda", 1)`, `device("cpu")`; also a context manager that
    makes it the default device inside its block.

    Raises `RuntimeError` for a type or an index that cannot be understood.
    """

    __slots__ = ()

    def __new__(cls, type: Any, index: int | None = None) -> device:  # torch's own argument names
        if isinstance(type, device):
            return type
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be a str such as 'cpu' or 'cuda:0', got {type!r}")
        kind, colon, number = type.partition(":")
        if kind not in KNOWN_TYPES or (colon and (not number.isdecimal() or (number[0] == "0" and number != "0"))):
            raise RuntimeError(
                f"Invalid device string: {type!r}; expected one of {', '.join(KNOWN_TYPES)}, with an index as in 'cuda:0'"
                + _CURES.get(kind, "")
            )
        if colon:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            index = int(number)
        if index is not None and index < 0:
            raise RuntimeError(f"Device index must not be negative, got {index}")
        key = (kind, index)
        found = _INTERNED.get(key)
        if found is None:
            found = cast(device, Device.__new__(cls))
            found.type, found.index, found.kernels = kind, index, None
            found = _INTERNED.setdefault(key, found)
        return found

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (self.type,) if self.index is None else (self.type, self.index))

    def __enter__(self) -> device:
        _local.stack = (*_local.stack, _local.current)
        _local.current = self
        return self

    def __exit__(self, *exc: object) -> None:
        *rest, previous = _local.stack
        _local.stack, _local.current = tuple(rest), previous


_INTERNED: dict[tuple[str, int | None], device] = {}


def interned() -> list[device]:
    """Every device that was named so far."""
    return list(_INTERNED.values())


CPU: Final = device("cpu")
META: Final = device("meta")


class _Local(threading.local):
    """The default device is a thread's own, as in torch."""

    current: device = CPU
    stack: tuple[device, ...] = ()


_local = _Local()


def concrete(d: device) -> device:
    """The device tensors are really on: an accelerator without an index means its first one; `cpu:0` is `cpu`."""
    if d.type in ("cpu", "meta"):
        return CPU if d.type == "cpu" else META
    return d if d.index is not None else device(d.type, 0)


def get_default_device() -> device:
    """The device new tensors are made on without `device=`."""
    current = _local.current
    return current if current is CPU else concrete(current)


def set_default_device(device: Any) -> None:  # torch's own argument name
    """Make new tensors of this thread on `device`; None means the CPU."""
    _local.current = as_device("cpu" if device is None else device)


def as_device(value: Any) -> device:
    """A device out of a device, a string or an index."""
    return value if type(value) is device else device(value)
