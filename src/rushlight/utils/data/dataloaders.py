"""DataLoaders: the loaders of a training run, kept together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rushlight.core.generator import Generator
from rushlight.utils.data.dataloader import DataLoader
from rushlight.utils.data.dataset import Dataset, IterableDataset, Subset, random_split
from rushlight.utils.data.sampler import RandomSampler

__all__ = ["DataLoaders"]


class _Pairs(Dataset[Any]):
    """A list of `(input, target)` pairs as a dataset."""

    def __init__(self, pairs: Sequence[Any]) -> None:
        self.pairs = pairs

    def __getitem__(self, index: Any) -> Any:
        return self.pairs[index]

    def __len__(self) -> int:
        return len(self.pairs)


class DataLoaders:
    """Training and validation batches under one name, as fastai has it.

    loaders: first for training, second (if any) for validation, then what else there is. Each is any iterable of batches
        that can be read again every epoch: a DataLoader, a list of batches, an object with `__iter__`.

    Raises `TypeError` for something that is not iterable, or that can be read only once (a generator).

    >>> data = DataLoaders.from_pairs([(x, y) for x, y in zip(images, labels)], valid=0.2, batch_size=64, seed=0)
    >>> x, y = data.one_batch()
    >>> for x, y in data.train:
    ...     ...
    """

    def __init__(self, *loaders: Iterable[Any]) -> None:
        if not loaders:
            raise TypeError("DataLoaders() needs at least one loader, as in DataLoaders(train, valid)")
        for i, loader in enumerate(loaders):
            _check_loader(i, loader)
        self.loaders = list(loaders)

    @property
    def train(self) -> Any:
        """The loader to train with."""
        return self.loaders[0]

    @property
    def valid(self) -> Any:
        """The loader to validate with. `AttributeError` when there is none."""
        if len(self.loaders) < 2:
            raise AttributeError(
                "these DataLoaders have no validation loader; make them with DataLoaders(train, valid), or split a dataset with "
                "DataLoaders.from_dataset(dataset, valid=0.2)"
            )
        return self.loaders[1]

    @property
    def train_ds(self) -> Any:
        """The dataset behind `train`. `AttributeError` for a loader without one."""
        return self.train.dataset

    @property
    def valid_ds(self) -> Any:
        """The dataset behind `valid`. `AttributeError` for a loader without one."""
        return self.valid.dataset

    def one_batch(self) -> Any:
        """The first batch of an epoch of `train`. `ValueError` when there are no batches."""
        for batch in self.train:
            return batch
        raise ValueError(f"the training loader has no batches: {_described(self.train)}")

    def __getitem__(self, index: int) -> Any:
        return self.loaders[index]

    def __len__(self) -> int:
        return len(self.loaders)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loaders)

    def __repr__(self) -> str:
        names = ["train", "valid", *[f"[{i}]" for i in range(2, len(self.loaders))]]
        lines = [f"    {name}: {_described(loader)}" for name, loader in zip(names, self.loaders, strict=False)]
        return "\n".join(["DataLoaders (", *lines, ")"])

    @classmethod
    def from_datasets(
        cls,
        train: Any,
        *others: Any,
        batch_size: int = 64,
        valid_batch_size: int | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> DataLoaders:
        """Loaders of datasets: the first shuffled, for training, the others in order.

        seed: makes the order of every epoch repeatable without touching the process's own generator.
        valid_batch_size: of the other loaders; `batch_size` by default.
        options: more arguments of `DataLoader`, for all of them.
        """
        generator = None if seed is None else Generator().manual_seed(seed)
        loaders: list[Any] = [
            DataLoader(train, batch_size, shuffle, drop_last=drop_last, generator=generator, **options),
            *[DataLoader(dataset, valid_batch_size or batch_size, False, **options) for dataset in others],
        ]
        return cls(*loaders)

    @classmethod
    def from_dataset(
        cls, dataset: Any, valid: float | int | Sequence[int] = 0.2, *, seed: int | None = None, **options: Any
    ) -> DataLoaders:
        """Split a dataset at random and load both parts.

        valid: what to validate with: a fraction in (0, 1), a number of samples, or the indices of the samples.
        seed: makes the split and the order repeatable.
        options: those of `from_datasets`.

        Raises `ValueError` when nothing is left to train or to validate with.
        """
        total = len(dataset)
        parts: list[Any]
        if isinstance(valid, (int, float)):
            count = round(total * valid) if isinstance(valid, float) else valid
            if not 0 < count < total:
                raise ValueError(
                    f"valid={valid} of a dataset with {total} samples leaves {total - count} to train and {count} to validate "
                    "with; both need at least one. Pass a fraction such as 0.2, a number of samples, or a list of indices"
                )
            generator = None if seed is None else Generator().manual_seed(seed)
            parts = list(random_split(dataset, [total - count, count], generator))
        else:
            chosen = [int(i) for i in valid]
            held_out = set(chosen)
            if not held_out or not held_out < set(range(total)):
                raise ValueError(
                    f"valid must be the indices of some, not all, of the {total} samples, each in [0, {total - 1}]; got "
                    f"{len(chosen)} of them"
                )
            parts = [Subset(dataset, [i for i in range(total) if i not in held_out]), Subset(dataset, chosen)]
        return cls.from_datasets(*parts, seed=seed, **options)

    @classmethod
    def from_pairs(cls, pairs: Iterable[Any], valid: float | int | Sequence[int] = 0.2, **options: Any) -> DataLoaders:
        """Split a list of `(input, target)` pairs at random and load both parts; the arguments are `from_dataset`'s."""
        samples = list(pairs)
        for i, sample in enumerate(samples):
            if not isinstance(sample, (tuple, list)):
                raise TypeError(
                    f"from_pairs() expects (input, target) pairs, but entry {i} is {type(sample).__name__}; for two lists, "
                    "write from_pairs(zip(inputs, targets))"
                )
        return cls.from_dataset(_Pairs(samples), valid, **options)


def _check_loader(i: int, loader: Any) -> None:
    if not isinstance(loader, Iterable) and not hasattr(loader, "__getitem__"):
        raise TypeError(
            f"loader {i} of DataLoaders is {type(loader).__name__}, which is not an iterable of batches; pass a DataLoader or "
            "a list of batches"
        )
    if isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        raise TypeError(
            f"loader {i} of DataLoaders is the dataset {type(loader).__name__}, which gives single samples, not batches; wrap it "
            "in a DataLoader, or use DataLoaders.from_datasets(train, valid, batch_size=...)"
        )
    if isinstance(loader, Iterator):
        raise TypeError(
            f"loader {i} of DataLoaders is {type(loader).__name__}, which can be read only once: a second epoch would be "
            "empty. Pass list(batches), or an object whose __iter__ begins anew"
        )


def _described(loader: Any) -> str:
    """What a loader holds, in a few words."""
    name = type(loader).__name__
    try:
        amount = f"{len(loader)} batches"
    except (TypeError, NotImplementedError):
        amount = "batches"
    if not isinstance(loader, DataLoader):
        return f"{amount} from {name}"
    try:
        samples = f"{len(loader.dataset)} samples of {type(loader.dataset).__name__}"
    except (TypeError, NotImplementedError):
        samples = type(loader.dataset).__name__
    size = "" if loader.batch_size is None else f", batch_size={loader.batch_size}"
    order = ", shuffled" if isinstance(loader.sampler, RandomSampler) else ""
    return f"{amount} from {samples}{size}{order}"
