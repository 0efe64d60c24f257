"""dtypes, promotion, limits and defaults, against torch."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight.base import dtypes
from rushlight.base.dtypes import ALL, FROM_NUMPY, by_name, from_numpy_dtype, result_dtype, scalar_dtype, with_scalar

torch = pytest.importorskip("torch", reason="parity tests need torch")

NAMES = [d.name for d in ALL]


@pytest.fixture(autouse=True)
def default_dtype():
    yield
    rl.set_default_dtype(rl.float32)
    torch.set_default_dtype(torch.float32)


def without_complex32(dtype):
    """torch's dtype as text; complex numbers of half precision do not exist here."""
    return repr(dtype).replace("complex32", "complex64")


@pytest.mark.parametrize("name", NAMES)
def test_facts(name):
    ours, theirs = by_name(name), getattr(torch, name)
    assert repr(ours) == str(ours) == repr(theirs)
    for fact in ("is_floating_point", "is_complex", "is_signed", "itemsize"):
        assert getattr(ours, fact) == getattr(theirs, fact)
    assert repr(ours.to_real()) == repr(theirs.to_real())
    if name not in ("float16", "bfloat16") and ours.is_floating_point:
        assert repr(ours.to_complex()) == repr(theirs.to_complex())
    assert ours.is_differentiable == (ours.is_floating_point or ours.is_complex)
    assert getattr(rl, name) is ours
    assert pickle.loads(pickle.dumps(ours)) is ours
    assert len({ours, ours}) == 1


def test_aliases():
    for alias in ("float", "double", "half", "short", "int", "long", "cfloat", "cdouble", "bool"):
        assert repr(getattr(rl, alias)) == repr(getattr(torch, alias))


@pytest.mark.parametrize("pair", list(itertools.combinations_with_replacement(NAMES, 2)), ids=str)
def test_promotion(pair):
    a, b = pair
    expected = repr(torch.promote_types(getattr(torch, a), getattr(torch, b)))
    assert repr(rl.promote_types(by_name(a), by_name(b))) == expected
    assert repr(rl.promote_types(by_name(b), by_name(a))) == expected
    assert rl.can_cast(by_name(a), by_name(b)) == torch.can_cast(getattr(torch, a), getattr(torch, b))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [True, 2, 2.5, 1j], ids=repr)
def test_python_scalars_only_raise_the_category(name, value):
    expected = torch.result_type(torch.ones(1, dtype=getattr(torch, name)), value)
    assert repr(with_scalar(by_name(name), value)) == without_complex32(expected)


@pytest.mark.parametrize("default", ["float32", "float64"])
def test_zero_dim_tensors_only_raise_the_category(default):
    torch.set_default_dtype(getattr(torch, default))
    rl.set_default_dtype(by_name(default))
    for a, b in itertools.product(NAMES, NAMES):
        expected = torch.result_type(torch.ones(1, dtype=getattr(torch, a)), torch.ones((), dtype=getattr(torch, b)))
        assert repr(result_dtype([(by_name(a), False), (by_name(b), True)])) == without_complex32(expected), (a, b)


def test_numpy_dtypes():
    for d in ALL:
        assert from_numpy_dtype(d.np) is d
        assert FROM_NUMPY[d.np] is d
    assert from_numpy_dtype(np.dtype(">f4")) is rl.float32
    for strange in ("U3", "datetime64[s]", "O", "V8"):
        with pytest.raises(TypeError, match="supported types are float64"):
            from_numpy_dtype(np.dtype(strange))


def test_scalars_of_every_kind():
    cases = {True: "bool", 3: "int64", 2.5: "float32", 1j: "complex64", np.int8(1): "int64", np.float64(1): "float32", np.bool_(1): "bool"}
    for value, name in cases.items():
        assert scalar_dtype(value).name == name
    assert scalar_dtype(np.complex64(1j)).name == "complex64"
    with pytest.raises(TypeError, match="expected a number, got str"):
        scalar_dtype("1")


def test_the_default_dtype():
    rl.set_default_dtype(rl.float64)
    assert rl.get_default_dtype() is rl.float64
    assert rl.ones(1).dtype is rl.float64 and rl.tensor(1.0).dtype is rl.float64 and rl.tensor(1j).dtype is rl.complex128
    assert (rl.tensor(3) / 2).dtype is rl.float64
    assert dtypes.default_complex() is rl.complex128
    for bad in (rl.int64, rl.complex64, "float32"):
        with pytest.raises(TypeError, match="floating-point"):
            rl.set_default_dtype(bad)
    assert rl.get_default_dtype() is rl.float64


@pytest.mark.parametrize("name", ["float64", "float32", "float16", "bfloat16", "complex64"])
def test_finfo(name):
    ours, theirs = rl.finfo(by_name(name)), torch.finfo(getattr(torch, name))
    for fact in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype"):
        assert getattr(ours, fact) == getattr(theirs, fact), fact
    assert ours.resolution == pytest.approx(theirs.resolution)
    assert repr(ours).startswith("finfo(resolution=")


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8"])
def test_iinfo(name):
    ours, theirs = rl.iinfo(by_name(name)), torch.iinfo(getattr(torch, name))
    for fact in ("bits", "max", "min", "dtype"):
        assert getattr(ours, fact) == getattr(theirs, fact)


def test_limits_of_the_other_kind():
    with pytest.raises(TypeError, match="iinfo"):
        rl.finfo(rl.int32)
    with pytest.raises(TypeError):
        rl.iinfo(rl.float32)
    assert rl.finfo().dtype == "float32"
