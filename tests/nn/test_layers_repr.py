"""Every layer against torch's: repr, settings, initial values, signature and path."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")

LAYERS = """
nn.Identity(3, a=1)|nn.Linear(3, 4)|nn.Linear(3, 4, bias=False)|nn.Bilinear(2, 3, 4)|nn.LazyLinear(3)
nn.Conv1d(4, 6, 3)|nn.Conv1d(4, 6, 3, padding='same', dilation=2)
nn.Conv2d(3, 8, (3, 5), stride=2, padding=1, bias=False)
nn.Conv2d(4, 8, 3, groups=2, padding_mode='circular', padding=(1, 2))|nn.Conv2d(3, 3, 3, padding='valid')
nn.Conv3d(2, 3, 3, dilation=(1, 2, 1))|nn.ConvTranspose1d(4, 6, 3)|nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, 2, False, 2)
nn.ConvTranspose3d(2, 3, (1, 2, 3))|nn.LazyConv1d(3, 2)|nn.LazyConv2d(4, 2, groups=2)|nn.LazyConv3d(2, 2, bias=False)
nn.LazyConvTranspose1d(3, 2)|nn.LazyConvTranspose2d(3, 2)|nn.LazyConvTranspose3d(3, 2)|nn.MaxPool1d(2)
nn.MaxPool2d(3, 2, 1, return_indices=True)|nn.MaxPool3d((1, 2, 2), ceil_mode=True)|nn.MaxUnpool1d(2)
nn.MaxUnpool2d(2, padding=1)|nn.MaxUnpool3d(2)|nn.AvgPool1d(2)
nn.AvgPool2d(2, divisor_override=3, count_include_pad=False)|nn.AvgPool3d(2)
nn.LPPool1d(1.5, 3, stride=2, ceil_mode=True)|nn.LPPool2d(2, 3)|nn.LPPool3d(2, 3)|nn.AdaptiveAvgPool1d(3)
nn.AdaptiveAvgPool2d((1, None))|nn.AdaptiveAvgPool3d(2)|nn.AdaptiveMaxPool1d(3)
nn.AdaptiveMaxPool2d(3, return_indices=True)|nn.AdaptiveMaxPool3d(2)|nn.BatchNorm1d(3, bias=False)|nn.BatchNorm2d(3)
nn.BatchNorm3d(3, affine=False, momentum=None, track_running_stats=False)|nn.LazyBatchNorm1d()
nn.LazyBatchNorm2d(momentum=None)|nn.LazyBatchNorm3d()|nn.InstanceNorm1d(4)|nn.InstanceNorm2d(4, affine=True)
nn.InstanceNorm3d(4, track_running_stats=True)|nn.LazyInstanceNorm1d()|nn.LazyInstanceNorm2d()
nn.LazyInstanceNorm3d(affine=False)|nn.LayerNorm([3, 4])|nn.LayerNorm(3, bias=False)
nn.LayerNorm(3, elementwise_affine=False)|nn.GroupNorm(2, 4)|nn.GroupNorm(2, 4, affine=False)
nn.GroupNorm(2, 4, bias=False)|nn.RMSNorm(4)|nn.RMSNorm((4, 3), eps=1e-3)|nn.RMSNorm(4, elementwise_affine=False)
nn.LocalResponseNorm(3)|nn.Dropout(0.3)|nn.Dropout1d()|nn.Dropout2d()|nn.Dropout3d()|nn.AlphaDropout(0.2, True)
nn.FeatureAlphaDropout()|nn.Embedding(30, 4)
nn.Embedding(3, 4, padding_idx=-1, max_norm=1, scale_grad_by_freq=True, sparse=True, norm_type=3.)
nn.EmbeddingBag(3, 4)
nn.EmbeddingBag(3, 4, mode='sum', max_norm=2., padding_idx=1, scale_grad_by_freq=True, include_last_offset=True)
nn.Flatten()|nn.Unflatten(1, (2, 3))|nn.ConstantPad1d(2, 3.5)|nn.ConstantPad2d(2, 1)|nn.ConstantPad3d(1, 2)
nn.ZeroPad1d(1)|nn.ZeroPad2d(1)|nn.ZeroPad3d(1)|nn.ReflectionPad1d(1)|nn.ReflectionPad2d((1, 2, 3, 4))
nn.ReflectionPad3d(1)|nn.ReplicationPad1d((1, 2))|nn.ReplicationPad2d(1)|nn.ReplicationPad3d(2)|nn.CircularPad1d(2)
nn.CircularPad2d(2)|nn.CircularPad3d(2)|nn.Upsample(size=(3, 4), mode='bilinear', align_corners=True)
nn.Upsample(scale_factor=(2, 3))|nn.UpsamplingBilinear2d(scale_factor=2)|nn.UpsamplingNearest2d(size=3)
nn.PixelShuffle(2)|nn.PixelUnshuffle(3)|nn.Fold((4, 5), 2)|nn.Unfold(2, padding=1)|nn.PairwiseDistance()
nn.CosineSimilarity()|nn.ChannelShuffle(2)|nn.Threshold(0.1, 20)|nn.Threshold(0.1, 20, True)|nn.ReLU()|nn.ReLU(True)
nn.RReLU()|nn.RReLU(inplace=True)|nn.Hardtanh()|nn.Hardtanh(-2, 2, inplace=True)|nn.ReLU6()|nn.ReLU6(True)
nn.Sigmoid()|nn.Hardsigmoid(True)|nn.Tanh()|nn.SiLU()|nn.SiLU(True)|nn.Mish(True)|nn.Hardswish(True)|nn.ELU(2, True)
nn.CELU()|nn.CELU(2, True)|nn.SELU(True)|nn.GLU()|nn.GELU('tanh')|nn.Hardshrink()|nn.LeakyReLU(0.2, True)
nn.LogSigmoid()|nn.Softplus()|nn.Softshrink(0.3)|nn.PReLU(3)|nn.Softsign()|nn.Tanhshrink()|nn.Softmin(1)|nn.Softmax()
nn.Softmax2d()|nn.LogSoftmax(dim=-1)|nn.L1Loss()|nn.MSELoss(reduction='sum')|nn.SmoothL1Loss(beta=2)
nn.HuberLoss(delta=2)|nn.BCELoss()|nn.BCEWithLogitsLoss()|nn.NLLLoss(ignore_index=3)
nn.CrossEntropyLoss(label_smoothing=0.1)|nn.KLDivLoss(log_target=True)|nn.PoissonNLLLoss()
nn.GaussianNLLLoss(full=True)|nn.HingeEmbeddingLoss()|nn.MarginRankingLoss(0.2)|nn.CosineEmbeddingLoss()
nn.TripletMarginLoss()|nn.TripletMarginWithDistanceLoss()|nn.MultiMarginLoss(p=2)|nn.MultiLabelMarginLoss()
nn.MultiLabelSoftMarginLoss()|nn.SoftMarginLoss()
nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2), nn.Dropout()))|nn.Sequential()
nn.ModuleList([])|nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU())])
nn.ModuleDict({'a': nn.ReLU(), 'b': nn.Tanh()})|nn.MultiheadAttention(6, 2)
nn.MultiheadAttention(4, 2, 0.1, False, True, True, batch_first=True)|nn.MultiheadAttention(4, 1, kdim=3, vdim=5)
"""
EXPRESSIONS = [text.strip() for line in LAYERS.strip().split("\n") for text in line.split("|")]
MISSING = {
    "AdaptiveLogSoftmaxWithLoss",
    "CTCLoss",
    "Container",
    "CrossMapLRN2d",
    "DataParallel",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LinearCrossEntropyLoss",
    "SyncBatchNorm",
}


def settings(module: Any) -> dict[str, Any]:
    """The plain public attributes of a module."""
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_layer(expression: str) -> None:
    rushlight.manual_seed(7)
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about lazy modules
        ours, theirs = eval(expression, {"nn": nn}), eval(expression, {"nn": torch.nn})
    assert repr(ours) == repr(theirs)
    assert settings(ours) == settings(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [k for k, _ in ours.named_parameters()] == [k for k, _ in theirs.named_parameters()]
    for name, value in theirs.state_dict().items():
        own = ours.state_dict()[name]
        if isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
            assert nn.parameter.is_lazy(own)
            continue
        assert tuple(own.shape) == tuple(value.shape) and str(own.dtype) == str(value.dtype)
        torch.testing.assert_close(torch.from_numpy(own.numpy()), value, rtol=0, atol=0)


def layer_classes() -> list[str]:
    return sorted(
        name
        for name, cls in vars(torch.nn).items()
        if inspect.isclass(cls) and issubclass(cls, torch.nn.Module) and name not in MISSING
    )


@pytest.mark.parametrize("name", layer_classes())
def test_class(name: str) -> None:
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert f"{ours.__module__}.{ours.__qualname__}" == f"{theirs.__module__}.{theirs.__qualname__}"

    def arguments(function: Any) -> list[Any]:
        return [(p.name, p.kind, repr(p.default).partition(" at 0x")[0]) for p in inspect.signature(function).parameters.values()]

    assert arguments(ours.__init__) == arguments(theirs.__init__)
    assert list(inspect.signature(ours.forward).parameters) == list(inspect.signature(theirs.forward).parameters)
    own_bases = [c.__name__ for c in ours.__mro__ if not c.__name__.startswith("_")]
    assert [n for n in own_bases if n != "object"] == [
        c.__name__ for c in theirs.__mro__ if not c.__name__.startswith("_") and c.__name__ != "object"
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "nn.Conv2d(3, 4, 3, groups=2)",
        "nn.Conv2d(2, 3, 3, groups=2)",
        "nn.Conv2d(2, 2, 3, groups=0)",
        "nn.Conv2d(2, 2, 3, padding='x')",
        "nn.Conv2d(2, 2, 3, 2, padding='same')",
        "nn.Conv2d(2, 2, 3, padding_mode='x')",
        "nn.ConvTranspose2d(2, 2, 3, padding_mode='reflect')",
        "nn.Dropout(2)",
        "nn.Embedding(3, 4, 5)",
        "nn.EmbeddingBag(3, 4, padding_idx=-5)",
        "nn.GroupNorm(3, 4)",
        "nn.Unflatten(1, 3)",
        "nn.Unflatten(1, ('a',))",
        "nn.Hardtanh(2, 1)",
        "nn.Bilinear(0, 1, 1)",
        "nn.HuberLoss(delta='a')",
        "nn.TripletMarginLoss(0)",
        "nn.MultiMarginLoss(p=3)",
        "nn.ReLU(1, 2)",
        "nn.Sigmoid(1)",
        "nn.Linear(1)",
        "nn.BatchNorm2d(3)(t.ones(2, 2))",
        "nn.BatchNorm1d(3)(t.ones(3))",
        "nn.InstanceNorm2d(3)(t.ones(3, 3))",
        "nn.InstanceNorm1d(3, affine=True)(t.ones(2, 4, 3))",
        "nn.CircularPad2d(1)(t.ones(3))",
        "nn.Softmax2d()(t.ones(3))",
        "nn.LazyConv2d(2, 2)(t.ones(2))",
        "nn.ConvTranspose1d(2, 2, 2)(t.ones(1, 2, 5), [9])",
        "nn.ConvTranspose1d(2, 2, 2)(t.ones(1, 2, 5), [9, 1, 1, 1])",
        "nn.Embedding.from_pretrained(t.ones(2))",
        "nn.Sequential(nn.ReLU)",
        "nn.ModuleList(3)",
        "nn.Embedding(3, 4, _weight=t.ones(2, 2))",
    ],
)
def test_errors(expression: str) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: B017 - any type, ours must be the same
        eval(expression, {"nn": torch.nn, "t": torch})
    with pytest.raises(type(theirs.value)):
        eval(expression, {"nn": nn, "t": rushlight})


def test_legacy_reduction_arguments() -> None:
    for arguments in (
        {"size_average": False},
        {"reduce": False},
        {"size_average": True},
        {"reduce": True, "size_average": False},
    ):
        with pytest.warns(UserWarning, match="size_average and reduce args") as ours:
            loss = nn.MSELoss(**arguments)
        with pytest.warns(UserWarning) as theirs:
            expected = torch.nn.MSELoss(**arguments)
        assert loss.reduction == expected.reduction
        assert str(ours[0].message) == str(theirs[0].message)


def test_from_pretrained() -> None:
    table = rushlight.ones(3, 2)
    layer = nn.Embedding.from_pretrained(table, padding_idx=1)
    assert repr(layer) == "Embedding(3, 2, padding_idx=1)" and not layer.weight.requires_grad
    table.zero_()
    assert layer.weight.sum().item() == 0  # the memory is shared
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum").weight.requires_grad
