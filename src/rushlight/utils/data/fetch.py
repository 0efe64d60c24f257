"""From indices to a batch: the seam between dataset and loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.core.public import Tensor
from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.dataset import Subset, TensorDataset, samples_of


class MapFetcher:
    """Batches from a dataset with indices."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn

    def fetch(self, index: Any) -> Any:
        """The sample at `index`, or with automatic batching the batch of the samples at the indices."""
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate:
            batch = rows_of(self.dataset, index)
            if batch is not None:
                return batch
        return self.collate_fn(samples_of(self.dataset, index))


class IterableFetcher:
    """Batches from a dataset that is read from front to back."""

    def __init__(self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool) -> None:
        self.samples = iter(dataset)
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, index: Any) -> Any:
        """The next sample, or with automatic batching the next `len(index)` of them. `StopIteration` at the end."""
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.samples))
        data = []
        for _ in index:
            try:
                data.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not data or (self.drop_last and len(data) < len(index)):
            raise StopIteration
        return self.collate_fn(data)


def rows_of(dataset: Any, indices: Sequence[Any]) -> list[Any] | None:
    """The batch of a TensorDataset (or a Subset of one) in one indexing operation for each tensor.

    It equals the collated samples. None for what this does not hold for: classes of the user's own, tensors with history.
    """
    if type(indices) is not list or any([type(i) is not int for i in indices]):
        return None
    while type(dataset) is Subset:
        own = dataset.indices
        indices = [own[i] for i in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or any([type(i) is not int for i in indices]):
        return None
    if any([type(t) is not Tensor or t.requires_grad for t in dataset.tensors]):
        return None
    return [t[indices].contiguous() for t in dataset.tensors]
