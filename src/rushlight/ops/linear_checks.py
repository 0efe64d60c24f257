"""What the linear-algebra functions check about their arguments, and how they hand back several results."""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import FLOATING, HALF
from rushlight.base.return_types import return_type
from rushlight.ops.checks import kind_name, need_tensor
from rushlight.ops.common import write_out


def need_matrix(operation: str, t: Any, argument: str = "A") -> None:
    """Refuse what is not a floating-point or complex tensor of matrices (leading dimensions are a batch)."""
    need_tensor(operation, t, argument)
    if len(t._shape) < 2:
        raise RuntimeError(
            f"{operation}: The input tensor {argument} must have at least 2 dimensions, got shape {list(t._shape)}."
        )
    need_linear_dtype(operation, t)


def need_linear_dtype(operation: str, t: Any, low_precision: bool = False) -> None:
    """Refuse integers and, unless `low_precision`, float16 and bfloat16."""
    if t._dtype.category < FLOATING:
        error = RuntimeError if low_precision else NotImplementedError
        raise error(
            f"{operation}: Expected a floating point or complex tensor as input. Got {kind_name(t._dtype)}; convert it "
            "first, for example with x.float()"
        )
    if not low_precision and t._dtype in HALF:
        raise NotImplementedError(
            f"{operation}: Low precision dtypes not supported. Got {kind_name(t._dtype)}; convert it first, for example "
            "with x.float()"
        )


def need_square(operation: str, t: Any, argument: str = "A") -> None:
    """`need_matrix`, and the matrices must be square."""
    need_matrix(operation, t, argument)
    if t._shape[-1] != t._shape[-2]:
        raise RuntimeError(
            f"{operation}: {argument} must be batches of square matrices, but they are {t._shape[-2]} by {t._shape[-1]} "
            "matrices"
        )


def need_same_dtype(operation: str, a: Any, b: Any) -> None:
    """Both sides of an equation have one dtype."""
    if a._dtype is not b._dtype:
        raise RuntimeError(
            f"{operation}: Expected A and B to have the same dtype, but found A of type {kind_name(a._dtype)} and B of type "
            f"{kind_name(b._dtype)} instead; convert one of them, for example with B.to(A.dtype)"
        )


def need_real_gradient(operation: str, t: Any, quantity: str) -> None:
    """Refuse a cotangent of complex eigenvectors or singular vectors that depends on their arbitrary phase.

    `t` holds, for every vector, the derivative of the loss along its phase: it must vanish.
    """
    if t._device.type == "meta" or not t.numel():
        return
    largest = float(t.detach().abs().max())
    if largest > (1e-2 if t._dtype.itemsize <= 8 else 1e-8):
        raise RuntimeError(
            f"{operation}: The {quantity} in the complex case are specified up to multiplication by e^{{i phi}}. The "
            "specified loss function depends on this phase term, making it ill-defined. Use a function of their modulus, or "
            "of products such as v @ v.mH, that does not depend on it."
        )


def write_outs(out: Any, found: tuple[Any, ...], operation: str) -> tuple[Any, ...]:
    """Serve `out=` of a function with several results."""
    if len(out) != len(found):
        raise TypeError(f"{operation}(): argument 'out' must hold {len(found)} tensors, got {len(out)}")
    return tuple(write_out(o, f, operation) for o, f in zip(out, found, strict=True))


def named(name: str, fields: str, found: Any, out: Any = None) -> Any:
    """The results as `torch.return_types.<name>`; what a `__torch_function__` returned instead stays as it is."""
    if type(found) is not tuple:
        return found
    if out is not None:
        found = write_outs(out, found, name)
    return return_type(name, *fields.split())(found)
