"""Every layer's forward and gradients against torch's, in training and evaluation mode."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")

# expression | shapes of the inputs
CASES = """
nn.Identity()|2,3
nn.Linear(3, 4)|2,3
nn.Linear(3, 4, bias=False)|2,5,3
nn.Bilinear(2, 3, 4)|5,2;5,3
nn.LazyLinear(4)|2,3
nn.Conv1d(4, 6, 3, padding='same', dilation=2)|2,4,9
nn.Conv2d(3, 8, (3, 5), stride=2, padding=1, bias=False)|2,3,9,8
nn.Conv2d(4, 8, 3, groups=2, padding_mode='circular', padding=(1, 2))|2,4,6,7
nn.Conv2d(2, 3, 3, padding='same', padding_mode='reflect')|2,5,6
nn.Conv3d(2, 3, 3, dilation=(1, 2, 1))|1,2,5,6,5
nn.ConvTranspose1d(4, 6, 3)|2,4,5
nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, 2, False, 2)|2,4,5,5
nn.ConvTranspose3d(2, 3, (1, 2, 3))|1,2,3,3,3
nn.LazyConv1d(3, 2)|2,4,6
nn.LazyConv2d(4, 2, groups=2)|2,4,6,6
nn.LazyConvTranspose2d(3, 2)|2,4,3,3
nn.MaxPool1d(2)|2,3,7
nn.MaxPool2d(3, 2, 1)|2,3,7,7
nn.MaxPool3d((1, 2, 2), ceil_mode=True)|2,2,3,5,5
nn.AvgPool1d(2)|2,3,7
nn.AvgPool2d(2, divisor_override=3, count_include_pad=False)|2,3,5,5
nn.AvgPool3d(2)|2,2,4,4,4
nn.LPPool1d(2, 3, stride=2, ceil_mode=True)|2,3,8
nn.LPPool2d(2, 3)|2,3,7,7
nn.AdaptiveAvgPool1d(3)|2,3,8
nn.AdaptiveAvgPool2d((2, None))|2,3,7,5
nn.AdaptiveMaxPool2d(3)|2,3,7,5
nn.BatchNorm1d(3)|4,3
nn.BatchNorm1d(3, bias=False)|4,3,5
nn.BatchNorm2d(3)|2,3,4,4
nn.BatchNorm3d(3, affine=False, momentum=None)|2,3,2,2,2
nn.BatchNorm2d(3, track_running_stats=False)|2,3,4,4
nn.LazyBatchNorm2d(momentum=None)|2,3,4,4
nn.InstanceNorm1d(4)|2,4,5
nn.InstanceNorm2d(4, affine=True, track_running_stats=True)|2,4,3,3
nn.InstanceNorm2d(4)|4,3,3
nn.LazyInstanceNorm1d()|2,4,5
nn.LayerNorm([3, 4])|2,3,4
nn.LayerNorm(4, bias=False)|2,3,4
nn.GroupNorm(2, 4)|2,4,3
nn.RMSNorm(4)|2,3,4
nn.LocalResponseNorm(3)|2,5,4,4
nn.Dropout(0.3)|20,5
nn.Dropout1d()|4,5,3
nn.Dropout2d(0.2)|4,5,3,3
nn.Dropout3d()|4,5,2,2,2
nn.AlphaDropout(0.2)|20,5
nn.FeatureAlphaDropout()|4,5,3,3
nn.Flatten()|2,3,4
nn.Unflatten(1, (2, -1))|3,6
nn.ConstantPad1d(2, 3.5)|2,3
nn.ZeroPad2d((1, 2, 0, 1))|2,3,4
nn.ReflectionPad2d((1, 2, 3, 1))|2,3,5,5
nn.ReplicationPad3d(1)|1,2,3,3,3
nn.CircularPad2d(2)|2,3,5,5
nn.Upsample(size=(3, 4), mode='bilinear', align_corners=True)|1,2,5,5
nn.Upsample(scale_factor=2)|1,2,3,3
nn.UpsamplingBilinear2d(scale_factor=2)|1,2,3,3
nn.PixelShuffle(2)|1,8,3,3
nn.PixelUnshuffle(2)|1,2,4,4
nn.Fold((4, 5), 2)|1,8,12
nn.Unfold(2, padding=1)|1,2,4,4
nn.PairwiseDistance()|4,3;4,3
nn.CosineSimilarity()|4,3;4,3
nn.ChannelShuffle(2)|1,4,2,2
nn.Threshold(0.1, 20)|4,5
nn.ReLU()|4,5
nn.RReLU(0.2, 0.2)|4,5
nn.Hardtanh()|4,5
nn.ReLU6()|4,5
nn.Sigmoid()|4,5
nn.Hardsigmoid()|4,5
nn.Tanh()|4,5
nn.SiLU()|4,5
nn.Mish()|4,5
nn.Hardswish()|4,5
nn.ELU(2)|4,5
nn.CELU()|4,5
nn.SELU()|4,5
nn.GLU()|4,6
nn.GELU('tanh')|4,5
nn.Hardshrink()|4,5
nn.LeakyReLU(0.2)|4,5
nn.LogSigmoid()|4,5
nn.Softplus()|4,5
nn.Softshrink(0.3)|4,5
nn.PReLU(5)|4,5
nn.Softsign()|4,5
nn.Tanhshrink()|4,5
nn.Softmin(1)|4,5
nn.Softmax(-1)|4,5
nn.Softmax2d()|2,3,2,2
nn.LogSoftmax(dim=-1)|4,5
nn.L1Loss()|4,5;4,5
nn.MSELoss(reduction='sum')|4,5;4,5
nn.SmoothL1Loss(beta=2)|4,5;4,5
nn.HuberLoss(delta=0.5)|4,5;4,5
nn.KLDivLoss(reduction='batchmean', log_target=True)|4,5;4,5
nn.PoissonNLLLoss()|4,5;4,5
nn.CosineEmbeddingLoss()|4,5;4,5;sign 4
nn.MarginRankingLoss(0.2)|4;4;sign 4
nn.HingeEmbeddingLoss()|4,5;sign 4,5
nn.SoftMarginLoss()|4,5;sign 4,5
nn.BCEWithLogitsLoss()|4,5;bit 4,5
nn.MultiLabelSoftMarginLoss()|4,5;bit 4,5
nn.CrossEntropyLoss(label_smoothing=0.1)|4,5;class 4
nn.CrossEntropyLoss(ignore_index=1, reduction='none')|4,5,2;class 4,2
nn.NLLLoss()|4,5;class 4
nn.MultiMarginLoss(p=2)|4,5;class 4
nn.TripletMarginLoss()|4,5;4,5;4,5
nn.TripletMarginWithDistanceLoss(swap=True)|4,5;4,5;4,5
nn.GaussianNLLLoss(full=True)|4,5;4,5;unit 4,5
nn.BCELoss()|unit 4,5;bit 4,5
nn.Embedding(5, 3, padding_idx=0)|class 4,2
nn.EmbeddingBag(5, 3, mode='sum')|class 4,2
nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))|2,1,6,6
"""


def make_input(text: str, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    kind, _, shape = text.rpartition(" ")
    size = tuple(int(n) for n in shape.split(","))
    if kind == "sign":
        return np.where(rng.random(size) < 0.5, -1.0, 1.0).astype(np.float32)
    if kind == "bit":
        return (rng.random(size) < 0.5).astype(np.float32)
    if kind == "class":
        return rng.integers(0, 5, size)
    if kind == "unit":
        return rng.uniform(0.1, 0.9, size).astype(np.float32)
    return rng.normal(size=size).astype(np.float32)


def results(library: Any, expression: str, arrays: list[Any], names: list[str], training: bool) -> list[Any]:
    """The output, the gradients of inputs and parameters, and the buffers afterwards, as NumPy arrays."""
    library.manual_seed(3)
    model = eval(expression, {"nn": library.nn})
    tensors = [library.from_numpy(a.copy()) for a in arrays]
    wanted = [
        t.requires_grad_() for t, name in zip(tensors, names, strict=True) if t.is_floating_point() and " " not in name
    ]
    model(*tensors)
    model.zero_grad()
    model.train(training)
    out = model(*tensors)
    if out.requires_grad:
        (out * library.linspace(0.5, 1.5, out.numel()).reshape(out.shape)).sum().backward()
    found = [out.detach(), *[t.grad for t in wanted], *[p.grad for p in model.parameters()], *model.buffers()]
    return [None if t is None else t.numpy() for t in found]


@pytest.mark.parametrize("case", CASES.strip().split("\n"))
def test_like_torch(case: str) -> None:
    expression, shapes = case.rsplit("|", 1)
    names = shapes.split(";")
    rng = np.random.default_rng(0)
    arrays = [make_input(name, rng) for name in names]
    for training in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about lazy modules and 'same' padding of even kernels
            ours = results(rushlight, expression, arrays, names, training)
            theirs = results(torch, expression, arrays, names, training)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert a.dtype == b.dtype and a.shape == b.shape
                np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_lazy_modules_become_the_plain_ones() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    model(rushlight.ones(2, 3, 5, 5))
    assert [type(m) for m in model] == [nn.Conv2d, nn.BatchNorm2d, nn.Flatten, nn.Linear]
    assert repr(model[0]) == "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))" and model[3].in_features == 36
    assert type(model[0].weight) is nn.Parameter and len(model[0]._forward_pre_hooks) == 0


def test_max_unpool_and_transposed_output_size() -> None:
    x = rushlight.arange(16.0).reshape(1, 1, 4, 4)
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(values, indices)
    assert back.shape == (1, 1, 4, 4) and back.sum().item() == values.sum().item()
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2)
    assert layer(x).shape == (1, 1, 9, 9) and layer(x, output_size=(10, 10)).shape == (1, 1, 10, 10)
    assert layer(x, output_size=(1, 1, 10, 9)).shape == (1, 1, 10, 9)


def test_embedding_bag_with_offsets() -> None:
    bag = nn.EmbeddingBag(5, 2, mode="mean")
    out = bag(rushlight.tensor([0, 1, 4]), rushlight.tensor([0, 2]))
    expected = [((bag.weight[0] + bag.weight[1]) / 2).tolist(), bag.weight[4].tolist()]
    np.testing.assert_allclose(out.tolist(), expected, rtol=1e-6)
