"""The operations behind softmax and log-softmax. Their gradients are operations of their own, in terms of the result."""

from __future__ import annotations

from typing import Any

from rushlight.base.compiled import mypyc_attr
from rushlight.core.primitive import Primitive, apply2


@mypyc_attr(allow_interpreted_subclasses=True)
class AlongDim(Primitive):
    """An operation along one dimension."""

    __slots__ = ("dim",)

    def __init__(self, dim: int) -> None:
        self.dim = dim


class Softmax(AlongDim):
    """y = exp(x) / sum(exp(x))."""

    __slots__ = ()
    name = "softmax"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.softmax(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(SoftmaxGrad(self.dim), g, saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(SoftmaxGrad(self.dim), tangents[0], saved[0])  # the Jacobian is symmetric

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.dim), {}


class SoftmaxGrad(AlongDim):
    """y * (g - sum(g * y)): `grad(g, y)`."""

    __slots__ = ()
    name = "softmax_backward_data"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.softmax_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, y = saved
        to_y = None
        if needs[1]:
            inner = (cotangent * y).sum(self.dim, True)
            to_y = g * (cotangent - inner) - cotangent * (g * y).sum(self.dim, True)
        return apply2(self, g, y) if needs[0] else None, to_y


class LogSoftmax(AlongDim):
    """y = x - log(sum(exp(x)))."""

    __slots__ = ()
    name = "log_softmax"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.log_softmax(arrays[0], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(LogSoftmaxGrad(self.dim), g, saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] - (tangents[0] * saved[0].exp()).sum(self.dim, True)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.dim), {}


class LogSoftmaxGrad(AlongDim):
    """g - exp(y) * sum(g): `grad(g, y)`."""

    __slots__ = ()
    name = "log_softmax_backward_data"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.log_softmax_backward(arrays[0], arrays[1], self.dim)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        cotangent, y = saved
        weighted = g * y.exp()
        to_g = g - weighted.sum(self.dim, True) if needs[0] else None
        return to_g, -weighted * cotangent.sum(self.dim, True) if needs[1] else None
