"""`autograd.Function`: the ctx, every rule of torch's about outputs and gradients, views and in-place, double backward."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest

import rushlight as rl
from rushlight.autograd.function import once_differentiable

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


def define(lib, forward, backward=None, **more):
    """A Function class of one of the libraries."""
    members = {"forward": staticmethod(forward), **more}
    if backward is not None:
        members["backward"] = staticmethod(backward)
    return type("Mine", (lib.autograd.Function,), members)


def outcome(action):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return "ok", action()
        except (Exception, Warning) as error:  # noqa: BLE001
            return type(error).__name__, None


def same(scenario):
    ours, theirs = (outcome(lambda lib=lib: scenario(lib)) for lib in (rl, torch))
    assert ours == theirs
    return ours


@both
def test_cube(lib):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x**2

    cube = define(lib, forward, backward)
    x = lib.tensor([2.0, 3.0], requires_grad=True)
    y = cube.apply(x)
    assert type(y.grad_fn).__name__ == "MineBackward"
    assert repr(y.grad_fn).startswith("<torch.autograd.function.MineBackward object at 0x")
    assert "grad_fn=<MineBackward>" in repr(y)
    assert isinstance(y.grad_fn, lib.autograd.graph.Node)
    assert y.grad_fn.name() == "MineBackward"
    (first,) = lib.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = lib.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = lib.autograd.grad(second.sum(), x)
    assert [t.tolist() for t in (first, second, third)] == [[12.0, 27.0], [12.0, 18.0], [6.0, 6.0]]


@both
def test_setup_context(lib):
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(x, factor=3.0):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.factor = inputs
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            assert y.grad_fn is not None
            return g * ctx.factor, None

    x = lib.ones(2, requires_grad=True)
    Scale.apply(x).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    Scale.apply(x, factor=5.0).sum().backward()
    assert x.grad.tolist() == [8.0, 8.0]


@both
def test_vjp_is_another_name_for_backward(lib):
    f = define(lib, lambda ctx, x: x * 1, vjp=staticmethod(lambda ctx, g: g * 7))
    x = lib.ones(1, requires_grad=True)
    f.apply(x).backward()
    assert x.grad.tolist() == [7.0]
    g = define(lib, lambda ctx, x: x * 1, lambda ctx, g: g, vjp=staticmethod(lambda ctx, g: g))
    with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
        g.apply(x).backward()


def ctx_facts(lib):
    seen = []

    def forward(ctx, x, y, n, flag):
        seen.append((ctx.needs_input_grad, ctx.saved_tensors))
        ctx.n = n
        ctx.nothing = None
        ctx.save_for_backward(x, None, y)
        return x * n + y

    def backward(ctx, g):
        x, none, y = ctx.saved_tensors
        seen.append((ctx.needs_input_grad, ctx.n, ctx.nothing, none, x.tolist(), y.tolist(), ctx.name()))
        return g * ctx.n, None, None, None

    f = define(lib, forward, backward)
    x, y = lib.ones(2, requires_grad=True), lib.ones(2)
    z = f.apply(x, y, 3, flag="a")
    seen.append(len(z.grad_fn.next_functions))
    seen.append(z.grad_fn.n)
    z.sum().backward()
    with lib.no_grad():
        seen.append(f.apply(x, y, 3, "a").requires_grad)
    seen.append(f.apply(y, y, 3, "a").requires_grad)
    return seen


def test_what_ctx_knows():
    same(ctx_facts)


@pytest.mark.parametrize("name", ["op", "saved", "edges", "needs", "hooks", "metas", "function", "run", "versions", "origin", "variable"])
def test_any_attribute_name_is_the_users(name):
    def forward(ctx, x):
        setattr(ctx, name, 5)
        return x * 1

    f = define(rl, forward, lambda ctx, g: g * getattr(ctx, name))
    x = rl.ones(1, requires_grad=True)
    f.apply(x).backward()
    assert x.grad.tolist() == [5.0]


def test_a_missing_attribute_is_named():
    f = define(rl, lambda ctx, x: x * 1, lambda ctx, g: g * ctx.factor)
    with pytest.raises(AttributeError, match="no attribute 'factor'.*forward"):
        f.apply(rl.ones(1, requires_grad=True)).backward()


OUTPUTS = {
    "tensor": lambda x: x * 2,
    "tuple": lambda x: (x * 2, x * 3),
    "one": lambda x: (x * 2,),
    "mixed": lambda x: (x * 2, 3, "text", None, x > 0),
    "int": lambda x: x.argmax(),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name):
    def scenario(lib):
        f = define(lib, lambda ctx, x: OUTPUTS[name](x), lambda ctx, *gs: gs[0])
        x = lib.ones(2, requires_grad=True)
        found = f.apply(x)
        kind = type(found).__name__
        parts = found if isinstance(found, (tuple, list)) else (found,)
        facts = [(type(p).__name__, getattr(p, "requires_grad", p), type(getattr(p, "grad_fn", None)).__name__) for p in parts]
        first = parts[0]
        if first.requires_grad:
            first.sum().backward()
        return kind, facts, None if x.grad is None else x.grad.tolist()

    same(scenario)


def test_lists_are_as_good_as_tuples():
    """torch loses the history of tensors in a list that forward returns, silently; here they have it."""
    f = define(rl, lambda ctx, x: [x * 2, x * 3], lambda ctx, a, b: [a * 2 + b * 3])
    x = rl.ones(2, requires_grad=True)
    out = f.apply(x)
    assert isinstance(out, list)
    (out[0] + out[1]).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


@pytest.mark.parametrize("materialize", [True, False])
def test_materialized_cotangents(materialize):
    def scenario(lib):
        seen = []

        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            flags = x > 0
            plain = x * 5
            ctx.mark_non_differentiable(plain)
            return x * 2, x * 3, flags, plain, 7

        def backward(ctx, *gs):
            seen.append([g if g is None else (g.tolist(), str(g.dtype)) for g in gs])
            return gs[0]

        out = define(lib, forward, backward).apply(lib.ones(2, requires_grad=True))
        seen.append([getattr(t, "requires_grad", None) for t in out])
        out[0].sum().backward()
        return seen

    same(scenario)


def test_a_function_without_any_cotangent_gets_zeros():
    def scenario(lib):
        seen = []
        stop = define(lib, lambda ctx, x: x * 1, lambda ctx, g: None)
        spy = define(lib, lambda ctx, x: x * 1, lambda ctx, g: (seen.append(g.tolist()), g)[1])
        x = lib.ones(2, requires_grad=True)
        stop.apply(spy.apply(x)).sum().backward()
        return seen, x.grad.tolist()

    same(scenario)


WRONG = {
    "too few": (lambda ctx, x, y: x * y, lambda ctx, g: g),
    "too many": (lambda ctx, x, y: x * y, lambda ctx, g: (g, g, g)),
    "extra None": (lambda ctx, x, y: x * y, lambda ctx, g: (g, g, None, None)),
    "no tensor": (lambda ctx, x, y: x * y, lambda ctx, g: (3, g)),
    "wrong shape": (lambda ctx, x, y: x * y, lambda ctx, g: (g[:1], g[:2])),
    "to be summed": (lambda ctx, x, y: x * y, lambda ctx, g: (g.expand(4, 3), g)),
    "to be cast": (lambda ctx, x, y: x * y, lambda ctx, g: (g.double(), g)),
    "other device": (lambda ctx, x, y: x * y, lambda ctx, g: (g.to("meta"), g)),
    "saves a number": (lambda ctx, x, y: (ctx.save_for_backward(3), x * y)[1], lambda ctx, g: (g, g)),
    "non differentiable number": (lambda ctx, x, y: (ctx.mark_non_differentiable(3), x * y)[1], lambda ctx, g: (g, g)),
    "dirty number": (lambda ctx, x, y: (ctx.mark_dirty(3), x * y)[1], lambda ctx, g: (g, g)),
    "no backward": (lambda ctx, x, y: x * y, None),
    "dirty but not returned": (lambda ctx, x, y: (x.mul_(2), ctx.mark_dirty(x), x * y)[2], lambda ctx, g: (g, g)),
    "dirty output": (lambda ctx, x, y: (lambda z: (ctx.mark_dirty(z), z)[1])(x * y), lambda ctx, g: (g, g)),
    "dirty": (lambda ctx, x, y: (x.mul_(2), ctx.mark_dirty(x), x)[2], lambda ctx, g: (g * 2, None)),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes(name):
    forward, backward = WRONG[name]

    def scenario(lib):
        x, y = (lib.ones(3, requires_grad=True) for _ in range(2))
        define(lib, forward, backward).apply(x * 1, y).sum().backward()
        return x.grad.tolist(), None if y.grad is None else y.grad.tolist()

    same(scenario)


def test_a_gradient_for_what_is_no_tensor():
    def scenario(lib):
        define(lib, lambda ctx, x, n: x * n, lambda ctx, g: (g, g)).apply(lib.ones(1, requires_grad=True), 2).backward()

    assert same(scenario)[0] == "RuntimeError"


@both
def test_forward_must_be_implemented_and_classes_are_not_called(lib):
    empty = type("Empty", (lib.autograd.Function,), {})
    with pytest.raises(NotImplementedError, match="forward"):
        empty.apply(lib.ones(1))
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = empty()
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        instance(lib.ones(1))


def in_place(lib):
    log = []

    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    double = define(lib, forward, lambda ctx, g: g * 2)
    leaf = lib.ones(3, requires_grad=True)
    x = leaf * 1
    y = double.apply(x)
    log.append((y is x, x._version, type(x.grad_fn).__name__))
    x.sum().backward()
    log.append(leaf.grad.tolist())
    base = leaf * 1
    view = base[:2]
    out = double.apply(view)
    log.append((out is view, base._version, type(base.grad_fn).__name__, type(view.grad_fn).__name__))
    (base * lib.tensor([1.0, 2.0, 3.0])).sum().backward()
    log.append(leaf.grad.tolist())
    for bad in (lambda: double.apply(leaf), lambda: double.apply(leaf[:2]), lambda: double.apply((leaf * 1).unbind()[0])):
        log.append(outcome(bad)[0])
    plain = lib.ones(3)
    log.append((double.apply(plain) is plain, plain.tolist(), plain.requires_grad))
    return log


def test_in_place_functions():
    same(in_place)


def test_in_place_on_a_view_that_is_not_the_first_argument():
    def scenario(lib):
        f = define(
            lib,
            lambda ctx, w, x: (x.mul_(2), ctx.mark_dirty(x), ctx.save_for_backward(w), x)[3],
            lambda ctx, g: (g * 0 + 5, g * 2),
        )
        w, leaf = lib.ones(2, requires_grad=True), lib.ones(3, requires_grad=True)
        base = leaf * 1
        f.apply(w, base[:2])
        base.sum().backward()
        return leaf.grad.tolist()

    assert outcome(lambda: scenario(rl)) == ("ok", [2.0, 2.0, 1.0])


def test_several_outputs_beside_a_dirty_view():
    def scenario(lib):
        f = define(lib, lambda ctx, x: (x.mul_(2), ctx.mark_dirty(x), (x, x * 3))[2], lambda ctx, a, b: a * 2)
        y = lib.ones(3, requires_grad=True) * 1
        f.apply(y[:2])

    assert same(scenario)[0] == "RuntimeError"


def handed_through(lib):
    log = []
    same_tensor = define(lib, lambda ctx, x: x, lambda ctx, g: g * 5)
    viewed = define(lib, lambda ctx, x: x.view(2, 2), lambda ctx, g: g.view(4) * 5)
    leaf = lib.ones(4, requires_grad=True)
    for f in (same_tensor, viewed):
        y = leaf * 2
        out = f.apply(y)
        log.append((out is y, out.data_ptr() == y.data_ptr(), out._is_view(), type(out.grad_fn).__name__))
        log.append(outcome(lambda out=out: out.add_(1))[0])
        out.sum().backward()
        log.append(leaf.grad.tolist())
        y.add_(1)
        log.append(outcome(lambda out=out: out.grad_fn)[0])
    plain = lib.ones(4)
    log.append((same_tensor.apply(plain) is plain, same_tensor.apply(plain).requires_grad))
    with lib.no_grad():
        log.append(same_tensor.apply(leaf).requires_grad)
    log.append(same_tensor.apply(leaf).requires_grad)
    return log


def test_inputs_and_views_of_them_as_outputs():
    same(handed_through)


@both
def test_saved_tensors_after_the_pass(lib):
    f = define(lib, lambda ctx, x: (ctx.save_for_backward(x), x * 1)[1], lambda ctx, g: g * ctx.saved_tensors[0])
    x = lib.ones(2, requires_grad=True)
    y = f.apply(x)
    assert y.grad_fn.saved_tensors[0] is x or y.grad_fn.saved_tensors[0].data_ptr() == x.data_ptr()
    y.sum().backward()
    for use in (lambda: y.sum().backward(), lambda: y.grad_fn.saved_tensors):
        with pytest.raises(RuntimeError, match="second time"):
            use()


@both
def test_saved_tensors_are_checked_for_writes(lib):
    f = define(lib, lambda ctx, x: (ctx.save_for_backward(x), x * 1)[1], lambda ctx, g: g * ctx.saved_tensors[0])
    x = lib.ones(2, requires_grad=True) * 1
    y = f.apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@both
def test_once_differentiable(lib):
    decorate = once_differentiable if lib is rl else torch.autograd.function.once_differentiable
    f = define(lib, lambda ctx, x: x * 1, decorate(lambda ctx, g: g * 2))
    x = lib.ones(2, requires_grad=True)
    f.apply(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    (g,) = lib.autograd.grad(f.apply(x).pow(2).sum(), x, create_graph=True)
    assert g.requires_grad
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        g.sum().backward()


@both
def test_double_backward_through_saved_outputs_and_inner_functions(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            return Exp.times.apply(g, ctx.saved_tensors[0])

    class Times(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b, g * a

    Exp.times = Times
    x = lib.tensor([0.5, 1.0], dtype=lib.float64, requires_grad=True)
    value = Exp.apply(x).sum()
    for _ in range(3):
        (value,) = (g.sum() for g in lib.autograd.grad(value, x, create_graph=True))
    np.testing.assert_allclose(value.item(), np.exp([0.5, 1.0]).sum())


@both
def test_grad_mode_inside(lib):
    seen = []

    def forward(ctx, x):
        seen.append(lib.is_grad_enabled())
        with lib.enable_grad():
            inner = x.detach().requires_grad_()
            ctx.inner, ctx.out = inner, inner**2
        return ctx.out.detach()

    def backward(ctx, g):
        seen.append(lib.is_grad_enabled())
        return lib.autograd.grad(ctx.out, ctx.inner, g)[0]

    f = define(lib, forward, backward)
    x = lib.tensor([3.0], requires_grad=True)
    f.apply(x).backward()
    lib.autograd.grad(f.apply(x), x, create_graph=True)
    assert x.grad.tolist() == [6.0] and seen == [False, False, False, True]


@both
def test_subclasses_and_inheritance(lib):
    class Base(lib.autograd.Function):
        factor = 2

        @staticmethod
        def forward(ctx, x):
            return x * 1

        @classmethod
        def call(cls, x):
            return cls.apply(x)

    class Derived(Base):
        @staticmethod
        def backward(ctx, g):
            return g * 4

    x = lib.ones(1, requires_grad=True)
    y = Derived.call(x)
    assert type(y.grad_fn).__name__ == "DerivedBackward"
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_nothing_is_kept_alive():
    gc.collect()
    gc.disable()
    try:
        f = define(rl, lambda ctx, x: (ctx.save_for_backward(x), setattr(ctx, "note", 1), x * 1)[2], lambda ctx, g: g)
        y = f.apply(rl.ones(2, requires_grad=True))
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_jvp_says_that_it_is_missing():
    f = define(rl, lambda ctx, x: x, lambda ctx, g: g)
    with pytest.raises(NotImplementedError, match="forward mode"):
        f.jvp(None, None)
