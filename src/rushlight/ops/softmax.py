"""Softmax and log-softmax."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING, dtype
from rushlight.base.shape import normalize_dim
from rushlight.core.primitive import apply1
from rushlight.ops.checks import need_tensor, not_implemented
from rushlight.ops.common import methods, serve, write_out
from rushlight.ops.softmax_rules import LogSoftmax, Softmax

__all__ = ["log_softmax", "softmax"]


def _prepared(input: Any, dim: Any, wanted: Any, name: str) -> tuple[Any, int]:
    need_tensor(name, input)
    d = normalize_dim(dim, len(input._shape), name)
    if wanted is not None:
        if not isinstance(wanted, dtype):
            raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(wanted).__name__}")
        if wanted is not input._dtype:
            input = input.to(wanted)
    if input._dtype.category != FLOATING:
        raise not_implemented(f"{name}_lastdim_kernel_impl", input._dtype)
    return input, d


def softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """exp(input) / sum(exp(input)) along `dim`; with `dtype` the input is cast first.

    >>> softmax(tensor([0., 0.]), 0)
    tensor([0.5000, 0.5000])
    """
    x, d = _prepared(input, dim, dtype, "softmax")
    result = apply1(Softmax(d), x)
    return result if out is None else write_out(out, result, "softmax")


def log_softmax(input: Any, dim: int, dtype: Any = None, *, out: Any = None) -> Any:
    """log(softmax(input)) along `dim`, without its rounding to zero; with `dtype` the input is cast first."""
    x, d = _prepared(input, dim, dtype, "log_softmax")
    result = apply1(LogSoftmax(d), x)
    return result if out is None else write_out(out, result, "log_softmax")


serve(Softmax, softmax)
serve(LogSoftmax, log_softmax)
methods(softmax, log_softmax)
