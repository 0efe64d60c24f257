"""torch.cuda.amp: the older spelling of `torch.amp` for CUDA."""

from __future__ import annotations

from typing import Any

from rushlight.autograd.autocast import GradScaler as _GradScaler
from rushlight.autograd.autocast import autocast as _autocast
from rushlight.base.dtypes import dtype, float16

__all__ = ["GradScaler", "autocast"]


class autocast(_autocast):
    """`torch.amp.autocast("cuda", ...)`."""

    def __init__(self, enabled: bool = True, dtype: dtype = float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


class GradScaler(_GradScaler):
    """`torch.amp.GradScaler("cuda", ...)`."""

    def __init__(self, init_scale: float = 65536.0, *args: Any, **kwargs: Any) -> None:
        super().__init__("cuda", init_scale, *args, **kwargs)
