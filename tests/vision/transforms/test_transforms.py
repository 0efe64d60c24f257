"""The transform classes draw torchvision's random numbers, give its images and print as it does."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest

import rushlight
from rushlight.vision import transforms as T
from rushlight.vision.models import ResNet18_Weights, ResNet50_Weights

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

PIXELS = np.random.default_rng(1).integers(0, 256, (40, 48, 3), dtype=np.uint8)

# Each makes a transform of torchvision or ours from its module.
RANDOM = {
    "crop": lambda t: t.RandomCrop(20),
    "crop_padded": lambda t: t.RandomCrop((30, 60), padding=4, pad_if_needed=True, fill=3, padding_mode="constant"),
    "crop_exact": lambda t: t.RandomCrop((40, 48)),
    "hflip": lambda t: t.RandomHorizontalFlip(),
    "vflip": lambda t: t.RandomVerticalFlip(0.4),
    "resized_crop": lambda t: t.RandomResizedCrop(24),
    "resized_crop_fallback": lambda t: t.RandomResizedCrop((20, 10), scale=(1.0, 1.0), ratio=(3.0, 4.0)),
    "jitter": lambda t: t.ColorJitter(0.4, (0.5, 1.5), 0.3, 0.2),
    "jitter_partly": lambda t: t.ColorJitter(saturation=0.3),
    "grayscale": lambda t: t.RandomGrayscale(0.5),
    "rotation": lambda t: t.RandomRotation(30),
    "rotation_expanded": lambda t: t.RandomRotation((10, 80), expand=True, fill=5, center=(3, 4)),
    "affine": lambda t: t.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), (-5, 5, -3, 3), fill=2),
    "affine_plain": lambda t: t.RandomAffine(0, shear=8, center=(1, 2), interpolation=t.InterpolationMode.BILINEAR),
    "perspective": lambda t: t.RandomPerspective(0.4, p=0.8),
    "invert": lambda t: t.RandomInvert(),
    "posterize": lambda t: t.RandomPosterize(3),
    "solarize": lambda t: t.RandomSolarize(100),
    "sharpness": lambda t: t.RandomAdjustSharpness(2),
    "autocontrast": lambda t: t.RandomAutocontrast(),
    "equalize": lambda t: t.RandomEqualize(),
    "apply": lambda t: t.RandomApply([t.RandomCrop(20), t.RandomHorizontalFlip()], p=0.6),
    "compose": lambda t: t.Compose([t.RandomResizedCrop(16), t.RandomHorizontalFlip(), t.ColorJitter(0.3)]),
}
PLAIN = {
    "resize": lambda t: t.Resize(20),
    "resize_more": lambda t: t.Resize([20], interpolation=t.InterpolationMode.BICUBIC, max_size=30, antialias=None),
    "center_crop": lambda t: t.CenterCrop((10, 12)),
    "pad": lambda t: t.Pad((1, 2), fill=3, padding_mode="constant"),
    "grayscale": lambda t: t.Grayscale(3),
    "pil_number": lambda t: t.Resize(9, interpolation=3),
    "blur": lambda t: t.GaussianBlur(3, (1.0, 1.0)),
    "classification": lambda t: t._presets.ImageClassification(crop_size=24, resize_size=30),
}
PRINTED = {
    "to_tensor": lambda t: t.ToTensor(),
    "pil_to_tensor": lambda t: t.PILToTensor(),
    "to_pil": lambda t: t.ToPILImage(),
    "to_pil_mode": lambda t: t.ToPILImage("RGB"),
    "normalize": lambda t: t.Normalize([0.5], (0.1,)),
    "lambda": lambda t: t.Lambda(str),
    "five": lambda t: t.FiveCrop(3),
    "ten": lambda t: t.TenCrop([3], True),
    "erasing": lambda t: t.RandomErasing(0.3, value="random"),
    "order": lambda t: t.RandomOrder([t.CenterCrop(3)]),
    "choice": lambda t: t.RandomChoice([t.CenterCrop(3), t.ToTensor()], p=[1, 2]),
    "random_blur": lambda t: t.GaussianBlur((3, 5)),
}


@pytest.mark.parametrize("name", [*RANDOM, *PLAIN, *PRINTED])
def test_printed_form(torchvision, name):
    make = {**RANDOM, **PLAIN, **PRINTED}[name]
    assert repr(make(T)) == repr(make(torchvision.transforms))


def test_printed_form_with_tensors(oracle, torchvision):
    assert repr(T.ConvertImageDtype(rushlight.uint8)) == repr(torchvision.transforms.ConvertImageDtype(oracle.torch.uint8))
    ours = T.LinearTransformation(rushlight.eye(2), rushlight.ones(2))
    theirs = torchvision.transforms.LinearTransformation(oracle.torch.eye(2), oracle.torch.ones(2))
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", [*RANDOM, *PLAIN])
def test_of_pil_images(oracle, torchvision, name):
    make = {**RANDOM, **PLAIN}[name]
    ours, theirs = make(T), make(torchvision.transforms)
    image = Image.fromarray(PIXELS)
    for seed in range(6):
        rushlight.manual_seed(seed), oracle.torch.manual_seed(seed)
        actual, expected = ours(image), theirs(image)
        if name == "classification":
            oracle.assert_same(actual, expected)
            continue
        assert actual.size == expected.size and actual.mode == expected.mode
        assert np.array_equal(np.asarray(actual), np.asarray(expected)), f"seed {seed}"
        oracle.assert_same(rushlight.rand(2), oracle.torch.rand(2), rtol=0, atol=0)


@pytest.mark.parametrize("name", [*RANDOM, *PLAIN])
def test_of_tensors(oracle, torchvision, name):
    make = {**RANDOM, **PLAIN}[name]
    ours, theirs = make(T), make(torchvision.transforms)
    image = PIXELS.transpose(2, 0, 1).copy()
    for seed in range(4):
        rushlight.manual_seed(seed), oracle.torch.manual_seed(seed)
        actual, expected = ours(rushlight.from_numpy(image)), theirs(oracle.torch.from_numpy(image))
        assert tuple(actual.shape) == tuple(expected.shape) and str(actual.dtype) == str(expected.dtype)
        difference = np.abs(actual.numpy().astype(float) - expected.numpy().astype(float))
        # A byte that lies half-way between two values may be rounded the other way, as may a place between pixels.
        unit = 1.001 / 255 / 0.224 if name == "classification" else 1.0
        allowed = 0.02 if name in ("rotation", "rotation_expanded", "affine", "affine_plain", "perspective") else 0
        assert (difference > unit).mean() <= allowed and (difference > 1e-4).mean() <= 0.02, f"seed {seed}"
        oracle.assert_same(rushlight.rand(2), oracle.torch.rand(2), rtol=0, atol=0)


@pytest.mark.parametrize("value", [0, 0.5, (0.1, 0.2, 0.3), "random"])
def test_random_erasing(oracle, torchvision, value):
    ours, theirs = T.RandomErasing(0.7, value=value), torchvision.transforms.RandomErasing(0.7, value=value)
    image = np.random.default_rng(0).random((3, 24, 30), dtype=np.float32)
    for seed in range(8):
        rushlight.manual_seed(seed), oracle.torch.manual_seed(seed)
        oracle.assert_same(ours(rushlight.from_numpy(image)), theirs(oracle.torch.from_numpy(image)), rtol=1e-6, atol=1e-6)


def test_blur_draws_its_width(oracle, torchvision):
    rushlight.manual_seed(3), oracle.torch.manual_seed(3)
    assert T.GaussianBlur.get_params(0.1, 2.0) == torchvision.transforms.GaussianBlur.get_params(0.1, 2.0)


def test_choice_and_order_draw_from_pythons_random(torchvision):
    def run(t):
        random.seed(4)
        shift, double = (lambda x: x + 1), (lambda x: x * 2)
        order, choice = t.RandomOrder([shift, double]), t.RandomChoice([shift, double], p=[1, 3])
        return [order(n) for n in range(20)] + [choice(n) for n in range(20)]

    assert run(T) == run(torchvision.transforms)


def test_linear_transformation():
    matrix, mean = rushlight.rand(12, 12), rushlight.rand(12)
    images = rushlight.rand(2, 3, 2, 2)
    expected = ((images.reshape(2, 12) - mean) @ matrix).reshape(2, 3, 2, 2)
    assert rushlight.allclose(T.LinearTransformation(matrix, mean)(images), expected)
    with pytest.raises(ValueError, match="incompatible shape"):
        T.LinearTransformation(matrix, mean)(images[:, :2])
    with pytest.raises(ValueError, match="should be square"):
        T.LinearTransformation(matrix[:2], mean)


def test_conversions():
    image = Image.fromarray(PIXELS)
    assert T.ToTensor()(image).shape == (3, 40, 48) and T.PILToTensor()(image).dtype is rushlight.uint8
    assert np.array_equal(np.asarray(T.ToPILImage()(T.ToTensor()(image))), PIXELS)
    assert T.ConvertImageDtype(rushlight.float32)(rushlight.tensor([[255]], dtype=rushlight.uint8)).item() == 1.0
    normal = T.Normalize([0.5] * 3, [0.5] * 3)(T.ToTensor()(image))
    assert -1 <= normal.min() < -0.9 and 0.9 < normal.max() <= 1


def test_weights_make_their_preprocessing(oracle, torchvision):
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (260, 300, 3), dtype=np.uint8))
    for ours, name in ((ResNet18_Weights.DEFAULT, "ResNet18_Weights"), (ResNet50_Weights.DEFAULT, "ResNet50_Weights")):
        preset = ours.transforms()
        theirs = getattr(torchvision.models, name).DEFAULT.transforms()
        oracle.assert_same(preset(image), theirs(image))
        assert f"resized to {preset.resize_size[0]} pixels" in preset.describe()


def test_transforms_can_go_to_another_process():
    pipeline = T.Compose([T.RandomCrop(8), T.RandomHorizontalFlip(), T.ToTensor(), T.Normalize([0.5], [0.5])])
    assert repr(pickle.loads(pickle.dumps(pipeline))) == repr(pipeline)


ERRORS = [
    (lambda: T.Resize(1.5), TypeError, "Size should be int or sequence"),
    (lambda: T.Resize([1, 2, 3]), ValueError, "1 or 2 values"),
    (lambda: T.CenterCrop([1, 2, 3]), ValueError, "two dimensions"),
    (lambda: T.Pad([1, 2, 3]), ValueError, "not a 3 element"),
    (lambda: T.Pad(1, padding_mode="mirror"), ValueError, "reflect or symmetric"),
    (lambda: T.Pad(1, fill="red"), TypeError, "fill"),
    (lambda: T.Lambda(3), TypeError, "should be callable, got 'int'"),
    (lambda: T.RandomChoice([str], p=3), TypeError, "p should be a sequence"),
    (lambda: T.RandomOrder(3), TypeError, "should be a sequence"),
    (lambda: T.RandomCrop(9)(rushlight.zeros(3, 8, 8)), ValueError, "larger than input image size"),
    (lambda: T.RandomResizedCrop(9, scale=1), TypeError, "Scale should be a sequence"),
    (lambda: T.RandomErasing(value="x"), ValueError, "should be 'random'"),
    (lambda: T.RandomErasing(scale=(0.5, 2)), ValueError, "between 0 and 1"),
    (lambda: T.RandomErasing(p=2), ValueError, "probability"),
    (lambda: T.RandomErasing(1.0, value=(1, 2))(rushlight.zeros(3, 8, 8)), ValueError, "number of input channels"),
    (lambda: T.ColorJitter(-1), ValueError, "non negative"),
    (lambda: T.ColorJitter(hue=0.6), ValueError, "between"),
    (lambda: T.ColorJitter("x"), TypeError, "single number"),
    (lambda: T.RandomRotation(-1), ValueError, "must be positive"),
    (lambda: T.RandomRotation((1, 2, 3)), ValueError, "length 2"),
    (lambda: T.RandomRotation(1, fill="x" and object()), TypeError, "Fill"),
    (lambda: T.RandomAffine(1, translate=(0, 2)), ValueError, "between 0 and 1"),
    (lambda: T.RandomAffine(1, scale=(0, 2)), ValueError, "positive"),
    (lambda: T.GaussianBlur(4), ValueError, "odd and positive"),
    (lambda: T.GaussianBlur(3, 0), ValueError, "must be positive"),
    (lambda: T.GaussianBlur(3, (2, 1)), ValueError, r"\(min, max\)"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=range(len(ERRORS)))
def test_errors_are_clear(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_reversed_range_is_a_warning():
    with pytest.warns(UserWarning, match=r"kind \(min, max\)") as caught:
        T.RandomResizedCrop(9, scale=(1.0, 0.5))
    assert caught[0].filename == __file__
