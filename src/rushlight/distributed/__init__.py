"""torch.distributed: not built yet, and says so."""

from __future__ import annotations


def is_available() -> bool:
    """Whether processes can train together: not yet."""
    return False


def is_initialized() -> bool:
    """Whether a process group exists: no."""
    return False


is_torchelastic_launched = is_initialized
