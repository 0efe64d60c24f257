"""Activation functions as torch.nn.functional has them; those that `torch` has itself are in `__all__`."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import BOOL, COMPLEX, FLOATING
from rushlight.base.shape import normalize_dim
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import apply1, apply2
from rushlight.ops.activation import (
    HARDSIGMOID,
    HARDSWISH,
    LOG_SIGMOID,
    MISH,
    PRELU,
    RELU,
    RRELU,
    SELU,
    SILU,
    Celu,
    Elu,
    Gelu,
    Glu,
    Hardshrink,
    Hardtanh,
    LeakyRelu,
    Softplus,
    Softshrink,
    Threshold,
)
from rushlight.ops.checks import need_tensor, not_implemented, refuse
from rushlight.ops.common import Unary, methods, serve, write_out

__all__ = ["celu", "celu_", "hardshrink", "prelu", "relu", "relu_", "selu", "selu_", "threshold", "threshold_"]


def activate(op: Unary, input: Any, inplace: bool = False, integers: bool = False) -> Any:
    """Apply an activation to a public function's argument. Complex numbers and most integers are refused, as in torch."""
    need_tensor(op.name, input)
    category = input._dtype.category
    if category in (BOOL, COMPLEX) or (category < FLOATING and not integers):
        raise not_implemented(f"{op.name}_cpu", input._dtype)
    return apply_inplace(op, input) if inplace else apply1(op, input)


def relu(input: Any, inplace: bool = False) -> Any:
    """`max(x, 0)`. NaN stays NaN."""
    need_tensor("relu", input)
    if input._dtype.category == BOOL:
        raise RuntimeError("Boolean inputs not supported for relu")
    return activate(RELU, input, inplace, integers=True)


def relu_(input: Any) -> Any:
    """`relu` in place."""
    return relu(input, inplace=True)


def relu6(input: Any, inplace: bool = False) -> Any:
    """`min(max(x, 0), 6)`."""
    return activate(Hardtanh(0.0, 6.0), input, inplace, integers=True)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """`min(max(x, min_val), max_val)`. ValueError unless min_val <= max_val."""
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val, got min_val={min_val} and max_val={max_val}")
    return activate(Hardtanh(min_val, max_val), input, inplace, integers=True)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False, *, out: Any = None) -> Any:
    """`x` where it is above `threshold`, `value` elsewhere."""
    result = activate(Threshold(threshold, value), input, inplace, integers=True)
    return result if out is None else write_out(out, result, "threshold")


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """`threshold` in place."""
    return activate(Threshold(threshold, value), input, True, integers=True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """`x` above zero, `negative_slope * x` elsewhere."""
    return activate(LeakyRelu(negative_slope), input, inplace)


def rrelu_with_slopes(input: Any, slopes: Any) -> Any:
    """`x` above zero, `slopes * x` elsewhere, the slopes drawn by the caller (or one number, their mean)."""
    return apply2(RRELU, input, slopes)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """`x` above zero, `alpha * (exp(x) - 1)` elsewhere."""
    return activate(Elu(alpha), input, inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """The self-normalising `elu`: alpha 1.6733, both sides scaled by 1.0507."""
    return activate(SELU, input, inplace)


def selu_(input: Any) -> Any:
    """`selu` in place."""
    return activate(SELU, input, True)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` elsewhere. RuntimeError for alpha = 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return activate(Celu(alpha), input, inplace)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


def gelu(input: Any, approximate: str = "none") -> Any:
    """`x * Phi(x)` with the normal distribution function, exact ("none") or in its "tanh" approximation."""
    return activate(Gelu(approximate), input)


def silu(input: Any, inplace: bool = False) -> Any:
    """`x * sigmoid(x)`."""
    return activate(SILU, input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """`x * tanh(softplus(x))`."""
    return activate(MISH, input, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """`log(1 + exp(beta * x)) / beta`, and `x` itself where `beta * x > threshold`."""
    return activate(Softplus(beta, threshold), input)


def softsign(input: Any) -> Any:
    """`x / (1 + |x|)`."""
    need_tensor("softsign", input)
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Any:
    """`x - tanh(x)`."""
    need_tensor("tanhshrink", input)
    return input - input.tanh()


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """`min(max(x + 3, 0), 6) / 6`."""
    return activate(HARDSIGMOID, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """`x * hardsigmoid(x)`."""
    return activate(HARDSWISH, input, inplace)


def hardshrink(input: Any, lambd: float = 0.5, *, out: Any = None) -> Any:
    """0 where `-lambd <= x <= lambd`, `x` elsewhere."""
    result = activate(Hardshrink(lambd), input)
    return result if out is None else write_out(out, result, "hardshrink")


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """`x` moved by `lambd` towards zero, and 0 where it would pass it. RuntimeError for negative lambd."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return activate(Softshrink(lambd), input)


def logsigmoid(input: Any) -> Any:
    """`log(sigmoid(x))` without overflow."""
    return activate(LOG_SIGMOID, input)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half of `input` along `dim` times the sigmoid of the second; the size there must be even."""
    need_tensor("glu", input)
    if not input._shape:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    d = normalize_dim(dim, len(input._shape), "glu")
    if input._shape[d] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {input._shape[d]}")
    return activate(Glu(d), input)  # type: ignore[arg-type]


def prelu(input: Any, weight: Any) -> Any:
    """`x` above zero, `weight * x` elsewhere; one weight for all, or one for each channel (dimension 1)."""
    need_tensor("prelu", input)
    need_tensor("prelu", weight, "weight")
    if input._dtype is not weight._dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input._dtype!r} and {weight._dtype!r}; convert the weight or the input"
        )
    refuse("prelu_cpu", input, "bool integer complex")
    rank = len(input._shape)
    if len(weight._shape) > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(weight._shape)}")
    count = weight.numel()
    if count != 1:
        if rank == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input._shape[1] if rank > 1 else 1
        if channels != count:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and channel size = "
                f"{channels}."
            )
    if weight._shape and rank != 1:
        weight = weight.reshape((1, count) + (1,) * (rank - 2)) if rank else weight.reshape(())
    return apply2(PRELU, input, weight)


serve(type(RELU), relu)
serve(Threshold, threshold)
serve(LeakyRelu, leaky_relu)
serve(Hardtanh, hardtanh)
serve(Gelu, gelu)
serve(type(SILU), silu)
serve(type(MISH), mish)
serve(Softplus, softplus)
serve(type(HARDSIGMOID), hardsigmoid)
serve(type(HARDSWISH), hardswish)
serve(Hardshrink, hardshrink)
serve(Softshrink, softshrink)
serve(type(LOG_SIGMOID), logsigmoid)
serve(Glu, glu)


def _relu_method(self: Any) -> Any:
    """`max(x, 0)`."""
    return relu(self)


methods(prelu, hardshrink, relu=_relu_method, relu_=relu_)
