"""What every family of operations uses: operands from Python scalars, elementwise bases, `out=`, attaching methods."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np

from rushlight.backends.registry import kernels_for
from rushlight.base.compiled import mypyc_attr
from rushlight.base.device import CPU
from rushlight.base.dtypes import COMPLEX, FLOATING, INTEGER, can_cast, from_numpy_dtype, with_scalar
from rushlight.base.kinds import Device, Dtype
from rushlight.core.inplace import apply_inplace, apply_inplace2, check_writable, store, wrote
from rushlight.core.primitive import COMMON, COMMON_FLOAT, Primitive, apply1, apply2
from rushlight.core.storage import Storage
from rushlight.core.table import Operator, T
from rushlight.core.tensor import TensorBase, array_of, attach, is_tensor, wrap

Number = (bool, int, float, complex, np.number, np.bool_)

class _Constants:
    """Zero-dim tensors that stand for Python scalars. No user is handed one.

    floats: those of floats on the CPU, by dtype and value. others: by type, value, dtype and device.
    """

    __slots__ = ("floats", "others")

    def __init__(self) -> None:
        self.floats: dict[Dtype, dict[Any, Any]] = {}
        self.others: dict[Any, Any] = {}


_constants: Final = _Constants()
_MOST_CONSTANTS: Final = 4096


def conj(t: TensorBase) -> Any:
    """`t.conj()`: for rules, which call a function faster than a method."""
    return T.conj(t) if t._dtype.category == COMPLEX else t


def constant(value: Any, of: Dtype, where: Device) -> Any:
    """A zero-dim tensor holding a Python scalar, cached. Integers wrap as in torch; never write into it."""
    kind = type(value)
    if kind is float and not value and math.copysign(1.0, value) < 0:
        return new_constant(value, of, where)  # -0.0 equals 0.0, so it can't be found by value
    key = value
    table = _constants.others
    if kind is float and where is CPU:
        floats = _constants.floats.get(of)
        if floats is None:
            floats = _constants.floats[of] = {}
        table = floats
    else:
        key = (kind, value, of, where)
    found = table.get(key)
    if found is None:
        if len(table) >= _MOST_CONSTANTS:
            table.clear()
        found = table[key] = new_constant(value, of, where)
    return found


def new_constant(value: Any, of: Dtype, where: Device) -> Any:
    """A fresh one."""
    made: Any = wrap(scalar_array(value, of), where)
    made._number = value  # what `__torch_function__` is shown
    return made


def scalar_array(value: Any, of: Dtype) -> np.ndarray[Any, Any]:
    """A zero-dim array of a Python scalar in dtype `of`; integers wrap around, floats overflow to infinity."""
    if of.category == 1 and isinstance(value, (int, np.integer)):
        bits = of.itemsize * 8
        value = int(value) & ((1 << bits) - 1)
        return np.array(value, dtype=np.dtype(f"u{of.itemsize}")).view(of.np)
    with np.errstate(all="ignore"):
        return np.array(value).astype(of.np)


def operand(value: Any, like: TensorBase) -> Any:
    """`value` as a tensor to combine with tensor `like`: a Python scalar takes the result dtype, as in torch.

    Returns NotImplemented for what can't be an operand.
    """
    if isinstance(value, TensorBase):
        return value
    of = like._dtype
    if (type(value) is float and of.category >= FLOATING) or (type(value) is int and of.category >= INTEGER):
        return constant(value, of, like._device)
    if isinstance(value, Number):
        return constant(value, with_scalar(of, value), like._device)
    if isinstance(value, np.ndarray):
        from_numpy_dtype(value.dtype)
        return wrap(value, CPU)
    return NotImplemented


def fitting(a: TensorBase, other: Any) -> Any:
    """`other` as a tensor that broadcasts with `a`; NotImplemented for what can't be an operand."""
    if not isinstance(other, TensorBase):
        other = operand(other, a)
        if other is NotImplemented:
            return NotImplemented
    b: TensorBase = other
    if a._shape != b._shape:
        check_broadcast(a, b)
    return b


def tensors_of(operation: str, input: Any, other: Any) -> tuple[Any, Any]:
    """Both arguments of a binary function as tensors; at least one must be a tensor already."""
    if isinstance(input, TensorBase):
        b = operand(other, input)
        if b is not NotImplemented:
            return input, b
        raise TypeError(f"{operation}(): argument 'other' must be Tensor or Number, not {type(other).__name__}")
    if isinstance(other, TensorBase):
        a = operand(input, other)
        if a is not NotImplemented:
            return a, other
    raise TypeError(f"{operation}(): argument 'input' must be Tensor, not {type(input).__name__}")


@mypyc_attr(allow_interpreted_subclasses=True)
class Unary(Primitive):
    """y = f(x) element by element, in the dtype of x once that is promoted (a subclass that changes it unsets `elementwise`).

    A subclass says what it saves and its `slope`, f'(x) in terms of what was saved.
    """

    __slots__ = ()
    keeps_layout = True
    elementwise = True
    promotion: ClassVar[int] = COMMON_FLOAT
    saves_output: ClassVar[bool] = False

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], out=out)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output,) if self.saves_output else (inputs[0],)

    def slope(self, saved: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no slope")

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g * conj(self.slope(saved[0]))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0] * self.slope(saved[0])


@mypyc_attr(allow_interpreted_subclasses=True)
class Binary(Primitive):
    """z = f(x, y) element by element, with broadcasting and promotion."""

    __slots__ = ()
    keeps_layout = True
    promotion: ClassVar[int] = COMMON

    def forward(self, k: Any, *arrays: Any) -> Any:
        return getattr(k, self.name)(arrays[0], arrays[1])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        b = arrays[1]
        return self.forward(k, *arrays) if b.shape != out.shape and b.shape else self.write(k, out, b)

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return getattr(k, self.name)(out, b, out=out)


@mypyc_attr(allow_interpreted_subclasses=True)
class RealUnary(Unary):
    """A function of real numbers only."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        self.refuse_complex(arrays[0])
        return getattr(k, self.name)(arrays[0])

    def forward_into(self, k: Any, out: Any, *arrays: Any) -> Any:
        self.refuse_complex(arrays[0])
        return getattr(k, self.name)(arrays[0], out=out)

    def refuse_complex(self, array: Any) -> None:
        """Raise for complex input."""
        if array.dtype.kind == "c":
            kind = "ComplexFloat" if array.dtype.itemsize == 8 else "ComplexDouble"
            raise NotImplementedError(f"\"{self.name}\" not implemented for '{kind}': it takes real numbers only")


@mypyc_attr(allow_interpreted_subclasses=True)
class RealBinary(Binary):
    """A function of two real numbers."""

    __slots__ = ()

    def forward(self, k: Any, *arrays: Any) -> Any:
        if arrays[0].dtype.kind == "c":
            kind = "ComplexFloat" if arrays[0].dtype.itemsize == 8 else "ComplexDouble"
            raise NotImplementedError(f"\"{self.name}_cpu\" not implemented for '{kind}': it takes real numbers only")
        return getattr(k, self.name)(arrays[0], arrays[1])

    def write(self, k: Any, out: Any, b: Any) -> Any:
        return self.forward(k, out, b)


@mypyc_attr(allow_interpreted_subclasses=True)
class Backward(Primitive):
    """A gradient kernel `k.<name>(g, x, *constants)`, linear in g. `slope_change` is the second derivative in x."""

    __slots__ = ("constants",)
    keeps_layout = True
    elementwise = True

    def __init__(self, *constants: Any) -> None:
        self.constants = constants

    def forward(self, k: Any, *arrays: Any) -> Any:
        kernel, constants = getattr(k, self.name), self.constants
        if len(constants) == 1:
            return kernel(arrays[0], arrays[1], constants[0])
        return kernel(arrays[0], arrays[1], *constants) if constants else kernel(arrays[0], arrays[1])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0] if needs[1] else None, inputs[1])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        first, x = saved
        return (
            apply2(self, g, x) if needs[0] else None,
            g * first * self.slope_change(x, *self.constants) if needs[1] else None,
        )

    def slope_change(self, x: Any, *constants: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no second derivative")


@mypyc_attr(allow_interpreted_subclasses=True)
class Undifferentiable(RealBinary):
    """A binary operation whose result claims a history, as in torch, but whose derivative is an error."""

    __slots__ = ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        raise RuntimeError(
            f"derivative for aten::{self.name} is not implemented: it is zero or undefined. Use detach() on its inputs if no "
            "gradient should flow through it."
        )


@mypyc_attr(allow_interpreted_subclasses=True)
class Flat(Unary):
    """A piecewise constant function: its derivative is zero."""

    __slots__ = ()
    promotion = 0

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return ()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g.new_zeros(g._shape)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return tangents[0].new_zeros(tangents[0]._shape)


def unary(op: Primitive, input: Any, out: Any = None) -> Any:
    """Apply an elementwise unary operation to a public function's argument."""
    if not isinstance(input, TensorBase):
        raise TypeError(f"{op.name}(): argument 'input' must be Tensor, not {type(input).__name__}")
    result = apply1(op, input)
    return result if out is None else write_out(out, result, op.name)


def binary(op: Primitive, input: Any, other: Any, out: Any = None) -> Any:
    """Apply a binary operation to a public function's arguments (tensors or numbers)."""
    a, b = tensors_of(op.name, input, other)
    check_broadcast(a, b)
    result = apply2(op, a, b)
    return result if out is None else write_out(out, result, op.name)


def check_broadcast(a: TensorBase, b: TensorBase) -> None:
    """torch's error for shapes that do not broadcast."""
    x, y = a._shape, b._shape
    if x == y or not x or not y:
        return
    rank = max(len(x), len(y))
    for i in range(1, min(len(x), len(y)) + 1):
        if x[-i] != y[-i] and x[-i] != 1 and y[-i] != 1:
            raise RuntimeError(
                f"The size of tensor a ({x[-i]}) must match the size of tensor b ({y[-i]}) at non-singleton dimension "
                f"{rank - i}: shapes {list(x)} and {list(y)} can't be broadcast together"
            )


@mypyc_attr(allow_interpreted_subclasses=True)
class BinaryOperator(Operator):
    """What stands behind a binary operator: NotImplemented for operands it does not know."""

    __slots__ = ("op",)

    def __init__(self, op: Primitive) -> None:
        self.op = op

    def run(self, a: TensorBase, other: Any) -> Any:
        b = fitting(a, other)
        return NotImplemented if b is NotImplemented else apply2(self.op, a, b)


class ReflectedOperator(Operator):
    """The same for `other op tensor`."""

    __slots__ = ("op",)

    def __init__(self, op: Primitive) -> None:
        self.op = op

    def run(self, a: TensorBase, other: Any) -> Any:
        first = operand(other, a)
        if first is NotImplemented:
            return NotImplemented
        check_broadcast(first, a)
        return apply2(self.op, first, a)


class InplaceOperator(Operator):
    """What stands behind `a op= other` and the method `a.op_(other)`."""

    __slots__ = ("op",)

    def __init__(self, op: Primitive) -> None:
        self.op = op

    def run(self, a: TensorBase, other: Any) -> Any:
        b = fitting(a, other)
        return NotImplemented if b is NotImplemented else apply_inplace2(self.op, a, b)


def inplace(op: Primitive, a: TensorBase, other: Any) -> Any:
    """What a method `a.op_(other)` does."""
    b = fitting(a, other)
    if b is NotImplemented:
        tensors_of(op.name + "_", a, other)  # says why
    return apply_inplace2(op, a, b)


def inplace_unary(op: Primitive) -> Callable[[Any], Any]:
    """The method `a.op_()`."""

    def run(self: Any) -> Any:
        return apply_inplace(op, self)

    run.__name__ = f"{op.name}_"
    run.__doc__ = f"`{op.name}` in place."
    return run


def inplace_binary(op: Primitive) -> Callable[[Any, Any], Any]:
    """The method `a.op_(other)`."""

    def run(self: Any, other: Any) -> Any:
        return inplace(op, self, other)

    run.__name__ = f"{op.name}_"
    run.__doc__ = f"`{op.name}` in place."
    return run


def write_out(out: Any, result: Any, operation: str) -> Any:
    """Serve `out=`: put `result` into `out`, which takes its shape, and return `out`.

    Raises `RuntimeError` when gradients are wanted (as torch) or the result's dtype can't be cast to that of `out`.
    """
    if not is_tensor(out):
        raise TypeError(f"{operation}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if result._requires_grad or out._requires_grad:
        raise RuntimeError(
            f"{operation}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad. Use the returned tensor instead of out=."
        )
    if not can_cast(result._dtype, out._dtype):
        raise RuntimeError(
            f"{operation}(): result type {result._dtype!r} can't be cast to the desired output type {out._dtype!r}"
        )
    if out._shape != result._shape:
        out.resize_(result._shape)
    check_writable(out, operation, False)
    store(operation, kernels_for(out._device), out, array_of(result))
    wrote(out)
    return out


def replace_memory(t: Any, array: Any) -> None:
    """Let `t` live in other memory from now on (`data =`, `resize_`): its aliases keep the old one."""
    t._array = array
    t._shape = array.shape
    t._storage = Storage()
    t._view = None


def serve(primitive: type[Primitive], function: Callable[..., Any]) -> None:
    """Name the public function that `primitive` stands for (what `__torch_function__` receives)."""
    primitive.public = staticmethod(function)  # type: ignore[assignment]


def methods(*functions: Callable[..., Any], **named: Callable[..., Any]) -> None:
    """Attach functions whose first parameter is the tensor as Tensor methods."""
    for function in functions:
        attach(function.__name__, function)
    for name, function in named.items():
        attach(name, function)
