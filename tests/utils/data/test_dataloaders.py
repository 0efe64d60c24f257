"""DataLoaders: the loaders of a training run under one name."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.utils.data import DataLoader, DataLoaders, IterableDataset, TensorDataset


def dataset(n=20):
    return TensorDataset(rl.arange(n, dtype=rl.float32).reshape(n, 1), rl.arange(n))


def test_loaders_by_name_and_place():
    train, valid, test = DataLoader(dataset(6), 2), [([1], [2])], (3, 4)
    data = DataLoaders(train, valid, test)
    assert data.train is train is data[0] and data.valid is valid is data[1] and data[2] is test
    assert len(data) == 3 and list(data) == [train, valid, test] and data.train_ds is train.dataset
    x, y = data.one_batch()
    assert x.tolist() == [[0.0], [1.0]] and y.tolist() == [0, 1]
    only = DataLoaders([5])
    assert only.one_batch() == 5
    with pytest.raises(AttributeError, match="no validation loader"):
        only.valid  # noqa: B018


def test_what_is_not_a_loader():
    with pytest.raises(TypeError, match="at least one loader"):
        DataLoaders()
    with pytest.raises(TypeError, match="loader 1 of DataLoaders is int, which is not an iterable"):
        DataLoaders([1], 3)
    for once in ((b for b in [1]), iter([1])):
        with pytest.raises(TypeError, match="can be read only once"):
            DataLoaders(once)
    with pytest.raises(ValueError, match="no batches"):
        DataLoaders([]).one_batch()


def test_from_dataset():
    data = DataLoaders.from_dataset(dataset(), valid=0.25, batch_size=4, seed=3)
    assert (len(data.train_ds), len(data.valid_ds)) == (15, 5) and len(data.train) == 4
    orders = [[ys.tolist() for _, ys in data.train] for _ in range(2)]
    seen = sorted(y.item() for loader in data for _, ys in loader for y in ys)
    assert seen == list(range(20))
    assert orders[0] != orders[1] and [ys.tolist() for _, ys in data.valid] == [ys.tolist() for _, ys in data.valid]
    rl.manual_seed(9)
    again = DataLoaders.from_dataset(dataset(), valid=0.25, batch_size=4, seed=3)
    assert [[ys.tolist() for _, ys in again.train] for _ in range(2)] == orders
    assert again.valid_ds.indices == data.valid_ds.indices
    drawn = rl.rand(2).tolist()
    rl.manual_seed(9)
    assert rl.rand(2).tolist() == drawn


def test_valid_by_number_or_indices():
    assert len(DataLoaders.from_dataset(dataset(), valid=3).valid_ds) == 3
    data = DataLoaders.from_dataset(dataset(), valid=[4, 2], batch_size=8)
    assert next(iter(data.valid))[1].tolist() == [4, 2] and 4 not in data.train_ds.indices and len(data.train_ds) == 18
    for valid in (0.0, 1.0, 0, 20, 0.001):
        with pytest.raises(ValueError, match="both need at least one"):
            DataLoaders.from_dataset(dataset(), valid=valid)
    for valid in ([], [20], range(20)):
        with pytest.raises(ValueError, match="indices of some, not all"):
            DataLoaders.from_dataset(dataset(), valid=valid)


def test_from_datasets_and_options():
    data = DataLoaders.from_datasets(dataset(10), dataset(4), dataset(3), batch_size=4, valid_batch_size=2,
                                     drop_last=True, shuffle=False, collate_fn=len)
    assert [list(loader) for loader in data] == [[4, 4], [2, 2], [2, 1]]


def test_from_pairs():
    data = DataLoaders.from_pairs([(rl.full((2,), float(i)), i) for i in range(10)], valid=0.2, batch_size=3, seed=0)
    x, y = data.one_batch()
    assert x.shape == (3, 2) and x[:, 0].tolist() == y.tolist() and len(data.valid_ds) == 2
    assert len(DataLoaders.from_pairs(zip(range(5), range(5), strict=True), valid=1).train_ds) == 4
    with pytest.raises(TypeError, match="entry 0 is int"):
        DataLoaders.from_pairs([1, 2, 3])


def test_printed_form():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    data = DataLoaders(DataLoader(dataset(10), 4, shuffle=True), [1, 2], DataLoader(Stream(), None))
    assert repr(data) == (
        "DataLoaders (\n"
        "    train: 3 batches from 10 samples of TensorDataset, batch_size=4, shuffled\n"
        "    valid: 2 batches from list\n"
        "    [2]: batches from Stream\n)"
    )


def test_a_dataset_is_not_a_loader():
    dataset = TensorDataset(rl.zeros(4, 2), rl.zeros(4))
    with pytest.raises(TypeError, match=r"loader 1 .* single samples.*from_datasets"):
        DataLoaders([1], dataset)
