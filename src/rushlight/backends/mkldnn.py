"""torch.backends.mkldnn: switches of oneDNN, which rushlight does not use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rushlight.backends.precision_switch import PrecisionSwitch

enabled = True
deterministic = False
allow_tf32 = True
fp32_precision = "none"
matmul, conv, rnn = PrecisionSwitch(), PrecisionSwitch(), PrecisionSwitch()
VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2


def is_available() -> bool:
    """Whether rushlight uses oneDNN: no."""
    return False


class verbose:
    """`with verbose(VERBOSE_ON):` accepted; there is nothing to say."""

    def __init__(self, level: int) -> None:
        self.level = level

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


@contextlib.contextmanager
def flags(
    enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True, fp32_precision: str = "none"
) -> Iterator[None]:
    """Accepted; does nothing."""
    yield
