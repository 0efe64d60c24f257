"""Run notebooks' programs, which say ``import torch``, under rushlight, each with seed 0.

python rushlight_runner.py FOLDER PROGRAM...      write what each program showed as FOLDER/NAME.json
"""

import sys
from pathlib import Path

from cells import run_program

import rushlight
import rushlight.compat


def main() -> None:
    rushlight.compat.install()
    folder, *programs = map(Path, sys.argv[1:])
    for program in programs:
        rushlight.set_default_device(None)
        rushlight.manual_seed(0)
        run_program(program, folder)


if __name__ == "__main__":
    main()
