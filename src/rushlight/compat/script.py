"""Running a script or a module as the interpreter would, with the alias in place and our own frames out of sight."""

from __future__ import annotations

import builtins
import importlib.util
import io
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType

from rushlight.compat import missing

_OWN_FOLDER = str(Path(__file__).parent)


def run_script(path: str, arguments: list[str]) -> int:
    """Run the file `path` as `__main__` with `sys.argv == [path, *arguments]`; return its exit status.

    As with `python path`: `sys.path[0]` is the script's folder, and an uncaught error is printed by `sys.excepthook`
    and means status 1. `SystemExit` passes through.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"cannot run {path!r}: there is no such file")
    main = _new_main(file=path, spec=None, package=None)
    main.__loader__ = SourceFileLoader("__main__", path)
    sys.argv = [path, *arguments]
    set_script_folder(str(file.resolve().parent))
    return _run(main, None)


def run_module(name: str, arguments: list[str]) -> int:
    """Run the module `name`, or a package's `__main__`, as `python -m name` does; return its exit status."""
    sys.argv = ["-m", *arguments]
    set_script_folder(str(Path.cwd()))
    spec = _module_spec(name)
    main = _new_main(file=spec.origin, spec=spec, package=spec.parent)
    main.__loader__ = spec.loader
    sys.argv[0] = spec.origin or name
    return _run(main, spec)


def set_script_folder(folder: str) -> None:
    """Make `folder` the first place imports look, in place of the one Python chose for `python -m rushlight`."""
    if sys.flags.safe_path:
        return
    if sys.path and sys.path[0] in ("", str(Path.cwd())):
        sys.path[0] = folder
    else:
        sys.path.insert(0, folder)


def exit_status(request: SystemExit) -> int:
    """The status the interpreter would end with; a message that stands in for a status goes to standard error."""
    if request.code is None:
        return 0
    if isinstance(request.code, int):
        return request.code
    print(request.code, file=sys.stderr)
    return 1


def clean_tracebacks(error: BaseException) -> None:
    """Take our frames out of the tracebacks of `error` and the errors it came from, and name what rushlight lacks."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _without_own_frames(current.__traceback__, isinstance(current, ImportError))
        missing.add_hint(current)
        pending += [current.__cause__, current.__context__]


def _without_own_frames(traceback: TracebackType | None, drop_import_system: bool) -> TracebackType | None:
    kept = []
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        own = file.startswith(_OWN_FOLDER)
        # Python leaves its import system out of an ImportError's traceback; our finder's frames would prevent it.
        if not own and not (drop_import_system and file.startswith("<frozen importlib")):
            kept.append(traceback)
        traceback = traceback.tb_next
    result = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


def _module_spec(name: str) -> ModuleSpec:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
        if spec is None:
            raise ModuleNotFoundError(f"cannot run the package {name!r}: it has no __main__ module", name=name)
    if spec is None:
        raise ModuleNotFoundError(f"cannot run {name!r}: there is no such module", name=name)
    return spec


def _new_main(file: str | None, spec: ModuleSpec | None, package: str | None) -> ModuleType:
    """A fresh `__main__`. Without a spec but with a file, multiprocessing's children import it again by its path."""
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=file, __cached__=None, __package__=package, __spec__=spec)
    sys.modules["__main__"] = main
    return main


def _code(main: ModuleType, spec: ModuleSpec | None) -> CodeType:
    if spec is None:
        with io.open_code(str(Path(main.__file__ or "").absolute())) as file:
            return compile(file.read(), main.__file__ or "", "exec", dont_inherit=True)
    code = spec.loader.get_code(spec.name) if hasattr(spec.loader, "get_code") else None  # type: ignore[union-attr]
    if code is None:
        raise ImportError(f"cannot run {spec.name!r}: the module has no Python code", name=spec.name)
    return code


def _run(main: ModuleType, spec: ModuleSpec | None) -> int:
    try:
        exec(_code(main, spec), main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        clean_tracebacks(error)
        sys.excepthook(type(error), error, error.__traceback__)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0
