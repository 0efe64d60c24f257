"""A matplotlib backend for notebooks: `plt.show()` puts the open figures into the running cell's outputs as PNG.

Selected by `MPLBACKEND=module://rushlight.compat.figures`, which the notebook runner sets.
"""

from __future__ import annotations

import io
from typing import Any

from matplotlib import pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rushlight.compat import display

FigureCanvas = FigureCanvasAgg


def show(*arguments: object, **options: object) -> None:
    """Publish the open figures and close them, as a notebook does; without a running notebook it does nothing."""
    recorder = display.active_recorder()
    if recorder is None:
        return
    try:
        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            recorder.display({"image/png": display.base64_text(_png(figure)), "text/plain": repr(figure)})
    finally:
        pyplot.close("all")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()
