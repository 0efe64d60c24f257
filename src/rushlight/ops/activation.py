"""The operations behind activation functions; their public functions are in activate.py.

Those made of straight pieces have a gradient kernel, `StepBackward`, that is linear in the cotangent and flat in x.
The smooth ones have a gradient kernel whose own derivative is written out.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from rushlight.core.primitive import Primitive, apply1, apply2
from rushlight.ops.common import Backward, Unary
from rushlight.ops.shape import cat

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946
NORMAL_SCALE = 1 / math.sqrt(2 * math.pi)


class StepBackward(Backward):
    """The gradient kernel of a function made of straight pieces: flat in x."""

    __slots__ = ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(self, g, saved[1]) if needs[0] else None, g.new_zeros(g._shape) if needs[1] else None


class Activation(Unary):
    """An activation `k.<name>(x, *parameters)` whose derivative is the kernel `backward`."""

    __slots__ = ()
    promotion: ClassVar[int] = 0

    def arguments(self) -> tuple[Any, ...]:
        """The kernel's parameters."""
        return ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], *self.arguments())

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], *self.arguments(), out=out)

    def backward(self) -> Backward:
        raise NotImplementedError(f"{self.name} names no gradient kernel")

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(self.backward(), g, saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self.backward(), tangents[0], saved[0])


def whichever_lasts(inputs: tuple[Any, ...], output: Any) -> tuple[Any, ...]:
    """The input, as in torch, so that the result may be written over later; in place the result, which serves as well."""
    return (output,) if inputs[0]._storage is output._storage else (inputs[0],)


class ThresholdBackward(StepBackward):
    __slots__ = ()
    name = "threshold_backward"


class LeakyReluBackward(StepBackward):
    __slots__ = ()
    name = "leaky_relu_backward"


class HardtanhBackward(StepBackward):
    __slots__ = ()
    name = "hardtanh_backward"


class HardsigmoidBackward(StepBackward):
    __slots__ = ()
    name = "hardsigmoid_backward"


class ShrinkBackward(StepBackward):
    __slots__ = ()
    name = "shrink_backward"


class HardswishBackward(Backward):
    __slots__ = ()
    name = "hardswish_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        third = x.new_full((), 1 / 3)
        return third.masked_fill((x <= -3) | (x >= 3), 0)


class EluBackward(Backward):
    __slots__ = ()
    name = "elu_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        alpha, scale, input_scale = constants
        bend = (x * input_scale).exp() * (alpha * scale * input_scale * input_scale)
        return bend.masked_fill(x > 0, 0)


class SiluBackward(Backward):
    __slots__ = ()
    name = "silu_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        s = x.sigmoid()
        rest = 1 - s
        return s * rest * (2 + x * (rest - s))


class GeluBackward(Backward):
    __slots__ = ()
    name = "gelu_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        if constants[0] == "none":
            return (x * x * -0.5).exp() * NORMAL_SCALE * (2 - x * x)
        scale, cubic = math.sqrt(2 / math.pi), 0.044715
        t = ((x * x * x * cubic + x) * scale).tanh()
        inner = (x * x * (3 * cubic) + 1) * scale
        bend = x * (6 * cubic * scale)
        return (1 - t * t) * (inner + 0.5 * x * (bend - 2 * t * inner * inner))


class SoftplusBackward(Backward):
    __slots__ = ()
    name = "softplus_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        beta, threshold = constants
        s = (x * beta).sigmoid()
        return (s * (1 - s) * beta).masked_fill(x * beta > threshold, 0)


class MishBackward(Backward):
    __slots__ = ()
    name = "mish_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        s, t = x.sigmoid(), apply1(Softplus(1.0, 20.0), x).tanh()
        slope = s * (1 - t * t)  # of tanh(softplus(x))
        return slope * 2 + x * slope * (1 - s - 2 * t * s)


class LogSigmoidBackward(Backward):
    __slots__ = ()
    name = "log_sigmoid_backward"

    def slope_change(self, x: Any, *constants: Any) -> Any:
        s = x.sigmoid()
        return s * (s - 1)


class Relu(Activation):
    __slots__ = ()
    name = "relu"
    saves_output = True

    def backward(self) -> Backward:
        return _ABOVE_ZERO

    def gate(self) -> tuple[float, float | None]:
        return 0.0, None


class Threshold(Activation):
    __slots__ = ("threshold", "value")
    name = "threshold"

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = threshold
        self.value = value

    def arguments(self) -> tuple[Any, ...]:
        return (self.threshold, self.value)

    def backward(self) -> Backward:
        return ThresholdBackward(self.threshold)


class LeakyRelu(Activation):
    __slots__ = ("negative_slope",)
    name = "leaky_relu"

    def __init__(self, negative_slope: float) -> None:
        self.negative_slope = negative_slope

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        # The output has the signs of the input unless the slope turns them.
        return whichever_lasts(inputs, output) if self.negative_slope > 0 else (inputs[0],)

    def arguments(self) -> tuple[Any, ...]:
        return (self.negative_slope,)

    def backward(self) -> Backward:
        return LeakyReluBackward(self.negative_slope)


class Hardtanh(Activation):
    __slots__ = ("min_val", "max_val")
    name = "hardtanh"

    def __init__(self, min_val: float, max_val: float) -> None:
        self.min_val = min_val
        self.max_val = max_val

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return whichever_lasts(inputs, output)

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.clamp(arrays[0], self.min_val, self.max_val)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.clamp(arrays[0], self.min_val, self.max_val, out=out)

    def backward(self) -> Backward:
        return HardtanhBackward(self.min_val, self.max_val)

    def gate(self) -> tuple[float, float | None]:
        return self.min_val, self.max_val


class Hardsigmoid(Activation):
    __slots__ = ()
    name = "hardsigmoid"

    def backward(self) -> Backward:
        return HardsigmoidBackward()


class Hardswish(Activation):
    __slots__ = ()
    name = "hardswish"

    def backward(self) -> Backward:
        return HardswishBackward()


class Hardshrink(Activation):
    __slots__ = ("lambd",)
    name = "hardshrink"

    def __init__(self, lambd: float) -> None:
        self.lambd = lambd

    def arguments(self) -> tuple[Any, ...]:
        return (self.lambd,)

    def backward(self) -> Backward:
        return ShrinkBackward(self.lambd)


class Softshrink(Hardshrink):
    __slots__ = ()
    name = "softshrink"


class Elu(Activation):
    """elu and, with other scales, selu."""

    __slots__ = ("alpha", "scale", "input_scale")
    name = "elu"

    def __init__(self, alpha: float, scale: float = 1.0, input_scale: float = 1.0) -> None:
        self.alpha = alpha
        self.scale = scale
        self.input_scale = input_scale

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.elu(arrays[0], self.alpha, self.scale, self.input_scale)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.elu(arrays[0], self.alpha, self.scale, self.input_scale, out=out)

    def backward(self) -> Backward:
        return EluBackward(self.alpha, self.scale, self.input_scale)


class Celu(Elu):
    """alpha * (exp(x / alpha) - 1) below zero."""

    __slots__ = ()
    name = "celu"

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha, 1.0, 1.0 / alpha)


class Gelu(Activation):
    __slots__ = ("approximate",)
    name = "gelu"

    def __init__(self, approximate: str) -> None:
        self.approximate = approximate

    def arguments(self) -> tuple[Any, ...]:
        return (self.approximate,)

    def backward(self) -> Backward:
        return GeluBackward(self.approximate)


class Silu(Activation):
    __slots__ = ()
    name = "silu"

    def backward(self) -> Backward:
        return SiluBackward()


class Mish(Activation):
    __slots__ = ()
    name = "mish"

    def backward(self) -> Backward:
        return MishBackward()


class Softplus(Activation):
    __slots__ = ("beta", "threshold")
    name = "softplus"

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta = beta
        self.threshold = threshold

    def arguments(self) -> tuple[Any, ...]:
        return (self.beta, self.threshold)

    def backward(self) -> Backward:
        return SoftplusBackward(self.beta, self.threshold)


class LogSigmoid(Activation):
    """log(sigmoid(x))."""

    __slots__ = ()
    name = "log_sigmoid"

    def backward(self) -> Backward:
        return LogSigmoidBackward()


class Prelu(Primitive):
    """x above zero, weight * x elsewhere; the weight already has the rank of x."""

    __slots__ = ()
    keeps_layout = True
    name = "prelu_kernel"
    node_name = "PreluKernelBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.prelu(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, weight = saved
        positive = x > 0
        return (
            g.where(positive, g * weight) if needs[0] else None,
            (g * x).masked_fill(positive, 0) if needs[1] else None,
        )


class RreluWithNoise(Primitive):
    """x above zero, slope * x elsewhere: `rrelu(x, slopes)` with the slopes that were drawn, or their mean."""

    __slots__ = ()
    name = "rrelu_with_noise"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.prelu(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return inputs

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x, slopes = saved
        return g.where(x > 0, g * slopes), None


class Glu(Primitive):
    """The first half along a dimension times the sigmoid of the second half."""

    __slots__ = ("dim",)
    name = "glu"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = arrays[0]
        half = x.shape[self.dim] // 2
        first, second = k.slice(x, self.dim, 0, half, 1), k.slice(x, self.dim, half, 2 * half, 1)
        return k.mul(first, k.sigmoid(second))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        x = saved[0]
        half = x._shape[self.dim] // 2
        first, second = x.narrow(self.dim, 0, half), x.narrow(self.dim, half, half)
        gate = second.sigmoid()
        return cat((g * gate, g * first * gate * (1 - gate)), self.dim)


_ABOVE_ZERO = ThresholdBackward(0)
RELU = Relu()
HARDSIGMOID, HARDSWISH, SILU, MISH = Hardsigmoid(), Hardswish(), Silu(), Mish()
LOG_SIGMOID = LogSigmoid()
PRELU = Prelu()
RRELU = RreluWithNoise()
SELU = Elu(SELU_ALPHA, SELU_SCALE)
