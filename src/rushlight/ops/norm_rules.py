"""The operations behind batch, layer and group normalisation, each with its gradient as an operation of its own.

They standardise rows of x, xhat = (x - mean) * rstd with rstd = 1 / sqrt(var + eps), and end with xhat * w + b; they differ in what
a row is. With u = g * w and P(v) = v - mean(v) - xhat * mean(v * xhat), row means, the gradients are

    gx = rstd * P(u)        gw = sum(g * xhat)        gb = sum(g)

`second_order` differentiates these three lines once more, for all of them, in tensor operations: so every order exists.
normalization.py and batch_norm.py have the public functions.
"""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.shape import Shape
from rushlight.core.inplace import apply_update
from rushlight.core.modes import local
from rushlight.core.primitive import PLAIN, Primitive, apply_multi, applyn, dispatch_function
from rushlight.ops.checks import need_tensor, not_implemented

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


# Batch normalisation.


class NativeBatchNorm(Norm):
    """Every channel standardised by its statistics over the batch: outputs (y, mean, invstd, variance)."""

    __slots__ = ()
    name = "native_batch_norm"
    outputs = 4
    takes_gate = True

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.batch_norm_with_variance(*self.parts(arrays), self.eps)

    def grad(self, mask: Needs) -> NormGrad:
        return BatchNormGrad(mask, self.weighted, self.eps)

    def vjp_gated(self, saved: Any, g: Any, needs: Any, gate: Any, bounds: Any) -> Any:
        return self.gradients(saved, g, GatedBatchNormGrad(self.wanted(needs), self.weighted, bounds), gate)


class BatchNormGrad(NormGrad):
    """The gradients of batch normalisation in training."""

    __slots__ = ()
    name = "native_batch_norm_backward"

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.batch_norm_backward(g, x, w, mean, rstd, True, self.mask)

    def rows(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        return shape, (1, shape[1], *(1,) * (len(shape) - 2)), (0, *range(2, len(shape)))


class GatedBatchNormGrad(Primitive):
    """`BatchNormGrad` behind a gate (see `Primitive.gate`), the last of the inputs. It is not differentiated."""

    __slots__ = ("mask", "weighted", "bounds")
    keeps_layout = True
    name = "native_batch_norm_backward"
    outputs = 0
    differentiable = False

    def __init__(self, mask: Needs, weighted: bool, bounds: tuple[float, float | None]) -> None:
        self.mask, self.weighted, self.bounds = mask, weighted, bounds

    def forward(self, k: Any, *arrays: Any) -> Any:
        w = arrays[2] if self.weighted else None
        mean, rstd, gate = arrays[-3:]
        found = k.batch_norm_backward(arrays[0], arrays[1], w, mean, rstd, True, self.mask, gate, *self.bounds)
        return [each for each, wanted in zip(found, self.mask, strict=True) if wanted]


class BatchNormEval(Norm):
    """Every channel standardised by given statistics: inputs (x[, w][, b], mean, var), one output. Linear in x."""

    __slots__ = ()
    name = "batch_norm_eval"
    node_name = "NativeBatchNormBackward0"
    outputs = 1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.batch_norm_forward(*self.parts(arrays), arrays[-2], arrays[-1], False, self.eps)[0]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: Needs) -> tuple[Any, ...]:
        wants_weight = self.weighted and needs[1]
        return (inputs[0] if wants_weight else None, inputs[1] if self.weighted else None, inputs[-2], inputs[-1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: Needs) -> Any:
        x, w, mean, var = saved
        rank = len(g._shape)
        across, others = (1, -1, *(1,) * (rank - 2)), (0, *range(2, rank))
        invstd = (var + self.eps).rsqrt()
        gx = gw = gb = None
        if x is not None and not local.modes.grad:
            mask = (needs[0], True, self.biased and needs[1 + self.weighted])
            return (*self.gradients((x, w, mean, invstd), (g,), BatchNormEvalGrad(mask, True, self.eps)), None, None)
        if needs[0]:
            gx = g * (invstd if w is None else invstd * w).reshape(across).to(g._dtype)
        if self.weighted and needs[1]:
            gw = (g * (x - mean.reshape(across))).sum(others) * invstd
        if self.biased and needs[1 + self.weighted]:
            gb = g.sum(others)
        return (gx, *([gw] if self.weighted else []), *([gb] if self.biased else []), None, None)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (*self.parts(tensors), tensors[-2], tensors[-1], False, 0.0, self.eps, False), {}


class BatchNormEvalGrad(NormGrad):
    """The gradients of batch normalisation by given statistics, in one pass. It is not differentiated."""

    __slots__ = ()
    name = "native_batch_norm_backward"
    differentiable = False

    def gradients(self, k: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> Any:
        return k.batch_norm_backward(g, x, w, mean, rstd, False, self.mask)


class UpdateRunningStatistics(Primitive):
    """Move running mean and variance by `momentum` towards a batch's: `update(running_mean, running_var, mean, variance)`.

    `unbias` is n / (n - 1): the running variance is the unbiased one.
    """

    __slots__ = ("momentum", "unbias")
    name = "update_running_statistics"
    differentiable = False

    def __init__(self, momentum: float, unbias: float) -> None:
        self.momentum = momentum
        self.unbias = unbias

    def forward(self, k: Any, *arrays: Any) -> Any:
        running_mean, running_var, mean, variance = arrays
        k.move_running(running_mean, mean, self.momentum)
        k.move_running(running_var, variance, self.momentum, self.unbias)


def _check_statistics(input: Any, channels: int, tensors: tuple[tuple[str, Any], ...]) -> None:
    for name, value in tensors:
        if value is None:
            continue
        if prod(value._shape) != channels:
            raise RuntimeError(
                f"{name} should contain {channels} elements not {prod(value._shape)}: batch_norm got an input of shape "
                f"{list(input._shape)}, whose dimension 1 holds the channels"
            )
        if is_mixed(input, value):
            raise RuntimeError(
                f"mixed dtype (CPU): all inputs must share same datatype. batch_norm got an input of {input._dtype!r} and {name} of "
                f"{value._dtype!r}; convert the input, or the module with module.to({input._dtype!r})"
            )


def batch_normalised(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float,
    cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """`batch_norm` (ops/batch_norm.py), which is `BatchNormEval.public`."""
    need_tensor("batch_norm", input)
    shape = input._shape
    channels = shape[1] if len(shape) > 1 else 0
    if not shape:
        raise RuntimeError("batch_norm(): expected an input [N, C, *], but got a zero-dim tensor")
    if input._dtype.category != FLOATING:
        raise not_implemented("batch_norm", input._dtype)
    given = (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias))
    _check_statistics(input, channels, given)
    weighted, biased = weight is not None, bias is not None
    parameters = (input, weight, bias) if weighted and biased else (input, *[p for p in (weight, bias) if p is not None])
    if not training:
        if running_mean is None or running_var is None:
            missing = "running_mean" if running_mean is None else "running_var"
            raise RuntimeError(
                f"{missing} must be defined in evaluation mode: batch_norm got None; pass it, or training=True"
            )
        return applyn(BatchNormEval(weighted, biased, eps), (*parameters, running_mean, running_var))
    args = (input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled)
    handled, found = overridden(BatchNormEval.public, args, parameters)
    if handled:
        return found
    y, mean, _, variance = apply_multi(NativeBatchNorm(weighted, biased, eps), parameters)
    if running_mean is not None and running_var is not None:
        count = prod(shape) // max(channels, 1)
        update = UpdateRunningStatistics(momentum, count / max(count - 1, 1))
        apply_update(update, (running_mean, running_var, mean, variance), 2)
    return y
