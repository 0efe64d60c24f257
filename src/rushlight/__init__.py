"""rushlight: a miniature torch. Tensors, automatic differentiation and neural networks with PyTorch's API and meaning.

This file only re-exports. The names of the core are imported here; the larger packages (`nn`, `optim`, `vision`...) are
imported when they are first used, so that `import rushlight` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from math import e, inf, nan, pi
from typing import Any

import rushlight.base.build  # before anything of the engine: decides whether it runs compiled
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
from rushlight.base.size import Size
from rushlight.core.generator import Generator
from rushlight.core.printing import set_printoptions
from rushlight.core.public import Tensor
from rushlight.core.tensor import is_tensor
from rushlight.ops.activate import *
from rushlight.ops.arithmetic import *
from rushlight.ops.cast import *
from rushlight.ops.compare import *
from rushlight.ops.complex import *
from rushlight.ops.contract import *
from rushlight.ops.creation import *
from rushlight.ops.diagonals import *
from rushlight.ops.elementwise import *
from rushlight.ops.extremes import *
from rushlight.ops.from_data import *
from rushlight.ops.fused import *
from rushlight.ops.gather import *
from rushlight.ops.histogram import *
from rushlight.ops.history import *
from rushlight.ops.indexing import *
from rushlight.ops.inplace import *
from rushlight.ops.interop import *
from rushlight.ops.linalg import *
from rushlight.ops.logic import *
from rushlight.ops.matmul import *
from rushlight.ops.norm import *
from rushlight.ops.power import *
from rushlight.ops.random import *
from rushlight.ops.reduce import *
from rushlight.ops.rounding import *
from rushlight.ops.scan import *
from rushlight.ops.scatter import *
from rushlight.ops.shape import *
from rushlight.ops.softmax import *
from rushlight.ops.sort import *
from rushlight.ops.special import *
from rushlight.ops.split import *
from rushlight.ops.statistics import *
from rushlight.ops.storage import *
from rushlight.ops.strided import *
from rushlight.ops.tensor_types import *
from rushlight.ops.vector_norm import *
from rushlight.ops.view import *
from rushlight.ops.view_inplace import *
from rushlight.ops.where import *
from rushlight.random import *
from rushlight.settings import *
from rushlight.version import __version__

float, double, half = float32, float64, float16
short, int, long = int16, int32, int64
cfloat, cdouble = complex64, complex128
newaxis = None

# Imported when first used: packages, and functions by the module that has them.
_PACKAGES = frozenset((
    "__config__", "_C", "accelerator", "amp", "compat", "compiler", "cpu", "cuda", "distributed", "hub", "jit", "linalg", "mps",
    "nn", "optim", "profiler", "return_types", "serialization", "special", "testing", "utils", "vision", "viz", "xpu",
))
_LAZY = {
    "ops.batch_norm": "batch_norm instance_norm",
    "ops.conv": "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution",
    "ops.distance": "cdist cosine_similarity pairwise_distance pdist",
    "ops.dropout": "alpha_dropout alpha_dropout_ dropout dropout_ feature_alpha_dropout feature_alpha_dropout_ "
    "feature_dropout feature_dropout_",
    "ops.einsum": "einsum",
    "ops.embedding": "embedding embedding_renorm_",
    "ops.fold": "channel_shuffle col2im im2col native_channel_shuffle pixel_shuffle pixel_unshuffle",
    "ops.grids": "broadcast_shapes cartesian_prod combinations complex meshgrid polar tril_indices triu_indices",
    "ops.inplace_functions": "abs_ acos_ acosh_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_ atanh_ ceil_ "
    "clamp_ clamp_max_ clamp_min_ clip_ conj_physical_ cos_ cosh_ deg2rad_ erf_ erfc_ exp2_ exp_ expm1_ "
    "fix_ floor_ frac_ gcd_ i0_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_ nan_to_num_ neg_ negative_ "
    "rad2deg_ reciprocal_ round_ rsqrt_ sigmoid_ sin_ sinc_ sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_",
    "ops.normalization": "group_norm layer_norm rms_norm",
    "ops.packing": "_pack_padded_sequence _pad_packed_sequence",
    "ops.pad": "constant_pad_nd",
    "ops.pool": "adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d max_pool1d max_pool1d_with_indices max_pool2d "
    "max_pool3d",
    "ops.ranges": "arange eye linspace logspace range",
    "ops.recurrent": "gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell",
}
_FUNCTIONS = {
    **{name: module for module, names in _LAZY.items() for name in names.split()},
    **dict.fromkeys(
        "GradScaler autocast clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype "
        "is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled".split(),
        "autograd.autocast",
    ),
    "Event": "cuda.streams",
    "Stream": "cuda.streams",
    "default_generator": "random",
    "load": "serialization",
    "save": "serialization",
    "seed": "random",
}


def __getattr__(name: str) -> Any:
    if name in ("load", "save", "serialization"):
        import_module("rushlight.nn")  # enters the module classes that checkpoints may hold
    if name in _PACKAGES:
        return import_module(f"rushlight.{name}")
    if name in _FUNCTIONS:
        found = getattr(import_module(f"rushlight.{_FUNCTIONS[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'rushlight' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PACKAGES, *_FUNCTIONS})
