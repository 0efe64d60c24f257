"""The `reduction` argument of losses and the two that it replaced."""

from __future__ import annotations

from typing import Any

from rushlight.base.warn import warn_user
from rushlight.ops.loss import check_reduction


def resolved(reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> str:
    """`reduction`, checked, or what the deprecated `size_average` and `reduce` say, with torch's warning."""
    if size_average is None and reduce is None:
        return check_reduction(reduction)
    found = ("mean" if size_average is None or size_average else "sum") if reduce is None or reduce else "none"
    warn_user(f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.")
    return found


def reduced(loss: Any, reduction: str) -> Any:
    """`loss` element by element, averaged or summed."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss
