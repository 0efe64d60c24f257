"""Datasets, samplers, collate functions, splits and loaders of one's own."""

import random

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

torch.manual_seed(9)
random.seed(9)


class Landmarks(Dataset):
    """Samples are dictionaries."""

    def __init__(self, count, transform=None):
        self.rng = np.random.RandomState(0)
        self.points = self.rng.rand(count, 4, 2)
        self.transform = transform

    def __len__(self):
        return len(self.points)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        sample = {"image": np.full((2, 2), idx, dtype=np.float32), "landmarks": self.points[idx], "name": f"face{idx}"}
        return self.transform(sample) if self.transform else sample


class ToTensor:
    def __call__(self, sample):
        sample["landmarks"] = torch.from_numpy(sample["landmarks"])
        return sample


dataset = Landmarks(7, ToTensor())
print(len(dataset), dataset[3])
for i, batch in enumerate(DataLoader(dataset, batch_size=4, shuffle=True)):
    print(i, batch["image"].size(), batch["landmarks"].dtype, batch["name"], batch["image"][:, 0, 0])

sequences = [torch.arange(n) + 1 for n in (3, 1, 4, 2)]


def collate(batch):
    tokens, labels = zip(*batch, strict=True)
    lengths = torch.tensor([len(t) for t in tokens])
    padded = torch.zeros(len(tokens), int(lengths.max()), dtype=torch.long)
    for row, sequence in zip(padded, tokens, strict=True):
        row[: len(sequence)] = sequence
    return padded, lengths, torch.tensor(labels)


for padded, lengths, labels in DataLoader(list(zip(sequences, [0, 1, 0, 1], strict=True)), batch_size=2, collate_fn=collate):
    print(padded, lengths, labels)


class EvenFirst(Sampler):
    def __init__(self, source):
        self.source = source

    def __iter__(self):
        yield from range(0, len(self.source), 2)
        yield from range(1, len(self.source), 2)

    def __len__(self):
        return len(self.source)


numbers = TensorDataset(torch.arange(10), torch.arange(10) ** 2)
print(numbers[3], numbers[2:4])
print([x.tolist() for x, _ in DataLoader(numbers, batch_size=3, sampler=EvenFirst(numbers))])
print([x.tolist() for x, _ in DataLoader(numbers, batch_size=4, drop_last=True)])
print([x.tolist() for x, _ in DataLoader(numbers, batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(1))])
print(list(BatchSampler(SequentialSampler(range(7)), batch_size=3, drop_last=False)))
print(list(RandomSampler(range(6))), list(RandomSampler(range(4), replacement=True, num_samples=6)))
print(list(WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 5, replacement=True)))
print(list(SubsetRandomSampler([1, 3, 5, 7])))
train, val = random_split(numbers, [7, 3])
print(train.indices, val.indices)
train, val = random_split(numbers, [0.8, 0.2], generator=torch.Generator().manual_seed(42))
print(len(train), val.indices, val[0])
both = ConcatDataset([train, val])
print(len(both), both[9], len(Subset(numbers, [0, 2])), numbers.tensors[1][-1])
added = train + val
print(type(added).__name__, added.cumulative_sizes)

# k-fold by hand.
indices = torch.randperm(len(numbers)).tolist()
for fold in range(3):
    held_out = indices[fold::3]
    rest = [i for i in indices if i not in held_out]
    train_loader = DataLoader(numbers, batch_size=4, sampler=SubsetRandomSampler(rest))
    val_loader = DataLoader(Subset(numbers, held_out), batch_size=4)
    print(fold, [x.tolist() for x, _ in train_loader], [x.tolist() for x, _ in val_loader], len(train_loader))


class Stream(IterableDataset):
    def __init__(self, start, end):
        self.start, self.end = start, end

    def __iter__(self):
        return iter(range(self.start, self.end))


print(list(DataLoader(Stream(3, 9), batch_size=4)))
print(default_collate([(1, 2.5, "a"), (3, 4.5, "b")]), default_collate([{"x": torch.ones(2)}, {"x": torch.zeros(2)}]))
print(default_collate([np.float64(1), np.float64(2)]), default_collate([np.arange(2), np.arange(2)]))
loader = DataLoader(numbers, batch_sampler=BatchSampler(RandomSampler(numbers), 5, False), pin_memory=False)
print(len(loader), next(iter(loader)), loader.batch_size, loader.num_workers)
for epoch in range(2):
    print(epoch, torch.cat([x for x, _ in DataLoader(numbers, 3, True)]))
try:
    DataLoader(numbers, shuffle=True, sampler=EvenFirst(numbers))
except ValueError as error:
    print(type(error).__name__, str(error)[:30])
