"""Windows as columns and back (im2col, col2im), and rearrangements of channels and pixels."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.base.shape import Shape
from rushlight.core.primitive import Primitive, apply1
from rushlight.ops.checks import need_tensor

__all__ = ["channel_shuffle", "col2im", "im2col", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


class Windows(Primitive):
    """Parameters of a window that slides over a map of two dimensions."""

    __slots__ = ("sizes", "kernel", "dilation", "padding", "stride")
    linear = True

    def __init__(self, sizes: Shape, kernel: Shape, dilation: Shape, padding: Shape, stride: Shape) -> None:
        self.sizes = sizes
        self.kernel = kernel
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def slots(self) -> tuple[Shape, Shape, Shape, Shape, Shape]:
        return self.sizes, self.kernel, self.dilation, self.padding, self.stride

    def blocks(self) -> Shape:
        """How many windows fit in each dimension."""
        return tuple(
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, k, d, p, s in zip(self.sizes, self.kernel, self.dilation, self.padding, self.stride, strict=True)
        )

    def batched(self, k: Any, array: Any, run: Any, ndim: int) -> Any:
        """`run` on an array that may lack the batch dimension."""
        return run(array) if array.ndim == ndim else k.squeeze(run(k.unsqueeze(array, 0)), (0,))

    def places(self, k: Any, padded: Any, tap: Shape) -> Any:
        """A view of the padded map [N, C, H, W] where a tap of the window meets it, [N, C, *blocks]."""
        for i, (t, n, d, s) in enumerate(zip(tap, self.blocks(), self.dilation, self.stride, strict=True)):
            padded = k.slice(padded, 2 + i, t * d, t * d + (n - 1) * s + 1, s)
        return padded

    def taps(self) -> list[Shape]:
        return [(i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1])]

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class Im2Col(Windows):
    """Every window of x [N, C, H, W] as a column: [N, C * KH * KW, blocks]."""

    __slots__ = ()
    name = "im2col"
    node_name = "Im2ColBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return self.batched(k, arrays[0], lambda x: self._columns(k, x), 4)

    def _columns(self, k: Any, x: Any) -> Any:
        (vertical, horizontal), taps = self.padding, self.taps()
        padded = k.constant_pad(x, (horizontal, horizontal, vertical, vertical), 0)
        columns = k.empty((*x.shape[:2], len(taps), *self.blocks()), x.dtype)
        for i, tap in enumerate(taps):
            k.copy_into(k.select(columns, 2, i), self.places(k, padded, tap))
        return k.reshape_view(columns, (x.shape[0], x.shape[1] * len(taps), prod(self.blocks())))

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(Col2Im(*self.slots()), g)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return im2col, (tensors[0], self.kernel, self.dilation, self.padding, self.stride), {}


class Col2Im(Windows):
    """Columns [N, C * KH * KW, blocks] added back where their windows lie: [N, C, H, W]. The transpose of `Im2Col`."""

    __slots__ = ()
    name = "col2im"
    node_name = "Col2ImBackward0"

    def forward(self, k: Any, *arrays: Any) -> Any:
        return self.batched(k, arrays[0], lambda x: self._maps(k, x), 3)

    def _maps(self, k: Any, x: Any) -> Any:
        (vertical, horizontal), (height, width), taps = self.padding, self.sizes, self.taps()
        channels = x.shape[1] // len(taps)
        columns = k.reshape_view(k.contiguous(x), (x.shape[0], channels, len(taps), *self.blocks()))
        padded = k.zeros((x.shape[0], channels, height + 2 * vertical, width + 2 * horizontal), x.dtype)
        for i, tap in enumerate(taps):
            place = self.places(k, padded, tap)
            k.copy_into(place, k.add(place, k.select(columns, 2, i)))
        inner = k.slice(k.slice(padded, 2, vertical, vertical + height, 1), 3, horizontal, horizontal + width, 1)
        return k.contiguous(inner)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        return apply1(Im2Col(*self.slots()), g)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return col2im, (tensors[0], *self.slots()), {}


class Rearrangement(Primitive):
    """x in a view `shape` with its dimensions in another order, then reshaped: a copy of all elements elsewhere."""

    __slots__ = ("factor",)
    linear = True

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def steps(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        """The shape to see x in, the order of the dimensions, and the shape of the result."""
        raise NotImplementedError(f"{self.name} has no forward rule")

    def inverse(self, channels: int) -> Rearrangement:
        """The rearrangement that takes this one back, for an input of `channels`."""
        raise NotImplementedError(f"{self.name} has no inverse")

    def forward(self, k: Any, *arrays: Any) -> Any:
        seen, order, shape = self.steps(arrays[0].shape)
        moved = k.permute(k.reshape_view(k.contiguous(arrays[0]), seen), order)
        return k.reshape_view(k.copy(k.contiguous(moved)) if moved.flags.c_contiguous else k.contiguous(moved), shape)

    def save(self, inputs: tuple[Any, ...], output: Any, needs: tuple[bool, ...]) -> tuple[Any, ...]:
        return (inputs[0]._shape,)

    def vjp(self, saved: tuple[Any, ...], g: Any, needs: tuple[bool, ...]) -> Any:
        shape = saved[0]
        return apply1(self.inverse(shape[1] if len(shape) > 1 else 1), g)

    def jvp(self, saved: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        return apply1(self, tangents[0])


class PixelShuffle(Rearrangement):
    """[*, C * r * r, H, W] to [*, C, H * r, W * r]."""

    __slots__ = ()
    name = "pixel_shuffle"

    def steps(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        *lead, channels, height, width = shape
        n, r = len(lead), self.factor
        seen = (*lead, channels // (r * r), r, r, height, width)
        return seen, (*range(n), n, n + 3, n + 1, n + 4, n + 2), (*lead, channels // (r * r), height * r, width * r)

    def inverse(self, channels: int) -> Rearrangement:
        return PixelUnshuffle(self.factor)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return pixel_shuffle, (tensors[0], self.factor), {}


class PixelUnshuffle(Rearrangement):
    """[*, C, H * r, W * r] to [*, C * r * r, H, W]."""

    __slots__ = ()
    name = "pixel_unshuffle"

    def steps(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        *lead, channels, height, width = shape
        n, r = len(lead), self.factor
        seen = (*lead, channels, height // r, r, width // r, r)
        return seen, (*range(n), n, n + 2, n + 4, n + 1, n + 3), (*lead, channels * r * r, height // r, width // r)

    def inverse(self, channels: int) -> Rearrangement:
        return PixelShuffle(self.factor)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return pixel_unshuffle, (tensors[0], self.factor), {}


class ChannelShuffle(Rearrangement):
    """The channels of [N, C, *], in `factor` groups, dealt out in turn."""

    __slots__ = ()
    name = "channel_shuffle"

    def steps(self, shape: Shape) -> tuple[Shape, Shape, Shape]:
        seen = (shape[0], self.factor, shape[1] // self.factor, *shape[2:])
        return seen, (0, 2, 1, *range(3, len(seen))), shape

    def inverse(self, channels: int) -> Rearrangement:
        return ChannelShuffle(channels // self.factor)

    def public_call(self, tensors: tuple[Any, ...]) -> Any:
        return channel_shuffle, (tensors[0], self.factor), {}


class NativeChannelShuffle(ChannelShuffle):
    __slots__ = ()
    name = "native_channel_shuffle"


def _check_windows(op: Windows, spatial: str) -> None:
    for name, values, least in (
        ("kernel_size", op.kernel, 1),
        ("dilation", op.dilation, 1),
        ("stride", op.stride, 1),
        ("padding", op.padding, 0),
    ):
        if min(values) < least:
            raise RuntimeError(
                f"{name} should be {'greater than zero' if least else 'non-negative'}, but got {name}={values}"
            )
    if min(op.blocks()) < 1:
        raise RuntimeError(
            f"Given {spatial} {op.sizes}, kernel_size={op.kernel}, dilation={op.dilation}, padding={op.padding}, calculated shape of "
            f"the array of sliding blocks as {op.blocks()}, but its components must be at least one."
        )


def im2col(input: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """Every window of `input` [N, C, H, W] or [C, H, W] as a column of [N, C * KH * KW, blocks]; see `nn.functional.unfold`."""
    shape = input._shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: "
            f"{list(shape)}"
        )
    op = Im2Col(shape[-2:], _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    _check_windows(op, "input with spatial size")
    return apply1(op, input)


def col2im(input: Any, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """Columns [N, C * KH * KW, blocks] summed into maps of `output_size`; see `nn.functional.fold`."""
    shape = input._shape
    op = Col2Im(_pair(output_size), _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, but got: "
            f"{list(shape)}"
        )
    _check_windows(op, "output_size")
    at = len(shape) - 2
    if shape[-2] % prod(op.kernel):
        raise RuntimeError(
            f"Expected size of input's dimension {at} to be divisible by the product of kernel_size, but got input.size({at})="
            f"{shape[-2]} and kernel_size={op.kernel}."
        )
    if shape[-1] != prod(op.blocks()):
        high, wide = op.blocks()
        raise RuntimeError(
            f"Given output_size={op.sizes}, kernel_size={op.kernel}, dilation={op.dilation}, padding={op.padding}, stride={op.stride}, "
            f"expected size of input's dimension {at + 1} to match the calculated number of sliding blocks {high} * {wide} = "
            f"{high * wide}, but got input.size({at + 1})={shape[-1]}."
        )
    return apply1(op, input)


def _pair(value: Any) -> Shape:
    if isinstance(value, int):
        return (value, value)
    found = tuple(int(n) for n in value)
    return found * 2 if len(found) == 1 else found


def _check_pixels(name: str, input: Any, factor: int, argument: str) -> None:
    if len(input._shape) < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {len(input._shape)} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """[*, C * r * r, H, W] to [*, C, H * r, W * r]: channels become pixels (r is `upscale_factor`)."""
    need_tensor("pixel_shuffle", input)
    _check_pixels("pixel_shuffle", input, upscale_factor, "upscale_factor")
    square = upscale_factor * upscale_factor
    if input._shape[-3] % square:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but "
            f"input.size(-3)={input._shape[-3]} is not divisible by {square}"
        )
    return apply1(PixelShuffle(upscale_factor), input)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """[*, C, H * r, W * r] to [*, C * r * r, H, W]: the inverse of `pixel_shuffle`."""
    need_tensor("pixel_unshuffle", input)
    _check_pixels("pixel_unshuffle", input, downscale_factor, "downscale_factor")
    for dim, word in ((-2, "height"), (-1, "width")):
        if input._shape[dim] % downscale_factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {word} to be divisible by downscale_factor, but input.size({dim})={input._shape[dim]} is not "
                f"divisible by {downscale_factor}"
            )
    return apply1(PixelUnshuffle(downscale_factor), input)


def _check_channels(name: str, input: Any, groups: int) -> None:
    shape = input._shape
    if len(shape) <= 2:
        raise RuntimeError(f"{name} expects input with > 2 dims, but got input with sizes {list(shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    if shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and {groups} groups."
        )


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of `input` [N, C, *], seen as `groups` rows, read column by column."""
    _check_channels("channel_shuffle", input, groups)
    return apply1(ChannelShuffle(groups), input)


def native_channel_shuffle(input: Any, groups: int) -> Any:
    """`channel_shuffle`, under the name of torch's own kernel."""
    _check_channels("native_channel_shuffle", input, groups)
    return apply1(NativeChannelShuffle(groups), input)
