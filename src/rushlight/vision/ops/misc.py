"""Blocks of layers that many architectures are made of: a convolution, its normalisation and an activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rushlight import nn
from rushlight.base.warn import warn_user
from rushlight.vision.models._api import torchvision_class

__all__ = ["Conv2dNormActivation", "Conv3dNormActivation"]

Layer = Callable[..., nn.Module]
Sizes = int | Sequence[int]


def _same_padding(kernel_size: Sizes, dilation: Sizes) -> Sizes:
    """The padding with which an odd kernel at stride 1 keeps the image size."""
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else len(dilation)  # type: ignore[arg-type]
    kernels = [kernel_size] * rank if isinstance(kernel_size, int) else kernel_size
    dilations = [dilation] * rank if isinstance(dilation, int) else dilation
    return tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations, strict=True))


@torchvision_class
class ConvNormActivation(nn.Sequential):
    """A convolution, its normalisation and an activation, of any number of dimensions: see `Conv2dNormActivation`.

    Meant for subclasses, that say the `conv_layer`; making one directly warns.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes = 3,
        stride: Sizes = 1,
        padding: Sizes | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Sizes = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: Layer = nn.Conv2d,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        if bias is None:
            bias = norm_layer is None
        layers = [
            conv_layer(
                in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=bias
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer() if inplace is None else activation_layer(inplace=inplace))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            warn_user(
                "Don't use ConvNormActivation directly, please use Conv2dNormActivation and Conv3dNormActivation instead.",
            )


@torchvision_class
class Conv2dNormActivation(ConvNormActivation):
    """`nn.Conv2d`, then `norm_layer(out_channels)`, then `activation_layer(inplace=inplace)`; the latter two may be None.

    padding: by default the one with which an odd kernel at stride 1 keeps the image size. bias: whether the convolution
    has one; by default only where no normalisation follows. inplace: None for an activation that has no such argument.

    >>> Conv2dNormActivation(3, 8, stride=2)(rushlight.ones(1, 3, 6, 6)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes = 3,
        stride: Sizes = 1,
        padding: Sizes | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Sizes = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer, dilation,
            inplace, bias, nn.Conv2d,
        )  # fmt: skip


@torchvision_class
class Conv3dNormActivation(ConvNormActivation):
    """The same with `nn.Conv3d` and, by default, `nn.BatchNorm3d`: see `Conv2dNormActivation`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes = 3,
        stride: Sizes = 1,
        padding: Sizes | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm3d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Sizes = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer, activation_layer, dilation,
            inplace, bias, nn.Conv3d,
        )  # fmt: skip
