"""The part of a dataset that one of several processes sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rushlight.core.generator import Generator
from rushlight.utils.data.sampler import Sampler, permutation

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index, beginning with `rank`: each process draws its own part of the same order.

    num_replicas, rank: how many processes there are, and which this one is. Both are required, as no process group exists
        to ask; `RuntimeError` otherwise.
    shuffle: the order is drawn from `seed` and the epoch: call `set_epoch(epoch)` before each epoch.
    drop_last: leave out samples so that all parts are equally long, instead of repeating some.

    Raises `ValueError` for a rank outside [0, num_replicas).
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError(
                "Requires distributed package to be available: pass num_replicas and rank, for example num_replicas=1, rank=0"
            )
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        length = len(dataset)
        uneven = drop_last and length % num_replicas != 0
        self.num_samples = math.ceil((length - num_replicas if uneven else length) / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        length = len(self.dataset)
        if self.shuffle:
            indices = permutation(length, Generator().manual_seed(self.seed + self.epoch))
        else:
            indices = list(range(length))
        if indices and not self.drop_last:
            indices = indices * math.ceil(self.total_size / length)
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch
