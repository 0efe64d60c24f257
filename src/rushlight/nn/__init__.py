"""Neural networks: modules, their parameters and initial values, and the functions they apply."""

from __future__ import annotations

from rushlight.nn import functional, init, modules, parameter, utils
from rushlight.nn.modules import *
from rushlight.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
