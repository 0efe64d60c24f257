"""The affine map x @ w.T + b and its bilinear form."""

from __future__ import annotations

from typing import Any

from rushlight.core.modes import STATE
from rushlight.core.primitive import PLAIN, intercepted
from rushlight.core.tensor import TensorBase
from rushlight.ops.affine import affine

__all__ = ["bilinear", "linear"]


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
    return affine(input, weight, bias)


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
