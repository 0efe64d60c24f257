"""RNN, LSTM, GRU and their cells against torch's: numbers, gradients, streams of random numbers, printed forms, errors."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import warnings

import numpy as np
import pytest

import rushlight
from rushlight import nn

torch = pytest.importorskip("torch", reason="parity tests need torch")

# expression | shape of the input; packed: the lengths of the sequences
CASES = """
nn.LSTM(3, 4)|5,2,3
nn.LSTM(3, 4, 2, bias=False)|5,2,3
nn.LSTM(3, 4, batch_first=True)|2,5,3
nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True)|2,5,3
nn.LSTM(3, 4, proj_size=2)|5,2,3
nn.LSTM(3, 4, 2, bias=False, bidirectional=True, proj_size=3)|5,2,3
nn.LSTM(3, 4, 2, dropout=0.4)|5,2,3
nn.LSTM(3, 4, 3, True, True, 0.3, True)|2,5,3
nn.LSTM(3, 4)|5,3
nn.LSTM(3, 4, batch_first=True, bidirectional=True)|5,3
nn.LSTM(3, 4)|packed 4,2,1
nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)|packed 2,4,1
nn.LSTM(3, 4, 2, dropout=0.5, batch_first=True)|packed 1,3
nn.LSTM(1, 1)|1,1,1
nn.LSTM(3, 4)|5,0,3
nn.LSTM(3, 20)|40,7,3
nn.GRU(3, 4)|5,2,3
nn.GRU(3, 4, 2, False)|5,2,3
nn.GRU(3, 4, 2, bidirectional=True, batch_first=True, dropout=0.2)|2,5,3
nn.GRU(3, 4)|5,3
nn.GRU(3, 4, bidirectional=True)|packed 4,2,1
nn.GRU(3, 4, 2, bias=False)|packed 2,4,4
nn.GRU(3, 20)|40,7,3
nn.GRU(3, 4)|5,0,3
nn.RNN(3, 4)|5,2,3
nn.RNN(3, 4, 2, 'relu')|5,2,3
nn.RNN(3, 4, 2, 'tanh', False, True, 0.25, True)|2,5,3
nn.RNN(3, 4, nonlinearity='relu')|5,3
nn.RNN(3, 4, bidirectional=True)|packed 4,2,1
nn.RNN(3, 4, 2, 'relu', bidirectional=True)|packed 1,3
"""
CASES = [tuple(line.split("|")) for line in CASES.strip().split("\n")]
CELLS = [
    f"nn.{name}(3, 4{rest})"
    for name, rest in itertools.product(("LSTMCell", "GRUCell", "RNNCell"), ("", ", bias=False", ", False"))
] + ["nn.RNNCell(3, 4, nonlinearity='relu')"]


def quiet(function):
    """The result of a call whose warnings (torch's about projections) do not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


def both(expression, dtype="float32"):
    """The same module of both libraries, made from the same seed."""
    made = []
    for library in (rushlight, torch):
        library.manual_seed(3)
        made.append(eval(expression, {"nn": library.nn}).to(getattr(library, dtype)))
    return made


def flat(value):
    """All tensors in a result."""
    if isinstance(value, (tuple, list)):
        return [t for part in value for t in flat(part)]
    return [] if value is None else [value]


def make_input(library, text, dtype, rng):
    """The input tensor, and what the module is given."""
    kind, _, numbers = text.rpartition(" ")
    shape = tuple(int(n) for n in numbers.split(","))
    if kind != "packed":
        x = library.tensor(rng.standard_normal(shape), dtype=dtype, requires_grad=True)
        return x, x
    x = library.tensor(rng.standard_normal((max(shape), len(shape), 3)), dtype=dtype, requires_grad=True)
    return x, library.nn.utils.rnn.pack_padded_sequence(x, list(shape), enforce_sorted=False)


def states_for(library, module, text, dtype, rng):
    kind, _, numbers = text.rpartition(" ")
    sizes = [int(n) for n in numbers.split(",")]
    single = kind != "packed" and len(sizes) == 2
    batch = len(sizes) if kind == "packed" else sizes[0 if module.batch_first else 1]
    lead = [module.num_layers * (2 if module.bidirectional else 1)] + ([] if single else [batch])
    widths = [module.proj_size or module.hidden_size, module.hidden_size][: 2 if module.mode == "LSTM" else 1]
    return [library.tensor(rng.standard_normal((*lead, w)), dtype=dtype, requires_grad=True) for w in widths]


def gradients_of(library, module, outputs, inputs, rng):
    """Gradients of a random linear function of all outputs with respect to inputs and parameters."""
    floating = [t for t in outputs if t.dtype.is_floating_point]
    total = sum((t * library.tensor(rng.standard_normal(tuple(t.shape)), dtype=t.dtype)).sum() for t in floating)
    return library.autograd.grad(total, [*inputs, *module.parameters()])


def close(ours, theirs, tolerance):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape) and str(a.dtype) == str(b.dtype)
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("expression", "shape"), CASES)
def test_layer(expression, shape, dtype):
    modules = both(expression, dtype)
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    for given in (False, True):
        found = []
        for library, module in zip((rushlight, torch), modules, strict=True):
            rng, kind = np.random.default_rng(0), getattr(library, dtype)
            leaf, x = make_input(library, shape, kind, rng)
            states = states_for(library, module, shape, kind, rng) if given else []
            hx = None if not given else tuple(states) if len(states) == 2 else states[0]
            library.manual_seed(5)  # dropout draws
            outputs = flat(quiet(lambda m=module, x=x, h=hx: m(x, h)))
            after = library.rand(1)
            found.append((outputs, gradients_of(library, module, outputs, [leaf, *states], rng), after))
        close(found[0][0], found[1][0], tolerance)
        close(found[0][1], found[1][1], 20 * tolerance)
        assert found[0][2].item() == found[1][2].item(), "the streams of random numbers differ"


@pytest.mark.parametrize(("expression", "shape"), CASES)
def test_evaluation_and_strides(expression, shape):
    ours, theirs = both(expression)
    found = []
    for library, module in ((rushlight, ours.eval()), (torch, theirs.eval())):
        _, x = make_input(library, shape, library.float32, np.random.default_rng(0))
        with library.no_grad():
            found.append(flat(quiet(lambda m=module, x=x: m(x))))
    close(*found, 2e-6)
    if "0" not in shape.split(","):
        assert [t.stride() for t in found[0]] == [t.stride() for t in found[1]]
    assert not any(t.requires_grad for t in found[0])


@pytest.mark.parametrize("expression", [*CELLS, *dict.fromkeys(text for text, _ in CASES)])
def test_parameters_and_printed_form(expression):
    ours, theirs = both(expression)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name].numpy(), value.numpy())
    public = [{k: v for k, v in vars(m).items() if not k.startswith("_")} for m in (ours, theirs)]
    assert public[0] == public[1]
    if hasattr(theirs, "all_weights"):
        assert [[tuple(w.shape) for w in row] for row in ours.all_weights] == [[tuple(w.shape) for w in row] for row in theirs.all_weights]
        assert ours._flat_weights_names == theirs._flat_weights_names
        assert all(a is b for a, b in zip(ours._flat_weights, flat(ours.all_weights), strict=True))


@pytest.mark.parametrize("expression", CELLS)
def test_cell(expression):
    modules = both(expression, "float64")
    pair = "LSTM" in expression
    for single, given in itertools.product((False, True), repeat=2):
        found = []
        for library, module in zip((rushlight, torch), modules, strict=True):
            rng = np.random.default_rng(1)
            x = library.tensor(rng.standard_normal((3,) if single else (2, 3)), requires_grad=True)
            states = [library.tensor(rng.standard_normal((4,) if single else (2, 4)), requires_grad=True) for _ in range(1 + pair)]
            states = states if given else []
            outputs = flat(module(x, (tuple(states) if pair else states[0]) if given else None))
            used = [x, *states, *module.parameters()]
            found.append((outputs, library.autograd.grad(sum(t.sin().sum() for t in outputs), used)))
            names = [type(t.grad_fn).__name__ for t in outputs]
            found[-1] += (names,)
        close(found[0][0], found[1][0], 1e-12)
        close(found[0][1], found[1][1], 1e-12)
        assert found[0][2] == found[1][2]


@pytest.mark.parametrize("expression", ["nn.LSTM(3, 4)", "nn.GRU(3, 4)", "nn.RNN(3, 4)"])
def test_names_of_the_nodes(expression):
    for rest, shape in (("", "5,2,3"), (", 2", "5,2,3"), (", bidirectional=True", "5,2,3"), ("", "5,3"), ("", "packed 3,2")):
        text = expression[:-1] + rest + ")"
        names = []
        for library, module in zip((rushlight, torch), both(text), strict=True):
            _, x = make_input(library, shape, library.float32, np.random.default_rng(0))
            names.append([type(t.grad_fn).__name__ for t in flat(module(x)) if t.dtype.is_floating_point])
        assert names[0] == names[1], text


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_other_dtypes(name, dtype):
    found = []
    for library, module in zip((rushlight, torch), both(f"nn.{name}(3, 4, bidirectional=True)"), strict=True):
        kind, rng = getattr(library, dtype), np.random.default_rng(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # complex modules are new
            module = module.to(kind)
        x = library.tensor(rng.standard_normal((5, 2, 3)) + (1j * rng.standard_normal((5, 2, 3)) if "c" in dtype else 0), dtype=kind)
        y, last = quiet(lambda m=module, x=x: m(x))
        grads = library.autograd.grad((abs(y) ** 2).sum(), list(module.parameters()))
        assert all(g.dtype == kind for g in grads)
        wide = library.complex64 if "c" in dtype else library.float32
        found.append([t.detach().to(wide) for t in (y, *flat(last), *grads)])
    for a, b in zip(*found, strict=True):
        tolerance = {"complex64": 2e-5, "float16": 5e-3, "bfloat16": 5e-2}[dtype]
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance * 2)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_double_backward(name):
    """The gradient of a gradient's norm, as a gradient penalty takes it."""
    found = []
    for library, module in zip((rushlight, torch), both(f"nn.{name}(2, 3, 2)", "float64"), strict=True):
        rng = np.random.default_rng(0)
        x = library.tensor(rng.standard_normal((4, 2, 2)), requires_grad=True)
        gradient = library.autograd.grad(module(x)[0].sin().sum(), x, create_graph=True)[0]
        (gradient**2).sum().backward()
        found.append([x.grad, *[p.grad for p in module.parameters()]])
    close(*found, 1e-11)


def test_gradgradcheck():
    lstm = nn.LSTM(2, 2, dtype=rushlight.float64)
    x = rushlight.randn(2, 1, 2, dtype=rushlight.float64, requires_grad=True)
    assert rushlight.autograd.gradcheck(lambda t: lstm(t)[0], (x,))
    assert rushlight.autograd.gradgradcheck(lambda t: lstm(t)[0], (x,))


def test_float32_is_as_accurate_as_torchs():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 16, 32))
    errors = []
    for library in (rushlight, torch):
        library.manual_seed(0)
        lstm = library.nn.LSTM(32, 64)
        wide = copy.deepcopy(lstm).double()
        results = []
        for module, dtype in ((lstm, library.float32), (wide, library.float64)):
            leaf = library.tensor(x, dtype=dtype, requires_grad=True)
            y, _ = module(leaf)
            grads = library.autograd.grad((y * y).sum(), [leaf, *module.parameters()])
            results.append([t.detach().numpy().astype(np.float64) for t in (y, *grads)])
        errors.append([np.sqrt(np.mean((a - b) ** 2)) / np.sqrt(np.mean(b**2)) for a, b in zip(*results, strict=True)])
    assert all(ours <= 3 * theirs for ours, theirs in zip(*errors, strict=True)), errors


# ---------------------------------------------------------------- state and files


@pytest.mark.parametrize(
    "expression",
    ["nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)", "nn.GRU(3, 4)", "nn.RNN(3, 4, bias=False)", "nn.LSTMCell(3, 4)"],
)
def test_state_dict_goes_both_ways(expression):
    ours = eval(expression, {"nn": nn})
    theirs = eval(expression, {"nn": torch.nn})
    ours.load_state_dict({name: rushlight.tensor(t.numpy()) for name, t in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 3) if "Cell" in expression else (5, 2, 3)).astype(np.float32)
    close(flat(ours(rushlight.tensor(x))), flat(quiet(lambda: theirs(torch.tensor(x)))), 2e-6)
    ours.reset_parameters()
    theirs.load_state_dict({name: torch.tensor(t.numpy()) for name, t in ours.state_dict().items()})
    close(flat(ours(rushlight.tensor(x))), flat(quiet(lambda: theirs(torch.tensor(x)))), 2e-6)


@pytest.mark.parametrize("expression", ["nn.LSTM(3, 4, 2)", "nn.RNN(3, 4, nonlinearity='relu')"])
def test_whole_modules_in_files(expression):
    ours = eval(expression, {"nn": nn})
    file = io.BytesIO()
    rushlight.save(ours, file)
    file.seek(0)
    theirs = torch.load(file, weights_only=False)
    x = rushlight.randn(5, 2, 3)
    close(flat(ours(x)), flat(theirs(torch.tensor(x.numpy()))), 2e-6)
    file = io.BytesIO()
    torch.save(theirs, file)
    file.seek(0)
    back = rushlight.load(file, weights_only=False)
    assert repr(back) == repr(ours)
    close(flat(back(x)), flat(ours(x)), 0)
    for made in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        close(flat(made(x)), flat(ours(x)), 0)
        assert made.weight_ih_l0 is not ours.weight_ih_l0 and made.all_weights[0][0] is made.weight_ih_l0


def test_replaced_parameters_are_used():
    lstm, x = nn.LSTM(2, 3), rushlight.randn(4, 1, 2)
    lstm.weight_hh_l0 = nn.Parameter(rushlight.zeros(12, 3))
    assert lstm.all_weights[0][1] is lstm.weight_hh_l0
    before = lstm(x)[0]
    nn.utils.parametrizations.weight_norm(lstm, "weight_ih_l0")
    np.testing.assert_allclose(lstm(x)[0].detach().numpy(), before.detach().numpy(), rtol=1e-5, atol=1e-6)
    lstm.double()
    assert lstm(x.double())[0].dtype is rushlight.float64
    lstm.flatten_parameters()


def test_factory_arguments():
    assert nn.LSTM(2, 3, dtype=rushlight.float64).weight_hh_l0.dtype is rushlight.float64
    meta = nn.GRU(2, 3, 2, bidirectional=True, device="meta")
    y, h = meta(rushlight.ones(5, 4, 2, device="meta"))
    assert y.is_meta and tuple(y.shape) == (5, 4, 6) and tuple(h.shape) == (4, 4, 3)
    y.sum().backward()
    assert meta.weight_hh_l1.grad.is_meta


# ---------------------------------------------------------------- errors: torch's types, and what they say

ERRORS = """
nn.LSTM(3, 4)(T.ones(3))|got 1D
nn.RNN(3, 4)(T.ones(2, 2, 2, 3))|got 4D
nn.LSTM(3, 4)(T.ones(5, 2, 6))|Expected 3, got 6
nn.GRU(3, 4)(T.ones(5, 2, 3).double())|input.to(torch.float32)
nn.LSTM(3, 4)(T.ones(5, 2, 3), (T.ones(1, 2, 4), T.ones(1, 2, 5)))|hidden[1] size (1, 2, 4), got [1, 2, 5]
nn.LSTM(3, 4)(T.ones(5, 2, 3), (T.ones(1, 3, 4), T.ones(1, 2, 4)))|hidden[0] size (1, 2, 4), got [1, 3, 4]
nn.LSTM(3, 4)(T.ones(5, 2, 3), (T.ones(2, 4), T.ones(2, 4)))|3-D but got (2-D, 2-D) tensors
nn.GRU(3, 4)(T.ones(5, 3), T.ones(1, 1, 4))|2-D but got 3-D tensor
nn.GRU(3, 4)(T.ones(5, 2, 3), T.ones(1, 3, 4))|size (1, 2, 4), got [1, 3, 4]
nn.GRU(3, 4)(T.ones(0, 2, 3))|larger than 0
nn.GRU(3, 4)(T.ones(5, 2, 3), T.ones(1, 2, 4).double())|dtype
nn.LSTM(3, 4, 2, dropout=2)|got 2
nn.LSTM(3, 4, 2, dropout=True)|[0, 1]
nn.LSTM(3, 4, bias=1)|bool, got: int
nn.LSTM(3, 4, 1, True, 1)|batch_first should be of type bool
nn.LSTM(3., 4)|input_size should be of type int
nn.LSTM(0, 4)|greater than zero
nn.LSTM(3, 0)|greater than zero
nn.LSTM(3, 4, 0)|num_layers
nn.LSTM(3, 4, proj_size=4)|smaller than hidden_size
nn.LSTM(3, 4, proj_size=-1)|proj_size
nn.GRU(3, 4, proj_size=2)|only supported for LSTM
nn.RNN(3, 4, proj_size=2)|only supported for LSTM
nn.RNN(3, 4, nonlinearity='x')|Select from 'tanh' or 'relu'
nn.RNNBase('X', 3, 4)|Unrecognized RNN mode: X
nn.LSTM(3)|hidden_size
nn.GRU(3, 4, foo=1)|foo
nn.RNNBase('GRU', 3, 4)(T.ones(2, 3, 3))|forward
nn.LSTMCell(3, 4)(T.ones(3, 3, 3))|got 3D
nn.LSTMCell(3, 4)(T.ones(2, 5))|got 5 expected 3
nn.LSTMCell(3, 4)(T.ones(2, 3), (T.ones(2, 4), T.ones(2, 5)))|hidden1 has inconsistent hidden_size: got 5, expected 4
nn.LSTMCell(3, 4)(T.ones(2, 3), (T.ones(3, 4), T.ones(3, 4)))|batch size 2 doesn't match hidden0 batch size 3
nn.LSTMCell(3, 4)(T.ones(2, 3), T.ones(2, 4))|pair
nn.LSTMCell(3, 4)(T.ones(3), (T.ones(1, 4), T.ones(1, 4)))|hidden0 has inconsistent hidden_size
nn.LSTMCell(3, 4)(T.ones(2, 3).double())|dtype
nn.GRUCell(3, 4)(T.ones(2, 3), T.ones(1, 2, 4))|Expected hidden to be 1D or 2D
nn.GRUCell(3, 4)(T.ones(2, 3), T.ones(3, 4))|batch size
nn.RNNCell(3, 4, nonlinearity='x')(T.ones(2, 3))|Unknown nonlinearity: x
T.lstm(T.ones(2, 2, 3), [T.ones(1, 2, 4)], nn.LSTM(3, 4).all_weights[0], True, 1, 0., False, False, False)|two hidden states
T.gru(T.ones(2, 2, 3), T.ones(1, 2, 4), nn.GRU(3, 4).all_weights[0][:2], True, 1, 0., False, False, False)|incorrect number
T.gru(3, T.ones(1, 2, 4), nn.GRU(3, 4).all_weights[0], True, 1, 0., False, False, False)|int
T.lstm_cell(T.ones(2, 3), [T.ones(2, 4)], T.ones(16, 3), T.ones(16, 4))|two hidden states
T.gru_cell(T.ones(2, 3), T.ones(2, 4), T.ones(16, 3), T.ones(16, 4))|3 * hidden_size = 12, but got 16
"""


@pytest.mark.parametrize(("program", "words"), [line.split("|") for line in ERRORS.strip().split("\n")])
def test_errors(program, words):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        eval(program, {"T": torch, "nn": torch.nn})
    with pytest.raises(theirs.type) as ours:
        eval(program, {"T": rushlight, "nn": nn})
    assert words in str(ours.value)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nn.LSTM(3, 4)(T.ones(5, 2, 3), T.ones(1, 2, 4))", "pair of Tensors (h_0, c_0), not Tensor"),
        ("nn.LSTM(3, 4)(T.ones(5, 2, 3), (T.ones(1, 2, 4),))", "pair of Tensors"),
        ("nn.GRU(3, 4)(T.ones(5, 2, 3), (T.ones(1, 2, 4), T.ones(1, 2, 4)))", "hx must be a Tensor h_0, not tuple"),
        ("nn.LSTM(3, 4)([1, 2])", "input must be a Tensor or a PackedSequence, not list"),
        ("nn.GRUCell(3, 4)(T.ones(2, 3), [1, 2])", "hx must be a Tensor, not list"),
    ],
)
def test_what_is_no_tensor_is_a_type_error(program, words):
    with pytest.raises(TypeError) as error:
        eval(program, {"T": rushlight, "nn": nn})
    assert words in str(error.value)


def test_dropout_of_one_layer_warns():
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last recurrent layer") as seen:
        nn.LSTM(3, 4, dropout=0.5)
    assert seen[0].filename == __file__
