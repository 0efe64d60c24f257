"""How the models' weights for ImageNet are described: the part that is the same for all of them."""

from __future__ import annotations

from functools import partial
from typing import Any

from rushlight.vision.models._api import Weights
from rushlight.vision.models._meta import _IMAGENET_CATEGORIES
from rushlight.vision.transforms._presets import ImageClassification

_RECIPE_PAGE = "https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/"
SIMPLE = "Trained with a simple recipe; the accuracies are close to the paper's."
IMPROVED = f"Trained with torchvision's newer recipe ({_RECIPE_PAGE}), which beats the paper's accuracies."
FROM_SCRATCH = f"Trained from scratch with torchvision's newer recipe ({_RECIPE_PAGE})."


def imagenet(
    file: str,
    *,
    params: int,
    min_size: int,
    acc1: float,
    acc5: float,
    gflops: float,
    megabytes: float,
    recipe: str,
    docs: str = SIMPLE,
    **transform: Any,
) -> Weights:
    """Weights trained on ImageNet-1K, published as `file`.

    params: number of parameters. min_size: the smallest height and width of an image, in pixels. acc1, acc5: top-1
    and top-5 accuracy on the validation images, in percent. gflops: multiply-adds per image, in billions. megabytes:
    size of the file. recipe: how they were trained, after `https://github.com/pytorch/vision/`. transform: arguments
    of `ImageClassification` besides the crop of 224 pixels.
    """
    return Weights(
        url=f"https://download.pytorch.org/models/{file}",
        transforms=partial(ImageClassification, crop_size=224, **transform),
        meta={
            "min_size": (min_size, min_size),
            "categories": _IMAGENET_CATEGORIES,
            "num_params": params,
            "recipe": f"https://github.com/pytorch/vision/{recipe}",
            "_metrics": {"ImageNet-1K": {"acc@1": acc1, "acc@5": acc5}},
            "_ops": gflops,
            "_file_size": megabytes,
            "_docs": docs,
        },
    )
