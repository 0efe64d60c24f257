"""Limiting gradients: clip_grad_norm_, clip_grad_value_ and their parts."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from rushlight.autograd.grad_mode import no_grad
from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase
from rushlight.linalg import vector_norm
from rushlight.ops.clip import clamp_all, in_one_call, scale_all, total_norm
from rushlight.ops.creation import zeros
from rushlight.ops.shape import stack

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _as_list(tensors: Any, name: str) -> list[Any]:
    if isinstance(tensors, TensorBase):
        return [tensors]
    found = list(tensors)
    if not found and isinstance(tensors, types.GeneratorType):
        warn_user(
            f"`{name}` is an empty generator, no gradient clipping will occur. (A generator can be used only once: "
            "call model.parameters() again.)",
        )
    return found


def _gradients(params: list[Any]) -> list[Any]:
    return [grad for grad in [p.grad for p in params] if grad is not None]


@no_grad()
def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Any:
    """The norm of all `tensors` together, as if they were one vector; a zero-dim tensor.

    norm_type: p, `inf` for the largest absolute value. Raises `RuntimeError` for a norm that is not finite if
    `error_if_nonfinite`. foreach: accepted and without effect.
    """
    norm_type = float(norm_type)
    found = _as_list(tensors, "tensors")
    if not found:
        return zeros(())
    if in_one_call(found):
        total = total_norm(found, norm_type)
    else:
        where = found[0].device
        total = vector_norm(stack([vector_norm(t, norm_type).to(where) for t in found]), norm_type)
    if error_if_nonfinite and not total.isfinite():
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale all gradients by max_norm / (total_norm + 1e-6) if that is below 1, in place."""
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    grads = _gradients(_as_list(parameters, "parameters"))
    if in_one_call(grads) and factor.device == grads[0].device:
        scale_all(grads, factor)
        return
    for grad in grads:
        grad.mul_(factor.to(grad.device))


@no_grad()
def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale the gradients of `parameters` down, in place, so that their norm as one vector is at most `max_norm`.

    Call it between `loss.backward()` and `optimizer.step()`. Returns the norm before clipping, a zero-dim tensor.
    """
    params = _as_list(parameters, "parameters")
    total = get_total_norm(_gradients(params), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(params, max_norm, total, foreach)
    return total


@no_grad()
def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of the gradients of `parameters` to [-clip_value, clip_value], in place."""
    limit = float(clip_value)
    grads = _gradients(_as_list(parameters, "parameters"))
    if in_one_call(grads) and limit >= 0:
        clamp_all(grads, -limit, limit)
        return
    for grad in grads:
        grad.clamp_(min=-limit, max=limit)


def clip_grad_norm(
    parameters: Iterable[Any],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The old name of `clip_grad_norm_`."""
    warn_user(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
