"""What the optimizers share: state and hyperparameters in the right form, and checks of constructor arguments."""

from __future__ import annotations

from typing import Any, TypeAlias

from rushlight.base.dtypes import dtype, float32, float64, get_default_dtype
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.creation import full, zeros_like
from rushlight.ops.foreach import gradients
from rushlight.ops.strided import view_as_complex, view_as_real

# An entry of `Optimizer.param_groups`: the key "params", and every option.
Group: TypeAlias = dict[str, Any]


def with_gradients(group: Group, name: str) -> tuple[list[Any], list[Any]]:
    """The group's parameters that have a gradient, and those gradients. With `fused` they must be floating point."""
    params, grads = gradients(group["params"])
    if group.get("fused"):
        for p in params:
            if not p.is_floating_point():
                raise RuntimeError(
                    f"{name}: `fused=True` requires all the params to be floating point Tensors, but one is {p.dtype!r} on "
                    f"{p.device.type}. Leave `fused` out"
                )
    return params, grads


def counter_dtype(group: Group) -> dtype:
    """The dtype of step counters: float64 only where that is the default dtype."""
    return float64 if not group.get("fused") and get_default_dtype() is float64 else float32


def counter(group: Group, p: Any, value: float = 0.0) -> Any:
    """A zero-dim tensor for a parameter's state; on the CPU unless the group is `capturable` or `fused`."""
    where = p.device if group.get("capturable") or group.get("fused") else "cpu"
    return full((), value, dtype=counter_dtype(group), device=where)


def zeros_for(p: Any) -> Any:
    """Zeros in the parameter's shape, dtype and memory order."""
    return zeros_like(p).requires_grad_(False)


def number(value: Any) -> Any:
    """A hyperparameter as a Python number, whether it was given as one or as a tensor with one element."""
    return value.item() if isinstance(value, TensorBase) else value


def to_scalar(value: Any) -> Any:
    """A hyperparameter without dimensions: a tensor with one element loses them, a number stays as it is."""
    return value.squeeze() if is_tensor(value) and value.dim() else value


def flattened(*tensors: Any) -> list[Any]:
    """Complex tensors as real ones with a last dimension of two, which share their memory; real ones as they are."""
    return [view_as_real(t) if t.is_complex() else t for t in tensors]


def keep(state: dict[str, Any], name: str, value: Any) -> None:
    """Put a new value in the state: complex again where the old one was."""
    state[name] = view_as_complex(value) if state[name].is_complex() else value


def decayed_gradient(p: Any, grad: Any, weight_decay: Any, maximize: bool) -> Any:
    """The gradient of what is to fall: negated to maximize, with that of the L2 penalty added."""
    if maximize:
        grad = -grad
    if isinstance(weight_decay, TensorBase) or weight_decay != 0:
        grad = grad + p * weight_decay
    return grad


def shrink(p: Any, factor: Any) -> None:
    """Multiply a parameter in place (decoupled weight decay)."""
    if is_tensor(factor) and factor.requires_grad:
        # The product keeps its operands for the gradient of `factor`, so they must not be written again.
        p.copy_(p.clone() * factor)
    else:
        p.mul_(factor)


# Checks of constructor arguments.


def check_lr(lr: Any) -> None:
    """`ValueError` unless `lr` is a number >= 0, or a tensor with one such element."""
    if isinstance(lr, TensorBase) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, but it has shape {tuple(lr.shape)}")
    check_not_negative("learning rate", lr)


def check_not_negative(what: str, value: Any) -> None:
    """`ValueError` unless `value >= 0`."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {what}: {value}; expected a number >= 0")


def check_betas(betas: Any) -> None:
    """`ValueError` unless both averages' decay rates lie in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}; expected a number in [0, 1)")


def check_fused(group: Group) -> None:
    """`RuntimeError` for options that exclude `fused=True`."""
    if group["fused"]:
        if group["differentiable"]:
            raise RuntimeError("`fused` does not support `differentiable`")
        if group["foreach"]:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
