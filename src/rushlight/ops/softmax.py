"""Softmax and log-softmax. Their gradients are operations of their own, in terms of the result."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING, dtype
from rushlight.base.shape import normalize_dim
from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.ops.checks import need_tensor, not_implemented
from rushlight.ops.common import methods, write_out

__all__ = ["log_softmax", "softmax"]


class AlongDim(Primitive):
    """An operation along one dimension."""

    __slots__ = ("dim",)

    def __init__(self, dim: int) -> None:
        self.dim = dim


class Softmax(AlongDim):
    """y = exp(x) / sum(exp(x))."""

    __slots__ = ()
    name = "softmax"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.softmax(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(SoftmaxGrad(self.dim), g, saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(SoftmaxGrad(self.dim), tangents[0], saved[0])  # the Jacobian is symmetric

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return softmax, (tensors[0], self.dim), {}


class SoftmaxGrad(AlongDim):
    """y * (g - sum(g * y)): `grad(g, y)`."""

    __slots__ = ()
    name = "softmax_backward_data"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.softmax_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, y = saved
        to_y = None
        if needs[1]:
            inner = (cotangent * y).sum(self.dim, True)
            to_y = g * (cotangent - inner) - cotangent * (g * y).sum(self.dim, True)
        return apply2(self, g, y) if needs[0] else None, to_y


class LogSoftmax(AlongDim):
    """y = x - log(sum(exp(x)))."""

    __slots__ = ()
    name = "log_softmax"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.log_softmax(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(LogSoftmaxGrad(self.dim), g, saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] - (tangents[0] * saved[0].exp()).sum(self.dim, True)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return log_softmax, (tensors[0], self.dim), {}


class LogSoftmaxGrad(AlongDim):
    """g - exp(y) * sum(g): `grad(g, y)`."""

    __slots__ = ()
    name = "log_softmax_backward_data"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.log_softmax_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, y = saved
        weighted = g * y.exp()
        to_g = g - weighted.sum(self.dim, True) if needs[0] else None
        return to_g, -weighted * cotangent.sum(self.dim, True) if needs[1] else None


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


methods(softmax, log_softmax)
