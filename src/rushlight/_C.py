"""The few names of torch's private `_C` module that programs use."""

from __future__ import annotations

from typing import Any

from rushlight.base.errors import LinAlgError as _LinAlgError
from rushlight.core.generator import Generator
from rushlight.core.primitive import disabled_torch_function as _disabled_torch_function_impl
from rushlight.core.tensor import TensorBase
from rushlight.overrides import DisableTorchFunction, DisableTorchFunctionSubclass


def _log_api_usage_once(event: str) -> None:
    """Accepted; nothing is logged."""


def _get_tracing_state() -> None:
    """None: nothing is ever traced."""


def _is_tracing(value: Any = None) -> bool:
    """Never."""
    return False


__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "TensorBase", "_LinAlgError",
    "_disabled_torch_function_impl", "_get_tracing_state", "_is_tracing", "_log_api_usage_once",
]  # fmt: skip
