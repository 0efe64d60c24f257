"""How tensors look in print: the same characters PyTorch prints, from a plain NumPy array.

Three steps make the text of a tensor. *Trim*: an array of more than ``threshold`` elements is reduced to the edges
of each axis. *Choose*: one number format (and one column width) is chosen from all values that remain. *Lay out*:
rows are wrapped to ``linewidth``, blocks are nested, and facts a reader cannot see in the numbers (device, dtype,
``grad_fn``) follow as suffixes.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from rushlight.base.warn import warn_user

Array = np.ndarray[Any, Any]
Number = bool | int | float | complex


# Options -------------------------------------------------------------------------------------------------------------


class PrintOptions:
    """What ``set_printoptions`` sets; one instance, ``PRINT_OPTS``, serves the whole process."""

    def __init__(
        self,
        precision: int = 4,
        threshold: float = 1000,
        edgeitems: int = 3,
        linewidth: int = 80,
        sci_mode: bool | None = None,
    ) -> None:
        self.precision = precision
        self.threshold = threshold
        self.edgeitems = edgeitems
        self.linewidth = linewidth
        self.sci_mode = sci_mode


PRINT_OPTS: Final = PrintOptions()

_PROFILES: Final[dict[str, PrintOptions]] = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed, for the whole process.

    Args:
        precision: digits after the point of floating-point numbers (4 at the start).
        threshold: number of elements above which only the edges of a tensor are shown (1000).
        edgeitems: how many items are shown at both ends of each trimmed dimension (3).
        linewidth: number of characters after which a row is wrapped (80).
        profile: ``"default"``, ``"short"`` or ``"full"``: a set of values for the four above, which arguments
            given beside it override.
        sci_mode: scientific notation always (True), never (False), or where the values ask for it (None). As in
            PyTorch, a call that does not name it goes back to None.

    Example::

        >>> rushlight.set_printoptions(precision=2)
        >>> rushlight.tensor([1.12345])
        tensor([1.12])
        >>> rushlight.set_printoptions(profile="default")
    """
    if profile is not None:
        chosen = _PROFILES.get(profile)
        if chosen is None:
            warn_user(
                f"set_printoptions: there is no profile {profile!r}, so it changes nothing; "
                f"choose one of {', '.join(map(repr, _PROFILES))}.",
            )
        else:
            PRINT_OPTS.precision = chosen.precision
            PRINT_OPTS.threshold = chosen.threshold
            PRINT_OPTS.edgeitems = chosen.edgeitems
            PRINT_OPTS.linewidth = chosen.linewidth
    if precision is not None:
        PRINT_OPTS.precision = precision
    if threshold is not None:
        PRINT_OPTS.threshold = threshold
    if edgeitems is not None:
        PRINT_OPTS.edgeitems = edgeitems
    if linewidth is not None:
        PRINT_OPTS.linewidth = linewidth
    PRINT_OPTS.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options as a dictionary that ``set_printoptions(**options)`` accepts."""
    return dict(vars(PRINT_OPTS))


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set print options inside a ``with`` block; takes what :func:`set_printoptions` takes.

    Example::

        >>> with rushlight.printoptions(precision=2):
        ...     print(rushlight.tensor([1.12345]))
        tensor([1.12])
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


# One number ----------------------------------------------------------------------------------------------------------


class NumberFormat:
    """The format shared by all real numbers of a tensor (or by all its real, or all its imaginary, parts)."""

    __slots__ = ("spec", "point", "width")

    def __init__(self, spec: str, point: bool, width: int) -> None:
        self.spec = spec  # a format specification; "" for integers and booleans
        self.point = point  # whole floating-point numbers are written "3."
        self.width = width  # numbers are right-aligned in this many characters

    def text(self, value: bool | int | float) -> str:
        written = format(value, self.spec)
        if self.point and math.isfinite(value):
            written += "."
        return written.rjust(self.width)


class ElementFormat:
    """The format of one element: a real number, or a real and an imaginary part."""

    __slots__ = ("real", "imag")

    def __init__(self, real: NumberFormat, imag: NumberFormat | None = None) -> None:
        self.real = real
        self.imag = imag

    @property
    def width(self) -> int:
        """Characters an element takes in a row, without its comma."""
        return self.real.width if self.imag is None else self.real.width + self.imag.width + 1

    def text(self, value: Number) -> str:
        if self.imag is None:
            assert not isinstance(value, complex)
            return self.real.text(value)
        imag = self.imag.text(value.imag).lstrip()
        sign = "" if imag.startswith("-") else "+"
        return f"{self.real.text(value.real)}{sign}{imag}j"


def _needs_sci(magnitudes: Array, single_precision: bool) -> bool:
    """Whether magnitudes (finite, not zero) are too large, too small or too far apart for positional notation."""
    kind = np.float32 if single_precision else np.float64
    with np.errstate(all="ignore"):
        smallest, largest = magnitudes.min().astype(kind), magnitudes.max().astype(kind)
        return bool(largest / smallest > kind(1e3) or largest > kind(1e8) or smallest < kind(1e-4))


def choose_float_format(values: Array, *, single_precision: bool = False, nan_counts: bool = False) -> NumberFormat:
    """The format for all of ``values`` (float64, any shape).

    Zeros, infinities and NaN have no say in it. ``single_precision`` compares magnitudes in float32, as PyTorch must
    on devices without float64 (0.0001 is then not small enough for scientific notation). With ``nan_counts`` NaN is
    taken for a number, as PyTorch does for ``float8_e8m0fnu``.
    """
    telling = values.ravel()
    if not nan_counts:
        telling = telling[np.isfinite(telling) & (telling != 0)]
    if telling.size == 0:
        return NumberFormat(".0f", point=True, width=1)
    whole = bool((telling == np.ceil(telling)).all())
    sci = PRINT_OPTS.sci_mode
    if sci is None:
        sci = _needs_sci(np.abs(telling), single_precision)
    if sci:
        spec = f".{PRINT_OPTS.precision}e"
    else:
        spec = ".0f" if whole else f".{PRINT_OPTS.precision}f"
    point = whole and not sci
    width = max(len(format(value, spec)) for value in telling.tolist()) + point
    return NumberFormat(spec, point, width)


def _choose_format(shown: Array, dtype_name: str, single_precision: bool) -> ElementFormat:
    """The format of the elements of ``shown``: complex128, float64, or any integer or boolean dtype."""
    if dtype_name.startswith("complex"):
        return ElementFormat(
            choose_float_format(shown.real, single_precision=single_precision),
            choose_float_format(shown.imag, single_precision=single_precision),
        )
    if _is_floating(dtype_name):
        nan_counts = dtype_name == "float8_e8m0fnu"
        return ElementFormat(choose_float_format(shown, single_precision=single_precision, nan_counts=nan_counts))
    width = max((len(str(value)) for value in shown.ravel().tolist()), default=1)
    return ElementFormat(NumberFormat("", point=False, width=width))


def _is_floating(dtype_name: str) -> bool:
    return dtype_name.startswith(("float", "bfloat"))


# The whole array -----------------------------------------------------------------------------------------------------


def _trim(array: Array) -> tuple[Array, list[bool]]:
    """The part of ``array`` that is shown, and for each axis whether its middle was left out."""
    edge = PRINT_OPTS.edgeitems
    if array.size <= PRINT_OPTS.threshold:
        return array, [False] * array.ndim
    cut = [size > 2 * edge for size in array.shape]
    if not any(cut):
        return array, cut
    kept = [
        np.r_[0:edge, size - edge : size] if is_cut else np.arange(size)
        for size, is_cut in zip(array.shape, cut, strict=True)
    ]
    return array[np.ix_(*kept)], cut


def _row(values: Sequence[Number], cut: bool, indent: int, element: ElementFormat) -> str:
    """A one-dimensional tensor, wrapped to the line width and indented under its opening bracket."""
    texts = [element.text(value) for value in values]
    if cut:
        edge = PRINT_OPTS.edgeitems
        texts.insert(edge, " ..." if edge else "...")
    per_line = max(1, (PRINT_OPTS.linewidth - indent) // (element.width + 2))
    lines = [", ".join(texts[start : start + per_line]) for start in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(values: Any, cut: Sequence[bool], indent: int, element: ElementFormat) -> str:
    """Nested lists of numbers, one level of nesting for each entry of ``cut``."""
    if not cut:
        return element.text(values)
    if len(cut) == 1:
        return _row(values, cut[0], indent, element)
    blocks = [_block(part, cut[1:], indent + 1, element) for part in values]
    if cut[0]:
        blocks.insert(PRINT_OPTS.edgeitems, "...")
    return "[" + ("," + "\n" * (len(cut) - 1) + " " * (indent + 1)).join(blocks) + "]"


def array_text(array: Array, *, dtype_name: str, indent: int = 0, single_precision: bool = False) -> str:
    """The bracketed numbers of a tensor, without name and suffixes.

    Args:
        array: the values, any shape; half and 8-bit floats as ml_dtypes or NumPy arrays.
        dtype_name: torch's name of the dtype without ``torch.``, as in ``"bfloat16"``.
        indent: column at which the text starts; wrapped lines are aligned to it.
        single_precision: see :func:`choose_float_format`.

    Example::

        >>> array_text(np.array([[1.0, 2.5]], np.float32), dtype_name="float32")
        '[[1.0000, 2.5000]]'
    """
    if array.size == 0:
        return "[]"
    shown, cut = _trim(array)
    with np.errstate(all="ignore"):  # widening a signalling NaN is no event a reader should hear of
        if dtype_name.startswith("complex"):
            shown = shown.astype(np.complex128)
        elif _is_floating(dtype_name):
            shown = shown.astype(np.float64)
    element = _choose_format(shown, dtype_name, single_precision)
    return _block(shown.tolist(), cut, indent, element)


# The whole tensor ----------------------------------------------------------------------------------------------------


def _join_suffixes(text: str, suffixes: Sequence[str], indent: int) -> str:
    """Append suffixes, each on the line of the one before where it fits, and the closing bracket."""
    pieces = [text]
    column = len(text) - (text.rfind("\n") + 1) + 2  # past the comma and the space that follow
    for suffix in suffixes:
        if column + len(suffix) + 2 > PRINT_OPTS.linewidth:
            pieces.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
        else:
            pieces.append(", " + suffix)
            column += len(suffix) + 2
    return "".join(pieces) + ")"


def _unusual_dtype(dtype_name: str, default_dtype_name: str) -> bool:
    """Whether the numbers alone do not tell the dtype of a tensor that has some."""
    default_complex = "complex128" if default_dtype_name == "float64" else "complex64"
    return dtype_name not in (default_dtype_name, default_complex, "int64", "bool")


def tensor_repr(
    array: Array | None,
    *,
    dtype_name: str,
    default_dtype_name: str = "float32",
    shape: Sequence[int] | None = None,
    device_text: str | None = None,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    tangent_text: str | None = None,
    class_prefix: str = "tensor(",
    tensor_contents: str | None = None,
) -> str:
    """What ``repr`` of a tensor is.

    Args:
        array: the values; None for a meta tensor, which has none and then needs ``shape``.
        dtype_name: torch's name of the dtype without ``torch.``, as in ``"bfloat16"``.
        default_dtype_name: the current default dtype; it and what follows from it go without saying.
        shape: the tensor's shape where it is not ``array.shape``.
        device_text: ``"mps:0"``, ``"meta"``...; None on the CPU.
        requires_grad: shown when there is no ``grad_fn_name``.
        grad_fn_name: class name of the node that made the tensor, or ``"Invalid"``; None for a leaf.
        tangent_text: the printed tangent of a dual tensor.
        class_prefix: ``"MyTensor("`` for a subclass.
        tensor_contents: shown in place of the numbers.

    Raises:
        ValueError: neither ``array`` nor ``shape`` was given.

    Example::

        >>> tensor_repr(np.array([-12.0, 65.0], np.float32), dtype_name="float32", device_text="mps:0",
        ...             grad_fn_name="SubBackward0")
        "tensor([-12.,  65.], device='mps:0', grad_fn=<SubBackward0>)"
    """
    if shape is None:
        if array is None:
            raise ValueError("tensor_repr: a tensor without values (array=None) needs its shape; pass shape=(...)")
        shape = array.shape
    size_suffix = f"size={tuple(int(size) for size in shape)}"
    dtype_suffix = f"dtype=torch.{dtype_name}"
    suffixes = [] if device_text is None else [f"device='{device_text}'"]
    if array is None or array.size == 0:
        # No numbers from which the shape and an int64 or bool could be guessed, so both are spelled out.
        if array is None or len(shape) != 1:
            suffixes.append(size_suffix)
        if dtype_name != default_dtype_name:
            suffixes.append(dtype_suffix)
    else:
        if not PRINT_OPTS.edgeitems:
            suffixes.append(size_suffix)
        if _unusual_dtype(dtype_name, default_dtype_name):
            suffixes.append(dtype_suffix)
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    if tangent_text is not None:
        suffixes.append(f"tangent={tangent_text}")
    indent = len(class_prefix)
    if tensor_contents is None:
        on_mps = device_text is not None and device_text.startswith("mps")
        tensor_contents = (
            "..." if array is None else array_text(array, dtype_name=dtype_name, indent=indent, single_precision=on_mps)
        )
    return _join_suffixes(class_prefix + tensor_contents, suffixes, indent)


def parameter_repr(text: str, *, subclass: bool = False) -> str:
    """What ``repr`` of a Parameter is, given the text of the tensor it is.

    ``subclass`` says that its class is derived from Parameter; it is then wrapped as well as announced.

    Example::

        >>> print(parameter_repr("tensor([1., 1.], requires_grad=True)"))
        Parameter containing:
        tensor([1., 1.], requires_grad=True)
    """
    return f"Parameter containing:\nParameter({text})" if subclass else f"Parameter containing:\n{text}"


def wrapped_repr(name: str, level: int, value_text: str, *, bdim: int | None = None) -> str:
    """What a tensor seen inside a function transform prints.

    ``name`` is ``"BatchedTensor"`` (then ``bdim`` is the hidden batch dimension) or ``"GradTrackingTensor"``, ``level``
    the nesting level of the transform from 1, ``value_text`` the printed tensor inside.
    """
    facts = f"lvl={level}" if bdim is None else f"lvl={level}, bdim={bdim}"
    inside = "\n".join(f"    {line}" if line.strip() else line for line in value_text.split("\n"))
    return f"{name}({facts}, value=\n{inside}\n)"


def tensor_format(tensor: object, item: Number | None, spec: str) -> str:
    """What ``format(tensor, spec)`` and so ``f"{tensor:spec}"`` give.

    Args:
        tensor: the tensor; its ``str`` is the answer for an empty ``spec`` when ``item`` is None.
        item: its value as a Python number when it is a plain zero-dim tensor that has one (not meta, not a
            subclass), else None.
        spec: a format specification as for Python numbers.

    Raises:
        TypeError: ``spec`` is not empty and ``item`` is None.
        ValueError: Python cannot format ``item`` that way.
    """
    if item is not None:
        return format(item, spec)
    if not spec:
        return str(tensor)
    raise TypeError(
        f"unsupported format string passed to {type(tensor).__name__}.__format__: {spec!r} formats one number, and "
        "only a zero-dim tensor is one. Format its elements, as in [f'{x:.2f}' for x in t.tolist()], or set the "
        "precision for all printing with set_printoptions(precision=...)."
    )
