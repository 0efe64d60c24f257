"""What the transforms' constructors check, and the numbers that they draw."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import Any

from rushlight.base.warn import warn_user
from rushlight.core.public import Tensor
from rushlight.ops.creation import empty
from rushlight.ops.random import rand, randint
from rushlight.vision.transforms import functional as F


def height_width(size: Any, message: str = "Please provide only two dimensions (h, w) for size.") -> Any:
    """(height, width) from one number or a sequence of one or two."""
    if isinstance(size, Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def check_sequence(x: Any, name: str, lengths: Sequence[int]) -> None:
    """Raise unless `x` is a sequence of one of these lengths."""
    message = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}, got {x!r}."
    if not isinstance(x, Sequence):
        raise TypeError(message)
    if len(x) not in lengths:
        raise ValueError(message)


def angles(x: Any, name: str, lengths: Sequence[int] = (2,)) -> list[float]:
    """A range of degrees: [low, high], or from -x to x."""
    if isinstance(x, Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive, got {x}.")
        return [float(-x), float(x)]  # type: ignore[operator, arg-type]
    check_sequence(x, name, lengths)
    return [float(degrees) for degrees in x]


def check_fill(fill: Any) -> Any:
    """`fill`, or 0 for None; `TypeError` unless it is a number or a sequence."""
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, Number)):
        raise TypeError(f"Fill should be either a sequence or a number, got {type(fill)}.")
    return fill


def fill_for(img: Any, fill: Any) -> Any:
    """`fill` as the functions want it: for tensors one float for each channel."""
    if not isinstance(img, Tensor):
        return fill
    return [float(fill)] * F.get_dimensions(img)[0] if isinstance(fill, (int, float)) else [float(f) for f in fill]


def check_ranges(scale: Any, ratio: Any) -> None:
    """Check the two ranges of a random rectangle."""
    if not isinstance(scale, Sequence):
        raise TypeError(f"Scale should be a sequence, got {type(scale)}")
    if not isinstance(ratio, Sequence):
        raise TypeError(f"Ratio should be a sequence, got {type(ratio)}")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warn_user("Scale and ratio should be of kind (min, max)")


def uniform(low: Any, high: Any) -> float:
    """A number from low to high."""
    return empty(1).uniform_(float(low), float(high)).item()


def whole(low: int, high: int) -> int:
    """A whole number from low to high - 1."""
    return int(randint(low, high, (1,)).item())


def happens(p: float) -> bool:
    """True with probability `p`."""
    return bool(rand(1) < p)
