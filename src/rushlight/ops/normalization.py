"""Layer, root-mean-square and group normalisation."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import Shape
from rushlight.core.primitive import apply_multi
from rushlight.ops.checks import kind_name, need_tensor, not_implemented
from rushlight.ops.norm_rules import NativeGroupNorm, NativeLayerNorm, is_mixed, overridden

__all__ = ["group_norm", "layer_norm", "rms_norm"]

def _check_parameters(operation: str, x: Any, weight: Any, bias: Any) -> None:
    if x._dtype.category != FLOATING:
        raise not_implemented(operation, x._dtype)
    for name, value in (("weight", weight), ("bias", bias)):
        if is_mixed(x, value):
            raise RuntimeError(
                f"mixed dtype (CPU): expect parameter to have scalar type of {kind_name(x._dtype)}, but {operation} got {name} of "
                f"{value._dtype!r}; convert the input or the module"
            )


def _check_normalized(operation: str, x: Any, normalized_shape: Any, **parameters: Any) -> Shape:
    """`normalized_shape` as a tuple, checked against x and the parameters."""
    need_tensor(operation, x)
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"{operation}(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
            f"{type(normalized_shape).__name__}; for one dimension write ({normalized_shape},)"
        )
    inner = tuple(normalized_shape)
    if not inner:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for name, value in parameters.items():
        if value is not None and value._shape != inner:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(value._shape)} and "
                f"normalized_shape = {list(inner)}"
            )
    if len(x._shape) < len(inner) or x._shape[len(x._shape) - len(inner) :] != inner:
        raise RuntimeError(
            f"Given normalized_shape={list(inner)}, expected input with shape [*, {', '.join(map(str, inner))}], but got input of "
            f"size{list(x._shape)}"
        )
    return inner


def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """Standardise the last dimensions, of sizes `normalized_shape`, then scale by `weight` and shift by `bias` of that shape.

    >>> layer_norm(tensor([[1., 3.]]), (2,), eps=0.0)
    tensor([[-1.,  1.]])
    """
    inner = _check_normalized("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    _check_parameters("layer_norm", input, weight, bias)
    tensors = (input, *[p for p in (weight, bias) if p is not None])
    handled, found = overridden(layer_norm, (input, inner, weight, bias, eps), tensors)
    if handled:
        return found
    return apply_multi(NativeLayerNorm(len(inner), weight is not None, bias is not None, eps), tensors)[0]


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root of the mean square over the last dimensions, of sizes `normalized_shape`; scale by `weight`.

    `eps` defaults to the dtype's machine epsilon. Half types are computed in float32.
    """
    inner = _check_normalized("rms_norm", input, normalized_shape, weight=weight)
    if input._dtype.category < FLOATING:
        raise not_implemented("rms_norm", input._dtype)
    x = input.float() if input._dtype.itemsize == 2 else input
    if eps is None:
        eps = 2.0**-52 if input._dtype.name in ("float64", "complex128") else 2.0**-23
    mean = x.pow(2).mean(tuple(range(-len(inner), 0)), True)
    y = x * (mean + eps).rsqrt()
    y = y if weight is None else y * weight
    return y if x is input else y.to(input._dtype)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enabled: bool = True
) -> Any:
    """Standardise `input` [N, C, *] over each of `num_groups` equal parts of its channels; `weight` and `bias` are [C]."""
    need_tensor("group_norm", input)
    shape = input._shape
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}: group_norm takes [N, C, *]"
        )
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if shape[1] % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(shape)} and "
            f"num_groups={num_groups}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value._shape != (shape[1],):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape "
                f"{list(value._shape)} and input of shape {list(shape)}"
            )
    _check_parameters("group_norm", input, weight, bias)
    tensors = (input, *[p for p in (weight, bias) if p is not None])
    handled, found = overridden(group_norm, (input, num_groups, weight, bias, eps), tensors)
    if handled:
        return found
    return apply_multi(NativeGroupNorm(num_groups, weight is not None, bias is not None, eps), tensors)[0]
