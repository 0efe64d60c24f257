"""Pure integer shape maths: broadcasting, strides, dimension arguments."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

Shape = tuple[int, ...]


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The common shape of `shapes`; `RuntimeError` names the first dimension that does not fit."""
    rank = max((len(s) for s in shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        offset = rank - len(shape)
        for i, size in enumerate(shape):
            have = out[offset + i]
            if size == have or size == 1:
                continue
            if have != 1:
                raise RuntimeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({size}) at non-singleton dimension "
                    f"{offset + i}: shapes {', '.join(str(list(s)) for s in shapes)} can't be broadcast together"
                )
            out[offset + i] = size
    return tuple(out)


def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Strides in elements of a dense row-major tensor; as in torch a size of 0 counts as 1."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def normalize_dim(dim: Any, rank: int, operation: str = "") -> int:
    """`dim` counted from the front; a zero-dim tensor takes 0 and -1, as in torch. `IndexError` outside."""
    try:
        d = operator.index(dim)
    except TypeError:
        raise TypeError(f"{operation or 'operation'}(): argument 'dim' must be int, not {type(dim).__name__}") from None
    span = max(rank, 1)
    if not -span <= d < span:
        where = f"{operation}(): " if operation else ""
        raise IndexError(
            f"{where}Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {d})"
        )
    return d + span if d < 0 else d


def normalize_dims(dims: Any, rank: int, operation: str = "") -> Shape:
    """`dims` (None: all, an int or ints) as a tuple counted from the front; a repeated dimension is an error."""
    if dims is None:
        return tuple(range(rank))
    if isinstance(dims, Iterable):
        found = tuple(normalize_dim(d, rank, operation) for d in dims)
        if len(set(found)) != len(found):
            repeated = next(d for d in found if found.count(d) > 1)
            where = f"{operation}(): " if operation else ""
            raise RuntimeError(f"{where}dim {repeated} appears multiple times in the list of dims {tuple(dims)}")
        return found if rank else ()
    d = normalize_dim(dims, rank, operation)
    return (d,) if rank else ()


def shape_argument(args: tuple[Any, ...], operation: str) -> Shape:
    """A shape given as ints (`zeros(2, 3)`) or as one sequence (`zeros((2, 3))`)."""
    for n in args:
        if type(n) is not int:
            break
    else:
        return args
    given: Any = args
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        given = args[0]
    elif len(args) == 1 and isinstance(args[0], Iterable) and getattr(args[0], "ndim", 0) > 0:
        given = args[0]
    try:
        sizes = list(given)
        if sizes and isinstance(sizes[0], bool):  # an option in the place of the sizes; torch minds the first one only
            raise TypeError
        return tuple([operator.index(n) for n in sizes])
    except TypeError:
        raise TypeError(f"{operation}(): argument 'size' must be a tuple of ints, got {given!r}") from None


def per_dimension(value: Any, nd: int, argument: str, operation: str) -> Shape:
    """An int, or a sequence of one, as `nd` ints; another sequence of ints as it is: whether it is as long is for the caller to say."""
    if type(value) is int:
        return (value,) * nd
    try:
        if hasattr(value, "__index__"):
            return (operator.index(value),) * nd
        found = tuple([operator.index(n) for n in value])
    except TypeError:
        raise TypeError(
            f"{operation}(): argument '{argument}' must be an int or a tuple of {nd} ints, but got {value!r}"
        ) from None
    return found * nd if len(found) == 1 else found


def check_sizes(shape: Shape, operation: str) -> None:
    """Sizes to create with must not be negative."""
    for size in shape:
        if size < 0:
            raise RuntimeError(f"{operation}(): Trying to create tensor with negative dimension {size}: {list(shape)}")


def infer_size(shape: Shape, numel: int) -> Shape:
    """`shape` with its one -1 replaced so that it holds `numel` elements."""
    held = 1
    for n in shape:
        if n < 0:
            break
        held *= n
    else:
        if held == numel:
            return shape
    missing = [i for i, n in enumerate(shape) if n == -1]
    if len(missing) > 1:
        raise RuntimeError(f"only one dimension can be inferred, but {list(shape)} has {len(missing)} sizes of -1")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)} in {list(shape)}")
    if not missing:
        raise RuntimeError(
            f"shape '{list(shape)}' is invalid for input of size {numel}: it holds {prod(shape)} elements, the tensor has {numel}"
        )
    known = prod(n for n in shape if n != -1)
    if known == 0:
        if numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
                "dimension size -1 can be any value and is ambiguous"
            )
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    if numel % known:
        raise RuntimeError(
            f"shape '{list(shape)}' is invalid for input of size {numel}: {numel} elements can't be divided into groups of {known}"
        )
    return tuple(numel // known if n == -1 else n for n in shape)
