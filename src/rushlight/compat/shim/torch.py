"""Imported as `torch` by a process whose parent ran under the alias: puts rushlight in its own place."""

import sys
from pathlib import Path

del sys.modules[__name__]
try:
    import rushlight.compat
except ModuleNotFoundError as error:
    if error.name != "rushlight":
        raise
    # The parent found rushlight in a folder that this process does not search (a checkout, say).
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    import rushlight.compat

rushlight.compat.install()
