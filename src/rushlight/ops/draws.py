"""The random operations: new samples, numbers written over a tensor, and draws whose distribution stands in tensors.

Each names its kernel and holds the generator, whose lock the kernel keeps while it draws.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import dtype
from rushlight.base.shape import Shape
from rushlight.core.generator import Generator
from rushlight.core.primitive import Primitive
from rushlight.ops.creation import zeros_like
from rushlight.ops.factory import empty_ordered


class Sample(Primitive):
    """A new tensor of random numbers: `kernel` with its parameters, filled in memory order."""

    __slots__ = ("kernel", "shape", "dtype", "settings", "generator", "order")
    name = "sample"
    differentiable = False

    def __init__(
        self,
        kernel: str,
        shape: Shape,
        of: dtype,
        parameters: dict[str, Any],
        generator: Generator,
        order: Shape | None = None,
    ) -> None:
        self.kernel = kernel
        self.shape = shape
        self.dtype = of
        self.settings = parameters
        self.generator = generator
        self.order = order

    def forward(self, k: Any, *arrays: Any) -> Any:
        out = None if self.order is None else empty_ordered(k, self.shape, self.dtype.np, self.order)
        return getattr(k, self.kernel)(
            self.generator, shape=self.shape, dtype=self.dtype.np, out=out, **self.settings
        )


class Permutation(Primitive):
    """The integers below `n` in random order."""

    __slots__ = ("n", "dtype", "generator")
    name = "randperm"
    differentiable = False

    def __init__(self, n: int, of: dtype, generator: Generator) -> None:
        self.n = n
        self.dtype = of
        self.generator = generator

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.randperm(self.generator, self.n, self.dtype.np)


class Draw(Primitive):
    """Random numbers written over a tensor, in memory order; its former values have no influence, so their cotangent is zero."""

    __slots__ = ("settings", "generator")
    kernel = ""

    def __init__(self, parameters: dict[str, Any], generator: Generator) -> None:
        self.settings = parameters
        self.generator = generator

    def forward(self, k: Any, *arrays: Any) -> Any:
        return self.forward_into(k, k.empty(arrays[0].shape, arrays[0].dtype), *arrays)

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return getattr(k, self.kernel)(self.generator, shape=out.shape, dtype=out.dtype, out=out, **self.settings)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return zeros_like(tangents[0])


class DrawNormal(Draw):
    __slots__ = ()
    name = "normal"
    kernel = "normal"


class DrawUniform(Draw):
    __slots__ = ()
    name = "uniform"
    kernel = "uniform"


class DrawBetween(Draw):
    __slots__ = ()
    name = "random_between"
    node_name = "RandomBackward0"
    kernel = "randint"


class DrawBelow(DrawBetween):
    __slots__ = ()
    name = "random_below"
    node_name = "RandomBackward1"


class DrawAny(Draw):
    __slots__ = ()
    name = "random"
    node_name = "RandomBackward2"
    kernel = "random_full"


class DrawBernoulli(Draw):
    __slots__ = ()
    name = "bernoulli_number"
    node_name = "BernoulliBackward2"
    kernel = "bernoulli_scalar"


class DrawExponential(Draw):
    __slots__ = ()
    name = "exponential"
    kernel = "exponential"


class DrawGeometric(Draw):
    __slots__ = ()
    name = "geometric"
    kernel = "geometric"


class DrawCauchy(Draw):
    __slots__ = ()
    name = "cauchy"
    kernel = "cauchy"


class DrawLogNormal(Draw):
    __slots__ = ()
    name = "log_normal"
    kernel = "log_normal"


class DrawBernoulliTensor(Draw):
    """Ones with the probabilities in a second tensor."""

    __slots__ = ()
    name = "bernoulli_tensor"
    node_name = "BernoulliBackward1"

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return k.bernoulli_tensor(self.generator, k.expand(arrays[1], out.shape), out=out)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g) if needs[0] else None, zeros_like(g) if needs[1] else None


class FromTensors(Primitive):
    """Random numbers whose distribution stands in tensors; drawing is not differentiable, so the cotangents are zero."""

    __slots__ = ("settings", "generator")
    kernel = ""

    def __init__(self, generator: Generator, **parameters: Any) -> None:
        self.settings = parameters
        self.generator = generator

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.kernel)(self.generator, *arrays, **self.settings)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (len(inputs),)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return zeros_like(g) if saved[0] == 1 else (zeros_like(g), zeros_like(g))


class Bernoulli(FromTensors):
    __slots__ = ()
    name = "bernoulli"
    kernel = "bernoulli_tensor"


class Poisson(FromTensors):
    __slots__ = ()
    name = "poisson"
    kernel = "poisson"


class Multinomial(FromTensors):
    __slots__ = ()
    name = "multinomial"
    differentiable = False
    kernel = "multinomial"


class NormalMean(FromTensors):
    """Normal numbers with a tensor of means and one standard deviation."""

    __slots__ = ()
    name = "normal_mean"
    node_name = "NormalBackward1"
    kernel = "normal_tensor"


class NormalStd(FromTensors):
    """Normal numbers with one mean and a tensor of standard deviations."""

    __slots__ = ()
    name = "normal_std"
    node_name = "NormalBackward2"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.normal_tensor(self.generator, self.settings["mean"], arrays[0])


class NormalBoth(FromTensors):
    """Normal numbers with tensors of means and of standard deviations."""

    __slots__ = ()
    name = "normal_both"
    node_name = "NormalBackward3"
    kernel = "normal_tensor"
