"""MultiheadAttention and multi_head_attention_forward against torch: numbers, gradients, masks, options, files, errors."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

import rushlight
import rushlight.nn.functional as F
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no bias": {"bias": False},
    "batch first": {"batch_first": True},
    "sizes": {"kdim": 5, "vdim": 7},
    "sizes, batch first, no bias": {"kdim": 5, "vdim": 7, "batch_first": True, "bias": False},
    "added key": {"add_bias_kv": True},
    "added zero": {"add_zero_attn": True},
    "both added": {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
}
L, S, N, E, H = 3, 4, 2, 8, 2


def modules(**options: Any) -> list[Any]:
    """The same module, ours and torch's, each drawn from seed 3."""
    made = []
    for library in (rushlight, torch):
        library.manual_seed(3)
        made.append(library.nn.MultiheadAttention(E, H, **options))
    return made


def inputs(library: Any, options: dict[str, Any], batched: bool = True) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = [(L, N, E), (S, N, options.get("kdim", E)), (S, N, options.get("vdim", E))]
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    if not batched:
        arrays = [a[:, 0].copy() for a in arrays]
    elif options.get("batch_first"):
        arrays = [a.swapaxes(0, 1).copy() for a in arrays]
    return [library.tensor(a, requires_grad=True) for a in arrays]


def same(oracle: Any, ours: Any, theirs: Any) -> None:
    assert (ours is None) == (theirs is None)
    if ours is not None:
        oracle.assert_same(ours, theirs, rtol=1e-4, atol=1e-5)


def compare(oracle: Any, pair: list[Any], tensors: list[list[Any]], **arguments: Any) -> list[Any]:
    """Results, weights and all gradients; masks in `arguments` are arrays."""
    found = []
    for library, module, given in zip((rushlight, torch), pair, tensors, strict=True):
        module.zero_grad()
        for t in given:
            t.grad = None
        masks = {name: library.tensor(a) if isinstance(a, np.ndarray) else a for name, a in arguments.items()}
        result, weights = module(*given, **masks)
        total = (
            result.square().sum()
            if weights is None
            else result.square().sum() + (weights * weights.detach().cos()).sum()
        )
        total.backward()
        found.append((result, weights))
    same(oracle, found[0][0], found[1][0])
    same(oracle, found[0][1], found[1][1])
    for ours, theirs in zip(tensors[0], tensors[1], strict=True):
        same(oracle, ours.grad, theirs.grad)
    for ours, theirs in zip(pair[0].parameters(), pair[1].parameters(), strict=True):
        same(oracle, ours.grad, theirs.grad)
    return found


@pytest.mark.parametrize("name", OPTIONS)
def test_options(oracle: Any, name: str) -> None:
    options = OPTIONS[name]
    pair = modules(**options)
    for key, value in pair[0].state_dict().items():
        oracle.assert_same(value, pair[1].state_dict()[key], rtol=1e-6, atol=1e-8)
    for batched in (True, False):
        tensors = [inputs(library, options, batched) for library in (rushlight, torch)]
        for need_weights in (True, False):
            compare(oracle, pair, tensors, need_weights=need_weights)
        compare(oracle, pair, tensors, average_attn_weights=False)


ATTN = np.array([[0, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=bool)
PADDING = np.array([[0, 0, 0, 1], [0, 0, 1, 0]], dtype=bool)
HEADS = np.stack([ATTN, ~ATTN, ATTN[::-1], ATTN])


def added(mask: Any) -> Any:
    return np.where(mask, -np.inf, 0.25).astype(np.float32)


MASKS = {
    "attn": {"attn_mask": ATTN},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": ATTN & ~ATTN[0], "key_padding_mask": PADDING},
    "heads": {"attn_mask": HEADS},
    "heads and padding": {"attn_mask": HEADS & PADDING[0], "key_padding_mask": PADDING},
    "added": {"attn_mask": added(ATTN), "key_padding_mask": added(PADDING & False)},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", ["plain", "both added"])
@pytest.mark.parametrize("name", MASKS)
def test_masks(oracle: Any, name: str, options: str, need_weights: bool) -> None:
    pair = modules(**OPTIONS[options])
    tensors = [inputs(library, OPTIONS[options]) for library in (rushlight, torch)]
    compare(oracle, pair, tensors, need_weights=need_weights, **MASKS[name])


@pytest.mark.parametrize("batch_first", [False, True])
def test_self_attention_in_one_product(oracle: Any, batch_first: bool) -> None:
    causal = np.triu(np.ones((L, L), dtype=bool), 1)
    for need_weights in (True, False):
        results = []
        for library, module in zip((rushlight, torch), modules(batch_first=batch_first), strict=True):
            x = inputs(library, {"batch_first": batch_first})[0]
            result, weights = module(
                x, x, x, need_weights=need_weights, attn_mask=library.tensor(causal), is_causal=True
            )
            result.square().sum().backward()
            results.append((result, weights, x.grad, module.in_proj_weight.grad))
            assert type(result.grad_fn).__name__ == ("TransposeBackward0" if batch_first else "ViewBackward0")
        for ours, theirs in zip(*results, strict=True):
            same(oracle, ours, theirs)
        assert need_weights or results[0][0].is_contiguous()


def test_keys_and_values_in_one_product(oracle: Any) -> None:
    results = []
    for library, module in zip((rushlight, torch), modules(), strict=True):
        q, k, _ = inputs(library, {})
        result, weights = module(q, k, k)
        result.square().sum().backward()
        results.append((result, weights, q.grad, k.grad, module.in_proj_bias.grad))
    for ours, theirs in zip(*results, strict=True):
        same(oracle, ours, theirs)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_draws_torchs_numbers(oracle: Any, need_weights: bool) -> None:
    pair = modules(dropout=0.3)
    results = []
    for library, module in zip((rushlight, torch), pair, strict=True):
        library.manual_seed(1)
        results.append(module(*inputs(library, {}), need_weights=need_weights))
    same(oracle, results[0][0], results[1][0])
    same(oracle, results[0][1], results[1][1])
    assert not rushlight.equal(pair[0](*inputs(rushlight, {}))[0], results[0][0])
    pair[0].eval(), pair[1].eval()
    same(oracle, pair[0](*inputs(rushlight, {}))[0], pair[1](*inputs(torch, {}))[0])


def test_static_keys_and_values(oracle: Any) -> None:
    results = []
    for library, module in zip((rushlight, torch), modules(), strict=True):
        functional = library.nn.functional
        q, k, v = inputs(library, {})
        static = library.arange(N * H * S * E // H * 1.0).reshape(N * H, S, E // H).sin()
        results.append(
            functional.multi_head_attention_forward(
                q, k, v, E, H, module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0, module.out_proj.weight,
                module.out_proj.bias, static_k=static, static_v=static * 2,
            )
        )  # fmt: skip
    for ours, theirs in zip(*results, strict=True):
        same(oracle, ours, theirs)


def test_inference_of_torch_agrees(oracle: Any) -> None:
    """torch takes a way of its own in inference; the numbers are the same."""
    for need_weights in (True, False):
        results = []
        for library, module in zip((rushlight, torch), modules(batch_first=True), strict=True):
            x = inputs(library, {"batch_first": True})[0]
            with library.no_grad():
                results.append(module.eval()(x, x, x, need_weights=need_weights))
        for ours, theirs in zip(*results, strict=True):
            same(oracle, ours, theirs)


def test_merged_masks(oracle: Any) -> None:
    x = [library.zeros(N, L, E) for library in (rushlight, torch)]
    attn, padding = added(ATTN[:, :L]), added(PADDING[:, :L])
    for pair in ((attn, padding), (attn, None), (None, padding), (None, None), (np.stack([attn] * 4), padding)):
        found = []
        for library, module, query in zip((rushlight, torch), modules(), x, strict=True):
            found.append(module.merge_masks(*[None if m is None else library.tensor(m) for m in pair], query))
        assert found[0][1] == found[1][1]
        same(oracle, found[0][0], found[1][0])


def test_masks_of_different_kinds_warn() -> None:
    for library, module in zip((rushlight, torch), modules(), strict=True):
        with pytest.warns(UserWarning, match="Support for mismatched key_padding_mask and attn_mask is deprecated"):
            module(
                *inputs(library, {}), attn_mask=library.tensor(added(ATTN)), key_padding_mask=library.tensor(PADDING)
            )


def test_files_in_both_directions(oracle: Any) -> None:
    ours, theirs = modules(add_bias_kv=True)
    for source, target, reader in ((ours, theirs, torch), (theirs, ours, rushlight)):
        file = io.BytesIO()
        (rushlight if source is ours else torch).save(source, file)
        file.seek(0)
        found = reader.load(file, weights_only=False)
        assert type(found) is type(target) and repr(found) == repr(source)
    twin = pickle.loads(pickle.dumps(ours))
    assert rushlight.equal(twin.bias_k, ours.bias_k)
    del twin.__dict__["_qkv_same_embed_dim"]
    assert pickle.loads(pickle.dumps(twin))._qkv_same_embed_dim


def forward(module: Any, library: Any, *shapes: Any, **masks: Any) -> Any:
    return module(*[library.zeros(s) for s in shapes], **{name: library.zeros(m).bool() for name, m in masks.items()})


WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda m, t: forward(m, t, (2,), (2,), (2,)), AssertionError, "but received 1-D query tensor"),
    (
        lambda m, t: forward(m, t, (3, 2, 8), (4, 8), (4, 8)),
        AssertionError,
        r"For batched \(3-D\) `query`, expected `key`",
    ),
    (
        lambda m, t: forward(m, t, (3, 8), (4, 2, 8), (4, 2, 8)),
        AssertionError,
        r"For unbatched \(2-D\) `query`, expected `key`",
    ),
    (
        lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, key_padding_mask=(3,)),
        AssertionError,
        "`key_padding_mask` to be `None` or 2-D",
    ),
    (
        lambda m, t: forward(m, t, *[(3, 8)] * 3, key_padding_mask=(1, 3)),
        AssertionError,
        "`key_padding_mask` to be `None` or 1-D",
    ),
    (
        lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, attn_mask=(3,)),
        AssertionError,
        "`attn_mask` to be `None`, 2-D or 3-D",
    ),
    (lambda m, t: forward(m, t, *[(3, 8)] * 3, attn_mask=(1, 3, 3)), AssertionError, r"shape to be \(2, 3, 3\)"),
    (lambda m, t: forward(m, t, *[(3, 2, 6)] * 3), AssertionError, "was expecting embedding dimension of 8, but got 6"),
    (lambda m, t: forward(m, t, (3, 2, 8), (4, 2, 8), (5, 2, 8)), AssertionError, "does not match value shape"),
    (lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, attn_mask=(3, 2)), RuntimeError, "The shape of the 2D attn_mask is"),
    (
        lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, attn_mask=(2, 3, 3)),
        RuntimeError,
        "The shape of the 3D attn_mask is",
    ),
    (
        lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, key_padding_mask=(3, 3)),
        AssertionError,
        r"shape\[0\] to be 2, but got 3",
    ),
    (
        lambda m, t: forward(m, t, *[(3, 2, 8)] * 3, key_padding_mask=(2, 4)),
        AssertionError,
        r"shape\[1\] to be 3, but got 4",
    ),
    (
        lambda m, t: m(*[t.zeros(3, 2, 8)] * 3, is_causal=True),
        RuntimeError,
        "Need attn_mask if specifying the is_causal hint",
    ),
    (
        lambda m, t: m(*[t.zeros(3, 2, 8)] * 3, attn_mask=t.zeros(3, 3).long()),
        AssertionError,
        "only bool and floating types",
    ),
    (lambda m, t: t.nn.MultiheadAttention(0, 1), ValueError, "must be greater than 0"),
    (lambda m, t: t.nn.MultiheadAttention(5, 2), AssertionError, "embed_dim must be divisible by num_heads"),
]


@pytest.mark.parametrize(("call", "error", "words"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_errors(call: Any, error: type[Exception], words: str) -> None:
    for library in (rushlight, torch):
        with pytest.raises(error, match=words):
            call(library.nn.MultiheadAttention(8, 2), library)


def test_errors_of_the_function() -> None:
    x, w, o = rushlight.zeros(3, 2, 8), rushlight.zeros(24, 8), rushlight.zeros(8, 8)

    def call(embed: int = 8, heads: int = 2, weight: Any = w, **settings: Any) -> Any:
        added_bias = settings.pop("bias_k", None), settings.pop("bias_v", None)
        return F.multi_head_attention_forward(
            x, x, x, embed, heads, weight, None, *added_bias, False, 0.0, o, None, **settings
        )

    assert call()[0].shape == (3, 2, 8)
    one, static = rushlight.zeros(1, 1, 8), rushlight.zeros(4, 3, 4)
    apart = {"use_separate_proj_weight": True, "q_proj_weight": o, "k_proj_weight": o}
    for settings, words in (
        ({"heads": 3}, "embed_dim 8 not divisible by num_heads 3"),
        ({"weight": None}, "in_proj_weight is None"),
        (apart, "v_proj_weight is None"),
        ({**apart, "v_proj_weight": w}, "expecting value weights shape of"),
        ({"bias_k": one}, "bias_k is set but bias_v is None"),
        ({"bias_k": one, "bias_v": one, "static_k": static}, "bias cannot be added to static key"),
        ({"bias_k": one, "bias_v": one, "static_v": static}, "bias cannot be added to static value"),
        ({"static_k": static[:1]}, "expecting static_k.size\\(0\\) of 4, but got 1"),
        ({"static_v": static[..., :1]}, "expecting static_v.size\\(2\\) of 4, but got 1"),
    ):
        with pytest.raises(AssertionError, match=words):
            call(**settings)


def test_overridden_as_one_function() -> None:
    seen = []

    class Logged(rushlight.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return super().__torch_function__(function, types, args, kwargs or {})

    x = rushlight.randn(3, 2, 8)
    module = nn.MultiheadAttention(8, 2)
    found = module(x.as_subclass(Logged), x, x)[0]
    assert F.multi_head_attention_forward in seen and type(found) is Logged
