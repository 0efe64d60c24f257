"""Anomaly detection: where in the forward pass was the operation whose derivative went wrong?"""

from __future__ import annotations

import sys
import traceback
import warnings
from typing import Any

from rushlight.core.modes import Override, local, refresh
from rushlight.core.node import Node
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase


def remember_forward(op: Any, inputs: tuple[Any, ...], outputs: Any) -> None:
    """A listener: notes on each node the stack of the call that made it."""
    for out in outputs if isinstance(outputs, tuple) else (outputs,):
        if isinstance(out, TensorBase) and out._grad_fn is not None:
            out._grad_fn.metadata.setdefault("traceback_", traceback.format_stack(sys._getframe(2))[-8:])


def check_anomaly(node: Node, grads: tuple[Any, ...]) -> None:
    """Raise when a derivative returned NaN, with the forward call that made its node."""
    if not local.check_nan:
        return
    for i, g in enumerate(grads):
        if g is not None and bool(g.isnan().any()):
            stack = "".join(node.metadata.get("traceback_", ["  (recorded outside anomaly mode)\n"]))
            warnings.warn(
                f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{stack}", UserWarning, stacklevel=2
            )
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


class detect_anomaly(Override):
    """Inside, every node remembers its forward call, and a NaN in the backward pass is an error that shows it.

    Slow: for finding a fault, not for training. check_nan=False only remembers the forward calls.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(anomaly=True, check_nan=check_nan)

    def __enter__(self) -> detect_anomaly:
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
            stacklevel=2,
        )
        self.values["listeners"] = (*local.listeners, remember_forward)
        super().__enter__()
        return self


class set_detect_anomaly:
    """Switch anomaly detection on or off, at once and until the end of a `with` block if used with one."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = (local.anomaly, local.check_nan, local.listeners)
        rest = tuple(x for x in local.listeners if x is not remember_forward)
        local.anomaly, local.check_nan, local.listeners = mode, check_nan, (*rest, remember_forward) if mode else rest
        refresh()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        local.anomaly, local.check_nan, local.listeners = self.before
        refresh()


def is_anomaly_enabled() -> bool:
    """Whether this thread detects anomalies."""
    return local.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection raises on NaN."""
    return local.check_nan


fill(check_anomaly=check_anomaly)
