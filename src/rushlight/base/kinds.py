"""What every operation asks of dtypes and devices, as fields that compiled code reads without looking names up.

`dtype` (base/dtypes.py) and `device` (base/device.py), which people use, are their subclasses.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from rushlight.base.compiled import mypyc_attr

# Categories in the order in which a higher one wins a promotion.
BOOL: Final = 0
INTEGER: Final = 1
FLOATING: Final = 2
COMPLEX: Final = 3


@mypyc_attr(allow_interpreted_subclasses=True)
class Dtype:
    """The fields of `rushlight.dtype`. category: its place in the promotion order."""

    __slots__ = ("name", "_np", "category", "itemsize", "alias")
    name: str
    _np: Any
    category: int
    itemsize: int
    alias: str

    def __new__(cls) -> Dtype:
        """An instance of `cls` whose fields are still empty."""
        return super().__new__(cls)

    @property
    def np(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16's is ml_dtypes', which is imported when it is first asked for."""
        found: np.dtype[Any] | None = self._np
        if found is None:
            import ml_dtypes  # a tenth of the time that importing rushlight may take

            found = self._np = np.dtype(ml_dtypes.bfloat16)
            FROM_NUMPY[found] = self
        return found

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOATING

    @property
    def is_complex(self) -> bool:
        return self.category == COMPLEX

    @property
    def is_signed(self) -> bool:
        return self.name not in ("bool", "uint8")

    @property
    def is_differentiable(self) -> bool:
        """Whether tensors of this dtype can require gradients."""
        return self.category >= FLOATING


# The dtypes by NumPy's; base/dtypes.py fills it.
FROM_NUMPY: Final[dict[Any, Any]] = {}


@mypyc_attr(allow_interpreted_subclasses=True)
class Device:
    """The fields of `rushlight.device`. kernels: what computes there, None until backends/registry.py looks for it."""

    __slots__ = ("type", "index", "kernels")
    type: str
    index: int | None
    kernels: Any

    def __new__(cls) -> Device:
        """An instance of `cls` whose fields are still empty."""
        return super().__new__(cls)
