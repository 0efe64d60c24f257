"""Datasets and what is made of them."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __getitem__(self, index):
        return index * index

    def __len__(self):
        return self.n


class Many(Squares):
    """Counts the calls of `__getitems__`."""

    calls = 0

    def __getitems__(self, indices):
        self.calls += 1
        return [self[i] for i in indices]


class Count(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def test_tensor_dataset():
    dataset = TensorDataset(rl.arange(6).reshape(3, 2), rl.arange(3))
    assert len(dataset) == 3 and [t.tolist() for t in dataset[1]] == [[2, 3], 1]
    assert [t.tolist() for t in dataset[1:]] == [[[2, 3], [4, 5]], [1, 2]]
    with pytest.raises(AssertionError, match=r"Size mismatch between tensors.*\[3, 2\]"):
        TensorDataset(rl.zeros(3), rl.zeros(2))
    with pytest.raises(ValueError, match="at least one tensor"):
        TensorDataset()


def test_stack_dataset():
    side = StackDataset(Squares(4), rl.arange(4))
    assert side[2] == (4, rl.tensor(2)) and len(side) == 4
    named = StackDataset(a=Many(4), b=Squares(4))
    assert named[3] == {"a": 9, "b": 9} and named.__getitems__([0, 2]) == [{"a": 0, "b": 0}, {"a": 4, "b": 4}]
    assert named.datasets["a"].calls == 1
    assert StackDataset(Many(3), Squares(3)).__getitems__([2, 1]) == [(4, 4), (1, 1)]
    for make, message in (
        (lambda: StackDataset(), "At least one dataset"),
        (lambda: StackDataset(Squares(2), Squares(3)), r"Size mismatch between datasets: .*\[2, 3\]"),
        (lambda: StackDataset(Squares(2), a=Squares(2)), "both types are given"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    broken = Many(3)
    broken.__class__ = type("Short", (Many,), {"__getitems__": lambda self, indices: []})
    with pytest.raises(ValueError, match="Expected 2, got 0"):
        StackDataset(broken).__getitems__([0, 1])


def test_concat_dataset():
    both = Squares(3) + Count_as_map(2)
    assert isinstance(both, ConcatDataset) and len(both) == 5 and both.cumulative_sizes == [3, 5]
    assert [both[i] for i in range(5)] == [0, 1, 4, 0, 10] and both[-1] == 10 and both[-5] == 0
    with pytest.raises(ValueError, match="should not exceed dataset length"):
        both[-6]
    with pytest.raises(IndexError, match="out of range"):
        both[5]
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Count(3)])


def Count_as_map(n):
    return [10 * i for i in range(n)]


def test_chain_dataset():
    chain = Count(2) + Count(3)
    assert isinstance(chain, ChainDataset) and list(chain) == [0, 1, 0, 1, 2] and len(chain) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset, but got Squares"):
        list(ChainDataset([Squares(2)]))


def test_subset():
    dataset = Many(10)
    part = Subset(dataset, [3, 5, 7])
    assert len(part) == 3 and part[1] == 25 and part.__getitems__([0, 2]) == [9, 49] and dataset.calls == 1
    nested = Subset(Subset(TensorDataset(rl.arange(10)), [9, 8, 7]), [2, 0])
    assert nested[[0, 1]][0].tolist() == [7, 9]
    with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
        type("Flipped", (Subset,), {"__getitem__": lambda self, i: 0})(dataset, [1])


def test_unfinished_classes_say_what_is_missing():
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]


def test_random_split():
    parts = random_split(range(10), [0.25, 0.25, 0.5])
    assert [len(part) for part in parts] == [3, 2, 5]
    assert sorted(i for part in parts for i in part) == list(range(10))
    with pytest.raises(ValueError, match="add up to 9, the dataset has 10"):
        random_split(range(10), [4, 5])
    with pytest.raises(ValueError, match="Fraction at index 1 is not between 0 and 1"):
        random_split(range(10), [0.7, -0.2, 0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(1), [0.9, 0.1])


def test_rows_of_tensor_datasets_equal_collated_samples():
    x, y = rl.rand(9, 2), rl.arange(9)
    plain = TensorDataset(x, y)
    part = Subset(Subset(plain, [8, 6, 4, 2, 0]), range(4))

    class Shifted(TensorDataset):
        def __getitem__(self, index):
            a, b = super().__getitem__(index)
            return a + 1, b

    for dataset in (plain, part):
        batches = list(DataLoader(dataset, 2))
        for indices, batch in zip(([0, 1], [2, 3]), batches, strict=False):
            assert batch[0].tolist() == [dataset[i][0].tolist() for i in indices]
            assert batch[1].tolist() == [dataset[i][1].item() for i in indices]
    for dataset in (Shifted(x, y), Subset(Shifted(x, y), range(9))):
        assert next(iter(DataLoader(dataset, 2)))[0].tolist() == (x[:2] + 1).tolist()
    w = rl.rand(4, 2, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(w), 2)))
    batch.sum().backward()
    assert w.grad.tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]
    batch = next(iter(DataLoader(plain, 3)))
    batch[0].zero_()
    assert x.tolist() == plain.tensors[0].tolist() and x.abs().sum() > 0
    with pytest.raises(IndexError):
        list(DataLoader(plain, 2, sampler=[0, 9]))
