"""The official weights: the facts are torchvision's, members are found by name, and state dicts come from the cache."""

from __future__ import annotations

import copy
import pickle
import urllib.request

import pytest

import rushlight
from rushlight.vision import models
from rushlight.vision.models import ResNet18_Weights, ResNet50_Weights, VGG16_Weights
from rushlight.vision.models._api import BUILTIN_MODELS, WeightsEnum

ENUMS = sorted((cls.__name__ for cls in WeightsEnum.__subclasses__() if cls.__module__.startswith("rushlight")), key=str)


@pytest.mark.parametrize("name", ENUMS)
def test_facts_are_torchvisions(torchvision, name):
    ours, theirs = getattr(models, name), getattr(torchvision.models, name)
    assert list(ours.__members__) == list(theirs.__members__)
    for member in theirs.__members__:
        actual, expected = ours[member], theirs[member]
        assert repr(actual) == repr(expected) and str(actual) == str(expected)
        assert actual.url == expected.url
        assert repr(actual.transforms()) == repr(expected.transforms())
        assert set(actual.meta) == set(expected.meta)
        for key in set(expected.meta) - {"_docs", "_metrics"}:
            assert actual.meta[key] == expected.meta[key], key
        metrics = actual.meta["_metrics"]["ImageNet-1K"]
        assert metrics == pytest.approx(expected.meta["_metrics"]["ImageNet-1K"], nan_ok=True)


def test_models_are_torchvisions(torchvision):
    ours = set(models.list_models())
    assert {"resnet18", "resnet152", "wide_resnet101_2", "resnext101_64x4d", "alexnet", "vgg19_bn"} <= ours
    assert ours <= set(torchvision.models.list_models())


def test_categories():
    names = ResNet18_Weights.DEFAULT.meta["categories"]
    assert len(names) == 1000 and names[0] == "tench" and names[-1] == "toilet tissue"


def test_default_is_the_best_member():
    assert ResNet18_Weights.DEFAULT is ResNet18_Weights.IMAGENET1K_V1
    assert ResNet50_Weights.DEFAULT is ResNet50_Weights.IMAGENET1K_V2
    assert ResNet50_Weights.IMAGENET1K_V1 is not ResNet50_Weights.IMAGENET1K_V2


def test_verify():
    assert ResNet50_Weights.verify(None) is None
    assert ResNet50_Weights.verify("IMAGENET1K_V1") is ResNet50_Weights.IMAGENET1K_V1
    assert ResNet50_Weights.verify("ResNet50_Weights.DEFAULT") is ResNet50_Weights.IMAGENET1K_V2
    assert ResNet50_Weights.verify(ResNet50_Weights.DEFAULT) is ResNet50_Weights.DEFAULT
    with pytest.raises(TypeError, match="expected ResNet18_Weights but received ResNet50_Weights"):
        ResNet18_Weights.verify(ResNet50_Weights.DEFAULT)
    with pytest.raises(KeyError, match="V9: ResNet18_Weights has IMAGENET1K_V1, DEFAULT"):
        ResNet18_Weights.verify("V9")


def test_get_weight():
    assert models.get_weight("ResNet50_Weights.IMAGENET1K_V2") is ResNet50_Weights.IMAGENET1K_V2
    with pytest.raises(ValueError, match="Invalid weight name provided: 'ResNet50'"):
        models.get_weight("ResNet50")
    with pytest.raises(ValueError, match="'Nothing_Weights' for the specific method couldn't be retrieved"):
        models.get_weight("Nothing_Weights.V1")
    with pytest.raises(KeyError):
        models.get_weight("ResNet50_Weights.V9")


def test_models_by_name():
    assert models.get_model_weights("resnet18") is ResNet18_Weights
    assert models.get_model_weights(models.resnet50) is ResNet50_Weights
    assert models.get_model_builder("ResNet18") is models.resnet18
    assert models.get_model("squeezenet1_1", num_classes=3).num_classes == 3
    with pytest.raises(ValueError, match="Unknown model resnet19"):
        models.get_model_builder("resnet19")
    for name, builder in BUILTIN_MODELS.items():
        assert models.get_model_weights(name).__name__.lower().startswith(name.replace("_bn", "")), builder


def test_list_models():
    assert models.list_models(include="resnet*", exclude=["*1*", "*50*"]) == ["resnet34"]
    assert models.list_models(module=models) == models.list_models()
    assert models.list_models(module=rushlight) == []


@pytest.mark.parametrize("weights", [ResNet50_Weights.IMAGENET1K_V1, VGG16_Weights.IMAGENET1K_FEATURES])
def test_members_survive_copying_and_pickling(weights):
    assert copy.deepcopy(weights) is weights
    assert pickle.loads(pickle.dumps(weights)) is weights


def test_weights_compare_by_value():
    weights = ResNet50_Weights.IMAGENET1K_V1.value
    assert weights == copy.deepcopy(weights)
    assert weights != ResNet50_Weights.IMAGENET1K_V2.value
    assert weights != "weights"


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_weights_come_from_torchs_own_cache(oracle, torchvision, torch_home):
    torch = oracle.torch
    torch.manual_seed(0)
    theirs = torchvision.models.squeezenet1_1().eval()
    # The name holds the first digits of the checksum, which this file does not have: a cached file is not checked again.
    torch.save(theirs.state_dict(), torch_home / "squeezenet1_1-b8a52dc0.pth")
    ours = models.squeezenet1_1(weights="DEFAULT").eval()
    oracle.assert_same(ours(rushlight.ones(1, 3, 64, 64)), theirs(torch.ones(1, 3, 64, 64)), rtol=1e-4, atol=1e-5)
    state = models.SqueezeNet1_1_Weights.DEFAULT.get_state_dict(progress=False)
    assert list(state) == list(theirs.state_dict())


def test_old_checkpoints_lack_a_buffer(oracle, torchvision, torch_home):
    torch = oracle.torch
    with rushlight.device("meta"):
        names = list(models.resnet18().state_dict())
    state = torchvision.models.resnet18().state_dict()
    kept = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(names)
    torch.save(kept, torch_home / "resnet18-f37072fd.pth")
    model = models.resnet18(weights=ResNet18_Weights.DEFAULT)
    oracle.assert_same(model.layer4[1].bn2.weight, state["layer4.1.bn2.weight"])


def test_being_offline_is_explained(torch_home, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("there is no network here")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(RuntimeError, match="there is no network here") as error:
        models.resnet18(weights="DEFAULT", progress=False)
    for part in (ResNet18_Weights.DEFAULT.url, str(torch_home / "resnet18-f37072fd.pth"), "download the file elsewhere"):
        assert part in str(error.value)
