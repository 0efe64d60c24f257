"""`backward` and `grad`: torch.autograd's two entry points, and `Tensor.backward`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from rushlight.autograd.engine import run_backward
from rushlight.base.dtypes import FLOATING
from rushlight.core.node import Edge, Node
from rushlight.core.tensor import TensorBase, attach
from rushlight.ops.creation import ones_like, zeros_like
from rushlight.ops.shape import stack


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, TensorBase) or not isinstance(value, Sequence) else tuple(value)


def _root(output: Any, i: int) -> Edge:
    """The edge a backward pass starts from; says why when there is none."""
    if isinstance(output, tuple) and len(output) == 2 and isinstance(output[0], Node):
        return output[0], output[1]  # a GradientEdge
    if not isinstance(output, TensorBase):
        raise TypeError(f"backward(): element {i} of tensors must be a Tensor, got {type(output).__name__}")
    if not output.requires_grad:
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn: nothing it was computed from requires a "
            "gradient, or it was computed inside no_grad(), from detached tensors, or by an operation without derivative such as "
            "argmax or a comparison. Check that your parameters have requires_grad=True (are all of them frozen?) and that the loss "
            "is computed from them by differentiable operations."
        )
    return output.edge()


def _cotangent(output: Any, given: Any, create_graph: bool, i: int) -> Any:
    """The cotangent to start with: the one given, checked, or one for a scalar."""
    if given is None:
        if not isinstance(output, TensorBase):
            shape = output[0].metas[output[1]].shape
        else:
            shape = output._shape
        if shape and max(shape) != 1 or 0 in shape:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, but this one has shape {list(shape)}. Pass "
                "gradient= (a tensor of that shape), or reduce the output first: loss.sum().backward()"
            )
        if isinstance(output, TensorBase):
            if output._dtype.category > FLOATING:
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"{output._dtype!r}: pass gradient= yourself"
                )
            return ones_like(output.detach())
        raise RuntimeError("a GradientEdge needs an explicit cotangent: pass grad_tensors / grad_outputs")
    if not isinstance(given, TensorBase):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(given).__name__}")
    shape = output._shape if isinstance(output, TensorBase) else output[0].metas[output[1]].shape
    if given._shape != shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {given.shape} and output[{i}] has a shape of "
            f"torch.Size({list(shape)})."
        )
    if isinstance(output, TensorBase) and (given._dtype.is_complex != output._dtype.is_complex):
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: "
            f"grad_output[{i}] has a dtype of {given._dtype!r} and output[{i}] has a dtype of {output._dtype!r}."
        )
    return given


def _starts(outputs: tuple[Any, ...], grads: Any, create_graph: bool, name: str) -> tuple[list[Edge], list[Any]]:
    given = (None,) * len(outputs) if grads is None else _as_tuple(grads)
    if len(given) != len(outputs):
        raise RuntimeError(
            f"got {len(outputs)} tensors and {len(given)} gradients for {name}(); give one gradient (or None) a tensor"
        )
    roots = [_root(output, i) for i, output in enumerate(outputs)]
    return roots, [_cotangent(o, g, create_graph, i) for i, (o, g) in enumerate(zip(outputs, given, strict=True))]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradient of `tensors` (weighted by `grad_tensors`) to `.grad` of the leaves they were computed from.

    tensors: a tensor or several. grad_tensors: a cotangent of the same shape for each; None for scalars.
    retain_graph: keep what the graph saved, to go through it again; default `create_graph`.
    create_graph: record the backward pass itself, for higher derivatives.
    inputs: only these tensors receive gradients.

    Raises `RuntimeError` when nothing requires a gradient, when a cotangent is missing or misshapen, when the graph was
    freed, or when a saved tensor was overwritten.
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    outputs = _as_tuple(tensors)
    edges = None
    if inputs is not None:
        given = _as_tuple(inputs)
        if not given:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        edges = [_input_edge(t, i) for i, t in enumerate(given)]
    roots, cotangents = _starts(outputs, grad_tensors, create_graph, "backward")
    keep = create_graph if retain_graph is None else retain_graph
    found = run_backward(roots, cotangents, retain_graph=keep, create_graph=create_graph, inputs=edges)
    if inputs is not None:
        for t, g in zip(_as_tuple(inputs), found, strict=True):
            if t.grad_fn is not None and g is not None and not t.retains_grad:
                meta = t.autograd_meta()
                meta.grad = g if meta.grad is None else meta.grad + g


def _input_edge(t: Any, i: int) -> Edge:
    if isinstance(t, tuple) and len(t) == 2 and isinstance(t[0], Node):
        return t[0], t[1]
    if not isinstance(t, TensorBase):
        raise TypeError(f"inputs[{i}] must be a Tensor, got {type(t).__name__}")
    if not t.requires_grad:
        raise RuntimeError(
            f"One of the differentiated Tensors does not require grad: inputs[{i}] of shape {list(t._shape)}. Set "
            "requires_grad=True on it before computing the outputs."
        )
    return t.edge()


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to `inputs`, returned as a tuple; no `.grad` is touched.

    grad_outputs: a cotangent for each output; None for scalars. allow_unused: return None, instead of raising, for an
    input that the outputs do not depend on; materialize_grads: return zeros for it. is_grads_batched: the cotangents have
    an extra leading dimension; one backward pass is run for each of its entries and the results are stacked.

    >>> x = tensor(3.0, requires_grad=True)
    >>> grad(x ** 2, x)
    (tensor(6.),)
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other parts "
            "of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    unused_ok = materialize_grads if allow_unused is None else allow_unused
    ins = _as_tuple(inputs)
    outs = _as_tuple(outputs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, ins, _as_tuple(grad_outputs), keep, create_graph, unused_ok, materialize_grads)
    edges = [_input_edge(t, i) for i, t in enumerate(ins)]
    roots, cotangents = _starts(outs, grad_outputs, create_graph, "grad")
    found = run_backward(
        roots, cotangents, retain_graph=keep, create_graph=create_graph, inputs=edges, accumulate=False
    )
    for i, g in enumerate(found):
        if g is None and not unused_ok:
            raise RuntimeError(
                f"One of the differentiated Tensors appears to not have been used in the graph: inputs[{i}] of shape "
                f"{list(ins[i]._shape)}. Set allow_unused=True if this is the desired behavior."
            )
        if g is None and materialize_grads:
            found[i] = zeros_like(ins[i])
    return tuple(found)


def _batched(
    outputs: tuple[Any, ...],
    inputs: tuple[Any, ...],
    grads: tuple[Any, ...],
    keep: bool,
    create_graph: bool,
    unused_ok: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    sizes = {g._shape[0] for g in grads if g is not None}
    if len(sizes) != 1:
        raise RuntimeError("is_grads_batched=True needs cotangents with one common leading batch dimension")
    count = sizes.pop()
    rows = [
        grad(
            outputs,
            inputs,
            tuple(None if g is None else g[i] for g in grads),
            keep or i < count - 1,
            create_graph,
            allow_unused=unused_ok,
            materialize_grads=materialize,
        )
        for i in range(count)
    ]
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))


def tensor_backward(
    self: Any, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Add the gradient of this tensor to `.grad` of the leaves it was computed from; see `autograd.backward`."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


attach("backward", tensor_backward)
