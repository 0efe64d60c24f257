"""MobileNet V2 and its block of convolution, norm and activation: torchvision's names, numbers, outputs and gradients."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import rushlight
from rushlight import nn
from rushlight.vision import models, ops
from rushlight.vision.models.mobilenetv2 import InvertedResidual, MobileNetV2

STAGES = [[1, 8, 1, 1], [6, 8, 2, 2], [6, 16, 2, 2]]
SETTINGS = [{}, {"width_mult": 0.5}, {"width_mult": 1.3, "round_nearest": 4}, {"dropout": 0.0}]


def test_names_shapes_and_printed_form(oracle, torchvision):
    with oracle.torch.device("meta"):
        expected = torchvision.models.mobilenet_v2()
    with rushlight.device("meta"):
        actual = models.mobilenet_v2()
    shapes = {key: tuple(value.shape) for key, value in actual.state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in expected.state_dict().items()}
    assert list(shapes) == list(expected.state_dict())
    assert repr(actual) == repr(expected)
    assert [str(type(m)) for m in actual.modules()] == [str(type(m)) for m in expected.modules()]
    count = sum(parameter.numel() for parameter in actual.parameters())
    assert count == models.MobileNet_V2_Weights.DEFAULT.meta["num_params"]


def pair(oracle, torchvision, **settings):
    """The same small network, ours and torchvision's, each drawn from seed 5."""
    made = []
    for framework, family in ((rushlight, models.mobilenetv2), (oracle.torch, torchvision.models.mobilenetv2)):
        framework.manual_seed(5)
        made.append(family.MobileNetV2(num_classes=7, inverted_residual_setting=STAGES, **settings))
    return made


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_initial_numbers(oracle, torchvision, settings):
    actual, expected = pair(oracle, torchvision, **settings)
    assert repr(actual) == repr(expected)
    theirs = expected.state_dict()
    for key, value in actual.state_dict().items():
        oracle.assert_same(value, theirs[key], rtol=1e-6, atol=1e-8)
    oracle.assert_same(rushlight.rand(3), oracle.torch.rand(3), rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_outputs_and_a_training_step(oracle, torchvision, mode):
    actual, expected = pair(oracle, torchvision, dropout=0.0)
    actual.load_state_dict({name: oracle.to_rushlight(value) for name, value in expected.state_dict().items()})
    # In float64: a shift before a normalisation has no effect, so many gradients are small differences.
    actual.double().train(mode == "train"), expected.double().train(mode == "train")
    images = np.random.default_rng(0).standard_normal((3, 3, 32, 40))
    found = []
    for framework, model in ((rushlight, actual), (oracle.torch, expected)):
        optimizer = framework.optim.SGD(model.parameters(), lr=0.1)
        scores = model(framework.from_numpy(images))
        framework.nn.functional.cross_entropy(scores, framework.tensor([1, 6, 0])).backward()
        optimizer.step()
        found.append(scores)
    oracle.assert_same(*found, rtol=1e-9, atol=1e-9)
    for (name, ours), theirs in zip(actual.named_parameters(), expected.parameters(), strict=True):
        scale = float(theirs.grad.abs().max()) + 1e-6
        difference = np.abs(ours.grad.numpy() - theirs.grad.numpy()).max() / scale
        assert difference < 1e-8, f"gradient of {name}: relative difference {difference}"
    theirs = expected.state_dict()
    for key, value in actual.state_dict().items():
        oracle.assert_same(value, theirs[key], rtol=1e-8, atol=1e-9)


def test_other_blocks_and_norms():
    made = []

    def block(*args, **kwargs):
        made.append((args, kwargs["expand_ratio"]))
        return InvertedResidual(*args, **kwargs)

    net = MobileNetV2(
        num_classes=2, inverted_residual_setting=STAGES, block=block, norm_layer=lambda n: nn.GroupNorm(4, n)
    )
    assert made[:3] == [((32, 8, 1), 1), ((8, 8, 2), 6), ((8, 8, 1), 6)]
    assert isinstance(net.features[0][1], nn.GroupNorm)
    assert net(rushlight.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_only_blocks_that_keep_the_shape_add_their_input():
    assert InvertedResidual(8, 8, 1, 2).use_res_connect
    assert not InvertedResidual(8, 8, 2, 2).use_res_connect and not InvertedResidual(8, 16, 1, 2).use_res_connect


def test_errors_are_clear():
    with pytest.raises(ValueError, match="stride should be 1 or 2 instead of 3"):
        InvertedResidual(8, 8, 3, 1)
    for wrong in ([], [[1, 2, 3]]):
        with pytest.raises(ValueError, match="inverted_residual_setting should be non-empty or a 4-element list"):
            MobileNetV2(inverted_residual_setting=wrong)


BLOCKS = [
    ((3, 8), {}),
    ((3, 8, 5), {"stride": 2, "groups": 1, "norm_layer": None}),
    ((4, 8, (3, 1)), {"dilation": (2, 1), "groups": 2}),
    ((4, 8, 3), {"dilation": (2, 3)}),
    ((4, 8), {"activation_layer": None, "bias": True}),
    ((4, 8), {"padding": 0, "inplace": None}),
]


@pytest.mark.parametrize(("args", "settings"), BLOCKS, ids=str)
def test_convolution_norm_activation(oracle, torchvision, args, settings):
    made = []
    for framework, family in ((rushlight, ops.misc), (oracle.torch, torchvision.ops.misc)):
        framework.manual_seed(3)
        made.append(family.Conv2dNormActivation(*args, **settings))
    actual, expected = made
    assert repr(actual) == repr(expected) and str(type(actual)) == str(type(expected))
    assert actual.out_channels == 8
    images = np.random.default_rng(0).standard_normal((2, args[0], 9, 9)).astype(np.float32)
    found = actual(rushlight.from_numpy(images)), expected(oracle.torch.from_numpy(images))
    oracle.assert_same(*found, rtol=1e-4, atol=1e-5)


def test_three_dimensions_and_the_base_class(oracle, torchvision):
    found = ops.Conv3dNormActivation(2, 4)
    assert repr(found) == repr(torchvision.ops.Conv3dNormActivation(2, 4))
    assert found(rushlight.zeros(1, 2, 3, 3, 3)).shape == (1, 4, 3, 3, 3)
    with pytest.warns(UserWarning, match="Don't use ConvNormActivation directly"):
        ops.misc.ConvNormActivation(2, 4)


def test_copies_and_pickles():
    model = MobileNetV2(num_classes=2, inverted_residual_setting=STAGES).eval()
    images = rushlight.randn(1, 3, 32, 32)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is MobileNetV2 and repr(twin) == repr(model)
        assert rushlight.equal(twin(images), model(images))
