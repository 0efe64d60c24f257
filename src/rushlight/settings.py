"""Process-wide switches of torch's top level: threads, determinism, precision. Harmless ones are accepted as they are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from rushlight.backends import threads
from rushlight.base.device import as_device, get_default_device
from rushlight.base.warn import warn_user

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "compiled_with_cxx11_abi", "get_deterministic_debug_mode",
    "get_device_module", "get_float32_matmul_precision", "get_num_interop_threads", "get_num_threads",
    "is_deterministic_algorithms_warn_only_enabled", "is_warn_always_enabled", "set_deterministic_debug_mode",
    "set_float32_matmul_precision", "set_flush_denormal", "set_num_interop_threads", "set_num_threads", "set_warn_always",
    "use_deterministic_algorithms",
]  # fmt: skip


class _Settings:
    interop_threads: int = 1
    deterministic: bool = False
    warn_only: bool = False
    matmul_precision: str = "highest"
    warn_always: bool = False


def _positive(operation: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RuntimeError(f"{operation} expects an int, but got {type(value).__name__}")
    if value <= 0:
        raise RuntimeError(f"{operation} expects a positive integer, got {value}")
    return value


def get_num_threads() -> int:
    """The number of threads kernels may use."""
    return threads.get()


def set_num_threads(int: int) -> None:  # torch's own argument name
    """Set the number of threads of rushlight's own kernels. NumPy's BLAS reads its environment variables instead."""
    threads.set_count(_positive("set_num_threads", int))


def get_num_interop_threads() -> int:
    """The number of threads between operations: they run one after the other."""
    return _Settings.interop_threads


def set_num_interop_threads(int: int) -> None:  # torch's own argument name
    """Accepted; operations run one after the other."""
    _Settings.interop_threads = _positive("set_num_interop_threads", int)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: every operation is deterministic as it is."""
    if not isinstance(mode, bool):
        raise TypeError(f"use_deterministic_algorithms(): argument 'mode' must be bool, not {type(mode).__name__}")
    _Settings.deterministic, _Settings.warn_only = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was given."""
    return _Settings.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms(warn_only=...)` was given."""
    return _Settings.warn_only


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """Accepted: "default", "warn" or "error" (0, 1, 2)."""
    names = {"default": 0, "warn": 1, "error": 2}
    level = names.get(debug_mode, debug_mode)
    if level not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected `default`, `warn`, `error` or 0, 1, 2, but got {debug_mode}"
        )
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: what `set_deterministic_debug_mode` was given."""
    return 0 if not _Settings.deterministic else 1 if _Settings.warn_only else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: "highest", "high" or "medium"; products are computed in full float32 precision. Others warn, as in torch."""
    if precision in ("highest", "high", "medium"):
        _Settings.matmul_precision = precision
    else:
        warn_user(
            f"{precision} is not one of 'highest', 'high', or 'medium'; this call of set_float32_matmul_precision has no effect.",
        )


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given."""
    return _Settings.matmul_precision


def set_flush_denormal(mode: bool) -> bool:
    """Accepted without effect; returns False, as torch does where it is not supported."""
    return False


def set_warn_always(b: bool) -> None:
    """Accepted; Python's own warning filters decide how often a warning is shown."""
    _Settings.warn_always = bool(b)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was given."""
    return _Settings.warn_always


def compiled_with_cxx11_abi() -> bool:
    """True; rushlight links against no C++ library of torch's."""
    return True


def get_device_module(device: Any = None) -> ModuleType:
    """The module of a device type: `torch.cuda` for "cuda:1". Without an argument that of the default device."""
    kind = (get_default_device() if device is None else as_device(device)).type
    if kind == "meta":
        raise RuntimeError("Device 'meta' does not have a corresponding module registered as 'torch.meta'.")
    return import_module(f"rushlight.{kind}")


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """Return `model` as it is: nothing needs compiling. Also usable as a decorator with arguments."""
    if model is None:
        return lambda fn: fn
    return model
