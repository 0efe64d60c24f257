"""torch.backends.cpu: what the processor can do, and rushlight's own switch for Winograd convolutions."""

from __future__ import annotations

from rushlight.backends import winograd


def get_cpu_capability() -> str:
    """The instruction set that rushlight's own kernels are compiled for: "DEFAULT", for NumPy chooses its own."""
    return "DEFAULT"


def set_winograd(on: bool) -> None:
    """Whether float32 convolutions with 3 x 3 kernels and stride 1 may use Winograd's method (they do unless RUSHLIGHT_WINOGRAD=0).

    It takes a quarter of the multiplications; its rounding error is 2 to 3 times that of the direct method, and a value
    that is not finite spreads to the 4 x 4 outputs of its tile. Raises `TypeError` for what is no bool.
    """
    winograd.set_enabled(on)


def winograd_enabled() -> bool:
    """Whether they may."""
    return winograd.enabled()
