"""What a thread has of its own. mypyc can't compile a `threading.local`, so it has a file of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rushlight.core.modes import Modes


class Local(threading.local):
    """modes: those of the thread that asks. To look it up is slow, its fields are not."""

    def __init__(self, modes: Callable[[], Modes]) -> None:
        self.modes = modes()
