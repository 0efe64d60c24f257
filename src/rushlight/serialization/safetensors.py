"""The safetensors format, both ways, without the safetensors package.

Eight bytes (little endian) give the length of a JSON header; the header gives each tensor's dtype, shape and place in
the bytes that follow, which the tensors fill without gaps. Everything is checked before a byte of data is read.
"""

from __future__ import annotations

import json
import mmap as memory_map
import os
import struct
import sys
from collections.abc import Mapping
from math import prod
from typing import IO, Any, Final

import numpy as np

from rushlight.base.device import CPU, device
from rushlight.base.dtypes import dtype
from rushlight.serialization import bridge
from rushlight.serialization.atomic import atomic_write
from rushlight.serialization.location import device_of_location
from rushlight.serialization.pickle_vm import shorten
from rushlight.serialization.storage_types import swap_bytes

MAX_HEADER: Final = 100_000_000
_NAME_OF_DTYPE: Final = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
}
_DTYPE_OF_NAME: Final = {name: dtype_name for dtype_name, name in _NAME_OF_DTYPE.items()}


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that starts with `head` is in this format."""
    return (
        len(head) > 8
        and head[8:9] == b"{"
        and 2 <= int.from_bytes(head[:8], "little") <= min(MAX_HEADER, max(size - 8, 0))
    )


def save_safetensors(
    tensors: Mapping[str, Any], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors to a .safetensors file, in one step: the old file stays until the new one is whole.

    metadata: text to text. Tensors that are not contiguous are written in row-major order. Raises `ValueError` for
    anything that is not a dict of names to tensors, `RuntimeError` when two tensors share memory (the format cannot
    say so).
    """
    arrays = _arrays_of(tensors)
    header: dict[str, Any] = {}
    if metadata is not None:
        if not all(type(key) is str and type(value) is str for key, value in metadata.items()):
            raise ValueError(
                "save_safetensors(): argument 'metadata' must map text to text; use str() or json.dumps on other values"
            )
        header["__metadata__"] = dict(metadata)
    # Widest elements first keeps every tensor aligned, as the safetensors package does.
    order = sorted(arrays, key=lambda name: (-arrays[name][0].itemsize, name))
    place = 0
    for name in order:
        element, array = arrays[name]
        header[name] = {
            "dtype": _NAME_OF_DTYPE[element.name],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"save_safetensors(): the names and metadata take {len(text)} bytes; the format allows {MAX_HEADER}"
        )
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(_little_endian(*arrays[name]))


def _arrays_of(tensors: Mapping[str, Any]) -> dict[str, tuple[dtype, np.ndarray[Any, Any]]]:
    if not isinstance(tensors, Mapping):
        raise ValueError(
            f"save_safetensors(): argument 'tensors' must be a dict of names to tensors, got {type(tensors).__name__}"
        )
    arrays = {}
    spans: list[tuple[int, int, str]] = []
    for name, tensor in tensors.items():
        if type(name) is not str or name == "__metadata__":
            raise ValueError(f"save_safetensors(): {name!r} cannot be the name of a tensor")
        if not bridge.is_tensor(tensor):
            raise ValueError(
                f"save_safetensors(): the value of {name!r} must be a tensor, got {type(tensor).__name__}; the format "
                "holds nothing else"
            )
        if tensor.device.type == "meta":
            raise ValueError(f"save_safetensors(): {name!r} is on the meta device and has no values")
        if tensor.dtype.name not in _NAME_OF_DTYPE:
            raise ValueError(f"save_safetensors(): {name!r} has dtype {tensor.dtype}, which the format does not know")
        parts = bridge.tensor_parts(tensor)
        if tensor.numel() and parts.memory is not None:
            low = parts.memory.__array_interface__["data"][0] + parts.offset * parts.dtype.itemsize
            span = 1 + sum((n - 1) * step for n, step in zip(parts.size, parts.stride, strict=True))
            spans.append((low, low + span * parts.dtype.itemsize, name))
        arrays[name] = (tensor.dtype, bridge.contiguous_array(tensor))
    spans.sort()
    for (_, end, name), (start, _, other) in zip(spans, spans[1:], strict=False):
        if start < end:
            raise RuntimeError(
                f"save_safetensors(): {name!r} and {other!r} share memory, which the format cannot keep: save only "
                "one of them (tie them again after loading), or a .clone() of one"
            )
    return arrays


def _little_endian(element: dtype, array: np.ndarray[Any, Any]) -> Any:
    flat = array.reshape(-1).view(np.uint8)
    if sys.byteorder == "big":
        flat = flat.copy()
        swap_bytes(flat, element)
    return flat


def load_safetensors(path: str | os.PathLike[str], device: Any = None, *, mmap: bool = False) -> dict[str, Any]:
    """The tensors of a .safetensors file, by name, in the file's order.

    device: where they go, the CPU by default. mmap: map the file into memory instead of reading it; changes to the
    tensors stay in memory. Raises `RuntimeError` for a file that is damaged or in another format.
    """
    with open(path, "rb") as file:
        return read_safetensors(
            file, shorten(os.fspath(path), 300), device_of_location("cpu" if device is None else device), mmap
        )


def safetensors_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text that was stored beside the tensors of a .safetensors file."""
    with open(path, "rb") as file:
        header, _, _ = _read_header(file, shorten(os.fspath(path), 300))
    return dict(header.get("__metadata__", {}))


def read_safetensors(file: IO[bytes], label: str, where: device = CPU, mapped: bool = False) -> dict[str, Any]:
    """The tensors of the open `file`, which `label` names in messages."""
    header, start, data_size = _read_header(file, label)
    entries = sorted(
        ((*_checked_entry(name, entry, label), name) for name, entry in header.items() if name != "__metadata__"),
        key=lambda entry: entry[2:4],
    )
    place = 0
    for _, _, begin, end, name in entries:
        if begin != place:
            raise _error(
                label, f"{shorten(name)!r} starts at byte {begin} of the data, but the tensors before it end at {place}"
            )
        place = end
    if place != data_size:
        raise _error(
            label, f"its header describes {place} bytes of data, but {data_size} are there: it is truncated or damaged"
        )
    if mapped:
        whole = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)
    tensors = {}
    for element, shape, begin, end, name in entries:
        if mapped and end > begin and (start + begin) % element.itemsize == 0:
            flat = np.frombuffer(whole, np.uint8, end - begin, start + begin)
        else:
            flat = _read_array(file, start + begin, end - begin, label)
        if sys.byteorder == "big":
            swap_bytes(flat, element)
        tensors[name] = bridge.tensor_from_array(flat.view(element.np).reshape(shape), where)
    return tensors


def _error(label: str, what: str) -> RuntimeError:
    return RuntimeError(f"load(): {label} is no sound .safetensors file: {what}")


def _read_header(file: IO[bytes], label: str) -> tuple[dict[str, Any], int, int]:
    """The header, where the data starts, and how many bytes of it there are."""
    origin = file.tell()
    size = file.seek(0, 2) - origin
    file.seek(origin)
    head = file.read(8)
    if len(head) < 8:
        raise _error(label, f"it has only {len(head)} bytes")
    length = int.from_bytes(head, "little")
    if length > MAX_HEADER or length > size - 8:
        raise _error(
            label, f"it declares a header of {length} bytes, but has {size - 8} (and at most {MAX_HEADER} are allowed)"
        )
    text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _error(label, f"its header cannot be read ({shorten(error)})") from None
    if not isinstance(header, dict) or not text.startswith(b"{"):
        raise _error(label, "its header is no JSON object")
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(type(value) is str for value in metadata.values()):
        raise _error(label, "its metadata is something else than text")
    return header, origin + 8 + length, size - 8 - length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _checked_entry(name: str, entry: Any, label: str) -> tuple[dtype, tuple[int, ...], int, int]:
    """dtype, shape and place of one tensor."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _error(label, f"the entry of {shorten(name)!r} has not exactly dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for what, numbers in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(numbers, list) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            raise _error(label, f"{what} of {shorten(name)!r} is no list of sizes")
    dtype_name = _DTYPE_OF_NAME.get(entry["dtype"]) if type(entry["dtype"]) is str else None
    element = None if dtype_name is None else bridge.dtype_named(dtype_name)
    if element is None:
        raise _error(label, f"{shorten(name)!r} has dtype {shorten(entry['dtype'], 40)!r}, which is not supported here")
    if len(offsets) != 2 or len(shape) > 64 or offsets[1] - offsets[0] != prod(shape) * element.itemsize:
        raise _error(
            label, f"{shorten(name)!r} of shape {shorten(shape)} does not fit between its offsets {shorten(offsets)}"
        )
    return element, tuple(shape), offsets[0], offsets[1]


def _read_array(file: IO[bytes], place: int, count: int, label: str) -> np.ndarray[Any, Any]:
    file.seek(place)
    array = np.empty(count, np.uint8)
    view, done = array.data, 0
    while done < count:
        data = file.read(min(count - done, 1 << 22))
        if not data:
            raise _error(label, "its data breaks off")
        view[done : done + len(data)] = data
        done += len(data)
    return array
