"""dtype objects, torch's promotion lattice, the rules for Python scalars and the default dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np

from rushlight.base.kinds import BOOL as BOOL
from rushlight.base.kinds import COMPLEX as COMPLEX
from rushlight.base.kinds import FLOATING as FLOATING
from rushlight.base.kinds import FROM_NUMPY as FROM_NUMPY
from rushlight.base.kinds import INTEGER as INTEGER
from rushlight.base.kinds import Dtype


class dtype(Dtype):
    """The element type of a tensor, as `torch.dtype`; compare with `is` or `==`.

    `np` is the NumPy dtype that holds it, `category` its place in the promotion order.
    """

    __slots__ = ()

    def __new__(cls, name: str, numpy_dtype: Any, category: int, itemsize: int, alias: str = "") -> dtype:
        made = cast(dtype, Dtype.__new__(cls))
        made.name = name
        made._np = None if numpy_dtype is None else np.dtype(numpy_dtype)
        made.category = category
        made.itemsize = itemsize
        made.alias = alias
        return made

    def to_real(self) -> dtype:
        """The dtype of the real part (`complex128` gives `float64`)."""
        return float64 if self is complex128 else float32 if self is complex64 else self

    def to_complex(self) -> dtype:
        """The complex dtype whose parts hold this one."""
        return complex128 if self in (float64, complex128) else complex64

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (by_name, (self.name,))


float64: Final = dtype("float64", np.float64, FLOATING, 8, "double")
float32: Final = dtype("float32", np.float32, FLOATING, 4, "float")
float16: Final = dtype("float16", np.float16, FLOATING, 2, "half")
bfloat16: Final = dtype("bfloat16", None, FLOATING, 2)
int8: Final = dtype("int8", np.int8, INTEGER, 1)
int16: Final = dtype("int16", np.int16, INTEGER, 2, "short")
int32: Final = dtype("int32", np.int32, INTEGER, 4, "int")
int64: Final = dtype("int64", np.int64, INTEGER, 8, "long")
uint8: Final = dtype("uint8", np.uint8, INTEGER, 1)
bool_: Final = dtype("bool", np.bool_, BOOL, 1)
complex64: Final = dtype("complex64", np.complex64, COMPLEX, 8, "cfloat")
complex128: Final = dtype("complex128", np.complex128, COMPLEX, 16, "cdouble")

ALL: Final = (float64, float32, float16, bfloat16, int8, int16, int32, int64, uint8, bool_, complex64, complex128)
FROM_NUMPY.update({d._np: d for d in ALL if d._np is not None})
_BY_NAME: Final = {d.name: d for d in ALL}
HALF: Final = (float16, bfloat16)


def by_name(name: str) -> dtype:
    """The dtype called `name` (`"float32"`); `KeyError` when there is none."""
    return _BY_NAME[name]


def from_numpy_dtype(numpy_dtype: Any) -> dtype:
    """Our dtype for a NumPy one; `TypeError` when torch has no such type."""
    found: dtype | None = FROM_NUMPY.get(numpy_dtype)
    if found is None and getattr(numpy_dtype, "name", "") == "bfloat16" and numpy_dtype == bfloat16.np:
        return bfloat16
    if found is None:
        native = np.dtype(numpy_dtype).newbyteorder("=")
        found = FROM_NUMPY.get(native)
    if found is None:
        names = ", ".join(d.name for d in ALL)
        raise TypeError(
            f"can't convert an array of dtype {np.dtype(numpy_dtype)} to a tensor: the supported types are {names}"
        )
    return found


def _join(a: dtype, b: dtype) -> dtype:
    """The least dtype above both in torch's lattice."""
    if a is b:
        return a
    low, high = (a, b) if a.category <= b.category else (b, a)
    if low.category < high.category:
        if high.category == COMPLEX and low is float64:
            return complex128
        return high
    if low.category == FLOATING:
        if {a, b} == {float16, bfloat16}:
            return float32
        return a if a.itemsize > b.itemsize else b
    if low.category == INTEGER and uint8 in (a, b):
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    return a if a.itemsize > b.itemsize else b


_JOINS: Final = {(a, b): _join(a, b) for a in ALL for b in ALL}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that both can be cast to without losing their kind."""
    return _JOINS[type1, type2]


class _Default:
    """The process-wide default floating dtype."""

    floating: dtype = float32
    complex_: dtype = complex64


def get_default_dtype() -> dtype:
    """The dtype of float literals and of `rand`, `zeros`... without `dtype=`."""
    return _Default.floating


def default_complex() -> dtype:
    return _Default.complex_


def set_default_dtype(d: dtype, /) -> None:
    """Set the default floating dtype; `TypeError` unless `d` is a floating-point dtype."""
    if not isinstance(d, dtype) or d.category != FLOATING:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _Default.floating = d
    _Default.complex_ = d.to_complex()


def scalar_dtype(value: Any) -> dtype:
    """The dtype a Python scalar has by itself: bool, int64, the default float or complex dtype."""
    kind = type(value)
    if kind is float:
        return _Default.floating
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    if kind is complex:
        return _Default.complex_
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (int, np.integer)):
        return int64
    if isinstance(value, (float, np.floating)):
        return _Default.floating
    if isinstance(value, (complex, np.complexfloating)):
        return _Default.complex_
    raise TypeError(f"expected a number, got {kind.__name__}")


def with_scalar(tensor_dtype: Dtype, value: Any) -> Any:
    """The result dtype of a tensor and a Python scalar: the scalar only ever raises the category."""
    own = scalar_dtype(value)
    if own.category <= tensor_dtype.category:
        return tensor_dtype
    if own.category == COMPLEX and tensor_dtype.category == FLOATING:
        return cast(dtype, tensor_dtype).to_complex()
    return own


def result_dtype(entries: Sequence[tuple[Any, bool]]) -> Any:
    """torch's result type of tensors given as (dtype, is zero-dim): zero-dim ones only raise the category."""
    dim: dtype | None = None
    zero: dtype | None = None
    for d, is_zero_dim in entries:
        if is_zero_dim:
            zero = d if zero is None else _JOINS[zero, d]
        else:
            dim = d if dim is None else _JOINS[dim, d]
    if dim is None:
        assert zero is not None
        return zero
    if zero is None or zero.category <= dim.category:
        return dim
    if dim.category == FLOATING:  # with a zero-dim complex number: the precision of the tensor stays
        return complex128 if dim.itemsize == 8 else complex64
    return zero


def can_cast(from_: Dtype, to: Dtype) -> bool:
    """Whether torch casts a result of `from_` into an `out` tensor of dtype `to`: never to a lower category."""
    return from_.category <= to.category


def float_limits(numpy_dtype: Any) -> Any:
    """NumPy's finfo, or ml_dtypes' for the types NumPy lacks."""
    if numpy_dtype.kind == "f":
        return np.finfo(numpy_dtype)
    import ml_dtypes

    limits: Any = ml_dtypes.finfo  # untyped there
    return limits(numpy_dtype)


class finfo:
    """Limits of a floating-point dtype, as `torch.finfo`: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, type: dtype | None = None) -> None:  # torch's own argument name
        d = get_default_dtype() if type is None else type
        if d.category < FLOATING:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d}'")
        real = d.to_real()
        info = float_limits(real.np)
        self.dtype = real.name
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = 10.0 ** -int(info.precision)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype, as `torch.iinfo`: bits, min, max."""

    def __init__(self, type: dtype) -> None:  # torch's own argument name
        if type.category != INTEGER:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        info = np.iinfo(type.np)
        self.dtype, self.bits, self.min, self.max = type.name, int(info.bits), int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
