"""Transformer layers and stacks against torch: names, initial numbers, outputs, gradients, masks, inference, files."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")
SIZES = {"d_model": 8, "nhead": 2, "dim_feedforward": 12}
LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch first": {"batch_first": True},
    "norm first": {"norm_first": True, "activation": "gelu"},
    "no bias": {"bias": False, "batch_first": True},
    "eps": {"layer_norm_eps": 0.1},
}


def made(name: str, *args: Any, **settings: Any) -> list[Any]:
    """The same module, ours and torch's, each drawn from seed 2."""
    pair = []
    for library in (rushlight, torch):
        library.manual_seed(2)
        pair.append(getattr(library.nn, name)(*args, **settings))
    return pair


def quiet_transformer(**settings: Any) -> list[Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "enable_nested_tensor")
        return made("Transformer", num_encoder_layers=2, num_decoder_layers=2, **SIZES, **settings)


def check_described_alike(oracle: Any, ours: Any, theirs: Any) -> None:
    assert repr(ours) == repr(theirs)
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for name, value in ours.state_dict().items():
        oracle.assert_same(value, expected[name], rtol=1e-6, atol=1e-8)
    oracle.assert_same(rushlight.rand(2), torch.rand(2), rtol=0, atol=0)


def drawn(*shapes: tuple[int, ...]) -> list[list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    return [[library.tensor(a, requires_grad=True) for a in arrays] for library in (rushlight, torch)]


def compare(oracle: Any, pair: list[Any], tensors: list[list[Any]], **arguments: Any) -> None:
    """Results and all gradients; masks in `arguments` are arrays."""
    results = []
    for library, module, given in zip((rushlight, torch), pair, tensors, strict=True):
        module.zero_grad()
        for t in given:
            t.grad = None
        library.manual_seed(1)
        masks = {name: library.tensor(a) if isinstance(a, np.ndarray) else a for name, a in arguments.items()}
        results.append(module(*given, **masks))
        (results[-1] * results[-1].detach().cos()).sum().backward()
    oracle.assert_same(*results, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(tensors[0], tensors[1], strict=True):
        oracle.assert_same(ours.grad, theirs.grad, rtol=1e-3, atol=2e-5)
    for ours, theirs in zip(pair[0].parameters(), pair[1].parameters(), strict=True):
        oracle.assert_same(ours.grad, theirs.grad, rtol=1e-3, atol=5e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_encoder_layer(oracle: Any, name: str) -> None:
    pair = made("TransformerEncoderLayer", **SIZES, **LAYERS[name])
    check_described_alike(oracle, *pair)
    assert pair[0].activation_relu_or_gelu == pair[1].activation_relu_or_gelu
    causal = np.triu(np.ones((3, 3), dtype=bool), 1)
    compare(oracle, pair, drawn((3, 3, 8)))
    compare(oracle, pair, drawn((3, 8)), src_mask=causal, is_causal=True)
    padding = np.array([[0, 0, 1], [0, 0, 0], [0, 1, 1]], dtype=bool)
    compare(oracle, pair, drawn((3, 3, 8)), src_mask=causal, src_key_padding_mask=padding)
    pair[0].eval(), pair[1].eval()
    results = []
    for library, module, (x,) in zip((rushlight, torch), pair, drawn((3, 3, 8)), strict=True):
        with library.no_grad():
            results.append(module(x, src_mask=library.tensor(causal)))
    oracle.assert_same(*results, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_decoder_layer(oracle: Any, name: str) -> None:
    pair = made("TransformerDecoderLayer", **SIZES, **LAYERS[name])
    check_described_alike(oracle, *pair)
    shapes = ((2, 3, 8), (2, 4, 8)) if LAYERS[name].get("batch_first") else ((3, 2, 8), (4, 2, 8))
    compare(oracle, pair, drawn(*shapes))
    causal = np.triu(np.full((3, 3), -np.inf, dtype=np.float32), 1)
    padding = np.array([[0, 0, 0, 1], [0, 0, 0, 0]], dtype=bool)
    compare(oracle, pair, drawn(*shapes), tgt_mask=causal, tgt_is_causal=True, memory_key_padding_mask=padding)


@pytest.mark.parametrize("settings", [{}, {"batch_first": True, "norm_first": True}, {"bias": False}], ids=str)
def test_transformer(oracle: Any, settings: dict[str, Any]) -> None:
    pair = quiet_transformer(**settings)
    check_described_alike(oracle, *pair)
    shapes = ((2, 5, 8), (2, 3, 8)) if settings.get("batch_first") else ((5, 2, 8), (3, 2, 8))
    causal = np.triu(np.full((3, 3), -np.inf, dtype=np.float32), 1)
    np.testing.assert_array_equal(nn.Transformer.generate_square_subsequent_mask(3).numpy(), causal)
    compare(oracle, pair, drawn(*shapes), tgt_mask=causal)
    padding = np.array([[0, 0, 0, 0, 1], [0, 0, 0, 1, 1]], dtype=bool)
    compare(oracle, pair, drawn(*shapes), src_key_padding_mask=padding, memory_key_padding_mask=padding)
    compare(
        oracle, pair, [[t.detach()[0].requires_grad_() for t in given] for given in drawn(*shapes)]
    ) if not settings else None


def test_the_layers_of_a_stack_are_copies() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3, nn.LayerNorm(8))
    assert encoder.num_layers == len(encoder.layers) == 3 and len({id(x) for x in (layer, *encoder.layers)}) == 4
    assert rushlight.equal(encoder.layers[0].linear1.weight, encoder.layers[2].linear1.weight)


@pytest.mark.parametrize(
    "activation", [nn.functional.relu, nn.functional.gelu, nn.ReLU(), nn.GELU(), nn.Tanh(), rushlight.sin]
)
def test_activations(activation: Any) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, activation)
    kinds = {"relu": 1, "ReLU": 1, "gelu": 2, "GELU": 2}
    name = getattr(activation, "__name__", type(activation).__name__)
    assert layer.activation is activation and layer.activation_relu_or_gelu == kinds.get(name, 0)
    x = rushlight.randn(3, 2, 8)
    assert rushlight.equal(layer._ff_block(x), layer.linear2(activation(layer.linear1(x))))


REASONS = [
    {},
    {"norm_first": True},
    {"batch_first": True, "bias": False},
    {"batch_first": True, "activation": "tanh"},
    {"batch_first": True, "nhead": 1},
]


@pytest.mark.parametrize("settings", REASONS, ids=str)
def test_warnings_are_torchs(settings: dict[str, Any]) -> None:
    messages = []
    for library in (rushlight, torch):
        own = {"nhead": 2, **settings}
        if own.get("activation") == "tanh":
            own["activation"] = library.tanh
        with pytest.warns(UserWarning, match="enable_nested_tensor is True") as caught:
            library.nn.TransformerEncoder(library.nn.TransformerEncoderLayer(8, dim_feedforward=12, **own), 1)
        messages.append(str(caught[0].message))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    "mask", [[[0, 0, 1, 1], [0, 0, 0, 0]], [[0, 1, 0, 1], [0, 0, 0, 0]]], ids=["at the end", "inside"]
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_padded_batches_in_inference(oracle: Any, mask: Any) -> None:
    """torch leaves zeros in padded positions there, before the last norm."""
    results = []
    for library in (rushlight, torch):
        library.manual_seed(0)
        layer = library.nn.TransformerEncoderLayer(**SIZES, batch_first=True)
        encoder = library.nn.TransformerEncoder(layer, 2, library.nn.LayerNorm(8)).eval()
        x, padding = library.ones(2, 4, 8).cumsum(1).sin(), library.tensor(mask, dtype=library.bool)
        found = [encoder(x, src_key_padding_mask=padding)]
        with library.no_grad():
            found.append(encoder(x, src_key_padding_mask=padding))
        results.append(found)
    for ours, theirs in zip(*results, strict=True):
        oracle.assert_same(ours, theirs, rtol=1e-4, atol=1e-5)


def test_whether_a_mask_is_causal_is_found_out(oracle: Any) -> None:
    seen = []

    class Layer(nn.TransformerEncoderLayer):
        def forward(
            self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
        ) -> Any:
            seen.append(is_causal)
            return src

    encoder = nn.TransformerEncoder(Layer(8, 2, 12, batch_first=True), 1)
    x, causal = rushlight.ones(2, 3, 8), nn.Transformer.generate_square_subsequent_mask(3)
    encoder(x), encoder(x, causal), encoder(x, causal < 0), encoder(x, causal * 0), encoder(x, causal, is_causal=False)
    encoder(x, rushlight.stack([causal] * 4)), encoder(x[0], causal)
    assert seen == [False, True, True, False, False, False, True]


def test_custom_stacks() -> None:
    class Same(nn.Module):
        def forward(self, x: Any, *args: Any, **kwargs: Any) -> Any:
            return x

    model = nn.Transformer(8, 2, custom_encoder=Same(), custom_decoder=Same())
    x = rushlight.ones(3, 2, 8)
    assert model(rushlight.zeros(4, 2, 8), x) is x


def test_errors() -> None:
    for library, model in zip((rushlight, torch), quiet_transformer(), strict=True):
        x = library.zeros(3, 2, 8)
        with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
            model(x, x[:, :1])
        with pytest.raises(RuntimeError, match="the feature number of src and tgt must be equal to d_model"):
            model(x, x[..., :4])
        with pytest.raises(RuntimeError, match="activation should be relu/gelu, not tanh"):
            library.nn.TransformerDecoderLayer(8, 2, activation="tanh")


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_files_in_both_directions(activation: str) -> None:
    ours, theirs = made("TransformerEncoderLayer", **SIZES, activation=activation)
    for source, target, writer, reader in ((ours, theirs, rushlight, torch), (theirs, ours, torch, rushlight)):
        file = io.BytesIO()
        writer.save(source, file)
        file.seek(0)
        found = reader.load(file, weights_only=False)
        assert type(found) is type(target) and repr(found) == repr(source)
        assert found.activation is getattr(reader.nn.functional, activation)


def test_training_step_follows_torch(oracle: Any) -> None:
    losses = []
    for library, model in zip((rushlight, torch), quiet_transformer(batch_first=True, dropout=0.0), strict=True):
        optimizer = library.optim.SGD(model.parameters(), lr=0.1)
        src, tgt = (library.arange(n * 8.0).reshape(2, n // 2, 8).sin() for n in (10, 6))
        for _ in range(3):
            optimizer.zero_grad()
            loss = (model(src, tgt) - tgt).square().mean()
            loss.backward()
            optimizer.step()
        losses.append(loss)
    oracle.assert_same(*losses, rtol=1e-4, atol=1e-6)
