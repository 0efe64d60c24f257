"""torch.nn.functional: everything a network computes, as functions of tensors."""

from __future__ import annotations

from rushlight.nn.functional.activation import *
from rushlight.nn.functional.attention import *
from rushlight.nn.functional.conv import *
from rushlight.nn.functional.distance import *
from rushlight.nn.functional.dropout import *
from rushlight.nn.functional.embedding import *
from rushlight.nn.functional.linear import *
from rushlight.nn.functional.loss import *
from rushlight.nn.functional.norm import *
from rushlight.nn.functional.pair_loss import *
from rushlight.nn.functional.pooling import *
from rushlight.nn.functional.vision import *
