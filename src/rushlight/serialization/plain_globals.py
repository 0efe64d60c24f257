"""Entries of the closed table for Python's own plain types and for NumPy arrays, dtypes and scalars."""

from __future__ import annotations

import builtins
import collections
import datetime
import os
import pathlib
import types
from collections.abc import Callable
from math import prod
from pickle import UnpicklingError
from typing import Any, Final

import numpy as np

from rushlight.serialization.globals import Placeholder, define, define_builder, define_late, set_attributes
from rushlight.serialization.pickle_vm import check_key

_CODECS: Final = frozenset({"latin1", "latin-1", "iso-8859-1", "ascii", "utf-8", "utf8"})
_FACTORIES: Final = (list, dict, set, int, float, str, tuple, bool, bytes, collections.OrderedDict, collections.Counter)
MAX_DTYPE_DEPTH: Final = 8


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise UnpicklingError(f"the pickle holds {what}: the file is damaged")


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    _require(type(text) is str and encoding in _CODECS, "bytes in an unknown encoding")
    return bytes(text.encode(encoding))


def _bytes(*args: Any) -> bytes:
    _require(args == () or (len(args) == 1 and type(args[0]) is bytes), "bytes made of something else")
    return args[0] if args else b""


def _bytearray(*args: Any) -> bytearray:
    if len(args) == 2:
        return bytearray(_encode(*args))
    return bytearray(_bytes(*args))


def _members(items: Any) -> list[Any]:
    _require(isinstance(items, (list, tuple, set, frozenset)), "a set made of something else than its members")
    for item in items:
        check_key(item)
    return list(items)


def _set(items: Any = ()) -> set[Any]:
    return set(_members(items))


def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(_members(items))


def _pairs(items: Any) -> list[Any]:
    if isinstance(items, dict):
        return list(items.items())
    _require(isinstance(items, (list, tuple)), "a dict made of something else than pairs")
    for pair in items:
        _require(isinstance(pair, (list, tuple)) and len(pair) == 2, "a dict made of something else than pairs")
        check_key(pair[0])
    return list(items)


def _ordered_dict(items: Any = ()) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict(_pairs(items))


def _counter(items: Any = ()) -> collections.Counter[Any]:
    counter: collections.Counter[Any] = collections.Counter()
    dict.update(counter, _pairs(items))
    return counter


def _defaultdict(factory: Any = None, items: Any = ()) -> collections.defaultdict[Any, Any]:
    if isinstance(factory, Placeholder):
        factory = None
    _require(factory is None or factory in _FACTORIES, "a defaultdict with an unknown factory")
    return collections.defaultdict(factory, _pairs(items))


def _deque(items: Any = (), maxlen: Any = None) -> collections.deque[Any]:
    # A deque directly in a deque is refused: freeing a deep chain of them overflows the C stack.
    _require(
        isinstance(items, (list, tuple)) and not any(type(item) is collections.deque for item in items), "nested deques"
    )
    _require(maxlen is None or type(maxlen) is int, "a deque of odd length")
    return collections.deque(items, maxlen)


def _slice(*args: Any) -> slice:
    _require(all(arg is None or type(arg) is int for arg in args), "a slice of something else than integers")
    return slice(*args)


def _range(*args: Any) -> range:
    _require(all(type(arg) is int for arg in args), "a range of something else than integers")
    return range(*args)


def _complex(*args: Any) -> complex:
    _require(all(type(arg) in (int, float) for arg in args), "a complex number of something else than numbers")
    return complex(*args)


def _define_decimal() -> None:
    import decimal

    def make(text: Any) -> decimal.Decimal:
        _require(type(text) is str, "a Decimal of something else than text")
        return decimal.Decimal(text)

    define("decimal.Decimal", decimal.Decimal, call=make)


def _define_namespace() -> None:
    import argparse

    define("argparse.Namespace", argparse.Namespace, create=lambda: argparse.Namespace())
    define_builder(argparse.Namespace, _set_attributes)


def _path(posix: bool, pure: bool) -> Any:
    """Paths of the other system, which cannot be opened here, become pure ones."""
    here = posix == (os.name != "nt")
    kinds = (pathlib.PurePosixPath, pathlib.PosixPath) if posix else (pathlib.PureWindowsPath, pathlib.WindowsPath)
    kind: Any = kinds[1] if here and not pure else kinds[0]

    def make(*parts: Any) -> pathlib.PurePath:
        _require(all(type(part) is str for part in parts), "a path of something else than text")
        made: pathlib.PurePath = kind(*parts)
        return made

    return make


def _set_attributes(instance: Any, state: Any) -> Any:
    set_attributes(instance, state)
    return instance


_CALLS: Final[dict[str, Callable[..., Any]]] = {
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytearray,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "builtins.slice": _slice,
    "builtins.range": _range,
    "builtins.complex": _complex,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "collections.defaultdict": _defaultdict,
    "collections.deque": _deque,
}


def _define_plain() -> None:
    for cls in (list, dict, int, float, str, tuple, bool, object, type(None)):
        define(f"builtins.{cls.__name__}", cls)
    for path, make in _CALLS.items():
        module, _, name = path.partition(".")
        define(path, getattr(builtins if module == "builtins" else collections, name), call=make)
    define("_codecs.encode", _encode, call=_encode)
    define_late("decimal.Decimal", _define_decimal)
    define("types.SimpleNamespace", types.SimpleNamespace, call=lambda: types.SimpleNamespace())
    define_late("argparse.Namespace", _define_namespace)
    for kind in (datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone):
        define(f"datetime.{kind.__name__}", kind, call=kind)
    for name, posix, pure in (
        ("PosixPath", True, False),
        ("PurePosixPath", True, True),
        ("WindowsPath", False, False),
        ("PureWindowsPath", False, True),
    ):
        define(f"pathlib.{name}", getattr(pathlib, name), call=_path(posix, pure))
    for cls in (collections.OrderedDict, types.SimpleNamespace):
        define_builder(cls, _set_attributes)


# NumPy.


def _numpy_dtype(code: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    """`dtype("f8")`. The copy makes it an object of its own, because BUILD may replace it."""
    _require(type(code) is str and len(code) < 64, "a NumPy dtype without a name")
    return np.dtype(np.dtype(code), copy=True)


def _dtype_depth(dtype: np.dtype[Any]) -> int:
    """How deep structures nest; freeing and hashing nested dtypes recurses in C."""
    if dtype.subdtype is not None:
        return 1 + _dtype_depth(dtype.subdtype[0])
    if dtype.fields:
        return 1 + max(_dtype_depth(field[0]) for field in dtype.fields.values())
    return 1


def _build_dtype(dtype: np.dtype[Any], state: Any) -> np.dtype[Any]:
    """The dtype with byte order, fields, shape or time unit of `state`, made by NumPy's constructor."""
    _require(type(state) is tuple and len(state) >= 5, "a NumPy dtype without its state")
    order, subdtype, names, fields = state[1:5]
    if names and fields:
        _require(isinstance(fields, dict) and len(names) < 10_000, "a structured dtype without its fields")
        formats = [fields[name][0] for name in names]
        _require(
            all(isinstance(each, np.dtype) and _dtype_depth(each) < MAX_DTYPE_DEPTH for each in formats),
            "a dtype nested too deep",
        )
        return np.dtype(
            {
                "names": list(names),
                "formats": formats,
                "offsets": [fields[name][1] for name in names],
                "itemsize": int(state[5]),
            }
        )
    if subdtype is not None:
        base, shape = subdtype
        _require(isinstance(base, np.dtype) and _dtype_depth(base) < MAX_DTYPE_DEPTH, "a dtype nested too deep")
        return np.dtype((base, shape))
    if dtype.kind in "mM" and len(state) > 8 and state[8]:
        unit, count = state[8][1][0], state[8][1][1]
        unit = unit.decode("ascii") if isinstance(unit, bytes) else unit
        _require(
            unit in ("generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"),
            "an unknown time unit",
        )
        if unit != "generic":
            dtype = np.dtype(f"{dtype.kind}8[{int(count)}{unit}]")
    if (
        dtype.kind in "SUV"
        and dtype.itemsize == 0
        and len(state) > 5
        and type(state[5]) is int
        and 0 < state[5] < 2**31
    ):
        dtype = np.dtype(f"{dtype.kind}{state[5] // (4 if dtype.kind == 'U' else 1)}")
    return dtype.newbyteorder(order) if order in ("<", ">") else dtype


def _reconstruct(cls: Any, shape: Any, code: Any) -> np.ndarray[Any, Any]:
    _require(cls is np.ndarray, "a NumPy array of a class of its own")
    return np.empty((0,), np.int8)


def _check_array(dtype: Any, shape: Any, nbytes: int | None) -> None:
    _require(isinstance(dtype, np.dtype) and isinstance(shape, tuple), "a NumPy array without shape and dtype")
    _require(
        all(type(n) is int and n >= 0 for n in shape) and len(shape) <= 64, "a NumPy array with an impossible shape"
    )
    _require(
        nbytes is None or prod(shape) * dtype.itemsize == nbytes, "a NumPy array whose data does not fit its shape"
    )


def _build_array(array: np.ndarray[Any, Any], state: Any) -> np.ndarray[Any, Any]:
    # Only a fresh array may be given its data: a second state would free memory that views may share.
    _require(array.size == 0 and type(state) is tuple and len(state) == 5, "a NumPy array with an unknown state")
    _, shape, dtype, is_fortran, data = state
    if isinstance(dtype, np.dtype) and dtype.hasobject:
        _require(dtype == np.dtype(object) and type(data) is list, "a NumPy array of objects within structures")
        # An object array directly in another is refused: freeing a deep chain of them overflows the C stack.
        _require(
            not any(isinstance(item, np.ndarray) and item.dtype.hasobject for item in data),
            "nested NumPy arrays of objects",
        )
        _check_array(dtype, shape, len(data) * dtype.itemsize)
    else:
        if type(data) is str:
            data = data.encode("latin1")
        _require(isinstance(data, (bytes, bytearray)), "a NumPy array without data")
        _check_array(dtype, shape, len(data))
    checked: Any = (1, shape, dtype, bool(is_fortran), data)
    array.__setstate__(checked)
    return array


def _scalar(dtype: Any, data: Any = None) -> Any:
    _require(isinstance(dtype, np.dtype) and not dtype.hasobject, "a NumPy scalar of an unknown type")
    data = data.encode("latin1") if type(data) is str else data
    _require(
        isinstance(data, bytes) and len(data) == dtype.itemsize and len(data) > 0,
        "a NumPy scalar whose data does not fit its type",
    )
    return np.frombuffer(data, dtype)[0]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> np.ndarray[Any, Any]:
    _require(
        isinstance(data, (bytes, bytearray)) and order in ("C", "F", "K") and not getattr(dtype, "hasobject", True),
        "a NumPy array without data",
    )
    _check_array(dtype, shape, len(data))
    if order == "K":
        axes = tuple(axis_order)
        stored = tuple(shape[axis] for axis in axes)
        return np.frombuffer(bytearray(data), dtype).reshape(stored).transpose(np.argsort(axes))
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order=order)


def _define_numpy() -> None:
    define("numpy.ndarray", np.ndarray)
    define("numpy.dtype", np.dtype, call=_numpy_dtype)
    define("numpy._core.multiarray._reconstruct", _reconstruct, call=_reconstruct)
    define("numpy._core.multiarray.scalar", _scalar, call=_scalar)
    define("numpy._core.numeric._frombuffer", _frombuffer, call=_frombuffer)
    for name in (
        "bool_",
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "longdouble",
        "complex64",
        "complex128",
        "str_",
        "bytes_",
        "datetime64",
        "timedelta64",
        "intp",
        "uintp",
    ):
        define(f"numpy.{name}", getattr(np, name))
    define_builder(np.ndarray, _build_array)
    for kind in {type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDGSUVOMm"}:
        define(f"numpy.dtypes.{kind.__name__}", kind, call=_dtype_class(kind))
        define_builder(kind, _build_dtype)


def _dtype_class(kind: Any) -> Any:
    """NumPy pickles `np.dtype` subclasses by reference; calling one gives its dtype."""

    def make(*args: Any) -> np.dtype[Any]:
        _require(args == (), "a NumPy dtype class called with arguments")
        made: np.dtype[Any] = kind()
        return made

    return make


_define_plain()
_define_numpy()
