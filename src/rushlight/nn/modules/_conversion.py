"""Moves and casts of whole modules: `to`, `cuda`, `half`... Parameters stay the same objects, so optimizers keep them.

The functions are methods of Module (module.py takes them into its body).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.autograd.grad_mode import no_grad
from rushlight.base.device import device
from rushlight.base.dtypes import dtype
from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase
from rushlight.nn.parameter import Parameter
from rushlight.ops.creation import empty_like


def _apply(self: Any, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
    """Replace every parameter, gradient and buffer `t` by `fn(t)`.

    A parameter keeps its identity and takes the new memory; only one that goes to or comes from the meta device, which
    has no memory, is replaced by a new Parameter.
    """
    if recurse:
        for module in self.children():
            module._apply(fn)
    for name, param in self._parameters.items():
        if param is None:
            continue
        with no_grad():
            applied = fn(param)
        grad = param.grad
        target = param
        if param.is_meta == applied.is_meta:
            if applied is not param:
                param.data = applied
        else:
            self._parameters[name] = target = Parameter(applied, param.requires_grad)
        if grad is not None:
            with no_grad():
                grad_applied = fn(grad)
            if target is param:
                if grad_applied is not grad:
                    grad.data = grad_applied
            else:
                target.grad = grad_applied.requires_grad_(grad.requires_grad)
    for name, buffer in self._buffers.items():
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


def apply(self: Any, fn: Callable[[Any], None]) -> Any:
    """Call `fn(module)` on every descendant, then on the module itself (to initialise weights, say). Returns it.

    >>> model.apply(lambda m: print(type(m).__name__))  # doctest: +SKIP
    """
    for module in self.children():
        module.apply(fn)
    fn(self)
    return self


def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Move and cast all parameters and buffers, in place: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

    A dtype is for floating point and complex parameters and buffers only; integer buffers keep theirs. Returns the
    module. Raises `TypeError` for an integer dtype.
    """
    where, kind, non_blocking, memory_format = _parse_to(*args, **kwargs)
    if kind is not None:
        if not (kind.is_floating_point or kind.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype="
                f"{kind!r}. Integer buffers keep their dtype."
            )
        if kind.is_complex:
            warn_user(
                "Complex modules are a new feature under active development whose design may change, and some modules "
                "might not work as expected when using complex tensors as parameters or buffers.",
            )

    def convert(t: Any) -> Any:
        wanted = kind if kind is not None and (t.is_floating_point() or t.is_complex()) else None
        if memory_format is not None and t.dim() in (4, 5):
            return t.to(where, wanted, non_blocking, memory_format=memory_format)
        return t.to(where, wanted, non_blocking)

    return self._apply(convert)


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """(device, dtype, non_blocking, memory_format) of the arguments that `to` accepts."""
    where = kwargs.pop("device", None)
    kind = kwargs.pop("dtype", None)
    memory_format = kwargs.pop("memory_format", None)
    non_blocking = bool(kwargs.pop("non_blocking", False))
    kwargs.pop("copy", None)
    other = kwargs.pop("tensor", None)
    flags = 0
    for arg in args:
        if isinstance(arg, TensorBase):
            other = arg
        elif isinstance(arg, dtype):
            kind = arg
        elif isinstance(arg, bool):
            non_blocking = arg if flags == 0 else non_blocking
            flags += 1
        elif arg is None:
            continue
        elif isinstance(arg, (str, int, device)):
            where = device(arg) if isinstance(arg, str) else arg
        else:
            raise TypeError(
                f"to() received an invalid argument: expected a device, a dtype or a tensor, got {arg!r} "
                f"({type(arg).__name__})"
            )
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    if kind is not None and not isinstance(kind, dtype):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(kind).__name__}")
    if other is not None:
        where, kind = other.device, other.dtype
    return where, kind, non_blocking, memory_format


def cuda(self: Any, device: Any = None) -> Any:
    """Move all parameters and buffers to a CUDA device, in place."""
    return self._apply(lambda t: t.cuda(device))


def cpu(self: Any) -> Any:
    """Move all parameters and buffers to the CPU, in place."""
    return self._apply(lambda t: t.cpu())


def type_(self: Any, dst_type: Any) -> Any:
    """Cast all parameters and buffers to `dst_type`, in place."""
    return self._apply(lambda t: t.type(dst_type))


def float_(self: Any) -> Any:
    """Cast all floating point parameters and buffers to float32, in place."""
    return self._apply(lambda t: t.float() if t.is_floating_point() else t)


def double(self: Any) -> Any:
    """Cast all floating point parameters and buffers to float64, in place."""
    return self._apply(lambda t: t.double() if t.is_floating_point() else t)


def half(self: Any) -> Any:
    """Cast all floating point parameters and buffers to float16, in place."""
    return self._apply(lambda t: t.half() if t.is_floating_point() else t)


def bfloat16(self: Any) -> Any:
    """Cast all floating point parameters and buffers to bfloat16, in place."""
    return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)


def to_empty(self: Any, *, device: Any, recurse: bool = True) -> Any:
    """Move all parameters and buffers to `device` without their values (from the meta device, say)."""
    return self._apply(lambda t: empty_like(t, device=device), recurse=recurse)


def share_memory(self: Any) -> Any:
    """Put all parameters and buffers into memory that other processes share; see `Tensor.share_memory_`."""
    return self._apply(lambda t: t.share_memory_())
