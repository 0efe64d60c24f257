"""Lets the tests of this folder import its helper modules `parity_table`, `parity_differences` and `parity_run`."""

import sys
from pathlib import Path

folder = str(Path(__file__).parent)
if folder not in sys.path:
    sys.path.append(folder)
