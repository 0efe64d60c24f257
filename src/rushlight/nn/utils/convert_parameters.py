"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.core.tensor import TensorBase
from rushlight.ops.shape import cat

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _check_one_device(parameters: list[Any]) -> None:
    places = {str(p.device) for p in parameters}
    if len(places) > 1:
        raise TypeError(
            f"Found two parameters on different devices, this is currently not supported: {', '.join(sorted(places))}"
        )


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """The elements of all parameters one after the other in one vector; gradients flow back to them."""
    params = list(parameters)
    _check_one_device(params)
    return cat([p.reshape(-1) for p in params])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Let the parameters take their elements from `vec`, one after the other; they share its memory afterwards."""
    if not isinstance(vec, TensorBase):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    params = list(parameters)
    _check_one_device(params)
    start = 0
    for param in params:
        count = param.numel()
        param.data = vec[start : start + count].view_as(param).data  # type: ignore[attr-defined]
        start += count
