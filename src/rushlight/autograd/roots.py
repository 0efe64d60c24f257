"""Where a backward pass starts and what it starts with: the arguments of `backward` and `grad`, checked."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.autograd.engine import run_backward
from rushlight.core.node import Edge, GradientEdge, edge_of
from rushlight.core.tensor import TensorBase
from rushlight.ops.factory import Fill, create


def as_tuple(value: Any, what: str) -> tuple[Any, ...]:
    """One value, or several, as a tuple."""
    if isinstance(value, (TensorBase, GradientEdge)) or value is None:
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{what} must be a Tensor or a sequence of Tensors, got {type(value).__name__}") from None


def edge_at(t: Any, name: str) -> Edge | None:
    """The edge of a tensor or `GradientEdge`, the argument `name`; None where it has no history."""
    if isinstance(t, GradientEdge):
        return t.node, t.output_nr
    if not isinstance(t, TensorBase):
        raise TypeError(f"{name} must be a Tensor or a GradientEdge, got {type(t).__name__}")
    return edge_of(t)


def root(output: Any, i: int) -> Edge:
    """The edge a backward pass starts from; says why when there is none."""
    edge = edge_at(output, f"element {i} of tensors")
    if edge is None:
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn: nothing it was computed from requires a "
            "gradient, or it was computed inside no_grad(), from detached tensors, or by an operation without derivative such as "
            "argmax or a comparison. Check that your parameters have requires_grad=True (are all of them frozen?) and that the loss "
            "is computed from them by differentiable operations."
        )
    return edge


def cotangent(edge: Edge, given: Any, i: int) -> Any:
    """The cotangent to start with: the one given, checked, or one for a scalar."""
    meta = edge[0].meta(edge[1])
    if given is None:
        if prod(meta.shape) != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, but this one has shape {list(meta.shape)}. Pass "
                "gradient= (grad_outputs= in autograd.grad), a tensor of that shape, or reduce the output first: loss.sum().backward()"
            )
        if meta.dtype.is_complex:
            raise RuntimeError(
                f"grad can be implicitly created only for real scalar outputs but got {meta.dtype!r}: pass gradient= yourself"
            )
        return create(Fill(meta.shape, meta.dtype, 1), meta.device)
    if not isinstance(given, TensorBase):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    if given._shape != meta.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and output[{i}] has a shape of "
            f"torch.Size({list(meta.shape)}). The gradient to start from needs the shape of the output."
        )
    if given._dtype.is_complex != meta.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{i}] has a dtype of {given._dtype!r} and output[{i}] has a dtype of {meta.dtype!r}."
        )
    return given


def starts(outputs: tuple[Any, ...], grads: Any) -> tuple[list[Edge], list[Any]]:
    """The edges to start from, and the cotangent of each."""
    given = (None,) * len(outputs) if grads is None else as_tuple(grads, "the gradients")
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients; give one gradient (or None) for each tensor")
    roots = [root(output, i) for i, output in enumerate(outputs)]
    return roots, [cotangent(edge, given[i], i) for i, edge in enumerate(roots)]


def run_from(tensors: Any, grad_tensors: Any, retain_graph: Any, create_graph: Any, inputs: Any) -> None:
    """`autograd.backward` with its arguments as they came."""
    outputs = as_tuple(tensors, "tensors")
    edges = None
    if inputs is not None:
        given = as_tuple(inputs, "inputs")
        if not given:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        edges = [input_edge(t, i) for i, t in enumerate(given)]
        for t in given:
            if isinstance(t, TensorBase):
                tensor: Any = t
                tensor.retain_grad()
    roots, cotangents = starts(outputs, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    run_backward(roots, cotangents, retain_graph=bool(keep), create_graph=bool(create_graph), inputs=edges)


def input_edge(t: Any, i: int) -> Edge:
    """The edge at which the cotangent of `inputs[i]` arrives."""
    edge = edge_at(t, f"inputs[{i}]")
    if edge is None:
        raise RuntimeError(
            f"One of the differentiated Tensors does not require grad: inputs[{i}] of shape {list(t._shape)}. Set "
            "requires_grad=True on it before computing the outputs."
        )
    return edge
