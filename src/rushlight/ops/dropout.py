"""Dropout in all its forms: a product with noise drawn as torch's CPU stream draws it."""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

from rushlight.base.dtypes import FLOATING, bool_, float32, float64
from rushlight.base.shape import Shape
from rushlight.core.generator import Generator, default_generator
from rushlight.core.primitive import PLAIN, Primitive, apply2, apply_multi
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import kind_name
from rushlight.ops.creation import like_order
from rushlight.ops.factory import create, empty_ordered
from rushlight.ops.random import Sample

__all__ = ["alpha_dropout", "alpha_dropout_", "dropout", "dropout_", "feature_alpha_dropout", "feature_alpha_dropout_",
           "feature_dropout", "feature_dropout_"]  # fmt: skip

# Minus the value that SELU tends to for very negative numbers: what alpha dropout puts in place of a dropped one.
_ALPHA: Final = 1.7580993408473766


class Dropout(Primitive):
    """`x` times noise that is 0 with probability `p` and else 1 / (1 - p), drawn in memory order, and the mask of the kept ones.

    One pass over memory for what torch does with noise and a product; so its node has the product's name.
    """

    __slots__ = ("p", "generator", "order")
    name = "dropout"
    node_name = "MulBackward0"
    outputs = 2

    def __init__(self, p: float, generator: Generator, order: Shape | None) -> None:
        self.p = p
        self.generator = generator
        self.order = order

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        mask = None if self.order is None else empty_ordered(k, x.shape, bool_.np, self.order)
        return k.dropout(self.generator, x, self.p, mask)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(DropoutByMask(self.p), g[0], saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(DropoutByMask(self.p), tangents[0], saved[0]), None


class DropoutByMask(Primitive):
    """A dropout whose mask is known. Linear in x."""

    __slots__ = ("p",)
    name = "dropout_by_mask"
    node_name = "MulBackward0"

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.dropout_by_mask(arrays[0], arrays[1], self.p)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(self, g, saved[0]), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[0])


def _prepared(operation: str, input: Any, p: float) -> None:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")


def _noise(operation: str, input: Any, kernel: str, parameters: dict[str, float], per_channel: bool) -> Any:
    """Numbers from `kernel`, one for each element of `input` or for each of its channels."""
    if input._dtype.category < FLOATING:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {kind_name(input._dtype)}: {operation} needs a floating-point "
            "input, for example x.float()"
        )
    shape: Shape = input._shape
    order = None
    if per_channel:
        if len(shape) < 2:
            raise RuntimeError(f"Feature dropout requires at least 2 dimensions in the input: got shape {list(shape)}")
        shape = (*shape[:2], *(1,) * (len(shape) - 2))
    else:
        order = like_order(input, None)
    return create(Sample(kernel, shape, input._dtype, parameters, default_generator(), order), input._device)


def _drop(operation: str, input: Any, p: float, train: bool, inplace: bool, per_channel: bool) -> Any:
    _prepared(operation, input, p)
    if not train or p == 0 or 0 in input._shape:
        return input
    if p == 1:
        factor = input.new_zeros(())
    elif not (inplace or per_channel) and type(input) in PLAIN and (input._dtype is float32 or input._dtype is float64):
        return apply_multi(Dropout(float(p), default_generator(), like_order(input, None)), (input,))[0]
    else:
        factor = _noise(operation, input, "dropout_noise", {"p": float(p)}, per_channel)
    return input.mul_(factor) if inplace else input * factor


def _alpha_drop(operation: str, input: Any, p: float, train: bool, inplace: bool, per_channel: bool) -> Any:
    _prepared(operation, input, p)
    if not train or p == 0 or 0 in input._shape:
        return input
    if p == 1:
        zero = input.new_zeros(())
        return input.mul_(zero) if inplace else input * zero
    kept = _noise(operation, input, "bernoulli_scalar", {"p": 1.0 - p}, per_channel)
    scale = 1.0 / sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    shift = (kept - 1) * (_ALPHA * scale) + _ALPHA * scale * p
    factor = kept * scale
    return input.mul_(factor).add_(shift) if inplace else input * factor + shift


def dropout(input: Any, p: float, train: bool) -> Any:
    """`input` with elements zeroed with probability `p` and the rest divided by 1 - p, when `train`; else `input` itself."""
    return _drop("dropout", input, p, train, False, False)


def dropout_(input: Any, p: float, train: bool) -> Any:
    """`dropout` in place."""
    return _drop("dropout", input, p, train, True, False)


def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """`dropout` of whole channels of `input` [N, C, *]."""
    return _drop("feature_dropout", input, p, train, False, True)


def feature_dropout_(input: Any, p: float, train: bool) -> Any:
    """`feature_dropout` in place."""
    return _drop("feature_dropout", input, p, train, True, True)


def alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """Dropout for SELU networks: dropped elements take SELU's limit, and mean and variance are kept."""
    return _alpha_drop("alpha_dropout", input, p, train, False, False)


def alpha_dropout_(input: Any, p: float, train: bool) -> Any:
    """`alpha_dropout` in place."""
    return _alpha_drop("alpha_dropout", input, p, train, True, False)


def feature_alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`alpha_dropout` of whole channels of `input` [N, C, *]."""
    return _alpha_drop("feature_alpha_dropout", input, p, train, False, True)


def feature_alpha_dropout_(input: Any, p: float, train: bool) -> Any:
    """`feature_alpha_dropout` in place."""
    return _alpha_drop("feature_alpha_dropout", input, p, train, True, True)
