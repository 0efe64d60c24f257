"""torch.testing's counterpart: `assert_close`, `make_tensor`, and the records that generate the operation tests."""

from __future__ import annotations

from rushlight.testing.comparison import assert_close
from rushlight.testing.creation import make_tensor

__all__ = ["assert_close", "make_tensor"]
