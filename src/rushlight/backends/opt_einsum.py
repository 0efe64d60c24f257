"""torch.backends.opt_einsum: einsum contracts from left to right; the switches are accepted."""

from __future__ import annotations

enabled = False
strategy: str | None = None


def is_available() -> bool:
    """Whether the package opt_einsum is used: no."""
    return False
