"""What vision models share: boxes in images, and blocks of layers that many architectures are made of."""

from __future__ import annotations

from rushlight.vision.ops.boxes import *
from rushlight.vision.ops.misc import *
