"""torch.backends.quantized: there are no quantized operations; the engine's name is accepted."""

from __future__ import annotations

engine = "none"
supported_engines = ["none"]
