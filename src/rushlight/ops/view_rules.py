"""The operations behind the views: what each does to an array, and to a cotangent.

Their results share memory with the input; the public functions are in view.py.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.base.compiled import mypyc_attr
from rushlight.base.dtypes import dtype as dtype_class
from rushlight.base.layout import contiguous_format
from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1, apply_view
from rushlight.core.tensor import TensorBase


@mypyc_attr(allow_interpreted_subclasses=True)
class ViewOp(Primitive):
    """A linear operation that moves no data: its tangent is the same view of the tangent."""

    __slots__ = ()
    linear: ClassVar[bool] = True

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply_view(self, tangents[0])


class Alias(ViewOp):
    """The same view again, what `x[...]` records."""

    __slots__ = ()
    name = "alias"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return arrays[0].view()

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return TensorBase.__getitem__, (tensors[0], Ellipsis), {}


class Reshape(ViewOp):
    """The same elements in another shape, when the strides allow it without a copy."""

    __slots__ = ("shape",)
    name = "view"

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        found = k.reshape_view(arrays[0], self.shape)
        if found is None:
            raise RuntimeError(
                f"view size is not compatible with input tensor's size and stride (at least one dimension spans across "
                f"two contiguous subspaces): {list(arrays[0].shape)} to {list(self.shape)}. Use .reshape(...) instead."
            )
        return found

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return reshaped(g, saved[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.shape), {}


class UnsafeView(Reshape):
    """The reshape of a fresh tensor that nobody else ever sees: applied as an ordinary operation, its result is no view."""

    __slots__ = ()
    name = "unsafe_view"


@mypyc_attr(allow_interpreted_subclasses=True)
class Permute(ViewOp):
    """The dimensions in another order."""

    __slots__ = ("dims",)
    name = "permute"

    def __init__(self, dims: Shape) -> None:
        self.dims = dims

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.permute(arrays[0], self.dims)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        back = [0] * len(self.dims)
        for i, d in enumerate(self.dims):
            back[d] = i
        return apply_view(type(self)(tuple(back)), g)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.dims), {}


@mypyc_attr(allow_interpreted_subclasses=True)
class Transpose(Permute):
    """Two dimensions exchanged."""

    __slots__ = ()
    name = "transpose"

    def changed(self) -> tuple[int, ...]:
        """The two dimensions, or none where a dimension is exchanged with itself."""
        return tuple([i for i, d in enumerate(self.dims) if i != d])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], *(self.changed() or (0, 0))), {}


@mypyc_attr(allow_interpreted_subclasses=True)
class TransposeMatrix(Permute):
    """What `t()` records."""

    __slots__ = ()
    name = "t"
    node_name = "TBackward0"

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {}


class Expand(ViewOp):
    """Size-1 dimensions repeated without copying."""

    __slots__ = ("shape",)
    name = "expand"

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.expand(arrays[0], self.shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return g  # the engine sums it to the input's shape

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.shape), {}


@mypyc_attr(allow_interpreted_subclasses=True)
class Squeeze(ViewOp):
    """Without the size-1 dimensions `dims`."""

    __slots__ = ("dims",)
    name = "squeeze"

    def __init__(self, dims: Shape) -> None:
        self.dims = dims

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.squeeze(arrays[0], self.dims)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        for d in self.dims:
            g = apply_view(Unsqueeze(d), g)
        return g

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.dims), {}


class SqueezeDim(Squeeze):
    """What `squeeze(dim)` records."""

    __slots__ = ()
    name = "squeeze_dim"
    node_name = "SqueezeBackward1"


class SqueezeLast(Squeeze):
    """The squeeze at the end of a function in several steps (a product with a vector), which torch makes in place."""

    __slots__ = ()
    name = "squeeze_dim"
    node_name = "SqueezeBackward4"


class SqueezeDims(Squeeze):
    """What `squeeze((dim, ...))` records."""

    __slots__ = ()
    name = "squeeze_dims"
    node_name = "SqueezeBackward2"


@mypyc_attr(allow_interpreted_subclasses=True)
class Unsqueeze(ViewOp):
    """With a dimension of size 1 at `dim`."""

    __slots__ = ("dim",)
    name = "unsqueeze"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.unsqueeze(arrays[0], self.dim)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply_view(SqueezeDim((self.dim,)), g)


@mypyc_attr(allow_interpreted_subclasses=True)
class Part(ViewOp):
    """A view of some elements: its derivative puts the cotangent there, and zeros elsewhere."""

    __slots__ = ()

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(PlacePart(self, saved[0]), g)


@mypyc_attr(allow_interpreted_subclasses=True)
class PlacePart(Primitive):
    """Zeros of `shape` with the input where `part` views: the transpose of `part`."""

    __slots__ = ("part", "shape")
    name = "place_part"
    linear = True

    def __init__(self, part: Part, shape: Shape) -> None:
        self.part = part
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        out = k.zeros(self.shape, arrays[0].dtype)
        k.copy_into(self.part.forward(k, out), arrays[0])
        return out

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply_view(self.part, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class Select(Part):
    """One index of a dimension."""

    __slots__ = ("dim", "index")
    name = "select"

    def __init__(self, dim: int, index: int) -> None:
        self.dim = dim
        self.index = index

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.select(arrays[0], self.dim, self.index)


class Slice(Part):
    """A range of a dimension."""

    __slots__ = ("dim", "start", "stop", "step")
    name = "slice"

    def __init__(self, dim: int, start: int, stop: int, step: int) -> None:
        self.dim = dim
        self.start = start
        self.stop = stop
        self.step = step

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.slice(arrays[0], self.dim, self.start, self.stop, self.step)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return (
            TensorBase.__getitem__,
            (tensors[0], (slice(None),) * self.dim + (slice(self.start, self.stop, self.step),)),
            {},
        )


class Diagonal(Part):
    """The diagonal over two dimensions."""

    __slots__ = ("offset", "dim1", "dim2")
    name = "diagonal"

    def __init__(self, offset: int, dim1: int, dim2: int) -> None:
        self.offset = offset
        self.dim1 = dim1
        self.dim2 = dim2

    def forward(self, k: Any, *arrays: Any) -> Any:
        return k.diagonal(arrays[0], self.offset, self.dim1, self.dim2)


class ViewDtype(ViewOp):
    """The same bytes read as another dtype."""

    __slots__ = ("dtype",)
    name = "view_dtype"
    differentiable = False

    def __init__(self, dtype: dtype_class) -> None:
        self.dtype = dtype

    def forward(self, k: Any, *arrays: Any) -> Any:
        try:
            return k.view_dtype(arrays[0], self.dtype.np)
        except ValueError:
            raise RuntimeError(
                f"self.stride(-1) must be 1 and the last dimension divisible to view elements of {arrays[0].itemsize} bytes "
                f"as {self.dtype!r} ({self.dtype.itemsize} bytes); call contiguous() first"
            ) from None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.dtype), {}


TRANSPOSE = TransposeMatrix((1, 0))


def viewable(t: TensorBase, shape: Shape) -> bool:
    """Whether `t` can take `shape` without a copy."""
    array: Any = t._array
    if array is None or array.flags.c_contiguous:
        return True
    try:
        array.reshape(shape, copy=False)
    except ValueError:
        return False
    return True


def reshaped(t: TensorBase, shape: Shape) -> Any:
    """`t` in another shape of as many elements: a view where possible, else a copy."""
    if viewable(t, shape):
        return apply_view(Reshape(shape), t)
    whole: Any = t
    return apply1(UnsafeView(shape), whole.clone(memory_format=contiguous_format))
