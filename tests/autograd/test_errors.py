"""Every error and warning of this area, provoked in torch and here: the same type, with a text that says what to do."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch", reason="parity tests need torch")


def leaf(lib):
    return lib.ones(3, requires_grad=True)


def mid(lib):
    return leaf(lib) * 1


def _second(lib):
    y = (leaf(lib) ** 2).sum()
    y.backward()
    y.backward()


def _second_of_a_graph_that_saved_nothing(lib):
    x = leaf(lib)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad.tolist()


def _saved_input_written(lib):
    y = mid(lib)
    z = y * y
    y.add_(1)
    z.sum().backward()


def _saved_output_written(lib):
    y = leaf(lib).exp()
    y.add_(1)
    y.sum().backward()


def _saved_leaf_written_in_no_grad(lib):
    x = leaf(lib)
    y = (x * x).sum()
    with lib.no_grad():
        x.add_(1)
    y.backward()


def _saved_through_a_view(lib):
    y = mid(lib)
    z = y * y
    y[1:].zero_()
    z.sum().backward()


def _no_grad_view(lib):
    y = mid(lib)
    with lib.no_grad():
        v = y[1:]
    v.add_(1)


def _inference(lib):
    with lib.inference_mode():
        return lib.ones(3)


def _view_made_in_inference_mode(lib):
    y = mid(lib)
    with lib.inference_mode():
        v = y[1:]
    v.add_(1)


def _hooked(lib, hook, on=mid):
    y = on(lib)
    y.register_hook(hook)
    y.sum().backward()


def _node_hooked(lib, hook):
    y = mid(lib)
    y.grad_fn.register_hook(hook)
    y.sum().backward()


def _node_prehooked(lib, hook):
    y = mid(lib)
    y.grad_fn.register_prehook(hook)
    y.sum().backward()


def _post_hook_returns(lib):
    x = leaf(lib)
    x.register_post_accumulate_grad_hook(lambda t: 3)
    x.sum().backward()


def _set(target, name, value):
    setattr(target, name, value)


def _own_grad(lib):
    x = leaf(lib)
    x.grad = x


def _two(lib):
    x = leaf(lib)
    return x, [x * 1, x * 2]


def _delete_grad(lib):
    x = leaf(lib)
    x.sum().backward()
    del x.grad
    return x.grad


def _new_data(lib, value):
    x = leaf(lib)
    x.data = value
    return tuple(x.shape), str(x.dtype)


def _edge(lib):
    x = leaf(lib)
    y = x * 2
    return x, y, lib.autograd.graph.get_gradient_edge(y)


def _backward_from_an_edge(lib):
    x, _, edge = _edge(lib)
    lib.autograd.backward(edge, lib.ones(3))
    return x.grad.tolist()


def _grad_of_an_edge(lib):
    _, y, edge = _edge(lib)
    return lib.autograd.grad((y * 3).sum(), edge)[0].tolist()


def _backward_with_edges_as_inputs(lib):
    x = leaf(lib)
    (x * 3).sum().backward(inputs=[lib.autograd.graph.get_gradient_edge(x)])
    return x.grad.tolist()


def _pack_in_place(lib):
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t.mul_(2), lambda t: t):
        mid(lib) * mid(lib)


def _unpack_no_tensor(lib):
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = (leaf(lib) * leaf(lib)).sum()
    y.backward()


def _hooks_inside_disabled(lib):
    with lib.autograd.graph.disable_saved_tensors_hooks("no"):
        with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass


def _disabled_inside_hooks(lib):
    with lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        with lib.autograd.graph.disable_saved_tensors_hooks("no"):
            pass


CASES = {
    "no grad_fn": lambda lib: lib.ones(()).backward(),
    "no grad_fn, grad": lambda lib: lib.autograd.grad(lib.ones(()), leaf(lib)),
    "argmax": lambda lib: leaf(lib).argmax().backward(),
    "backward of an int": lambda lib: lib.autograd.backward(3),
    "backward of nothing": lambda lib: lib.autograd.backward([]),
    "not a scalar": lambda lib: mid(lib).backward(),
    "not a scalar, grad": lambda lib: lib.autograd.grad(mid(lib), leaf(lib)),
    "complex scalar": lambda lib: (lib.ones((), dtype=lib.complex64, requires_grad=True) * 2).backward(),
    "empty": lambda lib: (lib.ones(0, requires_grad=True) * 2).backward(),
    "one element": lambda lib: (lib.ones(1, 1, requires_grad=True) * 2).backward(),
    "second backward": _second,
    "second backward, nothing saved": _second_of_a_graph_that_saved_nothing,
    "saved input written": _saved_input_written,
    "saved output written": _saved_output_written,
    "saved leaf written": _saved_leaf_written_in_no_grad,
    "saved tensor written through a view": _saved_through_a_view,
    "leaf in place": lambda lib: leaf(lib).add_(1),
    "view of leaf in place": lambda lib: leaf(lib)[1:].add_(1),
    "leaf setitem": lambda lib: _set_item(leaf(lib)),
    "unbind in place": lambda lib: mid(lib).unbind()[0].add_(1),
    "split in place": lambda lib: mid(lib).split(1)[0].mul_(2),
    "chunk in place": lambda lib: mid(lib).chunk(2)[0].mul_(2),
    "no_grad view in place": _no_grad_view,
    "inference tensor in place": lambda lib: _inference(lib).add_(1),
    "inference tensor saved": lambda lib: leaf(lib) * _inference(lib),
    "inference tensor requires_grad": lambda lib: _inference(lib).requires_grad_(),
    "inference tensor version": lambda lib: _inference(lib)._version,
    "inference view in place": _view_made_in_inference_mode,
    "int requires_grad_": lambda lib: lib.ones(2, dtype=lib.int64).requires_grad_(),
    "int requires_grad": lambda lib: _set(lib.ones(2, dtype=lib.int64), "requires_grad", True),
    "int created": lambda lib: lib.ones(2, dtype=lib.int64, requires_grad=True),
    "int tensor": lambda lib: lib.tensor([1], requires_grad=True),
    "requires_grad_(False) of a result": lambda lib: mid(lib).requires_grad_(False),
    "requires_grad=False of a result": lambda lib: _set(mid(lib), "requires_grad", False),
    "requires_grad_() of a result": lambda lib: mid(lib).requires_grad_().is_leaf,
    "requires_grad no bool": lambda lib: _set(leaf(lib), "requires_grad", "a"),
    "grad of another shape": lambda lib: _set(leaf(lib), "grad", lib.ones(2)),
    "grad of another dtype": lambda lib: _set(leaf(lib), "grad", lib.ones(3, dtype=lib.float64)),
    "grad of another device": lambda lib: _set(leaf(lib), "grad", lib.ones(3, device="meta")),
    "grad no tensor": lambda lib: _set(leaf(lib), "grad", 3),
    "grad an array": lambda lib: _set(leaf(lib), "grad", np.ones(3)),
    "grad itself": _own_grad,
    "deepcopy of a result": lambda lib: copy.deepcopy(mid(lib)),
    "deepcopy of a leaf": lambda lib: copy.deepcopy(leaf(lib)).requires_grad,
    "numpy": lambda lib: leaf(lib).numpy(),
    "numpy of a result": lambda lib: mid(lib).numpy(),
    "asarray": lambda lib: np.asarray(leaf(lib)),
    "hook returns an int": lambda lib: _hooked(lib, lambda g: 3),
    "hook changes the shape": lambda lib: _hooked(lib, lambda g: g[:1]),
    "hook changes the dtype": lambda lib: _hooked(lib, lambda g: g.double()),
    "leaf hook returns an int": lambda lib: _hooked(lib, lambda g: 3, leaf),
    "leaf hook changes the shape": lambda lib: _hooked(lib, lambda g: g[:1], leaf),
    "hook without grad": lambda lib: lib.ones(2).register_hook(print),
    "post hook on a result": lambda lib: mid(lib).register_post_accumulate_grad_hook(print),
    "post hook without grad": lambda lib: lib.ones(2).register_post_accumulate_grad_hook(print),
    "post hook returns": _post_hook_returns,
    "retain_grad without grad": lambda lib: lib.ones(2).retain_grad(),
    "node hook count": lambda lib: _node_hooked(lib, lambda gi, go: (gi[0],)),
    "node hook type": lambda lib: _node_hooked(lib, lambda gi, go: (3, None)),
    "node hook shape": lambda lib: _node_hooked(lib, lambda gi, go: (gi[0][:1], None)),
    "prehook count": lambda lib: _node_prehooked(lib, lambda go: ()),
    "prehook type": lambda lib: _node_prehooked(lib, lambda go: (3,)),
    "gradient shape": lambda lib: mid(lib).backward(lib.ones(2)),
    "gradient that would broadcast": lambda lib: mid(lib).backward(lib.ones(1)),
    "gradient no tensor": lambda lib: mid(lib).backward(3),
    "gradient complex": lambda lib: mid(lib).backward(lib.ones(3, dtype=lib.complex64)),
    "gradient device": lambda lib: mid(lib).backward(lib.ones(3, device="meta")),
    "gradient double": lambda lib: mid(lib).backward(lib.ones(3, dtype=lib.float64)),
    "gradient int": lambda lib: mid(lib).backward(lib.ones(3, dtype=lib.int64)),
    "too few gradients": lambda lib: lib.autograd.backward(_two(lib)[1], [lib.ones(3)]),
    "too few gradients, grad": lambda lib: lib.autograd.grad(_two(lib)[1], leaf(lib), [lib.ones(3)]),
    "unused": lambda lib: lib.autograd.grad(leaf(lib).sum(), leaf(lib)),
    "unused allowed": lambda lib: lib.autograd.grad(leaf(lib).sum(), leaf(lib), allow_unused=True),
    "unused as zeros": lambda lib: lib.autograd.grad(leaf(lib).sum(), leaf(lib), materialize_grads=True)[0].tolist(),
    "unused as zeros but not allowed": lambda lib: lib.autograd.grad(
        leaf(lib).sum(), leaf(lib), materialize_grads=True, allow_unused=False
    ),
    "input without grad": lambda lib: lib.autograd.grad(leaf(lib).sum(), lib.ones(2)),
    "input an int": lambda lib: lib.autograd.grad(leaf(lib).sum(), 3),
    "no inputs": lambda lib: lib.autograd.grad(leaf(lib).sum(), []),
    "backward, no inputs": lambda lib: leaf(lib).sum().backward(inputs=[]),
    "backward, unused input": lambda lib: leaf(lib).sum().backward(inputs=[leaf(lib)]),
    "backward, input without grad": lambda lib: leaf(lib).sum().backward(inputs=[lib.ones(2)]),
    "grad_variables": lambda lib: lib.autograd.backward(mid(lib), grad_variables=lib.ones(3)),
    "only_inputs": lambda lib: lib.autograd.grad(leaf(lib).sum(), leaf(lib), only_inputs=False),
    "create_graph": lambda lib: (leaf(lib) ** 2).sum().backward(create_graph=True),
    "create_graph, function": lambda lib: lib.autograd.backward((leaf(lib) ** 2).sum(), create_graph=True),
    "grad of a result": lambda lib: mid(lib).grad,
    "float of a leaf": lambda lib: float(leaf(lib).sum()),
    "item of several": lambda lib: leaf(lib).item(),
    "bool of several": lambda lib: bool(leaf(lib)),
    "out= with grad": lambda lib: lib.add(leaf(lib), leaf(lib), out=lib.ones(3)),
    "out= requires grad": lambda lib: lib.add(lib.ones(3), lib.ones(3), out=leaf(lib)),
    "float index": lambda lib: lib.ones(3)[1.5],
    "data no tensor": lambda lib: _new_data(lib, 3),
    "data of another shape": lambda lib: _new_data(lib, lib.zeros(5)),
    "data int": lambda lib: _new_data(lib, lib.zeros(5, dtype=lib.int64)),
    "data double": lambda lib: _new_data(lib, lib.zeros(5, dtype=lib.float64)),
    "data meta": lambda lib: _new_data(lib, lib.zeros(5, device="meta")),
    "detach_ of a view": lambda lib: mid(lib)[1:].detach_(),
    "resize_ of a leaf": lambda lib: leaf(lib).resize_(2),
    "resize_ of a result": lambda lib: mid(lib).resize_(2),
    "float into int": lambda lib: lib.ones(3, dtype=lib.int64).add_(leaf(lib)),
    "growing in place": lambda lib: lib.ones(2).add_(lib.ones(3, 2)),
    "expanded in place": lambda lib: lib.ones(1).expand(3).add_(1),
    "edge without grad": lambda lib: lib.autograd.graph.get_gradient_edge(lib.ones(2)),
    "multi hook mode": lambda lib: lib.autograd.graph.register_multi_grad_hook([leaf(lib)], print, mode="x"),
    "set_grad_enabled no bool": lambda lib: lib.set_grad_enabled("a"),
    "batched gradient": lambda lib: lib.autograd.grad(mid(lib), leaf(lib), lib.ones(2), is_grads_batched=True),
    "del grad": _delete_grad,
    "backward from an edge": _backward_from_an_edge,
    "grad of an edge": _grad_of_an_edge,
    "edges as inputs": _backward_with_edges_as_inputs,
    "pack hook in place": _pack_in_place,
    "unpack hook no tensor": _unpack_no_tensor,
    "hooks inside disabled": _hooks_inside_disabled,
    "disabled inside hooks": _disabled_inside_hooks,
}


def _set_item(x):
    x[0] = 1.0


def run(case, lib):
    """("ok", result), or the type of the error or warning and its text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return "ok", str(case(lib))
        except (Exception, Warning) as error:  # noqa: BLE001
            return type(error).__name__, str(error)


@pytest.fixture(autouse=True)
def warn_always():
    """torch shows some warnings once per process; here they must come each time."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.parametrize("name", CASES)
def test_same_type_as_torch(name):
    ours, theirs = run(CASES[name], rushlight), run(CASES[name], torch)
    assert ours[0] == theirs[0], f"{ours} but torch {theirs}"
    if ours[0] == "ok":
        assert ours[1] == theirs[1]
    else:
        assert len(ours[1]) > 15 or ours[1] == theirs[1]


# What our texts add to torch's: the operation, the place, the cure.
SAID = {
    "no grad_fn": "requires_grad=True",
    "argmax": "argmax",
    "not a scalar": r"shape \[3\].*\.sum\(\)\.backward\(\)",
    "second backward": "retain_graph=True",
    "saved input written": r"test_errors\.py, line \d+",
    "saved leaf written": r"MulBackward0.*test_errors\.py, line \d+",
    "saved output written": "ExpBackward0",
    "leaf in place": r"add_: .*no_grad",
    "view of leaf in place": r"clone\(\) the leaf",
    "split in place": "Output 0 of Split",
    "no_grad view in place": "both",
    "inference tensor saved": r"clone\(\)",
    "int requires_grad_": r"torch\.int64.*x\.float\(\)",
    "gradient shape": r"torch\.Size\(\[2\]\).*torch\.Size\(\[3\]\)",
    "unused": "allow_unused=True",
    "hook returns an int": "lambda",
    "float into int": "out-of-place",
    "growing in place": "out-of-place",
    "deepcopy of a result": "MulBackward0",
    "numpy": r"detach\(\)",
}


@pytest.mark.parametrize("name", SAID)
def test_the_text_helps(name):
    with pytest.raises((RuntimeError, TypeError), match=f"(?s){SAID[name]}"):
        CASES[name](rushlight)


def test_the_line_of_the_write_is_the_users():
    y = mid(rushlight)
    z = y * y
    y.add_(1)  # this line
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.endswith("# this line"))
    assert f"line {line}" in str(caught.value)
