"""The public `Tensor`: an empty subclass in a file that is never compiled.

That gives tensors what a compiled class lacks: attributes of the user's own, weak references, subclasses and pickling.
"""

from __future__ import annotations

from rushlight.core.tensor import PUBLIC, TensorBase


class Tensor(TensorBase):
    """A multi-dimensional array that can record what is computed from it.

    Make one with `rushlight.tensor(data)`; the constructor `Tensor(sizes...)` or `Tensor(data)` is torch's legacy form.
    """


Tensor.__module__ = "torch"
PUBLIC.cls = Tensor
