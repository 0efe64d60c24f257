"""torch.backends.mkl: whether that library is used."""

from __future__ import annotations


def is_available() -> bool:
    """Whether rushlight uses mkl: no."""
    return False
