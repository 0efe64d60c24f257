"""`torch.backends.cudnn.conv.fp32_precision` and its like: accepted; products are computed in full precision."""

from __future__ import annotations


class PrecisionSwitch:
    """Holds what a program sets: "none", "ieee", "tf32" or "bf16"."""

    def __init__(self, fp32_precision: str = "none") -> None:
        self.fp32_precision = fp32_precision
