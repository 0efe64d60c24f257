"""The state of a pickle opcode machine that builds plain data and never runs code; opcodes.py drives it.

Python's own unpickler imports whatever a file names and calls it. This machine reads the same opcodes (protocols 0 to
5), but every name goes through a closed table (see globals.py), so a file can only ask for what the table offers. Sizes
that a file declares are compared with the bytes that are there before anything is allocated, and the work a file may
cause is bounded by its length.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any, Final, Protocol

# Copies that constructors make may exceed the pickle's own length this many times, plus a fixed allowance.
WORK_PER_BYTE: Final = 64
WORK_ALLOWANCE: Final = 1_000_000
# A dictionary key's or set member's nested tuples: hashing them recurses in C, without a limit of its own.
MAX_KEY_DEPTH: Final = 64
MAX_KEY_PARTS: Final = 100_000

_PLAIN_KEYS: Final = frozenset({str, int, bytes, bool, float, type(None), complex, frozenset})
_SIZED: Final = (list, tuple, dict, set, frozenset, str, bytes, bytearray, deque)


class Table(Protocol):
    """What the machine needs of the closed table."""

    def find(self, module: str, name: str, protocol: int) -> Any:
        """The value that stands for a global; raises `UnpicklingError` when there is none."""

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """REDUCE: the result of `function(*args)`."""

    def create(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """NEWOBJ: the result of `cls.__new__(cls, *args, **kwargs)`."""

    def build(self, instance: Any, state: Any) -> Any:
        """BUILD: `instance` with `state` set, or the object that takes its place."""

    def allows_items(self, instance: Any) -> bool:
        """Whether APPEND and SETITEM may touch an instance of a class that is no plain container."""


def shorten(text: object, limit: int = 120) -> str:
    """`text` made fit for a message: printable ASCII and no longer than `limit`; a file's names can be anything."""
    plain = str(text)[: limit + 1].encode("unicode_escape").decode("ascii")
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def check_key(key: Any) -> None:
    """Refuse dictionary keys whose hash would recurse too deep or take too long (nested tuples)."""
    if type(key) in _PLAIN_KEYS:
        return
    if not isinstance(key, tuple):
        return
    level = list(key)
    parts = depth = 0
    while level:
        depth += 1
        parts += len(level)
        if depth > MAX_KEY_DEPTH or parts > MAX_KEY_PARTS:
            raise UnpicklingError(
                "the pickle uses a tuple nested too deep as a dictionary key or set member; no checkpoint "
                "does that, so the file is damaged or made to exhaust memory"
            )
        level = [part for item in level if isinstance(item, tuple) for part in item]


class PickleMachine:
    """Reads one pickle from `file`.

    file: a binary file object with `read` and `readline`, positioned at the pickle.
    table: the closed table of globals.
    persistent_load: makes the object for a persistent id.
    size: how many bytes `file` has; a longer declared length is refused before anything is allocated.
    encoding: for the byte strings that Python 2 wrote; `"bytes"` leaves them as they are.
    """

    def __init__(
        self,
        file: IO[bytes],
        table: Table,
        persistent_load: Callable[[Any], Any],
        size: int,
        encoding: str = "utf-8",
        errors: str = "strict",
    ) -> None:
        self.file = file
        self.table = table
        self.persistent_load = persistent_load
        self.size = size
        self.encoding = encoding
        self.errors = errors
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.protocol = 0
        self.work = 0
        self.start = file.tell()

    # Reading.

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        if count > self.size:
            raise UnpicklingError(
                f"the pickle declares {count} bytes of data, but the whole file has {self.size}: the file is damaged"
            )
        data = self.file.read(count)
        if len(data) != count:
            raise UnpicklingError(
                f"the pickle breaks off: {count} bytes are due and {len(data)} are left; the file is truncated"
            )
        return data

    def byte(self) -> int:
        """The next byte; most opcodes that checkpoints use take one."""
        data = self.file.read(1)
        if not data:
            raise UnpicklingError("the pickle breaks off: one more byte is due; the file is truncated")
        return data[0]

    def number(self, layout: struct.Struct) -> int:
        value: int = layout.unpack(self.take(layout.size))[0]
        return value

    def line(self) -> bytes:
        data = self.file.readline()
        if not data.endswith(b"\n"):
            raise UnpicklingError("the pickle breaks off inside a line: the file is truncated")
        return data[:-1]

    def legacy_text(self, data: bytes) -> str | bytes:
        """A Python 2 string in the encoding that was asked for."""
        return data if self.encoding == "bytes" else data.decode(self.encoding, self.errors)

    def charge(self, value: Any) -> None:
        """Account for what a constructor is about to copy; a few bytes must not make it copy for ever."""
        if isinstance(value, _SIZED):
            self.work += len(value)
            if isinstance(value, tuple):
                for item in value:
                    if isinstance(item, _SIZED):
                        self.work += len(item)
        if self.work > WORK_ALLOWANCE and self.work > WORK_ALLOWANCE + WORK_PER_BYTE * (self.file.tell() - self.start):
            raise UnpicklingError("the pickle copies the same data over and over: it is made to exhaust memory")

    # The stack.

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def top(self) -> Any:
        return self.stack[-1]

    def append_to_top(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif type(target) is deque:
            if any(type(item) is deque for item in items):
                raise UnpicklingError("the pickle nests one deque directly in another, which is not read")
            target.extend(items)
        elif self.table.allows_items(target):
            for item in items:
                target.append(item)
        else:
            raise UnpicklingError(
                f"the pickle appends to a {type(target).__name__}, which is no list: the file is damaged"
            )

    def set_in_top(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) and not self.table.allows_items(target):
            raise UnpicklingError(
                f"the pickle sets items of a {type(target).__name__}, which is no dict: the file is damaged"
            )
        if len(pairs) % 2:
            raise UnpicklingError("the pickle sets a key without a value: the file is damaged")
        for i in range(0, len(pairs), 2):
            check_key(pairs[i])
            target[pairs[i]] = pairs[i + 1]

    def add_to_top(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise UnpicklingError(
                f"the pickle adds members to a {type(target).__name__}, which is no set: the file is damaged"
            )
        for item in items:
            check_key(item)
        target.update(items)

    # Objects.

    def push_global(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise UnpicklingError("the pickle names a class by something that is no text: the file is damaged")
        self.stack.append(self.table.find(module, name, self.protocol))

    def reduce(self) -> None:
        args = self.stack.pop()
        if type(args) is not tuple:
            raise UnpicklingError("the pickle calls a constructor without a tuple of arguments: the file is damaged")
        self.charge(args)
        self.stack[-1] = self.table.call(self.stack[-1], args)

    def create(self, with_keywords: bool) -> None:
        kwargs = self.stack.pop() if with_keywords else {}
        args = self.stack.pop()
        if type(args) is not tuple or type(kwargs) is not dict:
            raise UnpicklingError("the pickle creates an object without a tuple of arguments: the file is damaged")
        self.charge(args)
        self.stack[-1] = self.table.create(self.stack[-1], args, kwargs)

    def build(self) -> None:
        state = self.stack.pop()
        self.charge(state)
        before = self.stack[-1]
        after = self.table.build(before, state)
        if after is not before:
            # An immutable object was made anew: whoever refers to it later means the new one.
            self.stack[-1] = after
            for key in reversed(self.memo):
                if self.memo[key] is before:
                    self.memo[key] = after
                    break
