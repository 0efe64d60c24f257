"""DataLoader: batches of a dataset, in order or shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from rushlight.base.warn import warn_user
from rushlight.utils.data.collate import default_collate, default_convert
from rushlight.utils.data.dataset import IterableDataset
from rushlight.utils.data.fetch import IterableFetcher, MapFetcher
from rushlight.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)


def get_worker_info() -> None:
    """None: samples are always loaded by the process that iterates, never by a worker."""
    return None


class _InfiniteConstantSampler(Sampler[None]):
    """None for ever: an iterable dataset has no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Batches of `dataset`; each `iter(loader)` is one epoch.

    dataset: with `__getitem__` and `__len__`, or an IterableDataset.
    batch_size: samples in a batch; None hands out single samples.
    shuffle: a new random order each epoch, the one PyTorch draws from the same seed.
    sampler: yields indices; batch_sampler: yields lists of indices.
    collate_fn: makes a batch from a list of samples; `default_collate` by default (`default_convert` for single samples).
    drop_last: leave out a last batch that is not full.
    generator: draws the order and the base seed; by default the process's own does.
    num_workers: accepted. The batches are the same, and they are loaded by the process that iterates: there are no
        workers, so `worker_init_fn`, `prefetch_factor`, `timeout`, `in_order` and `multiprocessing_context` are checked
        and kept without effect, and so is `pin_memory`.

    Raises `ValueError` for arguments that exclude each other.

    >>> loader = DataLoader(TensorDataset(arange(5)), batch_size=2)
    >>> [batch for [batch] in loader]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    dataset: Any
    batch_size: int | None
    num_workers: int
    pin_memory: bool
    drop_last: bool
    timeout: float
    sampler: Any
    pin_memory_device: str
    prefetch_factor: int | None
    _iterator: _SingleProcessDataLoaderIter | None
    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        shuffle = bool(shuffle)
        _check_exclusive(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            sampler = self._default_sampler(shuffle, generator)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called: int | None = None
        self._iterator = None
        self._initialized = True

    def _default_sampler(self, shuffle: bool, generator: Any) -> Sampler[Any]:
        if self._iterable:
            return _InfiniteConstantSampler()
        return RandomSampler(self.dataset, generator=generator) if shuffle else SequentialSampler(self.dataset)

    @property
    def multiprocessing_context(self) -> Any:
        return self._multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, value: Any) -> None:
        self._multiprocessing_context = None if value is None else _checked_context(value, self.num_workers)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in (
            "batch_size",
            "batch_sampler",
            "sampler",
            "drop_last",
            "dataset",
            "persistent_workers",
        ):
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized; make a new one instead"
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self) -> _SingleProcessDataLoaderIter:
        # Persistent workers draw their base seed once; with the same draws the orders are torch's.
        if not self.persistent_workers:
            return _SingleProcessDataLoaderIter(self)
        if self._iterator is None:
            self._iterator = _SingleProcessDataLoaderIter(self)
        else:
            self._iterator._reset(self)
        return self._iterator

    def __len__(self) -> int:
        """The number of batches in an epoch. `TypeError` when the dataset or the sampler has no length."""
        if not self._iterable:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


class _SingleProcessDataLoaderIter:
    """One epoch: indices from the sampler, samples from the dataset, batches from the collate function."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        if loader.timeout != 0 and loader.num_workers == 0:
            raise AssertionError(f"timeout needs workers to wait for: expected timeout == 0, but got {loader.timeout}")
        self._loader = loader
        # The base seed comes first, then what the sampler draws when its first index is asked for: torch's order.
        sampler_iter = iter(loader._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._start(sampler_iter)

    def _start(self, sampler_iter: Iterator[Any]) -> None:
        loader = self._loader
        self._sampler_iter = sampler_iter
        self._num_yielded = 0
        self._length = loader._IterableDataset_len_called
        kind = IterableFetcher if loader._iterable else MapFetcher
        self._fetcher = kind(loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last)

    def _reset(self, loader: DataLoader[Any]) -> None:
        """Begin the next epoch."""
        self._start(iter(loader._index_sampler))

    def __iter__(self) -> _SingleProcessDataLoaderIter:
        return self

    def __next__(self) -> Any:
        data = self._fetcher.fetch(next(self._sampler_iter))
        self._num_yielded += 1
        if self._length is not None and self._num_yielded > self._length:
            warn_user(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {self._length} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched. ",
            )
        return data

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled; pickle the DataLoader")


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise ValueError(
            f"num_workers option should be non-negative, but got {num_workers}; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, but got {timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. let num_workers > 0 to enable "
            "multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError(f"prefetch_factor option should be non-negative, but got {prefetch_factor}")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    for name, value, allowed in (
        ("shuffle", shuffle, shuffle in (False, None)),
        ("sampler", sampler, sampler is None),
        ("batch_sampler", batch_sampler, batch_sampler is None),
    ):
        if not allowed:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}; an iterable "
                "dataset decides about its order itself"
            )


def _check_exclusive(batch_size: int | None, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError(
                "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
            )
    elif batch_size is None and drop_last:
        raise ValueError(
            "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
        )


def _checked_context(value: Any, num_workers: int) -> Any:
    """A multiprocessing context, from one or from the name of a start method."""
    # Slow to import and rarely needed.
    from multiprocessing import get_all_start_methods, get_context
    from multiprocessing.context import BaseContext

    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    if isinstance(value, str):
        methods = get_all_start_methods()
        if value not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
                f"multiprocessing_context={value!r}"
            )
        value = get_context(value)
    if not isinstance(value, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, but "
            f"got multiprocessing_context={value}"
        )
    return value
