"""gradcheck: derivatives compared with central differences, in full or along random directions.

Along a random direction u with a random cotangent v, v·(J u) must equal (vJ)·u: one number instead of a matrix
(HIPS autograd's `check_grads`, torch's `fast_mode`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.autograd.api import grad
from rushlight.autograd.grad_mode import enable_grad, no_grad
from rushlight.base.dtypes import COMPLEX, FLOATING
from rushlight.base.warn import warn_user
from rushlight.core.tensor import TensorBase, array_of, is_tensor
from rushlight.ops.creation import as_tensor, zeros_like

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative does not agree with central differences."""


def _outputs(value: Any) -> tuple[Any, ...]:
    found = value if isinstance(value, (tuple, list)) else (value,)
    return tuple(t for t in found if isinstance(t, TensorBase) and t._dtype.category >= FLOATING)


def _fail(message: str, raise_exception: bool) -> bool:
    if raise_exception:
        raise GradcheckError(message)
    return False


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of `func` at `inputs` with central differences of step `eps`.

    Use float64 inputs that require gradients. fast_mode compares along one random direction instead of every entry.
    Returns True, or raises GradcheckError (returns False with raise_exception=False) naming the worst entry.
    """
    args = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [i for i, a in enumerate(args) if isinstance(a, TensorBase) and a.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the inputs have requires_grad=True.")
    for i in checked:
        if args[i]._dtype.name not in ("float64", "complex128"):
            warn_user(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely fail if "
                "all the inputs are not of double precision floating point or complex.",
            )
    outputs = _outputs(func(*args))
    if not any(o.requires_grad for o in outputs):
        return _all_zero(func, args, checked, eps, atol, raise_exception)
    for j, out in enumerate(outputs):
        if not out.requires_grad:
            continue
        if not _repeatable(out, [args[i] for i in checked], nondet_tol):
            return _fail(
                f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different values "
                f"for output {j}. The tolerance for nondeterminism was {nondet_tol}.",
                raise_exception,
            )
        for i in checked:
            if fast_mode:
                ok = _fast(func, args, i, j, out, eps, atol, rtol, raise_exception)
            else:
                ok = _slow(func, args, i, j, out, eps, atol, rtol, raise_exception)
            if not ok:
                return False
    return True


def _repeatable(out: Any, inputs: list[Any], tolerance: float) -> bool:
    """Whether two backward passes give the same gradients."""
    seed = as_tensor(_random(np.random.default_rng(2), np.array(array_of(out.detach()))), device=out.device)
    first, second = (grad(out, inputs, seed, retain_graph=True, allow_unused=True) for _ in range(2))
    return all(
        a is None or float(np.abs(array_of(a.detach()) - array_of(b.detach())).max(initial=0.0)) <= tolerance
        for a, b in zip(first, second, strict=True)
    )


def _all_zero(func: Callable[..., Any], args: tuple[Any, ...], checked: list[int], eps: float, atol: float, raise_exception: bool) -> bool:
    for i in checked:
        for j in range(len(_outputs(func(*args)))):
            if np.abs(_numeric(func, args, i, j, eps)).max(initial=0.0) > atol:
                return _fail(f"Numerical gradient for function expected to be zero: output {j} depends on input {i}", raise_exception)
    return True


def _at(func: Callable[..., Any], args: tuple[Any, ...], i: int, j: int, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    moved = as_tensor(value, dtype=args[i].dtype, device=args[i].device)
    with no_grad():
        out = _outputs(func(*args[:i], moved, *args[i + 1 :]))[j]
    return np.array(array_of(out.detach()))


def _directions(t: Any) -> list[complex]:
    return [1.0, 1j] if t._dtype.category == COMPLEX else [1.0]


def _numeric(func: Callable[..., Any], args: tuple[Any, ...], i: int, j: int, eps: float) -> np.ndarray[Any, Any]:
    """d output / d input by central differences, (input entries × directions, output entries)."""
    x = np.array(array_of(args[i].detach()))
    rows = []
    for place in np.ndindex(x.shape):
        for direction in _directions(args[i]):
            up, down = x.copy(), x.copy()
            up[place] += eps * direction
            down[place] -= eps * direction
            rows.append((_at(func, args, i, j, up) - _at(func, args, i, j, down)).reshape(-1) / (2 * eps))
    return np.array(rows)


def _analytic(out: Any, x: Any) -> np.ndarray[Any, Any]:
    """The same from the derivative rules: row by row of the output, then transposed."""
    columns = []
    flat_shape = out._shape
    for place in np.ndindex(flat_shape):
        parts = []
        for direction in _directions(out):
            seed = np.zeros(flat_shape, out._dtype.np)
            seed[place] = direction
            g = grad(out, x, as_tensor(seed, device=out.device), retain_graph=True, allow_unused=True)[0]
            parts.append(np.array(array_of((zeros_like(x) if g is None else g).detach())).reshape(-1))
        columns.append(_as_derivative(parts, x, out))
    return np.array(columns).reshape(len(columns), -1).T if columns else np.zeros((0, 0))


def _as_derivative(parts: list[np.ndarray[Any, Any]], x: Any, out: Any) -> np.ndarray[Any, Any]:
    """d Re/Im(output) along the real and imaginary input directions, from the conjugate gradients of both."""
    complex_x = x._dtype.category == COMPLEX
    along = [np.stack([p.real, p.imag], 1).reshape(-1) if complex_x else p.real for p in parts]
    return along[0] + 1j * along[1] if len(along) == 2 else along[0]


def _slow(
    func: Callable[..., Any], args: tuple[Any, ...], i: int, j: int, out: Any, eps: float, atol: float, rtol: float, raise_exception: bool
) -> bool:
    numeric, analytic = _numeric(func, args, i, j, eps), _analytic(out, args[i])
    if numeric.size == 0:
        return True
    numeric = numeric.reshape(analytic.shape)
    excess = np.abs(numeric - analytic) - (atol + rtol * np.abs(numeric))
    excess = np.where(np.isfinite(excess), excess, np.inf)
    if excess.max() <= 0:
        return True
    row, column = np.unravel_index(int(excess.argmax()), excess.shape)
    per = len(_directions(args[i]))
    where_in = tuple(int(n) for n in np.unravel_index(int(row) // per, args[i]._shape or (1,)))
    where_out = tuple(int(n) for n in np.unravel_index(int(column), out._shape or (1,)))
    hint = ""
    if args[i]._dtype.name not in ("float64", "complex128"):
        hint = f" The input is {args[i]._dtype.name}: this may be rounding noise, use float64 inputs."
    return _fail(
        f"Jacobian mismatch for output {j} with respect to input {i}: output{list(where_out)} wrt input{list(where_in)}: "
        f"analytical {analytic[row, column]:.6g}, numerical {numeric[row, column]:.6g}.{hint}",
        raise_exception,
    )


def _fast(
    func: Callable[..., Any], args: tuple[Any, ...], i: int, j: int, out: Any, eps: float, atol: float, rtol: float, raise_exception: bool
) -> bool:
    rng = np.random.default_rng(0)
    x = np.array(array_of(args[i].detach()))
    u, v = _random(rng, x), _random(rng, np.array(array_of(out.detach())))
    numeric_out = (_at(func, args, i, j, x + eps * u) - _at(func, args, i, j, x - eps * u)) / (2 * eps)
    numeric = float(np.sum(np.conj(v) * numeric_out).real)
    g = grad(out, args[i], as_tensor(v, device=out.device), retain_graph=True, allow_unused=True)[0]
    analytic = 0.0 if g is None else float(np.sum(np.conj(np.array(array_of(g.detach()))) * u).real)
    if abs(numeric - analytic) <= atol * np.sqrt(max(x.size * v.size, 1)) + rtol * abs(numeric):
        return True
    return _fail(
        f"Jacobian mismatch for output {j} with respect to input {i} along a random direction: analytical {analytic:.8g}, numerical "
        f"{numeric:.8g}",
        raise_exception,
    )


def _random(rng: np.random.Generator, like: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    found = rng.standard_normal(like.shape)
    if np.iscomplexobj(like):
        found = found + 1j * rng.standard_normal(like.shape)
    return np.asarray(found).astype(like.dtype)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the gradient of `func`: second derivatives."""
    args = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    outputs = [o for o in _outputs(func(*args)) if o.requires_grad]
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        cotangents = tuple(
            as_tensor(_random(rng, np.array(array_of(o.detach()))), device=o.device).requires_grad_() for o in outputs
        )
    else:
        cotangents = tuple(grad_outputs) if isinstance(grad_outputs, (tuple, list)) else (grad_outputs,)
    count = len(args)
    wanted = [i for i, a in enumerate(args) if isinstance(a, TensorBase) and a.requires_grad]

    def gradient(*both: Any) -> Any:
        x = tuple(
            a if not is_tensor(a) or i not in wanted or a.requires_grad else a.detach().requires_grad_()
            for i, a in enumerate(both[:count])
        )
        with enable_grad():  # the central differences run without recording
            outs = [o for o in _outputs(func(*x)) if o.requires_grad]
            found = grad(outs, [x[i] for i in wanted], both[count:], create_graph=True, allow_unused=True)
            return tuple(g for g in found if g is not None)

    return gradcheck(
        gradient, (*args, *cotangents), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, fast_mode=fast_mode
    )
