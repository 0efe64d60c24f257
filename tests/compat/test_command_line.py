"""`python -m rushlight`: scripts, modules and notebooks run as the interpreter would run them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest


def test_a_script_runs_as_main(fake, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "neighbour.py").write_text("import torch\nname = torch.__name__")
    script = folder / "script.py"
    script.write_text(
        "import json, os, sys\n"
        "import torch, torchvision, neighbour\n"
        "import __main__\n"
        "answer = 7\n"
        "print(json.dumps([__name__, __file__, sys.argv, sys.path[0], torch.__name__, neighbour.name,\n"
        "                  __main__.answer, __spec__ is None, __builtins__.__name__, os.getcwd()]))\n")
    relative = os.path.join("folder", "script.py")
    done = fake.run("-m", "rushlight", "run", relative, "--lr", "0.1", "--output", "x", "-m", "y", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    argv = [relative, "--lr", "0.1", "--output", "x", "-m", "y"]
    assert json.loads(done.stdout) == [
        "__main__", relative, argv, str(folder), "rushlight", "rushlight", 7, True, "builtins", str(tmp_path)]


def test_a_scripts_error_shows_its_own_lines_only(fake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("def f():\n    import torch.nn.functionals\ntry:\n    f()\nexcept ImportError:\n    {}['k']\n")
    done = fake.run("-m", "rushlight", "run", str(script))
    assert done.returncode == 1 and done.stdout == ""
    assert [line.split('"')[1] for line in done.stderr.splitlines() if line.startswith("  File")] == [str(script)] * 3
    assert "MissingModuleError: No module named 'torch.nn.functionals'. The nearest rushlight has" in done.stderr
    assert done.stderr.endswith("KeyError: 'k'\n")


def test_a_name_missing_from_a_module_file_is_explained_too(fake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from torch.nn.functional import relu6")
    done = fake.run("-m", "rushlight", "run", str(script))
    assert "from 'torch.nn.functional'. PyTorch 2.13 has it; rushlight has not got it yet" in done.stderr
    assert "rushlight/compat" not in done.stderr


@pytest.mark.parametrize("body, status, error", [
    ("import sys; sys.exit(4)", 4, ""),
    ("raise SystemExit", 0, ""),
    ("import sys; sys.exit('no luck')", 1, "no luck\n"),
    ("x = (", 1, "SyntaxError: '(' was never closed\n"),
    ("import sys; sys.excepthook = lambda *a: print('mine', a[0].__name__, file=sys.stderr)\n1 / 0", 1,
     "mine ZeroDivisionError\n"),
])
def test_exit_statuses(fake, tmp_path, body, status, error):
    script = tmp_path / "script.py"
    script.write_text(body)
    done = fake.run("-m", "rushlight", "run", str(script))
    assert done.returncode == status and done.stderr.endswith(error)
    assert "runpy" not in done.stderr and "rushlight" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is POSIX")
def test_an_interrupt_ends_a_script(fake, tmp_path):
    script = tmp_path / "script.py"
    # A job started in the background inherits that SIGINT is ignored.
    script.write_text(
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\nwhile True: pass\n"
    )
    done = fake.run("-m", "rushlight", "run", str(script))
    assert done.returncode in (130, -signal.SIGINT) and "KeyboardInterrupt" in done.stderr


def test_modules_and_packages(fake, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("value = 5")
    (package / "__main__.py").write_text(
        "import sys, torch\nfrom .part import value\n"
        "print(__name__, __package__, __spec__.name, value, torch.__name__, sys.argv)")
    done = fake.run("-m", "rushlight", "run", "-m", "package", "--output", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    argv = [str(package / "__main__.py"), "--output", "x"]
    assert done.stdout == f"__main__ package package.__main__ 5 rushlight {argv}\n"
    done = fake.run("-m", "rushlight", "run", "-m", "package.nothing", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "rushlight: cannot run 'package.nothing': there is no such module\n"


def test_spawned_children_of_a_script(fake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, torch\n"
        "def work(x): return torch.__name__, x\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        print(*pool.apply(work, (1,)))\n")
    done = fake.run("-m", "rushlight", "run", str(script))
    assert (done.returncode, done.stdout) == (0, "rushlight 1\n"), done.stderr


def test_a_notebook(fake, tmp_path):
    def cell(source):
        return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}

    cells = [cell("import torch\ntorch.__name__"), cell("torch.vmap"), cell("'on'")]
    (tmp_path / "n.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    done = fake.run("-m", "rushlight", "run", "n.ipynb", "--output", "done.ipynb", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout == "Out[1]: 'rushlight'\n"
    assert "Cell In[2], line 1" in done.stderr and "PyTorch 2.13 has it; rushlight has not got it yet" in done.stderr
    assert "missing.py" not in done.stderr
    written = json.loads((tmp_path / "done.ipynb").read_text())["cells"]
    assert [len(entry["outputs"]) for entry in written] == [1, 1, 0]
    done = fake.run("-m", "rushlight", "run", "--allow-errors", "n.ipynb", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("Out[3]: 'on'\n")
    done = fake.run("-m", "rushlight", "run", "done.ipynb", "--outptu", "x", cwd=tmp_path)
    assert done.returncode == 2 and "unrecognized arguments: --outptu x" in done.stderr


def test_help_and_mistakes(fake, tmp_path):
    done = fake.run("-m", "rushlight", "--help")
    assert done.returncode == 0 and "run a script, module or notebook" in done.stdout
    assert "lesson.ipynb --output done.ipynb" in fake.run("-m", "rushlight", "run", "--help").stdout
    for arguments, message in (
        (["run"], "name a script, a notebook, or a module"),
        (["run", "nothing.py"], "cannot run 'nothing.py': there is no such file"),
        (["run", "nothing.ipynb"], "nothing.ipynb"),
        (["run", "--output", "x", "script.py"], "--output and --allow-errors are for notebooks"),
        (["walk"], "invalid choice: 'walk'"),
    ):
        done = fake.run("-m", "rushlight", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_info(fake):
    done = fake.run("-m", "rushlight", "info")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["rushlight"] == "2.13.0+rushlight.9.9" and lines["threads"] == "3" and lines["kernels"] == "reference"
    assert lines["numpy"][0].isdigit() and lines["python"].startswith(sys.version.split()[0])


def test_a_notebook_kernel_inherits_the_alias(fake, tmp_path):
    # What Jupyter does when a kernel starts: a fresh interpreter with the parent's environment.
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, sys\n"
        "sys.exit(subprocess.run([sys.executable, '-c', 'import torch.nn as nn; print(nn.__name__)']).returncode)")
    done = fake.run("-m", "rushlight", "run", str(script))
    assert (done.returncode, done.stdout) == (0, "rushlight.nn\n"), done.stderr
    plain = subprocess.run([sys.executable, "-c", "import os; print('shim' in os.environ.get('PYTHONPATH', ''))"],
                           capture_output=True, text=True, timeout=60)
    assert plain.stdout == "False\n"
