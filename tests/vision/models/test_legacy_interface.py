"""Builders take what torchvision before 0.13 took, with torchvision's warnings word for word."""

from __future__ import annotations

import inspect
import warnings
from collections import OrderedDict

import pytest

import rushlight as torch
from rushlight import nn, vision
from rushlight.vision import models
from rushlight.vision.models import ResNet18_Weights
from rushlight.vision.models._utils import IntermediateLayerGetter, _make_divisible, _ovewrite_value_param

OLD_NAME = (
    "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, please use 'weights' instead."
)
POSITIONAL = (
    "Using 'weights' as positional parameter(s) is deprecated since 0.13 and may be removed in the future. Please use "
    "keyword parameter(s) instead."
)
OLD_VALUE = (
    "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and may be removed in the future. "
    "The current behavior is equivalent to passing `weights={}`."
)
TRUE = OLD_VALUE.format("ResNet18_Weights.IMAGENET1K_V1") + (
    " You can also use `weights=ResNet18_Weights.DEFAULT` to get the most up-to-date weights."
)
NONE = OLD_VALUE.format("None")


@pytest.fixture
def asked(monkeypatch):
    """The weights whose state dicts were asked for; none is downloaded."""
    found = []

    def get_state_dict(weights, **kwargs):
        found.append(weights)
        return {}

    monkeypatch.setattr(models._api.WeightsEnum, "get_state_dict", get_state_dict)
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda self, state: None)
    return found


def heard(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(warning.category is UserWarning for warning in caught)
    assert all(warning.filename == __file__ for warning in caught)
    return [str(warning.message) for warning in caught]


CALLS = [
    ((), {}, [], None),
    ((), {"weights": None}, [], None),
    ((), {"weights": "DEFAULT"}, [], ResNet18_Weights.DEFAULT),
    ((), {"weights": "ResNet18_Weights.IMAGENET1K_V1"}, [], ResNet18_Weights.DEFAULT),
    ((), {"weights": ResNet18_Weights.DEFAULT}, [], ResNet18_Weights.DEFAULT),
    ((), {"pretrained": True}, [OLD_NAME, TRUE], ResNet18_Weights.DEFAULT),
    ((), {"pretrained": False}, [OLD_NAME, NONE], None),
    ((), {"pretrained": None}, [OLD_NAME, NONE], None),
    ((), {"weights": True}, [TRUE], ResNet18_Weights.DEFAULT),
    ((), {"weights": False}, [NONE], None),
    ((True,), {}, [POSITIONAL, TRUE], ResNet18_Weights.DEFAULT),
    ((False,), {}, [POSITIONAL, NONE], None),
    ((None,), {}, [POSITIONAL], None),
    ((ResNet18_Weights.DEFAULT, False), {}, [POSITIONAL.replace("'weights'", "'weights' and 'progress'")],
     ResNet18_Weights.DEFAULT),
]  # fmt: skip


@pytest.mark.parametrize("args, kwargs, messages, weights", CALLS)
def test_calls(asked, args, kwargs, messages, weights):
    with torch.device("meta"):
        assert heard(lambda: models.resnet18(*args, **kwargs)) == messages
    assert asked == ([] if weights is None else [weights])


@pytest.mark.parametrize("args, kwargs", [call[:2] for call in CALLS if not isinstance(call[1].get("weights"), models.WeightsEnum)])
def test_calls_are_torchvisions(asked, oracle, torchvision, monkeypatch, args, kwargs):
    theirs = torchvision.models
    monkeypatch.setattr(theirs._api.WeightsEnum, "get_state_dict", lambda self, **kwargs: {})
    monkeypatch.setattr(oracle.torch.nn.Module, "load_state_dict", lambda self, state: None)
    args = tuple(theirs.ResNet18_Weights.DEFAULT if isinstance(a, models.WeightsEnum) else a for a in args)
    with warnings.catch_warnings(record=True) as caught, oracle.torch.device("meta"):
        warnings.simplefilter("always")
        theirs.resnet18(*args, **kwargs)
    args = tuple(ResNet18_Weights.DEFAULT if isinstance(a, theirs.WeightsEnum) else a for a in args)
    with torch.device("meta"):
        assert heard(lambda: models.resnet18(*args, **kwargs)) == [str(warning.message) for warning in caught]


def test_number_of_classes_must_be_the_weights(asked):
    with pytest.raises(ValueError, match="The parameter 'num_classes' expected value 1000 but got 10 instead."):
        models.resnet18(weights="DEFAULT", num_classes=10)
    models.resnet18(weights="DEFAULT", num_classes=1000)


def test_initial_numbers_are_drawn_with_weights_too(asked):
    torch.manual_seed(0)
    models.squeezenet1_1()
    expected = torch.rand(1)
    torch.manual_seed(0)
    models.squeezenet1_1(weights="DEFAULT")
    assert torch.equal(torch.rand(1), expected)


def test_a_builder_looks_like_its_own_function():
    assert repr(models.resnet18).startswith("<function resnet18 at 0x")
    parameters = inspect.signature(models.resnet18).parameters
    assert list(parameters) == ["weights", "progress", "kwargs"]
    assert parameters["weights"].kind is inspect.Parameter.KEYWORD_ONLY and parameters["progress"].default is True
    assert vision.__version__ == "0.28.0+rushlight.0.1.0"


def test_wrong_arguments_are_errors():
    with pytest.raises(TypeError, match="num_clases"):
        models.resnet18(num_clases=10)
    with pytest.raises(KeyError, match="IMAGENET1K_V2"):
        models.resnet18(weights="IMAGENET1K_V2")


def test_intermediate_layers():
    stack = nn.Sequential(OrderedDict(first=nn.Identity(), second=nn.ReLU(), third=nn.Identity()))
    getter = IntermediateLayerGetter(stack, {"first": "raw", "second": "positive"})
    outputs = getter(torch.tensor([-1.0, 2.0]))
    assert {name: value.tolist() for name, value in outputs.items()} == {"raw": [-1.0, 2.0], "positive": [0.0, 2.0]}
    assert list(getter) == ["first", "second"]
    with pytest.raises(ValueError, match="return_layers are not present in model"):
        IntermediateLayerGetter(stack, {"fourth": "x"})


def test_small_helpers():
    assert [_make_divisible(v, 8) for v in (1, 12, 20, 37, 100)] == [8, 16, 24, 40, 104]
    assert _ovewrite_value_param("p", None, 3) == 3
    with pytest.raises(ValueError, match="expected value 3 but got 4"):
        _ovewrite_value_param("p", 4, 3)
