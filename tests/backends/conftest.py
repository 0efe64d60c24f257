"""The bridge between kernels and their oracle: the same arrays as tensors, and the comparison of results."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
# Relative and absolute tolerance by result dtype: a few units in the last place.
TOLERANCE = {"float64": (4e-15, 1e-15), "float32": (2e-6, 1e-6), "float16": (1e-3, 1e-3), "bfloat16": (8e-3, 8e-3)}
TOLERANCE |= {"complex128": (4e-14, 1e-14), "complex64": (4e-6, 2e-6)}


class Parity:
    """Converts arrays and compares a kernel's result with torch's."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def dtype(self, dtype: Any) -> Any:
        return getattr(self.torch, np.dtype(dtype).name)

    def tensor(self, x: np.ndarray) -> Any:
        """The same values as a tensor, transposed or strided where the array is."""
        x = np.asarray(x)
        if x.dtype == BFLOAT16:
            return self.tensor(x.view(np.int16)).view(self.torch.bfloat16)
        if any(s < 0 for s in x.strides) or not x.flags.writeable:
            x = x.copy()
        return self.torch.from_numpy(x)

    def array(self, t: Any) -> np.ndarray:
        t = t.detach().resolve_conj()
        if t.dtype == self.torch.bfloat16:
            return t.contiguous().view(self.torch.int16).numpy().view(BFLOAT16)
        return t.numpy()

    def check(self, result: Any, expected: Any, rtol: float | None = None, atol: float | None = None) -> None:
        """Type, dtype, shape and values agree; NaN equals NaN, and tuples are compared item by item."""
        if isinstance(result, (tuple, list)):
            expected = list(expected)
            assert len(result) == len(expected)
            for r, e in zip(result, expected, strict=True):
                self.check(r, e, rtol, atol)
            return
        wanted = self.array(expected)
        assert isinstance(result, np.ndarray), type(result)
        assert result.dtype == wanted.dtype, (result.dtype, wanted.dtype)
        assert result.shape == wanted.shape, (result.shape, wanted.shape)
        own_rtol, own_atol = TOLERANCE.get(result.dtype.name, (0, 0))
        rtol = own_rtol if rtol is None else rtol
        atol = own_atol if atol is None else atol
        if result.dtype.name in ("float16", "bfloat16"):
            result, wanted = result.astype(np.float32), wanted.astype(np.float32)
        np.testing.assert_allclose(result, wanted, rtol=rtol, atol=atol, equal_nan=True)

    def same_error(self, kernel: Any, reference: Any, match: str | None = None) -> None:
        """Both sides raise, ours an error of the type of theirs, with `match` in its text."""
        with pytest.raises(Exception) as theirs:  # noqa: B017, PT011 - the type is what is being found out
            reference()
        kind = next(
            t for t in (NotImplementedError, IndexError, ValueError, RuntimeError) if isinstance(theirs.value, t)
        )
        with pytest.raises(kind, match=match):
            kernel()


@pytest.fixture(scope="session")
def parity() -> Parity:
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    return Parity(torch)
