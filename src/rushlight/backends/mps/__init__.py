"""torch.backends.mps: whether an Apple GPU can be used. The MLX backend will live here."""

from __future__ import annotations


def is_built() -> bool:
    """Whether this build has an MPS backend."""
    return False


def is_available() -> bool:
    """Whether an MPS device can be used: no, an emulated one does not count."""
    return False


def is_macos13_or_newer(minor: int = 0) -> bool:
    return False
