"""Running a notebook without Jupyter: the code cells one by one in one namespace, as a kernel would.

Plain Python cells need nothing but Python. A cell with IPython's own syntax (`%time`, `!ls`, `name?`) needs IPython,
which is only imported for such a notebook; `%matplotlib inline` and the autoreload lines are so common that they are
accepted without it (and have nothing to do here).
"""

from __future__ import annotations
import __future__

import ast
import builtins
import importlib.util
import linecache
import os
import re
import sys
import time
import tokenize
import traceback
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

from rushlight.compat import display, script
from rushlight.compat.notebook_file import NotebookError, read_notebook, write_notebook

# Lines that configure Jupyter and mean nothing to a notebook that is run from top to bottom.
_IDLE_MAGIC = re.compile(
    r"^([ \t]*)%(matplotlib\b|load_ext[ \t]+autoreload\b|autoreload\b|config[ \t]+InlineBackend\b).*$", re.MULTILINE)
_IPYTHON_LINE = re.compile(r"^\s*\?|^[^#]*\?\s*$|^[^#'\"=]*=\s*[%!]\s*\w")
_IPYTHON_USE = re.compile(r"\bIPython\b|\bget_ipython\b")
_FIGURES = "module://rushlight.compat.figures"
_SECONDS_BETWEEN_WRITES = 5.0


class NeedsIPythonError(NotebookError):
    """A cell uses syntax that is IPython's and not Python's, and IPython is not installed."""


def run_notebook(path: str | Path, *, output: str | Path | None = None, allow_errors: bool = False) -> int:
    """Run the code cells of the notebook at `path` and return the exit status: 0, or 1 when a cell failed.

    The cells run in the notebook's own folder. With `output`, the executed notebook is written there, also when a cell
    fails and every few seconds in between; it may be `path` itself. A failing cell stops the run unless `allow_errors`
    is set or the cell is tagged `raises-exception`; cells tagged `skip-execution` are left out. `sys.exit` in a cell
    ends the run with its status, an interrupt with 130.

    Raises `FileNotFoundError` or `NotebookError` when the file cannot be run at all.
    """
    source = Path(path).resolve()
    document = read_notebook(source)
    target = None if output is None else Path(output).resolve()
    if target is not None and not target.parent.is_dir():
        raise NotebookError(f"--output {output}: there is no folder {target.parent}.")
    for cell in document["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)  # what an earlier run left would pass for this run's
    with display.Recorder(sys.stdout, sys.stderr) as recorder, _surroundings(source, recorder) as session:
        return _run_cells(document, session, target, allow_errors)


def _run_cells(document: dict[str, Any], session: Session, target: Path | None, allow_errors: bool) -> int:
    written = time.monotonic()
    session.prepare([cell["source"] for cell in document["cells"] if cell["cell_type"] == "code"])
    number = 0
    try:
        for number, cell in enumerate(document["cells"], start=1):
            tags = cell.get("metadata", {}).get("tags", ())
            if cell["cell_type"] != "code" or not cell["source"].strip() or "skip-execution" in tags:
                continue
            cell["outputs"] = session.recorder.start_cell()
            cell["execution_count"] = session.count + 1
            succeeded = session.run_cell(cell["source"])
            if not (succeeded or allow_errors or "raises-exception" in tags):
                _say_stopped(document, number, session, "failed")
                return 1
            if target is not None and time.monotonic() - written > _SECONDS_BETWEEN_WRITES:
                write_notebook(target, document)
                written = time.monotonic()
        return 0
    except SystemExit as request:
        _say_stopped(document, number, session, f"ended the notebook by exit({request.code!r})")
        return script.exit_status(request)
    except KeyboardInterrupt:
        _say_stopped(document, number, session, "was interrupted")
        return 130
    finally:
        if target is not None:
            write_notebook(target, document)


def _say_stopped(document: dict[str, Any], number: int, session: Session, reason: str) -> None:
    left = sum(1 for cell in document["cells"][number:] if cell["cell_type"] == "code")
    rest = f"; {left} code cell{'s' if left > 1 else ''} after it did not run" if left else ""
    print(f"rushlight: cell {number} of {len(document['cells'])} (In[{session.count}]) {reason}{rest}",
          file=session.recorder.error_terminal)


class Session:
    """The state that a kernel keeps between cells: the namespace, `In`, `Out`, and the count of executed cells."""

    def __init__(self, recorder: display.Recorder, cleanup: ExitStack) -> None:
        self.recorder = recorder
        self.cleanup = cleanup
        self.count = 0
        self.main = ModuleType("__main__")
        self.inputs = [""]
        self.results: dict[int, object] = {}
        self.recent: list[object] = ["", "", ""]  # what `_`, `__` and `___` were last set to
        self.future_flags = 0
        self.shell: Any = None
        self.namespace = self.main.__dict__
        self.namespace.update(
            __builtins__=builtins, In=self.inputs, Out=self.results, _="", __="", ___="", display=display.show)

    def prepare(self, sources: list[str]) -> None:
        """Start IPython before the first cell when any cell talks to it (`from IPython.display import ...`)."""
        if any(_IPYTHON_USE.search(source) for source in sources) and importlib.util.find_spec("IPython"):
            self._start_shell()

    def run_cell(self, source: str) -> bool:
        """Run one cell; False when it raised. Its error is recorded and printed.

        `SystemExit` and `KeyboardInterrupt` end more than the cell: they are recorded and passed on.
        """
        self.count += 1
        self.inputs.append(source)
        try:
            self._execute(source)
        except SystemExit as request:
            if request.code:
                self.recorder.error("SystemExit", str(request), [f"SystemExit: {request}"])
            raise
        except BaseException as error:
            self._report(error)
            if isinstance(error, KeyboardInterrupt):
                raise
            return False
        finally:
            _publish_figures()
        return True

    def _execute(self, source: str) -> None:
        name = f"Cell In[{self.count}]"
        # No modification time: linecache then never looks for a file of that name.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        code = self._python(source)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(self._compile(tree, name, "exec"), self.namespace)
        if isinstance(last, ast.Expr):
            value = eval(self._compile(ast.Expression(last.value), name, "eval"), self.namespace)
            if value is not None and not _ends_with_semicolon(code):
                self._show_result(value)

    def _compile(self, tree: ast.Module | ast.Expression, name: str, mode: str) -> Any:
        """Compile with the `from __future__ import annotations` of earlier cells still in force."""
        code = compile(tree, name, mode, flags=self.future_flags, dont_inherit=True)
        self.future_flags |= code.co_flags & __future__.annotations.compiler_flag
        return code

    def _python(self, source: str) -> str:
        """The cell as Python: unchanged when it is Python already, else without IPython's syntax."""
        if _syntax_error(source) is None:
            return source
        source = _IDLE_MAGIC.sub(r"\1pass", source)
        error = _syntax_error(source)
        special = None if error is None else _ipython_line(source, error.lineno or 1)
        if special is None:
            return source  # compiling it raises the error where it is shown with its line
        if importlib.util.find_spec("IPython") is None:
            line = source.splitlines()[special - 1].strip()
            raise NeedsIPythonError(
                f"Cell In[{self.count}], line {special}: `{line}` is IPython syntax (a % magic, a ! shell command or "
                "? help), and IPython is not installed. Install it with `pip install rushlight[notebook]`, or write "
                "the line in Python.")
        self._start_shell()
        return str(self.shell.transform_cell(source))

    def _start_shell(self) -> None:
        if self.shell is None:
            from rushlight.compat.ipython_shell import notebook_shell

            self.shell = self.cleanup.enter_context(notebook_shell(self.main))
            # IPython's own In, Out and _ stay unused: the ones above hold what was run.
            self.namespace.update(In=self.inputs, Out=self.results)

    def _show_result(self, value: object) -> None:
        formatted = self.shell.display_formatter.format(value) if self.shell else display.mime_bundle(value)
        data = {mime: display.storable(form) for mime, form in formatted[0].items()}
        if data:
            self.recorder.result(self.count, data, formatted[1])
        if value is self.results:
            return  # `Out` as an entry of `Out` would print without end
        self.results[self.count] = value
        self.namespace[f"_{self.count}"] = value
        # A program that uses `_` for its own (`for _, x in data`) keeps it, as in IPython.
        if all(self.namespace.get("_" * size) is self.recent[size - 1] for size in (1, 2, 3)):
            self.recent = [value, self.recent[0], self.recent[1]]
            self.namespace.update(_=self.recent[0], __=self.recent[1], ___=self.recent[2])

    def _report(self, error: BaseException) -> None:
        script.clean_tracebacks(error)
        name = type(error).__name__
        lines = format_error(error)
        self.recorder.error(name, str(error), "".join(lines).splitlines())
        # Not through sys.stderr: the file has the error as an error, not as text of that stream too.
        print("".join(lines), end="", file=self.recorder.error_terminal, flush=True)


def _syntax_error(source: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parse that counts comes later and warns itself
            ast.parse(source)
    except SyntaxError as error:
        return error
    return None


def _ipython_line(source: str, wrong_line: int) -> int | None:
    """The number of the line that makes `source` IPython's and not Python's, up to the line where parsing stopped."""
    lines = source.splitlines()[:wrong_line]
    # Parsing may stop below the line that is to blame: at an apostrophe in a `%%bash` cell, say.
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith(("%", "!")) or (number == wrong_line and _IPYTHON_LINE.search(line)):
            return number
    return None


def format_error(error: BaseException) -> list[str]:
    """The traceback's text, with `Cell In[3], line 2` where Python would name a file."""
    if isinstance(error, NeedsIPythonError):
        return [f"{type(error).__name__}: {error}\n"]
    parts = traceback.format_exception(error)
    return [re.sub(r'^( *)File "(Cell In\[\d+\])", line', r"\1\2, line", part, flags=re.MULTILINE) for part in parts]


def _ends_with_semicolon(code: str) -> bool:
    """Whether the last token that is not a comment is `;`, which keeps a notebook from showing the value."""
    idle = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(StringIO(code).readline) if token.type not in idle]
    return bool(tokens) and tokens[-1].string == ";"


def _publish_figures() -> None:
    """Put the figures that a cell left open into its outputs, as the inline backend does."""
    if "matplotlib.pyplot" in sys.modules:
        from rushlight.compat import figures

        try:
            figures.show()
        except Exception:  # a figure that cannot be drawn, for one: said, but the cell itself has succeeded
            traceback.print_exc()


@contextmanager
def _surroundings(path: Path, recorder: display.Recorder) -> Iterator[Session]:
    """A process as a notebook expects it, and as it was afterwards: folder, streams, `__main__`, plotting backend."""
    with ExitStack() as cleanup:
        session = Session(recorder, cleanup)
        cleanup.enter_context(redirect_stdout(display.Tee(sys.stdout, "stdout", recorder)))
        cleanup.enter_context(redirect_stderr(display.Tee(sys.stderr, "stderr", recorder)))
        cleanup.callback(os.chdir, os.getcwd())
        os.chdir(path.parent)
        cleanup.callback(setattr, sys, "argv", sys.argv)
        sys.argv = [str(path)]
        cleanup.callback(sys.path.__setitem__, slice(None), list(sys.path))
        script.set_script_folder(str(path.parent))
        cleanup.callback(sys.modules.__setitem__, "__main__", sys.modules["__main__"])
        sys.modules["__main__"] = session.main
        cleanup.enter_context(_figures_as_outputs())
        yield session


@contextmanager
def _figures_as_outputs() -> Iterator[None]:
    before = os.environ.get("MPLBACKEND")
    os.environ["MPLBACKEND"] = _FIGURES
    matplotlib = sys.modules.get("matplotlib")
    backend = None
    if matplotlib is not None:  # too late for the environment variable
        backend = matplotlib.get_backend()
        matplotlib.use(_FIGURES)
    try:
        yield
    finally:
        if matplotlib is not None:
            matplotlib.use(backend)
        if before is None:
            del os.environ["MPLBACKEND"]
        else:
            os.environ["MPLBACKEND"] = before
