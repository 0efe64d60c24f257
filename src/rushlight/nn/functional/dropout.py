"""Dropout."""

from __future__ import annotations

from typing import Any

from rushlight.base.warn import warn_user
from rushlight.ops import dropout as _ops

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`input` with elements zeroed with probability `p` and the others divided by 1 - p; `input` itself when not `training`."""
    _check(p)
    return _ops.dropout_(input, p, training) if inplace else _ops.dropout(input, p, training)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of SELU's outputs."""
    _check(p)
    return _ops.alpha_dropout_(input, p, training) if inplace else _ops.alpha_dropout(input, p, training)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels (dimension 1)."""
    _check(p)
    if inplace:
        return _ops.feature_alpha_dropout_(input, p, training)
    return _ops.feature_alpha_dropout(input, p, training)


def _by_channel(input: Any, p: float, training: bool, inplace: bool) -> Any:
    return _ops.feature_dropout_(input, p, training) if inplace else _ops.feature_dropout(input, p, training)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of `input` [N, C, L] or [C, L]."""
    _check(p)
    rank = len(input._shape)
    if rank not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {rank}D input. Note that dropout1d exists to provide channel-wise "
            "dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if rank == 3:
        return _by_channel(input, p, training, inplace)
    found = _by_channel(input.unsqueeze(0), p, training, inplace)
    return input if inplace else found.squeeze(0)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of `input` [N, C, H, W]. A 3-d input is taken, with a warning, as [N, C, L], as in torch."""
    _check(p)
    rank = len(input._shape)
    if rank not in (3, 4):
        _warn_rank("dropout2d", f"{rank}-D", "2 spatial dimensions", "3D or 4D")
    if rank == 3:
        warn_user(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired - input is "
            "interpreted as shape (N, C, L), where C is the channel dim. This behavior will change in a future release to interpret "
            "the input as one without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, "
            "please switch to using dropout1d instead.",
        )
    return _by_channel(input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """`dropout` of whole channels of `input` [N, C, D, H, W] or [C, D, H, W]."""
    _check(p)
    rank = len(input._shape)
    if rank not in (4, 5):
        _warn_rank("dropout3d", f"{rank}-D", "3 spatial dimensions", "4D or 5D")
    if rank != 4:
        return _by_channel(input, p, training, inplace)
    found = _by_channel(input.unsqueeze(0), p, training, inplace)
    return input if inplace else found.squeeze(0)


def _warn_rank(name: str, received: str, spatial: str, expected: str) -> None:
    warn_user(
        f"{name}: Received a {received} input to {name}, which is deprecated and will result in an error in a future release. To retain "
        f"the behavior and silence this warning, please use dropout instead. Note that {name} exists to provide channel-wise dropout on "
        f"inputs with {spatial}, a channel dimension, and an optional batch dimension (i.e. {expected} inputs).",
    )
