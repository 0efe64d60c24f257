"""torch.autograd.functional: Jacobians, Hessians and their products with vectors, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.autograd.api import grad
from rushlight.autograd.grad_mode import enable_grad
from rushlight.core.tensor import TensorBase, is_tensor
from rushlight.ops.creation import ones_like, zeros, zeros_like
from rushlight.ops.shape import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(value: Any, what: str) -> tuple[tuple[Any, ...], bool]:
    many = isinstance(value, tuple)
    found = value if many else (value,)
    for i, t in enumerate(found):
        if not isinstance(t, TensorBase):
            place = f"{what} at index {i}" if many else what
            raise TypeError(f"The {place} must be a Tensor or a tuple of Tensors, got {type(t).__name__}")
    return found, many


def _fresh(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """Inputs to differentiate with respect to, connected to the caller's only when the result is."""
    return tuple(
        t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in inputs
    )


def _back(values: tuple[Any, ...], many: bool, create_graph: bool) -> Any:
    found = values if create_graph else tuple(v.detach() for v in values)
    return found if many else found[0]


def _or_zeros(found: tuple[Any, ...], like: tuple[Any, ...], strict: bool, what: str) -> tuple[Any, ...]:
    for i, g in enumerate(found):
        if g is None and strict:
            raise RuntimeError(f"{what} {i} is independent of the others; with strict=False its derivative is zero")
    return tuple(zeros_like(t) if g is None else g for g, t in zip(found, like, strict=True))


def _vectors(v: Any, like: tuple[Any, ...], many: bool, what: str) -> tuple[Any, ...]:
    """The given vector(s), checked against what they multiply; ones for a single scalar."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(f"The vector v can only be None if the {what} is a single scalar; pass a tensor of its shape")
        return (ones_like(like[0]),)
    given, _ = _tuple(v, "vector v")
    if len(given) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (a, b) in enumerate(zip(given, like, strict=True)):
        if a._shape != b._shape:
            raise RuntimeError(f"Entry {i} of v has size {list(a._shape)}, which does not match the size {list(b._shape)} of the {what}")
    return given


def _run(func: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
    return _tuple(func(*inputs), "outputs of the user-provided function")


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the product of the vector `v` with the Jacobian): one entry per input."""
    with enable_grad():
        given, many = _tuple(inputs, "inputs given to vjp")
        x = _fresh(given, create_graph)
        outputs, many_out = _run(func, x)
        vectors = _vectors(v, outputs, many_out, "output of the function")
        found = _grads(outputs, x, vectors, create_graph)
        found = _or_zeros(found, x, strict, "vjp: input")
    return _back(outputs, many_out, create_graph), _back(found, many, create_graph)


def _grads(outputs: tuple[Any, ...], inputs: tuple[Any, ...], vectors: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    live = [(o, w) for o, w in zip(outputs, vectors, strict=True) if o.requires_grad]
    if not live:
        return (None,) * len(inputs)
    return grad([o for o, _ in live], inputs, [w for _, w in live], create_graph=create_graph, retain_graph=True, allow_unused=True)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the product of the Jacobian with the vector `v`): one entry per output.

    Computed by two backward passes: the product with a dummy cotangent is linear in it, and differentiated again.
    """
    with enable_grad():
        given, many = _tuple(inputs, "inputs given to jvp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, many, "input of the function")
        outputs, many_out = _run(func, x)
        dummies = tuple(zeros_like(o).requires_grad_() for o in outputs)
        first = _or_zeros(_grads(outputs, x, dummies, True), x, strict, "jvp: input")
        found = _grads(first, dummies, vectors, create_graph)
        found = _or_zeros(found, outputs, strict, "jvp: output")
    return _back(outputs, many_out, create_graph), _back(found, many_out, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for every output and input a tensor of shape output.shape + input.shape.

    `vectorize` and `strategy` are accepted; the rows are computed one backward pass each.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"Expected strategy to be either 'forward-mode' or 'reverse-mode', got {strategy!r}")
    with enable_grad():
        given, many = _tuple(inputs, "inputs given to jacobian")
        x = _fresh(given, create_graph)
        outputs, many_out = _run(func, x)
        table = tuple(_rows(out, x, create_graph, strict) for out in outputs)
    shown = tuple(_back(row, many, create_graph) for row in table)
    return shown if many_out else shown[0]


def _rows(output: Any, inputs: tuple[Any, ...], create_graph: bool, strict: bool) -> tuple[Any, ...]:
    flat = output.reshape(-1)
    rows = []
    for i in range(flat.numel()):
        found = grad(flat[i], inputs, retain_graph=True, create_graph=create_graph, allow_unused=True) if output.requires_grad else None
        rows.append(_or_zeros(found or (None,) * len(inputs), inputs, strict, "jacobian: input"))
    if not rows:
        return tuple(zeros(output._shape + t._shape, dtype=output.dtype, device=output.device) for t in inputs)
    return tuple(stack(column).reshape(output._shape + t._shape) for column, t in zip(zip(*rows, strict=True), inputs, strict=True))


def _scalar(func: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*args: Any) -> Any:
        out = func(*args)
        if not is_tensor(out) or out.numel() != 1:
            raise RuntimeError("The function given to hessian, hvp and vhp must return a single scalar Tensor")
        return out.reshape(())

    return checked


def _gradient(func: Callable[..., Any], inputs: tuple[Any, ...], strict: bool) -> tuple[Any, ...]:
    out = func(*inputs)
    return _or_zeros(_grads((out,), inputs, (ones_like(out),), True), inputs, strict, "hessian: input")


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The matrix of second derivatives of a scalar function: for every pair of inputs shape first.shape + second.shape."""
    given, many = _tuple(inputs, "inputs given to hessian")
    scalar = _scalar(func)

    def gradient(*x: Any) -> Any:
        return _gradient(scalar, tuple(t if t.requires_grad else t.detach().requires_grad_() for t in x), strict)

    table = jacobian(gradient, given, create_graph=create_graph, strict=strict, strategy=outer_jacobian_strategy)
    return table if many else table[0][0]


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the Hessian times `v`). `vhp` is cheaper; for smooth functions they agree."""
    with enable_grad():
        given, many = _tuple(inputs, "inputs given to hvp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, many, "input of the function")
        out = _scalar(func)(*x)
        first = _or_zeros(_grads((out,), x, (ones_like(out),), True), x, strict, "hvp: input")
        dummies = tuple(zeros_like(t).requires_grad_() for t in first)
        double = _or_zeros(_grads(first, x, dummies, True), x, strict, "hvp: input")
        found = _or_zeros(_grads(double, dummies, vectors, create_graph), x, strict, "hvp: input")
    return _back((out,), False, create_graph), _back(found, many, create_graph)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), `v` times the Hessian)."""
    with enable_grad():
        given, many = _tuple(inputs, "inputs given to vhp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, many, "input of the function")
        out = _scalar(func)(*x)
        first = _or_zeros(_grads((out,), x, (ones_like(out),), True), x, strict, "vhp: input")
        found = _or_zeros(_grads(first, x, vectors, create_graph), x, strict, "vhp: input")
    return _back((out,), False, create_graph), _back(found, many, create_graph)
