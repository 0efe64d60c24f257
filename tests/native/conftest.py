"""Every native kernel beside its NumPy reference, in each instruction set that was built and runs here, on 1 and N threads."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.backends.hidden import HiddenArray
from rushlight.backends.native import supported, table
from rushlight.backends.reference import reference


def _built():
    return [name for name in supported() if table(name) is not None]


@pytest.fixture(params=_built() or ["none"])
def native(request):
    """The kernel table of one instruction set."""
    if request.param == "none":
        pytest.skip("no native kernels were built (python tools/build_kernels.py)")
    return table(request.param)


class Threads:
    """Runs calls with a given number of threads."""

    def __init__(self, module):
        self.module = module

    def __call__(self, count, function, *args, **kwargs):
        before = self.module.get_num_threads()
        self.module.set_num_threads(count)
        try:
            return function(*args, **kwargs)
        finally:
            self.module.set_num_threads(before)


def plain(value):
    """The value of an array however it is laid out."""
    return value.default() if type(value) is HiddenArray else value


@pytest.fixture
def compare(native):
    """`compare(name, *args, rtol=..., served=True)`: native against reference; serial and threaded results must be the same bits.

    `served`: whether the native code must have taken the call itself (False: it must have declined, None: either).
    """
    threads = Threads(native._module)

    def run(name, *args, rtol=0.0, atol=0.0, served=True, same_strides=True, **kwargs):
        kernel = getattr(native, name)
        before = kernel.calls
        serial = threads(1, kernel, *args, **kwargs)
        if served is not None:
            assert (kernel.calls > before) is served, (
                f"{name}: the native kernel {'declined' if served else 'took'} this call"
            )
        threaded = threads(4, kernel, *args, **kwargs)
        wanted = getattr(reference, name)(*[plain(a) for a in args], **kwargs)
        several = isinstance(wanted, tuple)
        for one, other, expected in zip(*((s if several else (s,)) for s in (serial, threaded, wanted)), strict=True):
            if expected is None:
                assert one is None
                continue
            hidden = type(one) is HiddenArray
            one, other = plain(one), plain(other)
            assert one.tobytes() == other.tobytes(), f"{name}: the result depends on the number of threads"
            assert one.dtype == expected.dtype and one.shape == expected.shape
            if same_strides and not hidden and expected.size > 1:
                kept = [i for i, n in enumerate(expected.shape) if n != 1]
                assert [one.strides[i] for i in kept] == [expected.strides[i] for i in kept]
            if expected.dtype.isbuiltin != 1:  # NumPy's comparison knows no NaN of ml_dtypes' types
                one, expected = one.astype(np.float32), expected.astype(np.float32)
            if rtol or atol:
                np.testing.assert_allclose(one.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)
            else:
                np.testing.assert_array_equal(one, expected)
                if expected.dtype.kind == "f":  # a zero's sign counts too; that of a NaN does not
                    zeros = expected == 0
                    np.testing.assert_array_equal(np.signbit(one[zeros]), np.signbit(expected[zeros]))
        return serial

    return run
