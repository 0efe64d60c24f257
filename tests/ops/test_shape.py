"""Joining, repeating, reordering, triangles and diagonals against torch."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch", reason="parity tests need torch")


def a(t, *shape, dtype="float64", start=0):
    count = int(np.prod(shape)) if shape else 1
    found = (t.arange(count, dtype=t.float64).reshape(shape) + start).to(getattr(t, dtype)).clone()
    return found.requires_grad_() if found.is_floating_point() or found.is_complex() else found


CASES = {
    "cat": lambda t: t.cat([a(t, 2, 3), a(t, 1, 3)]),
    "cat dim": lambda t: t.cat((a(t, 2, 3), a(t, 2, 1)), dim=-1),
    "cat one": lambda t: t.cat([a(t, 2, 3)]),
    "cat promoted": lambda t: t.cat([a(t, 2, dtype="float32"), a(t, 2, dtype="int64"), a(t, 2)]),
    "cat bool": lambda t: t.cat([a(t, 2, dtype="bool"), a(t, 2, dtype="int32")]),
    "cat legacy empty": lambda t: t.cat([t.zeros(0, dtype=t.float64), a(t, 2, 3)]),
    "cat empties": lambda t: t.cat([a(t, 0, 3), a(t, 2, 3)]),
    "cat nothing": lambda t: t.cat([]),
    "cat zero-dim": lambda t: t.cat([a(t), a(t)]),
    "cat sizes": lambda t: t.cat([a(t, 2, 3), a(t, 2, 4)]),
    "cat ranks": lambda t: t.cat([a(t, 2, 3), a(t, 2)]),
    "cat range": lambda t: t.cat([a(t, 2, 3)], 2),
    "cat tensor": lambda t: t.cat(a(t, 2, 3)),
    "cat numbers": lambda t: t.cat([1, 2]),
    "concat": lambda t: t.concat([a(t, 2), a(t, 1)]),
    "concatenate": lambda t: t.concatenate([a(t, 2), a(t, 1)], 0),
    "stack": lambda t: t.stack([a(t, 2, 3), a(t, 2, 3)]),
    "stack dim": lambda t: t.stack([a(t, 2, 3), a(t, 2, 3)], -1),
    "stack zero-dim": lambda t: t.stack([a(t), a(t)]),
    "stack nothing": lambda t: t.stack([]),
    "stack sizes": lambda t: t.stack([a(t, 2), a(t, 3)]),
    "stack range": lambda t: t.stack([a(t, 2)], 3),
    "hstack": lambda t: t.hstack([a(t, 2, 3), a(t, 2, 1)]),
    "hstack vectors": lambda t: t.hstack([a(t, 2), a(t, 1), a(t)]),
    "vstack": lambda t: t.vstack([a(t, 3), a(t, 2, 3)]),
    "row_stack": lambda t: t.row_stack([a(t, 3), a(t, 2, 3)]),
    "dstack": lambda t: t.dstack([a(t, 2), a(t, 2)]),
    "column_stack": lambda t: t.column_stack([a(t, 2), a(t, 2, 2), a(t, 2)]),
    "atleast_1d": lambda t: t.atleast_1d(a(t)),
    "atleast_2d": lambda t: t.atleast_2d(a(t, 3)),
    "atleast_3d": lambda t: t.atleast_3d(a(t, 3)),
    "atleast_3d matrix": lambda t: t.atleast_3d(a(t, 3, 2)),
    "atleast several": lambda t: t.atleast_2d(a(t), a(t, 2)),
    "repeat": lambda t: a(t, 2, 3).repeat(2, 1),
    "repeat more": lambda t: a(t, 2).repeat(3, 2),
    "repeat tuple": lambda t: a(t, 2).repeat((2,)),
    "repeat zero": lambda t: a(t, 2).repeat(0),
    "repeat zero-dim": lambda t: a(t).repeat(2, 2),
    "repeat fewer": lambda t: a(t, 2, 3).repeat(2),
    "repeat negative": lambda t: a(t, 2).repeat(-1),
    "tile": lambda t: t.tile(a(t, 2, 3), (2,)),
    "tile more": lambda t: a(t, 2).tile(2, 2),
    "repeat_interleave": lambda t: a(t, 2, 3).repeat_interleave(2),
    "repeat_interleave dim": lambda t: t.repeat_interleave(a(t, 2, 3), 2, dim=1),
    "repeat_interleave tensor": lambda t: a(t, 2, 3).repeat_interleave(t.tensor([1, 2]), dim=0),
    "repeat_interleave one": lambda t: a(t, 2, 3).repeat_interleave(t.tensor([2]), dim=0),
    "repeat_interleave counts": lambda t: t.repeat_interleave(t.tensor([1, 0, 2])),
    "repeat_interleave negative": lambda t: a(t, 2).repeat_interleave(-1),
    "repeat_interleave size": lambda t: a(t, 2).repeat_interleave(t.tensor([1, 2, 3]), dim=0),
    "repeat_interleave float": lambda t: a(t, 2).repeat_interleave(t.ones(2), dim=0),
    "flip": lambda t: a(t, 2, 3).flip(0),
    "flip both": lambda t: t.flip(a(t, 2, 3), (0, -1)),
    "flip twice": lambda t: a(t, 2, 3).flip(0, 0),
    "flip range": lambda t: a(t, 2, 3).flip(2),
    "fliplr": lambda t: t.fliplr(a(t, 2, 3)),
    "fliplr vector": lambda t: t.fliplr(a(t, 2)),
    "flipud": lambda t: a(t, 2).flipud(),
    "flipud zero-dim": lambda t: a(t).flipud(),
    "roll": lambda t: a(t, 2, 3).roll(1),
    "roll dim": lambda t: t.roll(a(t, 2, 3), -4, 1),
    "roll dims": lambda t: a(t, 2, 3).roll((1, 2), (0, 1)),
    "roll empty": lambda t: a(t, 0).roll(1),
    "roll mismatch": lambda t: a(t, 2, 3).roll((1, 2), (0,)),
    "rot90": lambda t: t.rot90(a(t, 2, 3)),
    "rot90 three": lambda t: a(t, 2, 3).rot90(3),
    "rot90 two": lambda t: a(t, 2, 3).rot90(2),
    "rot90 none": lambda t: a(t, 2, 3).rot90(4),
    "rot90 dims": lambda t: a(t, 2, 3, 2).rot90(-1, (1, 2)),
    "rot90 same": lambda t: a(t, 2, 3).rot90(1, (0, 0)),
    "tril": lambda t: t.tril(a(t, 3, 4)),
    "tril diagonal": lambda t: a(t, 3, 4).tril(-1),
    "tril batch": lambda t: a(t, 2, 3, 3).tril(1),
    "tril vector": lambda t: a(t, 3).tril(),
    "triu": lambda t: a(t, 3, 4).triu(1),
    "triu int": lambda t: a(t, 3, 4, dtype="int64").triu(),
    "tril_": lambda t: (a(t, 3, 3) * 1).tril_(),
    "triu_": lambda t: (a(t, 3, 3) * 1).triu_(1),
    "diag": lambda t: t.diag(a(t, 3)),
    "diag offset": lambda t: a(t, 3).diag(-1),
    "diag of": lambda t: a(t, 3, 4).diag(1),
    "diag three": lambda t: a(t, 2, 2, 2).diag(),
    "diag_embed": lambda t: a(t, 2, 3).diag_embed(),
    "diag_embed offset": lambda t: t.diag_embed(a(t, 2, 3), 1, 0, 2),
    "diag_embed same": lambda t: a(t, 2, 3).diag_embed(0, 1, 1),
    "diagflat": lambda t: t.diagflat(a(t, 2, 2)),
    "trace": lambda t: a(t, 3, 4).trace(),
    "trace batch": lambda t: a(t, 3, 4, 4).trace(),
    "block_diag": lambda t: t.block_diag(a(t, 2, 3), a(t, 2), a(t)),
    "select_scatter": lambda t: a(t, 3, 4).select_scatter(a(t, 4, start=50), 0, -1),
    "select_scatter shape": lambda t: a(t, 3, 4).select_scatter(a(t, 3), 0, 1),
    "slice_scatter": lambda t: t.slice_scatter(a(t, 4, 3), a(t, 2, 3, start=50), 0, 1, 3),
    "slice_scatter step": lambda t: a(t, 4, 3).slice_scatter(a(t, 2, 3, start=50), 0, 0, None, 2),
    "diagonal_scatter": lambda t: a(t, 3, 3).diagonal_scatter(a(t, 2, start=50), 1),
    "vander": lambda t: t.vander(a(t, 3).detach()),
    "vander increasing": lambda t: t.vander(a(t, 3).detach(), 4, increasing=True),
}  # fmt: skip


def outcome(function, lib):
    leaves = []
    original = lib.Tensor.requires_grad_

    def noted(self, *args):
        leaves.append(self)
        return original(self, *args)

    lib.Tensor.requires_grad_ = noted
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = function(lib)
    except Exception as error:  # noqa: BLE001
        return type(error).__name__, str(error)
    finally:
        lib.Tensor.requires_grad_ = original
    outs = found if isinstance(found, tuple) else (found,)
    facts = [(tuple(o.shape), str(o.dtype), o.tolist(), o.requires_grad) for o in outs]
    names = [type(o.grad_fn).__name__ for o in outs]
    if outs[0].requires_grad:
        weights = lib.arange(outs[0].numel(), dtype=lib.float64).reshape(outs[0].shape)
        sum((o * o).sum() for o in outs[1:]) if len(outs) > 1 else None
        (outs[0] * outs[0] * weights).sum().backward()
    return "ok", (facts, names, [None if leaf.grad is None else leaf.grad.tolist() for leaf in leaves])


# torch composes these of other operations than we do; what they print was looked at once.
OTHER_NAMES = {"block_diag", "rot90", "rot90 three", "rot90 dims", "rot90 none", "tile", "tile more"}


@pytest.mark.parametrize("name", CASES)
def test_same_as_torch(name):
    ours, theirs = outcome(CASES[name], rl), outcome(CASES[name], torch)
    assert ours[0] == theirs[0], f"{ours}\ntorch: {theirs}"
    if ours[0] == "ok":
        assert ours[1][0] == theirs[1][0]
        assert ours[1][2] == theirs[1][2]
        if name not in OTHER_NAMES:
            assert ours[1][1] == theirs[1][1]


@pytest.mark.parametrize("name", ["cat", "stack", "hstack", "vstack", "dstack", "tril", "triu", "diag"])
def test_out(name):
    found = []
    for lib in (rl, torch):
        x, out = lib.arange(4.0).reshape(2, 2), lib.empty(0)
        argument = [x, x] if "st" in name or name == "cat" else x
        assert getattr(lib, name)(argument, out=out) is out
        found.append((tuple(out.shape), out.tolist()))
    assert found[0] == found[1]


def test_results_are_copies():
    x = rl.zeros(2, 2)
    for y in (rl.cat([x]), rl.stack([x]), x.repeat(1, 1), x.flip(0), x.roll(0), x.tril(), x.rot90(4), x.diag()):
        y += 1
    assert not x.any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int8", "uint8", "bool", "complex64"])
def test_dtypes(dtype):
    results = []
    for lib in (rl, torch):
        x = lib.arange(6).reshape(2, 3).to(getattr(lib, dtype))
        outs = [lib.cat([x, x]), lib.stack([x, x]), x.repeat(2, 1), x.flip(0), x.roll(1, 1), x.tril(), x.diag(), x.repeat_interleave(2)]
        results.append([(str(o.dtype), o.tolist()) for o in outs])
    assert results[0] == results[1]


@pytest.mark.parametrize("joined", [
    "torch.cat((t, t), 1)", "torch.cat((t, t.contiguous()), 1)", "torch.cat((t.contiguous(), t), 0)", "torch.stack((t, t), 1)",
    "torch.stack((t, t), 0)", "torch.stack((t, t.contiguous(), t), 2)", "torch.stack((t, t), -1)",
])  # fmt: skip
@pytest.mark.parametrize("given", [
    "torch.rand(5, 4).t()", "torch.rand(2, 3, 4, 5).transpose(1, 2).transpose(1, 3)", "torch.rand(2, 4, 3, 5).transpose(1, 2)",
    "torch.rand(2, 3, 4, 6)[..., ::2]",
])  # fmt: skip
def test_layouts_of_what_is_joined(same_program, given, joined):
    same_program(f"t = {given}; u = {joined}; (u.shape, u.stride())")


@pytest.mark.parametrize("dim", range(4))
def test_layouts_of_joined_images(same_program, dim):
    images = "t = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last); "
    for joined in ("cat((t, t), {})", "cat((t, t.contiguous()), {})", "stack((t, t), {})", "stack((t.contiguous(), t), {})"):
        same_program(f"{images}u = torch.{joined.format(dim)}; (u.shape, u.stride())")
