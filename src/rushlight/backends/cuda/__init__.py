"""torch.backends.cuda: switches of a CUDA build, accepted and without effect. The CuPy backend will live here."""

from __future__ import annotations


class _Matmul:
    """Precision switches of matrix products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _Matmul()


def is_built() -> bool:
    """Whether this build has a CUDA backend."""
    return False


def enable_flash_sdp(enabled: bool) -> None:
    """Accepted; does nothing."""


enable_mem_efficient_sdp = enable_math_sdp = enable_cudnn_sdp = enable_flash_sdp
