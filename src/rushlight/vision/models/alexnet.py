"""AlexNet, in the form of "One weird trick for parallelizing convolutional neural networks" (arXiv 1404.5997)."""

from __future__ import annotations

from typing import Any

from rushlight import nn
from rushlight.core.public import Tensor
from rushlight.ops.view import flatten
from rushlight.vision.models._api import WeightsEnum, register_model, torchvision_class
from rushlight.vision.models._imagenet import imagenet
from rushlight.vision.models._utils import _ovewrite_named_param, handle_legacy_interface, load_weights

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


@torchvision_class
class AlexNet(nn.Module):
    """Five convolutions and three linear layers: [N, 3, H, W] float, H and W at least 63 -> scores [N, num_classes]."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the images `x`."""
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


class AlexNet_Weights(WeightsEnum):
    """The trained weights of alexnet there are."""

    IMAGENET1K_V1 = imagenet(
        "alexnet-owt-7be5be79.pth", params=61_100_840, min_size=63, acc1=56.522, acc5=79.066,
        gflops=0.714, megabytes=233.087, recipe="tree/main/references/classification#alexnet-and-vgg",
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


@register_model()
@handle_legacy_interface(weights=("pretrained", AlexNet_Weights.IMAGENET1K_V1))
def alexnet(*, weights: AlexNet_Weights | None = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet. weights, progress: see `resnet18`. kwargs: arguments of `AlexNet`."""
    weights = AlexNet_Weights.verify(weights)
    if weights is not None:
        _ovewrite_named_param(kwargs, "num_classes", len(weights.meta["categories"]))
    model = AlexNet(**kwargs)
    load_weights(model, weights, progress)
    return model
