"""torch.backends.cuda: switches of a CUDA build, accepted and without effect. The CuPy backend will live here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


class _Matmul:
    """Precision switches of matrix products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False
    fp32_precision = "none"


class _PlanCache:
    """The cache of FFT plans, always empty."""

    size = 0
    max_size = 0

    def clear(self) -> None:
        """Accepted; does nothing."""

    def __getitem__(self, device: Any) -> _PlanCache:
        return self


matmul = _Matmul()
cufft_plan_cache = _PlanCache()


def is_built() -> bool:
    """Whether this build has a CUDA backend: no."""
    return False


def enable_flash_sdp(enabled: bool) -> None:
    """Accepted; attention has one implementation."""


enable_mem_efficient_sdp = enable_math_sdp = enable_cudnn_sdp = allow_fp16_bf16_reduction_math_sdp = enable_flash_sdp


def math_sdp_enabled() -> bool:
    """Whether attention may be computed by its formula: yes."""
    return True


def flash_sdp_enabled() -> bool:
    """Whether a CUDA attention kernel may be used: there is none."""
    return False


mem_efficient_sdp_enabled = cudnn_sdp_enabled = is_flash_attention_available = flash_sdp_enabled
fp16_bf16_reduction_math_sdp_allowed = flash_sdp_enabled


def preferred_linalg_library(backend: Any = None) -> Any:
    """Accepted; returns what was asked for."""
    return backend


preferred_blas_library = preferred_linalg_library


@contextlib.contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """Accepted; attention has one implementation."""
    yield
