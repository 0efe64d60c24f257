"""The notebook runner: cells as a kernel runs them, outputs as a notebook file stores them."""

from __future__ import annotations

import json
import os
import sys

import pytest

from rushlight.compat import notebook
from rushlight.compat.display import mime_bundle, overwrite_lines
from rushlight.compat.notebook_file import NotebookError, read_notebook


def code(source, **metadata):
    return {"cell_type": "code", "source": source, "metadata": metadata, "outputs": [], "execution_count": None}


def write(path, cells, **top):
    document = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells, **top}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path):
    """Run cells given by their source; the exit status and the executed document."""

    def run_cells(*sources, **options):
        cells = [source if isinstance(source, dict) else code(source) for source in sources]
        path = write(tmp_path / "lesson.ipynb", cells)
        status = notebook.run_notebook(path, output=tmp_path / "done.ipynb", **options)
        return status, json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))["cells"]

    return run_cells


def outputs(cell):
    """Outputs as short tuples: kind and text."""
    short = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            short.append((output["name"], "".join(output["text"])))
        elif output["output_type"] == "error":
            short.append(("error", output["ename"], output["evalue"]))
        else:
            short.append((output["output_type"], "".join(output["data"]["text/plain"])))
    return short


def test_cells_share_a_namespace_and_show_their_last_value(run, capfd):
    markdown = {"cell_type": "markdown", "source": "# text", "metadata": {}}
    status, cells = run("x = 20", "# nothing\nx + 1", markdown, "", "x;", "x ; # quiet", "None",
                        "print('said')\n[_, __, Out, In[2], _2]", "def f(): return 5\nf()")
    assert status == 0
    assert [cell.get("execution_count") for cell in cells] == [1, 2, None, None, 3, 4, 5, 6, 7]
    assert [outputs(cell) for cell in cells if cell["cell_type"] == "code"] == [
        [], [("execute_result", "21")], [], [], [], [],
        [("stdout", "said\n"), ("execute_result", "[21, '', {2: 21}, '# nothing\\nx + 1', 21]")],
        [("execute_result", "5")]]
    assert cells[1]["outputs"][0]["execution_count"] == 2
    assert capfd.readouterr().out == (
        "Out[2]: 21\nsaid\nOut[6]: [21, '', {2: 21}, '# nothing\\nx + 1', 21]\nOut[7]: 5\n")


def test_an_underscore_of_the_programs_own_is_kept(run):
    _, cells = run("1", "for _, x in [(7, 8)]: pass", "2", "_")
    assert outputs(cells[3]) == [("execute_result", "7")]


def test_streams_are_live_and_recorded_in_order(run, capfd):
    source = (
        "import sys\nprint('a')\nprint('b', file=sys.stderr)\n"
        "print('c', end='')\nprint('d')\nsys.stdout.write('1%\\r2%\\n');")
    _, cells = run(source)
    assert outputs(cells[0]) == [("stdout", "a\n"), ("stderr", "b\n"), ("stdout", "cd\n2%\n")]
    assert capfd.readouterr() == ("a\ncd\n1%\r2%\n", "b\n")


def test_a_failing_cell_stops_the_run_and_what_ran_is_kept(run, capfd):
    status, cells = run("print('kept')", "def f():\n    return 1 / 0\n", "x = 1\nf()", "print('never')")
    assert status == 1
    assert outputs(cells[0]) == [("stdout", "kept\n")] and cells[3]["execution_count"] is None
    assert outputs(cells[2]) == [("error", "ZeroDivisionError", "division by zero")]
    text = "\n".join(cells[2]["outputs"][0]["traceback"])
    assert "Cell In[3], line 2, in <module>\n    f()" in text
    assert "Cell In[2], line 2, in f\n    return 1 / 0" in text
    assert "rushlight" not in text and text.endswith("ZeroDivisionError: division by zero")
    error = capfd.readouterr().err
    assert text in error and "cell 3 of 4 (In[3]) failed; 1 code cell after it did not run" in error


def test_syntax_errors_name_the_cell(run, capfd):
    status, cells = run("x = 1\nfor:")
    assert status == 1 and "Cell In[1], line 2" in "\n".join(cells[0]["outputs"][0]["traceback"])


def test_errors_can_be_allowed(run):
    assert run("1 / 0", "print('on')", allow_errors=True)[0] == 0
    status, cells = run(code("1 / 0", tags=["raises-exception"]), code("boom", tags=["skip-execution"]), "print('on')")
    assert status == 0 and outputs(cells[2]) == [("stdout", "on\n")] and outputs(cells[1]) == []


def test_exit_and_interrupt_end_the_run(run, capfd):
    assert run("import sys; sys.exit(5)", "print('never')", allow_errors=True)[0] == 5
    assert run("raise SystemExit", "print('never')")[0] == 0
    status, cells = run("raise KeyboardInterrupt", "print('never')")
    assert status == 130 and outputs(cells[0])[0][:2] == ("error", "KeyboardInterrupt")
    assert "never" not in capfd.readouterr().out


def test_rich_forms_and_display(run):
    _, cells = run(
        "class Rich:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<b>1</b>\\n<b>2</b>'\n"
        "    def _repr_png_(self): return b'\\x89PNG'\n"
        "    def _repr_svg_(self): return None\n"
        "Rich()", "display(Rich(), 3)", "Rich")
    assert cells[0]["outputs"][0]["data"] == {
        "text/plain": ["plain"], "text/html": ["<b>1</b>\n", "<b>2</b>"], "image/png": "iVBORw=="}
    assert outputs(cells[1]) == [("display_data", "plain"), ("display_data", "3")]
    assert list(cells[2]["outputs"][0]["data"]) == ["text/plain"]


def test_a_form_that_fails_is_left_out(capsys):
    class Broken:
        def _repr_html_(self):
            raise ValueError("no html today")

        def _repr_mimebundle_(self):
            return {"text/latex": "$x$"}, {"text/latex": {"k": 1}}

    data, metadata = mime_bundle(Broken())
    assert sorted(data) == ["text/latex", "text/plain"] and metadata == {"text/latex": {"k": 1}}
    assert "no html today" in capsys.readouterr().err


def test_figures_become_pictures(run):
    pytest.importorskip("matplotlib")
    status, cells = run(
        "%matplotlib inline\nimport matplotlib.pyplot as plt",
        "plt.figure(figsize=(1, 1)); plt.plot([1, 2]); plt.show(); print('after')",
        "figure, axes = plt.subplots(figsize=(1, 1))\naxes.plot([1]);", "plt.get_fignums()")
    assert status == 0, cells
    assert [kind for kind, _ in outputs(cells[1])] == ["display_data", "stdout"]
    assert [kind for kind, _ in outputs(cells[2])] == ["display_data"]
    assert cells[2]["outputs"][0]["data"]["image/png"].startswith("iVBORw0KGgo")
    assert outputs(cells[3]) == [("execute_result", "[]")]


def test_a_figure_that_cannot_be_drawn_fails_no_cell(run):
    pytest.importorskip("matplotlib")
    status, cells = run("import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)).suptitle('$\\\\nonsense$');",
                        "plt.get_fignums()")
    assert status == 0
    assert outputs(cells[0])[0][0] == "stderr" and "nonsense" in outputs(cells[0])[0][1]
    assert outputs(cells[1]) == [("execute_result", "[]")]


def test_magics_without_ipython(run, monkeypatch):
    real = notebook.importlib.util.find_spec
    monkeypatch.setattr(
        notebook.importlib.util, "find_spec", lambda name, *rest: None if name == "IPython" else real(name, *rest))
    status, cells = run("%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nx = '''\n%time\n'''\nx")
    assert status == 0 and outputs(cells[0]) == [("execute_result", "'\\n%time\\n'")]
    cases = [("%time 1", 1), ("x = 1\nfiles = !ls", 2), ("1\n\n?print", 3), ("print?", 1), ("%%time\nx", 1)]
    for source, line in cases:
        status, cells = run(source)
        assert status == 1
        _, name, text = outputs(cells[0])[0]
        assert name == "NeedsIPythonError" and f"Cell In[1], line {line}: " in text
        assert "pip install rushlight[notebook]" in text


def test_broken_python_is_not_mistaken_for_ipython(run):
    status, cells = run("x = '''\nwhat is it?\n'''\n# really?\nfor:")
    assert status == 1 and outputs(cells[0])[0][:2] == ("error", "SyntaxError")


def test_magics_with_ipython(run, tmp_path):
    pytest.importorskip("IPython", reason="magics need IPython")
    (tmp_path / "beside.txt").write_text("")
    status, cells = run("y = 4\n%who_ls", "%%capture kept\nprint(y)\n", "kept.stdout", "!echo shell $y", "x = %pwd\nx",
                        "print?", "%time 1 / 0", "never", allow_errors=False)
    assert status == 1
    assert "'y'" in outputs(cells[0])[0][1]
    assert outputs(cells[1]) == [] and outputs(cells[2]) == [("execute_result", "'4\\n'")]
    assert outputs(cells[3])[0][1].split() == ["shell", "4"]
    assert outputs(cells[4]) == [("execute_result", repr(str(tmp_path)))]
    assert outputs(cells[5])[0][0] == "display_data" and "Signature" in outputs(cells[5])[0][1]
    assert outputs(cells[6])[-1][:2] == ("error", "ZeroDivisionError")


def test_what_ipython_displays_is_recorded(run):
    pytest.importorskip("IPython", reason="IPython.display is IPython's")
    status, cells = run(
        "from IPython.display import HTML, display, clear_output\n"
        "print('gone')\nclear_output()\ndisplay(HTML('<i>x</i>'))",
        "HTML('<b>y</b>')")
    assert status == 0
    assert [output["data"]["text/html"] for output in cells[0]["outputs"]] == [["<i>x</i>"]]
    assert cells[1]["outputs"][0]["data"]["text/html"] == ["<b>y</b>"]


def test_future_statements_and_sources_last(run):
    _, cells = run("from __future__ import annotations\nimport inspect", "def f(x: not_defined):\n    return x",
                   "print(inspect.getsource(f))",
                   "import pickle\nclass C: pass\ntype(pickle.loads(pickle.dumps(C()))) is C")
    assert outputs(cells[2]) == [("stdout", "def f(x: not_defined):\n    return x\n")]
    assert outputs(cells[3]) == [("execute_result", "True")]


def test_the_process_is_as_it_was_afterwards(run, tmp_path):
    def state():
        return (os.getcwd(), list(sys.path), list(sys.argv), sys.stdout, sys.stderr, sys.modules["__main__"],
                os.environ.get("MPLBACKEND"))

    (tmp_path / "neighbour.py").write_text("value = 3")
    before = state()
    _, cells = run("import neighbour, os\nneighbour.value, os.getcwd(), __name__")
    assert outputs(cells[0]) == [("execute_result", repr((3, str(tmp_path), "__main__")))]
    assert state() == before


def test_stale_outputs_do_not_survive_and_the_rest_does(tmp_path):
    stale = {"output_type": "stream", "name": "stdout", "text": "old"}
    cells = [code("1 / 0"), {**code("2"), "outputs": [stale], "execution_count": 9, "id": "abc"}]
    path = write(tmp_path / "n.ipynb", cells, metadata={"kernelspec": {"name": "python3"}})
    assert notebook.run_notebook(path, output=path) == 1
    written = json.loads(path.read_text())
    assert written["cells"][1] == {**code([]), "source": ["2"], "id": "abc"}
    assert written["metadata"] == {"kernelspec": {"name": "python3"}}
    assert [file.name for file in tmp_path.iterdir()] == ["n.ipynb"]


def test_executed_notebooks_are_valid(run, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="validates against nbformat's schema")
    run("print('x')", "3", "display(4)", "1 / 0")
    nbformat.validate(nbformat.read(tmp_path / "done.ipynb", as_version=4))


def test_undecodable_text_is_written(run):
    status, cells = run("'\\udc80'", "print('é')")
    assert status == 0 and outputs(cells[1]) == [("stdout", "é\n")]


@pytest.mark.parametrize("text, message", [
    ("", "is empty"),
    ("{\n oops", "is not JSON: line 2"),
    ("[1]", "no integer `nbformat`"),
    ('{"nbformat": 3, "worksheets": []}', "notebook format 3 was found, and format 4 is needed"),
    ('{"nbformat": 4}', "`cells` is missing and not a list"),
    ('{"nbformat": 4, "cells": [5]}', "cell 1 is a number"),
    ('{"nbformat": 4, "cells": [{"cell_type": "cod", "source": ""}]}', "cell 1 has cell_type 'cod'"),
    ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "cell 1: `source` is a number"),
    ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": "", "metadata": []}]}', "`metadata` is a list"),
    ('{"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"language": "julia"}}}', "written in julia"),
])
def test_files_that_are_no_notebooks(tmp_path, text, message):
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    with pytest.raises(NotebookError, match=".*") as caught:
        read_notebook(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_missing_output_folder_is_found_before_anything_runs(tmp_path):
    path = write(tmp_path / "n.ipynb", [code("open('ran', 'w')")])
    with pytest.raises(NotebookError, match="there is no folder"):
        notebook.run_notebook(path, output=tmp_path / "nowhere" / "done.ipynb")
    assert not (tmp_path / "ran").exists()


def test_carriage_returns():
    assert overwrite_lines("a\rbc\r\nd\re") == "bc\ne"
