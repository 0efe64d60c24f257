"""DataLoader: its arguments, its length, iterable datasets."""

from __future__ import annotations

import pickle

import pytest

import rushlight as rl
from rushlight.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)


class Count(IterableDataset):
    def __init__(self, n, said=None):
        self.n = n
        self.said = n if said is None else said

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.said


def lists(loader):
    return [batch.tolist() for batch in loader]


def test_batches_and_lengths():
    loader = DataLoader(range(7), 3)
    assert lists(loader) == [[0, 1, 2], [3, 4, 5], [6]] and len(loader) == 3 and len(iter(loader)) == 3
    assert lists(loader) == lists(loader)
    dropped = DataLoader(range(7), 3, drop_last=True)
    assert lists(dropped) == [[0, 1, 2], [3, 4, 5]] and len(dropped) == 2
    assert list(DataLoader(range(3), None)) == [0, 1, 2] and len(DataLoader(range(3), None)) == 3
    assert lists(DataLoader(range(5))) == [[0], [1], [2], [3], [4]]


def test_samplers():
    assert lists(DataLoader(range(9), 2, sampler=[8, 7, 3])) == [[8, 7], [3]]
    loader = DataLoader(range(9), batch_sampler=[[1, 2], [3]])
    assert lists(loader) == [[1, 2], [3]] and len(loader) == 2 and loader.batch_size is None
    assert isinstance(DataLoader(range(3), shuffle=True).sampler, RandomSampler)
    assert isinstance(DataLoader(range(3)).sampler, SequentialSampler)
    assert isinstance(DataLoader(range(3)).batch_sampler, BatchSampler)
    assert sorted(i for b in lists(DataLoader(range(9), 4, shuffle=True)) for i in b) == list(range(9))


def test_iterable_datasets():
    loader = DataLoader(Count(5), 2)
    assert lists(loader) == [[0, 1], [2, 3], [4]] and len(loader) == 3
    assert lists(DataLoader(Count(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert len(DataLoader(Count(5), 2, drop_last=True)) == 2
    assert list(DataLoader(Count(3), None)) == [0, 1, 2] and len(DataLoader(Count(3), None)) == 3
    assert lists(DataLoader(Count(0), 2)) == []
    iterator = iter(loader)
    assert len(list(iterator)) == 3 and list(iterator) == []


def test_a_length_that_was_too_small():
    loader = DataLoader(Count(5, said=3), None)
    assert len(list(loader)) == 5
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3 .*, but [45] samples have been fetched"):
        list(loader)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified"),
        ({"num_workers": 1, "prefetch_factor": -2}, ValueError, "prefetch_factor option should be non-negative"),
        ({"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
        ({"sampler": [0], "shuffle": True}, ValueError, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option is mutually exclusive"),
        ({"batch_sampler": [[0]], "drop_last": True}, ValueError, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, ValueError, "disables auto-batching"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"batch_size": True}, ValueError, "batch_size should be a positive integer"),
        ({"drop_last": 1}, ValueError, "drop_last should be a boolean value"),
        ({"dataset": [], "shuffle": True}, ValueError, "num_samples=0; the data source is empty"),
        ({"dataset": Count(3), "shuffle": True}, ValueError, "expected unspecified shuffle option, but got shuffle=True"),
        ({"dataset": Count(3), "sampler": [1]}, ValueError, "expected unspecified sampler option"),
        ({"dataset": Count(3), "batch_sampler": [[1]]}, ValueError, "expected unspecified batch_sampler option"),
        ({"multiprocessing_context": "fork"}, ValueError, "can only be used with multi-process loading"),
        ({"num_workers": 1, "multiprocessing_context": "x"}, ValueError, "should specify a valid start method"),
        ({"num_workers": 1, "multiprocessing_context": 3}, TypeError, "should be a valid context object"),
    ],
)
def test_wrong_arguments(settings, error, message):
    with pytest.raises(error, match=message):
        DataLoader(**{"dataset": range(3), **settings})


def test_arguments_without_effect():
    loader = DataLoader(range(3), num_workers=1, pin_memory=True, pin_memory_device="cuda", in_order=False,
                        multiprocessing_context="spawn", prefetch_factor=3, worker_init_fn=print)
    assert lists(loader) == [[0], [1], [2]] and loader.worker_init_fn is print and loader.prefetch_factor == 3
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    with pytest.raises(AssertionError, match="timeout == 0, but got 5"):
        iter(DataLoader(range(3), timeout=5))


def test_attributes_are_fixed():
    loader = DataLoader(range(3))
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"):
            setattr(loader, name, None)
    loader.collate_fn = max
    assert list(loader) == [0, 1, 2]


def test_pickling():
    loader = pickle.loads(pickle.dumps(DataLoader(range(3), 2, shuffle=True)))
    assert sorted(i for b in lists(loader) for i in b) == [0, 1, 2]
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(loader))


def test_generic_annotations():
    assert DataLoader[int] is not None and Sampler[int] is not None and TensorDataset is not None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler(range(3), replacement=1), TypeError, "replacement should be a boolean"),
        (lambda: RandomSampler(range(3), num_samples=0), ValueError, "num_samples should be a positive"),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples should be a positive"),
        (lambda: WeightedRandomSampler([1.0], 1, replacement=2), ValueError, "replacement should be a boolean"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"1d sequence .* shape \(1, 1\)"),
        (lambda: DistributedSampler(range(3)), RuntimeError, "pass num_replicas and rank"),
        (lambda: DistributedSampler(range(3), 2, 2), ValueError, r"Invalid rank 2, rank should be in the interval \[0, 1\]"),
        (lambda: iter(Sampler()), NotImplementedError, "should implement __iter__"),
    ],
)
def test_wrong_sampler_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_sampler_lengths():
    data = [1, 2, 3]
    sampler = RandomSampler(data)
    data.append(4)
    assert len(sampler) == 4 and sorted(sampler) == [0, 1, 2, 3]
    assert len(SequentialSampler(data)) == 4 and len(SubsetRandomSampler([1, 2])) == 2
    assert len(WeightedRandomSampler([1.0], 5)) == 5 and len(BatchSampler(range(5), 2, False)) == 3
    assert len(BatchSampler(range(5), 2, True)) == 2
    assert len(DistributedSampler([], 2, 0)) == 0 and list(DistributedSampler([], 2, 0)) == []


def test_random_transforms_share_the_stream():
    class Noise:
        def __getitem__(self, index):
            return rl.rand(1).item()

        def __len__(self):
            return 4

    rl.manual_seed(0)
    first = lists(DataLoader(Noise(), 2))
    rl.manual_seed(0)
    assert lists(DataLoader(Noise(), 2)) == first
