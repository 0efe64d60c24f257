"""What the tests of files share: small tensors, their values, and checkpoints written by an installed torch."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight.nn  # noqa: F401  (enters Parameter and the layers in the table of what files hold)
from rushlight.base.device import CPU
from rushlight.core.tensor import array_of
from rushlight.serialization import bridge, load, save


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
