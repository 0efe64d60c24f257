"""torch.backends.mps: whether an Apple GPU can be used. The MLX backend will live here."""

from __future__ import annotations


def is_built() -> bool:
    """Whether this build has an MPS backend: no."""
    return False


def is_available() -> bool:
    """Whether an MPS device can be used: no, an emulated one does not count."""
    return False


def is_macos13_or_newer(minor: int = 0) -> bool:
    """Asked before an MPS feature is used: no."""
    return False


def is_macos_or_newer(major: int, minor: int) -> bool:
    """Asked before an MPS feature is used: no."""
    return False


def get_name() -> str:
    """The name of the GPU: none."""
    return ""


def get_core_count() -> int:
    """The number of its cores: 0."""
    return 0
