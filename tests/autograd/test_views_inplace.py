"""Views and in-place writes against torch: random programs, and the cases that random programs rarely reach.

A program is a list of instructions on named tensors. Both libraries run it step by step; after each step everything a
user can see of every tensor is compared, and where one raises the other must raise the same type.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")

# Each instruction: (kind, function(lib, x, y)); `y` is another tensor of the program.
VIEWS = {
    "row": lambda lib, x, y: x[0],
    "last": lambda lib, x, y: x[-1],
    "tail": lambda lib, x, y: x[1:],
    "stepped": lambda lib, x, y: x[::2],
    "column": lambda lib, x, y: x[..., 0],
    "whole": lambda lib, x, y: x[...],
    "mT": lambda lib, x, y: x.transpose(0, -1),
    "flat": lambda lib, x, y: x.view(-1),
    "unsqueeze": lambda lib, x, y: x.unsqueeze(0),
    "squeeze": lambda lib, x, y: x.squeeze(),
    "narrow": lambda lib, x, y: x.narrow(0, 0, 1),
    "expand": lambda lib, x, y: x.unsqueeze(0).expand(2, *x.shape),
    "diagonal": lambda lib, x, y: x.diagonal(),
    "split": lambda lib, x, y: x.split(1)[-1],
    "chunk": lambda lib, x, y: x.chunk(2)[0],
    "unbind": lambda lib, x, y: x.unbind()[0],
    "detach": lambda lib, x, y: x.detach(),
    "alias": lambda lib, x, y: x.view_as(x),
    "permute": lambda lib, x, y: x.permute(*reversed(range(x.dim()))),
}
WRITES = {
    "mul_": lambda lib, x, y: x.mul_(1.5),
    "add_": lambda lib, x, y: x.add_(y),
    "mul_other": lambda lib, x, y: x.mul_(y),
    "sin_": lambda lib, x, y: x.sin_(),
    "exp_": lambda lib, x, y: x.mul_(0.1).exp_(),
    "copy_": lambda lib, x, y: x.copy_(y),
    "zero_": lambda lib, x, y: x.zero_(),
    "fill_": lambda lib, x, y: x.fill_(0.5),
    "setitem": lambda lib, x, y: x.__setitem__(0, 2.0),
    "setslice": lambda lib, x, y: x.__setitem__(slice(1, None), y[1:]),
    "iadd": lambda lib, x, y: x.__iadd__(1),
    "data": lambda lib, x, y: x.data.mul_(0.5),
    "detached": lambda lib, x, y: x.detach().add_(0.25),
    "requires": lambda lib, x, y: x.requires_grad_(),
    "index_put_": lambda lib, x, y: x.index_put_((lib.tensor([0]),), lib.tensor(0.5)),
    "masked_fill_": lambda lib, x, y: x.masked_fill_(x.detach() > 1, 0.3) if 0 not in x.stride() else x.add_(1),
}
READS = {
    "mul": lambda lib, x, y: x * y,
    "add": lambda lib, x, y: x + y,
    "sin": lambda lib, x, y: x.sin(),
    "clone": lambda lib, x, y: x.clone(),
    "sum": lambda lib, x, y: x.sum(),
    "square": lambda lib, x, y: x * x,
    "cat": lambda lib, x, y: lib.cat([x.reshape(-1), y.reshape(-1)])[:6].view(2, 3),
}
ALL = {**VIEWS, **WRITES, **READS}


def program(seed: int) -> list[tuple[str, int, int, bool]]:
    """(instruction, index of x, index of y, inside no_grad); indices are taken modulo the number of tensors."""
    rng = random.Random(seed)
    steps = []
    for _ in range(rng.randint(4, 14)):
        kind = rng.choices([VIEWS, WRITES, READS], weights=[4, 4, 2])[0]
        steps.append((rng.choice(list(kind)), rng.randrange(100), rng.randrange(100), rng.random() < 0.12))
    return steps


def start(lib, seed: int) -> list:
    values = np.random.default_rng(seed).uniform(0.5, 1.5, (4, 2, 3))
    leaf, other, plain, double = (lib.tensor(v) for v in values)
    leaf.requires_grad_()
    other.requires_grad_()
    return [leaf * 1, plain, leaf, other * other, double, other]


def attempt(action):
    try:
        return "ok", action()
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, str(error)


def outcome(action):
    """The result, or the type of the error."""
    kind, found = attempt(action)
    return found if kind == "ok" else kind


def seen(t) -> dict:
    """What a user can see of a tensor."""

    def name():
        return type(t.grad_fn).__name__

    return {
        "requires_grad": t.requires_grad,
        "is_leaf": outcome(lambda: t.is_leaf),
        "grad_fn": outcome(name),
        "version": t._version,
        "is_view": t._is_view(),
        "shape": tuple(t.shape),
        "values": [round(v, 9) for v in np.asarray(t.detach().tolist(), np.float64).reshape(-1).tolist()],
    }


def step(lib, tensors, instruction, i, j, off):
    x, y = tensors[i % len(tensors)], tensors[j % len(tensors)]
    if x is y and instruction in WRITES:  # x.mul_(x) can't be differentiated in torch, here it can
        y = tensors[(j + 1) % len(tensors)]
    with lib.set_grad_enabled(not off):
        return attempt(lambda: ALL[instruction](lib, x, y))


def gradients(lib, tensors):
    """First and second derivatives of the weighted sum of all that can be differentiated."""
    total = None
    for k, t in enumerate(tensors):
        term = outcome(lambda t=t, k=k: (t * (k + 1)).sum())
        if isinstance(term, lib.Tensor) and term.requires_grad:
            total = term if total is None else total + term
    if total is None:
        return "nothing", None
    leaves = [t for t in tensors if t.requires_grad and is_leaf(t) and t.grad_fn is None and has_edge(lib, t)]
    kind, first = attempt(lambda: lib.autograd.grad(total, leaves, create_graph=True, allow_unused=True))
    if kind != "ok":
        return kind, None
    live = [(g * g).sum() for g in first if g is not None and g.requires_grad]
    second = []
    if live:
        kind, second = attempt(lambda: lib.autograd.grad(sum(live[1:], live[0]), leaves, allow_unused=True))
        if kind != "ok":
            return f"second {kind}", None
    return "ok", [None if g is None else np.asarray(g.detach().tolist()) for g in (*first, *second)]


def has_edge(lib, t):
    """Whether a gradient can arrive at the leaf: not at a view that was made in no_grad."""
    return attempt(lambda: lib.autograd.graph.get_gradient_edge(t))[0] == "ok" and (t * 1).grad_fn.next_functions[0][0] is not None


def is_leaf(t):
    return outcome(lambda: t.is_leaf) is True


def compare(seed: int) -> None:
    steps = program(seed)
    pair = {lib: start(lib, seed) for lib in (rl, torch)}
    for number, (instruction, i, j, off) in enumerate(steps):
        results = {lib: step(lib, tensors, instruction, i, j, off) for lib, tensors in pair.items()}
        label = f"program {seed}, step {number}: {instruction} x={i % len(pair[rl])} y={j % len(pair[rl])}{' no_grad' if off else ''}"
        if results[torch][0] != "ok" and "single memory location" in results[torch][1]:
            return  # inputs that overlap what is written: rushlight reads them first
        if {results[rl][0], results[torch][0]} == {"IndexError", "RuntimeError"}:
            return  # two things are wrong with such a step; which is named first may differ
        assert results[rl][0] == results[torch][0], f"{label}: {results[rl]} but torch {results[torch]}\n{steps}"
        for lib, tensors in pair.items():
            found = results[lib][1]
            if isinstance(found, lib.Tensor) and found.numel() > 0 and not any(found is t for t in tensors):
                tensors.append(found)
        for k, (ours, theirs) in enumerate(zip(*pair.values(), strict=True)):
            assert seen(ours) == seen(theirs), f"{label}: tensor {k}\n{steps}"
    ours, theirs = gradients(rl, pair[rl]), gradients(torch, pair[torch])
    assert ours[0] == theirs[0], f"program {seed}: backward {ours[0]}, torch {theirs[0]}\n{steps}"
    if ours[0] == "ok":
        for a, b in zip(ours[1], theirs[1], strict=True):
            assert (a is None) == (b is None), f"program {seed}\n{steps}"
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=f"program {seed}\n{steps}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", range(10))
def test_random_programs(block):
    for seed in range(block * 60, block * 60 + 60):
        compare(seed)
