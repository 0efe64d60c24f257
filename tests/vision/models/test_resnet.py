"""The ResNet family: names, printed form and initial numbers are torchvision's, and so are outputs and gradients."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import rushlight
from rushlight import nn
from rushlight.vision import models
from rushlight.vision.models.resnet import BasicBlock, Bottleneck, ResNet

# The large ones are described by the same code; their keys and shapes are compared without drawing numbers.
BUILDERS = [
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
    "wide_resnet50_2", "wide_resnet101_2",
]  # fmt: skip


@pytest.mark.parametrize("name", BUILDERS)
def test_names_shapes_and_printed_form(oracle, torchvision, name):
    with oracle.torch.device("meta"):
        expected = getattr(torchvision.models, name)()
    with rushlight.device("meta"):
        actual = getattr(models, name)()
    shapes = {key: tuple(value.shape) for key, value in actual.state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in expected.state_dict().items()}
    assert list(shapes) == list(expected.state_dict())
    assert repr(actual) == repr(expected)
    assert str(type(actual)) == str(type(expected)) == "<class 'torchvision.models.resnet.ResNet'>"
    count = sum(parameter.numel() for parameter in actual.parameters())
    assert count == models.get_model_weights(name).DEFAULT.meta["num_params"]


def pair(oracle, torchvision, **settings):
    """The same small network, ours and torchvision's, each drawn from seed 5."""
    block = settings.pop("block", "BasicBlock")
    made = []
    for framework, resnet in ((rushlight, models.resnet), (oracle.torch, torchvision.models.resnet)):
        framework.manual_seed(5)
        made.append(resnet.ResNet(getattr(resnet, block), [1, 1, 1, 1], num_classes=7, **settings))
    return made


SETTINGS = [
    {},
    {"zero_init_residual": True},
    {"block": "Bottleneck", "zero_init_residual": True},
    {"block": "Bottleneck", "groups": 2, "width_per_group": 32},
    {"block": "Bottleneck", "replace_stride_with_dilation": [False, True, True]},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_initial_numbers(oracle, torchvision, settings):
    actual, expected = pair(oracle, torchvision, **settings)
    assert repr(actual) == repr(expected)
    theirs = expected.state_dict()
    for key, value in actual.state_dict().items():
        oracle.assert_same(value, theirs[key], rtol=1e-6, atol=0)
    oracle.assert_same(rushlight.rand(3), oracle.torch.rand(3), rtol=0, atol=0)


@pytest.mark.parametrize("settings", SETTINGS)
def test_outputs_and_gradients(oracle, torchvision, settings):
    actual, expected = pair(oracle, torchvision, **settings)
    with oracle.torch.no_grad():
        for ours, theirs in zip(actual.parameters(), expected.parameters(), strict=True):
            ours.data.copy_(oracle.to_rushlight(theirs))
    images = np.random.default_rng(0).standard_normal((2, 3, 40, 48)).astype(np.float32)
    scores, scores_expected = actual(rushlight.from_numpy(images)), expected(oracle.torch.from_numpy(images))
    oracle.assert_same(scores, scores_expected, rtol=1e-3, atol=1e-4)
    assert type(scores.grad_fn).__name__ == "AddmmBackward0"
    scores.square().sum().backward()
    scores_expected.square().sum().backward()
    for (name, ours), theirs in zip(actual.named_parameters(), expected.parameters(), strict=True):
        scale = float(theirs.grad.abs().max()) + 1e-6
        difference = np.abs(ours.grad.numpy() - theirs.grad.numpy()).max() / scale
        assert difference < 5e-3, f"gradient of {name}: relative difference {difference}"
    for ours, theirs in zip(actual.buffers(), expected.buffers(), strict=True):
        oracle.assert_same(ours, theirs, rtol=1e-4, atol=1e-5)
    actual.eval(), expected.eval()
    evaluated = actual(rushlight.from_numpy(images)), expected(oracle.torch.from_numpy(images))
    oracle.assert_same(*evaluated, rtol=1e-3, atol=1e-4)


def test_group_normalisation():
    model = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2, norm_layer=lambda n: nn.GroupNorm(4, n))
    assert isinstance(model.layer1[0].bn1, nn.GroupNorm)
    assert model(rushlight.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_errors_are_clear():
    with pytest.raises(ValueError, match="BasicBlock only supports groups=1 and base_width=64"):
        BasicBlock(8, 8, groups=2)
    with pytest.raises(NotImplementedError, match="Dilation > 1 not supported in BasicBlock"):
        BasicBlock(8, 8, dilation=2)
    with pytest.raises(ValueError, match="replace_stride_with_dilation should be None or a 3-element tuple"):
        ResNet(Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[True])
    with pytest.raises(ValueError, match="The parameter 'groups' expected value 32 but got 3 instead."):
        models.resnext50_32x4d(groups=3)


def small():
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=2)


def test_copies_and_pickles_without_torchvision():
    model = small()
    images = rushlight.randn(2, 3, 32, 32)
    model.eval()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is ResNet and repr(twin) == repr(model)
        assert rushlight.equal(twin(images), model(images))


def test_whole_models_are_saved_for_torchvision_and_read_from_it(oracle, torchvision):
    file = io.BytesIO()
    rushlight.save(small(), file)
    file.seek(0)
    theirs = oracle.torch.load(file, weights_only=False)
    assert type(theirs) is torchvision.models.ResNet
    file = io.BytesIO()
    oracle.torch.save(theirs, file)
    file.seek(0)
    ours = rushlight.load(file)
    assert type(ours) is ResNet and ours.fc.weight.shape == (2, 512)
