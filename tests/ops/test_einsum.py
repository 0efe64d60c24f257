"""einsum against torch: every kind of equation, values, gradients, errors."""

from __future__ import annotations

import random

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def outcome(lib, equation, shapes, dtype=np.float64):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s) + (1j * rng.standard_normal(s) if dtype == np.complex128 else 0) for s in shapes]
    inputs = [lib.tensor(np.asarray(v, dtype), requires_grad=True) for v in values]
    try:
        y = lib.einsum(equation, *inputs)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, str(error)
    (y * y).sum().abs().backward()
    return "ok", [y.detach().numpy(), *[x.grad.numpy() for x in inputs]]


def same(equation, *shapes, dtype=np.float64):
    ours, theirs = (outcome(lib, equation, shapes, dtype) for lib in (rl, torch))
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"
    if ours[0] == "ok":
        for a, b in zip(ours[1], theirs[1], strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


CASES = [
    ("i->i", (3,)), ("i->", (3,)), ("i", (3,)), ("ij->ji", (2, 3)), ("ij", (2, 3)), ("ji", (2, 3)), ("ii", (3, 3)), ("ii->i", (3, 3)),
    ("iij->ij", (3, 3, 2)), ("iji->j", (3, 2, 3)), ("i,i->", (3,), (3,)), ("i,i->i", (3,), (3,)), ("i,j->ij", (3,), (2,)),
    ("i,j->ji", (3,), (2,)), ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ij,kj->ik", (2, 3), (4, 3)),
    ("bij,bjk->bik", (2, 2, 3), (2, 3, 4)), ("bij,jk->bik", (2, 2, 3), (3, 4)), ("bij,bj->bi", (2, 2, 3), (2, 3)),
    ("ij,ij->", (2, 3), (2, 3)), ("ij,ij->ij", (2, 3), (2, 3)), ("ij,j->i", (2, 3), (3,)), ("ij,i->ij", (2, 3), (2,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,ij,j->", (2,), (2, 3), (3,)), ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("bhqk,bhkd->bqhd", (2, 2, 3, 5), (2, 2, 5, 4)), ("...ij->...ji", (2, 3, 4)), ("...i,...i->...", (2, 3), (2, 3)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (5, 3, 4)), ("...,...", (2, 3), (3,)), ("i...->...i", (2, 3, 4)), ("i...->...", (2, 3, 4)),
    ("...i->i", (2, 3, 4)), ("ij...,jk...->ik...", (2, 3, 2), (3, 4, 2)), ("...", (2, 3)), ("->", ()), (",->", (), ()), (",i->i", (), (3,)),
    ("ij, jk -> ik", (2, 3), (3, 4)), ("Ab,bC->AC", (2, 3), (3, 4)), ("ba", (2, 3)), ("bA", (2, 3)), ("ij,ij->i", (2, 3), (1, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)), ("ab,ab->ab", (2, 1), (1, 3)), ("i,i,i->i", (3,), (3,), (3,)), ("ij,jk->ik", (0, 3), (3, 2)),
    ("ij,jk->ik", (2, 0), (0, 2)), ("ijk,jil,kl->il", (2, 3, 2), (3, 2, 4), (2, 4)), ("abc,abc,ab->c", (2, 3, 2), (2, 3, 2), (2, 3)),
]  # fmt: skip

WRONG = [
    ("ij->ik", (2, 3)), ("ij->ii", (2, 3)), ("ij", (2,)), ("ij,jk->ik", (2, 3)), ("ij->ij", (2, 3), (3,)), ("ij,jk->ik", (2, 3), (4, 5)),
    ("i.j->ij", (2, 3)), ("i1->i", (2, 3)), ("ii->i", (2, 3)), ("...i...", (2, 3)), ("i->i->i", (2,)), ("ij->i...", (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_as_torch(case):
    same(*case)


@pytest.mark.parametrize("case", [c for c in CASES if len(c) == 3][:12], ids=str)
def test_complex(case):
    same(*case, dtype=np.complex128)


@pytest.mark.parametrize("case", WRONG, ids=str)
def test_errors(case):
    ours, theirs = (outcome(lib, case[0], case[1:]) for lib in (rl, torch))
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"


def test_random_equations():
    rng = random.Random(1)
    for _ in range(150):
        sizes = {letter: rng.randint(1, 3) for letter in "abcde"}
        terms = ["".join(rng.sample("abcde", rng.randint(1, 3))) for _ in range(rng.randint(1, 3))]
        letters = sorted(set("".join(terms)))
        out = "".join(rng.sample(letters, rng.randint(0, len(letters))))
        shapes = [tuple(sizes[letter] for letter in term) for term in terms]
        same(f"{','.join(terms)}->{out}", *shapes)


def test_other_forms():
    for lib in (rl, torch):
        x, y = lib.arange(6.0).reshape(2, 3), lib.arange(12.0).reshape(3, 4)
        expected = (x @ y).tolist()
        assert lib.einsum("ij,jk->ik", [x, y]).tolist() == expected
        assert lib.einsum(x, [0, 1], y, [1, 2], [0, 2]).tolist() == expected
        assert lib.einsum(x, [0, 1], y, [1, 2]).tolist() == expected
        assert lib.einsum(x, [..., 0], [0, ...]).tolist() == x.t().tolist()
    with pytest.raises(ValueError):
        rl.einsum("i->i")
