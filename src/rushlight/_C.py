"""The few names of torch's private `_C` module that programs use."""

from __future__ import annotations

from rushlight.core.generator import Generator
from rushlight.core.tensor import TensorBase
from rushlight.overrides import DisableTorchFunction, DisableTorchFunctionSubclass

__all__ = ["DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "TensorBase"]
