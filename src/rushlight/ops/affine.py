"""The affine map x @ w.T + b, what every linear layer computes."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.shape import Shape
from rushlight.core.modes import local
from rushlight.core.primitive import apply2, apply_view, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name
from rushlight.ops.matmul import matmul
from rushlight.ops.matmul_rules import ADDMM, MM
from rushlight.ops.view import t
from rushlight.ops.view_rules import TRANSPOSE, Reshape

__all__: list[str] = []


def affine(input: TensorBase, weight: TensorBase, bias: TensorBase | None) -> Any:
    """`input @ weight.T + bias`; see `nn.functional.linear`."""
    shape = input._shape
    rank = len(shape)
    if rank == 0 or not weight._shape:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {rank}D and {len(weight._shape)}D"
        )
    if len(weight._shape) != 2:
        found: Any = matmul(input, t(weight))
        return found if bias is None else found + bias
    _check_linear(shape, input, weight, bias)
    columns = apply_view(TRANSPOSE, weight)
    if rank == 2:
        return apply2(MM, input, columns) if bias is None else applyn(ADDMM, (bias, input, columns))
    if bias is None:
        return matmul(input, columns)
    array: Any = input._array
    if rank == 1 or array is None or array.flags.c_contiguous:
        rows = apply_view(Reshape((prod(shape[:-1]), shape[-1])), input)
        return apply_view(Reshape((*shape[:-1], weight._shape[0])), applyn(ADDMM, (bias, rows, columns)))
    return matmul(input, columns) + bias


def _check_linear(shape: Shape, input: TensorBase, weight: TensorBase, bias: TensorBase | None) -> None:
    outputs, features = weight._shape
    if shape[-1] != features:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({prod(shape[:-1])}x{shape[-1]} and {features}x{outputs}): linear got an input "
            f"of shape {list(shape)}, whose last dimension must be {features} to match the weight {list(weight._shape)}; reshape or "
            f"flatten the input, or make the layer with in_features={shape[-1]}"
        )
    if input._dtype is not weight._dtype and local.modes.plain:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {kind_name(input._dtype)} and {kind_name(weight._dtype)}: linear needs the "
            "input in the weight's dtype, for example x.to(weight.dtype)"
        )
    if bias is None:
        return
    if bias._dtype is not input._dtype and local.modes.plain:
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
