"""What the normalisations share, and layer and group normalisation, each with its gradient as an operation of its own.

Batch normalisation (batch_norm.py) and these two standardise rows of x, xhat = (x - mean) * rstd with rstd = 1 / sqrt(var + eps),
and end with xhat * w + b; they differ in what a row is. With u = g * w and P(v) = v - mean(v) - xhat * mean(v * xhat), row means, the
gradients are

    gx = rstd * P(u)        gw = sum(g * xhat)        gb = sum(g)

`second_order` differentiates these three lines once more, for all of them, in tensor operations: so every order exists.
"""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import Shape
from rushlight.core.modes import local
from rushlight.core.primitive import PLAIN, Primitive, apply_multi, dispatch_function
from rushlight.ops.checks import kind_name, need_tensor, not_implemented

__all__ = ["group_norm", "layer_norm", "rms_norm"]

Needs = tuple[bool, ...]


def second_order(g: Any, x: Any, w: Any, a: Any, b: Any, c: Any, dims: Shape, eps: float) -> tuple[Any, Any, Any]:
    """Cotangents of (g, x, w) when those of (gx, gw, gb) are (a, b, c); w, b and c broadcast against x, any may be None.

    Derivation: d(xhat) = rstd * P(dx) and d(rstd) = -(rstd**2 / n) * sum(xhat * dx), and P is its own transpose.
    """
    mean = x.mean(dims, True)
    rstd = (x.var(dims, correction=0, keepdim=True) + eps).rsqrt()
    xhat = (x - mean) * rstd
    u = g if w is None else g * w

    def project(v: Any) -> Any:
        return v - v.mean(dims, True) - xhat * (v * xhat).mean(dims, True)

    to_g = to_x = to_w = None
    if a is not None:
        projected = rstd * project(a)
        to_g = projected if w is None else projected * w
        to_w = projected * g
        along_u, along_a = (u * xhat).mean(dims, True), (a * xhat).mean(dims, True)
        both = (a * project(u)).mean(dims, True)
        to_x = -(both * rstd * rstd) * xhat - rstd * rstd * project(along_u * a + along_a * u)
    if b is not None:
        to_g = xhat * b if to_g is None else to_g + xhat * b
        part = rstd * project(g * b)
        to_x = part if to_x is None else to_x + part
    if c is not None:
        to_g = c.expand(x._shape) if to_g is None else to_g + c
    return to_g, to_x, to_w


class NormGrad(Primitive):
    """The gradients that `mask` asks for, of (x, w, b), from (g, x[, w], mean, rstd)."""

    __slots__ = ("mask", "weighted", "eps")
    keeps_layout = True
    outputs = 0

    def __init__(self, mask: Needs, weighted: bool, eps: float) -> None:
        self.mask = mask
        self.weighted = weighted
        self.eps = eps

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no kernel")

    def forward(self, k: Any, *arrays: Any) -> Any:
        w = arrays[2] if self.weighted else None
        found = self.gradients(k, arrays[0], arrays[1], w, arrays[-2], arrays[-1])
        return [each for each, wanted in zip(found, self.mask, strict=True) if wanted]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        return inputs[: 3 if self.weighted else 2]

    def rows(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        """The shape to see x in, that of w there, and the dimensions of a row."""
        raise NotImplementedError(f"{self.name} has no rows")

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        """`mean` and `rstd` are functions of x here: their share of the derivative is in that of x."""
        x = saved[1]
        shape, w_shape, dims = self.rows(x._shape)
        arrived = iter(g)
        a, b, c = [next(arrived) if wanted else None for wanted in self.mask]
        w = saved[2] if self.weighted else None
        w_seen, b, c = [None if t is None else t.reshape(w_shape) for t in (w, b, c)]
        a = None if a is None else a.reshape(shape)
        to_g, to_x, to_w = second_order(saved[0].reshape(shape), x.reshape(shape), w_seen, a, b, c, dims, self.eps)
        found = [None if t is None else t.reshape(x._shape) for t in (to_g, to_x)]
        if w is not None:
            found.append(None if to_w is None else to_w.sum_to_size(w_shape).reshape(w._shape))
        return (*found, None, None)


class Norm(Primitive):
    """What the normalisations share: inputs (x[, w][, b]), outputs (y, mean, rstd)."""

    __slots__ = ("weighted", "biased", "eps")
    keeps_layout = True
    outputs = 3

    def __init__(self, weighted: bool, biased: bool, eps: float) -> None:
        self.weighted = weighted
        self.biased = biased
        self.eps = eps

    def parts(self, inputs: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """x, w and b, None for what is not there."""
        return inputs[0], inputs[1] if self.weighted else None, inputs[1 + self.weighted] if self.biased else None

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        return (inputs[0], inputs[1] if self.weighted else None, output[1].detach(), output[2].detach())

    def grad(self, mask: Needs) -> NormGrad:
        """The operation that gives the gradients of (x, w, b) that `mask` asks for."""
        raise NotImplementedError(f"{self.name} has no gradient")

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        return self.gradients(saved, g, self.grad(self.wanted(needs)))

    def wanted(self, needs: Needs) -> Needs:
        """Which of the gradients of (x, w, b) are asked for."""
        return needs[0], self.weighted and needs[1], self.biased and needs[-1]

    def gradients(self, saved: tuple[Any, ...], g: Any, grad: Any, *more: Any) -> Any:
        """What the operation `grad` finds, with None for what its mask does not ask for."""
        x, w, mean, rstd = saved
        found = iter(apply_multi(grad, (g[0], x, mean, rstd, *more) if w is None else (g[0], x, w, mean, rstd, *more)))
        gx, gw, gb = [next(found) if wanted else None for wanted in grad.mask]
        return (gx, *([gw] if self.weighted else []), *([gb] if self.biased else []))


def overridden(function: Any, args: tuple[Any, ...], tensors: tuple[Any, ...]) -> tuple[bool, Any]:
    """Offer a call to `__torch_function__`: done for the whole function, whose operation has outputs that nobody sees."""
    if not local.modes.function_modes and all([type(t) in PLAIN for t in tensors]):
        return False, None
    return dispatch_function(function, args, {}, tensors)


def is_mixed(x: Any, parameter: Any) -> bool:
    """Whether a parameter's dtype does not go with x: it must be the same, or float32 for a half-precision x."""
    if parameter is None or parameter._dtype is x._dtype:
        return False
    return not (x._dtype.itemsize == 2 and parameter._dtype.name == "float32")


# Layer normalisation.


class NativeLayerNorm(Norm):
    """Standardised over the last `normalized_ndim` dimensions."""

    __slots__ = ("normalized_ndim",)
    name = "native_layer_norm"

    def __init__(self, normalized_ndim: int, weighted: bool, biased: bool, eps: float) -> None:
        super().__init__(weighted, biased, eps)
        self.normalized_ndim = normalized_ndim

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, w, b = self.parts(arrays)
        return k.layer_norm_forward(x, self.normalized_ndim, w, b, self.eps)

    def grad(self, mask: Needs) -> NormGrad:
        return LayerNormGrad(self.normalized_ndim, mask, self.weighted, self.eps)


class LayerNormGrad(NormGrad):
    """The gradients of layer normalisation."""

    __slots__ = ("normalized_ndim",)
    name = "native_layer_norm_backward"

    def __init__(self, normalized_ndim: int, mask: Needs, weighted: bool, eps: float) -> None:
        super().__init__(mask, weighted, eps)
        self.normalized_ndim = normalized_ndim

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.layer_norm_backward(g, x, self.normalized_ndim, mean, rstd, w, self.mask)

    def rows(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        first = len(shape) - self.normalized_ndim
        return shape, shape[first:], tuple(range(first, len(shape)))


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


# Group normalisation.


class NativeGroupNorm(Norm):
    """Standardised over each of `groups` equal parts of the channels."""

    __slots__ = ("groups",)
    name = "native_group_norm"

    def __init__(self, groups: int, weighted: bool, biased: bool, eps: float) -> None:
        super().__init__(weighted, biased, eps)
        self.groups = groups

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, w, b = self.parts(arrays)
        return k.group_norm_forward(x, self.groups, w, b, self.eps)

    def grad(self, mask: Needs) -> NormGrad:
        return GroupNormGrad(self.groups, mask, self.weighted, self.eps)


class GroupNormGrad(NormGrad):
    """The gradients of group normalisation."""

    __slots__ = ("groups",)
    name = "native_group_norm_backward"

    def __init__(self, groups: int, mask: Needs, weighted: bool, eps: float) -> None:
        super().__init__(mask, weighted, eps)
        self.groups = groups

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.group_norm_backward(g, x, self.groups, mean, rstd, w, self.mask)

    def rows(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        each = shape[1] // self.groups
        return (shape[0], self.groups, each, prod(shape[2:])), (1, self.groups, each, 1), (2, 3)


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
