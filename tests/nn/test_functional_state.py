"""Functions with state or chance: running statistics, renormalised tables, dropout, and the arguments' errors and warnings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity tests need torch")

import rushlight  # noqa: E402
import rushlight.nn.functional as F  # noqa: E402

TF = torch.nn.functional
BOTH = ((rushlight, F), (torch, TF))


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(5).uniform(-2, 2, shape).astype(np.float32)


def same(mine: Any, theirs: Any, tolerance: float = 1e-6) -> None:
    assert tuple(mine.shape) == tuple(theirs.shape)
    assert str(mine.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(mine.detach().float().numpy(), theirs.detach().float().numpy(), tolerance, tolerance)


# Running statistics.


@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_batch_norm_moves_running_statistics(momentum: float, dtype: str) -> None:
    results = []
    for m, functional in BOTH:
        x = m.tensor(numbers(4, 3, 5).tolist()).to(getattr(m, dtype))
        of = m.float32 if dtype == "bfloat16" else x.dtype
        mean, var = m.zeros(3, dtype=of), m.ones(3, dtype=of)
        y = functional.batch_norm(x, mean, var, training=True, momentum=momentum)
        results.append((y, mean, var))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs, 1e-2 if mine.dtype == rushlight.bfloat16 else 1e-6)


def test_batch_norm_counts_the_write_of_running_statistics() -> None:
    mean, var = rushlight.zeros(3), rushlight.ones(3)
    x = rushlight.ones(4, 3, requires_grad=True)
    F.batch_norm(x, mean, var, training=True)
    assert (mean._version, var._version) == (1, 1)
    assert not mean.requires_grad
    F.batch_norm(x, mean, var, training=False)
    assert mean._version == 1


def test_batch_norm_eval_refuses_statistics_changed_before_backward() -> None:
    x, mean, var = rushlight.ones(4, 3, requires_grad=True), rushlight.zeros(3), rushlight.ones(3)
    y = F.batch_norm(x, mean, var)
    var.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_instance_norm_averages_running_statistics() -> None:
    results = []
    for m, functional in BOTH:
        mean, var = m.zeros(3), m.ones(3)
        y = functional.instance_norm(m.tensor(numbers(4, 3, 5).tolist()), mean, var, momentum=0.3)
        results.append((y, mean, var))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs, 2e-6)


def test_embedding_max_norm_scales_the_table_in_place() -> None:
    results = []
    for m, functional in BOTH:
        table = m.tensor(numbers(6, 4).tolist())
        y = functional.embedding(m.tensor([[1, 1], [3, 0]]), table, max_norm=1.0, norm_type=2.0)
        results.append((y, table))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs)
    assert float(results[0][1][1].norm()) == pytest.approx(1.0, rel=1e-4)


def test_embedding_max_norm_of_a_leaf_that_requires_grad() -> None:
    table = rushlight.tensor(numbers(6, 4).tolist(), requires_grad=True)
    F.embedding(rushlight.tensor([2]), table, max_norm=0.5).sum().backward()
    assert table.grad is not None


# Dropout.


@pytest.mark.parametrize(
    ("name", "shape", "settings"),
    [
        ("dropout", (3, 5), {}),
        ("dropout", (3, 5), {"p": 0.2}),
        ("dropout", (3, 5), {"p": 1.0}),
        ("dropout", (3, 5), {"p": 0.0}),
        ("dropout", (3, 5), {"training": False}),
        ("dropout", (0, 5), {}),
        ("dropout1d", (3, 5, 2), {"p": 0.4}),
        ("dropout1d", (3, 5), {"p": 0.4}),
        ("dropout2d", (3, 5, 2, 2), {"p": 0.4}),
        ("dropout3d", (3, 5, 2, 2, 2), {"p": 0.4}),
        ("dropout3d", (3, 2, 2, 2), {"p": 0.4}),
        ("alpha_dropout", (3, 5), {"p": 0.3, "training": True}),
        ("alpha_dropout", (3, 5), {"p": 0.3}),
        ("alpha_dropout", (3, 5), {"p": 1.0, "training": True}),
        ("feature_alpha_dropout", (3, 5, 4), {"p": 0.3, "training": True}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_draws_torchs_noise(name: str, shape: tuple[int, ...], settings: Any, dtype: str, inplace: bool) -> None:
    results = []
    for m, functional in BOTH:
        m.manual_seed(11)
        x = m.tensor(numbers(*shape).tolist()).reshape(shape).to(getattr(m, dtype))
        y = getattr(functional, name)(x, inplace=inplace, **settings)
        results.append((y, x, m.rand(3)))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs, 1e-2 if dtype == "bfloat16" else 1e-6)


def test_dropout_of_a_transposed_tensor_draws_in_memory_order() -> None:
    results = []
    for m, functional in BOTH:
        m.manual_seed(2)
        results.append(functional.dropout(m.tensor(numbers(4, 6).tolist()).t()))
    same(*results)


def test_dropout_gradient_is_the_noise() -> None:
    x = rushlight.ones(50, requires_grad=True)
    y = F.dropout(x, 0.5)
    y.sum().backward()
    assert type(y.grad_fn).__name__ == "MulBackward0"
    assert x.grad.tolist() == y.tolist()
    assert set(y.tolist()) == {0.0, 2.0}


def test_dropout_off_is_the_input_itself() -> None:
    x = rushlight.ones(3)
    assert F.dropout(x, training=False) is x
    assert F.dropout2d(x.reshape(1, 1, 1, 3), 0.0).shape == (1, 1, 1, 3)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(hard: bool) -> None:
    results = []
    for m, functional in BOTH:
        m.manual_seed(3)
        x = m.tensor(numbers(4, 5).tolist(), requires_grad=True)
        y = functional.gumbel_softmax(x, 0.7, hard)
        (y * m.arange(5)).sum().backward()
        results.append((y, x.grad))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs, 1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rrelu_draws_torchs_slopes(dtype: str) -> None:
    results = []
    for m, functional in BOTH:
        m.manual_seed(3)
        x = m.tensor([-1.0, 2.0, -3.0, 0.0, -0.5], dtype=getattr(m, dtype), requires_grad=True)
        y = functional.rrelu(x, 0.1, 0.6, training=True)
        y.sum().backward()
        results.append((y, x.grad, m.rand(2)))
    for mine, theirs in zip(*results, strict=True):
        same(mine, theirs)


# Values that need no derivative.


def test_half_types_round_once() -> None:
    calls: list[Any] = [
        lambda m, f, x, y: f.mse_loss(x, y),
        lambda m, f, x, y: f.smooth_l1_loss(x, y, reduction="none"),
        lambda m, f, x, y: f.softmax(x, 1),
        lambda m, f, x, y: f.layer_norm(x, (6,)),
        lambda m, f, x, y: f.linear(x, y),
        lambda m, f, x, y: f.binary_cross_entropy_with_logits(x, y.sigmoid()),
        lambda m, f, x, y: f.cross_entropy(x, m.tensor([0, 1, 2, 0])),
        lambda m, f, x, y: f.rms_norm(x, (6,)),
    ]
    for call in calls:
        results = []
        for m, functional in BOTH:
            x, y = (m.tensor(n.tolist()).to(m.bfloat16) for n in (numbers(4, 6), numbers(4, 6) / 2))
            results.append(call(m, functional, x, y))
        same(*results, tolerance=8e-3)


def test_integer_convolution_and_pooling() -> None:
    x, w = np.arange(25).reshape(1, 1, 5, 5), np.arange(4).reshape(1, 1, 2, 2)
    results = [functional.conv2d(m.tensor(x.tolist()), m.tensor(w.tolist())) for m, functional in BOTH]
    assert results[0].tolist() == results[1].tolist()
    pooled = [functional.max_pool2d(m.tensor(x.tolist()), 2) for m, functional in BOTH]
    assert pooled[0].tolist() == pooled[1].tolist()
    assert str(pooled[0].dtype) == "torch.int64"


def test_max_pool_is_the_same_recorded_or_not() -> None:
    x = rushlight.tensor(numbers(2, 3, 7, 7).tolist(), requires_grad=True)
    recorded = F.max_pool2d(x, 3, 2, 1)
    with rushlight.no_grad():
        plain = F.max_pool2d(x, 3, 2, 1)
    assert plain.grad_fn is None
    assert recorded.tolist() == plain.tolist()


def test_uint8_images() -> None:
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 6))
    results = [functional.interpolate(m.tensor(x.tolist(), dtype=m.uint8), size=3) for m, functional in BOTH]
    assert results[0].tolist() == results[1].tolist()
    assert str(results[0].dtype) == "torch.uint8"


def test_empty_batches() -> None:
    for call in (
        lambda m, f: f.conv2d(m.zeros(0, 3, 8, 8), m.ones(4, 3, 3, 3)),
        lambda m, f: f.max_pool2d(m.zeros(0, 3, 8, 8), 2),
        lambda m, f: f.linear(m.zeros(0, 3), m.zeros(2, 3), m.zeros(2)),
        lambda m, f: f.cross_entropy(m.zeros(0, 3), m.zeros(0, dtype=m.int64), reduction="sum"),
        lambda m, f: f.layer_norm(m.zeros(0, 3), (3,)),
        lambda m, f: f.softmax(m.zeros(0, 3), 1),
        lambda m, f: f.embedding(m.zeros(0, dtype=m.int64), m.zeros(2, 3)),
    ):
        same(*[call(m, functional) for m, functional in BOTH])


def test_mean_over_no_targets_is_nan() -> None:
    target = rushlight.full((2,), -100)
    assert np.isnan(F.cross_entropy(rushlight.zeros(2, 3), target).item())


def test_complex_convolution_conjugates_its_gradients() -> None:
    real, imaginary = numbers(1, 2, 5), numbers(2, 2, 3)[::-1]
    results = []
    for m, functional in BOTH:
        x = m.tensor((real + 1j * real[..., ::-1]).tolist(), dtype=m.complex128, requires_grad=True)
        w = m.tensor((imaginary - 0.5j * imaginary[..., ::-1]).tolist(), dtype=m.complex128, requires_grad=True)
        y = functional.conv1d(x, w)
        (y * y.conj()).sum().real.backward()
        results.append((x.grad.numpy(), w.grad.numpy()))
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, 1e-9)


# Warnings.


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_column_against_row_warns(name: str) -> None:
    with pytest.warns(UserWarning, match="different to the input size"):
        found = getattr(F, name)(rushlight.ones(4, 1), rushlight.zeros(4), reduction="none")
    assert found.shape == (4, 4)


def test_implicit_dimension_warns() -> None:
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        found = F.softmax(rushlight.zeros(2, 4))
    assert found.tolist() == [[0.25] * 4] * 2


def test_deprecated_arguments_and_names_warn() -> None:
    one = rushlight.ones(1, 1, 2, 2)
    with pytest.warns(UserWarning, match="please use reduction='sum'"):
        assert F.mse_loss(one, one * 3, size_average=False).item() == 16.0
    with pytest.warns(UserWarning, match="upsample` is deprecated"):
        F.upsample(one, 4)
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(one, one)
    with pytest.warns(UserWarning, match="align_corners=False since 1.3.0"):
        F.grid_sample(one, rushlight.zeros(1, 1, 1, 2))
    with pytest.warns(UserWarning, match="dropout2d: Received a 3D input"):
        F.dropout2d(rushlight.ones(2, 3, 4))


# Errors: torch's type, and words that say what to do.

r = rushlight.rand
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: F.conv2d(r(1, 5, 8, 8), r(4, 3, 3, 3)), RuntimeError, "to have 3 channels, but got 5 channels instead"),
    (lambda: F.conv2d(r(8, 8), r(4, 3, 3, 3)), RuntimeError, r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d"),
    (lambda: F.conv2d(r(1, 3, 2, 2), r(4, 3, 3, 3)), RuntimeError, r"padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3).double()), RuntimeError, "expected scalar type Float but found Double"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), r(5)), RuntimeError, "expected bias to be 1-dimensional with 4 elements"),
    (lambda: F.conv2d(r(1, 4, 8, 8), r(3, 2, 3, 3), groups=2), RuntimeError, "divisible by 2 at dimension 0"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), stride=2, padding="same"), RuntimeError, "not supported for strided"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), padding="full"), RuntimeError, "Invalid padding string"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), padding=-1), RuntimeError, "negative padding"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), stride=0), RuntimeError, "non-positive stride"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), stride=(1, 1, 1)), RuntimeError, "expected stride to be a single integer"),
    (lambda: F.conv2d(r(1, 3, 8, 8), r(4, 3, 3, 3), stride=1.5), TypeError, "'stride' must be an int"),
    (lambda: F.conv2d([1], r(4, 3, 3, 3)), TypeError, "'input' must be Tensor, not list"),
    (lambda: F.conv_transpose2d(r(1, 5, 8, 8), r(4, 3, 3, 3)), RuntimeError, "transposed=1"),
    (lambda: F.conv_transpose2d(r(1, 4, 8, 8), r(4, 3, 3, 3), output_padding=2), RuntimeError, "output padding must be smaller"),
    (lambda: F.max_pool2d(r(1, 3, 8, 8), 2, padding=2), RuntimeError, "at most half of effective kernel size"),
    (lambda: F.max_pool2d(r(1, 3, 1, 1), 2), RuntimeError, "Output size is too small"),
    (lambda: F.max_pool2d(r(3, 3), 2), RuntimeError, "Expected 3D or 4D"),
    (lambda: F.max_pool2d(r(1, 3, 8, 8), 2, stride=0), RuntimeError, "stride should not be zero"),
    (lambda: F.max_pool2d(r(1, 3, 8, 8), (2, 2, 2)), RuntimeError, "kernel_size must either be a single int"),
    (lambda: F.avg_pool2d(r(1, 3, 8, 8), 2, divisor_override=0), RuntimeError, "divisor must be not zero"),
    (lambda: F.adaptive_avg_pool2d(r(4, 6), 3), RuntimeError, "Expected 3D or 4D tensor"),
    (lambda: F.max_unpool2d(r(1, 1, 2, 2), rushlight.full((1, 1, 2, 2), 99), 2), RuntimeError, "invalid max index"),
    (lambda: F.max_unpool2d(r(1, 1, 2, 2), rushlight.zeros(1, 1, 2, 2), 2), RuntimeError, "should be type int64"),
    (lambda: F.max_unpool2d(r(1, 1, 2, 2), rushlight.full((1, 1, 2, 2), 0), 2, output_size=(9, 9)), ValueError, "invalid output_size"),
    (lambda: F.batch_norm(r(1, 3), None, None, training=True), ValueError, "Expected more than 1 value per channel when training"),
    (lambda: F.batch_norm(r(2, 3), None, None), RuntimeError, "running_mean must be defined in evaluation mode"),
    (lambda: F.batch_norm(r(2, 3), r(4), r(4)), RuntimeError, "running_mean should contain 3 elements not 4"),
    (lambda: F.batch_norm(r(2, 3).double(), r(3), r(3)), RuntimeError, "mixed dtype"),
    (lambda: F.instance_norm(r(1, 3, 1)), ValueError, "more than 1 spatial element"),
    (lambda: F.group_norm(r(1, 3, 4), 2), RuntimeError, "divisible by num_groups"),
    (lambda: F.layer_norm(r(2, 3), (4,)), RuntimeError, r"expected input with shape \[\*, 4\]"),
    (lambda: F.layer_norm(r(2, 3), 3), TypeError, "must be tuple of ints"),
    (lambda: F.softmax(rushlight.arange(3), 0), NotImplementedError, "not implemented for"),
    (lambda: F.softmax(r(3), 2), IndexError, "Dimension out of range"),
    (lambda: F.nll_loss(r(2, 3), rushlight.tensor([0, 3])), IndexError, "Target 3 is out of bounds"),
    (lambda: F.nll_loss(r(2, 3), rushlight.tensor([0, 1, 2])), ValueError, r"batch_size \(2\) to match target batch_size \(3\)"),
    (lambda: F.nll_loss(r(2, 3), rushlight.tensor([0, 1]), reduction="avg"), ValueError, "avg is not a valid value for reduction"),
    (lambda: F.nll_loss(r(2, 3), rushlight.tensor([0, 1]), r(4)), RuntimeError, "all 3 classes"),
    (lambda: F.cross_entropy(r(2, 3), rushlight.tensor([0.0, 1.0])), RuntimeError, r"Long or Byte, but got Float.*target.long\(\)"),
    (lambda: F.cross_entropy(r(2, 3), rushlight.tensor([[0], [1]])), RuntimeError, r"multi-target not supported.*squeeze\(1\)"),
    (lambda: F.cross_entropy(r(2, 3), rushlight.ones(2, 3).long()), RuntimeError, "Expected floating point type for target"),
    (lambda: F.cross_entropy(r(2, 3), rushlight.tensor([0, 1]), label_smoothing=1.5), RuntimeError, "label_smoothing must be between"),
    (lambda: F.mse_loss(rushlight.arange(3), rushlight.arange(3)), NotImplementedError, "mse_cpu"),
    (lambda: F.huber_loss(r(3), r(3), delta=0), RuntimeError, "non-positive values for delta"),
    (lambda: F.smooth_l1_loss(r(3), r(3), beta=-1), RuntimeError, "negative values for beta"),
    (lambda: F.binary_cross_entropy(r(4) + 3, r(4)), RuntimeError, "between 0 and 1.*with_logits"),
    (lambda: F.binary_cross_entropy(r(4, 1), r(4)), ValueError, "different to the input size"),
    (lambda: F.binary_cross_entropy_with_logits(r(4, 1), r(4)), ValueError, "must be the same as input size"),
    (lambda: F.binary_cross_entropy_with_logits(r(2), rushlight.tensor([0, 1])), RuntimeError, r"target.float\(\)"),
    (lambda: F.binary_cross_entropy(r(2), r(2), r(2).requires_grad_()), RuntimeError, "not differentiable.*argument 'weight'"),
    (lambda: F.triplet_margin_loss(r(3, 4), r(3, 4), r(3, 4), margin=-1), ValueError, "margin must be greater than 0"),
    (lambda: F.multi_margin_loss(r(3, 4), rushlight.tensor([0, 1])), RuntimeError, r"Expected target size \[3\]"),
    (lambda: F.multilabel_margin_loss(r(3, 4), rushlight.zeros(3, 3).long()), RuntimeError, "inconsistent target size"),
    (lambda: F.gaussian_nll_loss(r(3), r(3), r(2)), ValueError, "var is of incorrect size"),
    (lambda: F.gaussian_nll_loss(r(3), r(3), -r(3) - 1), ValueError, "negative entry"),
    (lambda: F.embedding(r(3), r(4, 2)), RuntimeError, "'indices' to have one of the following scalar types: Long, Int"),
    (lambda: F.embedding(rushlight.tensor([5]), r(4, 2)), IndexError, "index out of range in self"),
    (lambda: F.embedding(rushlight.tensor([1]), r(4, 2), padding_idx=4), AssertionError, "Padding_idx must be within"),
    (lambda: F.embedding(rushlight.tensor([1]), r(4)), RuntimeError, "'weight' must be 2-D"),
    (lambda: F.embedding_bag(rushlight.tensor([1, 2]), r(4, 2)), ValueError, "offsets has to be a 1D Tensor"),
    (lambda: F.embedding_bag(rushlight.tensor([1, 2]), r(4, 2), rushlight.tensor([1])), RuntimeError, r"offsets\[0\] has to be 0"),
    (lambda: F.one_hot(rushlight.tensor([-1])), RuntimeError, "must be non-negative"),
    (lambda: F.one_hot(r(2)), RuntimeError, "LongTensor"),
    (lambda: F.dropout(r(3), 2.0), ValueError, "between 0 and 1, but got 2.0"),
    (lambda: F.dropout(rushlight.arange(3)), RuntimeError, "can't be cast"),
    (lambda: F.dropout1d(r(3)), RuntimeError, "dropout1d: Expected 2D or 3D input"),
    (lambda: F.pad(r(3), (1,)), RuntimeError, "divisible by 2"),
    (lambda: F.pad(r(3), (1, 1, 1, 1)), RuntimeError, "two times the input dimension"),
    (lambda: F.pad(r(1, 1, 3), (3, 3), "reflect"), RuntimeError, "less than the corresponding input dimension"),
    (lambda: F.pad(r(1, 1, 3), (4, 3), "circular"), RuntimeError, "wrapping around more than once"),
    (lambda: F.pad(r(1, 1, 3), (1, 1), "foo"), NotImplementedError, "Unrecognised padding mode foo"),
    (lambda: F.pad(r(3), (1, 1), "reflect"), NotImplementedError, "not supported for 1D input"),
    (lambda: F.pad(r(3), (1.0, 1.0)), TypeError, "must be tuple of ints"),
    (lambda: F.interpolate(r(1, 1, 4, 4)), ValueError, "either size or scale_factor"),
    (lambda: F.interpolate(r(1, 1, 4, 4), 2, 2), ValueError, "only one of size or scale_factor"),
    (lambda: F.interpolate(r(1, 1, 4, 4), 2, mode="linear"), NotImplementedError, "Got 4D input, but linear mode needs 3D"),
    (lambda: F.interpolate(r(1, 1, 4, 4), 2, align_corners=True), ValueError, "align_corners option can only be set"),
    (lambda: F.grid_sample(r(1, 1, 4, 4), r(1, 2, 2, 3), align_corners=True), RuntimeError, "size 2 in last dimension"),
    (lambda: F.affine_grid(r(1, 3, 3), (1, 1, 4, 4), align_corners=True), ValueError, "batch of 2D affine matrices"),
    (lambda: F.linear(r(4, 6), r(5, 10), r(5)), RuntimeError, r"\(4x6 and 10x5\).*in_features=6"),
    (lambda: F.linear(r(2, 4, 6), r(5, 10)), RuntimeError, r"\(8x6 and 10x5\)"),
    (lambda: F.linear(r(4, 6), r(5, 6).double()), RuntimeError, "same dtype, but got Float and Double"),
    (lambda: F.linear(r(4, 6), r(5, 6), r(4)), RuntimeError, "expanded size of the tensor"),
    (lambda: F.linear(r(()), r(5, 6)), RuntimeError, "both arguments to linear need to be at least 1D"),
    (lambda: F.unfold(r(1, 3, 4, 4), 5), RuntimeError, "components must be at least one"),
    (lambda: F.fold(r(1, 12, 9), (5, 5), 2), RuntimeError, r"number of sliding blocks 4 \* 4 = 16"),
    (lambda: F.pixel_shuffle(r(1, 3, 4, 4), 2), RuntimeError, "not divisible by 4"),
    (lambda: F.channel_shuffle(r(1, 3, 4), 2), RuntimeError, "Got 3 channels and 2 groups"),
    (lambda: rushlight.cdist(r(3, 4), r(3, 5)), RuntimeError, "same number of columns. X1: 4 X2: 5"),
    (lambda: F.bilinear(r(3, 4), r(3, 5), r(2, 4, 6)), RuntimeError, "got 5 but expected 6"),
    (lambda: F.scaled_dot_product_attention(r(2, 4, 8), r(2, 4, 7), r(2, 4, 8)), RuntimeError, "same last size"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_errors(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


class Counted(rushlight.Tensor):
    """A subclass that remembers which functions it received."""

    seen: list[str] = []

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(function.__name__)
        return super().__torch_function__(function, types, args, kwargs or {})


@pytest.mark.parametrize(
    ("name", "call", "shape"),
    [
        ("conv2d", lambda x: F.conv2d(x, rushlight.ones(4, 3, 3, 3), stride=2, padding=1), (2, 3, 8, 8)),
        ("conv_transpose2d", lambda x: F.conv_transpose2d(x, rushlight.ones(3, 4, 3, 3), None, 2, 1, 1), (2, 3, 8, 8)),
        ("max_pool2d", lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 8, 8)),
        ("max_pool2d", lambda x: F.max_pool2d(x, 2, return_indices=True)[0], (2, 3, 8, 8)),
        ("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, 3), (2, 3, 8, 8)),
        ("avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2, 1, False, False), (2, 3, 8, 8)),
        ("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 3, 8, 8)),
        ("batch_norm", lambda x: F.batch_norm(x, None, None, training=True), (2, 3, 8, 8)),
        ("batch_norm", lambda x: F.batch_norm(x, rushlight.zeros(3), rushlight.ones(3) * 2), (2, 3, 8, 8)),
        ("layer_norm", lambda x: F.layer_norm(x, (4,), eps=0.1), (2, 4)),
        ("group_norm", lambda x: F.group_norm(x, 2), (2, 4, 3)),
        ("softmax", lambda x: F.softmax(x, 1), (2, 3)),
        ("nll_loss", lambda x: F.nll_loss(x, rushlight.tensor([1, 2])), (2, 3)),
        ("embedding", lambda x: F.embedding(rushlight.tensor([1, 0]), x, padding_idx=1), (2, 3)),
        ("mse_loss", lambda x: F.mse_loss(x, rushlight.ones(2, 3), reduction="sum"), (2, 3)),
        ("huber_loss", lambda x: F.huber_loss(x, rushlight.ones(2, 3), delta=0.1), (2, 3)),
        ("binary_cross_entropy_with_logits",
         lambda x: F.binary_cross_entropy_with_logits(x, rushlight.ones(2, 3), pos_weight=rushlight.ones(3) * 2), (2, 3)),
        ("multi_margin_loss", lambda x: F.multi_margin_loss(x, rushlight.tensor([1, 2]), 2, 0.5), (2, 3)),
        ("constant_pad_nd", lambda x: F.pad(x, (1, 2), value=3.0), (2, 3)),
        ("pad", lambda x: F.pad(x, (1, 2), "reflect"), (2, 3)),
        ("interpolate", lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=True), (1, 1, 3, 4)),
        ("interpolate", lambda x: F.interpolate(x, 7), (1, 1, 3, 4)),
        ("im2col", lambda x: F.unfold(x, (2, 3), padding=1), (1, 2, 3, 4)),
        ("col2im", lambda x: F.fold(x, (3, 4), 2), (1, 4, 6)),
        ("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (1, 4, 2, 2)),
        ("pdist", lambda x: F.pdist(x, 3.0), (4, 2)),
    ],
)  # fmt: skip
def test_subclasses_receive_the_function(name: str, call: Any, shape: tuple[int, ...]) -> None:
    x = rushlight.tensor(numbers(*shape).tolist())
    Counted.seen.clear()
    found = call(x.as_subclass(Counted))
    assert name in Counted.seen
    assert type(found) is Counted
    same(found, call(x))


def test_names_of_torch() -> None:
    """What nn.functional lacks of torch's public functions is known."""
    left_out = {
        "ctc_loss", "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
        "fractional_max_pool3d_with_indices", "grouped_mm", "linear_cross_entropy", "multi_head_attention_forward", "scaled_grouped_mm",
        "scaled_mm",
    }  # fmt: skip
    helpers = {"assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "has_torch_function", "has_torch_function_unary",
               "has_torch_function_variadic"}  # fmt: skip
    theirs = {
        name
        for name in dir(TF)
        if not name.startswith("_") and name.islower() and callable(getattr(TF, name)) and not isinstance(getattr(TF, name), type)
    }
    with warnings.catch_warnings():
        missing = theirs - set(dir(F)) - helpers
    assert missing <= left_out
