"""The layers, and their registration under torch's paths: in messages, and in files that torch reads too."""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional, parameter
from rushlight.nn.modules import (
    activation,
    batchnorm,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    instancenorm,
    lazy,
    linear,
    loss,
    module,
    normalization,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
from rushlight.nn.modules.activation import *
from rushlight.nn.modules.batchnorm import *
from rushlight.nn.modules.channelshuffle import *
from rushlight.nn.modules.container import *
from rushlight.nn.modules.conv import *
from rushlight.nn.modules.distance import *
from rushlight.nn.modules.dropout import *
from rushlight.nn.modules.flatten import *
from rushlight.nn.modules.fold import *
from rushlight.nn.modules.instancenorm import *
from rushlight.nn.modules.linear import *
from rushlight.nn.modules.loss import *
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.normalization import *
from rushlight.nn.modules.padding import *
from rushlight.nn.modules.pixelshuffle import *
from rushlight.nn.modules.pooling import *
from rushlight.nn.modules.rnn import *
from rushlight.nn.modules.sparse import *
from rushlight.nn.modules.transformer import *
from rushlight.nn.modules.upsampling import *
from rushlight.serialization import define_parameter_class, register_global

_LAYERS = (
    activation,
    batchnorm,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    instancenorm,
    linear,
    loss,
    normalization,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
__all__ = ["Module"]
for _source in _LAYERS:
    __all__ += _source.__all__


def register_classes(source: Any) -> None:
    """Give the classes of a module file torch's path, and let checkpoints hold instances of the public ones."""
    path = source.__name__.replace("rushlight.", "torch.", 1)
    for name, cls in vars(source).items():
        if isinstance(cls, type) and cls.__module__ == source.__name__:
            cls.__module__ = path
            if name in source.__all__:
                register_global(path, name, cls)


define_parameter_class(parameter.Parameter)
for _source in (module, lazy, *_LAYERS):
    register_classes(_source)
# Not a name of torch.nn, but part of every MultiheadAttention.
register_global("torch.nn.modules.linear", "NonDynamicallyQuantizableLinear", linear.NonDynamicallyQuantizableLinear)
# Transformer layers hold their activation, by these names.
register_global("torch.nn.functional", "relu", functional.relu, call=False)
register_global("torch._C._nn", "gelu", functional.gelu, call=False)
