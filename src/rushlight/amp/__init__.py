"""torch.amp: automatic mixed precision, which is off where there is no accelerator."""

from __future__ import annotations

from rushlight.autograd.autocast import GradScaler, autocast, custom_bwd, custom_fwd, is_autocast_available

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
