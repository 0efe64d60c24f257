"""`assert_close`: are two values equal within the precision of their dtype? Says where and by how much they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import rushlight as rl

# (rtol, atol) by dtype; everything else must be equal.
TOLERANCES = {
    rl.float16: (1e-3, 1e-5),
    rl.bfloat16: (1.6e-2, 1e-5),
    rl.float32: (1.3e-6, 1e-5),
    rl.float64: (1e-7, 1e-7),
    rl.complex64: (1.3e-6, 1e-5),
    rl.complex128: (1e-7, 1e-7),
}
NUMBERS = (int, float, complex, np.number)
BOOLEANS = (bool, np.bool_)


class Options(NamedTuple):
    """The arguments of `assert_close`, handed down to the pairs of values."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_stride: bool

    def tolerances(self, *dtypes: Any) -> tuple[float, float]:
        """The given tolerances, else the largest default of `dtypes`."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        found = [TOLERANCES.get(d, (0.0, 0.0)) for d in dtypes]
        return max(rtol for rtol, _ in found), max(atol for _, atol in found)


class Mismatch(Exception):
    """Why two values differ, and the place in the sequences and mappings where they do: `[0]['weight']`."""

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.place = place


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Assert that `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Compares tensors and what makes tensors (NumPy arrays), numbers, None, and sequences and mappings of these. Without
    `rtol` and `atol` they follow from the dtype: float32 1.3e-6 and 1e-5, float64 1e-7 and 1e-7, float16 1e-3 and 1e-5,
    bfloat16 1.6e-2 and 1e-5; integers and bool must be equal. NaN equals NaN only with `equal_nan`. Device, dtype and,
    on request, strides must agree too (all tensors are strided: `check_layout` finds nothing). `msg` replaces the message,
    or is called with it.

    Raises `AssertionError` (values differ), `ValueError` (one tolerance without the other), `TypeError` (nothing is known
    about comparing these types).

    >>> assert_close(tensor([1.0, 2.0]), tensor([1.0, 2.0 + 1e-7]))
    """
    __tracebackhide__ = True
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.")
    options = Options(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    try:
        for a, b, place in list(_pairs(actual, expected, "")):
            _compare(a, b, options, place)
    except Mismatch as mismatch:
        text = mismatch.text
        if mismatch.place:
            text += f"\n\nThe failure occurred for item {mismatch.place}"
    else:
        return
    raise AssertionError(text if msg is None else msg(text) if callable(msg) else msg)


def _pairs(actual: Any, expected: Any, place: str) -> Iterator[tuple[Any, Any, str]]:
    """The pairs of single values in two values, each with its place: `[0]['weight']`."""
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            raise Mismatch(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place)
        for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
            yield from _pairs(a, b, f"{place}[{i}]")
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            raise Mismatch(
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {_ordered(expected.keys() - actual.keys())}\n"
                f"Additional keys in the actual mapping: {_ordered(actual.keys() - expected.keys())}",
                place,
            )
        for key in _ordered(actual.keys()):
            yield from _pairs(actual[key], expected[key], f"{place}[{key!r}]")
    else:
        yield actual, expected, place


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _ordered(keys: Any) -> list[Any]:
    try:
        return sorted(keys)
    except TypeError:
        return list(keys)


def _compare(actual: Any, expected: Any, options: Options, place: str) -> None:
    """Compare the two single values found at `place`."""
    try:
        _compare_values(actual, expected, options)
    except Mismatch as mismatch:
        mismatch.place = place
        raise
    except TypeError as error:
        raise TypeError(f"{error}\n\nThe failure occurred for item {place}" if place else str(error)) from None


def _compare_values(actual: Any, expected: Any, options: Options) -> None:
    if actual is None or expected is None:
        if actual is not expected:
            raise Mismatch(f"None mismatch: {actual} is not {expected}")
    elif isinstance(actual, BOOLEANS) and isinstance(expected, BOOLEANS):
        if bool(actual) is not bool(expected):
            raise Mismatch(f"Booleans mismatch: {bool(actual)} is not {bool(expected)}")
    elif isinstance(actual, NUMBERS) and isinstance(expected, NUMBERS):
        _compare_numbers(_number(actual), _number(expected), options)
    else:
        _compare_tensors(*_as_tensors(actual, expected, options), options)


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, np.number) else value


def _compare_numbers(a: Any, b: Any, options: Options) -> None:
    if options.check_dtype and type(a) is not type(b):
        raise Mismatch(f"The (d)types do not match: {type(a)} != {type(b)}.")
    kinds = {int: rl.int64, bool: rl.int64, float: rl.float64, complex: rl.complex128}
    rtol, atol = options.tolerances(kinds[type(a)], kinds[type(b)])
    if a == b or (options.equal_nan and a != a and b != b):
        return
    gap = abs(a - b)
    if gap == float("inf") or not gap <= atol + rtol * abs(b):
        raise Mismatch(_scalar_message("Scalars", a, b, rtol, atol))


def _as_tensors(actual: Any, expected: Any, options: Options) -> tuple[Any, Any]:
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if related and (options.allow_subclasses or type(actual) is type(expected)):
        try:
            return tuple(v if isinstance(v, rl.Tensor) else rl.as_tensor(v) for v in (actual, expected))  # type: ignore[return-value]
        except (TypeError, ValueError, RuntimeError):
            pass
    raise TypeError(
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
        + ("" if related else " Convert one of them first, for example with torch.as_tensor(x).")
    )


def _compare_tensors(a: Any, b: Any, options: Options) -> None:
    _compare_attributes(a, b, options)
    rtol, atol = options.tolerances(a.dtype, b.dtype)
    if "meta" in (a.device.type, b.device.type):
        return
    a, b = a.detach().cpu(), b.detach().cpu()
    if a.dtype is not b.dtype:
        common = rl.promote_types(a.dtype, b.dtype)
        a, b = a.to(common), b.to(common)
    with rl.no_grad():
        matches = rl.isclose(a, b, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
        if bool(matches.all()):
            return
        if not a.ndim:
            raise Mismatch(_scalar_message("Scalars", a.item(), b.item(), rtol, atol))
        raise Mismatch(_tensor_message(a, b, matches, rtol, atol))


def _compare_attributes(a: Any, b: Any, options: Options) -> None:
    checks: list[tuple[str, Any, Any]] = [("shape", a.shape, b.shape)]
    if options.check_stride:
        checks.append(("stride()", a.stride(), b.stride()))
    if options.check_device:
        checks.append(("device", a.device, b.device))
    if options.check_dtype:
        checks.append(("dtype", a.dtype, b.dtype))
    for name, ours, theirs in checks:
        if ours != theirs:
            raise Mismatch(f"The values for attribute '{name}' do not match: {ours} != {theirs}.")


def _difference(kind: str, value: Any, place: str, tolerance: float, exact: bool) -> str:
    """One line of a message; the tolerance is not worth a word where equality was asked for."""
    return f"{kind} difference: {value}{place}" + ("" if exact else f" (up to {tolerance} allowed)")


def _scalar_message(subject: str, a: Any, b: Any, rtol: float, atol: float) -> str:
    exact = rtol == atol == 0
    gap = abs(a - b)
    relative = gap / abs(b) if b != 0 else float("inf")
    return (
        f"{subject} are not {'equal' if exact else 'close'}!\n\nExpected {b} but got {a}.\n"
        f"{_difference('Absolute', gap, '', atol, exact)}\n{_difference('Relative', relative, '', rtol, exact)}"
    )


def _tensor_message(a: Any, b: Any, matches: Any, rtol: float, atol: float) -> str:
    exact = rtol == atol == 0
    total = matches.numel()
    wrong = total - int(matches.sum())
    if not a.dtype.is_floating_point and not a.dtype.is_complex:
        a, b = a.to(rl.int64), b.to(rl.int64)
    gap = (a - b).abs().masked_fill(matches, 0)
    relative = (gap / b.abs()).masked_fill(matches, 0)
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!",
        "",
        f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})",
    ]
    for kind, values, tolerance in (("absolute", gap, atol), ("relative", relative, rtol)):
        position = int(values.flatten().argmax())
        index = tuple(int(i) for i in np.unravel_index(position, tuple(values.shape)))
        value = values.flatten()[position].item()
        lines.append(_difference(f"Greatest {kind}", value, f" at index {index}", tolerance, exact))
    return "\n".join(lines)
