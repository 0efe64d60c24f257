"""Make the virtual environment that the Makefile's targets use, and install rushlight in it, editable.

    python tools/environment.py --venv .venv --extras vision,viz

Standard library only: this runs before anything is installed. A second call costs a fraction of a second: what
was installed, from which checkout and for which `pyproject.toml`, is noted inside the environment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
NOTE = "rushlight-environment.json"


class SetupError(Exception):
    """Something a person has to put right; the message says what and how."""


def say(text: str) -> None:
    print(f"rushlight: {text}", flush=True)


def python_of(venv: Path) -> Path:
    """The interpreter inside an environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def version_of(python: Path) -> tuple[int, int] | None:
    """(major, minor) of an interpreter; None when it does not run or has no pip."""
    code = "import sys, pip; print(*sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def make_venv(venv: Path) -> None:
    """Make the environment unless a working one stands there. A directory of somebody else's is left alone."""
    if venv.exists() and any(venv.iterdir()):
        version = version_of(python_of(venv))
        if version is not None and version >= OLDEST:
            return
        if version is not None:
            raise SetupError(
                f"{venv} holds Python {version[0]}.{version[1]}; rushlight needs {OLDEST[0]}.{OLDEST[1]} or newer. "
                f"Remove that directory, or name another with VENV=path."
            )
        if not (venv / NOTE).exists() and not (venv / "pyvenv.cfg").exists():
            raise SetupError(f"{venv} exists and is not a virtual environment. Name another directory with VENV=path.")
        if venv != ROOT / ".venv":
            raise SetupError(f"the Python in {venv} does not run, or lacks pip. Remove that directory and try again.")
        say(f"the Python in {venv} does not run any more (was Python upgraded?): making the environment anew")
    say(f"making a virtual environment in {venv} with Python {sys.version.split()[0]}")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", venv], capture_output=True, text=True)
    if done.returncode != 0:
        raise SetupError(
            f"Python's venv module failed:\n{(done.stdout + done.stderr).strip()}\n"
            f"On Debian and Ubuntu the cure is: apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def fingerprint() -> dict[str, str]:
    """What an installation depends on: this checkout's place and its pyproject.toml."""
    return {"root": str(ROOT), "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()}


def read_note(venv: Path) -> dict[str, object]:
    """The note of the last installation; empty when there is none that can be read."""
    try:
        note = json.loads((venv / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def install(venv: Path, extras: set[str]) -> None:
    """Install rushlight[extras], editable, unless the note says that it is there. Extras only ever add up."""
    note, current = read_note(venv), fingerprint()
    noted = note.get("extras")
    installed = set(noted) if isinstance(noted, list) else set()
    if extras <= installed and {key: note.get(key) for key in current} == current:
        return
    wanted = sorted(extras | installed)
    requirement = f"{ROOT}[{','.join(wanted)}]" if wanted else str(ROOT)
    say(f"installing rushlight with {', '.join(wanted) or 'no extras'} (needed once; pip shows its progress below)")
    (venv / NOTE).unlink(missing_ok=True)
    started = time.perf_counter()
    command = [python_of(venv), "-m", "pip", "install", "--disable-pip-version-check", "--editable", requirement]
    done = subprocess.run(command)
    if done.returncode != 0:
        raise SetupError(
            "pip could not install rushlight (its message stands above). Without a network connection to PyPI it "
            "cannot fetch NumPy; behind a proxy, set HTTPS_PROXY or `pip config set global.index-url ...`."
        )
    text = json.dumps({**current, "extras": wanted}, indent=1)
    (venv / NOTE).write_text(text + "\n", encoding="utf-8")
    say(f"ready in {time.perf_counter() - started:.0f} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="directory of the environment")
    parser.add_argument("--extras", default="", help="comma-separated extras of pyproject.toml")
    arguments = parser.parse_args()
    venv = Path(os.path.abspath(arguments.venv))
    try:
        if sys.version_info < OLDEST:
            raise SetupError(f"Python {sys.version.split()[0]} is too old: 3.11 or newer is needed (PYTHON=path).")
        make_venv(venv)
        install(venv, {name for name in arguments.extras.split(",") if name})
    except SetupError as error:
        print(f"rushlight: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
