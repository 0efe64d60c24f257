"""VGG: stacks of 3 x 3 convolutions (https://arxiv.org/abs/1409.1556), plain or with batch normalisation."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.public import Tensor
from rushlight.ops.view import flatten
from rushlight.vision.models._api import Weights, WeightsEnum, register_model, torchvision_class
from rushlight.vision.models._imagenet import imagenet
from rushlight.vision.models._utils import _ovewrite_named_param, handle_legacy_interface, load_weights

__all__ = [
    "VGG", "VGG11_BN_Weights", "VGG11_Weights", "VGG13_BN_Weights", "VGG13_Weights", "VGG16_BN_Weights",
    "VGG16_Weights", "VGG19_BN_Weights", "VGG19_Weights", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn",
    "vgg19", "vgg19_bn",
]  # fmt: skip

# Channels of the convolutions; "M" is a max-pooling. The letters are the paper's.
cfgs: dict[str, list[int | str]] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "D": [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"],
    "E": [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M", 512, 512, 512, 512, "M"],
}


@torchvision_class
class VGG(nn.Module):
    """A classifier of images: [N, 3, H, W] float, H and W at least 32 -> scores [N, num_classes].

    features: the convolutional part, see `make_layers`. init_weights: draw the parameters anew, as the paper does.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        for module in self.modules() if init_weights else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the images `x`."""
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def make_layers(cfg: list[int | str], batch_norm: bool = False) -> nn.Sequential:
    """The convolutional part of a VGG after a plan like those in `cfgs`."""
    layers: list[nn.Module] = []
    channels = 3
    for size in cfg:
        if isinstance(size, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, size, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(size))
        layers.append(nn.ReLU(inplace=True))
        channels = size
    return nn.Sequential(*layers)


def _vgg(cfg: str, batch_norm: bool, weights: WeightsEnum | None, progress: bool, **kwargs: Any) -> VGG:
    if weights is not None:
        kwargs["init_weights"] = False
        if weights.meta["categories"] is not None:
            _ovewrite_named_param(kwargs, "num_classes", len(weights.meta["categories"]))
    model = VGG(make_layers(cfgs[cfg], batch_norm=batch_norm), **kwargs)
    load_weights(model, weights, progress)
    return model


def _vgg_weights(file: str, params: int, acc1: float, acc5: float, gflops: float, megabytes: float) -> Weights:
    return imagenet(
        file,
        params=params,
        min_size=32,
        acc1=acc1,
        acc5=acc5,
        gflops=gflops,
        megabytes=megabytes,
        recipe="tree/main/references/classification#alexnet-and-vgg",
        docs="Trained from scratch with a simplified recipe.",
    )


def _vgg16_features() -> Weights:
    weights = imagenet(
        "vgg16_features-amdegroot-88682ab5.pth",
        params=138_357_544,
        min_size=32,
        acc1=float("nan"),
        acc5=float("nan"),
        gflops=15.47,
        megabytes=527.802,
        recipe="",
        docs="For feature extraction only: the classifier's values are missing. Trained on images normalised as in the "
        "paper.",
        mean=(0.48235, 0.45882, 0.40784),
        std=(1.0 / 255.0, 1.0 / 255.0, 1.0 / 255.0),
    )
    weights.meta["categories"] = None
    weights.meta["recipe"] = "https://github.com/amdegroot/ssd.pytorch#training-ssd"
    return weights


class VGG11_Weights(WeightsEnum):
    """The trained weights of vgg11 there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg11-8a719046.pth", 132_863_336, 69.02, 88.628, 7.609, 506.84)
    DEFAULT = IMAGENET1K_V1


class VGG11_BN_Weights(WeightsEnum):
    """The trained weights of vgg11_bn there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg11_bn-6002323d.pth", 132_868_840, 70.37, 89.81, 7.609, 506.881)
    DEFAULT = IMAGENET1K_V1


class VGG13_Weights(WeightsEnum):
    """The trained weights of vgg13 there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg13-19584684.pth", 133_047_848, 69.928, 89.246, 11.308, 507.545)
    DEFAULT = IMAGENET1K_V1


class VGG13_BN_Weights(WeightsEnum):
    """The trained weights of vgg13_bn there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg13_bn-abd245e5.pth", 133_053_736, 71.586, 90.374, 11.308, 507.59)
    DEFAULT = IMAGENET1K_V1


class VGG16_Weights(WeightsEnum):
    """The trained weights of vgg16 there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg16-397923af.pth", 138_357_544, 71.592, 90.382, 15.47, 527.796)
    IMAGENET1K_FEATURES = _vgg16_features()
    DEFAULT = IMAGENET1K_V1


class VGG16_BN_Weights(WeightsEnum):
    """The trained weights of vgg16_bn there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg16_bn-6c64b313.pth", 138_365_992, 73.36, 91.516, 15.47, 527.866)
    DEFAULT = IMAGENET1K_V1


class VGG19_Weights(WeightsEnum):
    """The trained weights of vgg19 there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg19-dcbb9e9d.pth", 143_667_240, 72.376, 90.876, 19.632, 548.051)
    DEFAULT = IMAGENET1K_V1


class VGG19_BN_Weights(WeightsEnum):
    """The trained weights of vgg19_bn there are."""

    IMAGENET1K_V1 = _vgg_weights("vgg19_bn-c79401a0.pth", 143_678_248, 74.218, 91.842, 19.632, 548.143)
    DEFAULT = IMAGENET1K_V1


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG11_Weights.IMAGENET1K_V1))
def vgg11(*, weights: VGG11_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("A", False, VGG11_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG11_BN_Weights.IMAGENET1K_V1))
def vgg11_bn(*, weights: VGG11_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("A", True, VGG11_BN_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG13_Weights.IMAGENET1K_V1))
def vgg13(*, weights: VGG13_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("B", False, VGG13_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG13_BN_Weights.IMAGENET1K_V1))
def vgg13_bn(*, weights: VGG13_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("B", True, VGG13_BN_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG16_Weights.IMAGENET1K_V1))
def vgg16(*, weights: VGG16_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("D", False, VGG16_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG16_BN_Weights.IMAGENET1K_V1))
def vgg16_bn(*, weights: VGG16_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("D", True, VGG16_BN_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG19_Weights.IMAGENET1K_V1))
def vgg19(*, weights: VGG19_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("E", False, VGG19_Weights.verify(weights), progress, **kwargs)


@register_model()
@handle_legacy_interface(weights=("pretrained", VGG19_BN_Weights.IMAGENET1K_V1))
def vgg19_bn(*, weights: VGG19_BN_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation. weights, progress: see `resnet18`. kwargs: arguments of `VGG`."""
    return _vgg("E", True, VGG19_BN_Weights.verify(weights), progress, **kwargs)
