"""SqueezeNet: few parameters through narrow 1 x 1 convolutions (https://arxiv.org/abs/1602.07360)."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.public import Tensor
from rushlight.ops.shape import cat
from rushlight.ops.view import flatten
from rushlight.vision.models._api import WeightsEnum, register_model, torchvision_class
from rushlight.vision.models._imagenet import imagenet
from rushlight.vision.models._utils import _ovewrite_named_param, handle_legacy_interface, load_weights

__all__ = ["SqueezeNet", "SqueezeNet1_0_Weights", "SqueezeNet1_1_Weights", "squeezenet1_0", "squeezenet1_1"]

_RECIPE = "pull/49#issuecomment-277560717"
# For each version: channels and kernel of the first convolution, then the channels of each Fire module (its input,
# the squeezing convolution, both expanding ones); None is a pooling.
_PLANS: dict[str, tuple[int, int, list[tuple[int, int, int] | None]]] = {
    "1_0": (
        96, 7,
        [None, (96, 16, 64), (128, 16, 64), (128, 32, 128), None, (256, 32, 128), (256, 48, 192), (384, 48, 192),
         (384, 64, 256), None, (512, 64, 256)],
    ),
    "1_1": (
        64, 3,
        [None, (64, 16, 64), (128, 16, 64), None, (128, 32, 128), (256, 32, 128), None, (256, 48, 192), (384, 48, 192),
         (384, 64, 256), (512, 64, 256)],
    ),
}  # fmt: skip


@torchvision_class
class Fire(nn.Module):
    """A 1 x 1 convolution to few channels, then 1 x 1 and 3 x 3 ones side by side, each with a ReLU."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inplanes, H, W] -> [N, expand1x1_planes + expand3x3_planes, H, W]."""
        x = self.squeeze_activation(self.squeeze(x))
        return cat([self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1)


@torchvision_class
class SqueezeNet(nn.Module):
    """A classifier of images: [N, 3, H, W] float, H and W at least 21 (1_0) or 17 (1_1) -> scores [N, num_classes].

    version: "1_0" or "1_1"; the latter needs 2.4 times fewer operations.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        if version not in _PLANS:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.num_classes = num_classes
        channels, kernel, plan = _PLANS[version]
        layers: list[nn.Module] = [nn.Conv2d(3, channels, kernel_size=kernel, stride=2), nn.ReLU(inplace=True)]
        for sizes in plan:
            if sizes is None:
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            else:
                layers.append(Fire(*sizes, sizes[-1]))
        self.features = nn.Sequential(*layers)
        final_conv = nn.Conv2d(512, self.num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final_conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is final_conv:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the images `x`."""
        return flatten(self.classifier(self.features(x)), 1)


class SqueezeNet1_0_Weights(WeightsEnum):
    """The trained weights of squeezenet1_0 there are."""

    IMAGENET1K_V1 = imagenet(
        "squeezenet1_0-b66bff10.pth", params=1_248_424, min_size=21, acc1=58.092, acc5=80.42,
        gflops=0.819, megabytes=4.778, recipe=_RECIPE,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


class SqueezeNet1_1_Weights(WeightsEnum):
    """The trained weights of squeezenet1_1 there are."""

    IMAGENET1K_V1 = imagenet(
        "squeezenet1_1-b8a52dc0.pth", params=1_235_496, min_size=17, acc1=58.178, acc5=80.624,
        gflops=0.349, megabytes=4.729, recipe=_RECIPE,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


def _squeezenet(version: str, weights: WeightsEnum | None, progress: bool, **kwargs: Any) -> SqueezeNet:
    if weights is not None:
        _ovewrite_named_param(kwargs, "num_classes", len(weights.meta["categories"]))
    model = SqueezeNet(version, **kwargs)
    load_weights(model, weights, progress)
    return model


@register_model()
@handle_legacy_interface(weights=("pretrained", SqueezeNet1_0_Weights.IMAGENET1K_V1))
def squeezenet1_0(
    *, weights: SqueezeNet1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.0. weights, progress: see `resnet18`. kwargs: arguments of `SqueezeNet`."""
    return _squeezenet("1_0", SqueezeNet1_0_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", SqueezeNet1_1_Weights.IMAGENET1K_V1))
def squeezenet1_1(
    *, weights: SqueezeNet1_1_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.1. weights, progress: see `resnet18`. kwargs: arguments of `SqueezeNet`."""
    return _squeezenet("1_1", SqueezeNet1_1_Weights.verify(weights), progress, **kwargs)
