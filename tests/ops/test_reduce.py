"""Reductions and extremes against torch: every dtype, shape and form, empty tensors, ties, NaN, named tuples."""

import copy
import pickle

import numpy as np
import pytest

import rushlight as rl

DTYPES = ["float64", "float32", "float16", "bfloat16", "int8", "int32", "int64", "uint8", "bool", "complex64"]
SHAPES = [(3, 4), (4, 3, 2), (), (5,), (0, 3), (3, 0), (1, 1)]
FORMS = [
    "x.sum()", "x.sum(0)", "x.sum(-1, keepdim=True)", "x.sum((0, 1))", "x.sum(())", "x.sum(0, dtype=torch.float64)", "x.nansum()",
    "x.mean()", "x.mean(0)", "x.mean(-1, True)", "x.prod()", "x.prod(0)", "x.prod(-1, True)", "x.amax()", "x.amin(0, True)",
    "x.max()", "x.min()", "x.max(0)[0]", "x.min(-1, True)[0]", "x.max(-1)[1]", "torch.aminmax(x)[1]", "torch.aminmax(x, dim=0)[0]",
    "x.argmax()", "x.argmin()", "x.argmax(0)", "x.argmin(-1, True)", "x.argmax(keepdim=True)", "x.all()", "x.any()", "x.all(0)",
    "x.any(-1, True)", "x.any((0,))", "x.logsumexp(0)", "x.count_nonzero()", "x.count_nonzero(0)",
]  # fmt: skip
# Where torch refuses or warns and this library does not, or the other way round.
LENIENT = {"bool": ("argm",), "complex64": ("nansum", "float64", "amin", "amax", "max", "min")}


def draw(rng, dtype, shape):
    if dtype == "bool":
        return rng.random(shape) < 0.6
    if dtype == "complex64":
        return rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return np.round(rng.normal(size=shape) * 2, 1) if "float" in dtype else rng.integers(0, 9, shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_forms(dtype, oracle):
    rng = np.random.default_rng(0)
    wide = {"float16": 4e-3, "bfloat16": 2e-2}.get(dtype)
    for shape in SHAPES:
        data = draw(rng, dtype, shape)
        for form in FORMS:
            found = []
            for library in (rl, oracle.torch):
                try:
                    x = library.tensor(data).to(getattr(library, dtype))
                    found.append(eval(form, {"torch": library, "x": x}))
                except Exception as error:
                    found.append(error)
            ours, theirs = found
            if any(name in form for name in LENIENT.get(dtype, ())):
                continue
            if isinstance(theirs, Exception):
                kinds = (type(theirs), NotImplementedError) if dtype == "complex64" else (type(theirs),)
                assert isinstance(ours, kinds), f"{form} of {shape}: torch raises {theirs!r}, here {ours!r}"
            else:
                assert not isinstance(ours, Exception), f"{form} of {shape}: {ours!r}"
                oracle.assert_same(ours, theirs, **({"rtol": wide, "atol": wide} if wide and ours.is_floating_point() else {}))


SETUP = (
    "x = torch.tensor([[.3, .7, .3], [.2, .9, .9]], requires_grad=True); f = x.detach(); i = torch.tensor([3, 1, 2]); "
    "b = torch.tensor([True, False]); e = torch.empty(0, 3); n = torch.tensor([[1., float('nan')], [2., 3.]]); "
)


@pytest.mark.parametrize(
    "program",
    [
        "x.sum()", "x.sum(0)", "x.sum((0, 1))", "x.nansum()", "x.mean()", "x.mean(0)", "x.nanmean()", "x.nanmean(1)", "x.prod()",
        "x.prod(0)", "x.amax()", "x.amax(0)", "x.max()", "x.min()", "x.max(0)", "x.min(1, keepdim=True)", "x.aminmax()",
        "x.aminmax(dim=0)", "x.logsumexp(0)", "x.logsumexp((0, 1))", "x.argmax()", "x.sum_to_size(1, 3)", "x.sum_to_size(2, 3) is x",
        "x.sum_to_size(4)", "f.sum(axis=0)", "f.sum(axis=1, keepdims=True)", "f.max(axis=0)", "f.argmax(axis=0)", "f.mean(axis=(0,))",
        "torch.amax(f, axis=0)", "f.prod(axis=0)", "f.all(axis=0)", "f.sum(foo=0)", "torch.max(f, 0, True)", "f.max(dim=1).values",
        "torch.max(f, dim=1).indices", "i.mean()", "i.mean(dtype=torch.float64)", "i.sum(dtype=torch.bool)", "f.sum(dtype=torch.int64)",
        "i.nanmean()", "e.max()", "e.amax()", "e.argmax()", "e.sum()", "e.mean()", "e.prod()", "e.max(0)", "e.max(1)", "e.amax(1)",
        "torch.tensor(1.).max(0)", "f.sum(5)", "f.sum((0, 0))", "f.max(7)", "n.max()", "n.max(0)", "n.min(1)", "n.argmax(1)", "n.amax(0)",
        "n.nansum(0)", "n.nanmean(1)", "n.logsumexp(0)", "torch.sum([1, 2])", "torch.sum(f, 1, out=torch.empty(5))",
        "torch.max(f, 0, out=(torch.empty(0), torch.empty(0, dtype=torch.int64)))", "torch.min(f, i)", "b.sum()", "b.prod()", "b.any()",
        "torch.logsumexp(torch.full((2,), -float('inf')), 0)", "f.t().sum(0)", "f[:, ::2].mean(1)", "f.expand(4, 2, 3).sum((0, 1))",
        "torch.count_nonzero(f, dim=(0, 1))", "len(f.max(0)), f.max(0)[0].shape", "torch.all(i > 0, 0)",
        "torch.any(b, dim=0, keepdim=True)",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


@pytest.mark.parametrize("form", ["x.amax()", "x.amax(1)", "x.max()", "x.min()", "x.max(1)[0]", "x.amin((0, 1))", "x.aminmax()[1]",
                                  "x.aminmax(dim=1)[0]"])  # fmt: skip
@pytest.mark.parametrize("rows", [[[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], [[1.0, float("nan"), float("nan")], [0.0, 1.0, 2.0]]])
def test_gradient_of_ties_and_nan(form, rows, oracle):
    found = []
    for library in (rl, oracle.torch):
        x = library.tensor(rows, requires_grad=True)
        out = eval(form, {"x": x})
        out.sum().backward()
        found.append(x.grad.tolist())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("zeros", [[], [1], [0, 3], [0, 1, 2, 3]])
def test_product_gradient_is_exact_at_zeros(zeros):
    numbers = [2.0, -3.0, 5.0, 0.5]
    for place in zeros:
        numbers[place] = 0.0
    expected = [float(np.prod([v for j, v in enumerate(numbers) if j != i])) for i in range(4)]
    for form in (lambda x: x.prod(), lambda x: x.prod(0), lambda x: x.reshape(2, 2).prod()):
        x = rl.tensor(numbers, requires_grad=True)
        form(x).backward()
        assert x.grad.tolist() == expected


def test_gradient_reaches_a_leaf_of_another_dtype(oracle):
    found = []
    for library in (rl, oracle.torch):
        x = library.tensor([1.0, 2.0], dtype=library.float32, requires_grad=True)
        x.sum(dtype=library.float64).backward()
        found.append(repr(x.grad))
    assert found[0] == found[1]


def test_named_tuples_print_copy_and_pickle():
    found = rl.tensor([[1.0, 3.0], [4.0, 2.0]]).max(1)
    assert repr(found) == "torch.return_types.max(\nvalues=tensor([3., 4.]),\nindices=tensor([1, 0]))"
    values, indices = found
    assert found.values is values and found.indices is indices and isinstance(found, tuple)
    assert type(found)((1, 2)).values == 1
    with pytest.raises(TypeError, match="2-sequence"):
        type(found)((1,))
    again = pickle.loads(pickle.dumps(type(found)((1, 2))))
    assert type(again) is type(found) and again == (1, 2)
    assert copy.copy(again) == again


def test_a_sum_of_many_halves_is_rounded_once():
    assert rl.ones(3000, dtype=rl.bfloat16).sum().item() == 3008.0  # the nearest bfloat16
    assert rl.ones(3000, dtype=rl.float16).mean().item() == 1.0
