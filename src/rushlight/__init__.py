"""rushlight: a miniature torch. Tensors, automatic differentiation and neural networks with PyTorch's API and meaning.

This file only re-exports. The names of the core are imported here; the larger packages (`nn`, `optim`, `vision`...) are
imported when they are first used, so that `import rushlight` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rushlight import autograd, backends, overrides, random, version
from rushlight.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
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
from rushlight.base.errors import LinAlgError
from rushlight.base.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from rushlight.base.shape import Size, broadcast_shapes
from rushlight.core.generator import Generator
from rushlight.core.printing import set_printoptions
from rushlight.core.public import Tensor
from rushlight.core.tensor import is_tensor
from rushlight.ops.activate import *
from rushlight.ops.arithmetic import *
from rushlight.ops.cast import *
from rushlight.ops.compare import *
from rushlight.ops.complex import *
from rushlight.ops.conv import *
from rushlight.ops.creation import *
from rushlight.ops.distance import *
from rushlight.ops.dropout import *
from rushlight.ops.einsum import *
from rushlight.ops.elementwise import *
from rushlight.ops.embedding import *
from rushlight.ops.extremes import *
from rushlight.ops.fold import *
from rushlight.ops.foreach import *
from rushlight.ops.from_data import *
from rushlight.ops.fused import *
from rushlight.ops.gather import *
from rushlight.ops.grids import *
from rushlight.ops.histogram import *
from rushlight.ops.history import *
from rushlight.ops.indexing import *
from rushlight.ops.inplace import *
from rushlight.ops.interop import *
from rushlight.ops.interpolate import *
from rushlight.ops.logic import *
from rushlight.ops.loss import *
from rushlight.ops.matmul import *
from rushlight.ops.nll_loss import *
from rushlight.ops.norm import *
from rushlight.ops.pad import *
from rushlight.ops.pool import *
from rushlight.ops.power import *
from rushlight.ops.random import *
from rushlight.ops.ranges import *
from rushlight.ops.reduce import *
from rushlight.ops.rounding import *
from rushlight.ops.scan import *
from rushlight.ops.shape import *
from rushlight.ops.softmax import *
from rushlight.ops.sort import *
from rushlight.ops.special import *
from rushlight.ops.split import *
from rushlight.ops.statistics import *
from rushlight.ops.storage import *
from rushlight.ops.strided import *
from rushlight.ops.tensor_types import *
from rushlight.ops.view import *
from rushlight.ops.where import *
from rushlight.random import *
from rushlight.settings import *
from rushlight.version import __version__

float, double, half = float32, float64, float16
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128

# Imported when first used: packages, and functions of packages.
_PACKAGES = frozenset((
    "_C", "compat", "compiler", "cuda", "distributed", "hub", "jit", "linalg", "mps", "nn", "optim", "serialization", "special",
    "testing", "utils", "vision", "viz",
))
_FUNCTIONS = {"load": "serialization", "save": "serialization", "seed": "random", "default_generator": "random"}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"rushlight.{name}")
    if name in _FUNCTIONS:
        found = getattr(import_module(f"rushlight.{_FUNCTIONS[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'rushlight' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PACKAGES, *_FUNCTIONS})
