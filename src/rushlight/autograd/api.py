"""`backward` and `grad`: torch.autograd's two entry points, and `Tensor.backward`."""

from __future__ import annotations

from typing import Any

from rushlight.autograd.engine import run_backward
from rushlight.autograd.roots import as_tuple, input_edge, run_from, starts
from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase, attach
from rushlight.ops.creation import zeros
from rushlight.ops.shape import stack


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
        warn_user("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`")
        grad_tensors = grad_variables
    if create_graph:
        warn_user(_CYCLE)
    run_from(tensors, grad_tensors, retain_graph, create_graph, inputs)


_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the parameter and its gradient which can "
    "cause a memory leak. We recommend using autograd.grad when creating the graph to avoid this. If you have to use this "
    "function, make sure to reset the .grad fields of your parameters to None after use to break the cycle and avoid the leak."
)


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
        warn_user(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other parts "
            "of the graph, please use torch.autograd.backward.",
            FutureWarning,
        )
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    unused_ok = materialize_grads if allow_unused is None else allow_unused
    ins = as_tuple(inputs, "inputs")
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    outs = as_tuple(outputs, "outputs")
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outs, ins, as_tuple(grad_outputs, "grad_outputs"), keep, create_graph, unused_ok, materialize_grads)
    edges = [input_edge(t, i) for i, t in enumerate(ins)]
    roots, cotangents = starts(outs, grad_outputs)
    found = run_backward(roots, cotangents, retain_graph=bool(keep), create_graph=bool(create_graph), inputs=edges, accumulate=False)
    for i, (g, edge) in enumerate(zip(found, edges, strict=True)):
        if g is not None:
            continue
        meta = edge[0].meta(edge[1])
        if not unused_ok:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph: inputs[{i}] of shape "
                f"{list(meta.shape)}. Set allow_unused=True if this is the desired behavior."
            )
        if materialize_grads:
            found[i] = zeros(meta.shape, dtype=meta.dtype, device=meta.device)
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
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients; give one gradient (or None) for each tensor")
    for i, (g, out) in enumerate(zip(grads, outputs, strict=True)):
        if g is not None and isinstance(out, TensorBase) and g._shape[1:] != out._shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dimension. The sizes "
                f"of the remaining dimensions are expected to match the shape of corresponding output, but a mismatch was detected: "
                f"grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}."
            )
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
    if create_graph:
        warn_user(_CYCLE)
    run_from(self, gradient, retain_graph, create_graph, inputs)


attach("backward", tensor_backward)
