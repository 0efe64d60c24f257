"""Warnings that point at the line of the user's program that caused them."""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType
from typing import Final

from rushlight.base.build import PACKAGE

INSIDE: Final = str(PACKAGE) + os.sep  # where the code of this package lies, as its frames say it


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn` at the first frame outside this package.

    A fixed `stacklevel` would count frames of ours, which change with the way in (a function, its method, a module's hooks),
    and of which the compiled engine leaves none.
    """
    level = 2
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
