"""torch.amp on a machine without an accelerator: mixed precision that says honestly that it is off.

As in torch without CUDA, `autocast("cuda")` and `GradScaler("cuda")` warn and do nothing. `autocast("cpu")`, which would
change results, is an error with a cure until it is built.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import bfloat16, dtype, float16
from rushlight.base.warn import warn_user

_ACCELERATORS = {"cuda": "CUDA", "mps": "MPS (Apple GPU)", "xpu": "XPU (Intel GPU)"}


class autocast:
    """`with autocast(device_type, dtype=...)`, also a decorator: without an accelerator it is off.

    device_type: "cuda", "mps" or "xpu" warn that there is no such device and do nothing; "cpu" raises `NotImplementedError`
    unless `enabled=False`, which is always accepted.
    """

    def __init__(
        self, device_type: str, dtype: dtype | None = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device(device_type).type
        self.fast_dtype = dtype if dtype is not None else get_autocast_dtype(device_type)
        self._cache_enabled = True if cache_enabled is None else cache_enabled
        self._enabled = False
        if not enabled:
            return
        if self.device in _ACCELERATORS:
            warn_user(
                f"autocast: {_ACCELERATORS[self.device]} is not available. Disabling autocast: everything is computed in the "
                "dtypes of the tensors",
            )
            return
        raise NotImplementedError(
            f"autocast(device_type={device_type!r}) is not built yet. Pass enabled=False, or convert once instead: "
            f"model.to({self.fast_dtype!r}) and inputs.to({self.fast_dtype!r})"
        )

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return run


class GradScaler:
    """torch.amp.GradScaler without an accelerator: warns, and lets losses and steps pass unscaled.

    `enabled=False` is silent. `device="cpu"` raises `NotImplementedError`: float16 training is not built yet.
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled and device not in _ACCELERATORS:
            raise NotImplementedError(
                f"GradScaler(device={device!r}) is not built yet. Pass enabled=False; bfloat16 and float32 need no scaling"
            )
        if enabled:
            warn_user(f"GradScaler is enabled, but {_ACCELERATORS[device]} is not available. Disabling.")
        self._growth = (growth_factor, backoff_factor, growth_interval)

    def scale(self, outputs: Any) -> Any:
        """`outputs` as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing to do."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)`."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing to do."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def get_growth_factor(self) -> float:
        return self._growth[0]

    def get_backoff_factor(self) -> float:
        return self._growth[1]

    def get_growth_interval(self) -> int:
        return self._growth[2]

    def state_dict(self) -> dict[str, Any]:
        """Empty, as of every scaler that is off."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Accepted; a scaler that is off has no state."""


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast does anything on a device: not yet."""
    device(device_type)  # an unknown name is an error
    return False


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on: never."""
    return False


def is_autocast_cpu_enabled() -> bool:
    """Whether autocast is on for the CPU: never."""
    return False


def is_autocast_cache_enabled() -> bool:
    """torch's default, True; nothing is cached."""
    return True


def clear_autocast_cache() -> None:
    """Accepted; nothing is cached."""


def get_autocast_dtype(device_type: str) -> dtype:
    """The dtype autocast would use: bfloat16 on the CPU, else float16."""
    return bfloat16 if device(device_type).type == "cpu" else float16


def get_autocast_cpu_dtype() -> dtype:
    """bfloat16."""
    return bfloat16


def get_autocast_gpu_dtype() -> dtype:
    """float16."""
    return float16


def custom_fwd(fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None) -> Any:
    """The decorator of `autograd.Function.forward`: the function as it is, for autocast is off."""
    return fwd if fwd is not None else (lambda function: function)


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """The decorator of `autograd.Function.backward`: the function as it is."""
    return bwd if bwd is not None else (lambda function: function)
