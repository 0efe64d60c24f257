"""The closed table: every name a checkpoint may use, what stands for it, and what may be done with it.

A name that is not here is an `UnpicklingError`; `add_safe_globals` adds classes you trust, and
`load(..., unknown="placeholder")` keeps unknown ones as `Placeholder` objects without running anything.
"""

from __future__ import annotations

import _compat_pickle
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from types import TracebackType
from typing import Any, Final

from rushlight.serialization.pickle_vm import shorten

# Modules of which nothing is ever read, not even what a user allows.
BLOCKED_MODULES: Final = frozenset({"sys", "os", "posix", "nt"})
# Names no checkpoint has a use for: the message can say what they are.
_DANGEROUS: Final = frozenset(
    {
        "subprocess",
        "shutil",
        "socket",
        "ctypes",
        "importlib",
        "runpy",
        "pty",
        "commands",
        "webbrowser",
        "builtins.eval",
        "builtins.exec",
        "builtins.compile",
        "builtins.__import__",
        "builtins.open",
        "io.open",
    }
)
# A tensor of an unknown subclass is still a tensor: this function copes with placeholders itself.
REBUILD_FROM_TYPE: Final = "torch._tensor._rebuild_from_type_v2"
# Modules that moved: files of older versions carry the old name.
_MOVED_MODULES: Final = {
    "torch.tensor": "torch._tensor",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "pathlib._local": "pathlib",
}


class Global:
    """One entry of the table.

    value: what stands for the name (also when a file only refers to it).
    call: makes the result when the file calls it (REDUCE); None forbids that.
    create: makes an empty instance (NEWOBJ); None forbids that.
    """

    __slots__ = ("path", "value", "call", "create")

    def __init__(
        self,
        path: str,
        value: Any,
        call: Callable[..., Any] | None = None,
        create: Callable[..., Any] | None = None,
    ) -> None:
        self.path = path
        self.value = value
        self.call = call
        self.create = create


_ENTRIES: Final[dict[str, Global]] = {}
_BUILDERS: Final[dict[type, Callable[[Any, Any], Any]]] = {}
# Reasons why a name that torch reads cannot be read here.
_UNSUPPORTED: Final[dict[str, str]] = {}
# Entries whose modules are slow to import: made when a file first uses them.
_LATE: Final[dict[str, Callable[[], None]]] = {}
# The torch name a value of ours is written under, by identity (the entry keeps the value alive).
_WRITTEN_AS: Final[dict[int, str]] = {}
_user_globals: dict[str, Any] = {}


def define(
    path: str, value: Any, call: Callable[..., Any] | None = None, create: Callable[..., Any] | None = None
) -> None:
    """Put an entry into the table; the first torch path of a value is the one `save` writes."""
    _ENTRIES[path] = Global(path, value, call, create)
    if path.startswith("torch"):
        _WRITTEN_AS.setdefault(id(value), path)


def define_late(path: str, make: Callable[[], None]) -> None:
    """`make()` calls `define(path, ...)`; it is called when a file first uses the name."""
    _LATE[path] = make


def define_builder(cls: type, build: Callable[[Any, Any], Any]) -> None:
    """`build(instance, state)` sets the state of instances of exactly `cls` and returns the instance."""
    _BUILDERS[cls] = build


def define_unsupported(path: str, reason: str) -> None:
    """Give a reason for a name that torch knows and we do not."""
    _UNSUPPORTED[path] = reason


def register_global(module: str, name: str, constructor: Any, *, call: bool | None = None) -> None:
    """Let checkpoints use `constructor` under torch's name `module.name`, and have `save` write it under that name.

    A class may be created empty and given its state, which is how pickled modules arrive; with `call=True` it may also
    be called with arguments from the file. A function may be called. Any other object just stands for the name.

    >>> class Identity: ...
    >>> register_global("torch.nn.modules.linear", "Identity", Identity)
    """
    path = f"{module}.{name}"
    if isinstance(constructor, type):
        define(path, constructor, constructor if call else None, _creator(constructor))
        _BUILDERS.setdefault(constructor, set_state)
    else:
        define(path, constructor, constructor if callable(constructor) and call is not False else None)


def written_path(value: Any) -> tuple[str, str] | None:
    """The (module, name) that `value` is written under, or None when it is written under its own."""
    path = _WRITTEN_AS.get(id(value))
    if path is None:
        return None
    module, _, name = path.rpartition(".")
    return module, name


def entry_value(path: str) -> Any:
    """The value registered under `path`; `UnpicklingError` when nothing is."""
    if path not in _ENTRIES:
        raise UnpicklingError(
            f"the file uses {path}, but nothing is registered under that name; import rushlight.nn first"
        )
    return _ENTRIES[path].value


def _creator(cls: type) -> Callable[..., Any]:
    return lambda *args, **kwargs: cls.__new__(cls, *args, **kwargs)


def set_attributes(instance: Any, attributes: Any) -> None:
    """Update an instance's `__dict__`; the keys must be text."""
    if attributes is None:
        return
    if not isinstance(attributes, dict) or not all(type(key) is str for key in attributes):
        raise UnpicklingError(f"the state of a {type(instance).__name__} is no dict of names: the file is damaged")
    instance.__dict__.update(attributes)


def set_state(instance: Any, state: Any) -> Any:
    """What Python's unpickler does with a state: `__setstate__` when the class has it, else attributes and slots."""
    if hasattr(type(instance), "__setstate__"):
        instance.__setstate__(state)
        return instance
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    set_attributes(instance, state)
    for key, value in (slots or {}).items():
        setattr(instance, key, value)
    return instance


class Placeholder:
    """Stands for an object whose class is not in the table: its name and plain state, no behaviour.

    name: the dotted path the file used. args, kwargs: what its constructor was called with, None when the file only
    refers to the class. state: what its `__setstate__` would have received (often the attributes). elements, entries:
    what was appended to it or set in it when it was a list or a dict. Entries of a `state` dict can be read as
    attributes.
    """

    __slots__ = ("name", "args", "kwargs", "state", "elements", "entries")

    def __init__(self, name: str, args: tuple[Any, ...] | None = None, kwargs: dict[str, Any] | None = None) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs or {}
        self.state: Any = None
        self.elements: list[Any] = []
        self.entries: dict[Any, Any] = {}

    def append(self, item: Any) -> None:
        self.elements.append(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def __getitem__(self, key: Any) -> Any:
        return self.entries[key]

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and name not in Placeholder.__slots__:
            state = self.state
            if isinstance(state, dict) and name in state:
                return state[name]
        raise AttributeError(f"Placeholder for {getattr(self, 'name', '?')} has no attribute '{name}'")

    def __repr__(self) -> str:
        if self.args is None:
            return f"Placeholder({shorten(self.name)!r}, the class itself)"
        held = ", ".join(shorten(key, 40) for key in list(self.state)[:8]) if isinstance(self.state, dict) else ""
        return f"Placeholder({shorten(self.name)!r}{', state: ' + held if held else ''})"


class ClosedTable:
    """The table as one load sees it: remembers which values the file has named, so only those can be called."""

    def __init__(self, unknown: str = "error") -> None:
        if unknown not in ("error", "placeholder"):
            raise ValueError(f"load(): argument 'unknown' must be 'error' or 'placeholder', got {unknown!r}")
        self.keep_unknown = unknown == "placeholder"
        self.named: dict[int, Global] = {}
        self.user_types: set[type] = set()
        self.unknown_names: list[str] = []

    def find(self, module: str, name: str, protocol: int) -> Any:
        """See `pickle_vm.Table`."""
        if protocol < 3:
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
        module = _MOVED_MODULES.get(module, module)
        path = f"{module}.{name}"
        if path in _LATE:
            _LATE.pop(path)()
        entry = _ENTRIES.get(path)
        if entry is None and path in _user_globals and module.partition(".")[0] not in BLOCKED_MODULES:
            entry = self._user_entry(path, _user_globals[path])
        if entry is not None:
            self.named[id(entry.value)] = entry
            return entry.value
        self.unknown_names.append(path)
        if self.keep_unknown:
            return Placeholder(path)
        raise UnpicklingError(_unknown_message(module, name))

    def _user_entry(self, path: str, value: Any) -> Global:
        if isinstance(value, type):
            self.user_types.add(value)
            return Global(path, value, value, _creator(value))
        return Global(path, value, value if callable(value) else None)

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """See `pickle_vm.Table`."""
        if isinstance(function, Placeholder):
            return Placeholder(function.name, args)
        entry = self.named.get(id(function))
        if entry is None or entry.call is None:
            raise UnpicklingError(
                f"the pickle calls {_name_of(entry, function)}, which may not be called with values from a file"
            )
        if entry.path.startswith("torch.") and entry.path != REBUILD_FROM_TYPE:
            if any(isinstance(arg, Placeholder) for arg in args):
                return Placeholder(entry.path, args)
        return entry.call(*args)

    def create(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `pickle_vm.Table`."""
        if isinstance(cls, Placeholder):
            return Placeholder(cls.name, args, kwargs)
        entry = self.named.get(id(cls))
        if entry is None or entry.create is None:
            raise UnpicklingError(
                f"the pickle creates an object of {_name_of(entry, cls)}, which may not be created that way"
            )
        return entry.create(*args, **kwargs)

    def build(self, instance: Any, state: Any) -> Any:
        """See `pickle_vm.Table`."""
        kind = type(instance)
        if kind is Placeholder:
            instance.state = state
            return instance
        build = _BUILDERS.get(kind)
        if build is None:
            if kind not in self.user_types:
                raise UnpicklingError(
                    f"the pickle sets the state of a {shorten(kind.__name__)}, which has none that a file may set"
                )
            build = set_state
        return build(instance, state)

    def allows_items(self, instance: Any) -> bool:
        """See `pickle_vm.Table`."""
        return type(instance) is Placeholder or type(instance) in self.user_types


def _name_of(entry: Global | None, value: Any) -> str:
    return entry.path if entry is not None else f"a {type(value).__name__}"


def _unknown_message(module: str, name: str) -> str:
    path = shorten(f"{module}.{name}")
    top = module.partition(".")[0]
    if f"{module}.{name}" in _UNSUPPORTED:
        return f"{_UNSUPPORTED[f'{module}.{name}']} (the file uses {path})"
    if top in BLOCKED_MODULES or top in _DANGEROUS or f"{module}.{name}" in _DANGEROUS:
        return (
            f"the file asks to run {path} while it is loaded. Nothing was run. No checkpoint needs that: the file is "
            "likely an attack, so do not open it with any other loader either"
        )
    return (
        f"Unsupported global: {path} is not in the closed table of what a checkpoint may contain (tensors, plain "
        f"containers, NumPy arrays, nn classes), so nothing was made of it. If you trust this class, allow it: "
        f"torch.serialization.add_safe_globals([{shorten(name)}]), or `with "
        f"torch.serialization.safe_globals([{shorten(name)}]):` "
        'around load. To get at the tensors without it: load(..., unknown="placeholder")'
    )


# What the user allows, as in torch.serialization.


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Allow classes and functions in checkpoints: each item is one, or a pair (object, "dotted.path.in.the.file").

    Their constructors and `__setstate__` then run with values from the file, so allow only what you trust.
    Raises `ValueError` or `TypeError` for a malformed pair.
    """
    for item in safe_globals:
        path, value = _user_path(item)
        _user_globals[path] = value


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` has allowed, in the form it was given."""
    return [value if path == _own_path(value) else (value, path) for path, value in _user_globals.items()]


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` allowed."""
    _user_globals.clear()


class safe_globals:
    """Allow classes for a `with` block only; the items are those of `add_safe_globals`.

    >>> with safe_globals([(complex, "mypackage.Number")]):
    ...     len(get_safe_globals())
    1
    """

    def __init__(self, safe_globals: Iterable[Any]) -> None:
        self.safe_globals = list(safe_globals)
        self.before: dict[str, Any] = {}

    def __enter__(self) -> safe_globals:
        self.before = dict(_user_globals)
        add_safe_globals(self.safe_globals)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _user_globals.clear()
        _user_globals.update(self.before)


def _own_path(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _user_path(item: Any) -> tuple[str, Any]:
    if not isinstance(item, tuple):
        return _own_path(item), item
    if len(item) != 2:
        raise ValueError(
            f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(item)}"
        )
    if type(item[1]) is not str:
        raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(item[1])}")
    return item[1], item[0]
