"""Matrix products against torch: shapes, dtypes, gradients, node names, errors, `out=`."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def make(lib, shape, seed, dtype="float64"):
    values = np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float64)
    if dtype.startswith("complex"):
        values = values + 1j * np.random.default_rng(seed + 100).integers(-3, 4, shape)
    return lib.tensor(values).to(getattr(lib, dtype)).detach()


def outcome(function, lib, shapes, dtype="float64", grad=True):
    inputs = [make(lib, shape, i, dtype) for i, shape in enumerate(shapes)]
    if grad and (inputs[0].is_floating_point() or inputs[0].is_complex()):
        inputs = [x.requires_grad_() for x in inputs]
    try:
        y = function(lib, *inputs)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, str(error)
    facts = [tuple(y.shape), str(y.dtype), y.detach().to(y.dtype).tolist(), type(y.grad_fn).__name__, y._is_view()]
    if y.requires_grad:
        y.backward(make(lib, tuple(y.shape), 77, dtype))
        facts.append([None if x.grad is None else x.grad.tolist() for x in inputs])
    return "ok", facts


SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((2, 1, 2, 3), (4, 3, 2)), ((1, 2, 3), (5, 3, 4)), ((0, 3), (3, 4)), ((2, 0), (0, 3)),
    ((0,), (0,)), ((2, 0), (0,)), ((0, 2, 3), (0, 3, 4)), ((5, 2, 0), (0, 4)), ((2, 2, 2, 3), (2, 2, 3, 1)), ((1, 1), (1, 1)),
    ((5, 2, 3), (1, 3, 4)), ((1, 2, 3), (1, 3, 4)), ((1, 1, 2, 3), (4, 3, 3, 2)), ((3,), (2, 5, 3, 4)), ((2, 3), (2, 5, 3, 4)),
    ((), (3,)), ((3,), ()), ((2, 3), (4, 3)), ((3,), (4,)), ((2, 3), (2,)), ((2,), (3, 4)), ((2, 2, 3), (3, 3, 4)), ((2, 2, 3), (2, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
def test_matmul(shapes, dtype):
    ours, theirs = (outcome(lambda lib, x, y: x @ y, lib, shapes, dtype) for lib in (rl, torch))
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"
    if ours[0] == "ok":
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("shapes", [((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)), ((1, 2, 3), (5, 3, 4))], ids=str)
@pytest.mark.parametrize("wanted", [0, 1])
def test_one_gradient(shapes, wanted):
    """Which product is made depends, in torch too, on which gradients are wanted."""
    found = []
    for lib in (rl, torch):
        inputs = [make(lib, shape, i) for i, shape in enumerate(shapes)]
        inputs[wanted].requires_grad_()
        y = inputs[0] @ inputs[1]
        (y * y).sum().backward()
        found.append((y.tolist(), y.stride(), type(y.grad_fn).__name__, inputs[wanted].grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_gradients_lie_as_their_matrix(left, right, dtype):
    """A transposed side's gradient is transposed, so that its leaf takes it as it comes."""
    found = []
    for lib in (rl, torch):
        a, b = (make(lib, (3, 2) if left else (2, 3), 0, dtype), make(lib, (4, 3) if right else (3, 4), 1, dtype))
        sides = [x.requires_grad_().t() if turned else x.requires_grad_() * 1 for x, turned in ((a, left), (b, right))]
        strides = []
        for side in sides:
            side.register_hook(lambda g, strides=strides: strides.append(g.stride()))
        (sides[0] @ sides[1]).backward(make(lib, (2, 4), 77, dtype))
        found.append((sorted(strides), a.grad.tolist(), a.grad.stride(), b.grad.tolist(), b.grad.stride()))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int8", "uint8", "bool"])
def test_dtypes(dtype):
    for shapes in (((2, 3), (3, 4)), ((3,), (3,)), ((2, 3), (3,)), ((2, 2, 3), (2, 3, 4))):
        ours, theirs = (outcome(lambda lib, x, y: lib.matmul(x, y), lib, shapes, dtype) for lib in (rl, torch))
        assert ours[0] == theirs[0] and (ours[0] != "ok" or ours[1] == theirs[1]), (shapes, ours, theirs)


CASES = {
    "mm": (lambda t, x, y: t.mm(x, y), [(2, 3), (3, 4)]),
    "mm method": (lambda t, x, y: x.mm(y), [(2, 3), (3, 4)]),
    "mm rank": (lambda t, x, y: t.mm(x, y), [(2, 2, 3), (3, 4)]),
    "mm sizes": (lambda t, x, y: t.mm(x, y), [(2, 3), (4, 3)]),
    "mm dtypes": (lambda t, x, y: t.mm(x, y.float()), [(2, 3), (3, 4)]),
    "matmul dtypes": (lambda t, x, y: x @ y.float(), [(2, 3), (3, 4)]),
    "mm number": (lambda t, x: t.mm(x, 3), [(2, 3)]),
    "matmul number": (lambda t, x: x @ 3, [(2, 3)]),
    "bmm": (lambda t, x, y: t.bmm(x, y), [(5, 2, 3), (5, 3, 4)]),
    "bmm broadcast": (lambda t, x, y: t.bmm(x, y), [(1, 2, 3), (5, 3, 4)]),
    "bmm rank": (lambda t, x, y: x.bmm(y), [(2, 3), (3, 4)]),
    "mv": (lambda t, x, y: t.mv(x, y), [(2, 3), (3,)]),
    "mv sizes": (lambda t, x, y: x.mv(y), [(2, 3), (2,)]),
    "mv rank": (lambda t, x, y: x.mv(y), [(2, 3), (3, 1)]),
    "dot": (lambda t, x, y: t.dot(x, y), [(3,), (3,)]),
    "dot empty": (lambda t, x, y: x.dot(y), [(0,), (0,)]),
    "dot sizes": (lambda t, x, y: x.dot(y), [(3,), (4,)]),
    "dot rank": (lambda t, x, y: x.dot(y), [(3, 1), (3, 1)]),
    "vdot": (lambda t, x, y: t.vdot(x, y), [(3,), (3,)]),
    "outer": (lambda t, x, y: t.outer(x, y), [(3,), (2,)]),
    "ger": (lambda t, x, y: x.ger(y), [(3,), (2,)]),
    "outer rank": (lambda t, x, y: t.outer(x, y), [(3, 1), (2,)]),
    "inner": (lambda t, x, y: t.inner(x, y), [(2, 3), (4, 3)]),
    "inner vectors": (lambda t, x, y: x.inner(y), [(3,), (3,)]),
    "inner zero-dim": (lambda t, x, y: x.inner(y), [(), (3,)]),
    "inner sizes": (lambda t, x, y: x.inner(y), [(2, 3), (4, 2)]),
    "addmm": (lambda t, c, x, y: t.addmm(c, x, y), [(2, 4), (2, 3), (3, 4)]),
    "addmm row": (lambda t, c, x, y: c.addmm(x, y, beta=0.5, alpha=2), [(4,), (2, 3), (3, 4)]),
    "addmm column": (lambda t, c, x, y: t.addmm(c, x, y), [(2, 1), (2, 3), (3, 4)]),
    "addmm zero-dim": (lambda t, c, x, y: t.addmm(c, x, y), [(), (2, 3), (3, 4)]),
    "addmm beta 0": (lambda t, c, x, y: t.addmm(c * float("nan"), x, y, beta=0), [(2, 4), (2, 3), (3, 4)]),
    "addmm empty": (lambda t, c, x, y: t.addmm(c, x, y), [(2, 4), (2, 0), (0, 4)]),
    "addmm shape": (lambda t, c, x, y: t.addmm(c, x, y), [(3, 4), (2, 3), (3, 4)]),
    "addmm rank": (lambda t, c, x, y: t.addmm(c, x, y), [(2, 4), (2, 3), (3,)]),
    "addmm_": (lambda t, c, x, y: (c * 1).addmm_(x, y, alpha=2), [(2, 4), (2, 3), (3, 4)]),
    "addmm_ shape": (lambda t, c, x, y: (c * 1).addmm_(x, y), [(4,), (2, 3), (3, 4)]),
    "baddbmm": (lambda t, c, x, y: t.baddbmm(c, x, y, alpha=-1), [(2, 4), (5, 2, 3), (5, 3, 4)]),
    "baddbmm_": (lambda t, c, x, y: (c * 1).baddbmm_(x, y), [(5, 2, 4), (5, 2, 3), (5, 3, 4)]),
    "baddbmm shape": (lambda t, c, x, y: t.baddbmm(c, x, y), [(3, 4), (5, 2, 3), (5, 3, 4)]),
    "addmv": (lambda t, c, x, y: t.addmv(c, x, y, beta=2), [(2,), (2, 3), (3,)]),
    "addmv zero-dim": (lambda t, c, x, y: c.addmv(x, y), [(), (2, 3), (3,)]),
    "addmv_": (lambda t, c, x, y: (c * 1).addmv_(x, y), [(2,), (2, 3), (3,)]),
    "addmv sizes": (lambda t, c, x, y: t.addmv(c, x, y), [(2,), (2, 3), (2,)]),
    "addr": (lambda t, c, x, y: t.addr(c, x, y, alpha=2), [(3, 2), (3,), (2,)]),
    "addr beta 0": (lambda t, c, x, y: t.addr(c * float("nan"), x, y, beta=0), [(3, 2), (3,), (2,)]),
    "addbmm": (lambda t, c, x, y: t.addbmm(c, x, y, beta=0.5), [(2, 4), (5, 2, 3), (5, 3, 4)]),
    "tensordot": (lambda t, x, y: t.tensordot(x, y), [(2, 3, 4), (3, 4, 5)]),
    "tensordot 0": (lambda t, x, y: t.tensordot(x, y, 0), [(2, 3), (4,)]),
    "tensordot lists": (lambda t, x, y: t.tensordot(x, y, ([0, 1], [1, 0])), [(2, 3, 4), (3, 2, 5)]),
    "tensordot negative": (lambda t, x, y: t.tensordot(x, y, ([-1], [0])), [(2, 3), (3, 2)]),
    "tensordot all": (lambda t, x, y: t.tensordot(x, y, 2), [(2, 3), (2, 3)]),
    "tensordot sizes": (lambda t, x, y: t.tensordot(x, y, 1), [(2, 3), (4, 2)]),
    "tensordot -1": (lambda t, x, y: t.tensordot(x, y, -1), [(2, 3), (3, 2)]),
    "kron": (lambda t, x, y: t.kron(x, y), [(2, 3), (3, 1)]),
    "kron ranks": (lambda t, x, y: x.kron(y), [(2,), (3, 2)]),
    "chain_matmul": (lambda t, x, y, z: t.chain_matmul(x, y, z), [(2, 3), (3, 4), (4, 1)]),
    "transposed": (lambda t, x, y: x.t() @ y.t(), [(3, 2), (4, 3)]),
    "sliced": (lambda t, x, y: x[::2] @ y[:, 1:], [(4, 3), (3, 4)]),
    "expanded": (lambda t, x, y: x.expand(4, 3) @ y, [(1, 3), (3, 2)]),
    "in a graph twice": (lambda t, x: x @ x @ x, [(3, 3)]),
}


# torch builds these of other operations.
OTHER_NAMES = {"kron", "kron ranks", "addr", "addr beta 0", "addbmm", "inner zero-dim", "tensordot 0", "tensordot all", "chain_matmul"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    function, shapes = CASES[name]
    ours, theirs = (outcome(function, lib, shapes) for lib in (rl, torch))
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"
    if ours[0] == "ok":
        assert ours[1][:3] == theirs[1][:3]
        assert ours[1][5:] == theirs[1][5:] or "nan" in str(theirs[1][5:])
        if name not in OTHER_NAMES:
            assert ours[1][3:5] == theirs[1][3:5]


@pytest.mark.parametrize("name", ["mm", "bmm", "mv", "dot", "matmul", "addmm", "outer", "kron", "baddbmm", "inner"])
def test_out(name):
    shapes = {"bmm": [(2, 2, 2)] * 2, "baddbmm": [(2, 2, 2)] * 3, "mv": [(2, 2), (2,)], "dot": [(2,)] * 2, "outer": [(2,)] * 2,
              "addmm": [(2, 2)] * 3}.get(name, [(2, 2)] * 2)  # fmt: skip
    found = []
    for lib in (rl, torch):
        out = lib.empty(0, dtype=lib.float64)
        assert getattr(lib, name)(*[make(lib, s, i) for i, s in enumerate(shapes)], out=out) is out
        found.append(out.tolist())
    assert found[0] == found[1]


def test_errors_say_which_sizes():
    with pytest.raises(RuntimeError, match=r"2x3 and 4x5.*\(3\).*\(4\)"):
        rl.ones(2, 3) @ rl.ones(4, 5)
    with pytest.raises(RuntimeError, match=r"float32.*float64|float != double"):
        rl.ones(2, 3) @ rl.ones(3, 4, dtype=rl.float64)
    with pytest.raises(RuntimeError, match="at least 1D"):
        rl.ones(()) @ rl.ones(2)


def test_arrays_multiply_tensors():
    a = np.ones((2, 2), np.float32)
    assert (a @ rl.ones(2, 2)).tolist() == [[2.0, 2.0]] * 2
    with pytest.raises(TypeError):
        [1.0, 2.0] @ rl.ones(2)
