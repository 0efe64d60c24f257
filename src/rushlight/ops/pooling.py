"""The operations behind pooling: maximum, average, their adaptive forms, the inverse of the maximum, and all their gradients.

Inputs are [N, C, *spatial] or [C, *spatial] with two or three spatial dimensions. The gradient of a maximum and its gradient are
one pair of linear operations: a value put back to where the maximum was, and a value read from there.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1, apply2, apply_multi
from rushlight.ops.formats import in_format_of


def _as_batch(k: Any, array: Any, nd: int) -> Any:
    """An array [N, C, *spatial] to hand to a kernel: one image becomes a batch of one."""
    return array if array.ndim == nd + 2 else k.unsqueeze(array, 0)


def _as_input(k: Any, result: Any, array: Any) -> Any:
    """A kernel's result for `array`, with no batch dimension where that has none."""
    return result if result.ndim == array.ndim else k.squeeze(result, (0,))


# Maximum.


class MaxPool(Primitive):
    """The maximum of every window and its position in the flattened map: two outputs."""

    __slots__ = ("kernel", "stride", "padding", "dilation", "ceil_mode")
    keeps_layout = True
    outputs = 2

    def __init__(self, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil_mode: bool) -> None:
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = _as_batch(k, arrays[0], len(self.kernel))
        y, at = k.max_pool(x, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
        return _as_input(k, y, arrays[0]), _as_input(k, at, arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[1], inputs[0]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(PlaceAtMaximum(len(self.kernel), saved[1]), g[0], saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(ReadAtMaximum(len(self.kernel)), tangents[0], saved[0]), None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {
            "kernel_size": self.kernel, "stride": self.stride, "padding": self.padding, "dilation": self.dilation,
            "ceil_mode": self.ceil_mode, "return_indices": True,
        }  # fmt: skip


class MaxPool2d(MaxPool):
    __slots__ = ()
    name = "max_pool2d_with_indices"
    node_name = "MaxPool2DWithIndicesBackward0"


class MaxPool3d(MaxPool):
    __slots__ = ()
    name = "max_pool3d_with_indices"
    node_name = "MaxPool3DWithIndicesBackward0"


class MaxPoolValues(MaxPool):
    """The maximum alone, for when nothing is recorded and nobody asks for the positions."""

    __slots__ = ()
    name = "max_pool"
    outputs = 1

    def forward(self, k: Any, *arrays: Any) -> Any:
        return super().forward(k, *arrays)[0]

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(PlaceAtMaximum(len(self.kernel), saved[0]._shape), g, self._positions(saved[0]))

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(ReadAtMaximum(len(self.kernel)), tangents[0], self._positions(saved[0]))

    def _positions(self, x: Any) -> Any:
        cls = MaxPool2d if len(self.kernel) == 2 else MaxPool3d
        return apply_multi(cls(self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode), (x.detach(),))[1]

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        function, args, given = super().public_call(tensors)
        return function, args, given | {"return_indices": False}


class MaxPoolValues2d(MaxPoolValues):
    __slots__ = ()


class MaxPoolValues3d(MaxPoolValues):
    __slots__ = ()


class AdaptiveMaxPool(Primitive):
    """The maximum of the windows that divide each map into `sizes` parts, and its position: two outputs."""

    __slots__ = ("sizes",)
    keeps_layout = True
    outputs = 2

    def __init__(self, sizes: Shape) -> None:
        self.sizes = sizes

    def forward(self, k: Any, *arrays: Any) -> Any:
        y, at = k.adaptive_max_pool(_as_batch(k, arrays[0], len(self.sizes)), self.sizes)
        x = arrays[0]
        return in_format_of(k, x, _as_input(k, y, x)), in_format_of(k, x, _as_input(k, at, x))

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (output[1], inputs[0]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(PlaceAtMaximum(len(self.sizes), saved[1]), g[0], saved[0])

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(ReadAtMaximum(len(self.sizes)), tangents[0], saved[0]), None

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, tensors, {"output_size": self.sizes, "return_indices": True}


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    __slots__ = ()
    name = "adaptive_max_pool2d"
    node_name = "AdaptiveMaxPool2DBackward0"


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    __slots__ = ()
    name = "adaptive_max_pool3d"
    node_name = "AdaptiveMaxPool3DBackward0"


class PlaceAtMaximum(Primitive):
    """Zeros of `shape` with the values of g added at the positions: `place(g, indices)`."""

    __slots__ = ("nd", "shape")
    keeps_layout = True
    name = "max_pool_backward"
    linear = True

    def __init__(self, nd: int, shape: Shape) -> None:
        self.nd = nd
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        shape = self.shape if len(self.shape) == self.nd + 2 else (1, *self.shape)
        g, at = _as_batch(k, arrays[0], self.nd), _as_batch(k, arrays[1], self.nd)
        return _as_input(k, k.max_pool_backward(g, at, shape), arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(ReadAtMaximum(self.nd), g, saved[0]), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[0])


class ReadAtMaximum(Primitive):
    """The values of x at the positions: `read(x, indices)`, the transpose of `PlaceAtMaximum`."""

    __slots__ = ("nd",)
    keeps_layout = True
    name = "max_pool_double_backward"
    linear = True

    def __init__(self, nd: int) -> None:
        self.nd = nd

    def forward(self, k: Any, *arrays: Any) -> Any:
        x, at = _as_batch(k, arrays[0], self.nd), _as_batch(k, arrays[1], self.nd)
        return _as_input(k, k.gather_at_indices(x, at), arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1], inputs[0]._shape)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(PlaceAtMaximum(self.nd, saved[1]), g, saved[0]), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[0])


class MaxUnpool(Primitive):
    """Maps of size `spatial`, zero but for the values of x at the positions: `unpool(x, indices)`."""

    __slots__ = ("spatial",)
    linear = True

    def __init__(self, spatial: Shape) -> None:
        self.spatial = spatial

    def forward(self, k: Any, *arrays: Any) -> Any:
        nd = len(self.spatial)
        x, at = _as_batch(k, arrays[0], nd), _as_batch(k, arrays[1], nd)
        return _as_input(k, k.max_unpool(x, at, (*x.shape[:2], *self.spatial)), arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[1],)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply2(ReadAtMaximum(len(self.spatial)), g, saved[0]), None

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply2(self, tangents[0], saved[0])


class MaxUnpool2d(MaxUnpool):
    __slots__ = ()
    name = "max_unpool2d"
    node_name = "MaxUnpool2DBackward0"


class MaxUnpool3d(MaxUnpool):
    __slots__ = ()
    name = "max_unpool3d"
    node_name = "MaxUnpool3DBackward0"


# Average.


class AvgPool(Primitive):
    """The average of every window."""

    __slots__ = ("kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
    keeps_layout = True
    linear = True

    def __init__(
        self,
        kernel: Shape,
        stride: Shape,
        padding: Shape,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: int | None,
    ) -> None:
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor

    def forward(self, k: Any, *arrays: Any) -> Any:
        x = _as_batch(k, arrays[0], len(self.kernel))
        y = k.avg_pool(
            x, self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override
        )
        return _as_input(k, y, arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(AvgPoolGrad(self, saved[0]), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], *[getattr(self, name) for name in AvgPool.__slots__]), {}


class AvgPool2d(AvgPool):
    __slots__ = ()
    name = "avg_pool2d"
    node_name = "AvgPool2DBackward0"


class AvgPool3d(AvgPool):
    __slots__ = ()
    name = "avg_pool3d"
    node_name = "AvgPool3DBackward0"


class AvgPoolGrad(Primitive):
    """The transpose of an average pooling of an input of `shape`."""

    __slots__ = ("pool", "shape")
    keeps_layout = True
    name = "avg_pool_backward"
    linear = True

    def __init__(self, pool: AvgPool, shape: Shape) -> None:
        self.pool = pool
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        pool = self.pool
        nd = len(pool.kernel)
        shape = self.shape if len(self.shape) == nd + 2 else (1, *self.shape)
        gx = k.avg_pool_backward(
            _as_batch(k, arrays[0], nd), shape, pool.kernel, pool.stride, pool.padding, pool.count_include_pad,
            pool.divisor_override,
        )  # fmt: skip
        return _as_input(k, gx, arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self.pool, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class AdaptiveAvgPool(Primitive):
    """The average of the windows that divide each map into `sizes` parts."""

    __slots__ = ("sizes",)
    keeps_layout = True
    linear = True

    def __init__(self, sizes: Shape) -> None:
        self.sizes = sizes

    def forward(self, k: Any, *arrays: Any) -> Any:
        return _as_input(k, k.adaptive_avg_pool(_as_batch(k, arrays[0], len(self.sizes)), self.sizes), arrays[0])

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(AdaptiveAvgPoolGrad(self, saved[0]), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return type(self).public, (tensors[0], self.sizes), {}


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    __slots__ = ()
    name = "adaptive_avg_pool2d"
    node_name = "AdaptiveAvgPool2DBackward0"


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    __slots__ = ()
    name = "adaptive_avg_pool3d"
    node_name = "AdaptiveAvgPool3DBackward0"


class AdaptiveAvgPoolGrad(Primitive):
    """The transpose of an adaptive average pooling of an input of `shape`."""

    __slots__ = ("pool", "shape")
    keeps_layout = True
    name = "adaptive_avg_pool_backward"
    linear = True

    def __init__(self, pool: AdaptiveAvgPool, shape: Shape) -> None:
        self.pool = pool
        self.shape = shape

    def forward(self, k: Any, *arrays: Any) -> Any:
        nd = len(self.pool.sizes)
        shape = self.shape if len(self.shape) == nd + 2 else (1, *self.shape)
        return _as_input(k, k.adaptive_avg_pool_backward(_as_batch(k, arrays[0], nd), shape), arrays[0])

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(self.pool, g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])
