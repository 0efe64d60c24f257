"""An IPython shell without a terminal or a kernel, for notebooks that use `%` magics, `!` commands or `?` help."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from IPython.core import page
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from rushlight.compat.display import Recorder, active_recorder, storable


class CellPublisher(DisplayPublisher):
    """Sends what `IPython.display.display` publishes to the running cell's outputs."""

    def publish(self, data: dict[str, Any], metadata: dict[str, Any] | None = None, **options: object) -> None:
        _recorder().display({mime: storable(form) for mime, form in data.items()}, metadata)

    def clear_output(self, wait: bool = False) -> None:
        _recorder().clear(wait)


class NotebookShell(InteractiveShell):
    """IPython's machinery, except that a failure inside a magic fails the cell and no window system is entered."""

    def showtraceback(self, exc_tuple: Any = None, *arguments: Any, **options: Any) -> None:
        error = exc_tuple[1] if exc_tuple else sys.exc_info()[1]
        if error is not None:
            raise error

    def enable_gui(self, gui: Any = None) -> None:
        pass


def _recorder() -> Recorder:
    recorder = active_recorder()
    if recorder is None:
        raise RuntimeError("nothing can be displayed: no notebook is running in this process")
    return recorder


@contextmanager
def notebook_shell(main: ModuleType) -> Iterator[NotebookShell]:
    """A shell whose namespace is the module `main`; it writes no history and reads no profile of the user's."""
    config = Config()
    config.HistoryManager.enabled = False
    with tempfile.TemporaryDirectory(prefix="rushlight-ipython-") as folder:
        shell = NotebookShell.instance(
            config=config, ipython_dir=folder, user_module=main, display_pub_class=CellPublisher)
        shell.set_hook("show_in_pager", page.as_hook(page.display_page), 90)
        main.__dict__["get_ipython"] = shell.get_ipython
        try:
            with shell.builtin_trap:
                yield shell
        finally:
            NotebookShell.clear_instance()
