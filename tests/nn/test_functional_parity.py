"""Every function of nn.functional against torch: values, the name of the node, first and second derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity tests need torch")

import rushlight  # noqa: E402
import rushlight.nn.functional as F  # noqa: E402


class Case(NamedTuple):
    """`call(m, F, *tensors)` with m the module (torch or rushlight) and F its functional; `inputs` are shapes or arrays.

    named: the node's name is torch's. order: up to which derivative torch can be asked.
    """

    name: str
    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    named: bool = True
    order: int = 2


def ints(*values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def unit(*shape: int) -> Callable[[np.random.Generator], np.ndarray[Any, Any]]:
    """Numbers in (0.05, 0.95)."""
    return lambda rng: rng.uniform(0.05, 0.95, shape)


def positive(*shape: int) -> Callable[[np.random.Generator], np.ndarray[Any, Any]]:
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def signs(*shape: int) -> Callable[[np.random.Generator], np.ndarray[Any, Any]]:
    """1 and -1 as integers (so that no gradient is taken)."""
    return lambda rng: np.where(rng.random(shape) < 0.5, 1, -1)


CONVOLUTIONS = [
    Case("conv1d", lambda m, F, x, w, b: F.conv1d(x, w, b), ((2, 4, 9), (6, 4, 3), (6,))),
    Case("conv2d", lambda m, F, x, w, b: F.conv2d(x, w, b), ((2, 3, 6, 7), (4, 3, 3, 2), (4,))),
    Case("conv2d-no-bias", lambda m, F, x, w: F.conv2d(x, w, None, 2, 1), ((2, 3, 6, 7), (4, 3, 3, 3))),
    Case(
        "conv2d-list",
        lambda m, F, x, w: F.conv2d(x, w, stride=[2, 1], padding=[1], dilation=[1, 2]),
        ((1, 3, 7, 7), (4, 3, 3, 3)),
    ),
    Case(
        "conv2d-groups",
        lambda m, F, x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (2, 1), 2),
        ((2, 4, 9, 7), (6, 2, 3, 2), (6,)),
    ),
    Case(
        "conv2d-depthwise",
        lambda m, F, x, w, b: F.conv2d(x, w, b, padding=1, groups=3),
        ((2, 3, 6, 5), (6, 1, 3, 3), (6,)),
    ),
    Case("conv2d-unbatched", lambda m, F, x, w, b: F.conv2d(x, w, b), ((3, 6, 7), (4, 3, 3, 2), (4,))),
    Case("conv2d-same", lambda m, F, x, w: F.conv2d(x, w, padding="same"), ((1, 2, 6, 5), (3, 2, 3, 5))),
    Case("conv2d-valid", lambda m, F, x, w: F.conv2d(x, w, padding="valid", stride=2), ((1, 2, 6, 5), (3, 2, 3, 5))),
    Case("conv2d-empty-batch", lambda m, F, x, w: F.conv2d(x, w), ((0, 2, 6, 5), (3, 2, 3, 5)), order=1),
    Case("conv3d", lambda m, F, x, w, b: F.conv3d(x, w, b, padding=1), ((1, 2, 4, 5, 3), (2, 2, 3, 2, 3), (2,))),
    Case("conv_transpose1d", lambda m, F, x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1), ((2, 4, 5), (4, 3, 3), (3,))),
    Case(
        "conv_transpose2d",
        lambda m, F, x, w, b: F.conv_transpose2d(x, w, b, (2, 3), 1, (1, 2)),
        ((2, 4, 5, 3), (4, 3, 3, 2), (3,)),
    ),
    Case(
        "conv_transpose2d-groups",
        lambda m, F, x, w: F.conv_transpose2d(x, w, None, 2, 1, 0, 2, 2),
        ((2, 4, 5, 3), (4, 3, 3, 2)),
    ),
    Case("conv_transpose2d-unbatched", lambda m, F, x, w: F.conv_transpose2d(x, w), ((4, 5, 3), (4, 3, 3, 2))),
    Case(
        "conv_transpose3d",
        lambda m, F, x, w, b: F.conv_transpose3d(x, w, b, 2),
        ((1, 2, 3, 2, 3), (2, 2, 3, 2, 2), (2,)),
    ),
    Case("conv_tbc", lambda m, F, x, w, b: F.conv_tbc(x, w, b, 1), ((7, 2, 3), (3, 3, 4), (4,)), named=False, order=1),
    Case("unfold", lambda m, F, x: F.unfold(x, (3, 2), (1, 2), (1, 0), (2, 1)), ((2, 3, 6, 7),)),
    Case("unfold-unbatched", lambda m, F, x: F.unfold(x, 2), ((3, 4, 4),)),
    Case("fold", lambda m, F, x: F.fold(x, (5, 6), (3, 2), 1, (1, 0), (2, 1)), ((2, 12, 15),)),
]

POOLS = [
    *[
        Case(
            f"{kind}_pool{nd}d{label}",
            lambda m, F, x, f=f"{kind}_pool{nd}d", kw=kw: getattr(F, f)(x, **kw),
            ((2, 3, *(7, 6, 5)[:nd]),),
        )
        for nd in (1, 2, 3)
        for kind in ("max", "avg")
        for label, kw in (
            ("", {"kernel_size": 2}),
            ("-padded", {"kernel_size": 3, "stride": 2, "padding": 1}),
            ("-ceil", {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
        )
    ],
    Case("max_pool2d-unbatched", lambda m, F, x: F.max_pool2d(x, (2, 3), (1, 2), dilation=(2, 1)), ((3, 7, 6),)),
    Case("max_pool2d-indices", lambda m, F, x: F.max_pool2d(x, 2, return_indices=True), ((2, 3, 6, 6),)),
    Case("max_pool1d-indices", lambda m, F, x: F.max_pool1d(x, 2, return_indices=True), ((2, 3, 6),)),
    Case("max_pool3d-indices", lambda m, F, x: F.max_pool3d_with_indices(x, 2), ((2, 3, 4, 4, 4),)),
    Case("avg_pool2d-exclude", lambda m, F, x: F.avg_pool2d(x, 3, 2, 1, False, False), ((2, 3, 7, 6),)),
    Case("avg_pool2d-divisor", lambda m, F, x: F.avg_pool2d(x, 3, 2, 1, True, True, 4), ((2, 3, 7, 6),)),
    Case("avg_pool2d-unbatched", lambda m, F, x: F.avg_pool2d(x, 3), ((3, 7, 6),)),
    *[
        Case(
            f"adaptive_{kind}_pool{nd}d-{out}",
            lambda m, F, x, f=f"adaptive_{kind}_pool{nd}d", o=out: getattr(F, f)(x, o),
            ((2, 3, *(7, 6, 5)[:nd]),),
        )
        for nd in (1, 2, 3)
        for kind in ("max", "avg")
        for out in (1, 3)
    ],
    Case("adaptive_avg_pool2d-none", lambda m, F, x: F.adaptive_avg_pool2d(x, (None, 4)), ((2, 3, 7, 6),)),
    Case("adaptive_avg_pool2d-unbatched", lambda m, F, x: F.adaptive_avg_pool2d(x, (2, 4)), ((3, 7, 6),)),
    Case("adaptive_max_pool2d-indices", lambda m, F, x: F.adaptive_max_pool2d(x, (2, 4), True), ((2, 3, 7, 6),)),
    *[
        Case(
            f"max_unpool{nd}d",
            lambda m, F, x, nd=nd: getattr(F, f"max_unpool{nd}d")(
                *getattr(F, f"max_pool{nd}d")(x, 2, return_indices=True), 2
            ),
            ((2, 3, *(6,) * nd),),
        )
        for nd in (1, 2, 3)
    ],
    Case(
        "max_unpool2d-size",
        lambda m, F, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=x.size()),
        ((1, 2, 7, 6),),
    ),
    Case("lp_pool1d", lambda m, F, x: F.lp_pool1d(x, 3, 2), ((lambda rng: rng.uniform(0.5, 2, (2, 3, 6))),)),
    Case("lp_pool2d", lambda m, F, x: F.lp_pool2d(x, 2.0, (2, 3), 2), ((2, 3, 6, 7),)),
    Case("lp_pool3d", lambda m, F, x: F.lp_pool3d(x, 2.0, 2, ceil_mode=True), ((2, 3, 3, 4, 4),)),
]

STATISTICS = (np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.5, 2.0]))


def with_statistics(m: Any, x: Any) -> tuple[Any, Any]:
    return tuple(m.tensor(each, dtype=x.dtype) for each in STATISTICS)


NORMS = [
    Case("batch_norm", lambda m, F, x, w, b: F.batch_norm(x, None, None, w, b, True), ((4, 3, 5), (3,), (3,))),
    Case("batch_norm-2d", lambda m, F, x, w, b: F.batch_norm(x, None, None, w, b, True, eps=0.1), ((4, 3), (3,), (3,))),
    Case("batch_norm-4d", lambda m, F, x: F.batch_norm(x, None, None, training=True), ((2, 3, 4, 5),)),
    Case("batch_norm-weight", lambda m, F, x, w: F.batch_norm(x, None, None, w, None, True), ((2, 3, 4, 5), (3,))),
    Case(
        "batch_norm-eval", lambda m, F, x, w, b: F.batch_norm(x, *with_statistics(m, x), w, b), ((4, 3, 5), (3,), (3,))
    ),
    Case("batch_norm-eval-plain", lambda m, F, x: F.batch_norm(x, *with_statistics(m, x)), ((4, 3, 5, 2),)),
    Case(
        "batch_norm-eval-bias",
        lambda m, F, x, b: F.batch_norm(x, *with_statistics(m, x), None, b),
        ((4, 3, 5, 2), (3,)),
        order=1,
    ),
    Case("instance_norm", lambda m, F, x, w, b: F.instance_norm(x, None, None, w, b), ((2, 3, 4, 5), (3,), (3,))),
    Case(
        "instance_norm-running",
        lambda m, F, x: F.instance_norm(x, *with_statistics(m, x), use_input_stats=False),
        ((2, 3, 4, 5),),
    ),
    Case("layer_norm", lambda m, F, x, w, b: F.layer_norm(x, (5,), w, b), ((2, 3, 5), (5,), (5,))),
    Case("layer_norm-two", lambda m, F, x, w, b: F.layer_norm(x, (3, 5), w, b, 0.1), ((2, 3, 5), (3, 5), (3, 5))),
    Case("layer_norm-plain", lambda m, F, x: F.layer_norm(x, [5]), ((2, 3, 5),)),
    Case("group_norm", lambda m, F, x, w, b: F.group_norm(x, 2, w, b), ((2, 4, 3, 2), (4,), (4,))),
    Case("group_norm-plain", lambda m, F, x: F.group_norm(x, 4, eps=0.01), ((2, 4, 3),)),
    Case("rms_norm", lambda m, F, x, w: F.rms_norm(x, (5,), w), ((2, 3, 5), (5,))),
    Case("rms_norm-plain", lambda m, F, x: F.rms_norm(x, (3, 5), eps=0.1), ((2, 3, 5),)),
    Case("local_response_norm", lambda m, F, x: F.local_response_norm(x, 3, 0.5, 0.6, 2.0), ((2, 5, 3, 4),)),
    Case("local_response_norm-1d", lambda m, F, x: F.local_response_norm(x, 2), ((2, 5, 3),)),
    Case("softmax", lambda m, F, x: F.softmax(x, 1), ((2, 5, 3),)),
    Case("softmax-0d", lambda m, F, x: F.softmax(x, 0), ((),)),
    Case("softmax-dtype", lambda m, F, x: F.softmax(x, -1, dtype=m.float32), ((2, 5),), order=1),
    Case("softmin", lambda m, F, x: F.softmin(x, 0), ((2, 5),)),
    Case("log_softmax", lambda m, F, x: F.log_softmax(x, -1), ((2, 5, 3),)),
    Case("normalize", lambda m, F, x: F.normalize(x), ((3, 4),)),
    Case("normalize-p", lambda m, F, x: F.normalize(x, 3.0, -1), ((3, 4),)),
]

LINEAR = [
    Case("linear", lambda m, F, x, w, b: F.linear(x, w, b), ((3, 5), (4, 5), (4,))),
    Case("linear-no-bias", lambda m, F, x, w: F.linear(x, w), ((3, 5), (4, 5))),
    Case("linear-3d", lambda m, F, x, w, b: F.linear(x, w, b), ((2, 3, 5), (4, 5), (4,))),
    Case("linear-3d-no-bias", lambda m, F, x, w: F.linear(x, w), ((2, 3, 5), (4, 5))),
    Case("linear-1d", lambda m, F, x, w, b: F.linear(x, w, b), ((5,), (4, 5), (4,))),
    Case("linear-1d-no-bias", lambda m, F, x, w: F.linear(x, w), ((5,), (4, 5)), named=False),
    Case("linear-vector", lambda m, F, x, w: F.linear(x, w), ((3, 5), (5,))),
    Case("linear-transposed", lambda m, F, x, w, b: F.linear(x.transpose(0, 1), w, b), ((3, 2, 5), (4, 5), (4,))),
    Case("linear-empty", lambda m, F, x, w, b: F.linear(x, w, b), ((0, 5), (4, 5), (4,))),
    Case("bilinear", lambda m, F, x, y, w, b: F.bilinear(x, y, w, b), ((2, 3, 4), (2, 3, 5), (6, 4, 5), (6,))),
    Case(
        "attention",
        lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v),
        ((2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 6)),
        named=False,
        order=1,
    ),
    Case(
        "attention-causal",
        lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        ((2, 4, 8),) * 3,
        named=False,
        order=1,
    ),
    Case(
        "attention-mask",
        lambda m, F, q, k, v, a: F.scaled_dot_product_attention(q, k, v, a > 0),
        ((2, 3, 4, 8),) * 3 + (ints([1, 0, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 1, 0, 1]),),
        named=False,
        order=1,
    ),
    Case(
        "attention-blocked",
        lambda m, F, q, k, v, a: F.scaled_dot_product_attention(q, k, v, a > 0),
        ((4, 2),) * 3 + (ints([1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]),),
        named=False,
        order=1,
    ),
    Case(
        "attention-added",
        lambda m, F, q, k, v, a: F.scaled_dot_product_attention(q, k, v, a),
        ((2, 3, 4, 8),) * 3 + ((4, 4),),
        named=False,
        order=1,
    ),
    Case(
        "attention-groups",
        lambda m, F, q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        ((2, 4, 3, 8), (2, 2, 3, 8), (2, 2, 3, 8)),
        named=False,
        order=1,
    ),
    Case("embedding", lambda m, F, w, i: F.embedding(i, w), ((5, 3), ints([1, 1, 4], [0, 2, 1]))),
    Case("embedding-padding", lambda m, F, w, i: F.embedding(i, w, padding_idx=-4), ((5, 3), ints(1, 1, 4, 0, 2))),
    Case(
        "embedding-frequency",
        lambda m, F, w, i: F.embedding(i, w, scale_grad_by_freq=True),
        ((5, 3), ints(1, 1, 4, 1, 2)),
        order=1,
    ),
    *[
        Case(
            f"embedding_bag-{mode}",
            lambda m, F, w, i, o, mode=mode: F.embedding_bag(i, w, o, mode=mode),
            ((5, 3), ints(1, 2, 4, 1, 3, 0), ints(0, 2, 2, 5)),
            named=False,
            order=1,
        )
        for mode in ("sum", "mean", "max")
    ],
    Case(
        "embedding_bag-2d",
        lambda m, F, w, i: F.embedding_bag(i, w),
        ((5, 3), ints([1, 2, 4], [1, 3, 0])),
        named=False,
        order=1,
    ),
    Case(
        "embedding_bag-padding",
        lambda m, F, w, i: F.embedding_bag(i, w, mode="mean", padding_idx=1),
        ((5, 3), ints([1, 2, 4], [1, 3, 1])),
        named=False,
        order=1,
    ),
    Case(
        "embedding_bag-max-padding",
        lambda m, F, w, i: F.embedding_bag(i, w, mode="max", padding_idx=1),
        ((5, 3), ints([1, 2, 4], [1, 3, 1])),
        named=False,
        order=1,
    ),
    Case(
        "embedding_bag-weights",
        lambda m, F, w, p, i: F.embedding_bag(i, w, mode="sum", per_sample_weights=p),
        ((5, 3), (2, 3), ints([1, 2, 4], [1, 3, 0])),
        named=False,
        order=1,
    ),
    Case(
        "embedding_bag-last-offset",
        lambda m, F, w, i, o: F.embedding_bag(i, w, o, mode="sum", include_last_offset=True),
        ((5, 3), ints(1, 2, 4, 1), ints(0, 1, 4)),
        named=False,
        order=1,
    ),
    Case("one_hot", lambda m, F, i: F.one_hot(i, 6), (ints([1, 2], [5, 0]),)),
    Case("cosine_similarity", lambda m, F, x, y: F.cosine_similarity(x, y), ((3, 4), (3, 4))),
    Case("cosine_similarity-broadcast", lambda m, F, x, y: F.cosine_similarity(x, y, -1), ((3, 1, 4), (2, 4))),
    Case("pairwise_distance", lambda m, F, x, y: F.pairwise_distance(x, y), ((3, 4), (3, 4)), named=False),
    Case(
        "pairwise_distance-p",
        lambda m, F, x, y: F.pairwise_distance(x, y, 3.0, keepdim=True),
        ((3, 4), (1, 4)),
        named=False,
    ),
    *[
        Case(f"cdist-{p}", lambda m, F, x, y, p=p: m.cdist(x, y, p), ((2, 3, 4), (2, 5, 4)), order=1)
        for p in (1.0, 2.0, 2.5, float("inf"))
    ],
    Case("cdist-product", lambda m, F, x, y: m.cdist(x, y), ((30, 4), (5, 4)), named=False),
    *[
        Case(f"pdist-{p}", lambda m, F, x, p=p: F.pdist(x, p), ((5, 4),), order=1)
        for p in (1.0, 2.0, 3.0, float("inf"))
    ],
]

REDUCTIONS = ("mean", "sum", "none")
LOSSES = [
    *[
        case
        for r in REDUCTIONS
        for case in (
            Case(f"nll_loss-{r}", lambda m, F, x, t, r=r: F.nll_loss(x, t, reduction=r), ((4, 3), ints(0, 2, 1, 2))),
            Case(
                f"nll_loss-ignore-{r}",
                lambda m, F, x, t, r=r: F.nll_loss(
                    x, t, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), ignore_index=1, reduction=r
                ),
                ((4, 3), ints(0, 2, 1, 2)),
            ),
            Case(
                f"nll_loss-2d-{r}",
                lambda m, F, x, t, r=r: F.nll_loss(x, t, reduction=r),
                ((2, 3, 2, 2), ints([[0, 1], [2, 1]], [[1, 1], [0, 2]])),
            ),
            Case(
                f"nll_loss-1d-{r}",
                lambda m, F, x, t, r=r: F.nll_loss(x, t, reduction=r),
                ((2, 3, 2), ints([0, 1], [2, 1])),
                named=r != "none",
            ),
            Case(f"nll_loss-single-{r}", lambda m, F, x, t, r=r: F.nll_loss(x, t, reduction=r), ((3,), np.array(1))),
            Case(
                f"cross_entropy-{r}",
                lambda m, F, x, t, r=r: F.cross_entropy(x, t, reduction=r),
                ((4, 3), ints(0, 2, 1, 2)),
            ),
            Case(
                f"cross_entropy-smooth-{r}",
                lambda m, F, x, t, r=r: F.cross_entropy(x, t, ignore_index=1, reduction=r, label_smoothing=0.2),
                ((4, 3), ints(0, 2, 1, 2)),
                named=False,
            ),
            Case(
                f"cross_entropy-smooth-weight-{r}",
                lambda m, F, x, t, r=r: F.cross_entropy(
                    x, t, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), reduction=r, label_smoothing=0.2
                ),
                ((2, 3, 2), ints([0, 1], [-100, 1])),
                named=False,
            ),
            Case(
                f"cross_entropy-probabilities-{r}",
                lambda m, F, x, t, r=r: F.cross_entropy(
                    x, t, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), reduction=r, label_smoothing=0.1
                ),
                ((4, 3), unit(4, 3)),
                named=False,
            ),
            Case(f"mse_loss-{r}", lambda m, F, x, y, r=r: F.mse_loss(x, y, reduction=r), ((4, 3), (4, 3))),
            Case(
                f"mse_loss-weight-{r}",
                lambda m, F, x, y, r=r: F.mse_loss(x, y, reduction=r, weight=m.ones(4, 3, dtype=x.dtype) * 2),
                ((4, 3), (4, 3)),
                named=False,
            ),
            Case(f"l1_loss-{r}", lambda m, F, x, y, r=r: F.l1_loss(x, y, reduction=r), ((4, 3), (4, 3))),
            Case(
                f"smooth_l1_loss-{r}",
                lambda m, F, x, y, r=r: F.smooth_l1_loss(x, y, reduction=r, beta=0.7),
                ((4, 3), (4, 3)),
            ),
            Case(
                f"huber_loss-{r}", lambda m, F, x, y, r=r: F.huber_loss(x, y, reduction=r, delta=0.8), ((4, 3), (4, 3))
            ),
            Case(
                f"binary_cross_entropy-{r}",
                lambda m, F, x, y, r=r: F.binary_cross_entropy(x, y, reduction=r),
                (unit(4, 3), unit(4, 3)),
                order=1,
            ),
            Case(
                f"binary_cross_entropy-weight-{r}",
                lambda m, F, x, y, r=r: F.binary_cross_entropy(
                    x, y, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), reduction=r
                ),
                (unit(4, 3), unit(4, 3)),
                order=1,
            ),
            Case(
                f"binary_cross_entropy_with_logits-{r}",
                lambda m, F, x, y, r=r: F.binary_cross_entropy_with_logits(x, y, reduction=r),
                ((4, 3), unit(4, 3)),
            ),
            Case(
                f"binary_cross_entropy_with_logits-weights-{r}",
                lambda m, F, x, y, r=r: F.binary_cross_entropy_with_logits(
                    x,
                    y,
                    m.tensor([0.3, 1.0, 2.0], dtype=x.dtype),
                    reduction=r,
                    pos_weight=m.tensor([3.0, 1.0, 2.0], dtype=x.dtype),
                ),
                ((4, 3), unit(4, 3)),
            ),
            Case(
                f"kl_div-{r}",
                lambda m, F, x, y, r=r: F.kl_div(x, y, reduction="batchmean" if r == "mean" else r),
                ((4, 3), unit(4, 3)),
                named=r != "mean",
            ),
            Case(
                f"kl_div-log-{r}",
                lambda m, F, x, y, r=r: F.kl_div(x, y, reduction="batchmean" if r == "mean" else r, log_target=True),
                ((4, 3), (4, 3)),
                named=r != "mean",
            ),
            Case(
                f"poisson_nll_loss-{r}",
                lambda m, F, x, y, r=r: F.poisson_nll_loss(x, y, reduction=r),
                ((4, 3), positive(4, 3)),
            ),
            Case(
                f"poisson_nll_loss-full-{r}",
                lambda m, F, x, y, r=r: F.poisson_nll_loss(x, y.detach(), False, True, reduction=r),
                (positive(4, 3), positive(4, 3)),
            ),
            Case(
                f"gaussian_nll_loss-{r}",
                lambda m, F, x, y, v, r=r: F.gaussian_nll_loss(x, y, v, True, 0.7, r),
                ((4, 3), (4, 3), positive(4, 1)),
                named=False,
            ),
            Case(
                f"soft_margin_loss-{r}",
                lambda m, F, x, t, r=r: F.soft_margin_loss(x, t.to(x.dtype), reduction=r),
                ((4, 3), signs(4, 3)),
            ),
            Case(
                f"multi_margin_loss-{r}",
                lambda m, F, x, t, r=r: F.multi_margin_loss(x, t, reduction=r),
                ((4, 3), ints(0, 2, 1, 2)),
                order=1,
            ),
            Case(
                f"multi_margin_loss-2-{r}",
                lambda m, F, x, t, r=r: F.multi_margin_loss(
                    x, t, 2, 0.5, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), reduction=r
                ),
                ((4, 3), ints(0, 2, 1, 2)),
                order=1,
            ),
            Case(
                f"multilabel_margin_loss-{r}",
                lambda m, F, x, t, r=r: F.multilabel_margin_loss(x, t, reduction=r),
                ((2, 4), ints([3, 0, -1, 1], [1, 1, 2, -1])),
                order=1,
            ),
            Case(
                f"multilabel_soft_margin_loss-{r}",
                lambda m, F, x, t, r=r: F.multilabel_soft_margin_loss(
                    x, t, m.tensor([0.3, 1.0, 2.0], dtype=x.dtype), reduction=r
                ),
                ((4, 3), unit(4, 3)),
            ),
            Case(
                f"hinge_embedding_loss-{r}",
                lambda m, F, x, t, r=r: F.hinge_embedding_loss(x, t, 0.8, reduction=r),
                ((4, 3), signs(4, 3)),
            ),
            Case(
                f"margin_ranking_loss-{r}",
                lambda m, F, x, y, t, r=r: F.margin_ranking_loss(x, y, t, 0.3, reduction=r),
                ((4,), (4,), signs(4)),
            ),
            Case(
                f"cosine_embedding_loss-{r}",
                lambda m, F, x, y, t, r=r: F.cosine_embedding_loss(x, y, t, 0.1, reduction=r),
                ((4, 3), (4, 3), signs(4)),
            ),
            Case(
                f"triplet_margin_loss-{r}",
                lambda m, F, x, y, z, r=r: F.triplet_margin_loss(x, y, z, swap=True, reduction=r),
                ((4, 3),) * 3,
            ),
            Case(
                f"triplet_margin_with_distance_loss-{r}",
                lambda m, F, x, y, z, r=r: F.triplet_margin_with_distance_loss(
                    x, y, z, margin=0.5, reduction=r, distance_function=lambda a, b: (a - b).abs().sum(-1)
                ),
                ((4, 3),) * 3,
            ),
        )
    ],
    Case(
        "multi_margin_loss-single",
        lambda m, F, x, t: F.multi_margin_loss(x, t, reduction="none"),
        ((3,), ints(1)),
        named=False,
        order=1,
    ),
    Case(
        "multilabel_margin_loss-single",
        lambda m, F, x, t: F.multilabel_margin_loss(x, t, reduction="none"),
        ((3,), ints(1, 0, -1)),
        named=False,
        order=1,
    ),
    Case("cross_entropy-single", lambda m, F, x, t: F.cross_entropy(x, t), ((3,), np.array(2))),
    Case(
        "cross_entropy-3d", lambda m, F, x, t: F.cross_entropy(x, t), ((2, 3, 2, 1, 2), np.ones((2, 2, 1, 2), np.int64))
    ),
    Case("smooth_l1_loss-0", lambda m, F, x, y: F.smooth_l1_loss(x, y, beta=0.0), ((4, 3), (4, 3))),
]

IMAGES = [
    *[
        Case(
            f"pad-{mode}{nd}",
            lambda m, F, x, mode=mode, nd=nd: F.pad(x, (1, 2, 2, 0, 1, 1)[: 2 * nd], mode),
            ((2, 3, *(4, 5, 3)[:nd]),),
        )
        for nd in (1, 2, 3)
        for mode in ("constant", "reflect", "replicate", "circular")
    ],
    Case("pad-value", lambda m, F, x: F.pad(x, (1, 2, 0, 1), value=3.5), ((2, 3),)),
    Case("pad-crop", lambda m, F, x: F.pad(x, (-1, 2, 0, -1)), ((4, 5),)),
    Case("pad-crop-replicate", lambda m, F, x: F.pad(x, (-1, 2), "replicate"), ((4, 5),), order=1),
    *[
        Case(
            f"interpolate-{mode}-{label}",
            lambda m, F, x, mode=mode, kw=kw: F.interpolate(x, mode=mode, **kw),
            ((2, 3, *(5, 4, 3)[:nd]),),
        )
        for mode, nd in (
            ("nearest", 1),
            ("nearest", 2),
            ("nearest", 3),
            ("nearest-exact", 1),
            ("nearest-exact", 2),
            ("nearest-exact", 3),
            ("linear", 1),
            ("bilinear", 2),
            ("trilinear", 3),
            ("bicubic", 2),
            ("area", 1),
            ("area", 2),
            ("area", 3),
        )
        for label, kw in (
            (f"{nd}-size", {"size": 7}),
            (f"{nd}-factor", {"scale_factor": 1.7}),
            (f"{nd}-shrink", {"scale_factor": 0.6, "recompute_scale_factor": True}),
        )
    ],
    *[
        Case(
            f"interpolate-{mode}-corners",
            lambda m, F, x, mode=mode: F.interpolate(x, size=(7, 3), mode=mode, align_corners=True),
            ((2, 3, 5, 4),),
        )
        for mode in ("bilinear", "bicubic")
    ],
    *[
        Case(
            f"interpolate-{mode}-antialias",
            lambda m, F, x, mode=mode: F.interpolate(x, size=(3, 4), mode=mode, antialias=True),
            ((2, 3, 8, 9),),
        )
        for mode in ("bilinear", "bicubic")
    ],
    *[
        Case(
            f"grid_sample-{mode}-{padding}-{corners}",
            lambda m, F, x, g, mode=mode, p=padding, c=corners: F.grid_sample(x, g, mode, p, c),
            ((2, 3, 4, 5), lambda rng: rng.uniform(-1.6, 1.6, (2, 3, 6, 2))),
            named=False,
            order=1,
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (True, False)
    ],
    *[
        Case(
            f"grid_sample-3d-{mode}-{padding}",
            lambda m, F, x, g, mode=mode, p=padding: F.grid_sample(x, g, mode, p, False),
            ((2, 3, 4, 5, 3), lambda rng: rng.uniform(-1.4, 1.4, (2, 3, 2, 2, 3))),
            named=False,
            order=1,
        )
        for mode in ("bilinear", "nearest")
        for padding in ("zeros", "border", "reflection")
    ],
    *[
        Case(
            f"affine_grid-{corners}",
            lambda m, F, t, c=corners: F.affine_grid(t, (2, 3, 4, 5), c),
            ((2, 2, 3),),
            named=False,
        )
        for corners in (True, False)
    ],
    Case("affine_grid-3d", lambda m, F, t: F.affine_grid(t, (2, 3, 4, 1, 3), False), ((2, 3, 4),), named=False),
    Case("pixel_shuffle", lambda m, F, x: F.pixel_shuffle(x, 2), ((2, 8, 2, 3),)),
    Case("pixel_unshuffle", lambda m, F, x: F.pixel_unshuffle(x, 2), ((2, 2, 4, 6),)),
    Case("channel_shuffle", lambda m, F, x: F.channel_shuffle(x, 3), ((2, 6, 2, 3),)),
    Case("channel_shuffle-one", lambda m, F, x: F.channel_shuffle(x, 1), ((2, 6, 2, 3),)),
]

ACTIVATIONS = [
    *[
        Case(name, lambda m, F, x, name=name: getattr(F, name)(x), ((3, 4),))
        for name in (
            "relu",
            "relu6",
            "elu",
            "selu",
            "celu",
            "leaky_relu",
            "gelu",
            "silu",
            "mish",
            "softplus",
            "softsign",
            "tanhshrink",
            "hardshrink",
            "softshrink",
            "hardtanh",
            "hardswish",
            "logsigmoid",
            "sigmoid",
            "tanh",
            "glu",
        )
    ],
    *[
        Case(
            f"{name}-inplace", lambda m, F, x, name=name: getattr(F, name)(x * 1, inplace=True), ((3, 4),), named=False
        )
        for name in ("relu", "leaky_relu", "hardtanh")
    ],
    Case("hardsigmoid", lambda m, F, x: F.hardsigmoid(x), ((3, 4),), order=1),
    Case("rrelu", lambda m, F, x: F.rrelu(x), ((3, 4),), named=False),
    Case("prelu", lambda m, F, x, w: F.prelu(x, w), ((3, 4), (4,))),
    Case("threshold", lambda m, F, x: F.threshold(x, 0.2, 5.0), ((3, 4),)),
]

CASES = [*CONVOLUTIONS, *POOLS, *NORMS, *LINEAR, *LOSSES, *IMAGES, *ACTIVATIONS]


def drawn(case: Case) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    return [
        each if isinstance(each, np.ndarray) else each(rng) if callable(each) else rng.uniform(-2, 2, each)
        for each in case.inputs
    ]


def run(m: Any, functional: Any, case: Case, dtype: str, grad: bool) -> tuple[list[Any], tuple[Any, ...]]:
    tensors = []
    for array in drawn(case):
        floating = array.dtype.kind == "f"
        tensor = m.tensor(array.tolist(), dtype=getattr(m, dtype if floating else "int64"))
        tensors.append(tensor.reshape(array.shape).requires_grad_(grad and floating))
    found = case.call(m, functional, *tensors)
    return tensors, found if isinstance(found, tuple) else (found,)


def assert_close(actual: Any, expected: Any, tolerance: float, what: str) -> None:
    assert tuple(actual.shape) == tuple(expected.shape), what
    assert str(actual.dtype) == str(expected.dtype), what
    expected = (
        torch.zeros(expected.shape, dtype=expected.dtype) + expected.detach()
    )  # torch may hand out a symbolic zero
    np.testing.assert_allclose(
        np.asarray(actual.detach().numpy(), np.float64),
        np.asarray(expected.detach().numpy(), np.float64),
        tolerance,
        tolerance,
        err_msg=what,
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_values(case: Case) -> None:
    for dtype, tolerance in (("float64", 1e-9), ("float32", 2e-5)):
        _, found = run(rushlight, F, case, dtype, False)
        _, expected = run(torch, torch.nn.functional, case, dtype, False)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, tolerance if b.dtype == torch.float64 else 2e-5, dtype)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_names_and_derivatives(case: Case) -> None:
    """A random direction is pulled back, then the squared gradients are differentiated again."""
    results = []
    for m, functional in ((rushlight, F), (torch, torch.nn.functional)):
        tensors, found = run(m, functional, case, "float64", True)
        out = found[0]
        wanted = [t for t in tensors if t.requires_grad]
        if not wanted or not out.requires_grad:
            assert not wanted or not results or results[0][0] is None
            results.append((None, [], []))
            continue
        name = type(out.grad_fn).__name__
        rng = np.random.default_rng(3)
        direction = m.tensor(np.asarray(rng.uniform(-1, 1, tuple(out.shape))).tolist(), dtype=out.dtype).reshape(
            tuple(out.shape)
        )
        first = m.autograd.grad(out, wanted, direction, create_graph=case.order > 1, allow_unused=True)
        second: list[Any] = []
        if case.order > 1:
            total = sum((g * g).sum() for g in first if g is not None and g.requires_grad)
            if getattr(total, "requires_grad", False):
                second = list(m.autograd.grad(total, wanted, allow_unused=True))
        results.append((name, first, second))
    (name, first, second), (torch_name, torch_first, torch_second) = results
    if case.named:
        assert name == torch_name
    for order, mine, theirs in (("first", first, torch_first), ("second", second, torch_second)):
        pairs = list(zip(mine, theirs, strict=False))
        for i, (a, b) in enumerate(pairs):
            if a is None or b is None:
                present = a if b is None else b
                assert present is None or float(abs(present).max()) == 0.0, f"{order} {i}"
            else:
                assert_close(a, b, 1e-7, f"{order} derivative in input {i}")
