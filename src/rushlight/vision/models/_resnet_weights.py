"""The official weights of the ResNet family: where they are published and how accurate they are."""

from __future__ import annotations

from rushlight.vision.models._api import WeightsEnum
from rushlight.vision.models._imagenet import FROM_SCRATCH, IMPROVED, imagenet

__all__ = [
    "ResNet18_Weights", "ResNet34_Weights", "ResNet50_Weights", "ResNet101_Weights", "ResNet152_Weights",
    "ResNeXt50_32X4D_Weights", "ResNeXt101_32X8D_Weights", "ResNeXt101_64X4D_Weights", "Wide_ResNet50_2_Weights",
    "Wide_ResNet101_2_Weights",
]  # fmt: skip

# How the weights were trained, after https://github.com/pytorch/vision/.
_RESNET = "tree/main/references/classification#resnet"
_RESNEXT = "tree/main/references/classification#resnext"
_WIDE = "pull/912#issue-445437439"
_NEW = "issues/3995#new-recipe"
_NEW_FIXRES = "issues/3995#new-recipe-with-fixres"


class ResNet18_Weights(WeightsEnum):
    """The trained weights of resnet18 there are."""

    IMAGENET1K_V1 = imagenet(
        "resnet18-f37072fd.pth", params=11_689_512, min_size=1, acc1=69.758, acc5=89.078,
        gflops=1.814, megabytes=44.661, recipe=_RESNET,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


class ResNet34_Weights(WeightsEnum):
    """The trained weights of resnet34 there are."""

    IMAGENET1K_V1 = imagenet(
        "resnet34-b627a593.pth", params=21_797_672, min_size=1, acc1=73.314, acc5=91.42,
        gflops=3.664, megabytes=83.275, recipe=_RESNET,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


class ResNet50_Weights(WeightsEnum):
    """The trained weights of resnet50 there are."""

    IMAGENET1K_V1 = imagenet(
        "resnet50-0676ba61.pth", params=25_557_032, min_size=1, acc1=76.13, acc5=92.862,
        gflops=4.089, megabytes=97.781, recipe=_RESNET,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "resnet50-11ad3fa6.pth", params=25_557_032, min_size=1, acc1=80.858, acc5=95.434,
        gflops=4.089, megabytes=97.79, recipe="issues/3995#issuecomment-1013906621", docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class ResNet101_Weights(WeightsEnum):
    """The trained weights of resnet101 there are."""

    IMAGENET1K_V1 = imagenet(
        "resnet101-63fe2227.pth", params=44_549_160, min_size=1, acc1=77.374, acc5=93.546,
        gflops=7.801, megabytes=170.511, recipe=_RESNET,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "resnet101-cd907fc2.pth", params=44_549_160, min_size=1, acc1=81.886, acc5=95.78,
        gflops=7.801, megabytes=170.53, recipe=_NEW, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class ResNet152_Weights(WeightsEnum):
    """The trained weights of resnet152 there are."""

    IMAGENET1K_V1 = imagenet(
        "resnet152-394f9c45.pth", params=60_192_808, min_size=1, acc1=78.312, acc5=94.046,
        gflops=11.514, megabytes=230.434, recipe=_RESNET,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "resnet152-f82ba261.pth", params=60_192_808, min_size=1, acc1=82.284, acc5=96.002,
        gflops=11.514, megabytes=230.474, recipe=_NEW, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class ResNeXt50_32X4D_Weights(WeightsEnum):
    """The trained weights of resnext50_32x4d there are."""

    IMAGENET1K_V1 = imagenet(
        "resnext50_32x4d-7cdf4587.pth", params=25_028_904, min_size=1, acc1=77.618, acc5=93.698,
        gflops=4.23, megabytes=95.789, recipe=_RESNEXT,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "resnext50_32x4d-1a0047aa.pth", params=25_028_904, min_size=1, acc1=81.198, acc5=95.34,
        gflops=4.23, megabytes=95.833, recipe=_NEW, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_32X8D_Weights(WeightsEnum):
    """The trained weights of resnext101_32x8d there are."""

    IMAGENET1K_V1 = imagenet(
        "resnext101_32x8d-8ba56ff5.pth", params=88_791_336, min_size=1, acc1=79.312, acc5=94.526,
        gflops=16.414, megabytes=339.586, recipe=_RESNEXT,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "resnext101_32x8d-110c445d.pth", params=88_791_336, min_size=1, acc1=82.834, acc5=96.228,
        gflops=16.414, megabytes=339.673, recipe=_NEW_FIXRES, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_64X4D_Weights(WeightsEnum):
    """The trained weights of resnext101_64x4d there are."""

    IMAGENET1K_V1 = imagenet(
        "resnext101_64x4d-173b62eb.pth", params=83_455_272, min_size=1, acc1=83.246, acc5=96.454,
        gflops=15.46, megabytes=319.318, recipe="pull/5935", docs=FROM_SCRATCH, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V1


class Wide_ResNet50_2_Weights(WeightsEnum):
    """The trained weights of wide_resnet50_2 there are."""

    IMAGENET1K_V1 = imagenet(
        "wide_resnet50_2-95faca4d.pth", params=68_883_240, min_size=1, acc1=78.468, acc5=94.086,
        gflops=11.398, megabytes=131.82, recipe=_WIDE,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "wide_resnet50_2-9ba9bcbe.pth", params=68_883_240, min_size=1, acc1=81.602, acc5=95.758,
        gflops=11.398, megabytes=263.124, recipe=_NEW_FIXRES, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2


class Wide_ResNet101_2_Weights(WeightsEnum):
    """The trained weights of wide_resnet101_2 there are."""

    IMAGENET1K_V1 = imagenet(
        "wide_resnet101_2-32ee1156.pth", params=126_886_696, min_size=1, acc1=78.848, acc5=94.284,
        gflops=22.753, megabytes=242.896, recipe=_WIDE,
    )  # fmt: skip
    IMAGENET1K_V2 = imagenet(
        "wide_resnet101_2-d733dc28.pth", params=126_886_696, min_size=1, acc1=82.51, acc5=96.02,
        gflops=22.753, megabytes=484.747, recipe=_NEW, docs=IMPROVED, resize_size=232,
    )  # fmt: skip
    DEFAULT = IMAGENET1K_V2
