"""A tensor and its history: detach, `.data`, `.grad`, `retain_grad` and hooks."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import FLOATING
from rushlight.base.warn import warn_user
from rushlight.core.hooks import HookDict, HookHandle
from rushlight.core.modes import STATE, local
from rushlight.core.node import extras_of
from rushlight.core.primitive import PLAIN, dispatch_function
from rushlight.core.storage import Storage, View
from rushlight.core.table import fill
from rushlight.core.tensor import TensorBase, alias_array, attach, make_alias, wrap
from rushlight.ops.common import methods

__all__ = ["detach", "detach_"]


def detach(input: Any) -> Any:
    """A tensor on the same memory without history: it never requires a gradient, and writes to it count as writes to `input`."""
    if STATE.busy or type(input) not in PLAIN:
        if local.modes.function_modes or (local.modes.torch_function and type(input) not in PLAIN):
            handled, found = dispatch_function(detach, (input,), {}, (input,))
            if handled:
                return found
    alias = make_alias(input)
    if input._view is not None and input._view.base is None:
        alias._view = View(None, (), "inference", 0)
    return alias


def detach_(input: Any) -> Any:
    """Cut the tensor from its history, in place. `RuntimeError` for a view: the base would still know it."""
    if input._is_view():
        raise RuntimeError("Can't detach views in-place: the base still has their history. Use detach() instead.")
    input._grad_fn = None
    input._output_nr = 0
    input._requires_grad = False
    return input


def _get_data(self: Any) -> Any:
    """The values on the same memory without history; writes to it are not seen by the checks of autograd. Prefer `detach()`."""
    data = wrap(alias_array(self), self._device)
    data._storage.resizable = self._storage.resizable
    return data


def _set_data(self: Any, value: Any) -> None:
    """Let the tensor have the memory of another one from now on; its history and `requires_grad` stay."""
    if not isinstance(value, TensorBase):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._requires_grad and value._dtype.category < FLOATING:
        raise RuntimeError(
            f"data set to a tensor that requires gradients must be floating point or complex dtype, got {value._dtype!r}"
        )
    if (self._device.type == "meta") != (value._device.type == "meta"):
        raise RuntimeError(
            f"Attempted to set the data of a tensor on {self._device} to one on {value._device}: one of them has no memory. "
            "Make a new tensor instead."
        )
    version = self._storage.version
    self._array = alias_array(value)
    self._shape = value._shape
    self._dtype = value._dtype
    self._device = value._device
    self._storage = Storage()
    self._storage.version = version
    self._storage.resizable = value._storage.resizable
    self._view = None
    if self._meta is not None:
        self._meta.accumulator = None


def _get_grad(self: Any) -> Any:
    """The gradient that backward passes accumulated, None before the first one."""
    meta = self._meta
    if meta is not None and meta.grad is not None:
        return meta.grad
    if self._requires_grad and self.grad_fn is not None and (meta is None or not meta.retains_grad):
        warn_user(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. It won't be filled by backward(): "
            "only leaves keep their gradient. Call .retain_grad() on this tensor before backward() to have it, or look "
            "at the leaf it was computed from.",
        )
    return None


def _set_grad(self: Any, value: Any) -> None:
    """Replace the gradient, with torch's checks of size, dtype and device."""
    if value is None:
        if self._meta is not None:
            self._meta.grad = None
        return
    if not isinstance(value, TensorBase):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
    if value is self:
        raise RuntimeError("can't assign Variable as its own grad")
    if value._dtype is not self._dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype {value._dtype!r} to a tensor with dtype {self._dtype!r}: convert it, "
            "for example with grad.to(tensor.dtype)"
        )
    if value._device.type != self._device.type:
        raise RuntimeError(
            f"attempting to assign a gradient with device type '{value._device.type}' to a tensor with device type "
            f"'{self._device.type}'. Please ensure that the gradient and the tensor are on the same device"
        )
    if value._shape != self._shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor of size '{list(self._shape)}'. "
            "Please ensure that the gradient and the tensor are the same size"
        )
    self.autograd_meta().grad = value


def _delete_grad(self: Any) -> None:
    _set_grad(self, None)


def retain_grad(self: Any) -> None:
    """Keep the gradient of a computed tensor in `.grad`; does nothing on a leaf.

    Raises `RuntimeError` when the tensor does not require gradients.
    """
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node = self.grad_fn
    if node is None:
        return
    self.autograd_meta().retains_grad = True
    extras_of(node).retained[self._output_nr] = weakref.ref(self)


def _retains_grad(self: Any) -> bool:
    """Whether `retain_grad` was called on this computed tensor."""
    return self._meta is not None and self._meta.retains_grad


def register_hook(self: Any, hook: Callable[[Any], Any]) -> HookHandle:
    """Call `hook(grad)` when the gradient of this tensor is known; a tensor it returns takes the gradient's place.

    Raises `RuntimeError` when the tensor does not require gradients. Returns a handle with `remove()`.
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient; call x.requires_grad_() first")
    node = self.grad_fn
    if node is None:
        meta = self.autograd_meta()
        if meta.hooks is None:
            meta.hooks = HookDict()
        return meta.hooks.add(hook)  # type: ignore[no-any-return]
    return extras_of(node).tensor_hooks.setdefault(self._output_nr, HookDict()).add(hook)  # type: ignore[no-any-return]


def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Any], None]) -> HookHandle:
    """Call `hook(tensor)` after `.grad` of this leaf has been written.

    Raises `RuntimeError` for a tensor that does not require gradients or that was computed.
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient; call x.requires_grad_() first")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    meta = self.autograd_meta()
    if meta.post_hooks is None:
        meta.post_hooks = HookDict()
    return meta.post_hooks.add(hook)  # type: ignore[no-any-return]


fill(detach=detach)
methods(detach, detach_, retain_grad, register_hook, register_post_accumulate_grad_hook)
attach("retains_grad", property(_retains_grad))
attach("data", property(_get_data, _set_data))
attach("grad", property(_get_grad, _set_grad, _delete_grad))
