"""torch.autograd.functional: Jacobians, Hessians and their products with vectors, of functions of tensors.

Functions, inputs and vectors may be single tensors or tuples; the results have the same form. With `create_graph` results
can be differentiated again; with `strict` an output that does not depend on an input is an error instead of a zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.autograd.api import grad
from rushlight.autograd.grad_mode import enable_grad
from rushlight.core.tensor import TensorBase
from rushlight.ops.creation import ones_like, zeros, zeros_like
from rushlight.ops.shape import stack

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Any, ...]


def _as_tuple(value: Any, what: str, name: str) -> tuple[Tensors, bool]:
    """(the tensors, whether they came as a tuple)."""
    many = isinstance(value, tuple)
    found = value if many else (value,)
    for i, t in enumerate(found):
        if not isinstance(t, TensorBase):
            place = f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but "
            raise TypeError(place + (f"the value at index {i} has type {type(t)}." if many else f"the given {what} has type {type(t)}."))
    return found, many


def _fresh(inputs: Tensors, create_graph: bool) -> Tensors:
    """Inputs to differentiate with respect to, connected to the caller's only when the result is."""
    return tuple(t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_() for t in inputs)


def _given_back(values: Tensors, many: bool, create_graph: bool) -> Any:
    found = values if create_graph else tuple(v.detach() for v in values)
    return found if many else found[0]


def _outputs(func: Callable[..., Any], inputs: Tensors, name: str, strict: bool) -> tuple[Tensors, bool]:
    """What `func` returns; in strict mode each of it must depend on the inputs."""
    outputs, many = _as_tuple(func(*inputs), "outputs of the user-provided function", name)
    for i, out in enumerate(outputs):
        if strict and not out.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
                "differentiable manner from the input when running in strict mode."
            )
    return outputs, many


def _scalar(func: Callable[..., Any], inputs: Tensors, name: str, strict: bool) -> Any:
    """The single number that `func` returns, as a tensor."""
    outputs, many = _outputs(func, inputs, name, strict)
    if many:
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element, got shape "
            f"{list(outputs[0]._shape)}"
        )
    return outputs[0] if not outputs[0]._shape else outputs[0].reshape(())


def _vectors(v: Any, like: Tensors, where: str, name: str) -> Tensors:
    """The given vector(s), checked against what they multiply; ones for a single number."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {where} a single Tensor with a single element; pass v with the shape "
                f"{[list(t._shape) for t in like]}"
            )
        return (ones_like(like[0]),)
    given, _ = _as_tuple(v, "v", name)
    if len(given) != len(like):
        raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}.")
    for i, (a, b) in enumerate(zip(given, like, strict=True)):
        if a._shape != b._shape:
            entry = f"Entry {i} in v" if len(given) > 1 else "v"
            raise RuntimeError(f"{entry} has invalid size: should be {b.shape} but got {a.shape}.")
    return given


def _grads(outputs: Tensors, inputs: Tensors, vectors: Tensors, create_graph: bool) -> Tensors:
    """Cotangents of `inputs`, None where nothing arrives."""
    live = [(out, v) for out, v in zip(outputs, vectors, strict=True) if out.requires_grad]
    if not live:
        return (None,) * len(inputs)
    return grad(
        [out for out, _ in live], inputs, [v for _, v in live], create_graph=create_graph, retain_graph=True, allow_unused=True
    )


def _filled(found: Tensors, like: Tensors, strict: bool, create_graph: bool, text: Callable[[int], str]) -> Tensors:
    """Zeros for the cotangents that are missing; in strict mode `text` says what that means."""
    for i, g in enumerate(found):
        if strict and g is None:
            raise RuntimeError(f"{text(i)} This is not allowed in strict mode.")
        if strict and create_graph and not g.requires_grad:
            raise RuntimeError(f"{text(i)} This is not allowed in strict mode when create_graph=True.")
    return tuple(zeros_like(t) if g is None else g for g, t in zip(found, like, strict=True))


def _independent(i: int) -> str:
    return f"The user-provided function is independent of input {i}."


def _linear(i: int) -> str:
    return (
        f"While computing the hessian, found that the jacobian of the user-provided function with respect to input {i} is "
        "independent of the input."
    )


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the product of the vector `v` with the Jacobian): one entry per input.

    >>> vjp(lambda x: x ** 2, tensor([1., 2.]), tensor([1., 1.]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "vjp")
        x = _fresh(given, create_graph)
        outputs, many_out = _outputs(func, x, "vjp", strict)
        vectors = _vectors(v, outputs, "the user-provided function returns", "vjp")
        found = _filled(_grads(outputs, x, vectors, create_graph), x, strict, create_graph, _independent)
    return _given_back(outputs, many_out, create_graph), _given_back(found, many, create_graph)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the product of the Jacobian with the vector `v`): one entry per output.

    Computed by two backward passes: the product with a dummy cotangent is linear in it, and differentiated again.
    """
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "jvp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, "the input to the user-provided function is", "jvp")
        outputs, many_out = _outputs(func, x, "jvp", strict)
        dummies = tuple(zeros_like(out).requires_grad_() for out in outputs)
        first = _filled(_grads(outputs, x, dummies, True), x, strict, False, _independent)
        found = _filled(_grads(first, dummies, vectors, create_graph), outputs, strict, create_graph, _independent)
    return _given_back(outputs, many_out, create_graph), _given_back(found, many_out, create_graph)


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

    >>> jacobian(lambda x: x ** 2, tensor([1., 2.]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    _check_strategy(strategy)
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "jacobian")
        x = _fresh(given, create_graph)
        outputs, many_out = _outputs(func, x, "jacobian", strict)
        table = tuple(_rows(i, out, x, create_graph, strict) for i, out in enumerate(outputs))
    shown = tuple(_given_back(row, many, create_graph) for row in table)
    return shown if many_out else shown[0]


def _check_strategy(strategy: str) -> None:
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(f'Expected strategy to be either "forward-mode" or "reverse-mode", got {strategy!r}')


def _rows(number: int, output: Any, inputs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The Jacobian of one output with respect to each input."""

    def independent(i: int) -> str:
        return f"Output {number} of the user-provided function is independent of input {i}."

    flat = output.reshape(-1)
    rows = []
    for j in range(flat.numel()):
        found = _grads((flat[j],), inputs, (None,), create_graph)
        rows.append(_filled(found, inputs, strict, create_graph, independent))
    if not rows:
        return tuple(zeros(output._shape + t._shape, dtype=output.dtype, device=output.device) for t in inputs)
    return tuple(
        stack(column).reshape(output._shape + t._shape) for column, t in zip(zip(*rows, strict=True), inputs, strict=True)
    )


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a scalar function: for every pair of inputs a tensor of shape first.shape + second.shape."""
    _check_strategy(outer_jacobian_strategy)
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "hessian")
        x = _fresh(given, create_graph)
        out = _scalar(func, x, "hessian", strict)
        first = _filled(_grads((out,), x, (None,), True), x, strict, False, _independent)
        if strict and not all(g.requires_grad for g in first):
            raise RuntimeError(f"{_linear([g.requires_grad for g in first].index(False))} This is not allowed in strict mode.")
        table = tuple(_rows(i, g, x, create_graph, strict) for i, g in enumerate(first))
    shown = tuple(_given_back(row, many, create_graph) for row in table)
    return shown if many else shown[0]


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), the Hessian times `v`). `vhp` is cheaper; for smooth functions they agree."""
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "hvp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, "the input to the user-provided function is", "hvp")
        out = _scalar(func, x, "hvp", strict)
        first = _filled(_grads((out,), x, (None,), True), x, strict, False, _independent)
        dummies = tuple(zeros_like(t).requires_grad_() for t in first)
        double = _filled(_grads(first, x, dummies, True), x, strict, False, _linear)
        found = _filled(_grads(double, dummies, vectors, create_graph), x, strict, create_graph, _linear)
    return _given_back((out,), False, create_graph), _given_back(found, many, create_graph)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(inputs), `v` times the Hessian)."""
    with enable_grad():
        given, many = _as_tuple(inputs, "inputs", "vhp")
        x = _fresh(given, create_graph)
        vectors = _vectors(v, x, "the input to the user-provided function is", "vhp")
        out = _scalar(func, x, "vhp", strict)
        first = _filled(_grads((out,), x, (None,), True), x, strict, False, _independent)
        found = _filled(_grads(first, x, vectors, create_graph), x, strict, create_graph, _linear)
    return _given_back((out,), False, create_graph), _given_back(found, many, create_graph)
