"""What a notebook cell produces: MIME bundles of objects, and the list of outputs that the notebook file stores."""

from __future__ import annotations

import base64
import io
import traceback
from typing import Any, TextIO

# Methods by which an object offers other forms than its repr, in IPython's names.
_RICH_FORMS = (
    ("text/html", "_repr_html_"),
    ("text/markdown", "_repr_markdown_"),
    ("image/svg+xml", "_repr_svg_"),
    ("image/png", "_repr_png_"),
    ("image/jpeg", "_repr_jpeg_"),
    ("text/latex", "_repr_latex_"),
    ("application/json", "_repr_json_"),
    ("application/javascript", "_repr_javascript_"),
)

_active: list[Recorder] = []


def active_recorder() -> Recorder | None:
    """The recorder of the notebook that is running in this process, or None."""
    return _active[-1] if _active else None


def base64_text(data: bytes) -> str:
    """Bytes as the text that a notebook file stores for a picture."""
    return base64.b64encode(data).decode("ascii")


def mime_bundle(value: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The forms of `value` by MIME type, "text/plain" (its repr) always among them, and their metadata.

    A form whose method fails is left out and its traceback goes to standard error: a picture that cannot be drawn must
    not stop the notebook, as in Jupyter.
    """
    data: dict[str, Any] = {"text/plain": repr(value)}
    metadata: dict[str, Any] = {}
    if isinstance(value, type):
        return data, metadata  # a class has the methods too, but they describe its instances
    bundle = _call_form(value, "_repr_mimebundle_")
    if bundle is not None:
        forms, about = bundle if isinstance(bundle, tuple) else (bundle, {})
        data.update({mime: storable(form) for mime, form in forms.items()})
        metadata.update(about)
    for mime, method in _RICH_FORMS:
        form = None if mime in data else _call_form(value, method)
        if form is None:
            continue
        if isinstance(form, tuple):
            form, metadata[mime] = form
        data[mime] = storable(form)
    return data, metadata


def _call_form(value: object, method: str) -> Any:
    # A real attribute of the class only: objects that answer to any name (mocks, proxies) have no forms of their own.
    if not callable(getattr(type(value), method, None)):
        return None
    try:
        return getattr(value, method)()
    except Exception:
        traceback.print_exc()
        return None


def storable(form: Any) -> Any:
    """A form as a notebook file can hold it: pictures become base64 text."""
    return base64_text(form) if isinstance(form, bytes) else form


class Recorder:
    """Collects the outputs of one cell at a time; text also goes to the terminal as it is written."""

    def __init__(self, terminal: TextIO, error_terminal: TextIO) -> None:
        self.terminal = terminal
        self.error_terminal = error_terminal
        self.outputs: list[dict[str, Any]] = []
        self._clear_at_next = False

    def __enter__(self) -> Recorder:
        _active.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _active.remove(self)

    def start_cell(self) -> list[dict[str, Any]]:
        """Begin an empty list of outputs and give it out; it fills while the cell runs."""
        self.outputs = []
        self._clear_at_next = False
        return self.outputs

    def stream(self, name: str, text: str) -> None:
        """Record `text` that was written to the stream "stdout" or "stderr"."""
        if not text:
            return
        last = self._last_output()
        if last is not None and last["output_type"] == "stream" and last["name"] == name:
            last["text"].append(text)
        else:
            self.outputs.append({"output_type": "stream", "name": name, "text": [text]})

    def display(self, data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Record a displayed object and show its plain form on the terminal."""
        self._last_output()
        self.outputs.append({"output_type": "display_data", "data": data, "metadata": metadata or {}})
        print(data.get("text/plain", f"<{', '.join(data)}>"), file=self.terminal, flush=True)

    def result(self, count: int, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """Record the value of a cell's last expression and show it as `Out[count]`."""
        self._last_output()
        self.outputs.append(
            {"output_type": "execute_result", "execution_count": count, "data": data, "metadata": metadata})
        plain = str(data.get("text/plain", ""))
        print(f"Out[{count}]:{chr(10) if chr(10) in plain else ' '}{plain}", file=self.terminal, flush=True)

    def error(self, name: str, value: str, lines: list[str]) -> None:
        """Record the exception that ended the cell."""
        self._last_output()
        self.outputs.append({"output_type": "error", "ename": name, "evalue": value, "traceback": lines})

    def clear(self, wait: bool = False) -> None:
        """Drop what the cell has put out so far, at once or when the next output comes."""
        self._clear_at_next = wait
        if not wait:
            self.outputs.clear()

    def _last_output(self) -> dict[str, Any] | None:
        if self._clear_at_next:
            self.clear()
        return self.outputs[-1] if self.outputs else None


def show(*values: object) -> None:
    """`display(a, b)` of a notebook: all forms of each value into the cell's outputs, its repr on the terminal."""
    recorder = active_recorder()
    for value in values:
        data, metadata = mime_bundle(value)
        if recorder is None:
            print(data["text/plain"])
        else:
            recorder.display(data, metadata)


class Tee(io.TextIOBase):
    """A standard stream that is also recorded; everything but writing is the stream's own."""

    def __init__(self, stream: TextIO, name: str, recorder: Recorder) -> None:
        self.stream = stream
        self.recorder = recorder
        self.stream_name = name

    def write(self, text: str) -> int:
        self.stream.write(text)
        if "\n" in text or "\r" in text:
            self.stream.flush()  # live, also into a pipe
        self.recorder.stream(self.stream_name, text)
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    @property
    def name(self) -> str:
        return f"<{self.stream_name}>"

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    @property
    def buffer(self) -> Any:
        return self.stream.buffer


def overwrite_lines(text: str) -> str:
    """Text as a terminal shows it when a carriage return starts a line over: a progress bar keeps its last state.

    >>> overwrite_lines("50%\\r100%\\ndone")
    '100%\\ndone'
    """
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
