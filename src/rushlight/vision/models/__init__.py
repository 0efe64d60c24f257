"""Image classifiers with torchvision's builders, module names and official weights.

>>> model = resnet18(num_classes=10)
>>> sum(parameter.numel() for parameter in model.parameters())
11181642
"""

from __future__ import annotations

from rushlight.vision.models._api import (
    Weights,
    WeightsEnum,
    get_model,
    get_model_builder,
    get_model_weights,
    get_weight,
    list_models,
)
from rushlight.vision.models.alexnet import *
from rushlight.vision.models.mobilenetv2 import *
from rushlight.vision.models.resnet import *
from rushlight.vision.models.squeezenet import *
from rushlight.vision.models.vgg import *
