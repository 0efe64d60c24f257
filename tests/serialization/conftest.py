"""What the tests of files share: small tensors, their values, and checkpoints written by an installed torch."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rushlight.base.device import CPU
from rushlight.core.public import Tensor
from rushlight.core.tensor import array_of
from rushlight.serialization import bridge, define_parameter_class, load, save
from rushlight.serialization.globals import entry_value


@pytest.fixture(scope="session", autouse=True)
def parameter_class() -> type:
    """What parameters become: nn's own class where it is there, else one that stands in for it."""
    with contextlib.suppress(ImportError):
        import rushlight.nn.parameter  # noqa: F401  (registers its class)
    try:
        return entry_value("torch.nn.parameter.Parameter")
    except pickle.UnpicklingError:
        define_parameter_class(Parameter)
        return Parameter


class Parameter(Tensor):
    def __new__(cls, data: Any, requires_grad: bool = True) -> Any:
        made = data.detach_alias()
        made.__class__ = cls
        return made.requires_grad_(requires_grad)


@pytest.fixture
def tensor() -> Callable[[Any], Any]:
    """Makes a tensor out of anything NumPy takes."""
    return lambda data, dtype=None: bridge.tensor_from_array(np.array(data, dtype), CPU)


@pytest.fixture
def values() -> Callable[[Any], np.ndarray]:
    return array_of


@pytest.fixture
def saved() -> Callable[..., bytes]:
    """The bytes `save` writes for an object."""

    def write(obj: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        save(obj, buffer, **options)
        return buffer.getvalue()

    return write


@pytest.fixture
def loaded() -> Callable[..., Any]:
    """What `load` makes of bytes."""
    return lambda data, **options: load(io.BytesIO(data), **options)


@pytest.fixture
def torch_saved() -> Callable[..., bytes]:
    """The bytes `torch.save` writes for an object."""
    torch = pytest.importorskip("torch", reason="parity tests need torch")

    def write(obj: Any, **options: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(obj, buffer, **options)
        return buffer.getvalue()

    return write


@pytest.fixture
def torch_loaded() -> Callable[..., Any]:
    """What `torch.load(weights_only=True)` makes of bytes."""
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    return lambda data, **options: torch.load(io.BytesIO(data), weights_only=True, **options)
