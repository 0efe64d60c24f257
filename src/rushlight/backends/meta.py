"""The meta backend: shapes and dtypes only.

A meta array is a NumPy array all of whose strides are 0, on one shared element: any size, no memory. The view kernels of
the reference backend therefore work on it as they are. For most other kernels a rule says the result's shape; its dtype is
learnt by running the reference kernel on inputs of size 1. A kernel without a rule runs as the reference computes it
(right, but as slow and large as there), and only the shape and dtype of what it returns are kept.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from rushlight.backends.meta_rules import RULES, Array, Rule, arrays_in, empty, stripped, tiny
from rushlight.backends.reference import FAMILIES, reference

# Families of rules.


def elementwise(kernel: Rule) -> Rule:
    """The broadcast shape of all arrays; the dtype the kernel gives one element."""

    def rule(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            return out
        shape = np.broadcast_shapes(*[x.shape for x in arrays_in([*args, *kwargs.values()])])
        found = kernel(*[tiny(x) for x in args], **{name: tiny(x) for name, x in kwargs.items()})
        return (
            tuple(empty(shape, part.dtype) for part in found) if isinstance(found, tuple) else empty(shape, found.dtype)
        )

    return rule


def reduction(kernel: Rule) -> Rule:
    """The shape without (or, with `keepdim`, with size 1 in) the dimensions reduced."""
    signature = inspect.signature(kernel)

    def rule(x: Array, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(x, *args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        dims = given["dims"] if "dims" in given else given["dim"]
        dims = tuple(range(x.ndim)) if dims is None else (dims,) if isinstance(dims, int) else dims
        keepdim = given.get("keepdim", False)
        shape = tuple(1 if i in dims else n for i, n in enumerate(x.shape) if keepdim or i not in dims)
        given["x"] = tiny(x)
        if "k" in given:
            given["k"] = 1
        found = kernel(*bound.args, **bound.kwargs)
        return (
            tuple(empty(shape, part.dtype) for part in found) if isinstance(found, tuple) else empty(shape, found.dtype)
        )

    return rule


def unchanged(kernel: Rule) -> Rule:
    """The shape of the first array; the dtypes the kernel gives one element."""

    def rule(x: Array, *args: Any, **kwargs: Any) -> Any:
        found = kernel(tiny(x), *[tiny(a) for a in args], **{name: tiny(a) for name, a in kwargs.items()})
        return (
            tuple(empty(x.shape, part.dtype) for part in found)
            if isinstance(found, tuple)
            else empty(x.shape, found.dtype)
        )

    return rule


def like_first(x: Array, *args: Any, **kwargs: Any) -> Array:
    """The shape and dtype of the first array: scatters, masks, triangles."""
    return empty(x.shape, x.dtype)


def depends_on_data(name: str) -> Rule:
    """A kernel whose result has a shape that only values tell."""

    def rule(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"{name} can't run on meta tensors: the shape of its result depends on values, which they have not"
        )

    return rule


# The table.


def without_values(name: str, kernel: Rule, linear_algebra: bool) -> Rule:
    """No rule: the reference kernel on zeros (on identity matrices, which every factorisation takes)."""

    def real(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if linear_algebra and value.ndim > 1 and value.dtype.kind in "fc":
                return np.array(np.broadcast_to(np.eye(*value.shape[-2:], dtype=value.dtype), value.shape))
            return np.zeros(value.shape, value.dtype)
        return type(value)(real(part) for part in value) if isinstance(value, (list, tuple)) else value

    def rule(*args: Any, **kwargs: Any) -> Any:
        return stripped(kernel(*[real(a) for a in args], **{key: real(value) for key, value in kwargs.items()}))

    rule.__name__ = name
    return rule


_ELEMENTWISE = ("activation", "piecewise", "bitwise", "compare", "elementwise", "special", "ternary")
_SAME_SHAPE = (
    "softmax",
    "softmax_backward",
    "log_softmax",
    "log_softmax_backward",
    "cumsum",
    "cumprod",
    "cummax",
    "cummin",
    "logcumsumexp",
    "sort",
    "argsort",
    "cumprod_backward",
    "logcumsumexp_backward",
    "prod_others",
)
_REDUCTIONS = ("median", "nanmedian", "mode", "kthvalue", "logsumexp")
_LIKE_FIRST = (
    "flip",
    "roll",
    "tril",
    "triu",
    "index_put",
    "index_add",
    "index_copy",
    "index_fill",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "put",
    "masked_scatter",
)
_DATA_DEPENDENT = ("nonzero", "masked_select", "unique", "unique_consecutive", "bincount", "equal")
_AS_REFERENCE = (
    "reshape_view",
    "permute",
    "expand",
    "select",
    "slice",
    "squeeze",
    "unsqueeze",
    "diagonal",
    "unfold_view",
    "real_view",
    "imag_view",
)


class MetaKernels:
    """The kernel table of device `meta`; a kernel's rule is made when it is first asked for."""

    takes_hidden = False

    def __getattr__(self, name: str) -> Rule:
        rule = _rule(name)
        setattr(self, name, rule)
        return rule

    def __contains__(self, name: str) -> bool:
        return name in reference


def _rule(name: str) -> Rule:
    if name in RULES:
        return RULES[name]
    kernel: Rule = getattr(reference, name)
    if name in _AS_REFERENCE:
        return kernel
    if name in _DATA_DEPENDENT:
        return depends_on_data(name)
    if name in _LIKE_FIRST:
        return like_first
    if name in _SAME_SHAPE:
        return unchanged(kernel)
    family = next(module.__name__.rpartition(".")[2] for module in FAMILIES if name in module.KERNELS)
    if family == "reduce" or name in _REDUCTIONS:
        return reduction(kernel)
    if family in _ELEMENTWISE and name != "isin":
        return elementwise(kernel)
    return without_values(name, kernel, family == "linalg")


meta = MetaKernels()
