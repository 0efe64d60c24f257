"""The order of samples is torch's for the same seed."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.utils import data as ours

torch = pytest.importorskip("torch", reason="parity tests need torch")
theirs = torch.utils.data

N = 21


def seeded(library, seed=7):
    """A Generator."""
    generator = library.Generator()
    generator.manual_seed(seed)
    return generator


def flat(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    return [flat(v) for v in value] if isinstance(value, (list, tuple)) else value


ORDERS = {
    "shuffle": lambda m, lib: list(m.DataLoader(range(N), 4, shuffle=True)),
    "shuffle-generator": lambda m, lib: [list(loader) for loader in [
        m.DataLoader(range(N), 4, shuffle=True, generator=seeded(lib))] for _ in range(3)],
    "generator-without-shuffle": lambda m, lib: [
        (list(m.DataLoader(range(N), 4, generator=g)), lib.rand(2, generator=g)) for g in [seeded(lib)]],
    "several-epochs": lambda m, lib: [list(loader) for loader in [m.DataLoader(range(N), 5, True)] for _ in range(3)],
    "persistent": lambda m, lib: [list(loader) for loader in [m.DataLoader(range(N), 5, True)] for _ in range(2)],
    "interleaved": lambda m, lib: [
        (next(a), next(b), next(a)) for a, b in [[iter(m.DataLoader(range(N), 2, True)) for _ in range(2)]]],
    "sampler": lambda m, lib: list(m.DataLoader(range(N), 4, sampler=m.RandomSampler(range(N), True, 70))),
    "sampler-generator": lambda m, lib: list(
        m.DataLoader(range(N), 4, sampler=m.RandomSampler(range(N), generator=seeded(lib)))),
    "batch_size-None": lambda m, lib: list(m.DataLoader(range(N), None, shuffle=True)),
    "drop_last": lambda m, lib: list(m.DataLoader(range(N), 4, shuffle=True, drop_last=True)),
    "random": lambda m, lib: list(m.RandomSampler(range(N))),
    "random-more": lambda m, lib: list(m.RandomSampler(range(N), num_samples=50)),
    "random-fewer": lambda m, lib: list(m.RandomSampler(range(N), num_samples=3)),
    "replacement": lambda m, lib: list(m.RandomSampler(range(N), replacement=True)),
    "replacement-32": lambda m, lib: list(m.RandomSampler(range(N), replacement=True, num_samples=64)),
    "replacement-generator": lambda m, lib: list(m.RandomSampler(range(N), True, 100, generator=seeded(lib))),
    "subset": lambda m, lib: list(m.SubsetRandomSampler(range(5, 20))),
    "subset-generator": lambda m, lib: list(m.SubsetRandomSampler([3, 1, 4, 1, 5], generator=seeded(lib))),
    "weighted": lambda m, lib: list(m.WeightedRandomSampler([0.1, 3.0, 0.0, 1.5], 40)),
    "weighted-without": lambda m, lib: list(m.WeightedRandomSampler([0.1, 3.0, 0.2, 1.5], 4, replacement=False)),
    "weighted-generator": lambda m, lib: list(m.WeightedRandomSampler([0.1, 3.0], 9, generator=seeded(lib))),
    "batches": lambda m, lib: list(m.BatchSampler(m.RandomSampler(range(N)), 4, False)),
    "split": lambda m, lib: [part.indices for part in m.random_split(range(N), [10, 8, 3])],
    "split-fractions": lambda m, lib: [part.indices for part in m.random_split(range(N), [0.5, 0.3, 0.2])],
    "split-generator": lambda m, lib: [part.indices for part in m.random_split(range(N), [0.9, 0.1], seeded(lib))],
    "distributed": lambda m, lib: [list(m.DistributedSampler(range(N), 4, rank)) for rank in range(4)],
    "distributed-drop": lambda m, lib: [
        list(m.DistributedSampler(range(N), 4, rank, drop_last=True, seed=3)) for rank in range(4)],
    "distributed-few": lambda m, lib: [list(m.DistributedSampler(range(3), 8, rank, shuffle=False)) for rank in range(8)],
}


@pytest.mark.parametrize("name", ORDERS)
def test_order_equals_torchs(name):
    found = []
    for module, library in ((ours, rl), (theirs, torch)):
        library.manual_seed(3)
        # What is left of the stream afterwards must agree too.
        found.append((flat(ORDERS[name](module, library)), library.rand(3).tolist()))
    assert found[0] == found[1]


def test_batches_of_tensors_equal_torchs():
    def run(module, library):
        library.manual_seed(5)
        x = library.arange(N * 3, dtype=library.float32).reshape(N, 3).t().contiguous().t()
        dataset = module.TensorDataset(x, library.arange(N))
        part = module.random_split(dataset, [15, N - 15])[0]
        return [(flat(b), [str(t.dtype) for t in b], [t.stride() for t in b])
                for d in (dataset, part, module.ConcatDataset([dataset, part])) for b in module.DataLoader(d, 4, True)]

    assert run(ours, rl) == run(theirs, torch)


def test_order_does_not_depend_on_the_default_device(capsys):
    rl.manual_seed(3)
    expected = list(ours.RandomSampler(range(N)))
    split = [part.indices for part in ours.random_split(range(N), [N - 2, 2])]
    rl.set_default_device("mps")
    try:
        rl.manual_seed(3)
        assert list(ours.RandomSampler(range(N))) == expected
        assert [part.indices for part in ours.random_split(range(N), [N - 2, 2])] == split
        assert list(ours.WeightedRandomSampler([0.0, 1.0], 3)) == [1, 1, 1]
        dataset = ours.TensorDataset(rl.arange(6), rl.arange(6.0))
        x, y = next(iter(ours.DataLoader(dataset, 6, shuffle=True)))
        assert x.device.type == "mps" and x.float().tolist() == y.tolist()
        generator = rl.Generator(device="mps")
        generator.manual_seed(0)
        assert sorted(ours.SubsetRandomSampler(range(5), generator)) == list(range(5))
        assert sorted(list(ours.DataLoader(range(5), None, True, generator=generator))) == list(range(5))
    finally:
        rl.set_default_device("cpu")


def test_epochs_of_the_distributed_sampler():
    for library, module in ((rl, ours), (torch, theirs)):
        sampler = module.DistributedSampler(range(N), 2, 1)
        sampler.set_epoch(5)
        orders = list(sampler), len(sampler)
        if library is rl:
            mine = orders
    assert mine == orders


def test_workers_do_not_change_batches_or_draws():
    rl.manual_seed(1)
    plain = [flat(list(loader)) for loader in [ours.DataLoader(range(N), 4, True)] for _ in range(2)]
    rl.manual_seed(1)
    loader = ours.DataLoader(range(N), 4, True, num_workers=2, timeout=3, worker_init_fn=print)
    assert [flat(list(loader)) for _ in range(2)] == plain
    assert loader.prefetch_factor == 2 and loader.num_workers == 2 and ours.get_worker_info() is None


def test_persistent_workers_draw_one_base_seed():
    loader = ours.DataLoader(range(N), 4, True, num_workers=1, persistent_workers=True)
    rl.manual_seed(1)
    first, second = list(loader), list(loader)
    rl.manual_seed(1)
    rl.empty((), dtype=rl.int64).random_()
    order = [list(ours.RandomSampler(range(N))) for _ in range(2)]
    assert [i for b in first for i in flat(b)] == order[0] and [i for b in second for i in flat(b)] == order[1]
