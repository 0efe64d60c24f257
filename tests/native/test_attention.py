"""Native attention against NumPy's: block borders, masks, causality, grouped heads, strides, special values, accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.reference import reference

CLOSE = {"rtol": 1e-4, "atol": 2e-5}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def check(compare, q, k, v, mask=None, is_causal=False, scale=0.3, needed=(True, True, True, False), served=True):
    """Forward and backward beside the reference, which gives the backward pass its inputs."""
    compare("attention_forward", q, k, v, mask, is_causal, scale, served=served, **CLOSE)
    out, logsumexp = reference.attention_forward(q, k, v, mask, is_causal, scale)
    g = numbers(*out.shape, seed=1)
    args = (g, q, k, v, out, logsumexp, mask, is_causal, scale, needed)
    return compare("attention_backward", *args, served=served, **CLOSE)


@pytest.mark.parametrize("is_causal", [False, True], ids=["all", "causal"])
@pytest.mark.parametrize(
    ("queries", "keys", "size", "value_size"),
    [
        (1, 1, 1, 1), (5, 7, 3, 5), (64, 96, 32, 32), (65, 97, 16, 20), (63, 95, 33, 64), (130, 40, 8, 70), (40, 300, 64, 4),
        (200, 200, 16, 16),
    ],
)  # fmt: skip
def test_sizes(compare, queries, keys, size, value_size, is_causal):
    check(
        compare,
        numbers(2, 2, queries, size),
        numbers(2, 2, keys, size),
        numbers(2, 2, keys, value_size),
        is_causal=is_causal,
    )


def test_ranks(compare):
    check(compare, numbers(9, 4), numbers(70, 4), numbers(70, 3))
    check(compare, numbers(3, 9, 4), numbers(3, 70, 4), numbers(3, 70, 3))
    check(compare, *[numbers(2, 1, 2, 9, 4)] * 3, served=False)


@pytest.mark.parametrize("is_causal", [False, True], ids=["all", "causal"])
def test_few_heads_and_many_keys_are_cut_into_chunks(compare, is_causal):
    check(compare, numbers(1, 2, 700, 8), numbers(1, 2, 1300, 8), numbers(1, 2, 1300, 8), is_causal=is_causal)


@pytest.mark.parametrize(
    "shape", [(70, 130), (2, 1, 1, 130), (3, 70, 130), (2, 3, 70, 130), (1, 1, 70, 1), (130,), ()], ids=str
)
def test_masks(compare, shape):
    q, k, v, mask = numbers(2, 3, 70, 8), numbers(2, 3, 130, 8), numbers(2, 3, 130, 8), np.asarray(numbers(*shape))
    check(compare, q, k, v, mask)
    check(compare, q, k, v, np.asarray(mask > 0))
    check(compare, q, k, v, np.where(mask > 0, mask, np.float32(-np.inf)))


def test_masks_with_strides(compare):
    q, k, v = numbers(2, 3, 70, 8), numbers(2, 3, 130, 8), numbers(2, 3, 130, 8)
    mask = numbers(130, 70)
    check(compare, q, k, v, mask.T)
    check(compare, q, k, v, numbers(140, 260)[::-2, ::2] > 0)
    check(compare, q, k, v, np.broadcast_to(mask.T, (2, 3, 70, 130)))


def test_queries_that_see_nothing(compare):
    q, k, v = numbers(1, 2, 70, 8), numbers(1, 2, 130, 8), numbers(1, 2, 130, 8)
    mask = np.ones((70, 130), bool)
    mask[[0, 20, 69]] = False
    mask[30, 1:] = mask[31, :-1] = False
    check(compare, q, k, v, mask)
    out, logsumexp = compare("attention_forward", q, k, v, mask, False, 1.0, **CLOSE)
    assert not out[0, :, 20].any() and (logsumexp[0, :, 20] == -np.inf).all()


@pytest.mark.parametrize(("heads", "groups"), [(4, 2), (6, 1)])
def test_grouped_heads(compare, heads, groups):
    q, k, v = numbers(2, heads, 70, 8), numbers(2, groups, 130, 8), numbers(2, groups, 130, 12)
    for mask, is_causal in ((None, False), (None, True), (numbers(heads, 70, 130) > 0, False)):
        check(compare, q, k, v, mask, is_causal)


def test_strides(compare):
    qkv = numbers(2, 70, 3, 4, 8)  # as one projection makes them
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    check(compare, q, k, v, is_causal=True)
    check(compare, q[:, :, ::-1], k[:, :, ::2], v[:, :, ::2])
    check(compare, numbers(2, 4, 8, 70).swapaxes(-1, -2), k, v[..., ::2], served=None)
    check(
        compare,
        np.broadcast_to(numbers(70, 8), (2, 4, 70, 8)),
        k,
        np.broadcast_to(numbers(8), (2, 4, 70, 8)),
        served=None,
    )


def test_cotangent_of_a_sum(compare):
    q, k, v = numbers(2, 2, 70, 8), numbers(2, 2, 30, 8), numbers(2, 2, 30, 8)
    out, logsumexp = reference.attention_forward(q, k, v, None, False, 0.5)
    g = np.broadcast_to(np.float32(1), out.shape)
    compare("attention_backward", g, q, k, v, out, logsumexp, None, False, 0.5, (True, True, True, False), **CLOSE)


@pytest.mark.parametrize(
    "needed", [(True, False, False), (False, True, False), (False, False, True), (False, True, True)], ids=str
)
def test_gradients_asked_for(compare, needed):
    check(compare, numbers(1, 2, 70, 8), numbers(1, 2, 130, 8), numbers(1, 2, 130, 8), needed=(*needed, False))


def test_what_is_left_to_the_reference(compare):
    q, k, v = numbers(1, 2, 7, 8), numbers(1, 2, 9, 8), numbers(1, 2, 9, 8)
    check(compare, *[x.astype(np.float64) for x in (q, k, v)], served=False)
    check(compare, q[:, :, :0], k, v, served=False)
    check(compare, q, k[:, :, :0], v[:, :, :0], served=False)
    check(compare, q, k, v, numbers(7, 9).astype(np.float64), served=False)
    mask = numbers(7, 9)
    out, logsumexp = compare("attention_forward", q, k, v, mask, False, 1.0, **CLOSE)
    args = (numbers(*out.shape), q, k, v, out, logsumexp, mask, False, 1.0, (True, True, True, True))
    compare("attention_backward", *args, served=False, **CLOSE)


def test_special_values(native):
    q, k, v = numbers(1, 1, 70, 8), numbers(1, 1, 130, 8), numbers(1, 1, 130, 8)
    q[0, 0, 3, 2] = np.nan
    v[0, 0, 100, 1] = np.inf
    out, logsumexp = native.attention_forward(q, k, v, None, False, 0.3)
    expected, expected_sum = reference.attention_forward(q, k, v, None, False, 0.3)
    np.testing.assert_allclose(out, expected, **CLOSE)  # NaN and infinity where they belong
    np.testing.assert_allclose(logsumexp, expected_sum, **CLOSE)
    large = native.attention_forward(q[:, :, 4:] * 100, k * 100, v, None, True, 1.0)[0]
    np.testing.assert_allclose(
        large, reference.attention_forward(q[:, :, 4:] * 100, k * 100, v, None, True, 1.0)[0], **CLOSE
    )


def test_accuracy(native):
    """The error against float64 is at most three times that of the formula in float32."""
    q, k, v, g = (numbers(1, 2, 300, 64, seed=i) for i in range(4))
    wide = [x.astype(np.float64) for x in (q, k, v)]
    out, logsumexp = reference.attention_forward(*wide, None, True, 0.125)
    exact = [
        out,
        *reference.attention_backward(
            g.astype(np.float64), *wide, out, logsumexp, None, True, 0.125, (True, True, True, False)
        ),
    ]

    def errors(table):
        y, lse = table.attention_forward(q, k, v, None, True, 0.125)
        found = [y, *table.attention_backward(g, q, k, v, y, lse, None, True, 0.125, (True, True, True, False))]
        return [np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(found[:4], exact[:4], strict=True)]

    for own, plain in zip(errors(native), errors(reference), strict=True):
        assert own <= 3 * plain
