"""Sorting, the k largest, and binary search against torch."""

import numpy as np
import pytest

import rushlight as rl

SETUP = (
    "x = torch.tensor([[.3, .7, .1], [.2, -.9, .95]], requires_grad=True); f = x.detach(); i = torch.tensor([3, 1, 2, 3]); "
    "n = torch.tensor([1., float('nan'), -1., float('inf')]); s = torch.tensor([1., 2., 2., 5.]); "
)


@pytest.mark.parametrize(
    "program",
    [
        "x.sort()", "x.sort(0, descending=True)", "i.sort(stable=True)", "i.sort(descending=True, stable=True)",
        "f.sort(stable=True, dim=0)",
        "n.sort()", "n.sort(descending=True)", "f.sort(axis=0)", "f.sort(4)", "torch.tensor(1.).sort()", "torch.empty(0).sort()",
        "torch.sort(f, 1, out=(torch.empty(0), torch.empty(0, dtype=torch.int64)))", "f.argsort()", "f.argsort(0, True)",
        "torch.argsort(i, stable=True)", "torch.argsort(i, dim=0, descending=True, stable=True)", "x.msort()", "f.bfloat16().sort()",
        "torch.tensor([True, False, True]).sort(stable=True)", "x.topk(2)", "f.topk(1, 0)",
        "f.topk(2, largest=False)", "f.topk(5)", "f.topk(0)", "n.topk(2)", "f.topk(1, axis=0)", "torch.tensor(1.).topk(1)", "f.topk(-1)",
        "torch.searchsorted(s, 2.)", "torch.searchsorted(s, torch.tensor([0., 2., 6.]))",
        "torch.searchsorted(s, torch.tensor([2.]), right=True)",
        "torch.searchsorted(s, torch.tensor([2.]), side='right')", "torch.searchsorted(s, s, side='left', right=True)",
        "torch.searchsorted(s, s, side='foo')", "torch.searchsorted(s, s, out_int32=True)", "torch.searchsorted(s, i)",
        "torch.searchsorted(f.sort()[0], f)", "torch.searchsorted(f.sort()[0], torch.ones(3, 2))",
        "torch.searchsorted(torch.tensor([5., 1., 2.]), torch.tensor([1.5]), sorter=torch.tensor([1, 2, 0]))",
        "torch.bucketize(f, s)", "torch.bucketize(2, s)", "torch.bucketize(2, s, right=True)", "torch.bucketize(f, f)",
        "torch.bucketize(i, torch.tensor([1, 3]), out_int32=True)",
    ],
)  # fmt: skip
def test_as_torch(program, same_program):
    same_program(SETUP + program)


def test_equal_elements_keep_their_order():
    keys = rl.tensor(np.random.default_rng(0).integers(0, 5, 1000))
    for descending in (False, True):
        values, indices = keys.sort(descending=descending)
        order = np.argsort(-keys.numpy() if descending else keys.numpy(), kind="stable")
        assert indices.tolist() == order.tolist()
        assert values.tolist() == keys.numpy()[order].tolist()


@pytest.mark.parametrize("size", [10, 1000])
def test_topk_of_many(size):
    data = np.random.default_rng(1).permutation(size).astype(np.float32).reshape(1, size).repeat(3, 0)
    values, indices = rl.tensor(data).topk(5)
    assert values.tolist() == [sorted(row, reverse=True)[:5] for row in data.tolist()]
    assert np.take_along_axis(data, indices.numpy(), 1).tolist() == values.tolist()
    assert rl.tensor(data).topk(5, largest=False).values.tolist() == [sorted(row)[:5] for row in data.tolist()]


def test_indices_carry_no_gradient():
    values, indices = rl.tensor([3.0, 1.0], requires_grad=True).sort()
    assert values.requires_grad and not indices.requires_grad
