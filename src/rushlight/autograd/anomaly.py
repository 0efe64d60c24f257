"""Anomaly detection: where in the forward pass was the operation whose derivative went wrong?"""

from __future__ import annotations

import os.path
import traceback
from typing import Any, Final

from rushlight.base.warn import warn_user
from rushlight.core.modes import Override, local, refresh
from rushlight.core.node import Node
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase

_PACKAGE: Final = os.path.dirname(os.path.dirname(__file__))


def remember_forward(op: Any, inputs: tuple[Any, ...], outputs: Any) -> None:
    """A listener: notes on each node the stack of the call that made it, and the node whose derivative it is part of."""
    for out in outputs if isinstance(outputs, tuple) else (outputs,):
        if isinstance(out, TensorBase) and out._grad_fn is not None:
            remember_node(out._grad_fn)


def remember_node(node: Node) -> None:
    """Note on a fresh node where it was made."""
    notes = node.metadata
    if "traceback_" not in notes:
        notes["traceback_"] = traceback.format_list(user_frames())
        notes["parent_"] = None if local.modes.walk is None else local.modes.walk.current


def user_frames() -> list[traceback.FrameSummary]:
    """The stack down to the call into this package."""
    frames = traceback.extract_stack()
    inside = next((i for i, frame in enumerate(frames) if frame.filename.startswith(_PACKAGE)), len(frames))
    return list(frames[:inside])


def check_anomaly(node: Node, grads: tuple[Any, ...]) -> None:
    """Raise when a derivative returned NaN."""
    if not local.modes.check_nan:
        return
    for i, g in enumerate(grads):
        if g is not None and bool(g.detach().isnan().any()):
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def report_anomaly(node: Node) -> None:
    """Warn with the forward call that made the node whose derivative failed, and with those that led to that call."""
    stack = "".join(node.metadata.get("traceback_", ["  (the forward pass ran outside anomaly mode)\n"]))
    text = f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{stack}"
    parent = node.metadata.get("parent_")
    while parent is not None:
        stack = "".join(parent.metadata.get("traceback_", ["  (that forward pass ran outside anomaly mode)\n"]))
        text += (
            f"\nPrevious calculation was induced by {parent.name()}. Traceback of forward call that induced the previous "
            f"calculation:\n{stack}"
        )
        parent = parent.metadata.get("parent_")
    warn_user(text)


class detect_anomaly(Override):
    """Inside, every node remembers its forward call, and a NaN in the backward pass is an error that shows it.

    Slow: for finding a fault, not for training. check_nan=False only remembers the forward calls.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(anomaly=True, check_nan=check_nan)

    def __enter__(self) -> detect_anomaly:
        warn_user(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
        )
        others = tuple(x for x in local.modes.listeners if x is not remember_forward)
        self.values["listeners"] = (*others, remember_forward)
        super().__enter__()
        return self


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once and until the end of a `with` block if used with one."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = (local.modes.anomaly, local.modes.check_nan, local.modes.listeners)
        rest = tuple(x for x in local.modes.listeners if x is not remember_forward)
        local.modes.anomaly, local.modes.check_nan, local.modes.listeners = mode, check_nan, (*rest, remember_forward) if mode else rest
        refresh()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        local.modes.anomaly, local.modes.check_nan, local.modes.listeners = self.before
        refresh()


def is_anomaly_enabled() -> bool:
    """Whether this thread detects anomalies."""
    return local.modes.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection raises on NaN."""
    return local.modes.check_nan


fill(check_anomaly=check_anomaly, report_anomaly=report_anomaly, remember_node=remember_node)
