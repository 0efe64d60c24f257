"""L-BFGS."""

from __future__ import annotations

from typing import Any

from rushlight.autograd.grad_mode import no_grad
from rushlight.ops.shape import cat
from rushlight.optim.common import check_lr, flattened, to_scalar, zeros_for
from rushlight.optim.line_search import strong_wolfe
from rushlight.optim.optimizer import Closure, Optimizer, ParamsT, evaluate

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Limited-memory BFGS, a quasi-Newton method for smooth losses that always see the same data.

    All parameters form one group. Each step runs up to `max_iter` iterations and needs a closure that clears the
    gradients, computes the loss, calls backward and returns the loss.

    params: see `Optimizer`.
    lr: length of the steps, a number or a tensor with one element.
    max_iter, max_eval: iterations and evaluations of the closure per step; `max_eval` defaults to 5/4 `max_iter`.
    tolerance_grad: stop when no element of the gradient is greater.
    tolerance_change: stop when the loss or the parameters change less.
    history_size: how many updates are remembered, each as long as all parameters, twice.
    line_search_fn: None or "strong_wolfe".

    Raises `ValueError` for several parameter groups.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                f"LBFGS doesn't support per-parameter options (parameter groups), but got {len(self.param_groups)} groups"
            )

    @property
    def _params(self) -> list[Any]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    @no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Run up to `max_iter` iterations. `closure` is required. Returns the loss before the first."""
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that computes the loss, calls backward() and returns the loss")
        group = self.param_groups[0]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError(f"only 'strong_wolfe' is supported as line_search_fn, but got {search!r}")
        lr, max_iter, max_eval = to_scalar(group["lr"]), group["max_iter"], group["max_eval"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = evaluate(closure)
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_gradient()
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, max_iter + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"] = gradient.clone()
            before = state["prev_loss"] = loss
            t = min(1.0, 1.0 / gradient.abs().sum()) * lr if state["n_iter"] == 1 else lr
            state["t"] = t
            slope = gradient.dot(direction)
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if search is not None:
                loss, gradient, t, used = self._search(closure, t, direction, loss, gradient, slope, max_eval - evaluations)
                state["t"] = t
                self._move(t, direction)
            else:
                self._move(t, direction)
                if iteration != max_iter:
                    loss = float(evaluate(closure))
                    gradient = self._flat_gradient()
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if (
                iteration == max_iter
                or evaluations >= max_eval
                or gradient.abs().max() <= group["tolerance_grad"]
                or (direction * t).abs().max() <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first_loss

    def _direction(self, state: dict[str, Any], gradient: Any, history_size: int) -> Any:
        """The negative gradient times the estimate of the inverse Hessian, by the two-loop recursion."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            state["d"] = -gradient
            return state["d"]
        steps, changes, ro = state["old_stps"], state["old_dirs"], state["ro"]
        change = gradient - state["prev_flat_grad"]
        moved = state["d"] * state["t"]
        curvature = change.dot(moved)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for memory in (changes, steps, ro):
                    memory.pop(0)
            changes.append(change)
            steps.append(moved)
            ro.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)
        weights = state.setdefault("al", [None] * history_size)
        q = -gradient
        for i in reversed(range(len(changes))):
            weights[i] = steps[i].dot(q) * ro[i]
            q = q - changes[i] * weights[i]
        d = q * state["H_diag"]
        for i in range(len(changes)):
            d = d + steps[i] * (weights[i] - changes[i].dot(d) * ro[i])
        state["d"] = d
        return d

    def _search(
        self, closure: Closure, t: Any, direction: Any, loss: float, gradient: Any, slope: Any, most: int
    ) -> tuple[float, Any, Any, int]:
        start = [p.clone() for p in self._params]

        def evaluate_at(length: Any) -> tuple[float, Any]:
            self._move(length, direction)
            found = float(evaluate(closure)), self._flat_gradient()
            for p, value in zip(self._params, start, strict=True):
                p.copy_(value)
            return found

        return strong_wolfe(evaluate_at, t, direction, loss, gradient, slope, most)

    def _flat_gradient(self) -> Any:
        grads = [zeros_for(p) if p.grad is None else p.grad for p in self._params]
        return cat([g.reshape(-1) for g in flattened(*grads)])

    def _move(self, length: Any, direction: Any) -> None:
        """Add `length * direction` to the parameters."""
        start = 0
        for p in flattened(*self._params):
            p.add_(direction[start : start + p.numel()].reshape(p.shape) * length)
            start += p.numel()
