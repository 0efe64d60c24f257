"""Samplers: the order in which a loader visits a dataset.

Indices are drawn on the host from PyTorch's CPU stream, whatever the default device is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from rushlight.base.dtypes import float64
from rushlight.core.generator import Generator, default_generator
from rushlight.ops.from_data import as_tensor
from rushlight.ops.random import multinomial, randint, randperm

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)


def draw_seed(generator: Any) -> int:
    """A seed in [0, 2**63): what torch draws as one int64 `random_()`. None: from the process's own generator."""
    return int((generator or default_generator()).raw64(1)[0]) % 2**63


def place_of(generator: Any) -> Any:
    """The device on which numbers of `generator` are drawn: the one it names, else the CPU."""
    return "cpu" if generator is None else generator.device


def permutation(n: int, generator: Any) -> list[int]:
    """0 .. n - 1 in random order."""
    return randperm(n, generator=generator, device=place_of(generator)).tolist()  # type: ignore[no-any-return]


class Sampler(Generic[T_co]):
    """Base class: a subclass defines `__iter__`, which yields indices (or lists of them), and usually `__len__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} is a Sampler and should implement __iter__().")


class SequentialSampler(Sampler[int]):
    """0, 1, 2..."""

    data_source: Sized

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices in random order, or drawn with replacement.

    num_samples: how many; by default as many as the data source has. Without replacement, more than that means several
        rounds.
    generator: by default each iteration makes one, whose seed is drawn from the process's own generator.

    Raises `TypeError` and `ValueError` for arguments of another kind, and for an empty data source.
    """

    data_source: Sized
    replacement: bool

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Any = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            hint = "; the data source is empty" if num_samples is None else ""
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={self.num_samples}{hint}"
            )

    @property
    def num_samples(self) -> int:
        # Asked anew each time: the data source may have grown.
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, wanted = len(self.data_source), self.num_samples
        generator = self.generator
        if generator is None:
            generator = Generator().manual_seed(draw_seed(None))
        if self.replacement:
            # In blocks of 32, as torch draws them.
            for size in [32] * (wanted // 32) + [wanted % 32]:
                yield from randint(0, n, (size,), generator=generator, device=place_of(generator)).tolist()
        else:
            for _ in range(wanted // n):
                yield from permutation(n, generator)
            # Drawn even when nothing of it is used, as in torch.
            yield from permutation(n, generator)[: wanted % n]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    indices: Sequence[int]

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in permutation(len(self.indices), self.generator):
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with the probabilities that `weights` give; they need not add up to 1.

    Raises `ValueError` for weights that are not one-dimensional and for arguments of another kind.

    >>> list(WeightedRandomSampler([0.0, 1.0], num_samples=3))
    [1, 1, 1]
    """

    weights: Any
    num_samples: int
    replacement: bool

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        held = as_tensor(weights, dtype=float64, device="cpu")
        if held.dim() != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(held.shape)}"
            )
        self.weights = held
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        weights = self.weights.to(place_of(self.generator))
        yield from multinomial(weights, self.num_samples, self.replacement, generator=self.generator).tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices from another sampler; the last may be shorter, or is left out with `drop_last`.

    >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        samples = len(self.sampler)  # type: ignore[arg-type]
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
