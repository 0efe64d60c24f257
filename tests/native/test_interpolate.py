"""Resampling in C++ against NumPy: every mode, growing and shrinking, both orders of memory, signed zeros and infinities."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray

# Spatial sizes in, out.
SIZES = [
    ((5,), (8,)),
    ((90,), (41,)),
    ((1,), (7,)),
    ((4, 6), (8, 12)),
    ((7, 5), (3, 11)),
    ((4, 4), (4, 9)),
    ((33, 20), (66, 40)),
    ((40, 37), (13, 9)),
    ((1, 3), (4, 1)),
    ((3, 4, 5), (6, 3, 7)),
    ((4, 9, 6), (2, 9, 12)),
]
MODES = ["nearest", "nearest-exact", "linear", "bicubic"]
LAYOUTS = ["row-major", "channels-last", "hidden"]


def laid_out(x, layout):
    if layout == "row-major":
        return x
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return HiddenArray(last) if layout == "hidden" and not last.flags.c_contiguous else last


def numbers(shape, dtype=np.float32):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", SIZES, ids=lambda case: "x".join(map(str, (*case[0], *case[1]))))
def test_both_ways(compare, mode, sizes, layout):
    spatial, out = sizes
    for dtype, rtol in ((np.float32, 1e-5), (np.float64, 1e-13)):
        for align_corners in (False, True) if mode in ("linear", "bicubic") else (False,):
            for channels in (3, 70):
                options = (mode, align_corners, (None,) * len(out), False)
                x = numbers((2, channels, *spatial), dtype)
                tight = {"rtol": rtol, "atol": rtol, "same_strides": False} if mode[0] != "n" else {"same_strides": False}
                found = compare("upsample", laid_out(x, layout), out, *options, **tight)
                one = spatial == (1,)  # of no layout
                assert (type(found) is HiddenArray) == (layout == "hidden" and not one)
                if layout == "channels-last" and not one:
                    assert found.strides[1] == found.itemsize
                tight = {"rtol": rtol * 8, "atol": rtol * 8, "same_strides": False}
                g = numbers((2, channels, *out), dtype)
                compare("upsample_backward", laid_out(g, layout), x.shape, *options, **tight)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scales", [(1.7, 2.3), (0.6, 0.9), (2.0, None)])
def test_scale_factors_are_used_unrounded(compare, mode, scales):
    x = numbers((1, 20, 10, 11))
    out = tuple(int(n * (s or 1.5)) for n, s in zip(x.shape[2:], scales, strict=True))
    for layout in LAYOUTS:
        compare("upsample", laid_out(x, layout), out, mode, False, scales, rtol=1e-5, atol=1e-5, same_strides=False)
        g = numbers((1, 20, *out))
        again = (x.shape, mode, False, scales)
        compare("upsample_backward", laid_out(g, layout), *again, rtol=1e-5, atol=1e-5, same_strides=False)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", MODES)
def test_values_that_are_no_numbers_and_signed_zeros(compare, mode, layout):
    x = numbers((1, 18, 6, 7))
    x[0, 1, 2, 3], x[0, 2, 0, 0], x[0, 3], x[0, 4, 5, 6] = np.nan, np.inf, -0.0, -np.inf
    for out in ((12, 14), (6, 20), (3, 4), (6, 7)):
        compare("upsample", laid_out(x, layout), out, mode, False, (None, None), rtol=1e-5, atol=1e-5, same_strides=False)
        back = ((1, 18, *out), mode, False, (None, None))
        compare("upsample_backward", laid_out(x, layout), *back, rtol=1e-5, atol=1e-5, same_strides=False)
    zeros = np.full((1, 18, 4, 4), -0.0, np.float32)
    for out in ((8, 8), (2, 2)):
        compare("upsample", laid_out(zeros, layout), out, mode, False, (None, None), same_strides=False)
        compare("upsample_backward", laid_out(zeros, layout), (1, 18, *out), mode, False, (None, None), same_strides=False)


def test_a_cotangent_that_is_one_number(compare):
    g = np.broadcast_to(np.float32(2), (2, 5, 8, 8))
    compare("upsample_backward", g, (2, 5, 4, 4), "bilinear", False, (None, None), rtol=1e-6, same_strides=False)


@pytest.mark.parametrize("x, mode, antialias", [
    (np.ones((1, 2, 4, 4), np.float16), "bilinear", False),
    (np.ones((1, 2, 4, 4), np.float32), "bilinear", True),
    (np.ones((0, 2, 4, 4), np.float32), "nearest", False),
    (np.ones((1, 2, 4, 4), np.uint8), "nearest", False),
])  # fmt: skip
def test_what_the_reference_computes(compare, x, mode, antialias):
    compare("upsample", x, (2, 4), mode, False, (None, None), antialias, served=False)


def test_an_unknown_mode_is_the_references_error(native):
    with pytest.raises(ValueError, match="knows nearest"):
        native.upsample(np.ones((1, 1, 2, 2), np.float32), (4, 4), "lanczos", False, (None, None))
