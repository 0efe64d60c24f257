"""The rule of tests/conftest.py that CI leans on: where torch is required, a skip for want of torch fails the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REASON = "parity tests need torch"
SKIPS = {
    "module": f'import pytest\npytest.importorskip("no_such_torch", reason="{REASON}")\ndef test(): pass\n',
    "default reason": 'import pytest\npytest.importorskip("torch.no_such_part")\ndef test(): pass\n',
    "mark": 'import pytest\n@pytest.mark.skipif(True, reason="needs torchvision")\ndef test(): pass\n',
    "inside": 'import pytest\ndef test(): pytest.skip("parity tests need torch")\n',
}
OTHER = 'import pytest\ndef test(): pytest.skip("needs Linux; torch behaves the same")\n'


def run_pytest(folder: Path, source: str, required: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "test_sample.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -rs -p no:xdist -p no:cacheprovider\n", encoding="utf-8")
    environment = {**os.environ, "RUSHLIGHT_REQUIRE_TORCH": required}
    command = [sys.executable, "-m", "pytest", "-q", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("kind", SKIPS)
def test_a_skip_for_want_of_torch_fails_where_torch_is_required(tmp_path, kind):
    done = run_pytest(tmp_path, SKIPS[kind], required="1")
    assert done.returncode in (1, 2), done.stdout
    assert "skipped for want of torch" in done.stdout


def test_elsewhere_it_is_a_skip_with_its_reason_printed(tmp_path):
    done = run_pytest(tmp_path, SKIPS["inside"], required="0")
    assert done.returncode == 0, done.stdout
    assert "SKIPPED" in done.stdout and "parity tests need torch" in done.stdout


def test_other_skips_are_left_alone(tmp_path):
    done = run_pytest(tmp_path, OTHER, required="1")
    assert done.returncode == 0, done.stdout


def test_every_test_starts_from_the_same_seed(tmp_path):
    test = "def test_{}(): assert np.random.rand() == 0.5488135039273248\n"
    done = run_pytest(tmp_path, "import numpy as np\n" + test.format("a") + test.format("b"), required="0")
    assert done.returncode == 0, done.stdout
