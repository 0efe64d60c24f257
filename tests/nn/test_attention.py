"""scaled_dot_product_attention against torch: shapes, masks, dtypes, special values, layouts, errors, what is recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight
import rushlight.nn.functional as F
from rushlight.backends.reference import attention as kernels

torch = pytest.importorskip("torch", reason="parity tests need torch")
SDPA = torch.nn.functional.scaled_dot_product_attention
NODE = "ScaledDotProductFlashAttentionForCpuBackward0"
BLOCKED = np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]], dtype=bool)
ADDED = np.where(BLOCKED, np.linspace(-1, 1, 15).reshape(3, 5), -np.inf)


def draw(*shapes: tuple[int, ...], dtype: str = "float32") -> tuple[list[Any], list[Any]]:
    """The same random leaves for us and for torch."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    ours = [rushlight.tensor(a).to(getattr(rushlight, dtype)).requires_grad_() for a in arrays]
    theirs = [torch.tensor(a).to(getattr(torch, dtype)).requires_grad_() for a in arrays]
    return ours, theirs


def compare(oracle: Any, ours: list[Any], theirs: list[Any], mask: Any = None, **arguments: Any) -> Any:
    """The results and gradients of both; returns our result."""
    masks = (None, None) if mask is None else (rushlight.tensor(mask), torch.tensor(mask))
    found = F.scaled_dot_product_attention(*ours, masks[0], **arguments)
    expected = SDPA(*theirs, masks[1], **arguments)
    tolerance = {"float32": 2e-5, "float64": 1e-12, "float16": 4e-3, "bfloat16": 3e-2}[
        str(found.dtype).removeprefix("torch.")
    ]
    oracle.assert_same(found, expected, rtol=tolerance, atol=tolerance)
    weights = np.random.default_rng(1).standard_normal(tuple(expected.shape))
    found.backward(rushlight.tensor(weights).to(found.dtype))
    expected.backward(torch.tensor(weights).to(expected.dtype))
    for own, other in zip(ours, theirs, strict=True):
        oracle.assert_same(own.grad, other.grad, rtol=4 * tolerance, atol=4 * tolerance)
    return found


SHAPES = {
    "matrices": ((3, 4), (5, 4), (5, 4)),
    "3-d": ((2, 3, 4), (2, 5, 4), (2, 5, 7)),
    "heads": ((2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 4)),
    "5-d": ((2, 1, 2, 3, 4), (2, 1, 2, 5, 4), (2, 1, 2, 5, 4)),
    "broadcast": ((2, 3, 3, 4), (3, 5, 4), (2, 1, 5, 4)),
    "one key": ((1, 2, 3, 4), (1, 2, 1, 4), (1, 2, 1, 4)),
    "no keys": ((1, 2, 3, 4), (1, 2, 0, 4), (1, 2, 0, 4)),
    "no queries": ((1, 2, 0, 4), (1, 2, 5, 4), (1, 2, 5, 4)),
    "no features": ((1, 2, 3, 0), (1, 2, 5, 0), (1, 2, 5, 4)),
    "no batch": ((0, 2, 3, 4), (0, 2, 5, 4), (0, 2, 5, 4)),
}


@pytest.mark.parametrize("is_causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes(oracle: Any, name: str, is_causal: bool) -> None:
    ours, theirs = draw(*SHAPES[name])
    found = compare(oracle, ours, theirs, is_causal=is_causal)
    assert type(found.grad_fn).__name__ == NODE


@pytest.mark.parametrize("name", ["heads", "3-d", "broadcast", "5-d"])
@pytest.mark.parametrize(
    "mask", [BLOCKED, ADDED.astype(np.float32), ADDED.astype(np.float32)[:1]], ids=["bool", "added", "row"]
)
def test_masks(oracle: Any, name: str, mask: Any) -> None:
    ours, theirs = draw(*SHAPES[name])
    compare(oracle, ours, theirs, mask)


@pytest.mark.parametrize("shape", [(2, 3, 3, 5), (2, 1, 3, 5), (3, 3, 5), (1, 3, 1, 5), (2, 1, 3, 1)], ids=str)
def test_masks_broadcast_and_have_gradients(oracle: Any, shape: tuple[int, ...]) -> None:
    ours, theirs = draw((2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 4), shape)
    results = F.scaled_dot_product_attention(*ours), SDPA(*theirs)
    for result in results:
        result.square().sum().backward()
    oracle.assert_same(*results, rtol=1e-5, atol=1e-5)
    for own, other in zip(ours, theirs, strict=True):
        oracle.assert_same(own.grad, other.grad, rtol=1e-4, atol=1e-5)
    kept = ours[3].detach().logical_not(), theirs[3].detach().logical_not()
    oracle.assert_same(F.scaled_dot_product_attention(*ours[:3], kept[0]), SDPA(*theirs[:3], kept[1]))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("mask", [None, BLOCKED, ADDED.astype(np.float32)], ids=["none", "bool", "float32"])
def test_dtypes(oracle: Any, dtype: str, mask: Any) -> None:
    ours, theirs = draw(*SHAPES["heads"], dtype=dtype)
    assert compare(oracle, ours, theirs, mask).dtype is getattr(rushlight, dtype)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 4, 3, 8), (2, 2, 5, 8), (2, 2, 5, 8)),
        ((4, 3, 8), (1, 5, 8), (1, 5, 8)),
        ((2, 6, 3, 2), (1, 2, 5, 2), (2, 3, 5, 2)),
    ],
    ids=["heads", "3-d", "unequal"],
)
def test_grouped_heads(oracle: Any, shapes: Any) -> None:
    for arguments in ({}, {"is_causal": True}, {"mask": BLOCKED}, {"scale": -0.3}):
        ours, theirs = draw(*shapes)
        compare(oracle, ours, theirs, enable_gqa=True, **arguments)


def test_scale(oracle: Any) -> None:
    for scale in (0, 0.25, -2.0):
        ours, theirs = draw(*SHAPES["heads"])
        compare(oracle, ours, theirs, scale=float(scale))
    with pytest.raises(TypeError, match="argument 'scale' must be float, not str"):
        F.scaled_dot_product_attention(*ours, scale="1")


def test_blocks_of_queries_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    q, k, v, g, mask = (
        rng.standard_normal(s) for s in ((2, 4, 9, 3), (2, 2, 7, 3), (2, 2, 7, 5), (2, 4, 9, 5), (4, 9, 7))
    )
    found = []
    for block in (1 << 22, 2 * 4 * 7 * 4):
        monkeypatch.setattr(kernels, "BLOCK_SCORES", block)
        for is_causal in (False, True):
            out, lse = kernels.attention_forward(q, k, v, mask, is_causal, 0.5)
            grads = kernels.attention_backward(
                g, q, k, v, out, lse, mask, is_causal, 0.5, (True,) * 3 + (not is_causal,)
            )
            found.append([out, lse, *[x for x in grads if x is not None]])
    for i in range(2):
        for one, several in zip(found[i], found[i + 2], strict=True):
            np.testing.assert_allclose(several, one, rtol=1e-12, atol=1e-14)


def test_special_values(oracle: Any) -> None:
    """NaN stays NaN; torch's kernel makes zeros of it (docs/differences.md)."""
    ours, theirs = draw(*SHAPES["heads"])
    large = [x.detach() * 40 for x in ours], [x.detach() * 40 for x in theirs]
    oracle.assert_same(F.scaled_dot_product_attention(*large[0]), SDPA(*large[1]), rtol=1e-5, atol=1e-4)
    with rushlight.no_grad():
        ours[0][0, 0, 1] = float("nan")
        found = F.scaled_dot_product_attention(*ours)
    assert found.isnan()[0, 0].any(-1).tolist() == [False, True, False]


def test_layouts(oracle: Any) -> None:
    """Heads that are views of one projection: the result's memory is in the order of the query's, as in torch."""
    results = []
    for library, attend in ((rushlight, F.scaled_dot_product_attention), (torch, SDPA)):
        x = library.arange(2 * 5 * 24.0).reshape(2, 5, 24).sin().requires_grad_()
        q, k, v = (part.view(2, 5, 2, 4).transpose(1, 2) for part in x.split(8, 2))
        result = attend(q, k, v, is_causal=True)
        result.transpose(1, 2).reshape(2, 5, 8).pow(2).sum().backward()
        results.append((result, x.grad))
    oracle.assert_same(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    oracle.assert_same(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)
    assert results[0][0].stride() == results[1][0].stride() == (40, 4, 8, 1)


def test_dropout_draws_torchs_numbers(oracle: Any) -> None:
    ours, theirs = draw(*SHAPES["heads"])
    for mask in (None, BLOCKED):
        rushlight.manual_seed(3), torch.manual_seed(3)
        compare(oracle, ours, theirs, mask, dropout_p=0.4)
        oracle.assert_same(rushlight.rand(2), torch.rand(2), rtol=0, atol=0)
    assert not F.scaled_dot_product_attention(*ours, dropout_p=1.0).any()
    grouped = [rushlight.ones(s) for s in ((1, 4, 3, 2), (1, 2, 3, 2), (1, 2, 3, 2))]
    assert F.scaled_dot_product_attention(*grouped, dropout_p=0.5, enable_gqa=True).shape == (1, 4, 3, 2)


def test_meta(oracle: Any) -> None:
    with rushlight.device("meta"):
        q = rushlight.empty(2, 4, 3, 8, requires_grad=True, dtype=rushlight.bfloat16)
        k, v = (
            rushlight.empty(2, 2, 5, 8, dtype=rushlight.bfloat16),
            rushlight.empty(2, 2, 5, 6, dtype=rushlight.bfloat16),
        )
        mask = rushlight.empty(3, 5, requires_grad=True)
        found = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
        found.sum().backward()
    assert found.shape == (2, 4, 3, 6) and found.dtype is rushlight.bfloat16 and found.is_meta
    assert q.grad.shape == q.shape and mask.grad.shape == mask.shape and mask.grad.dtype is rushlight.float32


def r(*shape: int) -> Any:
    return rushlight.ones(*shape)


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: F.scaled_dot_product_attention(1, r(2, 2), r(2, 2)),
        TypeError,
        r"'query' \(position 1\) must be Tensor, not int",
    ),
    (
        lambda: F.scaled_dot_product_attention(r(2), r(2, 2), r(2, 2)),
        RuntimeError,
        "query.dim: 1 key.dim: 2 and value.dim: 2",
    ),
    (
        lambda: F.scaled_dot_product_attention(r(2, 2), r(2, 2).double(), r(2, 2)),
        RuntimeError,
        "to have the same dtype",
    ),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2).long()] * 3), RuntimeError, "not implemented for 'Long'"),
    (
        lambda: F.scaled_dot_product_attention(*[r(2, 2).to(rushlight.complex64)] * 3),
        NotImplementedError,
        "'ComplexFloat'",
    ),
    (lambda: F.scaled_dot_product_attention(r(2, 3), r(2, 2), r(2, 2)), RuntimeError, "same last size"),
    (lambda: F.scaled_dot_product_attention(r(2, 2), r(2, 2), r(3, 2)), RuntimeError, "same number of rows"),
    (lambda: F.scaled_dot_product_attention(r(4, 2, 2), r(3, 2, 2), r(4, 2, 2)), RuntimeError, "size of tensor"),
    (
        lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, r(2, 2).bool(), is_causal=True),
        RuntimeError,
        "Explicit attn_mask",
    ),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, r(2, 2).long()), RuntimeError, "attn_mask.dtype: Long"),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, r(2, 2).double()), RuntimeError, "attn_mask.dtype: Double"),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, r(3, 2)), RuntimeError, "size of tensor"),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, r(3, 2, 2)), RuntimeError, r"output with shape \[2, 2\]"),
    (lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, "x"), TypeError, "'attn_mask'"),
    (
        lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, dropout_p=1.5),
        RuntimeError,
        "between 0 and 1, but got 1.5",
    ),
    (
        lambda: F.scaled_dot_product_attention(*[r(2, 2)] * 3, dropout_p=-0.5),
        RuntimeError,
        "between 0 and 1, but got -0.5",
    ),
    (
        lambda: F.scaled_dot_product_attention(r(2, 3, 2), r(2, 2), r(2, 2), enable_gqa=True),
        IndexError,
        "third dimension",
    ),
    (
        lambda: F.scaled_dot_product_attention(r(1, 4, 3, 2), r(1, 3, 3, 2), r(1, 3, 3, 2), enable_gqa=True),
        RuntimeError,
        "must divide the number of heads in query",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_overridden_as_one_function() -> None:
    seen = []

    class Logged(rushlight.Tensor):
        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(function)
            return super().__torch_function__(function, types, args, kwargs or {})

    plain = rushlight.randn(3, 4)
    found = F.scaled_dot_product_attention(plain.as_subclass(Logged), plain, plain, is_causal=True)
    assert type(found) is Logged and seen[-1] is F.scaled_dot_product_attention
    expected = F.scaled_dot_product_attention(plain, plain, plain, is_causal=True)
    assert rushlight.equal(found.as_subclass(rushlight.Tensor), expected)


def test_only_what_is_needed_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = kernels.attention_backward

    def watched(*args: Any) -> Any:
        asked.append(args[-1])
        return original(*args)

    table = rushlight.backends.registry.kernels_for(rushlight.device("cpu"))
    monkeypatch.setattr(table, "attention_backward", watched)
    q, k, v, mask = rushlight.randn(3, 4, requires_grad=True), *(rushlight.randn(3, n) for n in (4, 4, 3))
    F.scaled_dot_product_attention(q, k, v, mask).sum().backward()
    F.scaled_dot_product_attention(k, k, v, mask.requires_grad_()).sum().backward()
    assert asked == [(True, False, False, False), (False, False, False, True)]


def test_overwritten_input_is_an_error() -> None:
    q = rushlight.randn(3, 4, requires_grad=True)
    k = rushlight.randn(3, 4)
    found = F.scaled_dot_product_attention(q, k, k)
    k.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        found.sum().backward()


def test_switches() -> None:
    ours, theirs = rushlight.nn.attention, torch.nn.attention
    assert {n: b.value for n, b in ours.SDPBackend.__members__.items()} == {
        n: int(b) for n, b in theirs.SDPBackend.__members__.items()
    }
    assert repr(ours.SDPBackend.MATH) == repr(theirs.SDPBackend.MATH) and str(ours.SDPBackend.MATH) == "SDPBackend.MATH"
    x = rushlight.randn(2, 3)
    with ours.sdpa_kernel([ours.SDPBackend.MATH, ours.SDPBackend.FLASH_ATTENTION], set_priority=True):
        F.scaled_dot_product_attention(x, x, x)
    for module in (ours, theirs):
        with pytest.raises(AssertionError, match="must be an instance of SDPBackend or a list"):
            module.sdpa_kernel("math").__enter__()
