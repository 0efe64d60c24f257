"""Random numbers: torch's functions and in-place fills, drawing torch's CPU stream."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import int64
from rushlight.base.kinds import Device
from rushlight.base.layout import preserve_format, strided
from rushlight.base.shape import Shape
from rushlight.core.generator import Generator, default_generator
from rushlight.core.inplace import apply_inplace
from rushlight.core.primitive import apply1, apply2
from rushlight.core.tensor import TensorBase
from rushlight.ops.checks import need_tensor
from rushlight.ops.common import check_broadcast, methods
from rushlight.ops.draws import (
    Bernoulli,
    DrawAny,
    DrawBelow,
    DrawBernoulli,
    DrawBernoulliTensor,
    DrawBetween,
    DrawCauchy,
    DrawExponential,
    DrawGeometric,
    DrawLogNormal,
    DrawNormal,
    DrawUniform,
    Multinomial,
    NormalBoth,
    NormalMean,
    NormalStd,
    Permutation,
    Poisson,
    Sample,
)
from rushlight.ops.factory import (
    as_dtype,
    chosen_device,
    create,
    deliver,
    like_order,
    on_device,
    placement,
    sizes_argument,
)
from rushlight.ops.offered import offered

__all__ = [
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


def source(generator: Any, where: Device, operation: str) -> Generator:
    """The generator to draw from: the one given, which must belong to the device, or the process's own."""
    if generator is None:
        return default_generator()
    if not isinstance(generator, Generator):
        raise TypeError(f"{operation}(): argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    kind = str(generator.device).partition(":")[0]
    if where.type not in (kind, "meta"):
        raise RuntimeError(
            f"{operation}(): Expected a '{where.type}' device type for generator but found '{kind}'; make it with "
            f"torch.Generator(device='{where.type}')"
        )
    return generator


# New tensors.


def _sampled(
    operation: str,
    kernel: str,
    shape: Shape,
    parameters: dict[str, Any],
    generator: Any,
    out: Any,
    dtype: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
) -> Any:
    of, where = placement(dtype, device, layout, out, operation)
    op = Sample(kernel, shape, of, parameters, source(generator, where, operation))
    return deliver(create(op, where, requires_grad), out, operation)


@offered
def rand(
    *args: Any,
    size: Any = None,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Any:
    """Numbers uniform in [0, 1); sizes as ints or one sequence.

    After `manual_seed(s)` they are the numbers torch draws. `generator` is drawn from instead of the process's own.
    """
    return _sampled(
        "rand", "uniform", sizes_argument(args, size, "rand"), {}, generator, out, dtype, layout, device, requires_grad
    )


@offered
def randn(
    *args: Any,
    size: Any = None,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Any:
    """Numbers from the standard normal distribution; sizes as ints or one sequence."""
    return _sampled(
        "randn", "normal", sizes_argument(args, size, "randn"), {}, generator, out, dtype, layout, device, requires_grad
    )


def _integer(value: Any, operation: str, argument: str) -> int:
    if isinstance(value, TensorBase):
        return int(value.item())
    if not hasattr(value, "__index__"):
        raise TypeError(f"{operation}(): argument '{argument}' must be int, not {type(value).__name__}")
    return int(value)


@offered
def randint(
    *args: Any,
    low: Any = None,
    high: Any = None,
    size: Any = None,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """`randint(high, size)` or `randint(low, high, size)`: integers uniform in [low, high), int64 by default.

    >>> randint(1, 2, (3,))
    tensor([1, 1, 1])
    """
    given = list(args)
    if size is None and given and not hasattr(given[-1], "__index__"):
        size = given.pop()
    if size is None or len(given) > 2 or (not given and high is None):
        raise TypeError(
            f"randint() takes high and size, or low, high and size, as in randint(0, 10, (3,)); got {args!r}"
        )
    if len(given) == 2:
        low, high = given
    elif given and high is None:
        high = given[0]
    elif given:
        low = given[0]
    bounds = {"low": 0 if low is None else _integer(low, "randint", "low"), "high": _integer(high, "randint", "high")}
    if dtype is None and out is None:
        dtype = int64
    return _sampled(
        "randint",
        "randint",
        sizes_argument((), size, "randint"),
        bounds,
        generator,
        out,
        dtype,
        layout,
        device,
        requires_grad,
    )


@offered
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = int64,
    layout: Any = strided,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:
    """The integers 0 .. n - 1 in random order."""
    count = _integer(n, "randperm", "n")
    if count < 0:
        raise RuntimeError(f"randperm(): Trying to create tensor with negative dimension {count}: [{count}]")
    of, where = placement(dtype, device, layout, out, "randperm")
    return deliver(
        create(Permutation(count, of, source(generator, where, "randperm")), where, requires_grad), out, "randperm"
    )


def _like(
    operation: str,
    kernel: str,
    input: Any,
    parameters: dict[str, Any],
    generator: Any,
    dtype: Any,
    device: Any,
    requires_grad: bool,
    memory_format: Any,
) -> Any:
    if not isinstance(input, TensorBase):
        raise TypeError(f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    where = input._device if device is None else chosen_device(device)
    of = on_device(input._dtype if dtype is None else as_dtype(dtype, operation), where)
    op = Sample(
        kernel, input._shape, of, parameters, source(generator, where, operation), like_order(input, memory_format)
    )
    return create(op, where, requires_grad)


@offered
def rand_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """`rand` in the shape, dtype, device and memory order of `input`."""
    return _like("rand_like", "uniform", input, {}, generator, dtype, device, requires_grad, memory_format)


@offered
def randn_like(
    input: Any,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """`randn` in the shape, dtype, device and memory order of `input`."""
    return _like("randn_like", "normal", input, {}, generator, dtype, device, requires_grad, memory_format)


@offered
def randint_like(
    input: Any,
    *args: Any,
    low: Any = None,
    high: Any = None,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = preserve_format,
) -> Any:
    """`randint_like(input, high)` or `randint_like(input, low, high)`, in the shape, dtype and device of `input`."""
    if len(args) == 2:
        low, high = args
    elif args and high is None:
        high = args[0]
    elif args:
        low = args[0]
    bounds = {
        "low": 0 if low is None else _integer(low, "randint_like", "low"),
        "high": _integer(high, "randint_like", "high"),
    }
    return _like("randint_like", "randint", input, bounds, generator, dtype, device, requires_grad, memory_format)


# Distributions with parameters in tensors.


@offered
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = strided,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Any:
    """Normal numbers with means and standard deviations in tensors (one of them, or both), or two numbers and a `size`."""
    tensors = [v for v in (mean, std) if isinstance(v, TensorBase)]
    if not tensors:
        if size is None:
            raise TypeError("normal() with two numbers needs a size, as in normal(0.0, 1.0, (2, 3))")
        parameters = {"mean": float(mean), "std": float(std)}
        return _sampled(
            "normal",
            "normal",
            sizes_argument((), size, "normal"),
            parameters,
            generator,
            out,
            dtype,
            layout,
            device,
            requires_grad,
        )
    gen = source(generator, tensors[0]._device, "normal")
    if len(tensors) == 2:
        check_broadcast(mean, std)
        result = apply2(NormalBoth(gen), mean, std)
    elif isinstance(mean, TensorBase):
        result = apply1(NormalMean(gen, std=float(std)), mean)
    else:
        result = apply1(NormalStd(gen, mean=float(mean)), std)
    return deliver(result, out, "normal")


@offered
def bernoulli(input: Any, p: float | None = None, *, generator: Any = None, out: Any = None) -> Any:
    """Ones with the probabilities in `input`, else zeros; with `p` ones with that probability in the shape and dtype of `input`.

    Raises `RuntimeError` for a probability outside [0, 1].
    """
    need_tensor("bernoulli", input)
    gen = source(generator, input._device, "bernoulli")
    if p is None:
        return deliver(apply1(Bernoulli(gen), input), out, "bernoulli")
    op = Sample("bernoulli_scalar", input._shape, input._dtype, {"p": float(p)}, gen, like_order(input, None))
    return deliver(create(op, input._device), out, "bernoulli")


@offered
def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None, out: Any = None
) -> Any:
    """Indices drawn by the weights in the rows of `input` (one or two dimensions), int64 of shape (rows, num_samples)."""
    need_tensor("multinomial", input)
    op = Multinomial(
        source(generator, input._device, "multinomial"),
        num_samples=_integer(num_samples, "multinomial", "num_samples"),
        replacement=bool(replacement),
    )
    return deliver(apply1(op, input), out, "multinomial")


@offered
def poisson(input: Any, generator: Any = None) -> Any:
    """Poisson counts with the rates in `input`, in its dtype. Raises `RuntimeError` for a negative rate."""
    return apply1(Poisson(source(generator, input._device, "poisson")), input)


# In place.


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with normal numbers of the given mean and standard deviation."""
    return apply_inplace(
        DrawNormal({"mean": float(mean), "std": float(std)}, source(generator, self._device, "normal_")), self
    )


def uniform_(
    self: Any, a: float | None = None, b: float = 1.0, *, generator: Any = None, to: float | None = None, **from_: float
) -> Any:
    """`uniform_(from=0, to=1)`: fill with numbers uniform in [from, to)."""
    low = from_.pop("from", 0.0) if a is None else a
    if from_:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(from_))}'")
    bounds = {"low": float(low), "high": float(b if to is None else to)}
    return apply_inplace(DrawUniform(bounds, source(generator, self._device, "uniform_")), self)


def random_(self: Any, *args: Any, generator: Any = None, to: int | None = None, **from_: Any) -> Any:
    """Fill with integers: `random_()` over the natural range of the dtype, `random_(to)` in [0, to), `random_(from, to)`."""
    gen = source(generator, self._device, "random_")
    given = list(args)
    low = from_.pop("from", None)
    if from_ or len(given) > 2:
        raise TypeError("random_() takes at most from and to, as in random_(1, 7)")
    if len(given) == 2 or (given and to is not None):
        low = given.pop(0)
    high = given[0] if given else to
    if low is None and high is None:
        return apply_inplace(DrawAny({}, gen), self)
    last = None if high is None else _integer(high, "random_", "to")
    if low is None:
        return apply_inplace(DrawBelow({"low": 0, "high": last}, gen), self)
    return apply_inplace(DrawBetween({"low": _integer(low, "random_", "from"), "high": last}, gen), self)


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with ones with probability `p` (a number or a tensor that broadcasts), else zeros."""
    gen = source(generator, self._device, "bernoulli_")
    if isinstance(p, TensorBase):
        check_broadcast(self, p)
        return apply_inplace(DrawBernoulliTensor({}, gen), self, (p,))
    return apply_inplace(DrawBernoulli({"p": float(p)}, gen), self)


def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with exponential numbers of rate `lambd`."""
    return apply_inplace(DrawExponential({"rate": float(lambd)}, source(generator, self._device, "exponential_")), self)


def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
    """Fill with the number of trials up to the first success of probability `p`."""
    return apply_inplace(DrawGeometric({"p": float(p)}, source(generator, self._device, "geometric_")), self)


def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
    """Fill with Cauchy numbers."""
    return apply_inplace(
        DrawCauchy({"median": float(median), "sigma": float(sigma)}, source(generator, self._device, "cauchy_")), self
    )


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    """Fill with exponentials of normal numbers of the given mean and standard deviation."""
    return apply_inplace(
        DrawLogNormal({"mean": float(mean), "std": float(std)}, source(generator, self._device, "log_normal_")), self
    )


methods(bernoulli, multinomial, normal_, uniform_, random_, bernoulli_, exponential_, geometric_, cauchy_, log_normal_)
