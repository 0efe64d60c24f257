"""The affine map x @ w.T + b and its bilinear form."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.core.modes import STATE, local
from rushlight.core.primitive import PLAIN, apply2, apply_view, applyn, intercepted
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name
from rushlight.ops.matmul import ADDMM, MM, matmul
from rushlight.ops.view import t
from rushlight.ops.view_rules import Reshape, TransposeMatrix

__all__ = ["bilinear", "linear"]

_TRANSPOSE = TransposeMatrix((1, 0))


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """`input @ weight.T + bias`: `input` [*, in], `weight` [out, in] or [in], `bias` [out] or nothing; the result is [*, out].

    Raises `RuntimeError` when sizes or dtypes do not fit.

    >>> linear(ones(2, 3), ones(4, 3), zeros(4)).shape
    torch.Size([2, 4])
    """
    if not isinstance(input, TensorBase):
        raise TypeError(f"linear(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not isinstance(weight, TensorBase):
        raise TypeError(f"linear(): argument 'weight' (position 2) must be Tensor, not {type(weight).__name__}")
    if STATE.busy or type(input) not in PLAIN or type(weight) not in PLAIN:
        handled, found = intercepted(linear, (input, weight, bias), (input, weight))
        if handled:
            return found
    shape = input._shape
    rank = len(shape)
    if rank == 0 or not weight._shape:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {rank}D and {len(weight._shape)}D"
        )
    if len(weight._shape) != 2:
        found = matmul(input, t(weight))
        return found if bias is None else found + bias
    _check_linear(shape, input, weight, bias)
    columns = apply_view(_TRANSPOSE, weight)
    if rank == 2:
        return apply2(MM, input, columns) if bias is None else applyn(ADDMM, (bias, input, columns))
    if bias is None:
        return matmul(input, columns)
    array = input._array
    if rank == 1 or array is None or array.flags.c_contiguous:
        rows = apply_view(Reshape((prod(shape[:-1]), shape[-1])), input)
        return apply_view(Reshape((*shape[:-1], weight._shape[0])), applyn(ADDMM, (bias, rows, columns)))
    return matmul(input, columns) + bias


def _check_linear(shape: Any, input: Any, weight: Any, bias: Any) -> None:
    outputs, features = weight._shape
    if shape[-1] != features:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({prod(shape[:-1])}x{shape[-1]} and {features}x{outputs}): linear got an input "
            f"of shape {list(shape)}, whose last dimension must be {features} to match the weight {list(weight._shape)}; reshape or "
            f"flatten the input, or make the layer with in_features={shape[-1]}"
        )
    if input._dtype is not weight._dtype and local.plain:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {kind_name(input._dtype)} and {kind_name(weight._dtype)}: linear needs the "
            "input in the weight's dtype, for example x.to(weight.dtype)"
        )
    if bias is None:
        return
    if bias._dtype is not input._dtype and local.plain:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {kind_name(bias._dtype)} and {kind_name(weight._dtype)}: linear needs the "
            "bias in the weight's dtype"
        )
    if bias._shape != (outputs,) and not (len(bias._shape) <= 1 and prod(bias._shape) == 1):
        if len(bias._shape) != 2 or bias._shape[-1] not in (1, outputs):
            raise RuntimeError(
                f"The expanded size of the tensor ({outputs}) must match the existing size ({bias._shape[-1] if bias._shape else 1}) at "
                f"non-singleton dimension 1: linear needs a bias of shape [{outputs}], got {list(bias._shape)}"
            )


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """`x1 @ weight[o] @ x2 + bias[o]` for every output o: inputs [*, in1] and [*, in2], `weight` [out, in1, in2]: [*, out]."""
    if input1._shape[:-1] != input2._shape[:-1]:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {list(input1._shape)} and {list(input2._shape)}; all but the last must agree"
        )
    for name, x, at in (("input1", input1, 1), ("input2", input2, 2)):
        if x._shape[-1] != weight._shape[at]:
            raise RuntimeError(
                f"bilinear(): {name} size does not match weight size: got {x._shape[-1]} but expected {weight._shape[at]}"
            )
    outputs, first, second = weight._shape
    if bias is not None and bias._shape != (outputs,):
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {list(bias._shape)} but expected [{outputs}]"
        )
    x1, x2 = input1.reshape(-1, first), input2.reshape(-1, second)
    by_output = (x1 @ weight.permute(1, 0, 2).reshape(first, outputs * second)).view(-1, outputs, second)
    found = (by_output * x2.unsqueeze(1)).sum(2).view(*input1._shape[:-1], outputs)
    return found if bias is None else found + bias
