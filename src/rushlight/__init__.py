"""rushlight: a miniature torch. Tensors, automatic differentiation and neural networks with PyTorch's API and meaning.

This file only re-exports. The names of the core are imported here; the larger packages (`nn`, `optim`, `vision`...) are
imported when they are first used, so that `import rushlight` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rushlight.autograd import grad_mode as _grad_mode  # noqa: F401
from rushlight.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from rushlight.base.device import device, get_default_device, set_default_device
from rushlight.base.dtypes import (
    bfloat16,
    can_cast,
    complex64,
    complex128,
    dtype,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from rushlight.base.dtypes import bool_ as bool
from rushlight.base.shape import Size
from rushlight.core.public import Tensor
from rushlight.version import __version__

float, double, half = float32, float64, float16
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128
