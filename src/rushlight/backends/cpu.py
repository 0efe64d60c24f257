"""torch.backends.cpu: what the processor can do."""

from __future__ import annotations


def get_cpu_capability() -> str:
    """The instruction set that rushlight's own kernels are compiled for: "DEFAULT", for NumPy chooses its own."""
    return "DEFAULT"
