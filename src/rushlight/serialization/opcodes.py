"""The pickle opcodes (protocols 0 to 5) as steps of the machine in pickle_vm.py, and the loop that runs them."""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any, Final

from rushlight.serialization.pickle_vm import PickleMachine, Table, check_key, shorten

# What a damaged pickle makes the steps below raise; everything else is somebody's own, clear error.
_DAMAGE: Final = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
    AssertionError,
)


def unpickle(
    file: IO[bytes],
    table: Table,
    persistent_load: Callable[[Any], Any],
    size: int,
    encoding: str = "utf-8",
    errors: str = "strict",
) -> Any:
    """The object that the pickle at the file's position describes; the arguments are those of `PickleMachine`.

    Raises `UnpicklingError` when it is damaged, breaks off or names a class that the table does not have.
    """
    vm = PickleMachine(file, table, persistent_load, size, encoding, errors)
    read, handlers = file.read, _HANDLERS
    try:
        while (code := read(1)) != b".":
            if not code:
                raise UnpicklingError("the pickle breaks off before its end: the file is truncated")
            handler = handlers.get(code[0])
            if handler is None:
                raise UnpicklingError(
                    f"byte {code[0]:#04x} is no pickle opcode: the file is damaged or not a checkpoint"
                )
            handler(vm)
        if vm.marks or len(vm.stack) != 1:
            raise UnpicklingError("the pickle ends with an unfinished object: the file is damaged")
        return vm.stack.pop()
    except UnpicklingError as error:
        raise UnpicklingError(f"{error} (byte {file.tell()})") from error.__cause__
    except _DAMAGE as error:
        raise UnpicklingError(
            f"the pickle is damaged near byte {file.tell()}: {type(error).__name__}: {shorten(_text_of(error), 300)}"
        ) from error


def _text_of(error: BaseException) -> str:
    """The message of an error; a number too long to print must not hide it."""
    try:
        return str(error)
    except ValueError:
        return "a number too long to print"


_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_I32: Final = struct.Struct("<i")
_F64: Final = struct.Struct(">d")
_U8: Final = struct.Struct("B")

Handler = Callable[[PickleMachine], None]


def _proto(vm: PickleMachine) -> None:
    vm.protocol = vm.byte()
    if vm.protocol > 5:
        raise UnpicklingError(
            f"pickle protocol {vm.protocol} is not known (0 to 5 are): the file is damaged or newer than this reader"
        )


def _frame(vm: PickleMachine) -> None:
    length = vm.number(_U64)
    if length > vm.size:
        raise UnpicklingError(
            f"the pickle declares a frame of {length} bytes, but the whole file has {vm.size}: the file is damaged"
        )


def _constant(value: Any) -> Handler:
    return lambda vm: vm.stack.append(value)


def _fresh(make: Callable[[], Any]) -> Handler:
    return lambda vm: vm.stack.append(make())


def _integer(layout: struct.Struct) -> Handler:
    return lambda vm: vm.stack.append(vm.number(layout))


def _float(vm: PickleMachine) -> None:
    vm.stack.append(_F64.unpack(vm.take(8))[0])


def _long(layout: struct.Struct) -> Handler:
    def handler(vm: PickleMachine) -> None:
        length = vm.number(layout)
        if length < 0:
            raise UnpicklingError("the pickle declares an integer of negative length: the file is damaged")
        vm.stack.append(int.from_bytes(vm.take(length), "little", signed=True))

    return handler


def _text(layout: struct.Struct) -> Handler:
    return lambda vm: vm.stack.append(str(vm.take(vm.number(layout)), "utf-8", "surrogatepass"))


def _bytes(layout: struct.Struct) -> Handler:
    return lambda vm: vm.stack.append(vm.take(vm.number(layout)))


def _legacy_string(layout: struct.Struct) -> Handler:
    def handler(vm: PickleMachine) -> None:
        length = vm.number(layout)
        if length < 0:
            raise UnpicklingError("the pickle declares a string of negative length: the file is damaged")
        vm.stack.append(vm.legacy_text(vm.take(length)))

    return handler


def _bytearray(vm: PickleMachine) -> None:
    vm.stack.append(bytearray(vm.take(vm.number(_U64))))


def _text_int(vm: PickleMachine) -> None:
    data = vm.line()
    vm.stack.append(data == b"01" if data in (b"00", b"01") else int(data))


def _text_long(vm: PickleMachine) -> None:
    vm.stack.append(int(vm.line().removesuffix(b"L")))


def _text_float(vm: PickleMachine) -> None:
    vm.stack.append(float(vm.line()))


def _text_string(vm: PickleMachine) -> None:
    data = vm.line()
    if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in (b"'", b'"'):
        raise UnpicklingError("the pickle holds a string without its quotes: the file is damaged")
    vm.stack.append(vm.legacy_text(codecs.escape_decode(data[1:-1])[0]))  # type: ignore[attr-defined]


def _text_unicode(vm: PickleMachine) -> None:
    vm.stack.append(str(vm.line(), "raw-unicode-escape"))


def _mark(vm: PickleMachine) -> None:
    vm.marks.append(vm.stack)
    vm.stack = []


def _pop(vm: PickleMachine) -> None:
    if vm.stack:
        vm.stack.pop()
    else:
        vm.pop_mark()


def _pop_mark(vm: PickleMachine) -> None:
    vm.pop_mark()


def _dup(vm: PickleMachine) -> None:
    vm.stack.append(vm.stack[-1])


def _list(vm: PickleMachine) -> None:
    items = vm.pop_mark()
    vm.stack.append(items)


def _tuple(vm: PickleMachine) -> None:
    items = vm.pop_mark()
    vm.stack.append(tuple(items))


def _tuple_of(count: int) -> Handler:
    def handler(vm: PickleMachine) -> None:
        if len(vm.stack) < count:
            raise UnpicklingError("the pickle takes more from its stack than is there: the file is damaged")
        vm.stack[-count:] = [tuple(vm.stack[-count:])]

    return handler


def _dict(vm: PickleMachine) -> None:
    items = vm.pop_mark()
    vm.stack.append({})
    vm.set_in_top(items)


def _frozenset(vm: PickleMachine) -> None:
    items = vm.pop_mark()
    for item in items:
        check_key(item)
    vm.stack.append(frozenset(items))


def _append(vm: PickleMachine) -> None:
    item = vm.stack.pop()
    vm.append_to_top([item])


def _appends(vm: PickleMachine) -> None:
    vm.append_to_top(vm.pop_mark())


def _setitem(vm: PickleMachine) -> None:
    value = vm.stack.pop()
    vm.set_in_top([vm.stack.pop(), value])


def _setitems(vm: PickleMachine) -> None:
    vm.set_in_top(vm.pop_mark())


def _additems(vm: PickleMachine) -> None:
    vm.add_to_top(vm.pop_mark())


def _get(vm: PickleMachine, key: int) -> None:
    if key not in vm.memo:
        raise UnpicklingError(
            f"the pickle refers to its object number {key}, which it never stored: the file is damaged"
        )
    vm.stack.append(vm.memo[key])


def _memoize(vm: PickleMachine) -> None:
    vm.memo[len(vm.memo)] = vm.stack[-1]


def _put(vm: PickleMachine, key: int) -> None:
    vm.memo[key] = vm.stack[-1]


def _global(vm: PickleMachine) -> None:
    module = vm.line().decode("utf-8")
    vm.push_global(module, vm.line().decode("utf-8"))


def _stack_global(vm: PickleMachine) -> None:
    name = vm.stack.pop()
    vm.push_global(vm.stack.pop(), name)


def _persistent(vm: PickleMachine) -> None:
    vm.stack.append(vm.persistent_load(vm.stack.pop()))


def _refuse(what: str) -> Handler:
    def handler(vm: PickleMachine) -> None:
        raise UnpicklingError(
            f"the pickle uses {what}, which no checkpoint does: the file is damaged or not a checkpoint"
        )

    return handler


_HANDLERS: Final[dict[int, Handler]] = {
    code[0]: handler
    for code, handler in {
        pickle.PROTO: _proto,
        pickle.FRAME: _frame,
        pickle.NONE: _constant(None),
        pickle.NEWTRUE: _constant(True),
        pickle.NEWFALSE: _constant(False),
        pickle.EMPTY_TUPLE: _constant(()),
        pickle.EMPTY_LIST: _fresh(list),
        pickle.EMPTY_DICT: _fresh(dict),
        pickle.EMPTY_SET: _fresh(set),
        pickle.BININT: _integer(_I32),
        pickle.BININT1: lambda vm: vm.stack.append(vm.byte()),
        pickle.BININT2: _integer(_U16),
        pickle.LONG1: _long(_U8),
        pickle.LONG4: _long(_I32),
        pickle.BINFLOAT: _float,
        pickle.INT: _text_int,
        pickle.LONG: _text_long,
        pickle.FLOAT: _text_float,
        pickle.STRING: _text_string,
        pickle.UNICODE: _text_unicode,
        pickle.SHORT_BINUNICODE: _text(_U8),
        pickle.BINUNICODE: _text(_U32),
        pickle.BINUNICODE8: _text(_U64),
        pickle.SHORT_BINBYTES: _bytes(_U8),
        pickle.BINBYTES: _bytes(_U32),
        pickle.BINBYTES8: _bytes(_U64),
        pickle.SHORT_BINSTRING: _legacy_string(_U8),
        pickle.BINSTRING: _legacy_string(_I32),
        pickle.BYTEARRAY8: _bytearray,
        pickle.MARK: _mark,
        pickle.POP: _pop,
        pickle.POP_MARK: _pop_mark,
        pickle.DUP: _dup,
        pickle.LIST: _list,
        pickle.DICT: _dict,
        pickle.TUPLE: _tuple,
        pickle.FROZENSET: _frozenset,
        pickle.TUPLE1: _tuple_of(1),
        pickle.TUPLE2: _tuple_of(2),
        pickle.TUPLE3: _tuple_of(3),
        pickle.APPEND: _append,
        pickle.APPENDS: _appends,
        pickle.SETITEM: _setitem,
        pickle.SETITEMS: _setitems,
        pickle.ADDITEMS: _additems,
        pickle.GET: lambda vm: _get(vm, int(vm.line())),
        pickle.BINGET: lambda vm: _get(vm, vm.byte()),
        pickle.LONG_BINGET: lambda vm: _get(vm, vm.number(_U32)),
        pickle.PUT: lambda vm: _put(vm, int(vm.line())),
        pickle.BINPUT: lambda vm: _put(vm, vm.byte()),
        pickle.LONG_BINPUT: lambda vm: _put(vm, vm.number(_U32)),
        pickle.MEMOIZE: _memoize,
        pickle.GLOBAL: _global,
        pickle.STACK_GLOBAL: _stack_global,
        pickle.REDUCE: PickleMachine.reduce,
        pickle.BUILD: PickleMachine.build,
        pickle.NEWOBJ: lambda vm: vm.create(False),
        pickle.NEWOBJ_EX: lambda vm: vm.create(True),
        pickle.BINPERSID: _persistent,
        pickle.PERSID: _refuse("a textual persistent id"),
        pickle.INST: _refuse("the INST opcode"),
        pickle.OBJ: _refuse("the OBJ opcode"),
        pickle.EXT1: _refuse("the extension registry"),
        pickle.EXT2: _refuse("the extension registry"),
        pickle.EXT4: _refuse("the extension registry"),
        pickle.NEXT_BUFFER: _refuse("out-of-band buffers"),
        pickle.READONLY_BUFFER: _refuse("out-of-band buffers"),
    }.items()
}
