"""The affine map x @ w.T + b, its bilinear form, and attention's weighted sums."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

from rushlight.base.dtypes import BOOL
from rushlight.core.modes import STATE, local
from rushlight.core.primitive import PLAIN, apply2, apply_view, applyn, intercepted
from rushlight.core.tensor import TensorBase
from rushlight.nn.functional.dropout import dropout
from rushlight.ops.checks import kind_name
from rushlight.ops.matmul import ADDMM, MM, matmul
from rushlight.ops.view import t
from rushlight.ops.view_rules import Reshape, TransposeMatrix

__all__ = ["bilinear", "linear", "scaled_dot_product_attention"]

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


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """`softmax(query @ key.T * scale + mask) @ value` over queries [*, L, E], keys [*, S, E] and values [*, S, V]: [*, L, V].

    attn_mask: bool (True takes part) or added to the scores; broadcast to [*, L, S]. A query that may see nothing gives zeros.
    is_causal: query i sees the keys up to i only; not together with `attn_mask`.
    scale: 1 / sqrt(E) by default. dropout_p: dropout of the attention weights (also when not training: pass 0 then).
    enable_gqa: let groups of queries' heads (dimension -3) share a head of keys and values.
    """
    for name, x in (("query", query), ("key", key), ("value", value)):
        if len(x._shape) < 2:
            raise RuntimeError(
                f"scaled_dot_product_attention: Expected {name} to be at least 2 dimensional, got {list(x._shape)}"
            )
        if x._dtype is not query._dtype:
            raise RuntimeError(
                f"Expected query, key, and value to have the same dtype, but got query.dtype: {query._dtype!r} key.dtype: {key._dtype!r} "
                f"and value.dtype: {value._dtype!r} instead."
            )
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        groups = query._shape[-3] // key._shape[-3]
        key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
    if query._shape[-1] != key._shape[-1]:
        raise RuntimeError(
            f"scaled_dot_product_attention: query and key must have the same last size, got {list(query._shape)} and {list(key._shape)}"
        )
    factor = 1.0 / sqrt(query._shape[-1]) if scale is None else scale
    scores = matmul(query * factor, key.transpose(-2, -1))
    blocked = None
    if is_causal:
        size = (query._shape[-2], key._shape[-2])
        blocked = query.detach().new_ones(size).tril().eq(0)
    elif attn_mask is not None:
        if attn_mask._dtype.category == BOOL:
            blocked = attn_mask.logical_not()
        else:
            scores = scores + attn_mask
    if blocked is not None:
        scores = scores.masked_fill(blocked, -float("inf"))
    weights = scores.softmax(-1)
    if blocked is not None:  # a row of nothing but -inf is NaN there and zero here
        weights = weights.masked_fill(blocked.all(-1, True), 0.0)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p, True)
    return matmul(weights, value)
