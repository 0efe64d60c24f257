"""Results with named entries, as `torch.return_types`: tuples that print with the names of their entries."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, ClassVar, Final


class StructSequence(tuple[Any, ...]):
    """A tuple whose entries can also be read by name.

    >>> max_((3.0, 1))
    torch.return_types.max(
    values=3.0,
    indices=1)
    """

    __slots__ = ()
    _names: ClassVar[tuple[str, ...]] = ()
    n_fields: ClassVar[int] = 0
    n_sequence_fields: ClassVar[int] = 0
    n_unnamed_fields: ClassVar[int] = 0

    def __new__(cls, entries: Iterable[Any]) -> StructSequence:
        self = tuple.__new__(cls, entries)
        if len(self) != len(cls._names):
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {len(cls._names)}-sequence ({len(self)}-sequence given)"
            )
        return self

    def __repr__(self) -> str:
        entries = ",\n".join(f"{name}={value!r}" for name, value in zip(self._names, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{entries})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self).__name__, tuple(self)))


_TYPES: Final[dict[str, type[StructSequence]]] = {}


def return_type(name: str, *fields: str) -> type[StructSequence]:
    """The class `torch.return_types.<name>` with these fields, made at the first call."""
    found = _TYPES.get(name)
    if found is None:
        body: dict[str, Any] = {"__slots__": (), "__module__": "torch.return_types", "_names": fields}
        body.update(n_fields=len(fields), n_sequence_fields=len(fields))
        body.update({field: property(itemgetter(i)) for i, field in enumerate(fields)})
        found = _TYPES[name] = type(name, (StructSequence,), body)
    return found


def _rebuild(name: str, entries: tuple[Any, ...]) -> StructSequence:
    return _TYPES[name](entries)


max_: Final = return_type("max", "values", "indices")
min_: Final = return_type("min", "values", "indices")
sort: Final = return_type("sort", "values", "indices")
topk: Final = return_type("topk", "values", "indices")
median: Final = return_type("median", "values", "indices")
nanmedian: Final = return_type("nanmedian", "values", "indices")
mode: Final = return_type("mode", "values", "indices")
kthvalue: Final = return_type("kthvalue", "values", "indices")
cummax: Final = return_type("cummax", "values", "indices")
cummin: Final = return_type("cummin", "values", "indices")
aminmax: Final = return_type("aminmax", "min", "max")
frexp: Final = return_type("frexp", "mantissa", "exponent")
histogram: Final = return_type("histogram", "hist", "bin_edges")
histogramdd: Final = return_type("histogramdd", "hist", "bin_edges")
