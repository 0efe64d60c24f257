"""The cases that jit-compiled JAX is asked for: the same work, waited for until its results are there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Step


def waiting(function: Callable[..., Any], *arguments: Any) -> Step:
    import jax

    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arguments))


def normal(*shapes: tuple[int, ...]) -> list[Any]:
    import jax.numpy as jnp

    random = np.random.default_rng(0)
    return [jnp.asarray(random.standard_normal(shape, np.float32)) for shape in shapes]


def both(function: Callable[..., Any], shapes: list[tuple[int, ...]]) -> Step:
    """Forward and all gradients, for a cotangent as the other libraries get it."""
    import jax

    arguments = normal(*shapes)
    (cotangent,) = normal(jax.eval_shape(function, *arguments).shape)

    def work(cotangent: Any, *arguments: Any) -> Any:
        output, pull_back = jax.vjp(function, *arguments)
        return output, pull_back(cotangent)

    return waiting(work, cotangent, *arguments)


def q_backward() -> Step:
    import jax
    import jax.numpy as jnp

    def q(a: Any, b: Any) -> Any:
        output, pull_back = jax.vjp(lambda a, b: 3 * a**3 - b**2, a, b)
        return output, pull_back(jnp.ones(2))

    return waiting(q, jnp.array([2.0, 3.0]), jnp.array([6.0, 4.0]))


def mlp_step(*widths: int, batch: int) -> Step:
    """One SGD-momentum step; parameters and momentum go from step to step as in the other libraries."""
    import jax
    import jax.numpy as jnp

    shapes = list(zip(widths, widths[1:], strict=False))
    parameters = [(w * (1 / w.shape[0]) ** 0.5, jnp.zeros(w.shape[1])) for w in normal(*shapes)]
    (x,) = normal((batch, widths[0]))
    y = jnp.asarray(np.random.default_rng(0).integers(0, widths[-1], batch))

    def loss(parameters: Any) -> Any:
        out = x
        for i, (weight, bias) in enumerate(parameters):
            out = (jax.nn.relu(out) if i else out) @ weight + bias
        return -jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], 1).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters: Any, momentum: Any) -> Any:
        gradients = jax.grad(loss)(parameters)
        momentum = jax.tree_util.tree_map(lambda m, g: 0.9 * m + g, momentum, gradients)
        return jax.tree_util.tree_map(lambda p, m: p - 1e-3 * m, parameters, momentum), momentum

    state = (parameters, jax.tree_util.tree_map(jnp.zeros_like, parameters))

    def step() -> None:
        nonlocal state
        state = jax.block_until_ready(update(*state))

    return step


def softmax(x: Any) -> Any:
    import jax

    return jax.nn.softmax(x, -1)


def convolve(x: Any, weight: Any) -> Any:
    import jax

    return jax.lax.conv_general_dilated(x, weight, (1, 1), ((1, 1), (1, 1)))


CASES: dict[str, Callable[[], Step]] = {
    "overhead/q_backward": q_backward,
    "train/mlp64/sgd": partial(mlp_step, 64, 64, 64, 10, batch=32),
    "train/mlp784/sgd": partial(mlp_step, 784, 512, 512, 10, batch=128),
    "ops/matmul_nn/large/fwd+bwd": partial(both, lambda a, b: a @ b, [(2048, 2048)] * 2),
    "ops/softmax/large/fwd+bwd": partial(both, softmax, [(4096, 4096)]),
    "ops/conv_3x3/large/fwd+bwd": partial(both, convolve, [(16, 64, 128, 128), (64, 64, 3, 3)]),
}
