"""torch.backends.mkl: switches of Intel's MKL, which rushlight does not use."""

from __future__ import annotations

VERBOSE_OFF, VERBOSE_ON = 0, 1


def is_available() -> bool:
    """Whether rushlight uses MKL: no."""
    return False


class verbose:
    """`with verbose(VERBOSE_ON):` accepted; there is nothing to say."""

    def __init__(self, enable: int) -> None:
        self.enable = enable

    def __enter__(self) -> verbose:
        return self

    def __exit__(self, *exc: object) -> None:
        return None
