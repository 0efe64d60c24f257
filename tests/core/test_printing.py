"""Printed tensors: the forms PyTorch documents, then thousands of random tensors against an installed torch."""

import warnings

import ml_dtypes
import numpy as np
import pytest

from rushlight.core import printing
from rushlight.core.printing import array_text, parameter_repr, printoptions, tensor_format, tensor_repr, wrapped_repr


@pytest.fixture(autouse=True)
def _default_options():
    printing.set_printoptions(profile="default")
    yield
    printing.set_printoptions(profile="default")


def f32(values):
    return np.array(values, np.float32)


# Without torch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype_name", "expected"),
    [
        (f32([1.0, 2.0]), "float32", "tensor([1., 2.])"),
        (f32([0.0, -0.0]), "float32", "tensor([0., -0.])"),
        (f32([1.0, np.nan, -np.inf]), "float32", "tensor([1., nan, -inf])"),
        (f32([0.5, np.nan]), "float32", "tensor([0.5000,    nan])"),
        (f32([1e-4]), "float32", "tensor([1.0000e-04])"),
        (f32([1e-5, 1.0]), "float32", "tensor([1.0000e-05, 1.0000e+00])"),
        (f32(3.25), "float32", "tensor(3.2500)"),
        (np.float64([0.1]), "float64", "tensor([0.1000], dtype=torch.float64)"),
        (np.array([True, False]), "bool", "tensor([ True, False])"),
        (np.array([1, -20]), "int64", "tensor([  1, -20])"),
        (np.array([7], np.uint8), "uint8", "tensor([7], dtype=torch.uint8)"),
        (np.array([1 + 2j, -1 - 0.5j], np.complex64), "complex64", "tensor([ 1.+2.0000j, -1.-0.5000j])"),
        (np.zeros((0, 3), np.float32), "float32", "tensor([], size=(0, 3))"),
        (np.zeros(0, np.int64), "int64", "tensor([], dtype=torch.int64)"),
        (f32([1.5]).astype(ml_dtypes.bfloat16), "bfloat16", "tensor([1.5000], dtype=torch.bfloat16)"),
    ],
)
def test_documented_forms(values, dtype_name, expected):
    assert tensor_repr(values, dtype_name=dtype_name) == expected


def test_suffixes():
    loss = f32(-495.9272)
    assert tensor_repr(loss, dtype_name="float32", grad_fn_name="SumBackward0", requires_grad=True) == (
        "tensor(-495.9272, grad_fn=<SumBackward0>)"
    )
    assert tensor_repr(f32([1.0]), dtype_name="float32", requires_grad=True) == "tensor([1.], requires_grad=True)"
    assert (
        tensor_repr(f32([-12.0, 65.0]), dtype_name="float32", device_text="mps:0", grad_fn_name="SubBackward0")
        == "tensor([-12.,  65.], device='mps:0', grad_fn=<SubBackward0>)"
    )
    assert tensor_repr(f32([1.0]), dtype_name="float32", tensor_contents="<contents>") == "tensor(<contents>)"


def test_default_dtype_is_not_named():
    values = np.float64([0.5])
    assert tensor_repr(values, dtype_name="float64", default_dtype_name="float64") == "tensor([0.5000])"
    assert tensor_repr(f32([0.5]), dtype_name="float32", default_dtype_name="float64") == (
        "tensor([0.5000], dtype=torch.float32)"
    )


def test_meta_needs_a_shape():
    assert tensor_repr(None, dtype_name="float32", shape=(2, 3), device_text="meta") == (
        "tensor(..., device='meta', size=(2, 3))"
    )
    with pytest.raises(ValueError, match="shape"):
        tensor_repr(None, dtype_name="float32")


def test_mps_compares_in_single_precision():
    assert tensor_repr(f32([1e-4]), dtype_name="float32", device_text="mps:0") == "tensor([0.0001], device='mps:0')"


def test_trimmed_matrix_reads_only_its_edges():
    picture = np.lib.stride_tricks.as_strided(f32([0.5]), shape=(10**6, 10**6, 10**5), strides=(0, 0, 0))
    text = array_text(picture, dtype_name="float32")
    assert text.count("...") == 6 * 6 + 6 + 1
    assert text.startswith("[[[0.5000, 0.5000, 0.5000,  ..., 0.5000, 0.5000, 0.5000],\n")


def test_options_are_restored_and_sci_mode_is_reset():
    with pytest.raises(RuntimeError, match="inside"), printoptions(precision=2, sci_mode=True):
        assert array_text(f32([1.12345]), dtype_name="float32") == "[1.12e+00]"
        raise RuntimeError("inside")
    assert printing.get_printoptions() == {
        "precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
    printing.set_printoptions(sci_mode=False)
    printing.set_printoptions(precision=4)
    assert printing.PRINT_OPTS.sci_mode is None


def test_unknown_profile_warns_and_changes_nothing():
    before = printing.get_printoptions()
    with pytest.warns(UserWarning, match="'full'"):
        printing.set_printoptions(profile="ful")
    assert printing.get_printoptions() == before


def test_signalling_nan_prints_without_a_warning():
    nan = np.array([0x7FA00000], np.uint32).view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert array_text(nan, dtype_name="float32") == "[nan]"


def test_format():
    assert tensor_format("a tensor", 1.23456, ".3f") == "1.235"
    assert tensor_format("a tensor", 1.5, "") == "1.5"
    assert tensor_format("a tensor", None, "") == "a tensor"
    with pytest.raises(TypeError, match="zero-dim"):
        tensor_format("a tensor", None, ".3f")


# Against torch -------------------------------------------------------------------------------------------------------

FLOATS = ["float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
          "float8_e5m2fnuz", "float8_e8m0fnu"]  # fmt: skip
INTEGERS = ["bool", "int8", "uint8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]
COMPLEX = ["complex64", "complex128"]
SHAPES = [(), (0,), (0, 3), (2, 0, 3), (1,), (3,), (7,), (25,), (200,), (1001,), (1, 1), (2, 3), (5, 30), (8, 200),
          (2, 501), (501, 2), (1200, 1), (2, 3, 4), (1, 1, 5), (12, 12, 12), (2, 7, 80), (2, 2, 2, 3),
          (3, 8, 2, 30), (1, 1, 1, 1, 1, 2), (1, 3, 64, 64)]  # fmt: skip


def numpy_dtype(name):
    return np.dtype(getattr(ml_dtypes, name) if name.startswith(("bfloat", "float8")) else name)


def to_torch(torch, array, name):
    target = getattr(torch, name)
    if array.dtype == numpy_dtype(name) and not name.startswith(("bfloat", "float8")):
        return torch.from_numpy(array.copy())
    integers = array.view(np.dtype(f"uint{8 * array.dtype.itemsize}"))
    return torch.from_numpy(integers.copy()).view(target)


def random_reals(rng, shape):
    """Reals of many characters: whole or not, near or far apart, large or small, with and without special values."""
    kind = rng.integers(6)
    if kind == 0:
        values = rng.standard_normal(shape) * 10.0 ** rng.integers(-12, 12)
    elif kind == 1:
        values = rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 7, shape)
    elif kind == 2:
        values = rng.integers(-(10 ** rng.integers(1, 10)), 10 ** rng.integers(1, 10), shape).astype(np.float64)
    elif kind == 3:
        values = rng.choice([0.0, -0.0, 1e-4, 1e8, 1.0, 1000.0, 1001.0, 0.001, 100000001.0], shape)
    elif kind == 4:
        values = np.zeros(shape) * -1.0
    else:
        values = rng.random(shape)
    if rng.random() < 0.4:
        special = rng.choice([np.nan, np.inf, -np.inf, -0.0, 0.0], shape)
        values = np.where(rng.random(shape) < 0.2, special, values)
    return np.asarray(values)


def random_array(rng, name, shape):
    dtype = numpy_dtype(name)
    with np.errstate(all="ignore"):
        if name == "bool":
            return np.asarray(rng.random(shape) < 0.5)
        if name in COMPLEX:
            pair = random_reals(rng, shape) + 0j
            pair = np.asarray(pair)
            pair.imag[...] = random_reals(rng, shape)
            return pair.astype(dtype)
        if name in FLOATS:
            return np.ascontiguousarray(random_reals(rng, shape).astype(dtype)).reshape(shape)
        limits = np.iinfo(dtype)
        reach = 10 ** int(rng.integers(0, 20))
        low, high = max(int(limits.min), -reach), min(int(limits.max), reach)
        return np.asarray(rng.integers(low, high, shape, dtype=dtype, endpoint=True))


def random_options(rng):
    if rng.random() < 0.4:
        return {}
    return {
        "precision": int(rng.choice([0, 1, 2, 4, 7, 12])),
        "threshold": float(rng.choice([0, 5, 100, 1000, np.inf])),
        "edgeitems": int(rng.choice([0, 1, 2, 3, 5])),
        "linewidth": int(rng.choice([1, 20, 40, 80, 120])),
        "profile": str(rng.choice(["default", "short", "full"])) if rng.random() < 0.3 else None,
        "sci_mode": [None, None, True, False][rng.integers(4)],
    }


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch", reason="parity tests need torch")
    torch.set_printoptions(profile="default")
    yield torch
    torch.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", FLOATS + INTEGERS + COMPLEX)
def test_prints_what_torch_prints(torch, name):
    rng = np.random.default_rng(sum(map(ord, name)))
    for turn in range(200):
        shape = SHAPES[turn % len(SHAPES)]
        array, options = random_array(rng, name, shape), random_options(rng)
        if options.get("profile") == "full" or options.get("threshold") == np.inf:
            array = array[(..., *(slice(0, 40) for _ in shape))]  # thousands of lines would only cost time
        tensor = to_torch(torch, array, name)
        requires_grad = bool(rng.random() < 0.3) and name in FLOATS + COMPLEX and "float8" not in name
        default = str(rng.choice(["float32", "float32", "float64", "bfloat16"]))
        grad_fn_name = None
        if requires_grad:
            tensor.requires_grad_()
            if rng.random() < 0.5:
                tensor = tensor.clone()
                grad_fn_name = "CloneBackward0"
        torch.set_default_dtype(getattr(torch, default))
        torch.set_printoptions(profile="default")
        printing.set_printoptions(profile="default")
        torch.set_printoptions(**options)
        with printoptions(**options):
            ours = tensor_repr(
                array, dtype_name=name, default_dtype_name=default, requires_grad=requires_grad,
                grad_fn_name=grad_fn_name,
            )  # fmt: skip
        assert ours == repr(tensor), (shape, options)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_mps_prints_what_torch_would_print(torch, name, monkeypatch):
    monkeypatch.setattr("torch._tensor_str.tensor_totype", lambda t: t.to(torch.float32))
    rng = np.random.default_rng(1)
    edges = [1e-4, 1e8, 1.0, 1000.0, 1000.01, 1e-3, 1.0e-7]
    for _ in range(200):
        array = rng.choice(edges, int(rng.integers(1, 4))) * rng.choice([1.0, 1 + 1e-7, 3.0], 1)
        with np.errstate(over="ignore"):
            array = array.astype(numpy_dtype(name))
        ours = array_text(array, dtype_name=name, indent=len("tensor("), single_precision=True)
        suffix = "" if name == "float32" else f", dtype=torch.{name}"
        assert f"tensor({ours}{suffix})" == repr(to_torch(torch, array, name)).replace(",\n       dtype", ", dtype")


@pytest.mark.parametrize("name", ["float32", "int64", "bool", "float64", "complex64"])
def test_meta_prints_what_torch_prints(torch, name):
    for shape in [(), (0,), (2, 3)]:
        tensor = torch.empty(shape, dtype=getattr(torch, name), device="meta")
        assert tensor_repr(None, dtype_name=name, shape=shape, device_text="meta") == repr(tensor)


def test_classes_print_as_torch_classes(torch):
    class Named(torch.Tensor):
        pass

    class Special(torch.nn.Parameter):
        pass

    array = np.linspace(0, 1, 40, dtype=np.float32)
    tensor = torch.from_numpy(array)
    assert tensor_repr(array, dtype_name="float32", class_prefix="Named(") == repr(tensor.as_subclass(Named))
    body = tensor_repr(array, dtype_name="float32", requires_grad=True)
    assert parameter_repr(body) == repr(torch.nn.Parameter(tensor))
    body = tensor_repr(array, dtype_name="float32", requires_grad=True, class_prefix="Special(")
    assert parameter_repr(body, subclass=True) == repr(Special(tensor))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_transforms_and_tangents_print_as_in_torch(torch):
    array = np.arange(4, dtype=np.float32).reshape(2, 2)
    text = tensor_repr(array, dtype_name="float32")
    seen = []
    torch.vmap(lambda x: seen.append(repr(x)) or x)(torch.from_numpy(array))
    torch.func.grad(lambda x: seen.append(repr(x)) or x.sum())(torch.from_numpy(array))
    assert seen == [
        wrapped_repr("BatchedTensor", 1, text, bdim=0),
        wrapped_repr("GradTrackingTensor", 1, text),
    ]
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.from_numpy(array), torch.ones(2, 2))
        tangent = tensor_repr(np.ones((2, 2), np.float32), dtype_name="float32")
        assert tensor_repr(array, dtype_name="float32", tangent_text=tangent) == repr(dual)


@pytest.mark.parametrize("spec", ["", ".3f", "8.2e", ">10", "d"])
@pytest.mark.parametrize("value", [1.5, -0.0, 7, True, 2 + 1j])
def test_format_is_torchs(torch, spec, value):
    tensor = torch.tensor(value)
    try:
        expected = format(tensor, spec)
    except (ValueError, TypeError) as error:
        with pytest.raises(type(error)):
            tensor_format(tensor, tensor.item(), spec)
    else:
        assert tensor_format(tensor, tensor.item(), spec) == expected
