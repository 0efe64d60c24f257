"""torch.autograd: automatic differentiation. The engine is in engine.py; start reading at `backward` in api.py."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rushlight.autograd import functional, graph
from rushlight.autograd.anomaly import detect_anomaly, set_detect_anomaly
from rushlight.autograd.api import backward, grad
from rushlight.autograd.function import Function, InplaceFunction
from rushlight.autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from rushlight.autograd.gradcheck import gradcheck, gradgradcheck
from rushlight.core.public import Tensor as Variable


def __getattr__(name: str) -> Any:
    if name == "profiler":  # most programs never ask where time goes
        return import_module("rushlight.autograd.profiler")
    raise AttributeError(f"module 'rushlight.autograd' has no attribute '{name}'")
