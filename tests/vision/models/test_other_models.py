"""AlexNet, SqueezeNet and VGG: names, printed forms, initial numbers and outputs are torchvision's."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight.vision import models

VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_0", "squeezenet1_1", *VGGS])
def test_names_shapes_and_printed_form(oracle, torchvision, name):
    with oracle.torch.device("meta"):
        expected = getattr(torchvision.models, name)()
    with rushlight.device("meta"):
        actual = getattr(models, name)()
    shapes = {key: tuple(value.shape) for key, value in actual.state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in expected.state_dict().items()}
    assert repr(actual) == repr(expected) and str(type(actual)) == str(type(expected))
    assert sum(p.numel() for p in actual.parameters()) == models.get_model_weights(name).DEFAULT.meta["num_params"]


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
def test_squeezenet(oracle, torchvision, name):
    rushlight.manual_seed(2), oracle.torch.manual_seed(2)
    actual = getattr(models, name)(num_classes=5).eval()
    expected = getattr(torchvision.models, name)(num_classes=5).eval()
    theirs = expected.state_dict()
    for key, value in actual.state_dict().items():
        oracle.assert_same(value, theirs[key], rtol=1e-6, atol=1e-8)
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    oracle.assert_same(
        actual(rushlight.from_numpy(images)), expected(oracle.torch.from_numpy(images)), rtol=1e-4, atol=1e-4
    )


def test_squeezenet_has_two_versions():
    with pytest.raises(ValueError, match="Unsupported SqueezeNet version 2: 1_0 or 1_1 expected"):
        models.SqueezeNet("2")


def test_vgg(oracle, torchvision):
    plan = [8, "M", 512, "M"]
    made = []
    for framework, vgg in ((rushlight, models.vgg), (oracle.torch, torchvision.models.vgg)):
        framework.manual_seed(1)
        # The classifier's parameters, 120 million, are not drawn.
        with framework.device("meta"):
            net = vgg.VGG(framework.nn.Identity(), init_weights=False, num_classes=3)
        net.features, net.classifier = vgg.make_layers(plan, batch_norm=True), framework.nn.Flatten()
        made.append(net.eval())
    actual, expected = made
    theirs = expected.state_dict()
    for key, value in actual.state_dict().items():
        oracle.assert_same(value, theirs[key], rtol=1e-6, atol=0)
    images = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    oracle.assert_same(actual(rushlight.from_numpy(images)), expected(oracle.torch.from_numpy(images)), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vgg_and_alexnet_draw_torchvisions_numbers(oracle, torchvision):
    for name in ("alexnet", "vgg11"):
        rushlight.manual_seed(4), oracle.torch.manual_seed(4)
        actual, expected = getattr(models, name)(num_classes=2), getattr(torchvision.models, name)(num_classes=2)
        theirs = expected.state_dict()
        for key, value in actual.state_dict().items():
            oracle.assert_same(value, theirs[key], rtol=1e-6, atol=1e-8)
