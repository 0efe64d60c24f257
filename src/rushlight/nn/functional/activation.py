"""Activation functions."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import float64
from rushlight.base.warn import warn_user
from rushlight.ops import softmax as _ops
from rushlight.ops.activate import (
    celu,
    celu_,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    relu_,
    rrelu_with_slopes,
    selu,
    selu_,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
    threshold_,
)
from rushlight.ops.creation import empty_like

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hardtanh_",
    "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu",
    "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
    "threshold_",
]  # fmt: skip


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def sigmoid(input: Any) -> Any:
    """`1 / (1 + exp(-input))`."""
    return input.sigmoid()


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return input.tanh()


def rrelu(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """`input` above zero; elsewhere times a slope drawn from [lower, upper] when `training`, else times their mean."""
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound: rrelu got lower={lower}, upper={upper}"
        )
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    below = input.detach() <= 0  # one draw for each of these, in order
    drawn = input.detach().new_empty(int(below.sum()), dtype=float64).uniform_(lower, upper)
    slopes = input.detach().new_ones(input._shape).masked_scatter(below, drawn.to(input._dtype))
    found = rrelu_with_slopes(input, slopes)
    return input.copy_(found) if inplace else found


def rrelu_(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def _chosen_dim(name: str, rank: int) -> int:
    warn_user(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
    )
    return 0 if rank in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(input) / sum(exp(input)) along `dim`; with `dtype` the input is cast first. `_stacklevel` has no effect."""
    if dim is None:
        dim = _chosen_dim("softmax", len(input._shape))
    return _ops.softmax(input, dim, dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`softmax` of `-input`, with its other arguments."""
    if dim is None:
        dim = _chosen_dim("softmin", len(input._shape))
    return _ops.softmax(-input, dim, dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """log(softmax(input)) along `dim`, without its rounding to zero; other arguments as for `softmax`."""
    if dim is None:
        dim = _chosen_dim("log_softmax", len(input._shape))
    return _ops.log_softmax(input, dim, dtype)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A sample from the Gumbel-softmax distribution with the unnormalised log-probabilities `logits`.

    tau: temperature (> 0). hard: one-hot forward, with the gradient of the soft sample.
    """
    if eps != 1e-10:
        warn_user("`eps` parameter is deprecated and has no effect.")
    gumbels = -empty_like(logits.detach()).exponential_().log()
    soft = _ops.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().max(dim, keepdim=True)[1]
    one_hot = soft.detach().new_zeros(soft._shape).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
