"""MobileNet V2: inverted residuals, whose 3 x 3 convolutions are depthwise (https://arxiv.org/abs/1801.04381).

Module names, the order of initialisation and hence the numbers are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight import nn
from rushlight.core.public import Tensor
from rushlight.nn.functional.pooling import adaptive_avg_pool2d
from rushlight.ops.view import flatten
from rushlight.vision.models._api import WeightsEnum, register_model, torchvision_class
from rushlight.vision.models._imagenet import IMPROVED, imagenet
from rushlight.vision.models._utils import (
    _make_divisible,
    _ovewrite_named_param,
    handle_legacy_interface,
    load_weights,
)
from rushlight.vision.ops.misc import Conv2dNormActivation

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

Norm = Callable[..., nn.Module]

# The stages: how many times wider a block is inside, its output channels, the number of blocks, the first one's stride.
_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]


@torchvision_class
class InvertedResidual(nn.Module):
    """1 x 1 convolution to many channels, depthwise 3 x 3, 1 x 1 to few: [N, inp, H, W] -> [N, oup, H / stride, ...].

    stride: 1 or 2 (`ValueError` otherwise). expand_ratio: how many times more channels there are inside; at 1 the first
    convolution is left out. The input is added to the output where both have the same shape.
    """

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Norm | None = None) -> None:
        super().__init__()
        self.stride = stride
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        inside = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, inside, kernel_size=1, norm_layer=norm, activation_layer=nn.ReLU6))
        layers += [
            Conv2dNormActivation(
                inside, inside, stride=stride, groups=inside, norm_layer=norm, activation_layer=nn.ReLU6
            ),
            nn.Conv2d(inside, oup, kernel_size=1, stride=1, padding=0, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        """The block's output for the batch `x`."""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


@torchvision_class
class MobileNetV2(nn.Module):
    """A small classifier of images: [N, 3, H, W] float -> scores [N, num_classes].

    width_mult: makes every layer that many times wider, rounded to a multiple of `round_nearest` channels.
    inverted_residual_setting: the stages, each `[expand_ratio, channels, blocks, stride]`. block: makes a block from
    (input channels, output channels, stride, expand_ratio=, norm_layer=), `InvertedResidual` by default. norm_layer: makes
    a normalisation of n channels, `nn.BatchNorm2d` by default. dropout: the probability before the last layer.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Norm | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        make = InvertedResidual if block is None else block
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if len(stages) == 0 or len(stages[0]) != 4:
            raise ValueError(
                f"inverted_residual_setting should be non-empty or a 4-element list, got {inverted_residual_setting}"
            )
        channels = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[nn.Module] = [
            Conv2dNormActivation(3, channels, stride=2, norm_layer=norm, activation_layer=nn.ReLU6)
        ]
        for expand_ratio, stage_channels, blocks, stride in stages:
            width = _make_divisible(stage_channels * width_mult, round_nearest)
            for i in range(blocks):
                features.append(
                    make(channels, width, stride if i == 0 else 1, expand_ratio=expand_ratio, norm_layer=norm)
                )
                channels = width
        features.append(
            Conv2dNormActivation(channels, self.last_channel, kernel_size=1, norm_layer=norm, activation_layer=nn.ReLU6)
        )
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def _forward_impl(self, x: Tensor) -> Tensor:
        return self.classifier(flatten(adaptive_avg_pool2d(self.features(x), (1, 1)), 1))

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the images `x`."""
        return self._forward_impl(x)


class MobileNet_V2_Weights(WeightsEnum):
    """The trained weights of mobilenet_v2 there are."""

    IMAGENET1K_V1 = imagenet(
        "mobilenet_v2-b0353104.pth", params=3_504_872, min_size=1, acc1=71.878, acc5=90.286,
        gflops=0.301, megabytes=13.555, recipe="tree/main/references/classification#mobilenetv2",
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "mobilenet_v2-7ebf99e0.pth", params=3_504_872, min_size=1, acc1=72.154, acc5=90.822,
        gflops=0.301, megabytes=13.598, recipe="issues/3995#new-recipe-with-reg-tuning", docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


@register_model()
@handle_legacy_interface(weights=("pretrained", MobileNet_V2_Weights.IMAGENET1K_V1))
def mobilenet_v2(*, weights: MobileNet_V2_Weights | None = None, progress: bool = True, **kwargs: Any) -> MobileNetV2:
    """MobileNet V2. weights, progress: see `resnet18`. kwargs: arguments of `MobileNetV2`."""
    weights = MobileNet_V2_Weights.verify(weights)
    if weights is not None:
        _ovewrite_named_param(kwargs, "num_classes", len(weights.meta["categories"]))
    model = MobileNetV2(**kwargs)
    load_weights(model, weights, progress)
    return model
