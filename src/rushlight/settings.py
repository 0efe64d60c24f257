"""Process-wide switches of torch's top level: threads, determinism, precision. Harmless ones are accepted as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "get_deterministic_debug_mode", "get_float32_matmul_precision", "get_num_interop_threads",
    "get_num_threads", "is_deterministic_algorithms_warn_only_enabled", "set_deterministic_debug_mode", "set_float32_matmul_precision",
    "set_flush_denormal", "set_num_interop_threads", "set_num_threads", "use_deterministic_algorithms",
]


class _Settings:
    threads: int | None = None
    interop_threads: int = 1
    deterministic: bool = False
    warn_only: bool = False
    matmul_precision: str = "highest"


def _available_threads() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads kernels may use."""
    return _available_threads() if _Settings.threads is None else _Settings.threads


def set_num_threads(int: int) -> None:  # torch's own argument name
    """Set the number of threads of rushlight's own kernels. NumPy's BLAS reads its environment variables instead."""
    if int <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {int}")
    _Settings.threads = int


def get_num_interop_threads() -> int:
    """The number of threads between operations: they run one after the other."""
    return _Settings.interop_threads


def set_num_interop_threads(int: int) -> None:  # torch's own argument name
    """Accepted; operations run one after the other."""
    if int <= 0:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, got {int}")
    _Settings.interop_threads = int


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted: every operation is deterministic as it is."""
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
        raise RuntimeError(f"invalid value of debug_mode, expected `default`, `warn`, `error` or 0, 1, 2, but got {debug_mode}")
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: what `set_deterministic_debug_mode` was given."""
    return 0 if not _Settings.deterministic else 1 if _Settings.warn_only else 2


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted: "highest", "high" or "medium"; products are computed in full float32 precision."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(f"Invalid value for float32 matmul precision: {precision!r}, expected 'highest', 'high' or 'medium'")
    _Settings.matmul_precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given."""
    return _Settings.matmul_precision


def set_flush_denormal(mode: bool) -> bool:
    """Accepted without effect; returns False, as torch does where it is not supported."""
    return False


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
