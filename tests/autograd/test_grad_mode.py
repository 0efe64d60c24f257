"""no_grad, enable_grad, set_grad_enabled, inference_mode: as blocks, decorators, on generators, in threads."""

from __future__ import annotations

import threading

import pytest

import rushlight as rl
from rushlight.core.modes import STATE, local

torch = pytest.importorskip("torch", reason="parity tests need torch")

both = pytest.mark.parametrize("lib", [rl, torch], ids=["rushlight", "torch"])


@pytest.fixture(autouse=True)
def modes_are_left():
    assert len(STATE.busy) == 0
    yield
    assert len(STATE.busy) == 0 and local.modes.grad and not local.modes.inference


def recorded(lib):
    """What the mode does to a computation."""
    x = lib.ones(1, requires_grad=True)
    y = x * 2
    return y.requires_grad, lib.is_grad_enabled(), lib.is_inference_mode_enabled(), y.is_inference()


BLOCKS = {
    "no_grad": lambda lib: lib.no_grad(),
    "enable_grad": lambda lib: lib.enable_grad(),
    "set_grad_enabled(False)": lambda lib: lib.set_grad_enabled(False),
    "set_grad_enabled(True)": lambda lib: lib.set_grad_enabled(True),
    "inference_mode": lambda lib: lib.inference_mode(),
    "inference_mode(False)": lambda lib: lib.inference_mode(False),
}


@pytest.mark.parametrize("outer", BLOCKS)
@pytest.mark.parametrize("inner", BLOCKS)
def test_nested_blocks(outer, inner):
    results = []
    for lib in (rl, torch):
        found = []
        with BLOCKS[outer](lib):
            found.append(recorded(lib))
            with BLOCKS[inner](lib):
                found.append(recorded(lib))
            found.append(recorded(lib))
        found.append(recorded(lib))
        results.append(found)
    assert results[0] == results[1]


@pytest.mark.parametrize("name", BLOCKS)
@both
def test_left_when_the_block_raises(name, lib):
    with pytest.raises(ZeroDivisionError), BLOCKS[name](lib):
        raise ZeroDivisionError
    assert recorded(lib) == (True, True, False, False)


@pytest.mark.parametrize("name", BLOCKS)
def test_decorator(name):
    results = []
    for lib in (rl, torch):

        def documented(lib=lib):
            """Text."""
            return recorded(lib)

        wrapped = BLOCKS[name](lib)(documented)
        assert wrapped.__name__ == "documented" and wrapped.__doc__ == "Text."
        results.append((wrapped(), recorded(lib), wrapped()))
    assert results[0] == results[1]


@both
def test_decorator_without_parentheses(lib):
    @lib.no_grad
    def one():
        return recorded(lib)

    @lib.inference_mode
    def two():
        return recorded(lib)

    @lib.enable_grad
    def three():
        return recorded(lib)

    assert one()[:3] == (False, False, False)
    assert two()[:3] == (False, False, True)
    with lib.no_grad():
        assert three()[0]


@both
def test_methods(lib):
    class Model:
        @lib.no_grad()
        def predict(self, factor=2):
            return recorded(lib)[0], factor

    assert Model().predict(factor=3) == (False, 3)


@both
def test_recursion(lib):
    @lib.no_grad()
    def down(n):
        return [lib.is_grad_enabled()] + (down(n - 1) if n else [])

    assert down(3) == [False] * 4
    assert lib.is_grad_enabled()


@both
def test_classes_are_decorated_with_a_warning(lib):
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @lib.no_grad()
        class Thing:
            def __init__(self):
                self.inside = lib.is_grad_enabled()

            def method(self):
                return lib.is_grad_enabled()

    assert not Thing().inside and Thing().method()


@both
def test_set_grad_enabled_as_a_function(lib):
    lib.set_grad_enabled(False)
    try:
        assert recorded(lib)[0] is False
    finally:
        lib.set_grad_enabled(True)
    switch = lib.set_grad_enabled(True)
    assert repr(switch).endswith("set_grad_enabled(mode=True)") or lib is torch


@both
def test_generators_hold_the_mode_only_while_they_run(lib):
    seen = []

    @lib.no_grad()
    def numbers():
        for i in range(3):
            seen.append(lib.is_grad_enabled())
            got = yield i
            seen.append(got)
        return "end"

    running = numbers()
    assert next(running) == 0 and lib.is_grad_enabled()
    assert running.send("a") == 1 and lib.is_grad_enabled()
    with lib.enable_grad():
        assert next(running) == 2
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == "end"
    assert seen == [False, "a", False, None, False, None]


@both
def test_generators_throw_and_close(lib):
    seen = []

    @lib.no_grad()
    def careful():
        try:
            while True:
                try:
                    yield lib.is_grad_enabled()
                except KeyError:
                    seen.append(("caught", lib.is_grad_enabled()))
        finally:
            seen.append(("closed", lib.is_grad_enabled()))

    running = careful()
    next(running)
    assert running.throw(KeyError()) is False
    running.close()
    assert seen == [("caught", False), ("closed", False)]
    assert lib.is_grad_enabled()


@both
def test_creation_inside(lib):
    with lib.no_grad():
        x = lib.ones(2, requires_grad=True)
        assert x.requires_grad and not (x * 2).requires_grad
    assert (x * 2).requires_grad


@both
def test_inference_tensors(lib):
    x = lib.ones(2, requires_grad=True)
    with lib.inference_mode():
        made = lib.ones(2)
        view_of_made, view_of_normal = made[:1], x[:1]
        made.add_(1)
        x.add_(1)
        leaf = lib.ones(2).requires_grad_()
    assert made.is_inference() and view_of_made.is_inference() and not view_of_normal.is_inference()
    assert made.detach().is_inference() and not made.clone().is_inference() and not (made + 1).is_inference()
    assert not view_of_made._is_view() and view_of_normal._is_view()
    assert (x + made).requires_grad  # nothing is saved
    assert leaf.requires_grad and (leaf * 2).requires_grad
    with lib.inference_mode():
        made.mul_(2)
    assert made.tolist() == [4.0, 4.0]


def test_a_thread_never_sees_the_mode_of_another():
    """torch's rule: a thread starts recording, whatever its parent does; rushlight counts threads that do not."""
    found = {}
    inside, leave = threading.Event(), threading.Event()

    def quiet():
        with rl.no_grad():
            inside.set()
            leave.wait(10)
            found["quiet"] = recorded(rl)

    def started_inside():
        found["child"] = recorded(rl)

    thread = threading.Thread(target=quiet)
    thread.start()
    inside.wait(10)
    assert len(STATE.busy) == 1
    found["main"] = recorded(rl)
    with rl.inference_mode():
        child = threading.Thread(target=started_inside)
        child.start()
        child.join()
        assert len(STATE.busy) == 2
    leave.set()
    thread.join()
    assert found["main"] == found["child"] == (True, True, False, False)
    assert found["quiet"] == (False, False, False, False)


def test_a_thread_that_ends_inside_a_mode_is_not_counted_for_ever():
    thread = threading.Thread(target=lambda: rl.set_grad_enabled(False))
    thread.start()
    thread.join()
    assert len(STATE.busy) == 0 and rl.is_grad_enabled()


def test_many_threads_switching():
    errors = []

    def work(n):
        for i in range(200):
            with rl.set_grad_enabled(i % 2 == 0):
                if recorded(rl)[0] != (i % 2 == 0):
                    errors.append((n, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(STATE.busy) == 0


@both
def test_no_grad_views_are_leaves_without_an_edge(lib):
    x = lib.ones(4, requires_grad=True)
    with lib.no_grad():
        view = x[1:]
    assert view.requires_grad and view.is_leaf and view.grad_fn is None
    y = view * 2
    assert y.requires_grad and y.grad_fn.next_functions[0] == (None, 0)
    y.sum().backward()
    assert view.grad is None and x.grad is None
