"""Neural-network operations: convolutions, pooling, normalisation, losses, embedding, resampling, padding, distances."""

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.testing.op_spec import Spec


def case(name, call, *inputs, **settings):
    """A function `call(F, *tensors)` of either library's nn.functional."""

    def theirs(*tensors):
        import torch.nn.functional

        return call(torch.nn.functional, *tensors)

    return Spec(name, lambda *tensors: call(F, *tensors), inputs, torch_function=theirs, **settings)


def unit(*shape):
    """Numbers well inside (0, 1)."""
    return lambda rng: rng.uniform(0.15, 0.85, shape)


def apart(*shape):
    """Distinct numbers, 0.1 and more from each other and from zero: no ties, no kinks."""
    count = int(np.prod(shape))
    return lambda rng: ((rng.permutation(count) - count / 2 + 0.5) * 0.15 + rng.uniform(-0.01, 0.01, count)).reshape(
        shape
    )


def indices(*values):
    return lambda rng: np.array(values, np.int64)


def signs(*shape):
    return lambda rng: np.where(rng.random(shape) < 0.5, 1, -1)


SPECS = [
    case("conv1d", lambda f, x, w, b: f.conv1d(x, w, b, 2, 1), (2, 2, 7), (4, 2, 3), (4,), complex=True),
    case("conv2d", lambda f, x, w, b: f.conv2d(x, w, b, (2, 1), 1, (1, 2), 2), (2, 4, 5, 6), (4, 2, 3, 2), (4,)),
    case("conv2d-unbatched", lambda f, x, w: f.conv2d(x, w), (2, 5, 4), (3, 2, 3, 2)),
    case("conv2d-same", lambda f, x, w: f.conv2d(x, w, padding="same"), (1, 2, 5, 4), (3, 2, 3, 3)),
    case("conv3d", lambda f, x, w, b: f.conv3d(x, w, b, padding=1), (1, 2, 3, 4, 3), (2, 2, 3, 2, 2), (2,)),
    case(
        "conv_transpose1d",
        lambda f, x, w, b: f.conv_transpose1d(x, w, b, 2, 1, 1),
        (2, 2, 4),
        (2, 3, 3),
        (3,),
        complex=True,
    ),
    case(
        "conv_transpose2d", lambda f, x, w, b: f.conv_transpose2d(x, w, b, 2, 1, 0, 2), (1, 4, 3, 4), (4, 2, 3, 2), (4,)
    ),
    case("conv_transpose3d", lambda f, x, w: f.conv_transpose3d(x, w), (1, 2, 2, 3, 2), (2, 2, 2, 2, 2)),
    case("max_pool1d", lambda f, x: f.max_pool1d(x, 3, 2, 1), apart(2, 2, 7)),
    case("max_pool2d", lambda f, x: f.max_pool2d(x, 3, 2, 1), apart(2, 2, 6, 5)),
    case("max_pool3d", lambda f, x: f.max_pool3d(x, 2), apart(1, 2, 4, 4, 3)),
    case("avg_pool1d", lambda f, x: f.avg_pool1d(x, 3, 2, 1), (2, 2, 7)),
    case("avg_pool2d", lambda f, x: f.avg_pool2d(x, (3, 2), 2, (1, 0), True, False), (2, 2, 6, 5)),
    case("avg_pool3d", lambda f, x: f.avg_pool3d(x, 2, divisor_override=3), (1, 2, 4, 4, 3)),
    case("adaptive_avg_pool2d", lambda f, x: f.adaptive_avg_pool2d(x, (3, 2)), (2, 2, 7, 5)),
    case("adaptive_avg_pool3d", lambda f, x: f.adaptive_avg_pool3d(x, 2), (1, 2, 3, 5, 4)),
    case("adaptive_max_pool2d", lambda f, x: f.adaptive_max_pool2d(x, (3, 2)), apart(2, 2, 7, 5)),
    case("adaptive_max_pool3d", lambda f, x: f.adaptive_max_pool3d(x, 2), apart(1, 2, 3, 5, 4)),
    case("max_unpool2d", lambda f, x: f.max_unpool2d(*f.max_pool2d(x, 2, return_indices=True), 2), apart(1, 2, 4, 6)),
    case(
        "max_unpool3d", lambda f, x: f.max_unpool3d(*f.max_pool3d(x, 2, return_indices=True), 2), apart(1, 1, 4, 4, 2)
    ),
    case("lp_pool2d", lambda f, x: f.lp_pool2d(x, 3.0, 2), (1, 2, 4, 6), domain=(0.5, 2.0)),
    case("unfold", lambda f, x: f.unfold(x, (3, 2), 1, (1, 0), 2), (2, 2, 5, 6), complex=True),
    case("fold", lambda f, x: f.fold(x, (4, 5), 2, stride=(2, 1)), (2, 8, 8), complex=True),
    case("batch_norm", lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True), (3, 2, 4), (2,), (2,)),
    case("batch_norm-weight", lambda f, x, w: f.batch_norm(x, None, None, w, None, True), (4, 3), (3,)),
    case("batch_norm-plain", lambda f, x: f.batch_norm(x, None, None, training=True, eps=0.1), (2, 3, 3, 2)),
    case(
        "batch_norm-eval",
        lambda f, x, w, b: f.batch_norm(x, x.new_tensor([0.1, -0.3]), x.new_tensor([0.5, 2.0]), w, b),
        (3, 2, 4),
        (2,),
        (2,),
    ),
    case("instance_norm", lambda f, x, w, b: f.instance_norm(x, None, None, w, b), (2, 2, 3, 4), (2,), (2,)),
    case("layer_norm", lambda f, x, w, b: f.layer_norm(x, (3, 4), w, b), (2, 3, 4), (3, 4), (3, 4)),
    case("layer_norm-plain", lambda f, x: f.layer_norm(x, (4,), eps=0.1), (2, 3, 4)),
    case("group_norm", lambda f, x, w, b: f.group_norm(x, 2, w, b), (2, 4, 3), (4,), (4,)),
    case("rms_norm", lambda f, x, w: f.rms_norm(x, (4,), w, 0.01), (2, 3, 4), (4,)),
    case("local_response_norm", lambda f, x: f.local_response_norm(x, 3, 0.5), (2, 4, 3)),
    case("softmax", lambda f, x: f.softmax(x, 1), (2, 4, 3)),
    case("log_softmax", lambda f, x: f.log_softmax(x, -1), (2, 4)),
    case("softmin", lambda f, x: f.softmin(x, 0), (3, 2)),
    case("normalize", lambda f, x: f.normalize(x, dim=-1), (3, 4)),
    case("linear", lambda f, x, w, b: f.linear(x, w, b), (3, 4), (2, 4), (2,), complex=True),
    case("linear-3d", lambda f, x, w, b: f.linear(x, w, b), (2, 3, 4), (2, 4), (2,)),
    case("bilinear", lambda f, x, y, w, b: f.bilinear(x, y, w, b), (3, 2), (3, 4), (5, 2, 4), (5,)),
    case(
        "scaled_dot_product_attention",
        lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v),
        *[(2, 3, 4)] * 3,
        order=1,
    ),
    case("embedding", lambda f, w, i: f.embedding(i, w), (5, 3), indices([1, 2], [2, 4])),
    case(
        "embedding_bag",
        lambda f, w, i, o: f.embedding_bag(i, w, o),
        (5, 3),
        indices(1, 2, 2, 4),
        indices(0, 3),
        order=1,
    ),
    case("nll_loss", lambda f, x, t: f.nll_loss(x, t, ignore_index=1), (4, 3), indices(0, 2, 1, 2)),
    case("nll_loss-2d", lambda f, x, t: f.nll_loss(x, t, reduction="none"), (2, 3, 1, 2), indices([[0, 2]], [[1, 1]])),
    case("cross_entropy", lambda f, x, t: f.cross_entropy(x, t, label_smoothing=0.1), (4, 3), indices(0, 2, 1, 2)),
    case("cross_entropy-probabilities", lambda f, x, t: f.cross_entropy(x, t), (4, 3), unit(4, 3)),
    case("mse_loss", lambda f, x, y: f.mse_loss(x, y), (3, 4), (3, 4)),
    case("l1_loss", lambda f, x, y: f.l1_loss(x, y, reduction="sum"), (3, 4), (3, 4)),
    case("smooth_l1_loss", lambda f, x, y: f.smooth_l1_loss(x, y, beta=0.5), (3, 4), (3, 4)),
    case("huber_loss", lambda f, x, y: f.huber_loss(x, y, "none", 0.5), (3, 4), (3, 4)),
    case("binary_cross_entropy", lambda f, x, y: f.binary_cross_entropy(x, y), unit(3, 4), unit(3, 4)),
    case(
        "binary_cross_entropy_with_logits", lambda f, x, y: f.binary_cross_entropy_with_logits(x, y), (3, 4), unit(3, 4)
    ),
    case(
        "binary_cross_entropy_with_logits-weights",
        lambda f, x, y: f.binary_cross_entropy_with_logits(
            x, y, x.new_tensor([0.5, 2.0, 1.0]), pos_weight=x.new_tensor([3.0, 1.0, 0.2])
        ),
        (4, 3),
        unit(4, 3),
    ),
    case("kl_div", lambda f, x, y: f.kl_div(x, y, reduction="batchmean"), (3, 4), unit(3, 4)),
    case("poisson_nll_loss", lambda f, x, y: f.poisson_nll_loss(x, y, full=False), (3, 4), unit(3, 4)),
    case("soft_margin_loss", lambda f, x, t: f.soft_margin_loss(x, t.to(x.dtype)), (3, 4), signs(3, 4)),
    case("multi_margin_loss", lambda f, x, t: f.multi_margin_loss(x, t), (4, 3), indices(0, 2, 1, 2), order=1),
    case("multi_margin_loss-2", lambda f, x, t: f.multi_margin_loss(x, t, 2), (4, 3), indices(0, 2, 1, 2), order=1),
    case(
        "multilabel_margin_loss",
        lambda f, x, t: f.multilabel_margin_loss(x, t),
        (2, 3),
        indices([2, 0, -1], [1, -1, 0]),
        order=1,
    ),
    case("multilabel_soft_margin_loss", lambda f, x, y: f.multilabel_soft_margin_loss(x, y), (2, 3), unit(2, 3)),
    case("hinge_embedding_loss", lambda f, x, t: f.hinge_embedding_loss(x, t), (3, 4), signs(3, 4)),
    case("cosine_embedding_loss", lambda f, x, y, t: f.cosine_embedding_loss(x, y, t), (3, 4), (3, 4), signs(3)),
    case("margin_ranking_loss", lambda f, x, y, t: f.margin_ranking_loss(x, y, t, 0.5), (6,), (6,), signs(6)),
    case("triplet_margin_loss", lambda f, x, y, z: f.triplet_margin_loss(x, y, z), (3, 4), (3, 4), (3, 4)),
    case("gaussian_nll_loss", lambda f, x, y, v: f.gaussian_nll_loss(x, y, v), (3, 4), (3, 4), unit(3, 4)),
    case("pad", lambda f, x: f.pad(x, (1, -1, 0, 2), value=3.0), (3, 4), complex=True),
    case("pad-reflect", lambda f, x: f.pad(x, (2, 1, 1, 0), "reflect"), (2, 3, 4), complex=True),
    case("pad-replicate", lambda f, x: f.pad(x, (2, 1), "replicate"), (2, 3), complex=True),
    case("pad-circular", lambda f, x: f.pad(x, (2, 1, 1, 1), "circular"), (1, 2, 3, 3), complex=True),
    case("interpolate-nearest", lambda f, x: f.interpolate(x, scale_factor=1.6), (1, 2, 4, 3)),
    case("interpolate-linear", lambda f, x: f.interpolate(x, 7, mode="linear"), (1, 2, 4)),
    case(
        "interpolate-bilinear", lambda f, x: f.interpolate(x, (3, 7), mode="bilinear", align_corners=True), (1, 2, 4, 5)
    ),
    case("interpolate-bicubic", lambda f, x: f.interpolate(x, (3, 7), mode="bicubic"), (1, 2, 4, 5)),
    case("interpolate-antialias", lambda f, x: f.interpolate(x, (3, 2), mode="bilinear", antialias=True), (1, 2, 6, 5)),
    case(
        "grid_sample",
        lambda f, x, g: f.grid_sample(x, g, align_corners=False),
        (1, 2, 4, 5),
        (1, 3, 2, 2),
        domain=(-0.9, 0.9),
        order=1,
    ),
    case("affine_grid", lambda f, t: f.affine_grid(t, (2, 1, 3, 4), True), (2, 2, 3)),
    case("pixel_shuffle", lambda f, x: f.pixel_shuffle(x, 2), (1, 4, 2, 3), complex=True),
    case("pixel_unshuffle", lambda f, x: f.pixel_unshuffle(x, 2), (1, 2, 4, 6), complex=True),
    case("channel_shuffle", lambda f, x: f.channel_shuffle(x, 3), (1, 6, 2, 2)),
    case("cosine_similarity", lambda f, x, y: f.cosine_similarity(x, y), (3, 4), (3, 4)),
    case("pairwise_distance", lambda f, x, y: f.pairwise_distance(x, y), (3, 4), (3, 4)),
    Spec("cdist", rl.cdist, [(2, 3, 4), (2, 2, 4)], torch_function="cdist", order=1),
    Spec(
        "cdist-product",
        rl.cdist,
        [(3, 4), (2, 4)],
        kwargs={"compute_mode": "use_mm_for_euclid_dist"},
        torch_function="cdist",
    ),
    case("pdist", lambda f, x: f.pdist(x, 3.0), (4, 3), order=1),
]
