"""Transforms as functions give torchvision's images, of PIL images and of tensors."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import rushlight
from rushlight.vision.transforms import InterpolationMode
from rushlight.vision.transforms import functional as F

Image = pytest.importorskip("PIL.Image", reason="needs Pillow")

RNG = np.random.default_rng(0)
PIXELS = {
    "RGB": RNG.integers(0, 256, (37, 45, 3), dtype=np.uint8),
    "L": RNG.integers(0, 256, (37, 45), dtype=np.uint8),
    "RGBA": RNG.integers(0, 256, (37, 45, 4), dtype=np.uint8),
}
TENSORS = {
    "uint8": RNG.integers(0, 256, (3, 37, 45), dtype=np.uint8),
    "grey": RNG.integers(0, 256, (1, 37, 45), dtype=np.uint8),
    "float": RNG.random((3, 37, 45), dtype=np.float32),
    "batch": RNG.random((2, 3, 37, 45)),
}


def mode(name):
    """An interpolation mode of torchvision or of ours; resolved for each side."""
    return lambda functional: getattr(functional.InterpolationMode, name)


def resolved(arguments, functional):
    return {key: value(functional) if callable(value) else value for key, value in arguments.items()}


GEOMETRY = [
    ("resize", {"size": 20}),
    ("resize", {"size": [20]}),
    ("resize", {"size": [50, 31]}),
    ("resize", {"size": 20, "max_size": 22}),
    ("resize", {"size": [18, 18], "interpolation": mode("NEAREST")}),
    ("resize", {"size": [60, 80], "interpolation": mode("BICUBIC")}),
    ("center_crop", {"output_size": 20}),
    ("center_crop", {"output_size": [21, 60]}),
    ("center_crop", {"output_size": (51, 60)}),
    ("crop", {"top": 3, "left": 4, "height": 10, "width": 12}),
    ("crop", {"top": -3, "left": 40, "height": 10, "width": 12}),
    ("resized_crop", {"top": 1, "left": 2, "height": 20, "width": 30, "size": [16, 16]}),
    ("hflip", {}),
    ("vflip", {}),
    ("pad", {"padding": 3}),
    ("pad", {"padding": [1, 2], "fill": 7}),
    ("pad", {"padding": [1, 2, 3, 4], "padding_mode": "edge"}),
    ("pad", {"padding": [1, 2, 3, 4], "padding_mode": "reflect"}),
    ("pad", {"padding": (5, 2, 3, 4), "padding_mode": "symmetric"}),
    ("pad", {"padding": [-2, 3, 1, -4]}),
    ("pad", {"padding": [-2, 3, 1, -4], "padding_mode": "symmetric"}),
]
COLOURS = [
    ("adjust_brightness", {"brightness_factor": 0.4}),
    ("adjust_brightness", {"brightness_factor": 1.7}),
    ("adjust_contrast", {"contrast_factor": 0.3}),
    ("adjust_contrast", {"contrast_factor": 1.5}),
    ("adjust_saturation", {"saturation_factor": 0.2}),
    ("adjust_saturation", {"saturation_factor": 2.5}),
    ("adjust_hue", {"hue_factor": 0.3}),
    ("adjust_hue", {"hue_factor": -0.45}),
    ("adjust_gamma", {"gamma": 0.6}),
    ("adjust_gamma", {"gamma": 2.2, "gain": 1.3}),
    ("adjust_sharpness", {"sharpness_factor": 0.1}),
    ("adjust_sharpness", {"sharpness_factor": 3.0}),
    ("rgb_to_grayscale", {}),
    ("rgb_to_grayscale", {"num_output_channels": 3}),
    ("invert", {}),
    ("autocontrast", {}),
    ("gaussian_blur", {"kernel_size": 5}),
    ("gaussian_blur", {"kernel_size": [3, 7], "sigma": [0.8, 1.9]}),
]
BYTES = [
    ("posterize", {"bits": 0}),
    ("posterize", {"bits": 3}),
    ("posterize", {"bits": 8}),
    ("solarize", {"threshold": 100}),
    ("equalize", {}),
]
WARPS = [
    ("rotate", {"angle": 30}),
    ("rotate", {"angle": -77.5, "expand": True, "fill": [9]}),
    ("rotate", {"angle": 15, "center": [3, 30], "interpolation": mode("BILINEAR"), "fill": 0.5}),
    ("rotate", {"angle": 90, "expand": True}),
    ("affine", {"angle": 20, "translate": [3, -5], "scale": 1.2, "shear": [10.0, -4.0]}),
    ("affine", {"angle": -8, "translate": (0, 0), "scale": 0.7, "shear": 12, "interpolation": mode("BILINEAR"),
                "center": [0, 0], "fill": 1}),
    ("perspective", {"startpoints": [[0, 0], [44, 0], [44, 36], [0, 36]], "endpoints": [[3, 5], [40, 2], [43, 30], [1, 33]]}),
    ("perspective", {"startpoints": [[0, 0], [44, 0], [44, 36], [0, 36]], "endpoints": [[3, 5], [40, 2], [43, 30], [1, 33]],
                     "interpolation": mode("NEAREST"), "fill": 2}),
]  # fmt: skip


def names(cases):
    return [f"{name}-{number}" for number, (name, _) in enumerate(cases)]


@pytest.mark.parametrize("picture", PIXELS)
@pytest.mark.parametrize("name, arguments", GEOMETRY + COLOURS + BYTES + WARPS, ids=names(GEOMETRY + COLOURS + BYTES + WARPS))
def test_of_pil_images(torchvision, name, arguments, picture):
    theirs = torchvision.transforms.functional
    image = Image.fromarray(PIXELS[picture])
    try:
        expected = getattr(theirs, name)(image, **resolved(arguments, theirs))
    except Exception as error:
        with pytest.raises(type(error)):
            getattr(F, name)(image, **resolved(arguments, F))
        return
    actual = getattr(F, name)(image, **resolved(arguments, F))
    assert (actual.mode, actual.size) == (expected.mode, expected.size)
    difference = np.abs(np.asarray(actual).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= (1 if name == "gaussian_blur" else 0)


def tensor_cases():
    for picture in TENSORS:
        for name, arguments in GEOMETRY + COLOURS + WARPS + BYTES:
            if (name, arguments) in BYTES and picture not in ("uint8", "grey"):
                continue
            yield pytest.param(name, arguments, picture, id=f"{picture}-{name}")


@pytest.mark.parametrize("name, arguments, picture", list(tensor_cases()))
def test_of_tensors(oracle, torchvision, name, arguments, picture):
    theirs = torchvision.transforms.functional
    image = TENSORS[picture]
    expected = getattr(theirs, name)(oracle.torch.from_numpy(image), **resolved(arguments, theirs))
    actual = getattr(F, name)(rushlight.from_numpy(image), **resolved(arguments, F))
    assert str(actual.dtype) == str(expected.dtype) and tuple(actual.shape) == tuple(expected.shape)
    ours, reference = actual.numpy().astype(float), expected.numpy().astype(float)
    unit = 1.0 if actual.dtype is rushlight.uint8 else 1e-4
    wrong = np.abs(ours - reference) > unit
    # A place that lies on the border between two pixels may be rounded the other way.
    assert wrong.mean() <= (0.01 if (name, arguments) in WARPS else 0.0), f"{wrong.mean():.1%} of the values differ"


def test_of_tensors_are_differentiable():
    image = rushlight.rand(3, 8, 8, dtype=rushlight.float64, requires_grad=True)
    for change in (
        lambda x: F.adjust_contrast(x, 0.7),
        lambda x: F.adjust_saturation(x, 0.7),
        lambda x: F.rotate(x, 20.0, InterpolationMode.BILINEAR),
        lambda x: F.normalize(x, [0.5] * 3, [0.2] * 3),
    ):
        assert rushlight.autograd.gradcheck(change, (image,))


def test_five_and_ten_crops(oracle, torchvision):
    image = TENSORS["uint8"]
    for name, arguments in (("five_crop", {}), ("ten_crop", {}), ("ten_crop", {"vertical_flip": True})):
        expected = getattr(torchvision.transforms.functional, name)(oracle.torch.from_numpy(image), 20, **arguments)
        actual = getattr(F, name)(rushlight.from_numpy(image), 20, **arguments)
        assert len(actual) == len(expected)
        for ours, theirs in zip(actual, expected, strict=True):
            oracle.assert_same(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("source", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("target", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_convert_image_dtype(oracle, torchvision, source, target):
    values = np.array([0, 1, 2, 3, 100, 127]) if "float" not in source else np.array([0, 0.1, 0.25, 0.5, 0.999, 1.0])
    image = values.astype(source).reshape(1, 2, 3)
    torch = oracle.torch
    try:
        expected = torchvision.transforms.functional.convert_image_dtype(torch.from_numpy(image), getattr(torch, target))
    except RuntimeError as error:
        with pytest.raises(RuntimeError, match=str(error).split(" cannot")[0]):
            F.convert_image_dtype(rushlight.from_numpy(image), getattr(rushlight, target))
        return
    oracle.assert_same(F.convert_image_dtype(rushlight.from_numpy(image), getattr(rushlight, target)), expected)


@pytest.mark.parametrize("pil_mode", ["RGB", "L", "RGBA", "1", "I", "F", "P", "LA", "CMYK", "YCbCr", "I;16"])
def test_to_tensor_and_back(oracle, torchvision, pil_mode):
    theirs = torchvision.transforms.functional
    if pil_mode == "I;16":
        image = Image.frombytes("I;16", (4, 3), np.arange(12, dtype="<u2").tobytes())
    else:
        image = Image.fromarray(PIXELS["RGB"]).convert("RGBA" if pil_mode == "LA" else pil_mode).convert(pil_mode)
    oracle.assert_same(F.to_tensor(image), theirs.to_tensor(image))
    if pil_mode != "I;16":
        oracle.assert_same(F.pil_to_tensor(image), theirs.pil_to_tensor(image))
    values = F.to_tensor(image)
    if pil_mode in ("I", "F", "RGB", "L", "RGBA", "LA"):
        kind = "F" if pil_mode == "F" else None
        again, expected = F.to_pil_image(values, kind), theirs.to_pil_image(oracle.to_torch(values), kind)
        assert again.mode == expected.mode and np.array_equal(np.asarray(again), np.asarray(expected))


def test_to_tensor_of_arrays(oracle, torchvision):
    theirs = torchvision.transforms.functional
    for array in (PIXELS["RGB"], PIXELS["L"], RNG.random((4, 5, 2)), RNG.random((4, 5), dtype=np.float32)):
        actual = F.to_tensor(array)
        oracle.assert_same(actual, theirs.to_tensor(array))
        assert actual.is_contiguous()
    for array in (PIXELS["RGB"], PIXELS["L"], RNG.random((4, 5, 3))):
        assert F.to_pil_image(array).tobytes() == theirs.to_pil_image(array).tobytes()


def test_to_tensor_uses_the_default_dtype():
    rushlight.set_default_dtype(rushlight.float64)
    try:
        assert F.to_tensor(PIXELS["L"]).dtype is rushlight.float64
    finally:
        rushlight.set_default_dtype(rushlight.float32)


def test_to_tensor_copies():
    array = PIXELS["L"].astype(np.float32)
    F.to_tensor(array).zero_()
    assert array.any()


def test_normalize(oracle, torchvision):
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    for picture in ("float", "batch"):
        expected = torchvision.transforms.functional.normalize(oracle.torch.from_numpy(TENSORS[picture]), mean, std)
        oracle.assert_same(F.normalize(rushlight.from_numpy(TENSORS[picture]), mean, std), expected)
    image = rushlight.ones(3, 2, 2)
    assert F.normalize(image, mean, std) is not image and F.normalize(image, mean, std, inplace=True) is image
    assert image[0, 0, 0].item() == pytest.approx(3.0)


def test_erase():
    image = rushlight.ones(1, 3, 3)
    assert F.erase(image, 1, 0, 2, 1, rushlight.zeros(1)).sum() == 7 and image.sum() == 9
    assert F.erase(image, 1, 0, 2, 1, rushlight.zeros(1), inplace=True) is image and image.sum() == 7


def test_an_image_of_the_right_size_is_returned_as_it_is():
    image = rushlight.rand(3, 8, 9)
    assert F.resize(image, [8, 9]) is image


def test_a_plane_without_channels():
    plane = rushlight.rand(6, 8)
    assert F.resize(plane, [3, 4]).shape == (3, 4)
    assert rushlight.equal(F.hflip(F.hflip(plane)), plane)
    assert F.get_dimensions(plane) == [1, 6, 8] and F.get_image_size(plane) == [8, 6]
    assert F.get_image_num_channels(plane) == 1


ERRORS = [
    (lambda x: F.resize(x, [1, 2, 3]), ValueError, "not a 3 element"),
    (lambda x: F.resize(x, 5, interpolation="bilinear"), TypeError, "InterpolationMode"),
    (lambda x: F.resize(x, 5, interpolation=InterpolationMode.LANCZOS), ValueError, "'lanczos' is unsupported"),
    (lambda x: F.resize(x, [4, 5], max_size=9), ValueError, "max_size should only be passed"),
    (lambda x: F.resize(x, 5, max_size=5), ValueError, "max_size = 5 must be strictly greater"),
    (lambda x: F.five_crop(x, 99), ValueError, "bigger than input size"),
    (lambda x: F.center_crop(x, [1, 2, 3]), ValueError, "two dimensions"),
    (lambda x: F.pad(x, "1"), TypeError, "inappropriate padding"),
    (lambda x: F.pad(x, [1, 2, 3]), ValueError, "not a 3 element"),
    (lambda x: F.pad(x, 1, padding_mode="mirror"), ValueError, "constant, edge, reflect or symmetric"),
    (lambda x: F.pad(x, 1, fill="red"), TypeError, "inappropriate fill"),
    (lambda x: F.pad(x, 99, padding_mode="symmetric"), ValueError, "exceeds the image"),
    (lambda x: F.normalize(x, [0.0], [0.0]), ValueError, "std evaluated to zero"),
    (lambda x: F.normalize(x.byte(), [0.0], [1.0]), TypeError, "should be a float tensor"),
    (lambda x: F.normalize(x[0], [0.0], [1.0]), ValueError, r"\(..., C, H, W\)"),
    (lambda x: F.normalize(np.zeros(3), [0.0], [1.0]), TypeError, "to_tensor"),
    (lambda x: F.to_tensor(x), TypeError, "it is a tensor already"),
    (lambda x: F.to_tensor(np.zeros(3)), ValueError, "2/3 dimensional"),
    (lambda x: F.pil_to_tensor(x), TypeError, "should be PIL Image"),
    (lambda x: F.to_pil_image(rushlight.zeros(5, 2, 2)), ValueError, "should not have > 4 channels"),
    (lambda x: F.to_pil_image("a.png"), TypeError, "Tensor or ndarray"),
    (lambda x: F.to_pil_image(x, mode="L"), ValueError, "Only modes"),
    (lambda x: F.to_pil_image(x[:1].byte(), mode="RGB"), ValueError, "Incorrect mode"),
    (lambda x: F.adjust_brightness(x, -1), ValueError, "is not non-negative"),
    (lambda x: F.adjust_contrast(x[:2], 1), TypeError, "but found 2"),
    (lambda x: F.adjust_hue(x, 0.7), ValueError, r"not in \[-0.5, 0.5\]"),
    (lambda x: F.adjust_gamma(x, -1), ValueError, "non-negative"),
    (lambda x: F.posterize(x, 9), ValueError, "between 0 and 8"),
    (lambda x: F.posterize(x, 4), TypeError, "uint8"),
    (lambda x: F.solarize(x, 2), TypeError, "less than bound"),
    (lambda x: F.gaussian_blur(x, 4), ValueError, "odd and positive"),
    (lambda x: F.gaussian_blur(x, 3, 0), ValueError, "positive"),
    (lambda x: F.rotate(x, "90"), TypeError, "angle should be int or float"),
    (lambda x: F.rotate(x, 9, fill=[1, 2]), ValueError, "2 != 3"),
    (lambda x: F.rotate(x, 9, InterpolationMode.BICUBIC), ValueError, "'bicubic' is unsupported"),
    (lambda x: F.affine(x, 1, [0, 0], 0, 0), ValueError, "scale should be positive"),
    (lambda x: F.affine(x, 1, 3, 1, 0), TypeError, "translate should be a sequence"),
    (lambda x: F.perspective(x, [[0, 0]], [[0, 0]]), ValueError, "exactly four corners"),
    (lambda x: F.to_grayscale(x), TypeError, "rgb_to_grayscale"),
    (lambda x: F.hflip([1]), TypeError, "should be PIL Image"),
    (lambda x: F.resize([1], 3), TypeError, "Unexpected type"),
    (lambda x: F.erase([1], 0, 0, 1, 1, 0), TypeError, "Tensor Image"),
    (lambda x: F.convert_image_dtype([1]), TypeError, "Tensor Image"),
    (lambda x: F.hflip(rushlight.zeros(3)), TypeError, "not a torch image"),
]


@pytest.mark.parametrize("call, kind, message", ERRORS, ids=range(len(ERRORS)))
def test_errors_are_clear(call, kind, message):
    with pytest.raises(kind, match=message):
        call(rushlight.rand(3, 12, 14))


def test_antialias_of_pil_images_cannot_be_switched_off():
    with pytest.warns(UserWarning, match="Anti-alias option is always applied for PIL Image input"):
        F.resize(Image.fromarray(PIXELS["L"]), [5, 5], antialias=False)


def test_a_missing_pillow_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image")
    with pytest.raises(ModuleNotFoundError, match="pip install 'rushlight"):
        F.to_pil_image(rushlight.zeros(3, 2, 2))
