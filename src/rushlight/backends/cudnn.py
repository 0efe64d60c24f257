"""torch.backends.cudnn: switches that programs set for a GPU, accepted and without effect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rushlight.backends.precision_switch import PrecisionSwitch

enabled = True
benchmark = False
benchmark_limit = 10
deterministic = False
allow_tf32 = True
fp32_precision = "none"
conv, rnn = PrecisionSwitch("tf32"), PrecisionSwitch("tf32")


def is_available() -> bool:
    """Whether cuDNN can be used: no."""
    return False


def version() -> int | None:
    """The cuDNN version: None."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """Whether cuDNN would compute with a tensor: no."""
    return False


@contextlib.contextmanager
def flags(
    enabled: bool = False,
    benchmark: bool = False,
    benchmark_limit: int = 10,
    deterministic: bool = False,
    allow_tf32: bool = True,
    fp32_precision: str = "none",
) -> Iterator[None]:
    """Accepted; does nothing."""
    yield
