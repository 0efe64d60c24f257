"""What the layout tests share: results that the engine keeps in a layout of its own, made in rushlight and in torch alike.

A test observes them through torch's interface only. The one look behind it is `is_hidden`, which proves that there was
something to observe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.backends.registry import kernels_for
from rushlight.base.device import CPU


@pytest.fixture(autouse=True)
def keeps_layouts() -> None:
    if not kernels_for(CPU).takes_hidden:
        pytest.skip("the NumPy kernels keep no layouts of their own")


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="parity tests need torch")


def is_hidden(t: Any) -> bool:
    """Whether the engine keeps `t` in a layout of its own now."""
    return t._array is None and t._storage.hidden is not None


def given(lib: Any, *shape: int, seed: int = 0, grad: bool = False) -> Any:
    """The same numbers as a tensor of either library."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)
    t = lib.from_numpy(values)
    return t.requires_grad_() if grad else t


def conv(lib: Any, x: Any, outputs: int = 20, size: int = 3, **kwargs: Any) -> Any:
    """A convolution of `x` with weights of its own."""
    function = (lib.nn.functional.conv1d, lib.nn.functional.conv2d, lib.nn.functional.conv3d)[x.dim() - 3]
    weight = given(lib, outputs, x.shape[1] // kwargs.get("groups", 1), *(size,) * (x.dim() - 2), seed=1) / 4
    return function(x, weight, given(lib, outputs, seed=2), padding=size // 2, **kwargs)


def normed(lib: Any, x: Any, training: bool) -> Any:
    channels = x.shape[1]
    statistics = given(lib, channels, seed=3), given(lib, channels, seed=4) ** 2 + 0.5
    return lib.nn.functional.batch_norm(x, *statistics, given(lib, channels, seed=5), given(lib, channels, seed=6), training)


def residual(lib: Any, x: Any) -> Any:
    y = conv(lib, x, 20)
    return lib.nn.functional.relu(normed(lib, conv(lib, y, 20), True) + y)


# name: (shape of the input, how the result is made of it)
MAKERS: dict[str, tuple[tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "conv1d": ((2, 3, 9), lambda lib, x: conv(lib, x)),
    "conv2d": ((2, 3, 6, 7), lambda lib, x: conv(lib, x)),
    "conv3d": ((2, 3, 4, 3, 5), lambda lib, x: conv(lib, x)),
    "one image": ((1, 3, 6, 7), lambda lib, x: conv(lib, x)),
    "one by one": ((2, 5, 6, 7), lambda lib, x: conv(lib, x, size=1)),
    "strided": ((2, 5, 9, 8), lambda lib, x: conv(lib, x, stride=2)),
    "depthwise": ((2, 20, 6, 7), lambda lib, x: conv(lib, x, groups=20)),
    "transposed": ((2, 3, 6, 7), lambda lib, x: lib.nn.functional.conv_transpose2d(x, given(lib, 3, 20, 2, 2), stride=2)),
    "batch norm, training": ((2, 3, 6, 7), lambda lib, x: normed(lib, conv(lib, x), True)),
    "batch norm, evaluating": ((2, 3, 6, 7), lambda lib, x: normed(lib, conv(lib, x), False)),
    "relu": ((2, 3, 6, 7), lambda lib, x: lib.relu(conv(lib, x))),
    "gelu": ((2, 3, 6, 7), lambda lib, x: lib.nn.functional.gelu(conv(lib, x))),
    "sigmoid": ((2, 3, 6, 7), lambda lib, x: conv(lib, x).sigmoid()),
    "scaled": ((2, 3, 6, 7), lambda lib, x: conv(lib, x) * 2 + 1),
    "residual": ((2, 3, 6, 7), residual),
    "max pool": ((2, 3, 6, 8), lambda lib, x: lib.nn.functional.max_pool2d(conv(lib, x), 2)),
    "average pool": ((2, 3, 6, 8), lambda lib, x: lib.nn.functional.avg_pool2d(conv(lib, x), 2)),
    "adaptive pool": ((2, 3, 6, 8), lambda lib, x: lib.nn.functional.adaptive_avg_pool2d(conv(lib, x), 3)),
    "detached": ((2, 3, 6, 7), lambda lib, x: conv(lib, x).detach()),
}


class Made:
    """The same result in either library: `made(lib)`, or with the leaf it came from: `made.with_leaf(lib)`."""

    def __init__(self, name: str) -> None:
        self.shape, self.make = MAKERS[name]

    def __call__(self, lib: Any) -> Any:
        return self.with_leaf(lib, grad=False)[1]

    def with_leaf(self, lib: Any, grad: bool = True) -> tuple[Any, Any]:
        x = given(lib, *self.shape, grad=grad)
        y = self.make(lib, x)
        assert lib is not rl or is_hidden(y), "nothing is hidden here: the test would prove nothing"
        return x, y


@pytest.fixture(params=["conv3d", "residual"])
def made(request: pytest.FixtureRequest) -> Made:
    """A few of them, for tests that look in many ways."""
    return Made(request.param)


@pytest.fixture(params=MAKERS)
def any_made(request: pytest.FixtureRequest) -> Made:
    return Made(request.param)


def seen(value: Any) -> Any:
    """What can be seen of a value: of a tensor how it says it lies in memory, and its numbers."""
    if hasattr(value, "untyped_storage") and value.numel() == 0:
        return tuple(value.shape), value.is_contiguous(), value.is_leaf
    if hasattr(value, "untyped_storage"):
        storage = value.untyped_storage()
        form = (tuple(value.shape), tuple(value.stride()), value.storage_offset(), value.is_contiguous(), storage.nbytes(), value.is_leaf)
        return form, np.array(value.detach().numpy())
    if isinstance(value, dict):
        return {key: seen(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [seen(one) for one in value]
    return (value.shape, value.strides, value) if isinstance(value, np.ndarray) else value


def assert_alike(ours: Any, theirs: Any, path: str = "", rtol: float = 2e-4) -> None:
    """The same to look at, numbers within rounding."""
    if isinstance(theirs, (np.ndarray, float)):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * max(1.0, float(np.abs(theirs).max(initial=0))), err_msg=path)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), path
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_alike(one, other, f"{path}[{i}]", rtol)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), path
        for key in theirs:
            assert_alike(ours[key], theirs[key], f"{path}[{key!r}]", rtol)
    else:
        assert ours == theirs, f"{path}: {ours!r}, torch {theirs!r}"


class Helpers:
    """The functions above, for tests (test modules cannot import each other)."""

    given = staticmethod(given)
    conv = staticmethod(conv)
    is_hidden = staticmethod(is_hidden)
    seen = staticmethod(seen)
    assert_alike = staticmethod(assert_alike)
    Made = Made


@pytest.fixture
def helpers() -> type[Helpers]:
    return Helpers
