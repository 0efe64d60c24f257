"""L1: arrays in, arrays out. A backend never sees a Tensor.

As `torch.backends` it also holds the switches of torch's libraries (`cudnn.benchmark = True`), loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_SWITCHES = ("cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized")

# torch's switch for TF32 and bfloat16 products, for all backends; accepted, products are computed in full precision.
fp32_precision = "none"


def __getattr__(name: str) -> Any:
    if name in _SWITCHES:
        return import_module(f"rushlight.backends.{name}")
    raise AttributeError(f"module 'rushlight.backends' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SWITCHES})
