"""The code in README.md and docs/ runs.

A block that opens with exactly ```python is run. The blocks of a file share one namespace, in an empty directory and an
interpreter of their own, with warnings as errors. A block of `>>>` lines is run as a doctest, its output compared.
Code that cannot run here (a download, a shell session) opens with another word: ```python no-run, ```sh, ```text.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>```+|~~~+)(?P<info>.*)$")

# What the page's interpreter runs: blocks are (line, code) pairs; empty lines before a block keep the page's numbers.
RUNNER = """
import doctest, json, sys
page, blocks = json.load(sys.stdin)
names = {"__name__": "__main__"}
for line, code in blocks:
    if code.lstrip().startswith(">>>"):
        test = doctest.DocTestParser().get_doctest(code, names, page, page, line - 1)
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        if runner.run(test, clear_globs=False).failed:
            sys.exit(1)
        names.update(test.globs)
    else:
        exec(compile("\\n" * (line - 1) + code, page, "exec"), names)
"""


def blocks_of(text: str, page: str) -> list[tuple[int, str]]:
    """The runnable blocks of a page as (line of the first code line, code)."""
    blocks: list[tuple[int, str]] = []
    opened: re.Match[str] | None = None
    start, body = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        match = FENCE.match(line)
        if opened is None:
            if match:
                opened, start, body = match, number + 1, []
        elif match and match["fence"].startswith(opened["fence"]) and not match["info"].strip():
            if opened["info"].strip() == "python":
                blocks.append((start, textwrap.dedent("\n".join(body)) + "\n"))
            opened = None
        else:
            body.append(line)
    if opened is not None:
        raise ValueError(f"{page}:{start - 1}: this block is never closed")
    return blocks


def run_page(page: Path, folder: Path) -> None:
    """Run a page's blocks; a failure names the page, the line and the error."""
    blocks = blocks_of(page.read_text(encoding="utf-8"), page.name)
    if not blocks:
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps([str(page), blocks]),
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode != 0:
        output = done.stdout + done.stderr
        pytest.fail(f"{where(output, page)}: the example fails\n{output}", pytrace=False)


def where(output: str, page: Path) -> str:
    """`page:line` of the last line of the page that a traceback or doctest report names."""
    lines = re.findall(rf'File "{re.escape(str(page))}", line (\d+)', output)
    return f"{page.name}:{lines[-1]}" if lines else page.name


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_page(page, tmp_path):
    run_page(page, tmp_path)


# ---------------------------------------------------------------- the test can fail


def failure(tmp_path: Path, text: str) -> str:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(pytest.fail.Exception) as caught:
        run_page(page, tmp_path)
    return str(caught.value)


def test_an_error_is_reported_with_its_line(tmp_path):
    text = "# Title\n\n```python\nx = 1\n```\nand\n```python\ny = x + 1\nassert y == 3\n```\n"
    assert failure(tmp_path, text).startswith("page.md:9: ")


def test_an_error_inside_a_function_of_the_page_and_in_a_list(tmp_path):
    text = "- step\n\n  ```python\n  def f():\n      return 1 / 0\n  f()\n  ```\n"
    assert failure(tmp_path, text).startswith("page.md:5: ")


def test_a_syntax_error_has_its_line(tmp_path):
    assert failure(tmp_path, "\n```python\nx = = 1\n```\n").startswith("page.md:3: ")


def test_a_wrong_output_is_reported(tmp_path):
    message = failure(tmp_path, "text\n```python\n>>> 1 + 1\n3\n```\n")
    assert message.startswith("page.md:3: ") and "Expected" in message


def test_a_warning_is_an_error(tmp_path):
    assert "UserWarning" in failure(tmp_path, "```python\nimport warnings\nwarnings.warn('old')\n```\n")


def test_what_is_not_python_is_not_run_and_blocks_share_names(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nfalse\n```\n```python no-run\n1 / 0\n```\n```python\nx = 2\n```\n"
        "```python\n>>> x + 1\n3\n>>> y = x\n```\n````text\n```python\n1 / 0\n```\n````\n"
        "```python\nassert y == 2\n```\n",
        encoding="utf-8",
    )
    run_page(page, tmp_path)
    assert [line for line, _ in blocks_of(page.read_text(encoding="utf-8"), "page.md")] == [8, 11, 21]


def test_a_block_that_is_never_closed_is_an_error():
    with pytest.raises(ValueError, match="page.md:2: .* never closed"):
        blocks_of("text\n```python\nx = 1\n", "page.md")
