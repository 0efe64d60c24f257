"""The operations behind convolutions, and what is checked before; ops/conv.py has their public functions.

A convolution is linear in its input x and in its weight w. Three operations are closed under differentiation:

    y  = convolution(x, w)
    gx = conv_grad_input(g, w)      the transpose in x; also the forward pass of a transposed convolution
    gw = conv_grad_weight(g, x)     the transpose in w

so the derivatives of each are the other two. Layout: x [N, C, *spatial], w [O, C / groups, *kernel]; a transposed convolution's
weight is [C, O / groups, *kernel].
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from rushlight.base.dtypes import BOOL, FLOATING, int64
from rushlight.base.shape import Shape, per_dimension
from rushlight.base.warn import warn_user
from rushlight.core.modes import local
from rushlight.core.primitive import SAME, Primitive, apply2, applyn
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name, refuse
from rushlight.ops.common import conj
from rushlight.ops.pad import constant_pad_nd
from rushlight.ops.view import squeeze, unsqueeze

# The public functions by (transposed, spatial dimensions), for `__torch_function__`; ops/conv.py fills it.
PUBLIC: Final[dict[tuple[bool, int], Callable[..., Any]]] = {}


class _Strided(Primitive):
    """What the three operations share: how the windows lie on the input, one number per spatial dimension."""

    __slots__ = ("stride", "padding", "dilation", "groups")
    keeps_layout = True
    promotion = SAME

    def __init__(self, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def windows(self) -> tuple[Shape, Shape, Shape, int]:
        return self.stride, self.padding, self.dilation, self.groups


class Convolution(_Strided):
    """Cross-correlation of x with w, plus a bias: `convolution(x, w)` or `convolution(x, w, bias)`."""

    __slots__ = ()
    name = "convolution"
    transposed = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        bias = arrays[2] if len(arrays) == 3 else None
        return k.convolution(arrays[0], arrays[1], bias, self.stride, self.padding, self.dilation, self.groups)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        x, w = inputs[0], inputs[1]
        return (x if needs[1] else None, w if needs[0] else None, x._shape, w._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, w, x_shape, w_shape = saved
        gx = apply2(ConvGradInput(x_shape, self.stride, self.padding, self.dilation, self.groups), g, conj(w)) if needs[0] else None
        gw = apply2(ConvGradWeight(w_shape, self.stride, self.padding, self.dilation, self.groups), g, conj(x)) if needs[1] else None
        return (gx, gw) if len(needs) == 2 else (gx, gw, _over_positions(g) if needs[2] else None)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        bias = tensors[2] if len(tensors) == 3 else None
        return PUBLIC[False, len(self.stride)], (*tensors[:2], bias, self.stride, self.padding, self.dilation, self.groups), {}


class TransposedConvolution(Convolution):
    """The transpose of a convolution in its input, plus a bias; `output_padding` adds to the far side of the result."""

    __slots__ = ("output_padding",)
    node_name = "ConvolutionBackward0"
    transposed = True

    def __init__(self, stride: Shape, padding: Shape, dilation: Shape, groups: int, output_padding: Shape) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.output_padding = output_padding

    def result_shape(self, x_shape: Shape, w_shape: Shape) -> Shape:
        """[N, O, *spatial] of the result."""
        spatial = tuple(
            (size - 1) * s - 2 * p + d * (kernel - 1) + extra + 1
            for size, kernel, s, p, d, extra in zip(
                x_shape[2:], w_shape[2:], self.stride, self.padding, self.dilation, self.output_padding, strict=True
            )
        )
        return (x_shape[0], w_shape[1] * self.groups, *spatial)

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, w = arrays[0], arrays[1]
        y = k.conv_grad_input(x, w, self.result_shape(x.shape, w.shape), self.stride, self.padding, self.dilation, self.groups)
        if len(arrays) == 3:
            y = k.add(y, k.reshape_view(arrays[2], (-1, *(1,) * len(self.stride))))
        return y

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, w, _, w_shape = saved
        gx = apply2(Convolution(*self.windows()), g, conj(w)) if needs[0] else None
        gw = apply2(ConvGradWeight(w_shape, *self.windows()), conj(x), g) if needs[1] else None
        return (gx, gw) if len(needs) == 2 else (gx, gw, _over_positions(g) if needs[2] else None)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        bias = tensors[2] if len(tensors) == 3 else None
        given = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return PUBLIC[True, len(self.stride)], (*tensors[:2], bias, *given), {}


class ConvGradInput(_Strided):
    """The transpose of `convolution` in x: `conv_grad_input(g, w)`, of shape `input_shape`."""

    __slots__ = ("input_shape",)
    name = "conv_grad_input"
    node_name = "ConvolutionBackwardBackward0"

    def __init__(self, input_shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.input_shape = input_shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.conv_grad_input(arrays[0], arrays[1], self.input_shape, self.stride, self.padding, self.dilation, self.groups)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None, inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, w, w_shape = saved
        return (
            apply2(Convolution(*self.windows()), g, conj(w)) if needs[0] else None,
            apply2(ConvGradWeight(w_shape, *self.windows()), conj(cotangent), g) if needs[1] else None,
        )


class ConvGradWeight(_Strided):
    """The transpose of `convolution` in w: `conv_grad_weight(g, x)`, of shape `weight_shape`."""

    __slots__ = ("weight_shape",)
    name = "conv_grad_weight"
    node_name = "ConvolutionBackwardBackward0"

    def __init__(self, weight_shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
        super().__init__(stride, padding, dilation, groups)
        self.weight_shape = weight_shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.conv_grad_weight(arrays[0], arrays[1], self.weight_shape, self.stride, self.padding, self.dilation, self.groups)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1] if needs[0] else None, inputs[1]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, x, x_shape = saved
        return (
            apply2(Convolution(*self.windows()), conj(x), g) if needs[0] else None,
            apply2(ConvGradInput(x_shape, *self.windows()), conj(cotangent), g) if needs[1] else None,
        )


def _over_positions(g: Any) -> Any:
    """The bias's cotangent: the sum over images and positions."""
    return g.sum((0, *range(2, len(g._shape))))


# The operations that were asked for, by the arguments as given: a module calls with the same ones each time.
_operations: dict[Any, Convolution] = {}
_MOST_OPERATIONS: Final = 1024


def operation_of(
    nd: int, stride: Any, padding: Any, dilation: Any, groups: Any, transposed: bool, extra: Any
) -> Convolution:
    """The operation with these parameters, which are checked when it is first asked for."""
    key = (
        nd,
        tuple(stride) if type(stride) is list else stride,
        tuple(padding) if type(padding) is list else padding,
        tuple(dilation) if type(dilation) is list else dilation,
        groups,
        transposed,
        tuple(extra) if type(extra) is list else extra,
    )
    found = _operations.get(key)
    if found is None:
        found = _new_operation(nd, stride, padding, dilation, groups, transposed, extra)
        if len(_operations) >= _MOST_OPERATIONS:
            _operations.clear()
        _operations[key] = found
    return found


def _new_operation(
    nd: int, stride: Any, padding: Any, dilation: Any, groups: Any, transposed: bool, extra: Any
) -> Convolution:
    name = f"conv_transpose{nd}d" if transposed else f"conv{nd}d"
    steps = sizes(stride, nd, "stride", name)
    pads = sizes(padding, nd, "padding", name)
    gaps = sizes(dilation, nd, "dilation", name)
    try:
        groups = operator.index(groups)
    except TypeError:
        raise TypeError(f"{name}(): argument 'groups' must be int, not {type(groups).__name__}") from None
    if min(steps, default=1) <= 0:
        raise RuntimeError(f"non-positive stride is not supported: {name} got stride={stride}")
    if min(pads, default=0) < 0:
        raise RuntimeError(f"negative padding is not supported: {name} got padding={padding}; crop the input instead")
    if min(gaps, default=1) <= 0:
        raise RuntimeError(f"dilation should be greater than zero: {name} got dilation={dilation}")
    if groups <= 0:
        raise RuntimeError(f"non-positive groups is not supported: {name} got groups={groups}")
    if not transposed:
        return Convolution(steps, pads, gaps, groups)
    extras = sizes(extra, nd, "output_padding", name)
    if min(extras, default=0) < 0:
        raise RuntimeError(f"negative output_padding is not supported: {name} got output_padding={extra}")
    if any(e >= max(s, d) for e, s, d in zip(extras, steps, gaps, strict=True)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but {name} got output_padding={extras}, "
            f"stride={steps}, dilation={gaps}"
        )
    return TransposedConvolution(steps, pads, gaps, groups, extras)


def sizes(value: Any, nd: int, argument: str, operation: str) -> Shape:
    """An int, or a sequence of one int or of `nd` ints, as one int per spatial dimension."""
    found = per_dimension(value, nd, argument, operation)
    if len(found) != nd:
        raise RuntimeError(
            f"expected {argument} to be a single integer value or a list of {nd} values to match the convolution "
            f"dimensions, but {operation} got {argument}={list(found)}"
        )
    return found


def _check_input(x: Any, w: Any, bias: Any, nd: int, name: str) -> None:
    if not isinstance(x, TensorBase) or not isinstance(w, TensorBase):
        wrong, value = ("weight", w) if isinstance(x, TensorBase) else ("input", x)
        raise TypeError(f"{name}(): argument '{wrong}' must be Tensor, not {type(value).__name__}")
    if len(w._shape) != nd + 2:
        raise RuntimeError(
            f"{name}(): expected a {nd + 2}-dimensional weight [out_channels, in_channels / groups, *kernel], but got weight of "
            f"size {list(w._shape)}"
        )
    if len(x._shape) not in (nd + 1, nd + 2):
        raise RuntimeError(
            f"Expected {nd + 1}D (unbatched) or {nd + 2}D (batched) input to {name}, but got input of size: {list(x._shape)}"
        )
    if x._dtype.category == BOOL:
        refuse(f"{name}_cpu", x, "bool")
    if x._dtype is not w._dtype and local.modes.plain:
        raise RuntimeError(
            f"expected scalar type {kind_name(x._dtype)} but found {kind_name(w._dtype)}: {name} got an input of "
            f"{x._dtype!r} and a weight of {w._dtype!r}; convert the input, for example with x.to(weight.dtype)"
        )
    if bias is not None and bias._dtype is not x._dtype and local.modes.plain:
        raise RuntimeError(
            f"Input type ({x._dtype!r}) and bias type ({bias._dtype!r}) should be the same: {name} needs one dtype; convert the "
            "bias or the input, for example with x.to(bias.dtype)"
        )


def _check_sizes(op: Convolution, x: Shape, w: Shape, bias: Any, name: str) -> None:
    groups = op.groups
    channels, outputs = (w[0], w[1] * groups) if op.transposed else (w[1] * groups, w[0])
    if w[0] % groups or w[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but {name} got weight of size "
            f"{list(w)}"
        )
    if x[1] != channels:
        raise RuntimeError(
            f"Given {'transposed=1' if op.transposed else f'groups={groups}'}, weight of size {list(w)}, expected "
            f"input{list(x)} to have {channels} channels, but got {x[1]} channels instead: "
            f"{name} takes the channels from dimension 1. Change the input, or make the layer with in_channels={x[1]}"
        )
    if bias is not None and bias._shape != (outputs,):
        raise RuntimeError(
            f"Given weight of size {list(w)}, expected bias to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(bias._shape)} instead"
        )
    if isinstance(op, TransposedConvolution):
        result = op.result_shape(x, w)
        if min(result[2:]) <= 0:
            raise RuntimeError(
                f"Given input size per channel: {list(x[2:])}. Calculated output size per channel: {list(result[2:])}. Output "
                f"size is too small: {name} has too much padding for this input"
            )
        return
    for size, kernel, p, d in zip(x[2:], w[2:], op.padding, op.dilation, strict=True):
        if size + 2 * p < d * (kernel - 1) + 1:
            padded = " x ".join(str(n + 2 * q) for n, q in zip(x[2:], op.padding, strict=True))
            reach = " x ".join(str(e * (n - 1) + 1) for n, e in zip(w[2:], op.dilation, strict=True))
            raise RuntimeError(
                f"Calculated padded input size per channel: ({padded}). Kernel size: ({reach}). Kernel size can't be greater "
                f"than actual input size: {name} needs a larger input, more padding, or a smaller kernel"
            )


def run(op: Convolution, x: Any, w: Any, bias: Any, nd: int, name: str) -> Any:
    _check_input(x, w, bias, nd, name)
    if len(x._shape) == nd + 1:
        return squeeze(run(op, unsqueeze(x, 0), w, bias, nd, name), 0)
    _check_sizes(op, x._shape, w._shape, bias, name)
    if x._dtype.category < FLOATING and x._dtype is not int64 and (op.transposed or max(op.dilation, default=1) > 1):
        refuse(f"{name}_cpu", x, "integer")
    return apply2(op, x, w) if bias is None else applyn(op, (x, w, bias))


def convolve(nd: int, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    name = f"conv{nd}d"
    if isinstance(padding, str):
        _check_input(x, w, bias, nd, name)
        x, padding = _string_padding(nd, x, w, stride, padding, dilation)
    return run(operation_of(nd, stride, padding, dilation, groups, False, 0), x, w, bias, nd, name)


def _string_padding(nd: int, x: Any, w: Any, stride: Any, padding: str, dilation: Any) -> tuple[Any, Shape]:
    """'valid' and 'same' as numbers. An odd total of 'same' goes to the far side, which takes a padded copy of x."""
    name = f"conv{nd}d"
    if padding == "valid":
        return x, (0,) * nd
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'; {name} takes 'valid', 'same' or numbers")
    if set(sizes(stride, nd, "stride", name)) != {1}:
        raise RuntimeError(f"padding='same' is not supported for strided convolutions: {name} got stride={stride}")
    gaps = sizes(dilation, nd, "dilation", name)
    totals: list[int] = [d * (kernel - 1) for kernel, d in zip(w._shape[2:], gaps, strict=True)]
    if any(total % 2 for total in totals):
        warn_user(
            "Using padding='same' with even kernel lengths and odd dilation may require a zero-padded copy of the input be "
            "created",
        )
        far: list[int] = []
        for total in totals[::-1]:
            far += (0, total % 2)
        x = constant_pad_nd(x, far, 0)
    return x, tuple(total // 2 for total in totals)


def convolve_transposed(
    nd: int, x: Any, w: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: Any, dilation: Any
) -> Any:
    op = operation_of(nd, stride, padding, dilation, groups, True, output_padding)
    return run(op, x, w, bias, nd, f"conv_transpose{nd}d")
