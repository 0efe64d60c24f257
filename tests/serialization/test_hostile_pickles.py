"""Pickles made to run code or to exhaust memory, time or the C stack: each is refused, and nothing is run."""

from __future__ import annotations

import collections
import datetime
import decimal
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import types
from argparse import Namespace
from typing import Any

import numpy as np
import pytest

from rushlight.serialization import (
    Placeholder,
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    plain_globals,
    safe_globals,
)
from rushlight.serialization.globals import ClosedTable
from rushlight.serialization.opcodes import unpickle


def read(data: bytes, unknown: str = "error", persistent_load: Any = None, **options: Any) -> Any:
    return unpickle(io.BytesIO(data), ClosedTable(unknown), persistent_load or refuse, len(data), **options)


def refuse(saved_id: Any) -> Any:
    raise pickle.UnpicklingError("no storages here")


# What must be read.


def recursive() -> list[Any]:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


PLAIN = [
    None,
    True,
    0,
    255,
    256,
    65536,
    -1,
    2**31,
    -(2**63),
    2**100,
    2**3000,
    1.5,
    float("inf"),
    2 - 3j,
    "",
    "text",
    "ü\U0001f600",
    "x" * 300,
    b"",
    b"a\xff",
    b"y" * 70000,
    bytearray(b"zz"),
    bytearray(),
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    [],
    [1, [2, [3]]],
    list(range(3000)),
    {},
    {"a": {"b": 1}},
    {i: str(i) for i in range(2000)},
    {1: 2, (3, (4,)): 5},
    set(),
    {1, "a"},
    frozenset({1, (2, 3)}),
    slice(1, None, -2),
    range(2, 9, 3),
    collections.OrderedDict(b=1, a=2),
    collections.defaultdict(list, {"k": [1]}),
    collections.Counter("abca"),
    collections.deque([1, 2], 5),
    datetime.date(2020, 1, 2),
    datetime.time(3, 4),
    datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
    datetime.timedelta(1, 2, 3),
    decimal.Decimal("1.50"),
    pathlib.PurePosixPath("a/b"),
    pathlib.PureWindowsPath("c:\\d"),
    pathlib.Path("rel/file"),
    Namespace(lr=0.1, n=[1]),
    types.SimpleNamespace(a=1),
]
# Not the values' own text: the order of a set changes from process to process.
IDS = [f"{i}-{type(value).__name__}" for i, value in enumerate(PLAIN)]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", PLAIN, ids=IDS)
def test_plain_values(value, protocol):
    got = read(pickle.dumps(value, protocol))
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("value", PLAIN[:40], ids=IDS[:40])
def test_the_pure_picklers_opcodes(value):
    """Python's own Pickler in its pure form chooses other opcodes here and there."""
    buffer = io.BytesIO()
    pickle._Pickler(buffer, 4).dump(value)
    assert read(buffer.getvalue()) == value


@pytest.mark.parametrize("protocol", [0, 1])
def test_the_first_protocols(protocol):
    value = [1, -5, 2**70, 1.5, "t\nü", True, {"a": (1, 2)}, None]
    assert read(pickle.dumps(value, protocol)) == value


def test_identity_and_loops():
    shared = [1]
    got = read(pickle.dumps([shared, shared, {"s": shared}]))
    assert got[0] is got[1] is got[2]["s"]
    loop = read(pickle.dumps(recursive()))
    assert loop[1] is loop


def test_deep_nesting_is_read():
    """Lists nest as deep as a file says; reading them takes no stack."""
    depth = 200_000
    got = read(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    count = 0
    while got:
        got, count = got[0], count + 1
    assert count == depth - 1


def test_every_opcode_has_an_answer():
    known = {
        getattr(pickle, name)[0]
        for name in dir(pickle)
        if name.isupper() and isinstance(getattr(pickle, name), bytes) and len(getattr(pickle, name)) == 1
    }
    from rushlight.serialization.opcodes import _HANDLERS

    assert known - set(_HANDLERS) == {pickle.STOP[0]} | ({b"T"[0]} - set(_HANDLERS))


# What must not.


class Reduces:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


ATTACKS = {
    "os.system": Reduces(os.system, "touch owned"),
    "eval": Reduces(eval, "1"),
    "exec": Reduces(exec, "import os"),
    "open": Reduces(open, "owned", "w"),
    "subprocess": Reduces(subprocess.Popen, ["touch", "owned"]),
    "__import__": Reduces(__import__, "os"),
    "exit": Reduces(sys.exit, 1),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_code_is_never_run(name, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(ATTACKS[name], protocol)
    with pytest.raises(pickle.UnpicklingError, match="asks to run .* Nothing was run"):
        read(data)
    with safe_globals(
        [(ATTACKS[name].function, f"{mod}.{name.rpartition('.')[2]}") for mod in ("os", "posix", "nt", "sys")]
    ):
        if name in ("os.system", "exit"):
            with pytest.raises(pickle.UnpicklingError, match="asks to run"):
                read(data)
    held = read(data, unknown="placeholder")
    assert isinstance(held, Placeholder) and held.args == ATTACKS[name].args
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"cbuiltins\ngetattr\n(cbuiltins\nobject\nX\x05\x00\x00\x00__new__\x86R.",
        b"cbuiltins\nint\n(X\x01\x00\x00\x009tR.",
        b"cbuiltins\nobject\n)R.",
        b"cbuiltins\nlist\n)R.",
        b"cnumpy\nndarray\n)R.",
        b"cnumpy\nfloat64\n)R.",
        b"ctorch\nTensor\n)\x81.",
        b"ctorch\nFloatStorage\n)R.",
        b"ctorch\nfloat32\n)R.",
        b"]]R.",
        b"K\x01)R.",
        b"]}b.",
        b"ccollections\nOrderedDict\n)\x81.",
    ],
)
def test_only_what_the_table_allows_is_called(body):
    with pytest.raises(pickle.UnpicklingError):
        read(b"\x80\x02" + body)


def test_a_called_function_must_have_been_named():
    """A function that is in the table but came from elsewhere (a user's value, say) is not called."""
    with pytest.raises(pickle.UnpicklingError, match="may not be called"):
        read(b"\x80\x02NQ)R.", persistent_load=lambda saved_id: plain_globals._set)


def test_laughing_lists_are_small_and_laughing_sets_are_refused():
    """Doubling by reference costs nothing; copying what was doubled does."""
    doubled = read(b"\x80\x02]q\x00" + b"".join(b"0(h\x00h\x00lq\x00" for _ in range(100)) + b".")
    assert len(doubled) == 2
    many = b"](" + b"K\x01" * 200_000 + b"eq\x01"
    copies = b"".join(b"cbuiltins\nset\nq\x02h\x01\x85R0" if i == 0 else b"h\x02h\x01\x85R0" for i in range(20_000))
    with pytest.raises(pickle.UnpicklingError, match="over and over"):
        read(b"\x80\x02" + many + copies + b"N.")


def test_repeated_arrays_are_refused():
    start = (
        b"\x80\x04cnumpy._core.numeric\n_frombuffer\nq\x00cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tRq\x01B"
        + struct.pack("<I", 10**6)
        + bytes(10**6)
        + b"q\x02"
    )
    one = b"h\x00(h\x02h\x01J" + struct.pack("<i", 10**6) + b"\x85X\x01\x00\x00\x00CtR0"
    with pytest.raises(pickle.UnpicklingError, match="over and over"):
        read(start + one * 500 + b"N.")


@pytest.mark.parametrize(
    "body",
    [
        b"X\xff\xff\xff\x7f",
        b"T\xff\xff\xff\x7f",
        b"B\xff\xff\xff\xff",
        b"\x8d" + b"\xff" * 8,
        b"\x8e" + b"\xff" * 7 + b"\x00",
        b"\x96" + b"\xff" * 7 + b"\x00",
        b"\x8b\xff\xff\xff\x7f",
        b"\x95" + b"\xff" * 8,
        b"\x8b\xff\xff\xff\xff",
        b"T\xff\xff\xff\xff",
    ],
)
def test_declared_lengths_are_checked_before_allocation(body):
    with pytest.raises(pickle.UnpicklingError, match="declares|negative length"):
        read(b"\x80\x04" + body + b"abc.")


@pytest.mark.parametrize(
    "body",
    [
        b"r\xff\xff\xff\xffj\xff\xff\xff\xff0.",
        b"Nr\xff\xff\xff\xff.",
        b"Np4294967295000\n.",
        b"Np-1\n.",
    ],
)
def test_huge_memo_numbers_cost_nothing(body):
    try:
        assert read(b"\x80\x02" + body) is None
    except pickle.UnpicklingError:
        assert body[:1] == b"r"


def test_hashing_deep_or_wide_keys_is_refused():
    """Both would take the C stack or for ever: tuples do not remember their hash."""
    deep = b"\x80\x02})" + b"\x85" * 100_000 + b"Ns."
    with pytest.raises(pickle.UnpicklingError, match="nested too deep"):
        read(deep)
    wide = b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"Ns."
    with pytest.raises(pickle.UnpicklingError, match="nested too deep"):
        read(wide)
    for opening, closing in ((b"\x8f(", b"\x90"), (b"(", b"\x91"), (b"cbuiltins\nset\n(", b"l\x85R"), (b"(", b"Nd")):
        with pytest.raises(pickle.UnpicklingError, match="nested too deep"):
            read(b"\x80\x04" + opening + b")" + b"\x85" * 100_000 + closing + b".")


DEEP = {
    "deque": (b"ccollections\ndeque\n)R", b"q\x00ccollections\ndeque\n)Rh\x00a", "deque"),
    "deque call": (b"N", b"\x85q\x00ccollections\ndeque\nh\x00\x85R", "deque"),
    "slice": (b"N", b"q\x00cbuiltins\nslice\nh\x00\x85R", "slice"),
}


@pytest.mark.parametrize("name", DEEP)
def test_chains_that_overflow_the_stack_when_freed_are_refused(name):
    start, cell, word = DEEP[name]
    with pytest.raises(pickle.UnpicklingError, match=word):
        read(b"\x80\x02" + start + cell * 100_000 + b".")


def test_arrays_of_objects_do_not_nest():
    inner = np.array([1, None], dtype=object)
    assert read(pickle.dumps([inner]))[0].tolist() == [1, None]
    outer = np.empty(1, object)
    outer[0] = inner
    with pytest.raises(pickle.UnpicklingError, match="nested NumPy arrays of objects"):
        read(pickle.dumps(outer, 2))


def test_structured_dtypes_do_not_nest_for_ever():
    dtype = np.dtype("i4")
    for _ in range(4):
        dtype = np.dtype([("x", dtype)])
    assert read(pickle.dumps(dtype, 2)) == dtype
    for _ in range(20):
        dtype = np.dtype([("x", dtype)])
    with pytest.raises(pickle.UnpicklingError, match="nested too deep"):
        read(pickle.dumps(dtype, 2))


def array_state(shape: Any, data: bytes, code: str = "u1") -> bytes:
    head = b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01"
    return (
        head
        + pickle.dumps(shape, 2)[2:-1]
        + pickle.dumps(np.dtype(code), 2)[2:-1]
        + b"\x89C"
        + bytes([len(data)])
        + data
        + b"tb."
    )


@pytest.mark.parametrize("shape", [(10**12,), (-1,), (2**63, 2), (3,), ("a",), (1.0,), 5, (0,) * 65])
def test_array_shapes_must_fit_their_data(shape):
    assert read(array_state((2,), b"ab")).tolist() == [97, 98]
    with pytest.raises(pickle.UnpicklingError):
        read(array_state(shape, b"ab"))


def test_an_array_gets_its_data_once():
    data = array_state((2,), b"ab")
    again = data[:-1] + data[data.index(b"(K\x01") :]
    with pytest.raises(pickle.UnpicklingError, match="unknown state"):
        read(again)


def test_bytearrays_and_encodings_do_not_allocate():
    with pytest.raises(pickle.UnpicklingError):
        read(b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.")
    with pytest.raises(pickle.UnpicklingError, match="unknown encoding"):
        read(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80",
        b"\x80\x09.",
        b"\x80\x02",
        b"\x80\x02N",
        b"\x80\x02(.",
        b"\x80\x02NN.",
        b"\x80\x02(N.",
        b"\x80\x02t.",
        b"\x80\x02a.",
        b"\x80\x02h\x00.",
        b"\x80\x02c.",
        b"\x80\x02ca\n.",
        b"\x80\x02\x93.",
        b"\x80\x02NN\x93.",
        b"\x80\x02\x87.",
        b"\x80\x02R.",
        b"\x80\x02b.",
        b"\x80\x02}Ns.",
        b"\x80\x02}(NNNu.",
        b"\x80\x02]]s.",
        b"\x80\x02}]Ns.",
        b"\x80\x02N(Ne.",
        b"\x80\x02}(Ne.",
        b"\x80\x02I1\n.x",
        b"\x80\x02Iabc\n.",
        b"\x80\x02Fabc\n.",
        b"\x80\x02Sabc\n.",
        b"\x80\x02P1\n.",
        b"\x80\x02i\n\n.",
        b"\x80\x02(o.",
        b"\x80\x02\x82\x01.",
        b"\x80\x02\x97.",
        b"\x80\x02\xff.",
        b"\x80\x02L" + b"9" * 5000 + b"L\n.",
        b"\x80\x02Q.",
        b"\x80\x02NQ.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
        b"\x80\x02cos\n\xff\n.",
        b"\x80\x02}]}]u.",
        b"\x80\x02(((((((.",
        b"\x80\x02\x940.",
    ],
)
def test_damaged_pickles_are_clean_errors(data):
    if data == b"\x80\x02I1\n.x":
        assert read(data) == 1  # what follows the end is not read
        return
    with pytest.raises(pickle.UnpicklingError) as caught:
        read(data)
    assert len(str(caught.value)) < 600


def test_messages_survive_names_made_to_spoil_them():
    name = b"\x1b[31m" + b"z" * 100_000
    with pytest.raises(pickle.UnpicklingError) as caught:
        read(b"\x80\x02cpkg\n" + name + b"\n.")
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 1500


# What a user allows.


class Mine:
    def __init__(self, value: int = 0) -> None:
        self.value = value


class Slotted:
    __slots__ = ("a",)


class Stateful:
    def __setstate__(self, state: Any) -> None:
        self.got = state


class Words(list):
    pass


class Table(dict):
    pass


@pytest.fixture(autouse=True)
def nothing_allowed():
    clear_safe_globals()
    yield
    clear_safe_globals()


def test_safe_globals_as_in_torch():
    data = pickle.dumps(Mine(5))
    with pytest.raises(pickle.UnpicklingError, match=r"Mine.*add_safe_globals\(\[Mine\]\)"):
        read(data)
    with safe_globals([Mine]):
        assert get_safe_globals() == [Mine] and read(data).value == 5
    assert get_safe_globals() == []
    add_safe_globals([Mine, (Slotted, "old.place.Slotted")])
    assert get_safe_globals() == [Mine, (Slotted, "old.place.Slotted")]
    with safe_globals([Mine]):
        pass
    assert read(data).value == 5, "what was allowed before the block stays allowed"
    assert isinstance(read(b"\x80\x02cold.place\nSlotted\n)\x81."), Slotted)
    clear_safe_globals()
    with pytest.raises(ValueError, match="tuple of length 2"):
        add_safe_globals([(Mine, "a", "b")])
    with pytest.raises(TypeError, match="str of callable full path"):
        add_safe_globals([(Mine, 3)])


def test_states_of_allowed_classes():
    slotted = Slotted()
    slotted.a = 3
    words, table = Words([1, 2]), Table(k=1)
    words.note = "n"
    stateful = Stateful()
    stateful.x = 1
    with safe_globals([Slotted, Words, Table, Stateful]):
        for protocol in (2, 4):
            assert read(pickle.dumps(slotted, protocol)).a == 3
            got = read(pickle.dumps([words, table, stateful], protocol))
            assert got[0] == [1, 2] and got[0].note == "n" and got[1] == {"k": 1} and got[2].got == {"x": 1}


def test_placeholders_keep_everything():
    words = Words([1, 2])
    words.note = "n"
    got = read(
        pickle.dumps({"w": words, "t": Table(k=1), "class": Mine, "factory": collections.defaultdict(Mine, a=1)}),
        unknown="placeholder",
    )
    assert got["w"].elements == [1, 2] and got["w"].note == "n" and got["t"].entries == {"k": 1} and got["t"]["k"] == 1
    assert got["class"].args is None and "the class itself" in repr(got["class"]) and got["factory"] == {"a": 1}
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = got["w"].other
