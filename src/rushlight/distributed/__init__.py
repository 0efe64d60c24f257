"""torch.distributed: not built yet, and says so."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether processes can train together: not yet."""
    return False


def is_initialized() -> bool:
    """Whether a process group exists: no."""
    return False


is_torchelastic_launched = is_nccl_available = is_gloo_available = is_mpi_available = is_initialized


def init_process_group(*args: Any, **kwargs: Any) -> None:
    """Raise `NotImplementedError`."""
    raise NotImplementedError(
        "torch.distributed.init_process_group: rushlight trains in one process. Ask torch.distributed.is_available() first, "
        "and leave out DistributedDataParallel and DistributedSampler where it is False"
    )


def destroy_process_group(group: Any = None) -> None:
    """Accepted; there is no group."""


def get_rank(group: Any = None) -> int:
    """Raise `ValueError`, as torch without a process group."""
    raise ValueError(
        "Default process group has not been initialized: rushlight trains in one process. Ask "
        "torch.distributed.is_initialized() first"
    )


get_world_size = get_backend = barrier = get_rank
