"""nn.init: torch's numbers for one seed, its errors and its warnings."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")

FILLS = [
    ("uniform_", (5, 7), {"a": -2, "b": 3}),
    ("normal_", (5, 7), {"mean": 1, "std": 2}),
    ("normal_", (5,), {}),
    ("trunc_normal_", (20, 9), {}),
    ("trunc_normal_", (20, 9), {"std": 0.02}),
    ("trunc_normal_", (30, 9), {"mean": 0.5, "a": 0.0, "b": 1.0}),
    ("trunc_normal_", (50, 9), {"std": 3.0, "a": -0.5, "b": 0.1}),
    ("trunc_normal_", (30, 9), {"mean": 0.0, "a": 1.5, "b": 4.0}),
    ("constant_", (3, 2), {"val": 0.3}),
    ("ones_", (3, 2), {}),
    ("zeros_", (3, 2), {}),
    ("eye_", (3, 5), {}),
    ("dirac_", (4, 2, 3), {}),
    ("dirac_", (4, 2, 3, 4), {"groups": 2}),
    ("dirac_", (3, 2, 3, 3, 3), {}),
    ("xavier_uniform_", (4, 5), {}),
    ("xavier_uniform_", (4, 5, 3, 3), {"gain": 2.0}),
    ("xavier_normal_", (4, 5), {}),
    ("kaiming_uniform_", (4, 5), {}),
    ("kaiming_uniform_", (4, 5, 3), {"a": 0.2, "mode": "fan_out"}),
    ("kaiming_uniform_", (4, 5), {"nonlinearity": "selu"}),
    ("kaiming_normal_", (4, 5, 3, 3), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("orthogonal_", (4, 6), {}),
    ("orthogonal_", (6, 4), {"gain": 2.0}),
    ("orthogonal_", (3, 2, 2), {}),
    ("sparse_", (10, 6), {"sparsity": 0.3}),
    ("sparse_", (7, 3), {"sparsity": 0.5, "std": 2.0}),
]


CASES = [
    (name, shape, settings, dtype)
    for name, shape, settings in FILLS
    for dtype in ("float32", "float64", "float16")
    if (name, dtype) != ("orthogonal_", "float16")  # there is no QR of float16
]


@pytest.mark.parametrize(("name", "shape", "settings", "dtype"), CASES)
def test_numbers(name: str, shape: tuple[int, ...], settings: dict[str, Any], dtype: str) -> None:
    found = []
    for library in (rushlight, torch):
        library.manual_seed(3)
        tensor = library.empty(shape, dtype=getattr(library, dtype), requires_grad=True)
        assert getattr(library.nn.init, name)(tensor, **settings) is tensor
        assert tensor.is_leaf and tensor.requires_grad
        found.append((tensor.detach(), library.rand(1).item()))
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-6}
        if name in ("orthogonal_", "trunc_normal_") or dtype != "float32"
        else {"rtol": 1e-6, "atol": 0}
    )
    if dtype == "float16":
        tolerance = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(torch.from_numpy(found[0][0].numpy()), found[1][0], **tolerance)
    assert found[0][1] == found[1][1]  # and as many draws were used


@pytest.mark.parametrize(
    "name", ["uniform_", "normal_", "kaiming_normal_", "xavier_uniform_", "trunc_normal_", "orthogonal_"]
)
def test_generator(name: str) -> None:
    found = []
    for library in (rushlight, torch):
        library.manual_seed(0)
        generator = library.Generator().manual_seed(5)
        found.append(getattr(library.nn.init, name)(library.empty(4, 4), generator=generator).tolist())
        assert library.rand(1).item() == pytest.approx(0.4962565898895264)
    torch.testing.assert_close(torch.tensor(found[0]), torch.tensor(found[1]))


def test_layers_in_sequence_draw_torchs_numbers() -> None:
    found = []
    for library in (rushlight, torch):
        library.manual_seed(11)
        n = library.nn
        model = n.Sequential(
            n.Conv2d(3, 8, 3),
            n.BatchNorm2d(8),
            n.Linear(5, 4),
            n.Embedding(6, 3, padding_idx=0),
            n.Bilinear(2, 3, 4),
            n.ConvTranspose1d(2, 4, 3),
            n.EmbeddingBag(5, 2),
            n.PReLU(2),
            n.LayerNorm(3),
            n.Linear(2, 2),
        )
        found.append([v.detach().numpy() for v in model.parameters()])
    for ours, theirs in zip(*found, strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize(
    "call",
    [
        "eye_(t.ones(2))",
        "dirac_(t.ones(2, 2))",
        "dirac_(t.ones(3, 2, 2), groups=2)",
        "xavier_uniform_(t.ones(2))",
        "kaiming_normal_(t.ones(2))",
        "kaiming_uniform_(t.ones(2, 2), mode='x')",
        "kaiming_uniform_(t.ones(2, 2), nonlinearity='x')",
        "orthogonal_(t.ones(2))",
        "sparse_(t.ones(2), 0.1)",
        "calculate_gain('x')",
        "calculate_gain('leaky_relu', 'a')",
        "calculate_gain('leaky_relu', True)",
    ],
)
def test_errors(call: str) -> None:
    for library in (rushlight, torch):
        with pytest.raises(ValueError):
            eval(f"t.nn.init.{call}", {"t": library})


def test_gains() -> None:
    for name, slope in [
        ("linear", None),
        ("conv_transpose2d", None),
        ("sigmoid", None),
        ("tanh", None),
        ("relu", None),
        ("leaky_relu", None),
        ("leaky_relu", 0.2),
        ("leaky_relu", 2),
        ("selu", None),
    ]:
        assert nn.init.calculate_gain(name, slope) == torch.nn.init.calculate_gain(name, slope)
    assert nn.init._calculate_fan_in_and_fan_out(rushlight.empty(4, 3, 2, 2)) == (12, 16)


def test_deprecated_names() -> None:
    for name in (
        "uniform",
        "normal",
        "constant",
        "eye",
        "dirac",
        "xavier_uniform",
        "xavier_normal",
        "kaiming_uniform",
        "kaiming_normal",
        "orthogonal",
        "sparse",
    ):
        shape = (2, 2, 2) if name == "dirac" else (2, 2)
        extra = [0.5] if name in ("constant", "sparse") else []
        messages = []
        for library in (rushlight, torch):
            with pytest.warns(FutureWarning) as seen:
                getattr(library.nn.init, name)(library.ones(shape), *extra)
            messages.append(str(seen[0].message))
        assert messages[0] == messages[1]


def test_empty_and_meta() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        nn.Linear(0, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = nn.Linear(2, 3, device="meta")
    assert layer.weight.is_meta and nn.init.trunc_normal_(layer.weight) is layer.weight
    with pytest.warns(UserWarning, match="more than 2 std"):
        nn.init.trunc_normal_(rushlight.empty(2), mean=9)
    with rushlight.inference_mode():
        nn.init.ones_(rushlight.empty(2))
